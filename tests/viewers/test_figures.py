"""What the figures draw: the arrays, limits, directions and lengths behind the picture."""

import dataclasses
import itertools
import subprocess
import sys

import astropy.units as u
import numpy as np
import pytest
from astropy.wcs import WCS, NoConvergence, Sip
from matplotlib.colors import to_hex
from PIL import Image

from galcnn.cutout import Cutout
from galcnn.explain import Explanation
from galcnn.layers import LayerStack
from galcnn.model import Target
from galcnn.photometry import DISPLAY
from galcnn.photometry.units import UNCALIBRATED
from galcnn.prediction import Prediction
from galcnn.transforms import display_rgb
from galcnn.viewers import explanation_figure, save_figure
from galcnn.viewers.plots.panels import colour_limit, compass, drawable, scale_bar, summed
from galcnn.viewers.plots.scores import confusion_figure

CLASSES = ("elliptical", "spiral")
SPIRAL = Target.of_class("spiral", CLASSES)
SHAPE = (40, 48)
LN3 = float(np.log(3))


def matrix(parity, angle, scale):
    cos, sin = np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))
    return np.array([[parity * cos, -sin], [parity * sin, cos]]) * scale / 3600


def a_wcs(parity=-1, angle=0.0, scale=0.396, dec=30.0, frame=("RA---TAN", "DEC--TAN")):
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = frame
    wcs.wcs.crval = [150.0, dec]
    wcs.wcs.crpix = [SHAPE[1] / 2 + 0.5, SHAPE[0] / 2 + 0.5]
    wcs.wcs.cd = matrix(parity, angle, scale)
    return wcs


def a_cutout(wcs=None, shape=SHAPE):
    y, x = np.mgrid[: shape[0], : shape[1]]
    light = 1000 * np.exp(-np.hypot(x - 20, y - 22) / 5)
    return Cutout(np.stack([light, 2 * light, 3 * light]), ("g", "r", "i"), wcs=wcs)


def a_slope(seed=0, **fields):
    planes = np.random.default_rng(seed).normal(size=(3, *SHAPE))
    planes[:, 3:5, 7:9] = np.nan
    planes[0, 10, 10] = np.nan
    values = {
        "bands": ("g", "r", "i"),
        "method": "saliency",
        "target": SPIRAL,
        "wrt": "flux",
        "unit": "nJy-1",
    }
    return Explanation(planes, score=1.0, **(values | fields))


def a_cam():
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    plane = np.exp(-(((x - 24) / 9) ** 2) - ((y - 20) / 9) ** 2)[np.newaxis]
    return Explanation(plane, ("all",), "cam", SPIRAL, "stretched", "", 1.0)


def a_stack(name="gal", wcs=None, explanations=None, logits=(0.0, LN3)):
    cutout = a_cutout(a_wcs() if wcs is None else wcs)
    maps = (a_slope(), a_cam()) if explanations is None else explanations
    return LayerStack(cutout, Prediction((name,), [logits], CLASSES), maps)


def panels(figure):
    return [axes for axes in figure.axes if axes.get_title() or axes.images]


def test_a_panel_shows_the_sum_over_the_bands():
    stack = a_stack()
    image, slope, cam = panels(explanation_figure([stack]))
    drawn = slope.images[0].get_array()
    planes = stack.explanations[0].attribution.astype(float)
    assert np.ma.getmaskarray(drawn)[3:5, 7:9].all()
    assert np.ma.getmaskarray(drawn).sum() == 4
    np.testing.assert_allclose(drawn[20, 30], planes[:, 20, 30].sum())
    np.testing.assert_allclose(drawn[10, 10], planes[1:, 10, 10].sum())
    np.testing.assert_array_equal(cam.images[0].get_array(), stack.explanations[1].attribution[0])
    np.testing.assert_array_equal(image.images[0].get_array(), display_rgb(stack.cutout))


def test_row_0_is_at_the_bottom_of_every_panel():
    for axes in panels(explanation_figure([a_stack()])):
        assert axes.images[0].origin == "lower"
        assert axes.transData.transform((0, 0))[1] < axes.transData.transform((0, 10))[1]


def test_colours_are_symmetric_about_zero_and_white_there():
    for axes in panels(explanation_figure([a_stack()]))[1:]:
        image = axes.images[0]
        assert image.norm.vmin == -image.norm.vmax
        assert np.linalg.norm(np.array(image.cmap(image.norm(0.0)))[:3] - 1) < 0.1
        red, _, blue = image.cmap(image.norm(image.norm.vmax))[:3]
        assert red > blue  # raises the target
        assert image.cmap(np.nan)[:3] == (0.75, 0.75, 0.75)


def texts(axes):
    return " ".join(text.get_text() for text in axes.texts).replace("\n", " ")


def test_below_each_map_stand_its_meaning_its_wrt_and_how_bands_are_combined():
    settings = {"baseline": "sky"}
    path = a_slope(
        method="integrated_gradients", unit="", kind="amount", wrt="stretched", baseline_score=-0.5
    )
    path = dataclasses.replace(path, settings=settings)
    patch = dataclasses.replace(a_cam(), method="occlusion", settings=settings, kind="amount")
    slope = a_slope(wrt="stretched", unit="(training sigma)-1", kind="slope")
    figure = explanation_figure([a_stack(explanations=(path, patch, slope))])
    first, second, third = (texts(axes) for axes in panels(figure)[1:])
    assert "Share of each pixel in spiral = 1.00 instead of -0.50 for blank sky." in first
    assert "wrt stretched, as the network sees it signed sum over g, r, i" in first
    assert "Covering red pixels by blank sky lowers spiral; blue ones raise it." in second
    assert "one map for all bands" in second
    assert "More light in red pixels raises spiral, in blue ones lowers it." in third
    assert panels(figure)[3].child_axes[0].get_xlabel() == "logit per training sigma"


def test_the_field_of_view_is_outlined_and_what_lies_outside_is_hatched():
    seen = dataclasses.replace(a_cam(), field=(10, 30, 12, 40))
    axes = panels(explanation_figure([a_stack(explanations=(seen,))]))[1]
    boxes = {(*one.get_xy(), one.get_width(), one.get_height()): one.get_hatch() for one in axes.patches}
    assert boxes.pop((11.5, 9.5, 28, 20)) is None, "the outline"
    covered = np.zeros(SHAPE, int)
    for (x, y, width, height), hatch in boxes.items():
        assert hatch
        left, low = round(x + 0.5), round(y + 0.5)
        covered[low : low + round(height), left : left + round(width)] += 1
    expected = np.ones(SHAPE, int)
    expected[10:30, 12:40] = 0
    np.testing.assert_array_equal(covered, expected)
    assert not panels(explanation_figure([a_stack(explanations=(a_cam(),))]))[1].patches, "not known"


def test_isophotes_have_levels_and_many_maps_wrap_into_rows():
    figure = explanation_figure([a_stack(explanations=(a_cam(),) * 9)])
    figure.draw_without_rendering()
    shown = panels(figure)[1:]
    assert len(shown) == 9
    assert {"5%", "25%"} <= {text.get_text() for text in shown[0].texts}
    rows = sorted({round(axes.get_position().y0, 3) for axes in shown}, reverse=True)
    assert [sum(round(axes.get_position().y0, 3) == row for axes in shown) for row in rows] == [3, 3, 3]
    for axes in figure.axes:
        box = axes.get_tightbbox()
        assert box is None or box.y0 > 0, "nothing is cut off below"


def test_a_compact_figure_has_seven_maps_in_a_row_titled_by_their_methods():
    cam = a_cam()
    maps = tuple(dataclasses.replace(cam, method=f"method_{i}") for i in range(14))
    figure = explanation_figure([a_stack(explanations=maps)], compact=True)
    figure.draw_without_rendering()
    image, *shown = panels(figure)
    assert [axes.get_title() for axes in shown] == [f"method_{i}" for i in range(14)]
    rows = sorted({round(axes.get_position().y0, 3) for axes in shown}, reverse=True)
    assert [sum(round(axes.get_position().y0, 3) == row for axes in shown) for row in rows] == [7, 7]
    assert "maps of spiral" in texts(image)
    assert not any(texts(axes) for axes in shown), "no labels of isophotes"
    assert not any(axes.child_axes for axes in shown), "no colour bars"
    titles = [axes.title.get_window_extent() for axes in shown[:7]]
    assert all(left.x1 < right.x0 for left, right in itertools.pairwise(titles)), "titles do not touch"


def test_a_map_of_zeros_says_so():
    cam = a_cam()
    empty = dataclasses.replace(cam, attribution=np.zeros_like(cam.attribution))
    _, first, second = panels(explanation_figure([a_stack(explanations=(cam, empty))]))
    assert "zero everywhere" not in texts(first)
    assert "zero everywhere" in texts(second)


def test_colour_limits_are_robust():
    values = np.linspace(-1, 1, 10001)
    assert colour_limit(values) == pytest.approx(0.995, abs=1e-3)
    values[0] = 1e9
    assert colour_limit(values) == pytest.approx(0.995, abs=1e-3)
    assert colour_limit(np.zeros(5)) == 1
    assert colour_limit(np.full(5, np.nan)) == 1
    assert colour_limit(np.append(np.zeros(1000), -3.0)) == 3
    assert colour_limit(np.append(values[1:], [np.inf, np.nan])) == pytest.approx(0.995, abs=1e-3)


def test_sums_know_where_nothing_is_known():
    planes = np.array([[[1.0, np.nan, np.nan]], [[2.0, 5.0, np.nan]]])
    both = Explanation(planes, ("g", "r"), "m", SPIRAL, "flux", "", 0.0)
    np.testing.assert_array_equal(summed(both), [[3, 5, np.nan]])


@pytest.mark.parametrize("parity", [-1, 1])
@pytest.mark.parametrize("angle", [0, 37, 90, 200])
def test_the_compass_follows_the_wcs(parity, angle):
    # Near the reference point (xi, eta) run East and North: their pixels are the columns of CD^-1.
    inverse = np.linalg.inv(matrix(parity, angle, 0.396))
    expected = inverse / np.linalg.norm(inverse, axis=0)
    north, east = compass(a_cutout(a_wcs(parity, angle)))
    np.testing.assert_allclose(north, expected[:, 1], atol=1e-5)
    np.testing.assert_allclose(east, expected[:, 0], atol=1e-5)
    # On the sky East is left of North; the usual parity -1 keeps it so on the image.
    cross = north[0] * east[1] - north[1] * east[0]
    assert cross == pytest.approx(-parity, abs=1e-6)


def test_the_compass_of_a_galactic_wcs_points_to_the_celestial_pole():
    wcs = a_wcs(frame=("GLON-TAN", "GLAT-TAN"))
    north, east = compass(a_cutout(wcs))
    before, after = (wcs.pixel_to_world(*(np.array([23.5, 19.5]) + step * north)).icrs for step in (-1, 1))
    assert before.position_angle(after).wrap_at("180d").deg == pytest.approx(0, abs=1e-3)
    before, after = (wcs.pixel_to_world(*(np.array([23.5, 19.5]) + step * east)).icrs for step in (-1, 1))
    assert before.position_angle(after).deg == pytest.approx(90, abs=1e-3)


def test_the_compass_needs_no_inverse_of_a_distorted_wcs():
    wcs = a_wcs(angle=30, frame=("RA---TAN-SIP", "DEC--TAN-SIP"))
    wcs.wcs.crpix -= [3, 0]  # of the centre
    bent = np.zeros((4, 4))
    bent[3, 0] = 0.1  # u + 0.1 u^3: too steep for the iteration of `all_world2pix`
    wcs.sip = Sip(bent, np.zeros((4, 4)), None, None, wcs.wcs.crpix)
    with pytest.raises(NoConvergence):
        wcs.all_world2pix(*wcs.all_pix2world(23.5, 19.5, 0), 0)
    inverse = np.linalg.inv(matrix(-1, 30, 0.396) @ np.diag([1 + 0.3 * 3**2, 1]))
    expected = inverse / np.linalg.norm(inverse, axis=0)
    north, east = compass(a_cutout(wcs))
    np.testing.assert_allclose(north, expected[:, 1], atol=0.01)
    np.testing.assert_allclose(east, expected[:, 0], atol=0.01)


@pytest.mark.parametrize("parity", [-1, 1])
def test_the_drawn_arrows_are_the_compass_and_stay_on_the_image(parity):
    for angle in range(0, 360, 30):
        stack = a_stack(wcs=a_wcs(parity, angle), explanations=())
        axes = panels(explanation_figure([stack]))[0]
        letters = {text.get_text(): np.array(text.get_position()) for text in axes.texts}
        arrows = [text for text in axes.texts if hasattr(text, "arrow_patch") and text.arrow_patch]
        origin = np.array(arrows[0].xyann)
        for letter, arrow, direction in zip("NE", arrows, compass(stack.cutout), strict=True):
            vector = np.array(arrow.xy) - np.array(arrow.xyann)
            np.testing.assert_allclose(vector / np.hypot(*vector), direction, atol=1e-12)
            place = letters[letter]
            np.testing.assert_allclose((place - origin) / np.hypot(*(place - origin)), direction, atol=1e-12)
            assert (place > 0).all()
            assert (place < np.array([SHAPE[1], SHAPE[0]]) - 1).all()


@pytest.mark.parametrize(
    ("scale", "arcsec", "label"),
    [  # 0.3 of 48 pixels is 14.4 pixels
        (0.396, 5.0, "5″"),
        (0.01, 0.1, "0.1″"),
        (0.1, 1.0, "1″"),
        (4.2, 60.0, "1\N{PRIME}"),
        (4.1, 50.0, "50″"),
        (100.0, 1200.0, "20\N{PRIME}"),
        (600.0, 7200.0, "2°"),
    ],
)
def test_the_scale_bar_is_a_round_angle(scale, arcsec, label):
    stack = a_stack(wcs=a_wcs(scale=scale, angle=30), explanations=())
    got = scale_bar(stack.cutout)
    assert got[0] == pytest.approx(arcsec)
    # The scale in the middle of degrees of a tangent plane.
    assert got[1] == pytest.approx(arcsec / scale, rel=1e-5)
    assert got[2] == label
    axes = panels(explanation_figure([stack]))[0]
    ends = axes.lines[0].get_xdata()
    assert ends[1] - ends[0] == pytest.approx(arcsec / scale, rel=1e-5)
    assert label in [text.get_text() for text in axes.texts]


def test_without_a_wcs_there_is_neither_bar_nor_compass():
    stack = LayerStack(a_cutout(), Prediction(("a",), [[0.0, 1.0]], CLASSES))
    axes = panels(explanation_figure([stack]))[0]
    assert not axes.lines
    assert not axes.texts
    with pytest.raises(ValueError, match="a cutout with a WCS"):
        scale_bar(stack.cutout)


def test_titles_tell_answer_probability_and_truth():
    stacks = [a_stack("one"), a_stack("two"), a_stack("three"), a_stack("four", logits=(np.nan, 1.0))]
    figure = explanation_figure(stacks, truth=["spiral", "elliptical", None, "spiral"])
    titles = [axes.title for axes in panels(figure)][::3]
    assert [title.get_text() for title in titles] == [
        "one\nspiral 0.75 ✓",
        "two\nspiral 0.75\n✗ true: elliptical",
        "three\nspiral 0.75",
        "four\nno prediction",
    ]
    assert [to_hex(title.get_color()) for title in titles] == ["#007a5a", "#d55e00", "#000000", "#000000"]


def test_a_prior_changes_the_shown_probability():
    prediction = Prediction(("a",), [[0.0, np.log(3.0)]], CLASSES, (np.log(9.0), 0.0))
    figure = explanation_figure([LayerStack(a_cutout(), prediction)])
    assert panels(figure)[0].get_title() == "a\nelliptical 0.75"  # 9 : 3


def test_colour_bars_carry_units_and_powers_of_ten():
    small = a_slope()
    small = Explanation(
        small.attribution * np.float32(1e-4), small.bands, "saliency", SPIRAL, "flux", "nJy-1", 1.0
    )
    figure = explanation_figure([a_stack(explanations=(small, a_cam()))])
    figure.draw_without_rendering()
    bars = [axes.child_axes[0] for axes in panels(figure)[1:]]
    assert [bar.get_xlabel() for bar in bars] == ["10⁻⁴ logit per nJy", "logit"]
    limit = panels(figure)[1].images[0].norm.vmax
    ticks = [
        (tick, label.get_text().replace("\N{MINUS SIGN}", "-"))
        for tick, label in zip(bars[0].get_xticks(), bars[0].get_xticklabels(), strict=True)
        if abs(tick) <= limit
    ]
    assert len(ticks) >= 3
    for tick, label in ticks:
        assert float(label) == pytest.approx(tick * 1e4, abs=1e-6)


@pytest.mark.parametrize(
    ("wrt", "unit", "of_cutout", "label"),
    [
        ("flux", "nJy-1", u.nJy, "logit per nJy"),
        ("flux", "", u.nJy, "logit"),  # an amount, such as image times gradient
        ("flux", "display-1", DISPLAY, "logit per display value"),
        ("flux", f"{UNCALIBRATED}-1", UNCALIBRATED, "logit per pixel value"),
        ("flux", "adu-1", u.adu, "logit per adu"),
        ("sigma", "", u.nJy, "logit per sigma of noise"),
        ("stretched", "", u.nJy, "logit"),
        ("stretched", "", DISPLAY, "logit"),
        ("stretched", "a b", u.nJy, "logit [a b]"),
    ],
)
def test_colour_bars_say_what_the_logit_is_per(wrt, unit, of_cutout, label):
    cutout = dataclasses.replace(a_cutout(), unit=of_cutout)
    stack = LayerStack(
        cutout, Prediction(("a",), [[0.0, 1.0]], CLASSES), (a_slope(seed=1, wrt=wrt, unit=unit),)
    )
    (bar,) = panels(explanation_figure([stack]))[1].child_axes
    assert bar.get_xlabel() == label


def test_contours_of_a_method_are_drawn_over_the_image():
    axes = panels(explanation_figure([a_stack()], contours="cam"))[0]
    (contours,) = axes.collections
    drawn = dict(zip(contours.levels, contours.get_paths(), strict=True))
    half = next(path for level, path in drawn.items() if level == pytest.approx(0.5, rel=1e-3))
    # exp(-r^2 / 9^2) falls to half at r = 9 sqrt(ln 2), about the middle of the map
    radius = np.hypot(half.vertices[:, 0] - 24, half.vertices[:, 1] - 20)
    np.testing.assert_allclose(radius, 9 * np.sqrt(np.log(2)), atol=0.05)
    assert not panels(explanation_figure([a_stack()]))[0].collections
    with pytest.raises(ValueError, match="a method among"):
        explanation_figure([a_stack()], contours="lime")


HOSTILE = [
    "$\\frac{1}{0}$ " * 8,
    "two\nlines " * 5,
    "M 51 ☃ 銀河 \x00 \udcff",
    "x" * 300,
    "W" * 300,
    "",
    "%s {} _^",
]


def test_hostile_ids_are_drawn_as_text_and_titles_do_not_overlap(tmp_path):
    figure = explanation_figure([a_stack(name) for name in HOSTILE], truth=["elliptical"] * len(HOSTILE))
    save_figure(figure, tmp_path / "a.png", dpi=100)  # warnings of missing glyphs are errors
    drawn = panels(figure)
    for left, middle in zip(drawn[::3], drawn[1::3], strict=True):
        box, next_box = (axes.title.get_window_extent() for axes in (left, middle))
        assert box.x1 < next_box.x0
        assert box.x0 > 0
        assert box.y1 < figure.bbox.y1


def test_rows_do_not_overlap():
    figure = explanation_figure([a_stack(str(i)) for i in range(4)], truth=["elliptical"] * 4)
    figure.draw_without_rendering()
    columns = [panels(figure)[i::3] for i in range(3)]
    for column in columns:
        boxes = [axes.get_tightbbox() for axes in column]
        for upper, lower in itertools.pairwise(boxes):
            assert upper.y0 >= lower.y1


def test_drawable_keeps_what_the_font_has():
    assert drawable("Sérsic β δ") == "Sérsic β δ"
    assert drawable("a\nb\t c") == "a b c"
    assert drawable("銀") == "?"
    assert drawable("") == ""
    narrow, wide = drawable("i" * 300, 60), drawable("W" * 300, 60)
    assert narrow.endswith("i…")
    assert wide.endswith("W…")
    assert len(narrow) > 2 * len(wide)


def test_galaxies_with_different_numbers_of_maps_share_a_figure():
    figure = explanation_figure([a_stack("a"), a_stack("b", explanations=(a_cam(),))])
    assert len(panels(figure)) == 3 + 2


def test_what_cannot_be_drawn_is_refused():
    with pytest.raises(ValueError, match="1 to 50 galaxies"):
        explanation_figure([])
    with pytest.raises(ValueError, match="1 to 50 galaxies"):
        explanation_figure([a_stack()] * 51)
    with pytest.raises(ValueError, match="one true class or None per galaxy"):
        explanation_figure([a_stack()], truth=["spiral", "spiral"])


def test_confusion_shows_shares_and_numbers():
    figure = confusion_figure([[8, 2, 0], [1, 2, 1], [0, 0, 0]], ("a", "b $x$", "c"))
    axes = figure.axes[0]
    expected = np.array([[0.8, 0.2, 0], [0.25, 0.5, 0.25], [np.nan] * 3])
    np.testing.assert_allclose(np.ma.filled(axes.images[0].get_array(), np.nan), expected)
    assert (axes.images[0].norm.vmin, axes.images[0].norm.vmax) == (0, 1)
    assert [text.get_text() for text in axes.texts] == [
        *("80%\n8", "20%\n2", "0%\n0"),
        *("25%\n1", "50%\n2", "25%\n1"),
        *("-", "-", "-"),
    ]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b $x$", "c"]
    figure.draw_without_rendering()
    top = axes.transData.transform((0, 0))[1]
    assert top > axes.transData.transform((0, 2))[1]  # first true class on top


@pytest.mark.parametrize(
    "wrong", [[[1, 2]], [[1, -1], [0, 1]], [["a", "b"], ["c", "d"]], [[1, np.nan], [0, 1]]]
)
def test_confusion_wants_numbers_of_galaxies(wrong):
    with pytest.raises(ValueError, match="numbers of galaxies"):
        confusion_figure(wrong, CLASSES)


@pytest.mark.parametrize(("suffix", "magic"), [(".png", b"\x89PNG"), (".pdf", b"%PDF-")])
def test_figures_are_saved_whole_and_the_same_each_time(tmp_path, suffix, magic):
    for name in "ab":
        save_figure(explanation_figure([a_stack()]), tmp_path / f"{name}{suffix}", dpi=50)
    content = (tmp_path / f"a{suffix}").read_bytes()
    assert content.startswith(magic)
    assert content == (tmp_path / f"b{suffix}").read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == [f"a{suffix}", f"b{suffix}"]


def test_the_saved_picture_shows_the_galaxy(tmp_path):
    save_figure(explanation_figure([a_stack()]), tmp_path / "a.png", dpi=100)
    with Image.open(tmp_path / "a.png") as picture:
        pixels = np.asarray(picture.convert("RGB")).astype(int)
    assert pixels.shape[1] == pytest.approx(3 * 2.3 * 100, abs=2)
    spread = np.ptp(pixels, axis=2)
    assert (spread > 60).mean() > 0.1  # coloured maps
    assert (pixels.sum(axis=2) < 60).mean() > 0.05  # dark sky


def test_other_formats_are_refused_before_anything_is_written(tmp_path):
    with pytest.raises(ValueError, match="ends in one of"):
        save_figure(confusion_figure([[1]], ("a",)), tmp_path / "a.jpeg2000")
    assert not list(tmp_path.iterdir())


def test_no_window_system_and_no_global_state(tmp_path):
    code = (
        "import sys; from galcnn.viewers import save_figure;"
        "from galcnn.viewers.plots.scores import confusion_figure;"
        "save_figure(confusion_figure([[1]], ('a',)), sys.argv[1]);"
        "slow = {'matplotlib.pyplot', 'keras', 'tensorflow'} & set(sys.modules); assert not slow, slow"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "a.png")], check=True, timeout=60)
    assert (tmp_path / "a.png").stat().st_size > 1000


def test_several_galaxies_in_a_row_keep_their_panels_together():
    stacks = [a_stack(f"gal{i}") for i in range(3)]
    figure = explanation_figure(stacks, across=2)
    titles = [axes.get_title() for axes in figure.axes if axes.get_title().startswith("gal")]
    assert [title.split("\n")[0] for title in titles] == ["gal0", "gal1", "gal2"]
    width, height = figure.get_size_inches()
    tall = explanation_figure(stacks).get_size_inches()
    assert (width, height) == (pytest.approx(2 * tall[0]), pytest.approx(tall[1] * 2 / 3))
    with pytest.raises(ValueError, match="at least one galaxy in a row"):
        explanation_figure(stacks, across=0)
