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
from galcnn.files.layout import cube_bands
from galcnn.files.sources import opened
from galcnn.files.text import word

Role = Literal["science", "map", "coarse", "difference", "synthesis", "mask", "segmentation", "other"]
Window = tuple[slice, slice]
#: Most letters of a band in the name of a layer.
_LONGEST = 40


@dataclass(frozen=True, eq=False)
class Layer:
    """One image of a FITS file.

    Attributes
    ----------
    name : str
        Name used by viewers: EXTNAME, or the number of the HDU if another one has this name or it
        contains brackets, braces, quotes, a dollar, semicolon or backslash; with the band behind it if this
        is a plane of a cube.
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
    hdu : str
        Name, or number, of the HDU; that of the layer if empty.
    plane : int
        Number of the plane in a cube of bands, from 1; 0 for an image of two axes.
    """

    name: str
    role: Role
    data: npt.NDArray[Any]
    wcs: WCS | None
    cards: Mapping[str, Any]
    hdu: str = ""
    plane: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "hdu", self.hdu or self.name)


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
        If it is not a FITS file, or has no two-dimensional image or cube of a cutout.

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
        layers: list[Layer] = []
        for number, hdu in enumerate(hdulist):
            name = hdu.name if number and _is_safe(hdu.name, names) else str(number)
            if hdu.is_image and len(hdu.shape) == 2:
                layers.append(_layer(hdu, name))
            elif hdu.is_image and (bands := cube_bands(hdu.header, hdu.shape)):
                layers += [_layer(hdu, name, band, i + 1) for i, band in enumerate(bands)]
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


def _layer(hdu: Any, name: str, band: str = "", plane: int = 0) -> Layer:
    data = np.asarray(hdu.data if not plane else hdu.data[plane - 1])
    data = data.astype(data.dtype.newbyteorder("="), copy=False)
    wcs, _ = celestial_wcs(hdu.header, (data.shape[0], data.shape[1]))
    cards = dict(hdu.header)
    if not plane:
        return Layer(name, _role(hdu), data, wcs, cards)
    own = f"{name}_{word(band, _LONGEST)}"
    return Layer(own, _role(hdu), data, wcs, cards | {"BAND": band}, name, plane)


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
