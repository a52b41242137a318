"""The Petrosian radius of a galaxy, by which the pictures of Galaxy Zoo are scaled."""

from __future__ import annotations

import astropy.units as u
import numpy as np
import numpy.typing as npt
from photutils.aperture import EllipticalAperture

from galcnn.cutout import Cutout
from galcnn.errors import UnfitImageError, message
from galcnn.transforms.grid import pixel_sides
from galcnn.transforms.segmentation import segmented

#: Petrosian ratio at the Petrosian radius, and outer radius of the ring in which the surface brightness is
#: measured, in units of the radius; the inner one is its inverse (Blanton et al. 2001, AJ 121, 2358).
RATIO, _RING = 0.2, 1.25
#: Number of radii between r and 1.25 r.
_STEPS = 4
#: A part of touching sources with less than this share of their flux belongs to the galaxy: clumps and arms.
_CONTRAST = 0.05


def petrosian_radius(cutout: Cutout, band: str | None = None) -> u.Quantity:
    """Measure the Petrosian radius of the galaxy at the centre of a cutout, as SDSS defines it.

    It is the smallest radius at which the mean surface brightness in the ring from 0.8 to 1.25 radii is a
    fifth of that within the radius (Petrosian 1976, ApJ 209, L1; Blanton et al. 2001, AJ 121, 2358; Yasuda
    et al. 2001, AJ 122, 1104). Light is summed in circles on the sky by photutils, to fractions of a pixel,
    about the centroid of the galaxy; other sources and masked pixels are left out.

    Parameters
    ----------
    cutout : galcnn.cutout.Cutout
        Cutout with the sky removed.
    band : str, optional
        Band; by default the sum of all.

    Returns
    -------
    astropy.units.Quantity
        Radius in arcsec; in pixels if the cutout has no WCS.

    Raises
    ------
    galcnn.errors.UnfitImageError
        If the field is too small, or the galaxy too faint, to measure it.
    ValueError
        If no source is found, or there is no such band.

    Examples
    --------
    The ratio of an exponential disc of scale length h is 0.2 at 3.55 h:

    >>> import numpy as np
    >>> y, x = np.indices((101, 101)) - 50
    >>> disc = np.exp(-np.hypot(y, x) / 8)
    >>> round(float(petrosian_radius(Cutout(disc, ("r",))).value / 8), 2)
    3.55
    """
    if band is not None and band not in cutout.bands:
        raise ValueError(message(f"one of the bands {', '.join(cutout.bands)}", "", band=band))
    rows = slice(None) if band is None else [cutout.bands.index(band)]
    regions = segmented(cutout, contrast=_CONTRAST)
    left_out = cutout.mask[rows].any(axis=0) | regions.neighbours
    light = np.where(left_out, 0.0, cutout.flux[rows].sum(axis=0, dtype=np.float64))
    weights = np.where(regions.galaxy & ~left_out, light, 0.0).clip(0)
    y, x = (float((weights * at).sum() / weights.sum()) for at in np.indices(light.shape))
    sides = (1.0, 1.0) if cutout.wcs is None else pixel_sides(cutout)
    edge = min(
        (min(y, light.shape[0] - 1 - y) + 0.5) * sides[0], (min(x, light.shape[1] - 1 - x) + 0.5) * sides[1]
    )
    step = _RING ** (1 / _STEPS)
    first = max(sides)
    radii = first * step ** np.arange(max(0, int(np.log(edge / first) / np.log(step))) + 1)
    apertures = [EllipticalAperture((x, y), r / sides[1], r / sides[0]) for r in radii]
    flux = np.array([float(one.do_photometry(light, method="exact")[0][0]) for one in apertures])
    usable = (~left_out).astype(np.float64)
    area = np.array([float(one.do_photometry(usable, method="exact")[0][0]) for one in apertures])
    found = _crossing(radii, flux, area)
    if found is None:
        unit = "pixels" if cutout.wcs is None else "arcsec"
        raise UnfitImageError(
            message(
                "a galaxy whose Petrosian radius can be measured within the image",
                "Use an image of a wider field, with the sky removed.",
                largest_radius=f"{edge / _RING:.1f} {unit}",
            )
        )
    return found * (u.pix if cutout.wcs is None else u.arcsec)


def _crossing(
    radii: npt.NDArray[np.float64], flux: npt.NDArray[np.float64], area: npt.NDArray[np.float64]
) -> float | None:
    """Return the radius at which the Petrosian ratio first falls below its limit, or None."""
    inner, middle, outer = slice(None, -2 * _STEPS), slice(_STEPS, -_STEPS), slice(2 * _STEPS, None)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = (flux[outer] - flux[inner]) / (area[outer] - area[inner]) / (flux[middle] / area[middle])
    below = np.flatnonzero((ratio < RATIO) & (flux[middle] > 0))
    if not len(below) or below[0] == 0 or not np.isfinite(ratio[below[0] - 1]):
        return None
    last = int(below[0])
    part = (ratio[last - 1] - RATIO) / (ratio[last - 1] - ratio[last])
    logs = np.log(radii[middle])
    return float(np.exp(logs[last - 1] + part * (logs[last] - logs[last - 1])))
