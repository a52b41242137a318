"""Cut and align received images, each on its own grid, into one cutout around the position.

Also draws a Moffat PSF of a given width for surveys that do not provide one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import astropy.units as u
import numpy as np
import numpy.typing as npt
from astropy.convolution import discretize_model
from astropy.modeling.models import Moffat2D

from galcnn.cutout import Cutout
from galcnn.errors import BadResponseError, CoverageError, UnreadableImageError, message
from galcnn.files import load_cutout
from galcnn.files.astrometry import pixel_of
from galcnn.files.sources import untrusted
from galcnn.surveys.http import Answer
from galcnn.transforms import align, combine
from galcnn.transforms.cropping import window
from galcnn.transforms.grid import SAME_GRID, grid_offset

if TYPE_CHECKING:
    from astropy.coordinates import SkyCoord


#: Moffat index typical of ground-based seeing, as in `galcnn.photometry.Observation`.
BETA = 3.5
#: Radius of the image of the profile, in units of the FWHM.
_REACH = 4.0


def loaded(content: bytes, answer: Answer, *, hdu: int | None = None) -> Cutout:
    """Read a FITS image that a service sent; raise CoverageError if no pixel is finite."""
    try:
        return load_cutout(untrusted(content), hdu=hdu)
    except UnreadableImageError as error:
        if "all NaN" in str(error):
            raise CoverageError(
                message("an image with at least one number", "Leave the galaxy out.", url=answer.url)
            ) from error
        raise BadResponseError(
            message("an image that can be read", "Try again later.", url=answer.url, error=str(error))
        ) from error


def framed(image: Cutout, position: SkyCoord, side: int) -> Cutout:
    """Cut the pixels around a position out of an image, without resampling."""
    x, y = _pixel_of(image, position)
    ny, nx = image.shape
    if not (-0.5 <= x < nx - 0.5 and -0.5 <= y < ny - 0.5):
        raise CoverageError(
            message("a position on the image", "Leave the galaxy out.", position=position.to_string("hmsdms"))
        )
    corner = (round(y - (side - 1) / 2), round(x - (side - 1) / 2))
    return window(image, (side, side), corner)


def coverage_of(image: Cutout, position: SkyCoord, side: int) -> float:
    """Return the finite fraction of a cutout around the position; 0 if the position is outside the image."""
    try:
        cut = framed(image, position, side)
    except CoverageError:
        return 0.0
    return float(np.isfinite(cut.flux).mean())


def stacked(
    images: Sequence[Cutout], position: SkyCoord, side: int, *, reference: Cutout | None = None
) -> Cutout:
    """Cut the images of several bands, in one unit, around a position and stack them on one grid."""
    # Images on other grids are aligned to the grid of the reference, by default the first image.
    base = framed(images[0] if reference is None else reference, position, side)
    placed = []
    try:
        for image in images:
            one = framed(image, position, side)
            if _offset(base, one) > SAME_GRID:  # aligning shifts the edges: take a larger part
                one = align(framed(image, position, _with_margin(base, image)), base)
            placed.append(one)
        return placed[0] if len(placed) == 1 else combine(placed, reference=placed[0].bands[0])
    except ValueError as error:
        raise BadResponseError(
            message("bands that fit together", "Ask for one at a time.", error=str(error))
        ) from error


def _pixel_of(image: Cutout, position: SkyCoord) -> tuple[float, float]:
    """Return the pixel position (x, y), from 0; NaN if it is not on this side of the projection."""
    if image.wcs is None:
        raise BadResponseError(message("an image with a WCS", "Use images that have one.", wcs=None))
    x, y = pixel_of(image.wcs, position)
    back = image.wcs.pixel_to_world(x, y)
    scale = image.pixel_scale
    if not np.isfinite([x, y]).all() or scale is None or back.separation(position) > scale:
        return float("nan"), float("nan")
    return x, y


def _offset(one: Cutout, other: Cutout) -> float:
    """Return the distance in pixels between the same corners of two grids."""
    if one.wcs is None or other.wcs is None:
        raise BadResponseError(message("bands with a WCS", "Use images that have one.", wcs=None))
    return grid_offset(one.wcs, other.wcs, one.shape)


def _with_margin(first: Cutout, image: Cutout) -> int:
    """Return the side, in pixels of an image, that covers another image at any rotation."""
    assert first.pixel_scale is not None  # both have a WCS; for the type checker
    assert image.pixel_scale is not None
    ratio = float((first.pixel_scale / image.pixel_scale).to_value(u.one))
    return int(np.ceil(np.sqrt(2) * max(first.shape) * ratio)) + 4


def moffat_planes(
    fwhm: Sequence[float], pixel_scale: float, *, beta: float = BETA
) -> npt.NDArray[np.float32]:
    """Return a round Moffat PSF for each band on the cutout's pixels; each plane sums to 1.

    Widths are full widths at half maximum in arcsec, pixel included. The profile is
    ``(1 + (r / a)^2)^-beta`` with ``a = fwhm / (2 sqrt(2^(1/beta) - 1))`` (Moffat 1969, A&A 3, 455).

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
