"""Images in FITS files: what their headers say, without reading pixels.

Images too large for memory are read in parts through this module, with the same meaning.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from astropy.io import fits
from astropy.wcs import WCS

from galcnn.files.astrometry import celestial_wcs
from galcnn.files.axes import PlaneIndex, axes_of, refuse_no_image
from galcnn.files.filters import is_dispersed
from galcnn.files.headers import band_names, card_text, survey_of
from galcnn.files.plain import Cards
from galcnn.files.zero_points import FluxCalibration, calibration_of
from galcnn.transforms.grid import PixelAreas, pixel_degrees


@dataclass(frozen=True)
class StoredImage:
    """The image of one HDU, not yet read.

    Attributes
    ----------
    hdu : int
        Index of the HDU, from 0.
    indices : tuple of tuple of int or None
        Position of each plane in the HDU, None for the axes of rows and columns.
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
    bunit : str
        BUNIT; empty if it is not stated.
    """

    hdu: int
    indices: tuple[PlaneIndex, ...]
    shape: tuple[int, int]
    names: tuple[str | None, ...]
    wcs: WCS | None
    calibration: FluxCalibration
    survey: str
    facts: dict[str, object]
    notes: tuple[str, ...]
    bunit: str


def stored_image(
    hdulist: fits.HDUList,
    hdu: Any,
    name: str | None,
    *,
    values: npt.NDArray[Any] | None = None,
    bands: Sequence[str] | None = None,
) -> StoredImage:
    """Read the header of an image; `bands` are those that a user names."""
    axes = axes_of(hdu)
    indices, shape = axes.indices, axes.plane_shape
    header = inherited(hdulist, hdu)
    names = (name,) if name is not None and len(indices) == 1 else band_names(header, len(indices))
    refuse_no_image(axes, hdu, named=None not in names or len(bands or ()) == len(indices))
    wcs, notes = celestial_wcs(axes.sky_header(hdu.header), shape, hdulist)
    notes += [axes.note] if axes.note else []
    scale = None if wcs is None else 3600 * pixel_degrees(wcs)
    areas = None if wcs is None else PixelAreas(wcs, shape)
    calibration = calibration_of(header, scale, values, areas=areas)
    notes += [f"{name}: a grism or prism, so objects are spectra" for name in names if is_dispersed(name)]
    return StoredImage(
        hdulist.index(hdu),
        indices,
        shape,
        names,
        wcs,
        calibration,
        survey_of(header),
        {"format": "FITS", "hdu": _label(hdulist, hdu), **calibration.facts()},
        tuple(notes),
        card_text(header, "BUNIT"),
    )


def plane_indices(hdu: Any) -> tuple[tuple[PlaneIndex, ...], tuple[int, int]]:
    """Return the position of each plane of an image HDU, and their shape, without reading pixels."""
    axes = axes_of(hdu)
    return axes.indices, axes.plane_shape


def raw_planes(hdu: Any) -> npt.NDArray[Any]:
    """Return the pixels of an image HDU as planes in native byte order, in the values of the file."""
    planes = axes_of(hdu).planes(np.asarray(hdu.data))
    return planes.astype(planes.dtype.newbyteorder("="), copy=False)


def inherited(hdulist: fits.HDUList, hdu: Any) -> fits.Header:
    """Return the cards of an HDU, with those of an empty primary header that it lacks."""
    if hdu is hdulist[0] or hdulist[0].header.get("NAXIS", 0) != 0:
        return hdu.header
    if isinstance(hdu.header, Cards) and isinstance(hdulist[0].header, Cards):
        return hdu.header.inheriting(hdulist[0].header)
    header = hdulist[0].header.copy()
    header.update(hdu.header)
    return header


def _label(hdulist: fits.HDUList, hdu: Any) -> str | int:
    if hdu.name and sum(one.name == hdu.name for one in hdulist) == 1:
        return str(hdu.name)
    return int(hdulist.index(hdu))
