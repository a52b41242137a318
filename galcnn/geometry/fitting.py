"""Fit: what a network asks for."""

from __future__ import annotations

import astropy.units as u

from galcnn.cutout import Cutout
from galcnn.errors import message
from galcnn.geometry.grid import checked_shape
from galcnn.geometry.moving import crop, pad
from galcnn.geometry.resampling import resample, resize

__all__ = ["crop_width", "fit"]

#: Pixel scales that differ by less than this share are one: 0.1 pixel over 100.
_SAME_SCALE = 1e-3


def fit(cutout: Cutout, shape: tuple[int, int], *, pixel_scale: u.Quantity | None = None) -> Cutout:
    """Bring a cutout to the grid a network was built for.

    Where both pixel scales are known: to this scale, then cropped or padded about the centre.
    Otherwise the whole field, cropped about the centre to the aspect ratio of `shape`, is
    resampled.

    Parameters
    ----------
    cutout : galcnn.cutout.Cutout
        Any.
    shape : tuple of int
        Pixels as (ny, nx).
    pixel_scale : astropy.units.Quantity, optional
        Wanted angle per pixel.

    Returns
    -------
    galcnn.cutout.Cutout
        Of this shape; what was done is listed in ``meta["geometry"]``. `cutout` itself where
        there is nothing to do.

    Examples
    --------
    >>> import numpy as np
    >>> from galcnn.photometry import DISPLAY
    >>> fitted = fit(Cutout(np.ones((3, 6, 8)), ("R", "G", "B"), unit=DISPLAY), (3, 3))
    >>> [step["step"] for step in fitted.meta["geometry"]]
    ['crop', 'resize']
    """
    shape = checked_shape(shape)
    own = cutout.pixel_scale
    if own is not None and pixel_scale is not None:
        if abs(float(pixel_scale / own) - 1) > _SAME_SCALE:
            return resample(cutout, pixel_scale, shape)
        smaller = (min(shape[0], cutout.shape[0]), min(shape[1], cutout.shape[1]))
        return pad(crop(cutout, smaller), shape)
    ny, nx = cutout.shape
    per_pixel = min(ny / shape[0], nx / shape[1])
    part = (max(1, round(per_pixel * shape[0])), max(1, round(per_pixel * shape[1])))
    return resize(crop(cutout, (min(part[0], ny), min(part[1], nx))), shape)


def crop_width(cutout: Cutout, width: u.Quantity) -> Cutout:
    """Cut the central field of an angular width out of a cutout.

    Parameters
    ----------
    cutout : galcnn.cutout.Cutout
        With a WCS.
    width : astropy.units.Quantity
        Side of the field; to the nearest whole number of pixels.

    Returns
    -------
    galcnn.cutout.Cutout
        A square.

    Raises
    ------
    ValueError
        There is no WCS, or the width is not within the image.
    """
    scale = cutout.pixel_scale
    if scale is None:
        raise ValueError(
            message("an image with a WCS, to cut an angular width", "Leave the width out.", wcs=None)
        )
    side = round(float((width / scale).to_value(u.dimensionless_unscaled)))
    if not 1 <= side <= min(cutout.shape):
        raise ValueError(
            message(
                "a width within the image",
                "Choose a smaller one, or an image of a wider field.",
                width=str(width),
                image=str((scale * min(cutout.shape)).to(width.unit)),
            )
        )
    return crop(cutout, (side, side))
