"""Galaxies drawn by GalSim at a low redshift, to be moved, and at the high one, to be the judge."""

import astropy.units as u
import galsim
import numpy as np
import pytest
from astropy.coordinates import SkyCoord

from galcnn.cutout import Cutout
from galcnn.photometry import Observation
from galcnn.simulation import psf_planes
from galcnn.simulation.telescope import tangent_wcs

#: Where the galaxies come from: sharp, deep, well sampled.
NEAR = Observation("near", ("r",), 0.4 * u.arcsec, (1.0,), (27.0,), (300.0,))
#: And where they go to.
FAR = Observation("far", ("r",), 0.2 * u.arcsec, (0.8,), (26.0,), (20.0,))


def psf_of(observation):
    return galsim.Moffat(observation.psf_beta, fwhm=observation.psf_fwhm[0])


def drawn(profile, observation, shape, *, redshift=None, offset=(0.0, 0.0), sigma=1e-3):
    """A noiseless cutout of a GalSim profile seen by an observation, in one band."""
    scale = observation.pixel_scale.to_value(u.arcsec)
    image = galsim.Convolve(profile, psf_of(observation)).drawImage(
        nx=shape[1], ny=shape[0], scale=scale, method="no_pixel", offset=offset, dtype=float
    )
    position = SkyCoord(150 * u.deg, 2 * u.deg)
    middle = ((shape[1] - 1) / 2 + offset[0], (shape[0] - 1) / 2 + offset[1])
    return Cutout(
        image.array,
        observation.bands,
        wcs=tangent_wcs(position, middle, pixel_scale=observation.pixel_scale, shape=shape),
        position=position,
        sigma=np.full((1, *shape), sigma),
        psf=psf_planes(observation),
        redshift=redshift,
    )


def sersic(n, radius, *, flux=1e6):
    profile = galsim.Exponential(half_light_radius=radius) if n == 1 else galsim.Sersic(n, radius)
    return profile.shear(q=0.6, beta=30 * galsim.degrees) * flux


@pytest.fixture(scope="session")
def disc():
    """An inclined exponential disc at z = 0.05; off the middle, on an even grid."""
    return drawn(sersic(1, 4.0), NEAR, (256, 256), redshift=0.05, offset=(0.3, -0.4))
