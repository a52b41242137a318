"""Noise beside an image: whatever a map holds becomes a standard deviation, or is refused."""

from __future__ import annotations

from typing import Any

import astropy.units as u
import numpy as np
import numpy.typing as npt
from astropy.io import fits

from galcnn.errors import UnreadableImageError, message
from galcnn.files.calibration import flux_unit

__all__ = ["NOISE_ROLES", "noise_factor", "refuse_no_mask", "refuse_other_roles", "standard_deviation"]

#: What of a noise map's meanings (`galcnn.files.roles.role_of`) is taken for a standard deviation.
NOISE_ROLES = ("sigma", "variance", "inverse variance", "image")


def refuse_other_roles(role: str, name: str) -> None:
    """Refuse a map that is no noise.

    Parameters
    ----------
    role : str
        What the map holds, see `galcnn.files.roles.role_of`.
    name : str
        Of its HDU.

    Raises
    ------
    galcnn.errors.UnreadableImageError
        It holds weights without a scale, a mask, a PSF ...
    """
    if role not in NOISE_ROLES:
        raise UnreadableImageError(
            message(
                "a standard deviation, variance or inverse variance",
                "Turn it into a standard deviation first.",
                hdu=name,
                kind=role,
            )
        )


def refuse_no_mask(role: str, name: str) -> None:
    """Refuse a map that is known to be no mask: most pixels of a weight map are not 0, and good.

    Parameters
    ----------
    role : str
        What the map holds, see `galcnn.files.roles.role_of`.
    name : str
        Of its HDU.

    Raises
    ------
    galcnn.errors.UnreadableImageError
        It holds noise, weights or a PSF.
    """
    if role not in ("mask", "image", "other"):
        raise UnreadableImageError(
            message(
                "a mask", "A map of weights or noise also says which pixels are bad.", hdu=name, kind=role
            )
        )


def noise_factor(header: fits.Header, role: str, unit: u.UnitBase) -> float | None:
    """Give the factor of a standard deviation that states its own unit.

    Parameters
    ----------
    header : astropy.io.fits.Header
        Of the noise map.
    role : str
        What it holds.
    unit : astropy.units.UnitBase
        Of the image.

    Returns
    -------
    float or None
        None where that of the image holds.
    """
    if role in ("variance", "inverse variance"):
        return None
    own = flux_unit(header)
    return own.factor if own is not None and unit == own.unit else None


def standard_deviation(
    noise: npt.NDArray[Any], role: str, factor: float | npt.NDArray[np.float64]
) -> npt.NDArray[np.float32]:
    """Turn the numbers of a noise map into the standard deviation of each pixel.

    Parameters
    ----------
    noise : numpy.ndarray
        As in the file.
    role : str
        ``variance``, ``inverse variance``, or else a standard deviation.
    factor : float or numpy.ndarray
        From numbers of the image to its unit.

    Returns
    -------
    numpy.ndarray
        float32; NaN where unknown: a variance below 0, an inverse variance that is not above 0,
        and a negative standard deviation, which is how some pipelines write "unknown".
    """
    values = noise.astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        if role == "variance":
            values = np.sqrt(values)
        elif role == "inverse variance":
            values = np.where(values > 0, 1 / np.sqrt(values), np.nan)
        values = values * factor
    known = np.where(np.isfinite(values) & (values >= 0), values, np.nan)
    return known.astype(np.float32)
