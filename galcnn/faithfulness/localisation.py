"""Does a map lie on the galaxy? The pointing game (Zhang et al. 2016), and energy by region."""

from __future__ import annotations

import warnings

import numpy as np
import numpy.typing as npt

from galcnn.cutout import Cutout
from galcnn.evaluation import Regions, energy_shares
from galcnn.faithfulness.parameter_randomisation import folded
from galcnn.model import planes_from
from galcnn.transforms.background import sky_statistics

_Values = npt.NDArray[np.float64]
_Maps = npt.NDArray[np.float32]
_Regions = tuple[Regions | None, ...]


def pointing(maps: _Maps, regions: _Regions) -> _Values:
    """Ask whether the peak of each map lies on its galaxy, by more than chance.

    Parameters
    ----------
    maps : numpy.ndarray
        Shape (n, ny, nx, n_bands).
    regions : tuple of galcnn.evaluation.Regions or None
        Of each galaxy.

    Returns
    -------
    numpy.ndarray
        Shape (n,): 1 where the peak of the absolute map is on the galaxy, else
        ``-share / (1 - share)`` with the galaxy's share of the pixels that have a value, so that the
        mean is 0 for peaks at random and 1 for peaks that always hit. NaN where nothing can be said.
    """
    found = np.full(len(maps), np.nan)
    for i, (map_, region) in enumerate(zip(folded(maps, signed=False), regions, strict=True)):
        known = ~np.isnan(map_)
        if region is None or not known.any() or np.ptp(map_[known]) == 0:
            continue
        share = float(region.galaxy[known].mean())
        hit = float(region.galaxy.flat[int(np.nanargmax(map_))])
        found[i] = (hit - share) / (1 - share) if share < 1 else np.nan
    return found


def energy_density(maps: _Maps, regions: _Regions) -> _Values:
    """Measure how dense the squares of each map are on its galaxy.

    Parameters
    ----------
    maps : numpy.ndarray
        Shape (n, ny, nx, n_bands).
    regions : tuple of galcnn.evaluation.Regions or None
        Of each galaxy.

    Returns
    -------
    numpy.ndarray
        Shape (n,): see `galcnn.evaluation.energy_shares`; 1 for a map that knows of nothing. NaN
        where nothing can be said.
    """
    found = np.full(len(maps), np.nan)
    for i, (planes, region) in enumerate(zip(planes_from(maps), regions, strict=True)):
        if region is not None and np.any(planes[~np.isnan(planes)]):
            found[i] = energy_shares(planes, region)["density_galaxy"]
    return found


def half_light(cutout: Cutout, regions: Regions | None) -> Regions | None:
    """Part an image into the circle that holds half of the galaxy's Kron flux, and the rest."""
    from photutils.segmentation import SegmentationImage, SourceCatalog

    if regions is None:
        return None
    bad = cutout.mask.any(axis=0)
    image = np.where(bad, 0.0, cutout.flux.sum(axis=0, dtype=np.float64))
    image -= sky_statistics(image, ~regions.sky)[0]
    segment = SegmentationImage(regions.galaxy.astype(int))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of apertures beyond the image: their radius is not finite
        source = SourceCatalog(image, segment, mask=bad | regions.neighbours)
        radius = float(np.asarray(source.fluxfrac_radius(0.5).value).squeeze())
        x, y = (float(np.asarray(value).squeeze()) for value in (source.xcentroid, source.ycentroid))
    if not np.isfinite([radius, x, y]).all():
        return None
    rows, columns = np.indices(image.shape)
    inside = np.asarray(((rows - y) ** 2 + (columns - x) ** 2 <= max(radius, 1.0) ** 2) & ~bad)
    return Regions(inside, regions.neighbours & ~inside, ~inside & ~regions.neighbours & ~bad)
