"""The maps of a cutout stand beside the image that it was made of, on its own pixels."""

import shutil
import subprocess
from dataclasses import replace

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS, Sip

from galcnn.cutout import Cutout
from galcnn.errors import UnreadableImageError
from galcnn.explain import Explanation
from galcnn.explain.explanation import CoarseMap
from galcnn.files import load_cutout, save_cutout
from galcnn.layers import LayerStack, read_stacks, write_into
from galcnn.layers.original import placement
from galcnn.model import Target
from galcnn.model.cells import CellGrid
from galcnn.prediction import Prediction
from galcnn.transforms import align, crop, fit, pad, resample
from galcnn.transforms.cropping import window
from galcnn.transforms.resampling import resize

SHAPE = (40, 50)
TARGET = Target("late", (1.0, 0.0))


def a_wcs(angle=0.0, scale=0.3, crpix=(25.5, 20.5), sip=False):
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval, wcs.wcs.crpix = [150.0, 2.0], list(crpix)
    cos, sin = np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))
    wcs.wcs.cd = np.array([[-cos, sin], [sin, cos]]) * scale / 3600
    if sip:
        wcs.wcs.ctype = ["RA---TAN-SIP", "DEC--TAN-SIP"]
        a, b = np.zeros((3, 3)), np.zeros((3, 3))
        a[2, 0], b[1, 1] = 1e-4, -2e-4
        wcs.sip = Sip(a, b, None, None, wcs.wcs.crpix)
    return wcs


def an_image(wcs):
    flux = np.random.default_rng(1).normal(10, 1, (1, *SHAPE)).astype(np.float32)
    return Cutout(flux, ("r",), wcs=wcs)


@pytest.fixture
def survey_file(tmp_path):
    """As surveys write them: image in the primary HDU, weight map and a table behind it."""

    def write(wcs):
        image = an_image(wcs)
        header = wcs.to_header(relax=True) if wcs is not None else fits.Header()
        header.update({"BUNIT": "nJy", "FILTER": "r"})
        weight = fits.ImageHDU(np.ones(SHAPE, np.float32), name="INVVAR")
        table = fits.BinTableHDU.from_columns([fits.Column("x", "E", array=np.arange(3.0))], name="SOURCES")
        path = tmp_path / "survey.fits"
        primary = fits.PrimaryHDU(image.flux[0].astype(">f4"), header)
        fits.HDUList([primary, weight, table]).writeto(path, checksum=True)
        return path

    return write


def of(cutout, values=None, *, kind="slope", wrt="flux", coarse=None):
    """A stack with one map."""
    planes = np.random.default_rng(2).normal(size=(1, *cutout.shape)) if values is None else values
    unit = "nJy-1" if (kind, wrt) == ("slope", "flux") else ""
    one = Explanation(planes, cutout.bands, "saliency", TARGET, wrt, unit, 1.0, kind=kind, coarse=coarse)
    prediction = Prediction(("NGC 1",), [[1.0, 0.0]], ("late", "early"))
    return LayerStack(cutout, prediction, (one,), {"model": "m"})


def moved(stack, wcs=None):
    place = placement(stack.cutout, wcs, SHAPE)
    whole = np.full(SHAPE, np.nan)
    rows, columns = (slice(c, c + n) for c, n in zip(place.corner, place.shape, strict=True))
    whole[rows, columns] = place.maps(stack.explanations[0])[0]
    return whole


@pytest.mark.parametrize("sip", [False, True])
def test_a_part_of_the_image_has_its_map_there_bit_by_bit(survey_file, tmp_path, sip):
    wcs = a_wcs(30, sip=sip)
    path, cutout = survey_file(wcs), crop(an_image(wcs), (12, 15), corner=(7, 20))
    save_cutout(cutout, tmp_path / "cutout.fits")  # the WCS has been through a file
    stack = of(load_cutout(tmp_path / "cutout.fits"))
    values = stack.explanations[0].attribution.copy()
    values[0, 3, 4:8] = [np.inf, -np.inf, -0.0, np.nan]
    stack = of(stack.cutout, values)
    out = tmp_path / "new.fits"
    before = path.read_bytes()
    write_into(stack, path, out=out)
    assert path.read_bytes() == before
    assert out.read_bytes()[: len(before)] == before
    with fits.open(out, checksum=True) as hdulist:
        hdulist.verify("exception")
        layer = hdulist["SAL_LATE_R"]
        assert layer.data.shape == SHAPE
        expected = np.full(SHAPE, np.nan, np.float32)
        expected[7:19, 20:35] = values[0]
        assert layer.data.astype("=f4").tobytes() == expected.tobytes()
        points = np.array([[0, 0], [49, 39], [20.5, 7.25]])
        sky = WCS(layer.header).all_pix2world(points, 0)
        np.testing.assert_allclose(sky, wcs.all_pix2world(points, 0), rtol=0, atol=1e-9)
        assert (layer.header["OBJECT"], layer.header["MODEL"]) == ("NGC 1", "m")
        assert [hdu.name for hdu in hdulist][3:] == ["SAL_LATE_R", "MORPHOLOGY", "LAYERS", "PROVENANCE"]


def test_the_survey_s_own_file_gains_layers_on_request(survey_file, tmp_path):
    wcs = a_wcs()
    path = survey_file(wcs)
    before, image = path.read_bytes(), load_cutout(path)
    labels = np.arange(80, dtype=np.int32).reshape(8, 10)
    stack = replace(of(crop(an_image(wcs), (8, 10), corner=(0, 5))), segmentation=labels)
    write_into(stack, path, append=True)
    second = of(window(an_image(wcs), (10, 10), (35, -3)))
    write_into(replace(second, provenance={"model": "n"}), path, append=True)
    assert path.read_bytes()[: len(before)] == before
    assert load_cutout(path).flux.tobytes() == image.flux.tobytes(), "the image is found as before"
    first, other = read_stacks(path)
    assert (first.provenance["model"], other.provenance["model"]) == ("m", "n")
    assert first.id == "NGC 1"
    assert first.cutout.flux.tobytes() == image.flux.tobytes()
    assert first.explanations[0].attribution.shape == (1, *SHAPE)
    assert first.prediction.logits.tolist() == [[1.0, 0.0]]
    np.testing.assert_array_equal(first.segmentation[:8, 5:15], labels)
    assert first.segmentation[8:].max() == 0
    known = np.isfinite(other.explanations[0].attribution[0])
    assert known[35:, :7].all()
    assert known.sum() == 5 * 7
    np.testing.assert_array_equal(
        other.explanations[0].attribution[0, 35:, :7], second.explanations[0].attribution[0, :5, 3:]
    )


def test_a_slope_is_drawn_back_by_the_chain_rule():
    """A linear score of the resampled image: its slope in the image's own pixels is known."""
    wcs = a_wcs()
    image = an_image(wcs)
    for ratio, n in ((2.0, (12, 14)), (1.7, (14, 12)), (0.6, (30, 33))):
        cutout = resample(image, ratio * 0.3 * u.arcsec, n)
        weights = np.random.default_rng(3).normal(size=(1, *n))
        drawn = moved(of(cutout, weights), wcs)
        rng = np.random.default_rng(4)
        for _ in range(4):
            y, x = rng.integers(12, 28), rng.integers(16, 34)
            step = np.zeros((1, *SHAPE), np.float32)
            step[0, y, x] = 64
            changed = resample(replace(image, flux=image.flux + step), ratio * 0.3 * u.arcsec, n)
            slope = ((changed.flux - cutout.flux).astype(float) * weights).sum() / 64
            assert drawn[y, x] == pytest.approx(slope, rel=2e-5, abs=1e-6)


def test_a_slope_in_display_values_likewise():
    from galcnn.photometry import DISPLAY

    image = Cutout(np.random.default_rng(1).uniform(0, 255, (1, *SHAPE)), ("L",), unit=DISPLAY)
    cutout = fit(image, (16, 16))
    assert [step["step"] for step in cutout.meta["geometry"]] == ["crop", "resize"]
    weights = np.random.default_rng(3).normal(size=(1, 16, 16))
    drawn = moved(of(cutout, weights))  # without any WCS: by what was done
    for y, x in [(20, 25), (5, 12), (31, 40)]:
        step = np.zeros((1, *SHAPE), np.float32)
        step[0, y, x] = 64
        slope = (
            (fit(replace(image, flux=image.flux + step), (16, 16)).flux - cutout.flux) * weights
        ).sum() / 64
        assert drawn[y, x] == pytest.approx(slope, rel=1e-4, abs=1e-6)
    assert np.isnan(drawn[:, :5]).all(), "cropped away"


@pytest.mark.parametrize("how", ["binned", "finer", "turned", "padded"])
def test_an_amount_of_logits_is_kept(how):
    wcs = a_wcs()
    image = an_image(wcs)
    cutout = {
        "binned": lambda: resample(image, 0.6 * u.arcsec, (10, 10)),
        "finer": lambda: resample(image, 0.2 * u.arcsec, (30, 30)),
        "turned": lambda: align(image, Cutout(np.ones((20, 20)), ("r",), wcs=a_wcs(33, 0.35, (10, 10)))),
        "padded": lambda: crop(pad(image, (60, 60)), (50, 60)),
    }[how]()
    values = np.random.default_rng(5).normal(1, 1, (1, *cutout.shape))
    inside = values if how != "padded" else values[:, 5:45, 5:55]
    drawn = moved(of(cutout, values, kind="amount"), wcs)
    assert np.nansum(drawn) == pytest.approx(inside.sum(), rel=1e-5 if how != "turned" else 1e-3)


def test_features_keep_their_values_and_their_place_on_the_sky():
    wcs, turned = a_wcs(), a_wcs(37, 0.35, (15, 15))
    like = Cutout(np.ones((30, 30)), ("r",), wcs=turned)
    cutout = align(an_image(wcs), like)
    y, x = np.mgrid[:30, :30].astype(float)
    drawn = moved(of(cutout, (3 * x - 2 * y)[np.newaxis], kind="features", wrt="stretched"), wcs)
    rows, columns = np.nonzero(np.isfinite(drawn))
    assert 600 < len(rows) < 1400
    x_there, y_there = turned.world_to_pixel(wcs.pixel_to_world(columns, rows))
    inner = (np.abs(x_there - 14.5) < 12) & (np.abs(y_there - 14.5) < 12)
    expected = (3 * x_there - 2 * y_there)[inner]
    off = drawn[rows, columns][inner] - expected  # pixels are flat: half a pixel at most, none on average
    assert np.abs(off).max() < 0.2 * np.hypot(3, 2)
    assert abs(off.mean()) < 0.01


def test_a_slope_in_sigma_follows_the_noise():
    wcs = a_wcs()
    image = replace(an_image(wcs), sigma=np.full((1, *SHAPE), 2.0))
    cutout = resample(image, 0.6 * u.arcsec, (16, 20))
    slope = np.random.default_rng(5).normal(size=(1, *cutout.shape))
    in_sigma = moved(of(cutout, slope * cutout.sigma, wrt="sigma"), wcs)
    in_flux = moved(of(cutout, slope), wcs)
    both = np.isfinite(in_sigma)
    assert both.sum() == 32 * 40
    np.testing.assert_allclose(in_sigma[both], in_flux[both] * 2.0, rtol=1e-5)


def test_a_mirrored_cutout_lies_where_it_should():
    wcs, mirrored = a_wcs(), a_wcs(crpix=(10.5, 8.5))
    mirrored.wcs.cd = mirrored.wcs.cd * [-1, 1]
    cutout = Cutout(np.ones((16, 20)), ("r",), wcs=mirrored)
    values = np.random.default_rng(5).normal(size=(1, 16, 20))
    drawn = moved(of(cutout, values, kind="features"), wcs)
    expected = np.full(SHAPE, np.nan)
    expected[12:28, 15:35] = values[0, :, ::-1]
    np.testing.assert_allclose(drawn, expected, rtol=0, atol=1e-6)


def test_coarse_maps_come_with_the_wcs_of_their_cells(survey_file, tmp_path):
    wcs = a_wcs()
    cutout = crop(an_image(wcs), (16, 16), corner=(4, 6))
    coarse = CoarseMap(np.arange(16.0).reshape(4, 4), CellGrid((1.5, 1.5), (4, 4), (7, 7)))
    write_into(
        of(cutout, kind="features", wrt="stretched", coarse=coarse), survey_file(wcs), out=tmp_path / "n.fits"
    )
    with fits.open(tmp_path / "n.fits") as hdulist:
        cells = hdulist["SAL_LATE_CELLS"]
        np.testing.assert_array_equal(cells.data, coarse.values)
        sky = WCS(cells.header).wcs_pix2world([[2, 1]], 0)
        np.testing.assert_allclose(sky, wcs.wcs_pix2world([[6 + 9.5, 4 + 5.5]], 0), atol=1e-9)
        assert "STEP_X" not in cells.header
    (got,) = read_stacks(tmp_path / "n.fits")
    assert got.explanations[0].coarse is None, "it counts cells of the cutout, which is not here"


def test_without_wcs_the_steps_say_where(survey_file, tmp_path):
    path = survey_file(None)
    cutout = resize(crop(load_cutout(path), (20, 20), corner=(10, 4)), (10, 10))
    values = np.arange(100.0).reshape(1, 10, 10)
    write_into(of(cutout, values, kind="features"), path, out=tmp_path / "n.fits")
    layer = fits.getdata(tmp_path / "n.fits", "SAL_LATE_R")
    expected = np.full(SHAPE, np.nan)
    expected[10:30, 4:24] = np.kron(values[0], np.ones((2, 2)))
    np.testing.assert_array_equal(layer, expected)


def test_a_file_compressed_tile_by_tile_gains_plain_layers(tmp_path):
    wcs = a_wcs(20)
    image = an_image(wcs)
    header = wcs.to_header() + fits.Header({"BUNIT": "nJy", "FILTER": "r"})
    packed = fits.CompImageHDU(np.rint(image.flux[0] * 100).astype(np.int32), header, name="SCI")
    path = tmp_path / "survey.fits.fz"
    fits.HDUList([fits.PrimaryHDU(), packed]).writeto(path)
    before, flux = path.read_bytes(), load_cutout(path).flux
    stack = of(crop(image, (8, 10), corner=(3, 4)))
    write_into(stack, path, append=True)
    assert path.read_bytes()[: len(before)] == before
    assert load_cutout(path).flux.tobytes() == flux.tobytes()
    (got,) = read_stacks(path)
    part = got.explanations[0].attribution[:, 3:11, 4:14]
    np.testing.assert_array_equal(part, stack.explanations[0].attribution)
    with fits.open(path) as hdulist:
        assert type(hdulist["SAL_LATE_R"]) is fits.ImageHDU


def test_galcnn_s_own_cutout_files_gain_layers_too(tmp_path):
    image = replace(an_image(a_wcs()), sigma=np.ones((1, *SHAPE)), meta={"a": 1})
    save_cutout(image, tmp_path / "c.fits")
    write_into(of(crop(image, (10, 10))), tmp_path / "c.fits", append=True)
    again = load_cutout(tmp_path / "c.fits")
    assert again.flux.tobytes() == image.flux.tobytes()
    assert (again.sigma is not None, again.meta) == (True, {"a": 1})
    assert read_stacks(tmp_path / "c.fits")[0].cutout.meta == {"a": 1}


def test_what_cannot_be_is_refused_and_nothing_is_written(survey_file, tmp_path):
    wcs = a_wcs()
    path = survey_file(wcs)
    stack = of(crop(an_image(wcs), (8, 8)))
    before = sorted(tmp_path.iterdir()), path.read_bytes()
    elsewhere = a_wcs()
    elsewhere.wcs.crval = [150.1, 2.0]
    with pytest.raises(ValueError, match="a cutout that lies on the image"):
        write_into(of(Cutout(np.ones((8, 8)), ("r",), wcs=elsewhere)), path, append=True)
    with pytest.raises(ValueError, match="the steps from the image to the cutout"):
        write_into(of(Cutout(np.ones((8, 8)), ("r",))), path, append=True)
    with pytest.raises(ValueError, match="either out or append=True"):
        write_into(stack, path)
    with pytest.raises(ValueError, match="another file than the original"):
        write_into(stack, path, out=path)
    with pytest.raises(FileNotFoundError):
        write_into(stack, tmp_path / "none.fits", append=True)
    assert (sorted(tmp_path.iterdir()), path.read_bytes()) == before
    stack.write(tmp_path / "layers.fits")
    with pytest.raises(UnreadableImageError, match="--append"):
        write_into(stack, tmp_path / "layers.fits", append=True)


def test_fitsverify_finds_nothing(survey_file, tmp_path):
    if shutil.which("fitsverify") is None:
        pytest.skip("fitsverify is not installed: `make viewers` (Debian: apt-get install fitsverify)")
    wcs = a_wcs(20, sip=True)
    path = survey_file(wcs)
    write_into(of(crop(an_image(wcs), (8, 10))), path, append=True)
    write_into(of(crop(an_image(wcs), (9, 10))), path, append=True)
    command = ["fitsverify", "-q", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.stdout.startswith("verification OK"), done.stdout


def test_real_surveys_files_gain_layers(real_data, tmp_path):
    """A DECaLS cube, an HST image, an HSC image in HDU 1: binned, written back, the image found as before."""
    from galcnn.transforms import crop_width

    for name in ("decals_gz/example_a.fits", "hst_dopterian/SCI_F814W.fits", "hsc_galmask/gal1_G.fits"):
        path = tmp_path / name.replace("/", "_")
        shutil.copyfile(real_data / "fits" / name, path)
        before, image = path.read_bytes(), load_cutout(path)
        cutout = resample(
            crop_width(image, 8 * u.arcsec if "hst" in name else 20 * u.arcsec), 2 * image.pixel_scale
        )
        values = np.ones((len(cutout.bands), *cutout.shape))
        write_into(of(cutout, values, kind="amount"), path, append=True)
        assert path.read_bytes()[: len(before)] == before
        assert load_cutout(path).flux.tobytes() == image.flux.tobytes()
        (got,) = read_stacks(path)
        total = np.nansum(got.explanations[0].attribution, axis=(1, 2), dtype=float)
        np.testing.assert_allclose(total, cutout.shape[0] * cutout.shape[1], rtol=1e-4)
        with fits.open(path) as hdulist:
            layer = next(hdu for hdu in hdulist if "METHOD" in hdu.header)
            middle = np.array([[image.shape[1] / 2, image.shape[0] / 2]])
            np.testing.assert_allclose(
                WCS(layer.header).all_pix2world(middle, 0), image.wcs.all_pix2world(middle, 0), atol=1e-8
            )
