"""Bandpass shift: use the input band nearest in rest-frame wavelength, or spectra fitted to the colours.

Spectra are mixtures of the four templates of Coleman, Wu & Weedman (1980) that GalSim ships, fitted pixel
by pixel. Each pixel keeps the flux of the input band nearest in rest-frame wavelength, times the ratio
predicted by the spectra that fit its colours. This ratio is never negative and leaves the sky unchanged.
Where a pixel's colours are uncertain, those of the whole galaxy are used.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from galcnn.cutout import Cutout
from galcnn.errors import message
from galcnn.photometry import Observation
from galcnn.photometry.instruments import wavelength_of
from galcnn.redshifting.psf_matching import Matched, matched
from galcnn.simulation.spectra import SEDS, band_flux
from galcnn.transforms.grid import stacked_psfs

_Array = npt.NDArray[np.float64]

#: Mixtures have steps of 1 / _STEPS of the rest-frame r-band flux.
_STEPS = 6
#: Relative error of the fluxes predicted by the templates.
_TEMPLATE_ERROR = 0.03
#: Standard deviation of ln(flux ratio) of the pixels of a galaxy about its mean colours.
_COLOUR_SCATTER = 0.3
#: Relative distance by which a wavelength may lie beyond the effective wavelengths of the input.
_MARGIN = 0.05
_LEAST_BANDS = 3


def shifted(
    cutout: Cutout,
    z_to: float,
    magnification: float,
    *,
    observation: Observation,
    shape: tuple[int, int] | None,
    fill: Literal["refuse", "mask", "sky"],
    seed: int,
) -> tuple[Matched, dict[str, float]]:
    """Match a galaxy to the grid and PSF of an observation, and predict its bands at another redshift."""
    z_from = cutout.redshift
    assert z_from is not None  # for the type checker: redshift() has checked it
    _check_range(cutout, z_from, z_to, observation)
    results, errors = [], {}
    for band in observation.bands:
        there = _seen_alike(observation.only((band,)), cutout.bands)
        step = matched(cutout, magnification, observation=there, shape=shape, fill=fill, seed=seed)
        source, _ = nearest_band(band, z_to, cutout.bands, z_from)
        ratio, doubt = _ratios(step.cutout, band, source, (z_from, z_to))
        row = cutout.bands.index(source)
        results.append(_one_band(step, row, band, ratio, doubt))
        errors[band] = _total_doubt(step.cutout, row, ratio, doubt)
    planes = [one.cutout for one in results]
    sigmas = [plane.sigma for plane in planes if plane.sigma is not None]
    joined = replace(
        planes[0],
        flux=np.concatenate([plane.flux for plane in planes]),
        bands=observation.bands,
        mask=np.concatenate([plane.mask for plane in planes]),
        sigma=np.concatenate(sigmas) if len(sigmas) == len(planes) else None,
        psf=stacked_psfs([plane.psf for plane in planes]),
    )
    residual = tuple(value for one in results for value in one.residual)
    return Matched(joined, tuple(one.griddings[0] for one in results), residual), errors


def _check_range(cutout: Cutout, z_from: float, z_to: float, observation: Observation) -> None:
    if len(cutout.bands) < _LEAST_BANDS:
        raise ValueError(
            message(
                f"at least {_LEAST_BANDS} bands to fit spectra to",
                "Use bandpass='nearest'.",
                bands=cutout.bands,
            )
        )
    held = [rest_wavelength(band, z_from) for band in cutout.bands]
    low, high = min(held) * (1 - _MARGIN), max(held) * (1 + _MARGIN)
    beyond = {
        band: round(rest_wavelength(band, z_to))
        for band in observation.bands
        if not low <= rest_wavelength(band, z_to) <= high
    }
    if beyond:
        raise ValueError(
            message(
                f"rest-frame wavelengths between {low:.0f} and {high:.0f} nm, which the input holds",
                "Choose other bands of the observation, or another redshift.",
                wanted_nm=beyond,
            )
        )


def _seen_alike(observation: Observation, bands: tuple[str, ...]) -> Observation:
    """Return an observation with one PSF for all input bands, since colours need equal PSFs."""
    n = len(bands)
    return replace(
        observation,
        bands=bands,
        psf_fwhm=observation.psf_fwhm * n,
        depth=observation.depth * n,
        electrons_per_njy=observation.electrons_per_njy * n,
    )


def _ratios(step: Cutout, band: str, source: str, redshifts: tuple[float, float]) -> tuple[_Array, _Array]:
    """Return mean and standard deviation, over fitting spectra, of the flux ratio of band and source."""
    spectra = _mixtures(step.bands, redshifts[0])
    wanted = _mixtures((band,), redshifts[1])[:, 0]
    ratios = wanted / spectra[:, step.bands.index(source)]
    flux = np.where(step.mask, 0.0, step.flux).astype(np.float64)
    noise = _TEMPLATE_ERROR * np.abs(flux)
    noise = np.hypot(noise, noise.max() * 1e-3 if step.sigma is None else np.nan_to_num(step.sigma))
    weight = 1 / np.where(step.mask | (noise == 0), np.inf, noise) ** 2
    # chi^2 at the best amplitude of each spectrum, up to a constant common to all spectra.
    projection = np.einsum("tb,byx->tyx", spectra, weight * flux)
    norm = np.einsum("tb,byx->tyx", spectra**2, weight)
    gain = np.where(norm > 0, np.clip(projection, 0, None) ** 2 / np.where(norm > 0, norm, 1), 0)
    logs = gain / 2 + _prior(spectra, flux, weight)[:, np.newaxis, np.newaxis]
    chance = np.exp(logs - logs.max(axis=0))
    chance /= chance.sum(axis=0)
    mean = np.einsum("t,tyx->yx", ratios, chance)
    square = np.einsum("t,tyx->yx", ratios**2, chance)
    return mean, np.sqrt(np.clip(square - mean**2, 0, None))


def _prior(spectra: _Array, flux: _Array, weight: _Array) -> _Array:
    """Return the log prior of each spectrum, from the colours of the whole galaxy."""
    bright = (flux * np.sqrt(weight)).min(axis=0) > 3
    if not bright.any():
        return np.zeros(len(spectra))
    total = flux[:, bright].sum(axis=1)
    off = np.log(spectra) - np.log(total)
    off -= off.mean(axis=1, keepdims=True)
    prior: _Array = -0.5 * (off**2).sum(axis=1) / _COLOUR_SCATTER**2
    return prior


def _one_band(step: Matched, row: int, band: str, ratio: _Array, doubt: _Array) -> Matched:
    own = step.cutout.planes([row], [band])
    sigma = None
    if own.sigma is not None:
        sigma = np.hypot(own.sigma * ratio, own.flux * doubt).astype(np.float32)
    plane = replace(own, flux=(own.flux * ratio).astype(np.float32), sigma=sigma)
    return Matched(plane, step.griddings[row : row + 1], step.residual[row : row + 1])


def _total_doubt(step: Cutout, row: int, ratio: _Array, doubt: _Array) -> float:
    flux = np.where(step.mask[row], 0, np.clip(step.flux[row], 0, None)).astype(np.float64)
    total = float((flux * ratio).sum())
    return float((flux * doubt).sum()) / total if total > 0 else float("nan")


@functools.lru_cache(maxsize=64)
def _shares() -> _Array:
    """Return all mixtures of the spectra as shares of the rest-frame r-band flux, shape (n, n_spectra)."""
    steps = itertools.product(range(_STEPS + 1), repeat=len(SEDS))
    return np.array([step for step in steps if sum(step) == _STEPS]) / _STEPS


@functools.lru_cache(maxsize=256)
def _mixtures(bands: tuple[str, ...], redshift: float) -> _Array:
    fluxes = np.array([[band_flux(sed, band, redshift) for band in bands] for sed in SEDS])
    mixed: _Array = _shares() @ fluxes
    return mixed


def rest_wavelength(band: str, redshift: float) -> float:
    """Return the rest-frame wavelength of a band.

    Parameters
    ----------
    band : str
        Band, known to `galcnn.photometry.instruments.wavelength_of`.
    redshift : float
        Redshift of the galaxy.

    Returns
    -------
    float
        Effective wavelength of the band over (1 + redshift), nm.

    Examples
    --------
    >>> round(rest_wavelength("r", 0.3))
    481
    """
    return wavelength_of(band) / (1 + redshift)


def nearest_band(wanted: str, z_to: float, bands: Sequence[str], z_from: float) -> tuple[str, float]:
    """Return the input band nearest in rest-frame wavelength to an observed band.

    Parameters
    ----------
    wanted : str
        Band of the observation.
    z_to : float
        Redshift at which the galaxy is observed.
    bands : sequence of str
        Bands of the input.
    z_from : float
        Redshift of the galaxy in the input.

    Returns
    -------
    band : str
        Input band.
    mismatch : float
        Rest-frame wavelength of the input band over that of `wanted`, minus 1.

    Examples
    --------
    >>> band, mismatch = nearest_band("i", 0.3, ("g", "r", "i"), 0.02)
    >>> band, round(mismatch, 2)
    ('r', 0.05)
    """
    goal = rest_wavelength(wanted, z_to)
    ratios = {band: rest_wavelength(band, z_from) / goal for band in bands}
    best = min(ratios, key=lambda band: abs(math.log(ratios[band])))
    return best, ratios[best] - 1


def source_bands(
    wanted: Sequence[str], z_to: float, bands: Sequence[str], z_from: float, max_mismatch: float
) -> dict[str, tuple[str, float]]:
    """Return the nearest input band and its mismatch for each observed band; raise an error if too large."""
    found = {band: nearest_band(band, z_to, bands, z_from) for band in wanted}
    far = {band: (near, round(off, 3)) for band, (near, off) in found.items() if abs(off) > max_mismatch}
    if far:
        raise ValueError(
            message(
                f"an input band within {max_mismatch:g} of the rest-frame wavelength of each observed band",
                "Choose other bands of the observation, fit spectra (bandpass='sed'), or allow more "
                "(max_mismatch=...).",
                nearest=far,
            )
        )
    return found
