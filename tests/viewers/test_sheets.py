"""Contact sheets, and one galaxy large: what is drawn is the galaxy, its map, and its place on the sky."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from galcnn.cli.main import main
from galcnn.prediction import Prediction
from galcnn.transforms import display_rgb
from galcnn.viewers import Entry, save_figure, sheet_figure, sky_figure
from galcnn.viewers.plots.explanations import overlay
from galcnn.viewers.plots.panels import colour_limit, summed
from tests.viewers.test_figures import CLASSES, LN3, a_cutout, a_stack, a_wcs


def test_a_sheet_shows_each_galaxy_with_its_answer():
    answers = Prediction(("a", "b", "c"), [[0, LN3], [0, LN3], [np.nan, 0]], CLASSES)
    cutout = a_cutout(a_wcs())
    entries = [
        Entry.answered(cutout, answers.select([row]), true)
        for row, true in ((0, "spiral"), (1, "elliptical"), (2, None), (0, None))
    ]
    figure = sheet_figure(entries, heading="many", across=3)
    shown = [axes for axes in figure.axes if axes.images]
    assert [axes.get_title() for axes in shown] == [
        "a\nspiral 0.75 ✓",
        "b\nspiral 0.75\n✗ true: elliptical",
        "c\nno prediction",
        "a\nspiral 0.75",
    ]
    assert len({axes.title.get_color() for axes in shown}) == 3
    np.testing.assert_allclose(shown[0].images[0].get_array() * 255, display_rgb(cutout), atol=1e-4)
    assert "5″" in [text.get_text() for text in shown[0].texts]
    assert len(figure.axes) == 6, "two rows of three"
    assert figure.get_suptitle() == "many"


def test_a_sheet_keeps_the_number_behind_a_long_name_and_marks_masked_pixels():
    mask = np.zeros((40, 48), dtype=bool)
    mask[3, 4] = True
    answer = Prediction(("g" * 90,), [[0, LN3]], ("x", "W" * 80))
    figure = sheet_figure([Entry.answered(replace(a_cutout(), mask=mask), answer)])
    assert figure.axes[0].get_title().endswith("… 0.75")
    np.testing.assert_allclose(figure.axes[0].images[0].get_array()[3, 4], 0.75)
    figure.draw_without_rendering()
    box = figure.axes[0].title.get_window_extent()
    assert box.x0 >= -1
    assert box.x1 <= figure.bbox.x1 + 1


@pytest.mark.parametrize(("n", "across"), [(0, 8), (201, 8), (1, 0)])
def test_a_sheet_of_nothing_or_of_too_many_is_refused(n, across):
    with pytest.raises(ValueError, match="1 to 200 galaxies"):
        sheet_figure([Entry(a_cutout(), "a")] * n, across=across)


def test_a_galaxy_is_drawn_on_the_sky(tmp_path):
    stack = a_stack(wcs=a_wcs(angle=30))
    figure = sky_figure(stack, "cam", true="elliptical")
    left, right = figure.axes[:2]
    assert left.wcs is stack.cutout.wcs
    assert left.get_title() == "gal\nspiral 0.75\n✗ true: elliptical"
    assert right.get_title() == "cam\nof spiral"
    save_figure(figure, tmp_path / "a.png", dpi=80)
    # Tick labels: the grid is the cutout's, in right ascension and declination.
    assert [coordinate.get_axislabel() for coordinate in left.coords] == ["RA", "Dec"]
    (contours,) = left.collections
    np.testing.assert_allclose(np.abs(contours.levels).max(), 0.75, rtol=0.01)
    values = summed(stack.explanations[1])
    expected = overlay(display_rgb(stack.cutout), values, colour_limit(values))
    np.testing.assert_allclose(right.images[0].get_array(), expected)
    (bar,) = [one for one in right.child_axes if one.get_xlabel() == "logit"]
    low, high = bar.get_xlim()
    assert low == -high < 0
    for axes in (left, right):
        assert {"N", "E", "5″"} <= {text.get_text() for text in axes.texts}
    with pytest.raises(ValueError, match="a method among"):
        sky_figure(stack, "lime")


def test_galactic_coordinates_and_none_are_named(tmp_path):
    galactic = sky_figure(a_stack(wcs=a_wcs(frame=("GLON-TAN", "GLAT-TAN"))), "saliency")
    assert [one.get_axislabel() for one in galactic.axes[0].coords] == ["GLON", "GLAT"]
    plain = sky_figure(replace(a_stack(), cutout=a_cutout()), "saliency")
    assert plain.axes[0].get_xlabel() == "x [pixel]"
    save_figure(plain, tmp_path / "b.png", dpi=50)


def test_view_draws_a_map_on_the_sky_and_sheets(tmp_path, capsys):
    from galcnn.files import save_cutout

    paths = []
    for name in ("a", "b"):
        a_stack(name).write(tmp_path / f"{name}-layers.fits")
        paths.append(str(tmp_path / f"{name}-layers.fits"))
    save_cutout(a_cutout(a_wcs()), tmp_path / "plain.fits")
    sheet, sky = tmp_path / "sheet.png", tmp_path / "sky.png"
    assert main(["view", *paths, str(tmp_path / "plain.fits"), "--save", str(sheet)]) == 0
    assert main(["view", paths[0], "--save", str(sky), "--map", "cam"]) == 0
    for path in (sheet, sky):
        with Image.open(path) as picture:
            pixels = np.asarray(picture.convert("RGB")).astype(int)
        assert (pixels.sum(axis=2) < 60).mean() > 0.05, "dark sky"
    assert main(["view", *paths, "--save", str(sky), "--map", "cam"]) == 2
    assert main(["view", paths[0], "--map", "cam"]) == 2
    assert main(["view", paths[0], "--save", str(sky), "--map", "lime", "--overwrite"]) == 2
    assert "a method among ['cam', 'saliency']" in capsys.readouterr().err
