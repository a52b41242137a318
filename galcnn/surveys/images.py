"""From images larger than what was asked for, each on its own grid, to one cutout about the position.

And the PSF of a survey that does not serve it: a Moffat profile of a stated width.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import astropy.units as u
import numpy as np
import numpy.typing as npt
from astropy.convolution import discretize_model
from astropy.modeling.models import Moffat2D
from astropy.wcs import NoConvergence

from galcnn.cutout import Cutout
from galcnn.errors import BadResponseError, CoverageError, UnreadableImageError, message
from galcnn.files import load_cutout
from galcnn.surveys.http import Answer
from galcnn.transforms import align, combine
from galcnn.transforms.cropping import window
from galcnn.transforms.grid import SAME_GRID, grid_offset

if TYPE_CHECKING:
    from astropy.coordinates import SkyCoord


#: Moffat index of seeing that is usual for wide surveys (as `galcnn.photometry.Observation`).
BETA = 3.5
#: Widths of the profile that the image of it reaches out from its centre.
_REACH = 4.0


def loaded(content: bytes, answer: Answer, *, hdu: int | None = None) -> Cutout:
    """Read a FITS image that a service sent; CoverageError where it holds no number."""
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
    """Cut the pixels around a position out of an image, without changing any."""
    x, y = _pixel_of(image, position)
    ny, nx = image.shape
    if not (-0.5 <= x < nx - 0.5 and -0.5 <= y < ny - 0.5):
        raise CoverageError(
            message("a position on the image", "Leave the galaxy out.", position=position.to_string("hmsdms"))
        )
    corner = (round(y - (side - 1) / 2), round(x - (side - 1) / 2))
    return window(image, (side, side), corner)


def coverage_of(image: Cutout, position: SkyCoord, side: int) -> float:
    """Give the share of a cutout that an image would fill; 0 where the position is not on it."""
    try:
        cut = framed(image, position, side)
    except CoverageError:
        return 0.0
    return float(np.isfinite(cut.flux).mean())


def stacked(
    images: Sequence[Cutout], position: SkyCoord, side: int, *, reference: Cutout | None = None
) -> Cutout:
    """Cut the pixels around a position out of the images of several bands, of one unit, on one grid."""
    # Those on another grid are aligned to that of the reference, by default the first.
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


def moffat_planes(
    fwhm: Sequence[float], pixel_scale: float, *, beta: float = BETA
) -> npt.NDArray[np.float32]:
    """Draw a round Moffat PSF for each band, on the pixels of the cutout; each plane has sum 1.

    Widths are full widths at half maximum, arcsec, pixel included: ``(1 + (r / a)^2)^-beta`` with
    ``a = fwhm / (2 sqrt(2^(1/beta) - 1))`` (Moffat 1969, A&A 3, 455).

    >>> planes = moffat_planes((1.31, 1.19), 0.25)
    >>> planes.shape, planes.sum(axis=(1, 2)).round(6).tolist()
    ((2, 43, 43), [1.0, 1.0])
    """
    if not len(fwhm) or not min(fwhm) > 0 or not pixel_scale > 0 or not beta > 1:
        raise ValueError(
            message(
                "positive widths and pixel scale, and beta > 1",
                "",
                fwhm=fwhm,
                pixel_scale=pixel_scale,
                beta=beta,
            )
        )
    reach = int(np.ceil(_REACH * max(fwhm) / pixel_scale))
    planes = []
    for width in fwhm:
        core = width / pixel_scale / (2 * np.sqrt(2 ** (1 / beta) - 1))
        profile = Moffat2D(amplitude=1, gamma=core, alpha=beta)
        plane = discretize_model(profile, (-reach, reach + 1), (-reach, reach + 1))
        planes.append(plane / plane.sum())
    return np.stack(planes).astype(np.float32)
