"""Pixel positions of galaxies on a mosaic, and the boxes to cut around them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import astropy.units as u
import numpy as np
import numpy.typing as npt
from astropy.wcs import WCS
from astropy.wcs.utils import wcs_to_celestial_frame

from galcnn.cutout import LARGEST_SIDE
from galcnn.errors import message
from galcnn.transforms.grid import pixel_degrees

if TYPE_CHECKING:
    from astropy.coordinates import SkyCoord


#: Pixel positions are valid if the WCS maps them back to the sky position within this many pixels.
_RETURN = 0.1

_STEPS = 30

#: Relative difference of pixel scales, and cosine of the angle of a pixel, that are neglected: the
#: tolerance of a network, `galcnn.model.inputs.SCALE_TOLERANCE`.
_SAME_SCALE = 0.02


def pixel_positions(
    positions: SkyCoord, wcs: WCS, shape: tuple[int, int]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the pixel (x, y) of each position, distortions included; NaN if it is not on the mosaic."""
    x, y = np.full((2, len(positions)), np.nan)
    ny, nx = shape
    frame = wcs_to_celestial_frame(wcs)
    sky = positions.transform_to(frame).spherical
    lon, lat = sky.lon.to_value(u.deg), sky.lat.to_value(u.deg)
    edge = np.array([[i, j] for i in np.linspace(0, nx - 1, 9) for j in (0, ny - 1)])
    edge = np.concatenate([edge, [[i, j] for i in (0, nx - 1) for j in np.linspace(0, ny - 1, 9)]])
    middle = _unit(*_lonlat(wcs, np.array([[(nx - 1) / 2, (ny - 1) / 2]])))[0]
    reach = np.min(_unit(*_lonlat(wcs, edge)) @ middle)
    # A tenth more, since edges are curved between the points.
    near = np.flatnonzero(_unit(lon, lat) @ middle > np.cos(1.1 * np.arccos(np.clip(reach, -1, 1)) + 1e-6))
    if not len(near):
        return x, y
    world = np.empty((len(near), 2))
    world[:, wcs.wcs.lng], world[:, wcs.wcs.lat] = lon[near], lat[near]
    found, target = wcs.all_world2pix(world, 0, quiet=True), _unit(lon[near], lat[near])
    lost = ~(_off(wcs, found, target) < _RETURN)
    if lost.any():  # astropy's iteration diverges where a distortion is strong; Newton's converges
        found[lost] = _newton(wcs, wcs.wcs_world2pix(world[lost], 0), target[lost])
    returns = _off(wcs, found, target) < _RETURN
    inside = (found > -0.5).all(axis=1) & (found < [nx - 0.5, ny - 0.5]).all(axis=1) & returns
    x[near[inside]], y[near[inside]] = found[inside].T
    return x, y


def pixel_scales(
    wcs: WCS, x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """Return the pixel scale at each position, deg, and if pixels there are square."""
    # Within the tolerance of a network, all positions get the scale of the whole mosaic, so that one
    # width gives one shape.
    nominal = pixel_degrees(wcs)
    scales, square = np.full(len(x), nominal), np.ones(len(x), np.bool_)
    on = np.flatnonzero(~np.isnan(x))
    if not len(on):
        return scales, square
    along = []
    for step in 0.5 * np.eye(2):
        pixels = np.stack([x[on], y[on]], axis=1)
        apart = _unit(*_lonlat(wcs, pixels + step)) - _unit(*_lonlat(wcs, pixels - step))
        along.append(apart)
    one, other = (np.degrees(np.linalg.norm(apart, axis=1)) for apart in along)
    cosine = np.degrees(np.degrees(np.sum(along[0] * along[1], axis=1))) / (one * other)
    square[on] = (abs(one / other - 1) <= _SAME_SCALE) & (abs(cosine) <= _SAME_SCALE)
    local = np.sqrt(one * other)
    scales[on] = np.where(abs(local / nominal - 1) <= _SAME_SCALE, nominal, local)
    return scales, square


def sides(width: u.Quantity, pixel_scale: u.Quantity, n: int) -> npt.NDArray[np.int64]:
    """Return the side of each cutout in pixels; 0 where the width is NaN."""
    wanted = u.Quantity(width)
    if wanted.unit.is_equivalent(u.pix):
        pixels = wanted.to_value(u.pix)
    elif wanted.unit.is_equivalent(u.deg):
        pixels = (wanted / pixel_scale).to_value(u.dimensionless_unscaled)
    else:
        raise ValueError(message("a width in angle or pixels", "Give it in arcsec or pix.", width=width))
    if np.shape(pixels) not in ((), (n,)):
        raise ValueError(message(f"one width, or one for each of {n} galaxies", "", shape=np.shape(pixels)))
    known = ~np.isnan(pixels)
    if np.any(np.isinf(pixels) | (known & (pixels <= 0))) or not known.any():
        raise ValueError(message("widths above 0", "NaN says that one is not known.", width=width))
    # Values beyond the largest side are clipped, since int64 could not hold all of them.
    whole = np.where(known, np.clip(np.rint(np.where(known, pixels, 1)), 1, LARGEST_SIDE + 1), 0)
    return np.broadcast_to(whole.astype(np.int64), (n,))


def corners(centre: npt.NDArray[np.float64], side: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return the first pixel of boxes along one axis, as `astropy.nddata.Cutout2D` does.

    Examples
    --------
    >>> corners(np.array([10.0, 10.4, 10.6]), np.array([4, 4, 5])).tolist()
    [8, 9, 9]
    """
    first: npt.NDArray[np.int64] = np.ceil(centre - side / 2).astype(np.int64)
    return first


def _off(
    wcs: WCS, pixels: npt.NDArray[np.float64], target: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Return the distance of each pixel from its target, in pixels."""
    apart = np.degrees(np.linalg.norm(_unit(*_lonlat(wcs, pixels)) - target, axis=1))
    off: npt.NDArray[np.float64] = apart / pixel_degrees(wcs)
    return off


def _newton(
    wcs: WCS, start: npt.NDArray[np.float64], target: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Solve by least squares on the sphere, with derivatives from differences over one pixel."""
    found, (one_x, one_y) = start.copy(), np.eye(2)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        for _ in range(_STEPS):
            here = _unit(*_lonlat(wcs, found))
            along_x = _unit(*_lonlat(wcs, found + one_x)) - here
            along_y = _unit(*_lonlat(wcs, found + one_y)) - here
            xx, xy, yy = (
                (a * b).sum(axis=1) for a, b in ((along_x,) * 2, (along_x, along_y), (along_y,) * 2)
            )
            x, y = ((a * (target - here)).sum(axis=1) for a in (along_x, along_y))
            found += np.stack([yy * x - xy * y, xx * y - xy * x], axis=1) / (xx * yy - xy**2)[:, np.newaxis]
    return found


def _lonlat(wcs: WCS, pixels: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float64], ...]:
    world = wcs.all_pix2world(pixels, 0)
    return world[:, wcs.wcs.lng], world[:, wcs.wcs.lat]


def _unit(lon: npt.NDArray[np.float64], lat: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return unit vectors of positions in degrees: exact at the poles and for small angles."""
    lon, lat = np.radians(lon), np.radians(lat)
    return np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], axis=-1)
