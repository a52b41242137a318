"""Bands: which input band saw the light that an observed band sees of the galaxy further away."""

from __future__ import annotations

import math
from collections.abc import Sequence

from galcnn.errors import message
from galcnn.observing import wavelength_of

__all__ = ["nearest_band", "rest_wavelength", "source_bands"]


def rest_wavelength(band: str, redshift: float) -> float:
    """Give the wavelength that a band sees in the frame of a galaxy.

    Parameters
    ----------
    band : str
        Known to `galcnn.observing.wavelength_of`.
    redshift : float
        Of the galaxy.

    Returns
    -------
    float
        nm.

    Examples
    --------
    >>> round(rest_wavelength("r", 0.3))
    481
    """
    return wavelength_of(band) / (1 + redshift)


def nearest_band(wanted: str, z_to: float, bands: Sequence[str], z_from: float) -> tuple[str, float]:
    """Find the input band whose rest-frame light is nearest to that of an observed band.

    Parameters
    ----------
    wanted : str
        Band of the observation.
    z_to : float
        Redshift there.
    bands : sequence of str
        Bands of the input.
    z_from : float
        Redshift here.

    Returns
    -------
    band : str
        Of the input.
    mismatch : float
        Its rest-frame wavelength over the wanted one, minus 1.

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
    """Find an input band for each band of an observation.

    Parameters
    ----------
    wanted : sequence of str
        Bands of the observation.
    z_to : float
        Redshift there.
    bands : sequence of str
        Bands of the input.
    z_from : float
        Redshift here.
    max_mismatch : float
        Largest relative difference of rest-frame wavelengths.

    Returns
    -------
    dict of str to tuple
        Observed band -> input band and mismatch.

    Raises
    ------
    ValueError
        No input band is near enough for one of them.
    """
    found = {band: nearest_band(band, z_to, bands, z_from) for band in wanted}
    far = {band: (near, round(off, 3)) for band, (near, off) in found.items() if abs(off) > max_mismatch}
    if far:
        raise ValueError(
            message(
                f"an input band within {max_mismatch:g} of the rest-frame wavelength of each observed band",
                "Choose other bands of the observation, fit spectra (bandpass='sed'), or allow more "
                "(max_mismatch).",
                nearest=far,
            )
        )
    return found
