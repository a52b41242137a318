"""Layers of a FITS file and their roles, determined from the headers."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from astropy.io import fits
from astropy.wcs import WCS

from galcnn.errors import UnreadableImageError, message
from galcnn.files.astrometry import celestial_wcs
from galcnn.files.headers import role_of
from galcnn.files.sources import opened

Role = Literal["science", "map", "coarse", "difference", "synthesis", "mask", "segmentation", "other"]
Window = tuple[slice, slice]


@dataclass(frozen=True, eq=False)
class Layer:
    """One image of a FITS file.

    Attributes
    ----------
    name : str
        Name used by viewers: EXTNAME, or the number of the HDU if another one has this name or it
        contains brackets, braces, quotes, a dollar, semicolon or backslash.
    role : str
        ``science``, ``map``, ``coarse`` (map with one pixel per cell), ``difference`` (attack or dream
        minus its start), ``synthesis`` (other image made for a target), ``mask``, ``segmentation`` or
        ``other`` (noise, PSF ...).
    data : numpy.ndarray
        Pixel values in native byte order, shape (ny, nx).
    wcs : astropy.wcs.WCS or None
        Celestial WCS of the image.
    cards : mapping of str to Any
        Cards of the header.
    """

    name: str
    role: Role
    data: npt.NDArray[Any]
    wcs: WCS | None
    cards: Mapping[str, Any]


def layers_of(path: str | os.PathLike[str]) -> tuple[Layer, ...]:
    """Return the images of a FITS file.

    Parameters
    ----------
    path : path-like
        Layers file, image file to which layers were added, or any other FITS file with images.

    Returns
    -------
    tuple of Layer
        Layers in the order of the file.

    Raises
    ------
    FileNotFoundError
        If the file does not exist.
    galcnn.errors.UnreadableImageError
        If it is not a FITS file, or has no two-dimensional image.

    Examples
    --------
    >>> import tempfile
    >>> from astropy.io import fits
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder) / "a.fits"
    ...     fits.PrimaryHDU(np.ones((4, 4))).writeto(file)
    ...     [(layer.name, layer.role) for layer in layers_of(file)]
    [('0', 'science')]
    """
    with opened(path) as (hdulist, _):
        names = [hdu.name for hdu in hdulist]
        layers = [
            _layer(hdu, hdu.name if number and _is_safe(hdu.name, names) else str(number))
            for number, hdu in enumerate(hdulist)
            if hdu.is_image and len(hdu.shape) == 2
        ]
    if not layers:
        raise UnreadableImageError(
            message("a FITS file with images of two axes", "", path=str(Path(path)), found=names)
        )
    return tuple(layers)


def _is_safe(name: str, names: Sequence[str]) -> bool:
    """Tell whether an EXTNAME names one HDU, and contains nothing that DS9 would take for a command."""
    return names.count(name) == 1 and re.search(r"[\[\]{}$;\"'\\]|[^ -~]", name) is None


def holds_layers(path: str | os.PathLike[str]) -> bool:
    """Return True if a file has layers, by its headers only."""
    if not Path(path).is_file():
        return False
    try:
        with open(path, "rb") as handle, fits.open(handle, memmap=False) as hdulist:
            return any("LAYERFMT" in hdu.header for hdu in hdulist)
    except Exception:  # noqa: BLE001  whatever astropy says of a damaged file
        return False


def window_of(layers: Iterable[Layer]) -> Window:
    """Return the part of the grid where maps have values, often small in a large survey image."""
    rows: list[int] = []
    columns: list[int] = []
    for layer in layers:
        if layer.role == "map":
            known = np.isfinite(layer.data)
            rows += np.flatnonzero(known.any(axis=1))[[0, -1]].tolist() if known.any() else []
            columns += np.flatnonzero(known.any(axis=0))[[0, -1]].tolist() if known.any() else []
    if not rows:
        return slice(None), slice(None)
    return slice(min(rows), max(rows) + 1), slice(min(columns), max(columns) + 1)


def _layer(hdu: Any, name: str) -> Layer:
    data = np.asarray(hdu.data)
    data = data.astype(data.dtype.newbyteorder("="), copy=False)
    wcs, _ = celestial_wcs(hdu.header, (data.shape[0], data.shape[1]))
    return Layer(name, _role(hdu), data, wcs, dict(hdu.header))


def _role(hdu: Any) -> Role:
    header = hdu.header
    if "PART" in header:
        return "difference" if header["PART"] == "difference" else "synthesis"
    if "METHOD" in header:
        return "coarse" if "FIELD_Y" in header else "map"
    if "LAYERFMT" in header:
        return "segmentation"
    role = role_of(hdu)
    return "science" if role == "image" else "mask" if role == "mask" else "other"
