"""Cutout: checks itself, says what is wrong, and never changes under its owner."""

import dataclasses

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.wcs import WCS
from astropy.wcs.utils import proj_plane_pixel_area

from galcnn.cutout import Cutout
from galcnn.photometry import DISPLAY
from galcnn.photometry.units import NANOMAGGY, UNCALIBRATED

FLUX = np.arange(24.0).reshape(2, 3, 4)


def a_wcs(**fields):
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.cdelt = [-1e-4, 1e-4]
    for name, value in fields.items():
        setattr(wcs.wcs, name, value)
    return wcs


def test_what_is_given_is_held():
    cutout = Cutout(FLUX, ("g", "r"), sigma=FLUX + 1, redshift=0.1)
    np.testing.assert_array_equal(cutout.flux, FLUX.astype(np.float32))
    assert cutout.flux.dtype == np.float32
    assert cutout.shape == (3, 4)
    assert cutout.unit == u.nJy
    assert cutout.pixel_scale is None
    assert cutout.masked_fraction == 0


def test_big_endian_becomes_native():
    cutout = Cutout(FLUX.astype(">f4"), ("g", "r"))
    assert cutout.flux.dtype.isnative
    np.testing.assert_array_equal(cutout.flux, FLUX)


def test_one_plane_is_one_band():
    assert Cutout(FLUX[0], "r").flux.shape == (1, 3, 4)


def test_nan_is_masked_whatever_the_mask_says():
    flux = FLUX.copy()
    flux[0, 0, 0], flux[1, 2, 3] = np.nan, -np.inf
    cutout = Cutout(flux, ("g", "r"), mask=np.eye(3, 4, dtype=bool))
    expected = np.stack([np.eye(3, 4, dtype=bool)] * 2)
    expected[1, 2, 3] = True
    np.testing.assert_array_equal(cutout.mask, expected)
    assert cutout.masked_fraction == pytest.approx(7 / 24)


def test_arrays_cannot_be_changed():
    cutout = Cutout(FLUX, ("g", "r"), sigma=FLUX + 1)
    for array in (cutout.flux, cutout.mask, cutout.sigma):
        with pytest.raises(ValueError, match="read-only"):
            array[0, 0, 0] = 1
    with pytest.raises(dataclasses.FrozenInstanceError):
        cutout.survey = "other"
    own = np.ones((1, 2, 2), np.float32)
    Cutout(own, ("r",))
    own[0, 0, 0] = 5  # the caller's own array stays his


def test_meta_is_a_copy():
    meta = {"a": 1}
    cutout = Cutout(FLUX, ("g", "r"), meta=meta)
    meta["a"] = 2
    assert cutout.meta == {"a": 1}


@pytest.mark.parametrize(
    ("unit", "calibrated"),
    [(u.nJy, True), (u.Jy, True), (NANOMAGGY, True), (DISPLAY, False), (UNCALIBRATED, False), (u.adu, False),
     (u.MJy / u.sr, False), ("uJy", True)],
)  # fmt: skip
def test_calibrated_means_flux_density(unit, calibrated):
    assert Cutout(FLUX, ("g", "r"), unit=unit).calibrated is calibrated


@pytest.mark.parametrize(
    "fields",
    [{}, {"cdelt": [1e-4, 1e-4]}, {"cd": [[0, 2e-4], [1e-4, 0]]},
     {"cdelt": [-1, 1], "cunit": ["arcsec", "arcsec"]}, {"pc": [[0.8, -0.6], [0.6, 0.8]]}],
    ids=["plain", "mirrored", "oblong", "arcsec", "turned"],
)  # fmt: skip
def test_pixel_scale_is_the_root_of_the_area(fields):
    wcs = a_wcs(**fields)
    expected = np.sqrt(proj_plane_pixel_area(wcs)) * 3600
    assert Cutout(FLUX, ("g", "r"), wcs).pixel_scale.to_value("arcsec") == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("fields", "error", "said"),
    [
        ({"bands": ("g",)}, ValueError, "one unique name for each plane"),
        ({"bands": ("g", "g")}, ValueError, "one unique name"),
        ({"bands": ("g", "")}, ValueError, "one unique name"),
        ({"flux": np.ones(3)}, ValueError, "Put the bands first"),
        ({"flux": np.ones((2, 0, 4))}, ValueError, "Put the bands first"),
        ({"flux": FLUX * 1j}, TypeError, "real numbers"),
        ({"mask": np.ones((3, 4))}, TypeError, "a bool mask"),
        ({"mask": np.ones((3, 3), bool)}, ValueError, "a mask of shape"),
        ({"sigma": FLUX[0]}, ValueError, "sigma of shape"),
        ({"sigma": -FLUX - 1}, ValueError, "sigma >= 0"),
        ({"psf": np.ones((2, 3, 3))}, ValueError, "sum 1"),
        ({"psf": np.ones((1, 1, 1))}, ValueError, "2 PSF planes"),
        ({"redshift": np.nan}, ValueError, "finite redshift"),
        ({"position": SkyCoord([1, 2], [3, 4], unit="deg")}, ValueError, "one sky position"),
        ({"wcs": WCS(naxis=2)}, ValueError, "celestial WCS"),
        ({"wcs": WCS(naxis=3)}, ValueError, "celestial WCS"),
    ],
)
def test_what_does_not_fit_is_named(fields, error, said):
    with pytest.raises(error, match=said):
        Cutout(**({"flux": FLUX, "bands": ("g", "r")} | fields))


def test_a_wcs_for_other_pixels_is_refused():
    wcs = a_wcs()
    wcs.array_shape = (4, 3)
    with pytest.raises(ValueError, match="Slice the WCS"):
        Cutout(FLUX, ("g", "r"), wcs)
