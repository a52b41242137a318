"""From images larger than what was asked for, each on its own grid, to one cutout about the position."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import astropy.units as u
import numpy as np
from astropy.wcs import NoConvergence

from galcnn.cutout import Cutout
from galcnn.errors import BadResponseError, CoverageError, UnreadableImageError, message
from galcnn.files import load_cutout
from galcnn.surveys.limits import Answer
from galcnn.transforms import align, combine, window
from galcnn.transforms.grid import SAME_GRID, grid_offset

if TYPE_CHECKING:
    from astropy.coordinates import SkyCoord

__all__ = ["coverage_of", "framed", "loaded", "stacked"]


def loaded(content: bytes, answer: Answer, *, hdu: int | None = None) -> Cutout:
    """Read an image that a service sent.

    Parameters
    ----------
    content : bytes
        A FITS file.
    answer : Answer
        Where it is from; named in an error.
    hdu : int, optional
        Which HDU; found out by default.

    Returns
    -------
    galcnn.cutout.Cutout
        As `galcnn.files.load_cutout` gives it.

    Raises
    ------
    galcnn.errors.CoverageError
        It holds no number.
    galcnn.errors.BadResponseError
        It cannot be read.
    """
    try:
        return load_cutout(content, hdu=hdu)
    except UnreadableImageError as error:
        if "all NaN" in str(error):
            raise CoverageError(
                message("an image with at least one number", "Leave the galaxy out.", url=answer.url)
            ) from error
        raise BadResponseError(
            message("an image that can be read", "Try again later.", url=answer.url, error=str(error))
        ) from error


def framed(image: Cutout, position: SkyCoord, side: int) -> Cutout:
    """Cut the pixels around a position out of an image, without changing any.

    Parameters
    ----------
    image : galcnn.cutout.Cutout
        With a WCS; of any orientation and parity.
    position : astropy.coordinates.SkyCoord
        Of the centre.
    side : int
        Pixels.

    Returns
    -------
    galcnn.cutout.Cutout
        With the position within half a pixel of its middle; pixels beyond the edge are NaN.

    Raises
    ------
    galcnn.errors.CoverageError
        The position is not on the image.
    galcnn.errors.BadResponseError
        The image has no WCS.
    """
    x, y = _pixel_of(image, position)
    ny, nx = image.shape
    if not (-0.5 <= x < nx - 0.5 and -0.5 <= y < ny - 0.5):
        raise CoverageError(
            message("a position on the image", "Leave the galaxy out.", position=position.to_string("hmsdms"))
        )
    corner = (round(y - (side - 1) / 2), round(x - (side - 1) / 2))
    return window(image, (side, side), corner)


def coverage_of(image: Cutout, position: SkyCoord, side: int) -> float:
    """Give the share of a cutout that an image would fill.

    Parameters
    ----------
    image : galcnn.cutout.Cutout
        With a WCS.
    position : astropy.coordinates.SkyCoord
        Of the centre.
    side : int
        Pixels.

    Returns
    -------
    float
        0 where the position is not on the image.
    """
    try:
        cut = framed(image, position, side)
    except CoverageError:
        return 0.0
    return float(np.isfinite(cut.flux).mean())


def stacked(
    images: Sequence[Cutout], position: SkyCoord, side: int, *, reference: Cutout | None = None
) -> Cutout:
    """Cut the pixels around a position out of the images of several bands, on one grid.

    Parameters
    ----------
    images : sequence of galcnn.cutout.Cutout
        One or more bands each, with WCS, of one unit.
    position : astropy.coordinates.SkyCoord
        Of the centre.
    side : int
        Pixels.
    reference : galcnn.cutout.Cutout, optional
        Image whose grid is kept; the first by default.

    Returns
    -------
    galcnn.cutout.Cutout
        As `framed`; those that lie on another grid are brought to that of the reference, see
        `galcnn.transforms.align`.

    Raises
    ------
    galcnn.errors.CoverageError
        The position is not on one of the images.
    galcnn.errors.BadResponseError
        They are of different units, or one has no WCS.
    """
    base = framed(images[0] if reference is None else reference, position, side)
    placed = []
    try:
        for image in images:
            one = framed(image, position, side)
            if _offset(base, one) > SAME_GRID:  # its edges are moved too: take more of it
                one = align(framed(image, position, _with_margin(base, image)), base)
            placed.append(one)
        return placed[0] if len(placed) == 1 else combine(placed, reference=placed[0].bands[0])
    except ValueError as error:
        raise BadResponseError(
            message("bands that fit together", "Ask for one at a time.", error=str(error))
        ) from error


def _pixel_of(image: Cutout, position: SkyCoord) -> tuple[float, float]:
    """Where a position is, from 0; NaN where it is not even near (a projection shows the far side too)."""
    if image.wcs is None:
        raise BadResponseError(message("an image with a WCS", "Use images that have one.", wcs=None))
    try:
        x, y = image.wcs.world_to_pixel(position)
    except NoConvergence:  # a distortion is only meant for the image
        return float("nan"), float("nan")
    back = image.wcs.pixel_to_world(x, y)
    scale = image.pixel_scale
    if not np.isfinite([x, y]).all() or scale is None or back.separation(position) > scale:
        return float("nan"), float("nan")
    return float(x), float(y)


def _offset(one: Cutout, other: Cutout) -> float:
    """How far apart, in pixels, the same corner lies."""
    if one.wcs is None or other.wcs is None:
        raise BadResponseError(message("bands with a WCS", "Use images that have one.", wcs=None))
    return grid_offset(one.wcs, other.wcs, one.shape)


def _with_margin(first: Cutout, image: Cutout) -> int:
    """Pixels of an image that hold another, turned in any way."""
    assert first.pixel_scale is not None  # they have a WCS; for the type checker
    assert image.pixel_scale is not None
    ratio = float((first.pixel_scale / image.pixel_scale).to_value(u.one))
    return int(np.ceil(np.sqrt(2) * max(first.shape) * ratio)) + 4
