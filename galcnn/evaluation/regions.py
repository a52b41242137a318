"""Where a map lies: on the galaxy, on its neighbours, or on the sky."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from galcnn.cutout import Cutout
from galcnn.errors import message

__all__ = ["Regions", "energy_shares", "segmented"]

Mask = npt.NDArray[np.bool_]

#: A pixel is part of a source from so many deviations of the sky on, in groups of so many pixels.
_SIGMAS, _PIXELS = 3.0, 8


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


def segmented(cutout: Cutout) -> Regions:
    """Part an image into the galaxy, its neighbours and the sky.

    Parameters
    ----------
    cutout : galcnn.cutout.Cutout
        Bands are summed. Sky level and noise are measured by photutils, sources masked.

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
    from astropy.stats import sigma_clipped_stats
    from photutils.segmentation import deblend_sources, detect_sources
    from photutils.utils.exceptions import NoDetectionsWarning

    bad = cutout.mask.any(axis=0)
    image = np.where(bad, 0.0, cutout.flux.sum(axis=0, dtype=np.float64))
    _, sky, noise = sigma_clipped_stats(image[~bad], sigma=3.0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NoDetectionsWarning)  # said below, as an error
        found = detect_sources(image - sky, max(_SIGMAS * noise, 1e-12), _PIXELS, mask=bad)
    if found is None:
        raise ValueError(message("a source in the image", "Is it blank?", noise=float(noise)))
    parted = deblend_sources(image - sky, found, _PIXELS, progress_bar=False).data
    middle = (np.array(parted.shape) - 1) / 2
    places = np.argwhere(parted > 0)
    nearest = places[np.argmin(((places - middle) ** 2).sum(axis=1))]
    galaxy = parted == parted[tuple(nearest)]
    neighbours = (parted > 0) & ~galaxy
    return Regions(galaxy, neighbours, ~(galaxy | neighbours | bad))


def energy_shares(attribution: npt.NDArray[np.float32], regions: Regions) -> dict[str, float]:
    """Give the share of a map's energy on each part of the image, and how dense it is there.

    Parameters
    ----------
    attribution : numpy.ndarray
        Shape (n_bands, ny, nx), signed; NaN counts for nothing.
    regions : Regions
        Of the same image.

    Returns
    -------
    dict of str to float
        ``galaxy``, ``neighbours`` and ``sky``: shares of the sum of squares; and ``density_galaxy``
        and so on, that share over the share of the pixels: 1 for a map that knows of nothing, NaN
        where there are no pixels.

    Raises
    ------
    ValueError
        The map has another grid, or is zero everywhere.
    """
    energy = np.nansum(np.asarray(attribution, dtype=np.float64) ** 2, axis=0)
    parts = {"galaxy": regions.galaxy, "neighbours": regions.neighbours, "sky": regions.sky}
    if energy.shape != regions.galaxy.shape:
        raise ValueError(message(f"a map of {regions.galaxy.shape} pixels", "", shape=energy.shape))
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
