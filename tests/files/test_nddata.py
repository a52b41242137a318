"""Cutout <-> CCDData and NDData: values, units, uncertainties, places on the sky."""

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.nddata import (
    CCDData,
    InverseVariance,
    NDData,
    StdDevUncertainty,
    UnknownUncertainty,
    VarianceUncertainty,
)
from astropy.wcs import WCS

from galcnn.cutout import Cutout
from galcnn.files import from_nddata, load_cutout, save_cutout, to_ccddata
from galcnn.photometry.units import UNCALIBRATED

FLUX = np.arange(30.0, dtype=np.float32).reshape(5, 6)


def test_a_real_cutout_there_and_back(real_data):
    """DES: flux, sigma, mask, WCS, position, band, survey, meta; and what astropy makes of its sky."""
    cutout = load_cutout(real_data / "fits/hostphot/DES_r.fits")
    image = to_ccddata(cutout)
    assert isinstance(image.uncertainty, StdDevUncertainty)
    assert image.unit == u.nJy
    raw = fits.getdata(real_data / "fits/hostphot/DES_r.fits", 0)
    np.testing.assert_allclose(image.data, raw * 3.631, rtol=1e-6)
    again = from_nddata(image)
    for name in ("flux", "sigma", "mask"):
        np.testing.assert_array_equal(getattr(again, name), getattr(cutout, name))
    assert (again.bands, again.survey, again.meta) == (cutout.bands, cutout.survey, cutout.meta)
    assert again.position.separation(cutout.position) < 1e-3 * u.mas
    assert image.wcs.pixel_to_world(7, 9).separation(cutout.wcs.pixel_to_world(7, 9)) < 1e-6 * u.mas


def test_one_image_a_band():
    psf = np.full((2, 3, 3), 1 / 9)
    cutout = Cutout(np.stack([FLUX, 2 * FLUX]), ("g", "r"), psf=psf, redshift=0.2, meta={"seed": 3})
    again = from_nddata([to_ccddata(cutout, band) for band in cutout.bands])
    np.testing.assert_array_equal(again.flux, cutout.flux)
    np.testing.assert_allclose(again.psf, psf, rtol=1e-6)
    assert (again.bands, again.redshift, again.meta) == (("g", "r"), 0.2, {"seed": 3})
    with pytest.raises(ValueError, match=r"a band among \('g', 'r'\)"):
        to_ccddata(cutout)
    with pytest.raises(ValueError, match="a band among"):
        to_ccddata(cutout, "z")


def test_what_is_given_is_a_copy():
    cutout = Cutout(FLUX, ("g",))
    image = to_ccddata(cutout)
    image.data[0, 0] = 99
    image.mask[0, 0] = True
    assert cutout.flux[0, 0, 0] == 0
    assert not cutout.mask.any()


@pytest.mark.parametrize(
    "uncertainty",
    [
        StdDevUncertainty(np.full(FLUX.shape, 2.0)),
        VarianceUncertainty(np.full(FLUX.shape, 4.0)),
        InverseVariance(np.full(FLUX.shape, 0.25)),
        StdDevUncertainty(np.full(FLUX.shape, 2e-3), unit=u.mJy),
    ],
)
def test_every_uncertainty_becomes_a_standard_deviation_in_njy(uncertainty):
    image = CCDData(FLUX, unit=u.uJy, uncertainty=uncertainty, mask=FLUX > 20)
    cutout = from_nddata(image, bands=("r",))
    np.testing.assert_allclose(cutout.flux[0], FLUX * 1e3, rtol=1e-6)
    np.testing.assert_allclose(cutout.sigma, np.full((1, *FLUX.shape), 2e3), rtol=1e-5)
    np.testing.assert_array_equal(cutout.mask[0], FLUX > 20)


def test_what_is_not_known_stays_so():
    image = NDData(FLUX, uncertainty=UnknownUncertainty(FLUX))
    cutout = from_nddata(image)
    assert (cutout.sigma, cutout.wcs, cutout.position, cutout.unit) == (None, None, None, UNCALIBRATED)
    assert cutout.bands == ("band1",)
    zero_weight = from_nddata(NDData(FLUX, unit=u.nJy, uncertainty=InverseVariance(np.zeros(FLUX.shape))))
    assert np.isnan(zero_weight.sigma).all()


def test_a_header_as_meta_calibrates_as_in_a_file(real_data):
    """The same zero point by astropy's reader and ours."""
    path = real_data / "services/panstarrs_fitscut/PS1_g.fits"
    with fits.open(path) as hdulist:
        header = hdulist[0].header
        image = CCDData(hdulist[0].data, unit=u.count, meta=header, wcs=load_cutout(path).wcs)
    cutout = from_nddata(image)
    np.testing.assert_allclose(cutout.flux, load_cutout(path).flux, rtol=1e-6)
    assert (cutout.bands, cutout.survey) == (("g",), "Pan-STARRS")


def test_surface_brightness_needs_pixels():
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.cdelt = ["RA---TAN", "DEC--TAN"], [-2 / 3600, 2 / 3600]
    cutout = from_nddata(CCDData(FLUX, unit=u.uJy / u.arcsec**2, wcs=wcs), bands=("r",))
    np.testing.assert_allclose(cutout.flux[0], FLUX * 4000, rtol=1e-6)
    assert cutout.pixel_scale.to_value(u.arcsec) == pytest.approx(2)


def test_cubes_and_what_does_not_fit_together():
    cube = from_nddata(NDData(np.stack([FLUX, FLUX]), unit=u.nJy, meta={"BANDS": "gr"}))
    assert cube.bands == ("g", "r")
    with pytest.raises(ValueError, match="one shape and one unit"):
        from_nddata([NDData(FLUX, unit=u.nJy), NDData(FLUX, unit=u.adu)], bands=("g", "r"))
    with pytest.raises(ValueError, match="one shape and one unit"):
        from_nddata([NDData(FLUX, unit=u.nJy), NDData(FLUX[1:], unit=u.nJy)], bands=("g", "r"))
    with pytest.raises(ValueError, match="an image of two axes"):
        from_nddata(NDData(FLUX[0], unit=u.nJy))
    with pytest.raises(ValueError, match="at least one image"):
        from_nddata([])


# astropy's own reading and writing ------------------------------------------------------------
def test_registered_with_astropy(real_data, tmp_path):
    image = CCDData.read(real_data / "fits/decals_gz/example_a.fits", format="galcnn", band="r")
    assert image.unit == u.nJy
    image.write(tmp_path / "r.fits", format="galcnn")
    cutout = load_cutout(tmp_path / "r.fits")
    assert cutout.bands == ("r",)
    np.testing.assert_array_equal(cutout.flux[0], image.data)
    with pytest.raises(OSError, match="a new file"):
        image.write(tmp_path / "r.fits", format="galcnn")
    image.write(tmp_path / "r.fits", format="galcnn", overwrite=True)


def test_ccddata_can_be_written_by_astropy_alone(tmp_path):
    cutout = Cutout(FLUX, ("g",), sigma=np.ones((1, 5, 6)), survey="SDSS", meta={"note": "x" * 100})
    to_ccddata(cutout).write(tmp_path / "a.fits")
    again = from_nddata(CCDData.read(tmp_path / "a.fits"))
    np.testing.assert_array_equal(again.flux, cutout.flux)
    np.testing.assert_array_equal(again.sigma, cutout.sigma)
    assert (again.bands, again.survey, again.meta) == (("g",), "SDSS", cutout.meta)
    # And such a file, of SCI, MASK and UNCERT, is one more kind that load_cutout reads.
    loaded = load_cutout(tmp_path / "a.fits")
    np.testing.assert_array_equal(loaded.sigma, cutout.sigma)
    assert loaded.unit == u.nJy
    save_cutout(loaded, tmp_path / "b.fits")
