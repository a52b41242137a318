"""What save_cutout writes, load_cutout gives back bit by bit, and fitsverify finds nothing wrong."""

import dataclasses
import shutil
import subprocess

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.wcs import WCS
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from galcnn.cutout import Cutout
from galcnn.errors import UnreadableImageError
from galcnn.files import Companions, cutout_from_hdus, cutout_hdus, load_cutout, save_cutout
from galcnn.photometry import DISPLAY
from galcnn.photometry.units import NANOMAGGY, UNCALIBRATED

ARRAYS = ("flux", "mask", "sigma", "psf")


def a_wcs(shape, angle=20.0):
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval = [359.9999, -0.123456789]
    wcs.wcs.crpix = [4.3, 5.1]
    turn = np.radians(angle)
    wcs.wcs.cd = 7e-5 * np.array([[-np.cos(turn), np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    wcs.array_shape = shape
    return wcs


def a_cutout(**changes):
    rng = np.random.default_rng(5)
    flux = rng.normal(size=(3, 7, 9)).astype(np.float32)
    flux[0, 1, 2] = np.nan
    flux[1, 0, 0] = np.inf
    psf = rng.uniform(0, 1, (3, 5, 5))
    mask = np.zeros(flux.shape, bool)
    mask[2, 3:5, 1] = True
    fields = {
        "flux": flux,
        "bands": ("g", "r", "F160W"),
        "wcs": a_wcs((7, 9)),
        "position": SkyCoord(359.99990123456789, -0.12345678901234567, unit="deg"),
        "survey": "test DR1",
        "mask": mask,
        "sigma": np.abs(flux) + np.float32(0.1),
        "psf": psf / psf.sum(axis=(1, 2), keepdims=True),
        "redshift": 0.0312,
        "meta": {"zero_point_ab": 27.0, "notes": ["a", "b"], "nested": {"x": None, "y": [1, 2.5]}},
    }
    return Cutout(**(fields | changes))


def assert_same(one, other):
    for name in ARRAYS:
        left, right = getattr(one, name), getattr(other, name)
        assert (left is None) == (right is None), name
        if left is not None:
            assert left.dtype == right.dtype
            assert left.shape == right.shape
            assert left.tobytes() == right.tobytes(), name
    for name in ("bands", "unit", "survey", "meta"):
        assert getattr(one, name) == getattr(other, name), name
    assert (one.redshift is None) == (other.redshift is None)
    if one.redshift is not None:
        assert other.redshift == pytest.approx(one.redshift, rel=1e-14)
    assert (one.position is None) == (other.position is None)
    if one.position is not None:
        assert one.position.separation(other.position).deg < 1e-9
    assert (one.wcs is None) == (other.wcs is None)
    if one.wcs is not None:
        pixels = [[0, 0], [8, 0], [4, 6]]
        np.testing.assert_allclose(
            one.wcs.all_pix2world(pixels, 0), other.wcs.all_pix2world(pixels, 0), rtol=0, atol=1e-9
        )
        assert one.wcs.array_shape == other.wcs.array_shape


VARIANTS = {
    "everything": {},
    "bare": dict.fromkeys(("wcs", "position", "mask", "sigma", "psf", "redshift")) | {"meta": {}},
    "display": {"unit": DISPLAY},
    "uncalibrated": {"unit": UNCALIBRATED},
    "electrons per second": {"unit": u.electron / u.s},
    "nanomaggy": {"unit": NANOMAGGY},
    "surface brightness": {"unit": u.MJy / u.sr},
    "dimensionless": {"unit": u.dimensionless_unscaled},
    "one mask": {"mask": np.eye(7, 9, dtype=bool), "flux": np.ones((3, 7, 9), np.float32)},
    "galactic": {"position": SkyCoord(10, 20, unit="deg", frame="galactic")},
    "odd names": {"bands": ("r", "R", "Hα [2.12 μm] "), "survey": "Süd 'A' \\ / "},
    "odd meta": {
        "meta": {"it's": "'" * 200, "é ": "a/b \\ & \n\x7f", "": {"α": "β"}, "n": np.float32(0.5).item()}
    },
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_round_trip(tmp_path, variant):
    cutout = a_cutout(**VARIANTS[variant])
    save_cutout(cutout, tmp_path / "a.fits")
    assert_same(cutout, load_cutout(tmp_path / "a.fits"))


@given(
    flux=st.lists(st.floats(width=32), min_size=4, max_size=4),
    redshift=st.none() | st.floats(0, 1100),
    ra=st.floats(0, 360, exclude_max=True),
    dec=st.floats(-90, 90),
    meta=st.dictionaries(
        st.text(st.characters(codec="utf-8"), max_size=8),
        st.recursive(
            st.none()
            | st.booleans()
            | st.integers()
            | st.floats(allow_nan=False, allow_infinity=False)
            | st.text(),
            lambda inner: st.lists(inner, max_size=3),
            max_leaves=5,
        ),
        max_size=3,
    ),
)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_round_trip_of_any_values(tmp_path_factory, flux, redshift, ra, dec, meta):
    path = tmp_path_factory.mktemp("any") / "a.fits"
    values = np.array(flux, dtype=np.float32).reshape(1, 2, 2)
    cutout = Cutout(values, ("r",), position=SkyCoord(ra, dec, unit="deg"), redshift=redshift, meta=meta)
    save_cutout(cutout, path)
    with fits.open(path) as hdulist:  # save_cutout itself does not
        hdulist.verify("exception")
    if not np.isfinite(values).any():
        with pytest.raises(UnreadableImageError, match="all NaN"):
            load_cutout(path)
        return
    assert_same(cutout, load_cutout(path))


def test_layers_by_name():
    hdus = {hdu.name: hdu for hdu in cutout_hdus(a_cutout())}
    names = ["SCI_G", "SCI_R", "SCI_F160W", "MASK_G", "MASK_R", "MASK_F160W"]
    names += ["SIGMA_G", "SIGMA_R", "SIGMA_F160W", "PSF_G", "PSF_R", "PSF_F160W", "META"]
    assert list(hdus) == names
    assert hdus["MASK_F160W"].data.sum() == 2
    assert hdus["MASK_F160W"].header["MP_BAD"] == 0  # bit 0 of value 1
    assert {hdus[name].header["NBANDS"] for name in names[:3]} == {3}
    assert hdus["SCI_G"].header["BUNIT"] == "nJy"
    for name in names[:9]:  # every layer on the grid has the whole WCS
        header = hdus[name].header
        assert header["RADESYS"] == "ICRS"
        place = WCS(header).all_pix2world([[8, 6]], 0)
        np.testing.assert_allclose(place, a_cutout().wcs.all_pix2world([[8, 6]], 0), atol=1e-10)
    assert hdus["SCI_F160W"].header["BAND"] == "F160W"
    for unit, card in ((DISPLAY, "display"), (u.electron, "electron")):  # not FITS units
        header = cutout_hdus(a_cutout(unit=unit))[0].header
        assert "BUNIT" not in header
        assert header["GUNIT"] == card


def test_bands_are_chosen_from_our_files_with_all_their_planes(tmp_path):
    cutout = a_cutout()
    save_cutout(cutout, tmp_path / "a.fits")
    part = load_cutout(tmp_path / "a.fits", bands=("F160W", "g"), redshift=2.0)
    assert part.bands == ("F160W", "g")
    assert part.redshift == 2.0
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(part, name), getattr(cutout, name)[[2, 0]])


def test_one_layer_can_be_read_as_any_image(tmp_path):
    cutout = a_cutout()
    save_cutout(cutout, tmp_path / "a.fits")
    layers = Companions(mask="MASK", sigma="SIGMA")
    one = load_cutout(tmp_path / "a.fits", hdu="SCI", bands=("r",), companions=layers)
    assert (one.bands, one.unit) == (("r",), u.nJy)
    np.testing.assert_array_equal(one.flux[0], cutout.flux[1])
    np.testing.assert_array_equal(one.mask[0], cutout.mask[1] | ~np.isfinite(cutout.flux[1]))
    np.testing.assert_array_equal(
        one.sigma[0], np.where(np.isfinite(cutout.sigma[1]), cutout.sigma[1], np.nan)
    )


def test_one_file_a_band_of_ours(tmp_path):
    cutout = a_cutout()
    paths = []
    for i, band in enumerate(cutout.bands):
        one = dataclasses.replace(
            cutout, flux=cutout.flux[i], bands=(band,), mask=cutout.mask[i : i + 1],
            sigma=cutout.sigma[i], psf=cutout.psf[i],
        )  # fmt: skip
        paths.append(tmp_path / f"{band}.fits")
        save_cutout(one, paths[-1])
    assert_same(cutout, load_cutout(paths))


def test_compressed_files_of_ours_are_read_alike(tmp_path):
    import gzip

    save_cutout(a_cutout(), tmp_path / "a.fits")
    (tmp_path / "a.fits.gz").write_bytes(gzip.compress((tmp_path / "a.fits").read_bytes()))
    assert_same(a_cutout(), load_cutout(tmp_path / "a.fits.gz"))


def test_checksums_are_written_and_true(tmp_path):
    save_cutout(a_cutout(), tmp_path / "a.fits")
    with fits.open(tmp_path / "a.fits", checksum=True) as hdulist:  # a false one is a warning
        assert all(hdu.verify_checksum() == 1 for hdu in hdulist)


@pytest.mark.skipif(shutil.which("fitsverify") is None, reason="install fitsverify (Debian package)")
@pytest.mark.parametrize("variant", VARIANTS)
def test_fitsverify_is_content(tmp_path, variant):
    save_cutout(a_cutout(**VARIANTS[variant]), tmp_path / "a.fits")
    report = subprocess.run(
        ["fitsverify", str(tmp_path / "a.fits")], capture_output=True, text=True, check=False
    ).stdout
    assert "0 warning(s) and 0 error(s)" in report, report


def test_an_older_file_survives_what_cannot_be_written(tmp_path):
    path = tmp_path / "a.fits"
    save_cutout(a_cutout(), path)
    before = path.read_bytes()
    for bad, kind in (({"a": object()}, TypeError), ({"a": float("nan")}, ValueError)):
        with pytest.raises(kind, match="meta 'a' of numbers, text, lists and mappings"):
            save_cutout(a_cutout(meta=bad), path)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["a.fits"]


def test_arrays_of_meta_become_lists(tmp_path):
    save_cutout(a_cutout(meta={"a": np.arange(3), "b": np.float64(0.5)}), tmp_path / "a.fits")
    assert load_cutout(tmp_path / "a.fits").meta == {"a": [0, 1, 2], "b": 0.5}


def test_other_layers_are_passed_over():
    hdus = [fits.PrimaryHDU(), *cutout_hdus(a_cutout()), fits.ImageHDU(np.ones((7, 9)), name="SAL_SPIRAL_G")]
    assert_same(a_cutout(), cutout_from_hdus(hdus))


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda hdus: [hdu for hdu in hdus if not hdu.name.startswith("SCI")], "SCI_<BAND>"),
        (lambda hdus: hdus[1:], "3 layers named SCI_<BAND>"),
        (lambda hdus: [hdu for hdu in hdus if not hdu.name.endswith("_R")], "3 layers named SCI_<BAND>"),
        (lambda hdus: [hdu for hdu in hdus if hdu.name != "SIGMA_R"], "SIGMA_R"),
        (lambda hdus: [hdu for hdu in hdus if not hdu.name.startswith("MASK")], "MASK"),
        (lambda hdus: [hdus[0].header.set("GALCNN", 99), *hdus][1:], "Update galcnn"),
        (lambda hdus: [hdus[0].header.remove("BAND"), *hdus][1:], "BAND"),
        (lambda hdus: [hdus[0].header.remove("BUNIT"), *hdus][1:], "BUNIT"),
    ],
    ids=[
        "no image",
        "one image less",
        "one band less",
        "half of sigma",
        "no mask",
        "newer",
        "no band",
        "no unit",
    ],
)
def test_damaged_layouts_are_unreadable(spoil, said):
    with pytest.raises(UnreadableImageError, match=said):
        cutout_from_hdus(spoil(cutout_hdus(a_cutout())))


def test_files_without_the_number_of_bands_are_read():
    hdus = cutout_hdus(a_cutout())
    for hdu in hdus[:3]:
        del hdu.header["NBANDS"]
    assert_same(a_cutout(), cutout_from_hdus(hdus))


def test_cards_of_one_layer_are_its_own():
    hdus = cutout_hdus(a_cutout())
    hdus[0].header["CRVAL2"] = 45.0
    assert hdus[1].header["CRVAL2"] == pytest.approx(-0.123456789)


def test_a_changed_pixel_does_not_pass_unseen(tmp_path):
    path = tmp_path / "a.fits"
    save_cutout(a_cutout(), path)
    content = bytearray(path.read_bytes())
    with fits.open(path) as hdulist:
        start = hdulist["SIGMA"].fileinfo()["datLoc"]
    content[start + 41] ^= 1
    path.write_bytes(content)
    with pytest.raises(UnreadableImageError, match=r"match their checksum.*SIGMA"):
        load_cutout(path)


def test_layers_files_are_read_as_cutouts(tmp_path):
    """What galcnn.layers writes: the same layers among maps and tables, another primary header."""
    map_layer = fits.ImageHDU(np.ones((7, 9), np.float32), name="SAL_SPIRAL_G")
    table = fits.BinTableHDU.from_columns([fits.Column("ID", "2A", array=np.array(["x"]))], name="MORPHOLOGY")
    primary = fits.PrimaryHDU(header=fits.Header({"FILETYPE": "galcnn layers"}))
    fits.HDUList([primary, *cutout_hdus(a_cutout()), map_layer, table]).writeto(tmp_path / "a.fits")
    assert_same(a_cutout(), load_cutout(tmp_path / "a.fits"))


@pytest.mark.parametrize("variant", VARIANTS)
def test_files_have_one_hdu_a_role(tmp_path, variant):
    cutout = a_cutout(**VARIANTS[variant])
    save_cutout(cutout, tmp_path / "a.fits")
    with fits.open(tmp_path / "a.fits") as hdus:
        roles = ["SCI", "MASK", "SIGMA", "PSF", "META"]
        known = [True, True, cutout.sigma is not None, cutout.psf is not None, bool(cutout.meta)]
        assert [hdu.name for hdu in hdus[1:]] == [r for r, k in zip(roles, known, strict=True) if k]
        assert hdus[0].header["NEXTEND"] == len(hdus) - 1
        science = hdus["SCI"]
        assert science.header["GALCNN"] == 2
        assert science.data.shape == cutout.flux.shape
        assert science.data.astype("<f4").tobytes() == cutout.flux.tobytes()
        if cutout.wcs is not None:
            wcs = WCS(science.header)
            assert wcs.naxis == 3
            places = wcs.celestial.all_pix2world([[8, 6]], 0)
            np.testing.assert_allclose(places, cutout.wcs.all_pix2world([[8, 6]], 0), atol=1e-10)
            assert wcs.wcs_pix2world([[1, 1, 1]], 0)[0, 2] == 2, "the second band"


def test_files_of_layout_1_are_read(tmp_path):
    primary = fits.PrimaryHDU(header=fits.Header({"FILETYPE": "galcnn cutout"}))
    hdulist = fits.HDUList([primary, *cutout_hdus(a_cutout())])
    hdulist[0].header["NEXTEND"] = len(hdulist) - 1
    hdulist.writeto(tmp_path / "a.fits", checksum=True)
    assert_same(a_cutout(), load_cutout(tmp_path / "a.fits"))


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda hdus: hdus.pop(2), "MASK"),
        (lambda hdus: hdus["SCI"].header.set("NBANDS", 4), "cube SCI of 4 bands"),
        (lambda hdus: hdus["SCI"].header.remove("BAND2"), "BAND2"),
        (lambda hdus: setattr(hdus["SIGMA"], "data", hdus["SIGMA"].data[:2]), "sigma of shape"),
        (lambda hdus: hdus["SCI"].header.set("GALCNN", 3), "Update galcnn"),
    ],
    ids=["no mask", "one band less", "no band", "sigma of other bands", "newer"],
)
def test_damaged_files_of_layout_2_are_unreadable(tmp_path, spoil, said):
    save_cutout(a_cutout(), tmp_path / "a.fits")
    with fits.open(tmp_path / "a.fits", memmap=False) as hdulist:
        spoil(hdulist)
        hdulist[0].header["NEXTEND"] = len(hdulist) - 1
        hdulist.writeto(tmp_path / "b.fits", checksum=True)
    with pytest.raises(UnreadableImageError, match=said):
        load_cutout(tmp_path / "b.fits")


def test_a_file_without_one_of_its_hdus_is_unreadable(tmp_path):
    save_cutout(a_cutout(), tmp_path / "a.fits")
    raw = (tmp_path / "a.fits").read_bytes()
    with fits.open(tmp_path / "a.fits") as hdulist:
        start = hdulist["META"].fileinfo()["hdrLoc"]
    with pytest.raises(UnreadableImageError, match="NEXTEND"):
        load_cutout(raw[:start])
