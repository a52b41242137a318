"""Images in FITS files: what their headers say, without reading pixels.

Images too large for memory are read in parts through this module, with the same meaning.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from astropy.io import fits
from astropy.wcs import WCS

from galcnn.errors import UnreadableImageError, message
from galcnn.files.astrometry import celestial_wcs
from galcnn.files.filters import is_dispersed
from galcnn.files.headers import band_names, survey_of
from galcnn.files.zero_points import FluxCalibration, calibration_of
from galcnn.transforms.grid import pixel_degrees


@dataclass(frozen=True)
class StoredImage:
    """The image of one HDU, not yet read.

    Attributes
    ----------
    hdu : int
        Index of the HDU, from 0.
    indices : tuple of tuple of int
        Position of each plane along the leading axes of the HDU; one empty tuple for a two-axis image.
    shape : tuple of int
        Shape of a plane in pixels, (ny, nx).
    names : tuple of str or None
        Names of the bands; None if the file does not name them.
    wcs : astropy.wcs.WCS or None
        Celestial WCS.
    calibration : galcnn.files.zero_points.FluxCalibration
        Conversion of the file's values to flux.
    survey : str
        Survey, if the file names it.
    facts : dict
        Entries for the meta of a cutout.
    notes : tuple of str
        Notes on what was repaired or is missing.
    """

    hdu: int
    indices: tuple[tuple[int, ...], ...]
    shape: tuple[int, int]
    names: tuple[str | None, ...]
    wcs: WCS | None
    calibration: FluxCalibration
    survey: str
    facts: dict[str, object]
    notes: tuple[str, ...]


def stored_image(
    hdulist: fits.HDUList, hdu: Any, name: str | None, *, values: npt.NDArray[Any] | None = None
) -> StoredImage:
    """Read the header of an image."""
    indices, shape = plane_indices(hdu)
    header = inherited(hdulist, hdu)
    wcs, notes = celestial_wcs(hdu.header, shape)
    scale = None if wcs is None else 3600 * pixel_degrees(wcs)
    calibration = calibration_of(header, scale, values)
    names = (name,) if name is not None and len(indices) == 1 else band_names(header, len(indices))
    notes += [f"{name}: a grism or prism, so objects are spectra" for name in names if is_dispersed(name)]
    return StoredImage(
        next(i for i, one in enumerate(hdulist) if one is hdu),
        indices,
        shape,
        names,
        wcs,
        calibration,
        survey_of(header),
        {"format": "FITS", "hdu": _label(hdulist, hdu), **calibration.facts()},
        tuple(notes),
    )


def plane_indices(hdu: Any) -> tuple[tuple[tuple[int, ...], ...], tuple[int, int]]:
    """Return the position of each plane of an image HDU, and their shape, without reading pixels."""
    shape = tuple(getattr(hdu, "shape", None) or ())
    leading = shape[:-2]
    # (1, 1, ny, nx), as in radio astronomy, is one plane.
    if not hdu.is_image or len(shape) < 2 or 0 in shape or any(n > 1 for n in leading[:-1]):
        raise UnreadableImageError(
            message("an image of two axes, or three with the bands first", "", hdu=hdu.name, shape=shape)
        )
    return tuple(np.ndindex(leading)), (shape[-2], shape[-1])


def raw_planes(hdu: Any) -> npt.NDArray[Any]:
    """Return the pixels of an image HDU as planes in native byte order, in the values of the file."""
    if not hdu.is_image or hdu.data is None:
        raise UnreadableImageError(
            message("an HDU with an image", "Name another.", hdu=hdu.name, kind=type(hdu).__name__)
        )
    data = hdu.data
    shape = data.shape
    while data.ndim > 2 and data.shape[0] == 1:  # (1, 1, ny, nx), as in radio astronomy
        data = data[0]
    if data.ndim not in (2, 3) or 0 in data.shape:
        raise UnreadableImageError(
            message("an image of two axes, or three with the bands first", "", hdu=hdu.name, shape=shape)
        )
    planes: npt.NDArray[Any] = np.asarray(data if data.ndim == 3 else data[np.newaxis])
    native = planes.dtype.newbyteorder("=")
    return planes.astype(native, copy=False)


def inherited(hdulist: fits.HDUList, hdu: Any) -> fits.Header:
    """Return the cards of an HDU, with those of an empty primary header that it lacks."""
    if hdu is hdulist[0] or hdulist[0].header.get("NAXIS", 0) != 0:
        return hdu.header
    header = hdulist[0].header.copy()
    header.update(hdu.header)
    return header


def _label(hdulist: fits.HDUList, hdu: Any) -> str | int:
    if hdu.name and sum(one.name == hdu.name for one in hdulist) == 1:
        return str(hdu.name)
    return next(i for i, one in enumerate(hdulist) if one is hdu)
