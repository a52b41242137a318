"""Depth and PSF against a numerical sum of GalSim's Moffat profile."""

from dataclasses import replace

import astropy.units as u
import galsim
import numpy as np
import pytest
from astropy.io import fits

from galcnn.photometry import Observation, observation_of
from galcnn.photometry.instruments import SDSS, under_sky, wavelength_of

TOY = Observation("toy", ("g", "r"), 0.2 * u.arcsec, (0.8, 0.7), (25.0, 24.5), (10.0, 8.0))


@pytest.mark.parametrize(("scale", "fwhm", "beta"), [(0.2, 0.8, 3.5), (0.1, 0.7, 2.5), (0.396, 1.32, 3.5)])
def test_sky_sigma_makes_the_depth_five_sigma(scale, fwhm, beta):
    observation = Observation("x", ("r",), scale * u.arcsec, (fwhm,), (24.0,), (1.0,), psf_beta=beta)
    psf = galsim.Moffat(beta, fwhm=fwhm)
    image = psf.drawImage(nx=401, ny=401, scale=scale, method="no_pixel", dtype=float).array
    # Matched-filter signal to noise of a point source behind this PSF.
    flux = 3631e9 * 10 ** (-0.4 * 24.0)
    snr = flux * np.sqrt((image**2).sum()) / observation.sky_sigma[0]
    assert snr == pytest.approx(5.0, rel=2e-3)


def test_deeper_by_one_magnitude_is_less_noise_by_ten_to_the_0_4():
    deeper = replace(TOY, depth=(26.0, 25.5))
    np.testing.assert_allclose(np.array(TOY.sky_sigma) / deeper.sky_sigma, 10**0.4)


def test_some_bands_keep_their_own_figures():
    only = TOY.only(("r",))
    assert only == replace(TOY, bands=("r",), psf_fwhm=(0.7,), depth=(24.5,), electrons_per_njy=(8.0,))
    assert TOY.only(("r", "g")).depth == (24.5, 25.0)
    for bands in (("z",), (), ("r", "r")):
        with pytest.raises(ValueError, match="bands"):
            TOY.only(bands)


def test_the_sky_of_sdss_agrees_with_its_measured_brightness():
    # Median sky in r of 20.86 mag/arcsec^2 (SDSS DR9, image quality), and 5 electrons read noise.
    r = SDSS.bands.index("r")
    electrons = 3631e9 * 10 ** (-0.4 * 20.86) * 0.396**2 * SDSS.electrons_per_njy[r]
    sigma = np.sqrt(electrons + 5**2) / SDSS.electrons_per_njy[r]
    assert SDSS.sky_sigma[r] == pytest.approx(sigma, rel=0.1)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"pixel_scale": 0 * u.arcsec}, "positive angle"),
        ({"pixel_scale": 0.2 * u.m}, "positive angle"),
        ({"pixel_scale": 0.2}, "positive angle"),
        ({"depth": (25.0,)}, "2 finite values of depth"),
        ({"depth": (25.0, float("nan"))}, "2 finite values of depth"),
        ({"psf_fwhm": (0.8, 0.0)}, "psf_fwhm > 0"),
        ({"electrons_per_njy": (1.0, -1.0)}, "electrons_per_njy > 0"),
        ({"psf_beta": 1.0}, "psf_beta > 1"),
        ({"psf_beta": float("nan")}, "psf_beta > 1"),
        ({"bands": ("g", "g")}, "unique"),
    ],
)
def test_figures_that_make_no_sense_are_refused(change, word):
    with pytest.raises(ValueError, match=word):
        replace(TOY, **change)


def test_the_depths_of_the_presets_are_the_published_ones():
    """DECaLS: DR9 gives 24.7, 23.9, 23.0. LSST: 27.4, 27.5, 26.8 at the zenith, shallower at airmass 1.2."""
    decals, lsst = observation_of("DECaLS"), observation_of("lsst")
    assert decals.depth == pytest.approx((24.7, 23.9, 23.0), abs=0.05)
    assert lsst.only(("g", "r", "i")).depth == pytest.approx((27.4, 27.5, 26.8), abs=0.4)
    dark = {"g": (1.43, 21.84, 25.73, 54.1), "r": (1.32, 20.84, 25.62, 54.1), "i": (1.25, 20.16, 25.28, 54.1)}
    sdss = under_sky("SDSS DR17", dark, pixel_scale=SDSS.pixel_scale)
    assert pytest.approx(sdss.sky_sigma, rel=0.2) == SDSS.sky_sigma


@pytest.mark.parametrize(("band", "letter"), [("F160W", "h"), ("F125W", "j")])
def test_hsts_infrared_noise_is_that_of_candels(real_data, band, letter):
    """Per native pixel: a drizzled mosaic hides noise in the correlation of its pixels."""
    path = real_data / "fits" / "hst_candels" / "wide2_3550" / f"GDS_wide2_3550_{letter}.fits"
    pixels = fits.getdata(path).astype(float)
    blocks = pixels[:84, :84].reshape(21, 4, 21, 4).sum(axis=(1, 3))  # 0.24 arcsec: correlation summed over
    scatter = 1.4826 * np.median(np.abs(blocks - np.median(blocks)))
    zero_point = {"F160W": 25.96, "F125W": 26.25}[band]
    njy = scatter * 10 ** (-0.4 * (zero_point - 31.4))
    wfc3 = observation_of("hst-wfc3")
    want = wfc3.sky_sigma[wfc3.bands.index(band)] * 4
    assert 0.5 < njy / want < 2


def test_under_sky_is_photon_noise():
    """Sky electrons in one pixel, their square root, in nJy."""
    toy = under_sky("toy", {"r": (0.8, 21.0, 28.0, 100.0)}, pixel_scale=0.2 * u.arcsec)
    electrons = 10 ** (0.4 * (28.0 - 21.0)) * 100 * 0.04
    njy = 10 ** (0.4 * (28.0 - 31.4)) * 100
    assert toy.electrons_per_njy[0] == pytest.approx(njy, rel=1e-3)
    assert toy.sky_sigma[0] == pytest.approx(np.sqrt(electrons) / njy, rel=1e-3)


def test_a_preset_of_another_name_is_refused_with_the_nearest():
    with pytest.raises(ValueError, match="Did you mean 'euclid'"):
        observation_of("eucild")
    with pytest.raises(ValueError, match="band='K'"):
        wavelength_of("K")
