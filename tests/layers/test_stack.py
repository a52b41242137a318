"""A layers file gives back what was put in, and tells viewers what they need."""

import hashlib
import json
import shutil
import subprocess
import sys

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.wcs import WCS, DistortionLookupTable

from galcnn.cutout import Cutout
from galcnn.errors import UnreadableImageError
from galcnn.explain import Explanation
from galcnn.explain.explanation import CoarseMap
from galcnn.layers import LayerStack, provenance_of
from galcnn.model import Target
from galcnn.model.cells import CellGrid
from galcnn.photometry import DISPLAY
from galcnn.prediction import Prediction

CLASSES = ("elliptical", "edge-on / disc", "Spirale à gauche ☃")
HOSTILE = [
    "SDSS J123456.78-012345.6",
    "",
    " spaces ",
    "two\nlines\ttab",
    "O'Neill's ''quoted'' & ampersand &",
    "NGC \\n 1300 \\",
    "M 51 ☃ 銀河 é\udcff",
    "x" * 300,
    "it's " * 60,
    "/ HISTORY = 'END     '",
    "\x00\x07\x7f",
]


def tan_wcs(parity=-1, angle=30.0):
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval = [201.3650633, -43.0191125]
    wcs.wcs.crpix = [9.25, 7.75]
    cos, sin = np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))
    wcs.wcs.cd = np.array([[parity * cos, -sin], [parity * sin, cos]]) * 0.262 / 3600
    return wcs


def odd_values(shape, seed=0):
    """Noise with everything float32 can hold: signed zero, infinities, subnormals, NaN with a payload."""
    values = np.random.default_rng(seed).normal(size=shape).astype(np.float32)
    values[0, 0, :7] = [-0.0, np.inf, -np.inf, 1e-45, np.nan, 3.4e38, 0.1]
    values.view(np.uint32)[0, 0, 7] = 0x7FC12345
    return values


def a_cutout(**changes):
    rng = np.random.default_rng(3)
    mask = rng.random((2, 16, 18)) < 0.1
    psf = rng.random((2, 5, 5)).astype(np.float32)
    fields = {
        "flux": odd_values((2, 16, 18)),
        "bands": ("g", "r"),
        "wcs": tan_wcs(),
        "position": SkyCoord(201.3650633, -43.0191125, unit="deg"),
        "survey": "Legacy Surveys DR10",
        "mask": mask,
        "sigma": np.abs(rng.normal(size=(2, 16, 18))).astype(np.float32),
        "psf": psf / psf.sum(axis=(1, 2), keepdims=True),
        "redshift": 0.0018,
        "meta": {"address": "https://example.org/?ra=1&dec=2", "zero_point": 22.5},
    }
    return Cutout(**(fields | changes))


def some_explanations():
    of_class = [Target.of_class(name, CLASSES) for name in CLASSES]
    slopes = [
        Explanation(odd_values((2, 16, 18), seed), ("g", "r"), "saliency", target, "flux", "nJy-1", score)
        for seed, (target, score) in enumerate(zip(of_class, (0.1, -1 / 3, np.inf), strict=True))
    ]
    path = Explanation(
        np.random.default_rng(5).normal(size=(2, 16, 18)),
        ("g", "r"),
        "integrated_gradients",
        Target("thirds", (1 / 3, -0.1, 2e-300)),
        "stretched",
        "",
        1.25,
        settings={
            "n_steps": 50,
            "baselines": ("zero", "blur"),
            "nested": {"a": (1, (2.5, None))},
            "rate": 0.1,
        },
        baseline_score=-0.5,
        seed=2**80,
        network_layer="conv_4/relu",
    )
    coarse = Explanation(odd_values((1, 16, 18), 9), ("all",), "cam", of_class[0], "stretched", "", np.nan)
    return (*slopes, path, coarse, coarse)


def a_stack(id="gal", **changes):
    fields = {
        "cutout": a_cutout(),
        "prediction": Prediction((id,), [[1.1, -2.2, 3.3]], CLASSES, (0.1, -0.2, 1e-17)),
        "explanations": some_explanations(),
        "provenance": {
            "model": "spirals v2",
            "model_sha256": "0123456789abcdef" * 4,
            "input": "image.fits",
            "input_sha256": "f" * 64,
            "seeds": [1, 2],
            "odd ☃\n": {"deep": [None, True, "é"]},
        },
    }
    return LayerStack(**(fields | changes))


def same_floats(a, b):
    return (a == b) or (np.isnan(a) and np.isnan(b))


def assert_same(got, put):
    for name in ("flux", "mask", "sigma", "psf"):
        a, b = getattr(got.cutout, name), getattr(put.cutout, name)
        assert (a is None) == (b is None)
        if b is not None:
            assert a.dtype == b.dtype
            assert a.dtype.isnative
            assert a.shape == b.shape
            assert a.tobytes() == b.tobytes(), name
    for name in ("bands", "survey", "unit", "redshift", "meta"):
        assert getattr(got.cutout, name) == getattr(put.cutout, name)
    assert got.prediction.ids == put.prediction.ids
    assert got.prediction.classes == put.prediction.classes
    assert got.prediction.adjustment == put.prediction.adjustment
    assert got.prediction.logits.tobytes() == put.prediction.logits.tobytes()
    assert got.provenance == put.provenance
    assert list(got.provenance) == list(put.provenance)
    assert len(got.explanations) == len(put.explanations)
    for a, b in zip(got.explanations, put.explanations, strict=True):
        assert a.attribution.dtype == np.float32
        assert a.attribution.dtype.isnative
        assert a.attribution.tobytes() == b.attribution.tobytes()
        for name in (
            "bands",
            "method",
            "target",
            "wrt",
            "unit",
            "settings",
            "baseline_score",
            "seed",
            "network_layer",
        ):
            assert getattr(a, name) == getattr(b, name), name
        assert same_floats(a.score, b.score)


def test_everything_comes_back_bit_by_bit(tmp_path):
    stack = a_stack()
    stack.write(tmp_path / "a.fits")
    assert_same(LayerStack.read(tmp_path / "a.fits"), stack)


def test_a_second_generation_is_the_first(tmp_path):
    a_stack().write(tmp_path / "a.fits")
    LayerStack.read(tmp_path / "a.fits").write(tmp_path / "b.fits")
    with fits.open(tmp_path / "a.fits") as a, fits.open(tmp_path / "b.fits") as b:
        difference = fits.FITSDiff(a, b, ignore_keywords=["DATE", "CHECKSUM"], ignore_comments=["*"])
        assert difference.identical, difference.report()


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_names_come_back(tmp_path, name):
    classes = ("a", name + "b", name + "c")
    target = Target(name, (0.0, 1.0, -1.0))
    stack = a_stack(
        prediction=Prediction((name,), [[1.0, 2.0, 3.0]], classes),
        explanations=(
            Explanation(
                np.zeros((1, 16, 18)),
                (name or "x",),
                name,
                target,
                "stretched",
                "",
                1.0,
                {name: name},
                network_layer=name,
            ),
        ),
        provenance={name: name, "model": name, "input": name},
    )
    stack.write(tmp_path / "a.fits")
    with fits.open(tmp_path / "a.fits", checksum=True) as hdulist:
        hdulist.verify("exception")
    assert_same(LayerStack.read(tmp_path / "a.fits"), stack)


def test_layers_without_explanations_wcs_and_noise(tmp_path):
    jpeg = Cutout(np.arange(3 * 64).reshape(3, 8, 8) % 256, ("R", "G", "B"), unit=DISPLAY)
    stack = a_stack(cutout=jpeg, explanations=(), provenance={})
    stack.write(tmp_path / "a.fits")
    assert_same(LayerStack.read(tmp_path / "a.fits"), stack)
    assert LayerStack.read(tmp_path / "a.fits").cutout.wcs is None
    with fits.open(tmp_path / "a.fits") as hdulist:
        assert "LAYERS" not in hdulist
        assert hdulist[-1].name == "PROVENANCE"
        assert not any("CTYPE1" in hdu.header for hdu in hdulist)


def test_order_and_names_of_the_layers():
    hdulist = a_stack().to_hdulist()
    names = [hdu.name for hdu in hdulist]
    assert names[:3] == ["PRIMARY", "SCI_G", "SCI_R"]
    assert hdulist[0].data is None
    assert [name for name in names if name.startswith(("SAL", "CAM", "INT"))] == [
        "SAL_ELLIPTICAL_G",
        "SAL_ELLIPTICAL_R",
        "SAL_EDGE_ON_DISC_G",
        "SAL_EDGE_ON_DISC_R",
        "SAL_SPIRALE_A_GAUCHE_G",
        "SAL_SPIRALE_A_GAUCHE_R",
        "INTEGRATED_GRADI_THIRDS_G",
        "INTEGRATED_GRADI_THIRDS_R",
        "CAM_ELLIPTICAL",
        "CAM_ELLIPTICAL_2",
    ]
    assert names[-3:] == ["MORPHOLOGY", "LAYERS", "PROVENANCE"]
    assert len(set(names)) == len(names)


def test_every_image_has_two_axes_the_wcs_and_no_compression():
    stack = a_stack()
    hdulist = stack.to_hdulist()
    on_grid = [
        hdu for hdu in hdulist if hdu.is_image and hdu.data is not None and not hdu.name.startswith("PSF")
    ]
    assert len(on_grid) == 2 + 2 + 2 + 10  # science, mask, sigma, maps
    corners = np.array([[0, 0], [17, 0], [0, 15], [8.3, 7.1]])
    for hdu in on_grid:
        assert type(hdu) is fits.ImageHDU
        assert hdu.data.shape == (16, 18)
        assert hdu.header["RADESYS"] == "ICRS"
        sky = WCS(hdu.header).wcs_pix2world(corners, 0)
        np.testing.assert_allclose(sky, stack.cutout.wcs.wcs_pix2world(corners, 0), rtol=0, atol=1e-10)
        assert all(len(keyword) <= 8 for keyword in hdu.header)
        if "BUNIT" in hdu.header:
            u.Unit(hdu.header["BUNIT"], format="fits", parse_strict="raise")


def test_headers_tell_the_answer_and_its_source():
    header = a_stack(id="NGC 5128").to_hdulist()[0].header
    assert (header["FILETYPE"], header["FILEVERS"], header["OBJECT"]) == ("galcnn layers", 1, "NGC 5128")
    assert header["CREATOR"].startswith("galcnn ")
    assert (header["MODEL"], header["MODELSHA"]) == ("spirals v2", "0123456789abcdef" * 4)
    assert (header["INPUT"], header["INPUTSHA"]) == ("image.fits", "f" * 64)
    assert header["CLASS"] == "Spirale \\xe0 gauche \\u2603"
    assert [header[f"CLASS{i}"] for i in (1, 2)] == ["elliptical", "edge-on / disc"]
    assert [np.float32(header[f"LOGIT{i}"]) for i in (1, 2, 3)] == [np.float32(x) for x in (1.1, -2.2, 3.3)]
    scores = np.exp([1.1 + 0.1, -2.2 - 0.2, 3.3])
    expected = scores / scores.sum()
    np.testing.assert_allclose([header[f"PROB{i}"] for i in (1, 2, 3)], expected, rtol=1e-6)
    assert header["ENTROPY"] == pytest.approx(-(expected * np.log(expected)).sum(), rel=1e-6)


def test_a_map_tells_its_method():
    header = a_stack().to_hdulist()["INTEGRATED_GRADI_THIRDS_R"].header
    assert (header["METHOD"], header["TARGET"], header["BAND"], header["WRT"]) == (
        "integrated_gradients",
        "thirds",
        "r",
        "stretched",
    )
    assert (header["WGT1"], header["WGT2"], header["WGT3"]) == (1 / 3, -0.1, 2e-300)
    assert (header["SCORE"], header["BASELINE"], header["SEED"]) == (1.25, -0.5, str(2**80))
    path = some_explanations()[3]
    assert header["DELTA"] == pytest.approx(path.attribution.sum(dtype=float) - 1.75)
    assert (header["NETLAYER"], header["SET1"], header["SET4"]) == (
        "conv_4/relu",
        "n_steps = 50",
        "rate = 0.1",
    )
    assert "BUNIT" not in header
    slope = a_stack().to_hdulist()["SAL_ELLIPTICAL_G"].header
    assert slope["BUNIT"] == "nJy-1"
    assert (slope["WGT1"], "WGT2" in slope, "SEED" in slope) == (1.0, False, False)


def test_a_unit_that_fits_does_not_know_is_no_bunit():
    odd = Explanation(
        np.ones((1, 16, 18)), ("g",), "lime", Target("t", (1.0, 0.0, 0.0)), "flux", "logit/display", 0.0
    )
    stack = a_stack(explanations=(odd,))
    header = stack.to_hdulist()["LIME_T_G"].header
    assert "BUNIT" not in header
    assert header["UNITTEXT"] == "logit/display"
    assert LayerStack.from_hdulist(stack.to_hdulist()).explanations[0].unit == "logit/display"


def test_tables_are_plain_enough_for_any_reader():
    hdulist = a_stack(id="NGC 5128").to_hdulist()
    table = hdulist["MORPHOLOGY"].data
    assert list(table["id"]) == ["NGC 5128"] * 3
    assert list(table["class"])[:2] == ["elliptical", "edge-on / disc"]
    assert table["probability"].sum() == pytest.approx(1)
    keys = dict(zip(hdulist["PROVENANCE"].data["key"], hdulist["PROVENANCE"].data["value"], strict=True))
    assert json.loads(keys["seeds"]) == [1, 2]


def test_mask_is_uint8_with_its_bit_named(tmp_path):
    a_stack(cutout=a_cutout(mask=np.eye(16, 18, dtype=bool), flux=np.ones((2, 16, 18)))).write(
        tmp_path / "a.fits"
    )
    with fits.open(tmp_path / "a.fits") as hdulist:
        assert hdulist["MASK"].data.dtype == np.uint8
        assert hdulist["MASK"].header["MP_BAD"] == 0
        np.testing.assert_array_equal(hdulist["MASK"].data, np.eye(16, 18))


@pytest.mark.parametrize(
    "name", ["plain", *HOSTILE[2:9]], ids=lambda name: name[:6].encode("unicode_escape").decode()
)
def test_fitsverify_finds_nothing(tmp_path, name):
    if shutil.which("fitsverify") is None:
        pytest.skip("fitsverify is not installed: `make viewers` (Debian: apt-get install fitsverify)")
    a_stack(id=name, provenance={"input": name, "model": name}).write(tmp_path / "a.fits")
    done = subprocess.run(
        ["fitsverify", "-q", str(tmp_path / "a.fits")],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.stdout.startswith("verification OK"), done.stdout
    assert done.returncode == 0


def test_checksums_are_written_and_hold(tmp_path):
    a_stack().write(tmp_path / "a.fits")
    with fits.open(
        tmp_path / "a.fits", checksum=True
    ) as hdulist:  # a mismatch warns, and warnings are errors
        for hdu in hdulist:
            assert hdu.verify_checksum() == 1
            assert hdu.verify_datasum() == 1


def test_no_prediction_is_written_without_a_class(tmp_path):
    stack = a_stack(prediction=Prediction(("lost",), [[np.nan] * 3], CLASSES))
    stack.write(tmp_path / "a.fits")
    got = LayerStack.read(tmp_path / "a.fits")
    assert np.isnan(got.prediction.logits).all()
    header = fits.getheader(tmp_path / "a.fits")
    assert header["CLASS"] == ""
    assert "LOGIT1" not in header


def test_what_does_not_fit_is_refused():
    target = Target("t", (1.0, 0.0, 0.0))
    with pytest.raises(ValueError, match=r"maps on the cutout's grid, \(16, 18\)"):
        a_stack(explanations=(Explanation(np.ones((1, 8, 8)), ("g",), "m", target, "flux", "", 0.0),))
    with pytest.raises(ValueError, match="one weight for each"):
        a_stack(
            explanations=(
                Explanation(np.ones((1, 16, 18)), ("g",), "m", Target("t", (1.0,)), "flux", "", 0.0),
            )
        )
    with pytest.raises(ValueError, match="the prediction of one galaxy"):
        a_stack(prediction=Prediction(("a", "b"), np.zeros((2, 3)), CLASSES))
    with pytest.raises(TypeError, match="provenance 'x' of numbers"):
        a_stack(provenance={"x": object()})
    with pytest.raises(TypeError, match="settings of m of numbers"):
        a_stack(
            explanations=(
                Explanation(np.ones((1, 16, 18)), ("g",), "m", target, "flux", "", 0.0, {"f": len}),
            )
        ).to_hdulist()


def test_other_files_are_refused_by_name(tmp_path):
    path = tmp_path / "a.fits"
    with pytest.raises(FileNotFoundError):
        LayerStack.read(path)
    fits.PrimaryHDU(np.ones((4, 4))).writeto(path)
    with pytest.raises(UnreadableImageError, match=r"a\.fits.*Expected a layers file"):
        LayerStack.read(path)
    for content in (b"", b"not FITS", b"SIMPLE  =                    T" + b" " * 5000):
        path.write_bytes(content)
        with pytest.raises(UnreadableImageError):
            LayerStack.read(path)


@pytest.mark.parametrize("version", [2, 0, "1", None])
def test_a_newer_version_is_refused_with_a_clear_word(tmp_path, version):
    hdulist = a_stack().to_hdulist()
    hdulist[0].header["FILEVERS"] = version
    hdulist.writeto(tmp_path / "a.fits", checksum=True)
    with pytest.raises(UnreadableImageError, match=r"version 1 or older.*Update galcnn"):
        LayerStack.read(tmp_path / "a.fits")


@pytest.mark.parametrize(
    ("lost", "said"),
    [
        ("MORPHOLOGY", "MORPHOLOGY"),
        ("PROVENANCE", "PROVENANCE"),
        ("SAL_ELLIPTICAL_R", "SAL_ELLIPTICAL_R"),
        ("SCI_G", "2 layers named SCI_<BAND>"),
        ("SCI_R", "2 layers named SCI_<BAND>"),
        ("MASK_G", "MASK_G"),
    ],
)
def test_a_lost_layer_is_noticed(lost, said):
    hdulist = a_stack().to_hdulist()
    del hdulist[lost]
    with pytest.raises(UnreadableImageError, match="extensions"):
        LayerStack.from_hdulist(hdulist)
    hdulist[0].header["NEXTEND"] -= 1
    with pytest.raises(UnreadableImageError, match=said):
        LayerStack.from_hdulist(hdulist)


def test_files_that_end_too_early_are_refused(tmp_path):
    a_stack().write(tmp_path / "a.fits")
    content = (tmp_path / "a.fits").read_bytes()
    rng = np.random.default_rng(0)
    cuts = [*range(0, len(content), 2880 * 3), *rng.integers(0, len(content), 20)]
    for cut in cuts:
        (tmp_path / "b.fits").write_bytes(content[:cut])
        with pytest.raises(UnreadableImageError):
            LayerStack.read(tmp_path / "b.fits")


def test_a_flipped_bit_in_the_data_is_refused(tmp_path):
    a_stack().write(tmp_path / "a.fits")
    content = bytearray((tmp_path / "a.fits").read_bytes())
    with fits.open(tmp_path / "a.fits") as hdulist:
        starts = [hdu.fileinfo()["datLoc"] for hdu in hdulist[1:]]
    for start in starts:
        broken = bytearray(content)
        broken[start + 5] ^= 1
        (tmp_path / "b.fits").write_bytes(broken)
        with pytest.raises(UnreadableImageError, match="checksum"):
            LayerStack.read(tmp_path / "b.fits")


def test_a_failed_write_leaves_the_old_file(tmp_path):
    a_stack().write(tmp_path / "a.fits")
    before = (tmp_path / "a.fits").read_bytes()
    broken = a_stack(cutout=a_cutout(meta={"no json": object()}))
    with pytest.raises(TypeError):
        broken.write(tmp_path / "a.fits")
    assert (tmp_path / "a.fits").read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["a.fits"]


def test_provenance_of_hashes_the_file(tmp_path):
    (tmp_path / "x.jpg").write_bytes(b"abc")
    assert provenance_of(tmp_path / "x.jpg", model="m", model_sha256="00")["input_sha256"] == (
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-2, appendix B.1
    )
    told = provenance_of(tmp_path / "x.jpg", model="m", model_sha256="00")
    assert (told["input"], told["model"], told["model_sha256"]) == ("x.jpg", "m", "00")
    assert hashlib.sha256(b"abc").hexdigest() == told["input_sha256"]
    with pytest.raises(FileNotFoundError):
        provenance_of(tmp_path / "none", model="m", model_sha256="00")


def test_neither_layers_nor_viewers_import_keras():
    code = (
        "import sys, galcnn.layers, galcnn.viewers;"
        "slow = {'keras', 'tensorflow', 'matplotlib'} & set(sys.modules); assert not slow, slow"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


DISTORTED = {
    "SIP": {"CTYPE1": "RA---TAN-SIP", "CTYPE2": "DEC--TAN-SIP", "A_ORDER": 3, "A_2_0": 4e-5, "A_0_2": 2e-5}
    | {"A_3_0": 1e-6, "B_ORDER": 2, "B_1_1": -3e-5, "B_0_2": 5e-5},
    "TPV": {
        "CTYPE1": "RA---TPV",
        "CTYPE2": "DEC--TPV",
        "PV1_1": 1.0,
        "PV1_4": 0.5,
        "PV2_1": 1.0,
        "PV2_4": -0.3,
    },
}


def distorted(kind):
    matrix = {"CD1_1": -9e-5, "CD1_2": 3e-5, "CD2_1": 3e-5, "CD2_2": 9e-5}
    place = {"CRVAL1": 150.0, "CRVAL2": 2.0, "CRPIX1": 40.0, "CRPIX2": 30.0, "RADESYS": "ICRS"}
    return WCS(fits.Header(place | matrix | DISTORTED[kind]))


def with_cells(wcs):
    """Return the HDUs of a stack with a map of 8 by 19 cells, steps 8 and 4, on 64 by 80 pixels."""
    grid = CellGrid((3.5, 2.5), (8, 4), (15, 9))
    coarse = CoarseMap(np.ones((8, 19), np.float32), grid)
    plane = np.ones((1, 64, 80), np.float32)
    cam = Explanation(
        plane, ("all",), "cam", Target("t", (1.0, 0.0, 0.0)), "stretched", "", 1.0, coarse=coarse
    )
    cutout = Cutout(np.ones((1, 64, 80), np.float32), ("r",), wcs)
    return LayerStack(cutout, Prediction(("a",), [[1.0, 0.0, 0.0]], ("a", "b", "c")), (cam,)).to_hdulist()


@pytest.mark.parametrize("kind", DISTORTED)
def test_cells_of_a_distorted_image_stand_on_their_pixels(kind, tmp_path):
    wcs = distorted(kind)
    with_cells(wcs).writeto(tmp_path / "l.fits")
    y, x = np.mgrid[:8, :19]
    pixels = 2.5 + 4 * x.ravel(), 3.5 + 8 * y.ravel()
    expected = wcs.all_pix2world(*pixels, 0)
    with fits.open(tmp_path / "l.fits") as hdulist:
        own = WCS(hdulist["CAM_T_CELLS"].header)
    np.testing.assert_allclose(own.all_pix2world(x.ravel(), y.ravel(), 0), expected, rtol=0, atol=1e-9)
    plain = wcs.wcs_pix2world(*pixels, 0)
    if kind == "SIP":
        assert np.abs(np.array(plain) - expected).max() > 1e-7, "the distortion is seen"


def test_what_cells_lose_of_look_up_tables_is_said():
    wcs = tan_wcs()
    shifts = np.full((5, 6), 0.5, np.float32)
    wcs.cpdis1 = DistortionLookupTable(shifts, (0.0, 0.0), (0.0, 0.0), (16.0, 16.0))
    hdulist = with_cells(wcs)
    said = str(hdulist["CAM_T_CELLS"].header["HISTORY"])
    assert said == "look-up tables of the WCS are not written: up to 0.12 pixels", "half a pixel of four"
