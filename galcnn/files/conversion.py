"""Convert what users hold to cutouts: paths, arrays, NDData, HDULists, one or many."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import astropy.units as u
import numpy as np
import numpy.typing as npt
from astropy.io import fits
from astropy.nddata import NDData

from galcnn.cutout import Cutout
from galcnn.errors import message, wrong_type
from galcnn.files.loading import load_cutout
from galcnn.files.nddata import from_nddata

_ACCEPTED = (
    "a cutout: a Cutout, a path to an image file, NDData, an HDUList, or an array of shape (n_bands, ny, nx)"
)
_MANY = f"{_ACCEPTED}; or several"


def as_cutout(image: Any, *, bands: Sequence[str] | None = None, unit: u.UnitBase = u.nJy) -> Cutout:
    """Convert an image of one galaxy to a cutout.

    Parameters
    ----------
    image : Cutout, path-like, bytes, binary file, NDData, HDUList or numpy.ndarray
        Image. A cutout is returned as it is; files and HDULists are read by `load_cutout`, NDData and
        CCDData by `from_nddata`. An array has the shape (n_bands, ny, nx), bands first and row 0 at the
        bottom, or (ny, nx) for a single band.
    bands : sequence of str, optional
        Names of the bands; required for an array, and used for files and NDData as their readers state.
    unit : astropy.units.UnitBase
        Unit of an array. Other images have their own.

    Returns
    -------
    galcnn.cutout.Cutout
        Cutout.

    Raises
    ------
    TypeError
        If `image` is none of these, or an array without bands.
    ValueError
        If the axes of an array are not those of the bands, or could be either way round.
    OSError, galcnn.errors.UnreadableImageError
        If a file cannot be read.

    Examples
    --------
    >>> import numpy as np
    >>> as_cutout(np.ones((2, 8, 8)), bands=("g", "r")).shape
    (8, 8)
    """
    if isinstance(image, Cutout):
        return image
    if isinstance(bands, str):
        bands = (bands,)
    if isinstance(image, NDData):
        return from_nddata(image, bands=bands)
    if isinstance(image, np.ndarray):
        return _from_array(image, bands, unit)
    if _is_file(image):
        return load_cutout(image, bands=bands)
    raise wrong_type(_ACCEPTED, image=image)


def as_cutouts(
    images: Any,
    *,
    bands: Sequence[str] | None = None,
    unit: u.UnitBase = u.nJy,
    shape: tuple[int, int] | None = None,
) -> list[Cutout]:
    """Convert one or many images to cutouts, each as `as_cutout` does.

    Here `bands`, `unit` and `shape` are those of arrays alone; an array of four axes, (n, n_bands, ny, nx),
    is many images. A known `shape`, (ny, nx), tells bands from rows where both are as many.
    """
    return [
        _from_array(one, bands, unit, shape) if isinstance(one, np.ndarray) else as_cutout(one)
        for one in listed(images)
    ]


def listed(images: Any) -> list[Any]:
    """Return one or many images as a list, after checking their types; nothing is read."""
    if isinstance(images, np.ndarray) and images.dtype.kind in "SU":  # paths, as a column of a table
        images = images.astype(str).ravel().tolist()
    if isinstance(images, np.ndarray):
        return list(images) if images.ndim == 4 else [images]
    if is_one(images):
        return [images]
    if not isinstance(images, Iterable) or isinstance(images, Mapping | type):
        raise wrong_type(_MANY, images=images)
    several = list(images)
    for one in several:
        if not isinstance(one, np.ndarray) and not is_one(one):
            raise wrong_type(_MANY, image=one)
    return several


def is_one(images: object) -> bool:
    """Return True for one image that is no array: a cutout, NDData, HDUList or file."""
    return isinstance(images, Cutout | NDData) or _is_file(images)


def _is_file(image: object) -> bool:
    files = str | os.PathLike | bytes | bytearray | memoryview | fits.HDUList
    return isinstance(image, files) or (hasattr(image, "read") and not isinstance(image, type))


def _from_array(
    array: npt.NDArray[Any],
    bands: Sequence[str] | None,
    unit: u.UnitBase,
    shape: tuple[int, int] | None = None,
) -> Cutout:
    if bands is None:
        raise wrong_type(
            "names of the bands of an array", "State them: bands=('g', 'r'), in the order of the planes."
        )
    names = tuple(bands)
    planes = array[np.newaxis] if array.ndim == 2 else array
    n, last = len(names), "Move the last axis: numpy.moveaxis(array, -1, 0)."
    expected = f"an array of shape (n_bands, ny, nx) with {n} band(s), {names}"
    if planes.ndim != 3 or (shape is not None and planes.shape == (*shape, n) != (n, *shape)):
        raise ValueError(message(expected, last if planes.ndim == 3 else "", shape=array.shape))
    if planes.shape[0] != n:
        raise ValueError(message(expected, last if planes.shape[-1] == n else "", shape=array.shape))
    if planes.shape[-1] == n > 1 and shape is None and planes.shape[1] != n:
        raise ValueError(
            message(
                f"an array whose bands are certain; the first and the last axis have {n} elements",
                "Make the cutout yourself, with bands first: Cutout(array, bands).",
                shape=array.shape,
            )
        )
    return Cutout(planes, names, survey="array", unit=unit)
