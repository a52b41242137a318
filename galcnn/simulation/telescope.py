"""Noise, PSF and WCS of simulated observations, and the observation of the built-in survey."""

from __future__ import annotations

from collections.abc import Sequence

import astropy.units as u
import numpy as np
import numpy.typing as npt
from astropy.coordinates import SkyCoord
from astropy.wcs import WCS

from galcnn._runtime import seeding
from galcnn.photometry import Observation, observation_of
from galcnn.simulation.spectra import galsim

#: Observation of the built-in survey. It is invented; the PSF is the same in each band, as in a
#: PSF-matched coadd.
SIMULATED = Observation(
    name="simulated",
    bands=("g", "r", "i"),
    pixel_scale=0.4 * u.arcsec,
    psf_fwhm=(1.0, 1.0, 1.0),
    depth=(23.2, 22.8, 22.4),
    electrons_per_njy=(1.0, 1.0, 0.8),
    source="invented for galcnn's simulated survey",
)


def telescope_of(name: str) -> Observation:
    """Return the observation of a telescope by name.

    Parameters
    ----------
    name : str
        ``simulated``, or a name known to `galcnn.photometry.observation_of`.

    Returns
    -------
    galcnn.photometry.Observation
        Bands, pixel scale, PSF and depth.

    Raises
    ------
    ValueError
        If there is no such telescope; the text lists the known ones.
    """
    return SIMULATED if name.lower() == SIMULATED.name else observation_of(name)


def add_noise(
    model: npt.NDArray[np.float64], *, observation: Observation, seed: int, key: str
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Add sky and source noise to a noiseless image; return flux and sigma."""
    sky = np.array(observation.sky_sigma)[:, None, None]
    electrons = np.array(observation.electrons_per_njy)[:, None, None]
    sigma = np.sqrt(sky**2 + np.clip(model, 0, None) / electrons)
    unit = [
        seeding.generator(seed, "noise", key, band).standard_normal(model.shape[1:])
        for band in observation.bands
    ]
    return (model + sigma * np.stack(unit)).astype(np.float32), sigma.astype(np.float32)


def psf_planes(observation: Observation) -> npt.NDArray[np.float32]:
    """Draw the PSF of each band.

    Parameters
    ----------
    observation : galcnn.photometry.Observation
        Observation with PSF and pixel scale.

    Returns
    -------
    numpy.ndarray
        PSFs, float32, shape (n_bands, side, side), each with sum 1; `side` is odd and about eight times the
        broadest FWHM.
    """
    gs = galsim()
    scale = float(observation.pixel_scale.to_value(u.arcsec))
    side = 2 * int(np.ceil(4 * max(observation.psf_fwhm) / scale)) + 1
    planes = []
    for fwhm in observation.psf_fwhm:
        psf = gs.Moffat(observation.psf_beta, fwhm=fwhm)
        plane = psf.drawImage(nx=side, ny=side, scale=scale, method="no_pixel", dtype=float).array
        planes.append(plane / plane.sum())
    return np.stack(planes).astype(np.float32)


def tangent_wcs(
    position: SkyCoord, centre: tuple[float, float], *, pixel_scale: u.Quantity, shape: Sequence[int]
) -> WCS:
    """Make a gnomonic ICRS WCS, north up, east left, with `position` at pixel `centre` (x, y)."""
    wcs = WCS(naxis=2)
    step = float(pixel_scale.to_value(u.deg))
    icrs = position.icrs
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.radesys = "ICRS"
    wcs.wcs.cunit = ["deg", "deg"]
    wcs.wcs.crval = [icrs.ra.deg, icrs.dec.deg]
    wcs.wcs.crpix = [centre[0] + 1, centre[1] + 1]
    wcs.wcs.cdelt = [-step, step]
    wcs.array_shape = tuple(int(side) for side in shape)
    return wcs
