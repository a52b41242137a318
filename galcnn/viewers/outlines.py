"""Contours of layers as lines on the sky: the files that DS9 and its like load."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from astropy.wcs import WCS

from galcnn.transforms.background import sky_statistics
from galcnn.viewers.contents import Layer, Window

__all__ = ["Outline", "contour_text", "outlines", "region_text"]

#: Shares of the greatest absolute value of a map.
_SHARES = (-0.75, -0.5, -0.25, 0.25, 0.5, 0.75)
#: Shares of the light of an image, up to this percentile, above its sky; and the faintest that is
#: drawn, in deviations of the sky.
_LIGHT, _BRIGHT, _FAINTEST = (0.05, 0.25), 99.8, 1.0
#: Pixels of the Gaussian over which an image is smoothed.
_SMOOTHING = 1.0


@dataclass(frozen=True, eq=False)
class Outline:
    """A line of one value.

    Attributes
    ----------
    level : float
        The value.
    points : numpy.ndarray
        Shape (n, 2), as (x, y) in pixels from 0 of the layer; the first again at the end of a
        closed line.
    """

    level: float
    points: npt.NDArray[np.float64]


def outlines(layer: Layer, window: Window = (slice(None), slice(None))) -> tuple[Outline, ...]:
    """Draw the contours of a layer.

    Parameters
    ----------
    layer : Layer
        Of a map: at 1/4, 1/2 and 3/4 of its greatest absolute value, on both sides of zero. Of an
        image: at 5 and 25 % of its light (to the 99.8th percentile) above its sky, smoothed over a
        pixel.
    window : tuple of slice
        The part that is looked at; all by default.

    Returns
    -------
    tuple of Outline
        None where there is nothing to draw.
    """
    from skimage.measure import find_contours

    part = layer.data[window].astype(np.float64)
    known = np.isfinite(part)
    if min(part.shape) < 2 or not known.any():
        return ()
    if layer.role == "science":
        part, levels = _isophotes(part, known)
    else:
        peak = float(np.abs(part[known]).max())
        levels = tuple(share * peak for share in _SHARES) if peak > 0 else ()
    corner = np.array([window[1].start or 0, window[0].start or 0])
    return tuple(
        Outline(level, line[:, ::-1] + corner)
        for level in levels
        for line in find_contours(part, level, mask=known)
    )


def contour_text(lines: Sequence[Outline], wcs: WCS | None, *, color: str = "green") -> str:
    """Write contours as DS9 saves its own (``.ctr``).

    Parameters
    ----------
    lines : sequence of Outline
        Of one layer.
    wcs : astropy.wcs.WCS or None
        Of the layer; without one they count pixels.
    color : str
        A colour that DS9 knows.

    Returns
    -------
    str
        Content of the file.
    """
    head = ["# Contour file format: DS9 version 7.5"]
    head += [f"global color={color} width=1 dash=no dashlist=8 3", "image" if wcs is None else "icrs"]
    body = []
    for line in lines:
        points = "\n".join(f" {x:.13g} {y:.13g}" for x, y in _placed(line.points, wcs))
        body.append(f"level={line.level:.9g}\n(\n{points}\n)")
    return "\n".join([*head, *body]) + "\n"


def region_text(lines: Sequence[Outline], wcs: WCS | None, *, color: str = "green") -> str:
    """Write contours as regions (``.reg``): polygons, and segments where they end at an edge.

    Parameters
    ----------
    lines : sequence of Outline
        Of one layer.
    wcs : astropy.wcs.WCS or None
        Of the layer; without one they count pixels.
    color : str
        A colour that DS9 knows.

    Returns
    -------
    str
        Content of the file, for DS9 and the package regions.
    """
    rows = ["# Region file format: DS9 version 4.1", f"global color={color} width=1"]
    rows.append("image" if wcs is None else "icrs")
    for line in lines:
        closed = len(line.points) > 3 and bool((line.points[0] == line.points[-1]).all())
        points = _placed(line.points[:-1] if closed else line.points, wcs)
        numbers = ",".join(f"{value:.13g}" for value in points.ravel())
        shape = "polygon" if closed else "# segment"
        rows.append(f"{shape}({numbers}){' # ' if closed else ' '}text={{{line.level:.4g}}}")
    return "\n".join(rows) + "\n"


def _placed(points: npt.NDArray[np.float64], wcs: WCS | None) -> npt.NDArray[np.float64]:
    """As they stand in a file: degrees of ICRS, or pixels from 1."""
    if wcs is None:
        return points + 1
    sky = wcs.pixel_to_world(points[:, 0], points[:, 1]).icrs
    return np.stack([sky.ra.deg, sky.dec.deg], axis=1)


def _isophotes(
    part: npt.NDArray[np.float64], known: npt.NDArray[np.bool_]
) -> tuple[npt.NDArray[np.float64], tuple[float, ...]]:
    from scipy.ndimage import gaussian_filter

    sky, noise = sky_statistics(part, ~known, clip="std")
    smooth = gaussian_filter(np.where(known, part, sky), _SMOOTHING)
    light = float(np.percentile(smooth[known], _BRIGHT) - sky)
    return smooth, tuple(float(sky + share * light) for share in _LIGHT if share * light > _FAINTEST * noise)
