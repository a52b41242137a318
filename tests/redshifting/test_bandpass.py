"""Bandpass shift against galaxies whose every component is drawn at its own redshifted spectrum.

The judge is `model_image`, whose spectra are those of the fit: its figures are the method's own
errors, not those of spectra that real galaxies have and the templates lack.
"""

from dataclasses import replace

import astropy.units as u
import numpy as np
import pytest

from galcnn.photometry import Observation
from galcnn.redshifting import Redshifting, redshift
from galcnn.redshifting.bandpass import nearest_band, rest_wavelength
from galcnn.simulation import SIMULATED, draw, from_catalog, simulate_catalog
from galcnn.simulation.drawing import model_image

THREE = replace(SIMULATED, depth=(27.0,) * 3, electrons_per_njy=(300.0,) * 3)
THERE = Observation("there", ("r", "i"), 0.2 * u.arcsec, (0.8, 0.8), (26.5, 26.0), (50.0, 50.0))
SED = Redshifting(bandpass="sed", noise="none")


@pytest.fixture(scope="module")
def galaxies():
    return [galaxy.at(0.05) for galaxy in from_catalog(simulate_catalog(18, seed=9))]


def errors(galaxies, z_to, settings):
    """Of flux in each band, of the peak, and the claimed one."""
    rows = []
    for galaxy in galaxies:
        side = int(np.clip(galaxy.half_light_radius * 25, 128, 360))
        near = draw(galaxy, seed=1, shape=(side, side), observation=THREE)
        far = redshift(near, z_to, observation=THERE, settings=settings)
        place = tuple(float(v) for v in far.wcs.world_to_pixel(near.position))
        truth = model_image(galaxy.at(z_to), observation=THERE, shape=far.shape, centre=place)
        flux = far.flux.sum(axis=(1, 2), dtype=float) / truth.sum(axis=(1, 2)) - 1
        peak = np.abs(far.flux - truth).max(axis=(1, 2)) / truth.max(axis=(1, 2))
        claimed = list(far.meta["redshifting"][-1]["bandpass_error"].values())
        rows.append([flux, peak, claimed or [0, 0]])
    return np.abs(np.array(rows))


@pytest.mark.parametrize("z_to", [0.15, 0.3])
def test_fluxes_are_those_of_the_redshifted_spectra(galaxies, z_to):
    fitted = errors(galaxies, z_to, SED)
    nearest = errors(galaxies, z_to, Redshifting(noise="none", max_mismatch=1))
    assert np.median(fitted[:, 0]) < 0.01
    assert fitted[:, 0].max() < 0.03
    assert np.median(fitted[:, 1]) < 0.02
    assert np.median(fitted[:, 0]) < 0.3 * np.median(nearest[:, 0])
    assert np.all(fitted[:, 0] < 5 * fitted[:, 2] + 0.01), "the claimed error is of the size of the true one"


def test_the_sky_stays_unbiased(galaxies):
    """A fit that cannot be negative would lift noise above zero."""
    near = draw(galaxies[0], seed=1, shape=(200, 200), observation=SIMULATED)
    noise = np.random.default_rng(0).normal(0, 1, near.flux.shape) * near.sigma.min()
    sky = replace(near, flux=noise, sigma=np.full(near.flux.shape, near.sigma.min()))
    far = redshift(sky, 0.2, observation=THERE, settings=SED)
    for plane in far.flux:
        assert abs(plane.mean()) < 4 * plane.std() / np.sqrt(plane.size / 12), "12 pixels to a PSF"


def test_noise_is_that_of_the_sigma(galaxies):
    near = draw(galaxies[1], seed=1, shape=(128, 128), observation=THREE)
    quiet = draw(galaxies[1], seed=1, shape=(128, 128), observation=THREE, noise=False)
    far, plain = (redshift(one, 0.2, observation=THERE, settings=SED) for one in (near, quiet))
    pull = (far.flux - plain.flux) / far.sigma
    assert 0.5 < pull.std() < 1.2


def test_wavelengths_that_the_input_does_not_hold_are_refused(galaxies):
    near = draw(galaxies[0], seed=1, shape=(128, 128), observation=THREE)
    g = replace(THERE.only(("r",)), bands=("g",))
    with pytest.raises(ValueError, match=r"rest-frame wavelengths between \d+ and \d+ nm"):
        redshift(near, 0.3, observation=g, settings=SED)
    two = replace(near, flux=near.flux[:2], bands=("g", "r"), mask=None, sigma=None, psf=near.psf[:2])
    with pytest.raises(ValueError, match="at least 3 bands"):
        redshift(two, 0.3, observation=THERE, settings=SED)


def test_the_nearest_band_is_the_one_that_saw_the_same_light():
    assert rest_wavelength("r", 0.25) == pytest.approx(500.0)
    # i at z = 0.21 is r at z = 0.
    assert nearest_band("i", 756.5 / 625.0 - 1, ("u", "g", "r", "i"), 1e-9) == (
        "r",
        pytest.approx(0, abs=1e-6),
    )


def test_a_band_too_far_off_is_refused_and_named(galaxies):
    near = draw(galaxies[0], seed=1, shape=(128, 128), observation=THREE)
    with pytest.raises(ValueError, match=r"bandpass='sed'.*|nearest=\{'r'"):
        redshift(near, 0.14, observation=THERE, settings=Redshifting(noise="none", max_mismatch=0.05))


def test_bands_without_a_wavelength_are_refused(galaxies):
    near = replace(draw(galaxies[0], seed=1, shape=(128, 128), observation=THREE), bands=("a", "b", "c"))
    with pytest.raises(ValueError, match="Rename the bands"):
        redshift(near, 0.14, observation=THERE)
