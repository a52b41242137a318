"""Isophotes of a galaxy: contours at fractions of its light above the sky."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from galcnn.transforms.background import sky_statistics

#: Levels as fractions of the light above the sky, up to this percentile; and the faintest level drawn, in
#: standard deviations of the sky.
_LIGHT, _BRIGHT, _FAINTEST = (0.05, 0.25), 99.8, 1.0


#: Smallest area of an isophote in pixels.
_LEAST = 16.0


#: Sigma in pixels of the Gaussian that smooths an image.
_SMOOTHING = 1.0


class Isophote(NamedTuple):
    """Contour around light.

    Attributes
    ----------
    share : float
        Level as a fraction of the light above the sky.
    level : float
        Level in the unit of the image.
    points : numpy.ndarray
        Shape (n, 2), as (y, x); the first point is repeated at the end of a closed line.
    """

    share: float
    level: float
    points: npt.NDArray[np.float64]


def isophotes(image: npt.NDArray[np.float64], known: npt.NDArray[np.bool_]) -> list[Isophote]:
    """Return the isophotes of an image, without those around a minimum or around a few pixels of noise."""
    from scipy.ndimage import gaussian_filter
    from skimage.measure import find_contours

    if min(image.shape) < 2 or not known.any():
        return []
    sky, noise = sky_statistics(image, ~known, clip="std")
    smooth = gaussian_filter(np.where(known, image, sky), _SMOOTHING)
    light = float(np.percentile(smooth[known], _BRIGHT) - sky)
    return [
        Isophote(share, float(sky + share * light), line)
        for share in _LIGHT
        if share * light > _FAINTEST * noise
        for line in find_contours(smooth, float(sky + share * light), mask=known)
        if _around_light(line)
    ]


def _around_light(line: npt.NDArray[np.float64]) -> bool:
    """Return False for a closed line around lower values, which turns the other way, or around few pixels."""
    y, x = (line - line[0]).T
    area = float(np.sum(x[:-1] * y[1:] - x[1:] * y[:-1])) / 2
    return area > _LEAST or not (line[0] == line[-1]).all()
