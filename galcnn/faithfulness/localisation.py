"""Localisation of a map on the galaxy: the pointing game (Zhang et al. 2016), and energy density."""

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
    """Play the pointing game: test whether the peak of each map lies on its galaxy, beyond chance.

    Parameters
    ----------
    maps : numpy.ndarray
        Attribution maps, shape (n, ny, nx, n_bands).
    regions : tuple of galcnn.evaluation.Regions or None
        Regions of each galaxy.

    Returns
    -------
    numpy.ndarray
        Values of shape (n,): 1 if the peak of the absolute map is on the galaxy, else
        ``-share / (1 - share)``, where ``share`` is the galaxy's share of the pixels with a value. The
        mean is 0 for random peaks and 1 if all peaks are on the galaxy. NaN for galaxies without
        regions, constant maps, and galaxies that fill the image.
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
    """Measure the energy density of each map on its galaxy.

    Parameters
    ----------
    maps : numpy.ndarray
        Attribution maps, shape (n, ny, nx, n_bands).
    regions : tuple of galcnn.evaluation.Regions or None
        Regions of each galaxy.

    Returns
    -------
    numpy.ndarray
        The value ``density_galaxy`` of `galcnn.evaluation.energy_shares`, shape (n,): about 1 for a
        map of random values. NaN for galaxies without regions and for maps that are zero everywhere.
    """
    found = np.full(len(maps), np.nan)
    for i, (planes, region) in enumerate(zip(planes_from(maps), regions, strict=True)):
        if region is not None and np.any(planes[~np.isnan(planes)]):
            found[i] = energy_shares(planes, region)["density_galaxy"]
    return found


def half_light(cutout: Cutout, regions: Regions | None) -> Regions | None:
    """Return regions whose galaxy is the circle with half of the Kron flux; None if it is not measurable."""
    from photutils.segmentation import SegmentationImage, SourceCatalog

    if regions is None:
        return None
    bad = cutout.mask.any(axis=0)
    image = np.where(bad, 0.0, cutout.flux.sum(axis=0, dtype=np.float64))
    image -= sky_statistics(image, ~regions.sky)[0]
    segment = SegmentationImage(regions.galaxy.astype(int))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # apertures beyond the image: the radius is then not finite
        source = SourceCatalog(image, segment, mask=bad | regions.neighbours)
        radius = float(np.asarray(source.fluxfrac_radius(0.5).value).squeeze())
        x, y = (float(np.asarray(value).squeeze()) for value in (source.xcentroid, source.ycentroid))
    if not np.isfinite([radius, x, y]).all():
        return None
    rows, columns = np.indices(image.shape)
    inside = np.asarray(((rows - y) ** 2 + (columns - x) ** 2 <= max(radius, 1.0) ** 2) & ~bad)
    return Regions(inside, regions.neighbours & ~inside, ~inside & ~regions.neighbours & ~bad)
