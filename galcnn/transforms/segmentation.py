"""Segmentation of an image into the galaxy at its centre, its neighbours and the sky."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from galcnn.cutout import Cutout
from galcnn.errors import message
from galcnn.transforms.background import sky_statistics

Mask = npt.NDArray[np.bool_]

#: Detection threshold in standard deviations of the sky, and minimum number of connected pixels.
_SIGMAS, _PIXELS = 3.0, 8


@dataclass(frozen=True, eq=False)
class Regions:
    """Masks of the galaxy, its neighbours and the sky; they do not overlap and leave out masked pixels.

    Attributes
    ----------
    galaxy : numpy.ndarray
        Mask of the source at the centre of the image, bool, shape (ny, nx).
    neighbours : numpy.ndarray
        Mask of all other sources, same shape.
    sky : numpy.ndarray
        Mask of the remaining pixels, same shape.
    """

    galaxy: Mask
    neighbours: Mask
    sky: Mask

    @property
    def labels(self) -> npt.NDArray[np.int32]:
        """Segmentation image, int32: 1 for the galaxy, 2 for its neighbours, 0 elsewhere."""
        return (self.galaxy + 2 * self.neighbours).astype(np.int32)


def segmented(cutout: Cutout, *, contrast: float = 0.001) -> Regions:
    """Segment an image into the galaxy, its neighbours and the sky.

    Parameters
    ----------
    cutout : galcnn.cutout.Cutout
        Image; its bands are summed. Sky level and noise are measured with 3 sigma clipping.
    contrast : float
        Smallest share of the flux of sources that touch at which a part of them is a source of its own, see
        `photutils.segmentation.deblend_sources`. With a larger one, clumps of a galaxy stay parts of it.

    Returns
    -------
    Regions
        The galaxy is the source at the central pixel, or the one nearest to it. Sources that touch
        are deblended by photutils.

    Raises
    ------
    ValueError
        If no source is found.
    """
    from photutils.segmentation import deblend_sources

    image, noise, bad = light_of(cutout)
    found = sources_in(image, max(_SIGMAS * noise, 1e-12), bad)
    if found is None:
        raise ValueError(message("a source in the image", "Is it blank?", noise=noise))
    parted = deblend_sources(image, found, _PIXELS, contrast=contrast, progress_bar=False).data
    middle = (np.array(parted.shape) - 1) / 2
    places = np.argwhere(parted > 0)
    nearest = places[np.argmin(((places - middle) ** 2).sum(axis=1))]
    galaxy = parted == parted[tuple(nearest)]
    neighbours = (parted > 0) & ~galaxy
    return Regions(galaxy, neighbours, ~(galaxy | neighbours | bad))


def light_of(cutout: Cutout) -> tuple[npt.NDArray[np.float64], float, Mask]:
    """Return the sky-subtracted sum of the bands, its noise, and the mask of any band."""
    bad: Mask = np.any(cutout.mask, axis=0)
    image = np.where(bad, 0.0, cutout.flux.sum(axis=0, dtype=np.float64))
    sky, noise = sky_statistics(image, bad, clip="std")
    return image - sky, float(noise), bad


def sources_in(image: npt.NDArray[np.float64], threshold: Any, mask: Mask) -> Any:
    from photutils.segmentation import detect_sources
    from photutils.utils.exceptions import NoDetectionsWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NoDetectionsWarning)  # None is returned instead
        return detect_sources(image, threshold, _PIXELS, mask=mask)
