"""Segmentation of a galaxy into bulge, arms and disc, and a map's energy on the parts of an image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from galcnn.cutout import Cutout
from galcnn.errors import message
from galcnn.transforms.segmentation import Mask, light_of, sources_in
from galcnn.transforms.segmentation import Regions as Regions
from galcnn.transforms.segmentation import segmented as segmented

#: Share of a galaxy's light inside its bulge region: the radius r20 of the concentration index.
_BULGE = 0.2
#: An arm exceeds the median at its radius by this many standard deviations of the sky, and by this share
#: of the median.
_ARM_SIGMAS, _ARM_SHARE = 2.0, 0.1
#: Width in pixels of the rings in which the median is taken.
_RING = 1.5


@dataclass(frozen=True, eq=False)
class Structure:
    """Masks of bulge, arms and disc; they do not overlap and together make up the galaxy.

    Attributes
    ----------
    bulge : numpy.ndarray
        Mask of the inner ellipse with a fifth of the galaxy's light, bool, shape (ny, nx). It is
        defined for galaxies without a bulge, too.
    arms : numpy.ndarray
        Mask of pixels brighter than the median at their elliptical radius, same shape: arms, ends of
        bars, clumps and other asymmetric features.
    disc : numpy.ndarray
        Mask of the remaining pixels of the galaxy, same shape.
    """

    bulge: Mask
    arms: Mask
    disc: Mask


def structure(cutout: Cutout, regions: Regions) -> Structure:
    """Segment a galaxy into bulge, arms and disc.

    The elliptical radius follows the second moments of the galaxy about its peak. Arms are detected
    in the residual image, after the median of each elliptical ring (without neighbours) is
    subtracted.

    Parameters
    ----------
    cutout : galcnn.cutout.Cutout
        Image; its bands are summed.
    regions : Regions
        Segmentation of the same image, from `segmented`.

    Returns
    -------
    Structure
        Masks of the three parts; that of the arms is empty if none are detected.
    """
    image, noise, bad = light_of(cutout)
    light = np.where(regions.galaxy, image, 0.0)
    radius = _elliptical_radius(light)
    order = np.argsort(radius, axis=None)
    grown = np.cumsum(light.ravel()[order])
    within = radius.ravel()[order][np.searchsorted(grown, _BULGE * grown[-1])]
    bulge = regions.galaxy & (radius <= within)
    usable = ~(regions.neighbours | bad)
    rings = np.floor(radius / _RING).astype(int)
    known = np.unique(rings[usable])
    medians = ndimage.median(image, np.where(usable, rings, -1), known)
    model = np.interp(radius, (known + 0.5) * _RING, medians)
    least = np.maximum(_ARM_SIGMAS * noise, _ARM_SHARE * model)
    found = sources_in(image - model, np.maximum(least, 1e-12), ~regions.galaxy | bulge)
    arms = np.zeros_like(bulge) if found is None else found.data > 0
    return Structure(bulge, arms, regions.galaxy & ~(bulge | arms))


def energy_shares(attribution: npt.NDArray[np.float32], regions: Regions | Structure) -> dict[str, float]:
    """Compute the share of a map's energy in each region, and its density there.

    Parameters
    ----------
    attribution : numpy.ndarray
        Signed map, shape (n_bands, ny, nx). NaN values are ignored; pixels that are NaN in every
        band are left out of all regions.
    regions : Regions or Structure
        Regions of the same image.

    Returns
    -------
    dict of str to float
        For each region (``galaxy``, ``neighbours`` and ``sky``, or ``bulge``, ``arms`` and
        ``disc``), its share of the sum of squares over all of them; and as ``density_<region>``,
        this share divided by the region's share of the pixels: about 1 for a map of random values,
        NaN for a region without pixels.

    Raises
    ------
    ValueError
        If the map has a different shape, or is zero in all regions.
    """
    energy = np.nansum(np.asarray(attribution, dtype=np.float64) ** 2, axis=0)
    sides = next(iter(vars(regions).values())).shape
    if energy.shape != sides:
        raise ValueError(message(f"a map of {sides} pixels", "", shape=energy.shape))
    # Pixels outside the field of view of the network are no sky with zero energy.
    known = ~np.all(np.isnan(attribution), axis=0)
    parts: dict[str, Mask] = {name: part & known for name, part in vars(regions).items()}
    total = sum(float(energy[part].sum()) for part in parts.values())
    if not total > 0:
        raise ValueError(message("a map that is not zero everywhere", "", total=total))
    pixels = sum(int(part.sum()) for part in parts.values())
    shares = {name: float(energy[part].sum()) / total for name, part in parts.items()}
    density = {
        f"density_{name}": shares[name] * pixels / int(part.sum()) if part.any() else float("nan")
        for name, part in parts.items()
    }
    return shares | density


def _elliptical_radius(light: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Elliptical radius of each pixel about the peak, in pixels along the major axis, shape (ny, nx)."""
    smooth = ndimage.gaussian_filter(light, 1.0)
    y0, x0 = np.unravel_index(np.argmax(smooth), light.shape)
    near = smooth[max(y0 - 2, 0) : y0 + 3, max(x0 - 2, 0) : x0 + 3]
    above, left = ndimage.center_of_mass(near)
    y, x = np.indices(light.shape, dtype=np.float64)
    y, x = y - (max(y0 - 2, 0) + above), x - (max(x0 - 2, 0) + left)
    weights = np.clip(light, 0, None)
    moments = np.array(
        [
            [np.sum(weights * x * x), np.sum(weights * x * y)],
            [np.sum(weights * x * y), np.sum(weights * y * y)],
        ]
    )
    sizes, axes = np.linalg.eigh(moments / weights.sum())
    minor, major = np.tensordot(axes.T, np.stack([x, y]), axes=1)
    ratio = np.sqrt(max(sizes[1] / max(sizes[0], 1e-12), 1.0))
    radius: npt.NDArray[np.float64] = np.hypot(major, minor * ratio)
    return radius
