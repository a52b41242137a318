"""Where a map lies: on the galaxy, its neighbours or the sky; inside the galaxy, on bulge, arms or disc."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from galcnn.cutout import Cutout
from galcnn.errors import message
from galcnn.transforms.background import sky_statistics

Mask = npt.NDArray[np.bool_]

#: A pixel is part of a source from so many deviations of the sky on, in groups of so many pixels.
_SIGMAS, _PIXELS = 3.0, 8
#: Share of a galaxy's light that its bulge region holds: within the radius r20 of the concentration index.
_BULGE = 0.2
#: An arm is brighter than the median at its radius by so many deviations of the sky, and by this share of it.
_ARM_SIGMAS, _ARM_SHARE = 2.0, 0.1
#: Width in pixels of the rings that the median is taken in.
_RING = 1.5


@dataclass(frozen=True, eq=False)
class Regions:
    """Parts of an image that do not overlap; masked pixels are in none.

    Attributes
    ----------
    galaxy : numpy.ndarray
        bool, shape (ny, nx): the source at the middle of the image.
    neighbours : numpy.ndarray
        Other sources.
    sky : numpy.ndarray
        The rest.
    """

    galaxy: Mask
    neighbours: Mask
    sky: Mask

    @property
    def labels(self) -> npt.NDArray[np.int32]:
        """Numbers for a segmentation, int32: 1 the galaxy, 2 its neighbours, 0 the rest."""
        return (self.galaxy + 2 * self.neighbours).astype(np.int32)


@dataclass(frozen=True, eq=False)
class Structure:
    """Parts of a galaxy that do not overlap; together they are the galaxy.

    Attributes
    ----------
    bulge : numpy.ndarray
        bool, shape (ny, nx): the inner ellipse that holds a fifth of the galaxy's light, whether a
        bulge shines there or not.
    arms : numpy.ndarray
        What is brighter than the median at its elliptical radius: arms, the ends of bars, clumps,
        and whatever else is not the same all around.
    disc : numpy.ndarray
        The rest.
    """

    bulge: Mask
    arms: Mask
    disc: Mask


def segmented(cutout: Cutout) -> Regions:
    """Part an image into the galaxy, its neighbours and the sky.

    Parameters
    ----------
    cutout : galcnn.cutout.Cutout
        Bands are summed. Sky level and noise are those of the pixels clipped at 3 sigma.

    Returns
    -------
    Regions
        The galaxy is the source on the central pixel, or the one nearest to it. Sources that
        touch are parted (photutils' deblending).

    Raises
    ------
    ValueError
        No source is found.
    """
    from photutils.segmentation import deblend_sources

    image, noise, bad = _light(cutout)
    found = _sources(image, max(_SIGMAS * noise, 1e-12), bad)
    if found is None:
        raise ValueError(message("a source in the image", "Is it blank?", noise=noise))
    parted = deblend_sources(image, found, _PIXELS, progress_bar=False).data
    middle = (np.array(parted.shape) - 1) / 2
    places = np.argwhere(parted > 0)
    nearest = places[np.argmin(((places - middle) ** 2).sum(axis=1))]
    galaxy = parted == parted[tuple(nearest)]
    neighbours = (parted > 0) & ~galaxy
    return Regions(galaxy, neighbours, ~(galaxy | neighbours | bad))


def structure(cutout: Cutout, regions: Regions) -> Structure:
    """Part a galaxy into bulge, arms and disc.

    The ellipse is that of the galaxy's second moments about its peak. Arms stand out of the median
    of rings of that shape (neighbours left out), as in residual images of galaxies less their
    axisymmetric part.

    Parameters
    ----------
    cutout : galcnn.cutout.Cutout
        Bands are summed.
    regions : Regions
        See `segmented`.

    Returns
    -------
    Structure
        Of the galaxy. Without arms the mask is empty.
    """
    image, noise, bad = _light(cutout)
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
    found = _sources(image - model, np.maximum(least, 1e-12), ~regions.galaxy | bulge)
    arms = np.zeros_like(bulge) if found is None else found.data > 0
    return Structure(bulge, arms, regions.galaxy & ~(bulge | arms))


def energy_shares(attribution: npt.NDArray[np.float32], regions: Regions | Structure) -> dict[str, float]:
    """Give the share of a map's energy on each part of the image, and how dense it is there.

    Parameters
    ----------
    attribution : numpy.ndarray
        Shape (n_bands, ny, nx), signed; NaN counts for nothing, and a pixel that has no value in
        any band is in no part.
    regions : Regions or Structure
        Of the same image.

    Returns
    -------
    dict of str to float
        ``galaxy``, ``neighbours`` and ``sky``, or ``bulge``, ``arms`` and ``disc``: shares of the
        sum of squares on all of these; and ``density_galaxy`` and so on, that share over the share
        of the pixels: 1 for a map that knows of nothing, NaN where there are no pixels.

    Raises
    ------
    ValueError
        The map has another grid, or is zero everywhere.
    """
    energy = np.nansum(np.asarray(attribution, dtype=np.float64) ** 2, axis=0)
    sides = next(iter(vars(regions).values())).shape
    if energy.shape != sides:
        raise ValueError(message(f"a map of {sides} pixels", "", shape=energy.shape))
    # A network that looks at the middle alone says nothing of the rest: that is no sky without energy.
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


def _light(cutout: Cutout) -> tuple[npt.NDArray[np.float64], float, Mask]:
    """Sum the bands, less the sky; the noise of the sum; and what is masked in any band."""
    bad: Mask = np.any(cutout.mask, axis=0)
    image = np.where(bad, 0.0, cutout.flux.sum(axis=0, dtype=np.float64))
    sky, noise = sky_statistics(image, bad, clip="std")
    return image - sky, float(noise), bad


def _sources(image: npt.NDArray[np.float64], threshold: Any, mask: Mask) -> Any:
    from photutils.segmentation import detect_sources
    from photutils.utils.exceptions import NoDetectionsWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NoDetectionsWarning)  # None says it
        return detect_sources(image, threshold, _PIXELS, mask=mask)


def _elliptical_radius(light: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Pixels from the peak, along the major axis of the second moments about it, shape (ny, nx)."""
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
