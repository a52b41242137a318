"""Depth and PSF against a numerical sum of GalSim's Moffat profile."""

from dataclasses import replace

import astropy.units as u
import galsim
import numpy as np
import pytest

from galcnn.observing import SDSS, Observation

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
