"""Crop and pad cutouts, and fit them to the grid of a network."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import astropy.units as u
import numpy as np
import numpy.typing as npt

from galcnn.cutout import Cutout
from galcnn.errors import UnfitImageError, message
from galcnn.transforms.grid import checked_shape, pixel_sides, recorded, scaled_wcs
from galcnn.transforms.resampling import resample, resize

#: Relative difference below which pixel scales are equal: 0.1 pixel over 100.
_SAME_SCALE = 1e-3

_Array = npt.NDArray[Any]


def crop(cutout: Cutout, shape: tuple[int, int], *, corner: tuple[int, int] | None = None) -> Cutout:
    """Crop a cutout.

    Parameters
    ----------
    cutout : galcnn.cutout.Cutout
        Cutout to crop.
    shape : tuple of int
        Shape of the result in pixels, (ny, nx), not larger than the cutout.
    corner : tuple of int, optional
        First row and column to keep, (y, x); by default the crop is centred.

    Returns
    -------
    galcnn.cutout.Cutout
        Cropped cutout; `cutout` itself if the shape is unchanged.

    Raises
    ------
    ValueError
        If the crop extends beyond the edge.

    Examples
    --------
    >>> import numpy as np
    >>> cutout = Cutout(np.arange(25.0).reshape(5, 5), ("r",))
    >>> crop(cutout, (1, 3)).flux.tolist()
    [[[11.0, 12.0, 13.0]]]
    """
    shape = checked_shape(shape)
    start = _centred(cutout.shape, shape) if corner is None else (int(corner[0]), int(corner[1]))
    ends = (start[0] + shape[0], start[1] + shape[1])
    if min(start) < 0 or ends[0] > cutout.shape[0] or ends[1] > cutout.shape[1]:
        raise ValueError(
            message(
                f"a part of {cutout.shape} pixels (ny, nx)",
                "Use pad for more pixels.",
                shape=shape,
                corner=start,
            )
        )
    return _moved(cutout, shape, start, "crop")


def pad(cutout: Cutout, shape: tuple[int, int]) -> Cutout:
    """Pad a cutout with masked NaN pixels on all sides.

    Parameters
    ----------
    cutout : galcnn.cutout.Cutout
        Cutout to pad.
    shape : tuple of int
        Shape of the result in pixels, (ny, nx), not smaller than the cutout.

    Returns
    -------
    galcnn.cutout.Cutout
        Padded cutout; `cutout` itself if the shape is unchanged.

    Raises
    ------
    ValueError
        If the shape is smaller than the cutout.

    Examples
    --------
    >>> import numpy as np
    >>> padded = pad(Cutout(np.ones((1, 1)), ("r",)), (1, 3))
    >>> padded.flux.tolist(), padded.mask.tolist()
    ([[[nan, 1.0, nan]]], [[[True, False, True]]])
    """
    shape = checked_shape(shape)
    if shape[0] < cutout.shape[0] or shape[1] < cutout.shape[1]:
        raise ValueError(
            message(f"at least {cutout.shape} pixels (ny, nx)", "Use crop for fewer pixels.", shape=shape)
        )
    return _moved(cutout, shape, _centred(cutout.shape, shape), "pad")


def window(cutout: Cutout, shape: tuple[int, int], corner: tuple[int, int]) -> Cutout:
    """Return a window of a cutout that may extend beyond its edge.

    Parameters
    ----------
    cutout : galcnn.cutout.Cutout
        Cutout to take the window from.
    shape : tuple of int
        Shape of the window in pixels, (ny, nx).
    corner : tuple of int
        First row and column, (y, x); negative before the edge.

    Returns
    -------
    galcnn.cutout.Cutout
        Window in which pixels beyond the edge are NaN and masked; `cutout` itself if it is the same.

    Examples
    --------
    >>> import numpy as np
    >>> window(Cutout(np.arange(4.0).reshape(2, 2), ("r",)), (1, 3), (1, -1)).flux.tolist()
    [[[nan, 2.0, 3.0]]]
    """
    return _moved(cutout, checked_shape(shape), (int(corner[0]), int(corner[1])), "window")


def fit(cutout: Cutout, shape: tuple[int, int], *, pixel_scale: u.Quantity | None = None) -> Cutout:
    """Fit a cutout to the grid of a network.

    If both pixel scales are known, the cutout is resampled to `pixel_scale` along x and y, then cropped or
    padded about the centre. Otherwise it is cropped about the centre to the aspect ratio of `shape`, on the
    sky if its own scales are known, and the whole remaining field is resampled.

    Parameters
    ----------
    cutout : galcnn.cutout.Cutout
        Cutout to fit.
    shape : tuple of int
        Shape of the result in pixels, (ny, nx).
    pixel_scale : astropy.units.Quantity, optional
        Pixel scale of the result.

    Returns
    -------
    galcnn.cutout.Cutout
        Cutout of this shape; the steps are listed in ``meta["geometry"]``. `cutout` itself if nothing
        changes.

    Examples
    --------
    >>> import numpy as np
    >>> from galcnn.photometry import DISPLAY
    >>> fitted = fit(Cutout(np.ones((3, 6, 8)), ("R", "G", "B"), unit=DISPLAY), (3, 3))
    >>> [step["step"] for step in fitted.meta["geometry"]]
    ['crop', 'resize']
    """
    shape = checked_shape(shape)
    if cutout.sky_steps is not None and pixel_scale is not None:
        arcsec = float(pixel_scale.to_value(u.arcsec))
        if max(abs(arcsec / side - 1) for side in pixel_sides(cutout)) > _SAME_SCALE:
            return resample(cutout, pixel_scale, shape)
        smaller = (min(shape[0], cutout.shape[0]), min(shape[1], cutout.shape[1]))
        return pad(crop(cutout, smaller), shape)
    ny, nx = cutout.shape
    y_side, x_side = (1.0, 1.0) if cutout.sky_steps is None else pixel_sides(cutout)
    per_pixel = min(ny * y_side / shape[0], nx * x_side / shape[1])
    part = (max(1, round(per_pixel * shape[0] / y_side)), max(1, round(per_pixel * shape[1] / x_side)))
    return resize(crop(cutout, (min(part[0], ny), min(part[1], nx))), shape)


def crop_width(cutout: Cutout, width: u.Quantity) -> Cutout:
    """Crop a cutout to a central square of given width.

    Parameters
    ----------
    cutout : galcnn.cutout.Cutout
        Cutout. Its pixel scale must be known for an angular width.
    width : astropy.units.Quantity
        Side of the square in pixels, or an angle: along x and y alike, so that oblong pixels give an image
        of other numbers of pixels along x and y. Rounded to whole pixels.

    Returns
    -------
    galcnn.cutout.Cutout
        Cutout of a square of the sky. Without a WCS, a width in pixels is noted in ``meta["width"]``: it
        states the field for a network with a pixel scale.

    Raises
    ------
    galcnn.errors.UnfitImageError
        If the pixel scale is unknown, pixels are oblique, or the width exceeds the image or is less than a
        pixel.

    Examples
    --------
    >>> import numpy as np
    >>> crop_width(Cutout(np.ones((6, 8)), ("r",)), 4 * u.pix).shape
    (4, 4)
    """
    in_pixels = width.unit.is_equivalent(u.pix)
    sides = (1.0, 1.0) if in_pixels else pixel_sides(cutout)
    unit = u.pix if in_pixels else u.arcsec
    ny, nx = (round(float(width.to_value(unit)) / side) for side in sides)
    if not (1 <= ny <= cutout.shape[0] and 1 <= nx <= cutout.shape[1]):
        whole = min(n * side for n, side in zip(cutout.shape, sides, strict=True))
        raise UnfitImageError(
            message(
                "a width within the image",
                "Choose a smaller one, or an image of a wider field.",
                width=str(width),
                image=str((whole * unit).to(width.unit)),
            )
        )
    part = crop(cutout, (ny, nx))
    if in_pixels and part.wcs is None:
        return replace(part, meta={**part.meta, "width": f"{nx} pix"})
    return part


def _centred(old: tuple[int, int], new: tuple[int, int]) -> tuple[int, int]:
    return (old[0] // 2 - new[0] // 2, old[1] // 2 - new[1] // 2)


def _moved(cutout: Cutout, shape: tuple[int, int], start: tuple[int, int], word: str) -> Cutout:
    """Return the pixels of a window that may extend beyond the edge."""
    if shape == cutout.shape and start == (0, 0):
        return cutout
    old_rows, new_rows = _overlap(cutout.shape[0], shape[0], start[0])
    old_columns, new_columns = _overlap(cutout.shape[1], shape[1], start[1])

    def windowed(planes: _Array, fill: float | bool) -> _Array:
        window = np.full((len(planes), *shape), fill, dtype=planes.dtype)
        window[:, new_rows, new_columns] = planes[:, old_rows, old_columns]
        return window

    step = {"step": word, "from": list(cutout.shape), "shape": list(shape), "corner": list(start)}
    return replace(
        cutout,
        flux=windowed(cutout.flux, np.nan),
        mask=windowed(cutout.mask, True),
        sigma=None if cutout.sigma is None else windowed(cutout.sigma, np.nan),
        wcs=scaled_wcs(cutout.wcs, (1.0, 1.0), (float(start[0]), float(start[1])), shape),
        meta=recorded(cutout.meta, "geometry", step),
    )


def _overlap(n_old: int, n_new: int, start: int) -> tuple[slice, slice]:
    first, last = max(0, start), min(n_old, start + n_new)
    return slice(first, last), slice(first - start, last - start)
