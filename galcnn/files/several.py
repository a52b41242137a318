"""One galaxy in several files, named by one text: for command lines and tables."""

from __future__ import annotations

import os
from pathlib import Path

from galcnn.cutout import Cutout
from galcnn.files.loading import load_bands, load_cutout

__all__ = ["files_of", "load_files"]


def files_of(path: str | os.PathLike[str]) -> tuple[str, ...]:
    """Tell the files of one galaxy apart.

    Parameters
    ----------
    path : path-like
        One file, or several separated by commas.

    Returns
    -------
    tuple of str
        A file whose name holds a comma is one file; those after the first may be named from the
        folder of the first.

    Examples
    --------
    >>> files_of("folder/g.fits,r.fits")
    ('folder/g.fits', 'folder/r.fits')
    """
    text = os.fspath(path)
    if "," not in text or Path(text).exists():
        return (text,)
    first, *others = (part.strip() for part in text.split(",") if part.strip())
    folder = Path(first).parent
    return (first, *(other if Path(other).exists() else str(folder / other) for other in others))


def load_files(
    path: str | os.PathLike[str], *, bands: tuple[str, ...] | None = None, grid: str | None = None
) -> Cutout:
    """Load the image of one galaxy from one file or several.

    Parameters
    ----------
    path : path-like
        See `files_of`.
    bands : tuple of str, optional
        Which bands; names for all planes where the files name none.
    grid : str, optional
        Band whose grid is kept, see `load_bands`; by default they must be on one.

    Returns
    -------
    galcnn.cutout.Cutout
        In all bands.
    """
    files = files_of(path)
    if len(files) == 1:
        return load_cutout(files[0], bands=bands)
    if grid is None:
        return load_cutout(files, bands=bands)
    return load_bands(files, reference=grid, bands=bands)
