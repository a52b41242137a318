"""A page of an atlas: a figure, its caption, and its arrays as FITS."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy.typing as npt
from astropy.io import fits
from astropy.table import Table

from galcnn._runtime import atomic
from galcnn.files.text import unique_name, word
from galcnn.layers.headers import card_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from galcnn.pipeline.atlas.subject import AtlasSubject


_LONGEST_NAME = 60


@dataclass(frozen=True)
class Page:
    """A page that can be made.

    Attributes
    ----------
    name : str
        Name of its files, without suffix.
    title : str
        Heading in the index.
    make : callable
        Function that makes the page: AtlasSubject -> Sheet.
    """

    name: str
    title: str
    make: Callable[[AtlasSubject], Sheet]


@dataclass(frozen=True)
class Missing:
    """A page that cannot be made for this model.

    Attributes
    ----------
    title : str
        Heading of the page.
    reason : str
        Reason why it cannot be made.
    """

    title: str
    reason: str


@dataclass(frozen=True, eq=False)
class Sheet:
    """The content of a page.

    Attributes
    ----------
    figure : matplotlib.figure.Figure
        The figure.
    caption : str
        Caption of the figure.
    write : callable
        Function that writes the arrays to a path, atomically.
    """

    figure: Figure
    caption: str
    write: Callable[[Path], None]


def write_arrays(
    path: Path,
    images: Sequence[tuple[str, npt.NDArray[Any], Mapping[str, Any]]],
    *,
    tables: Sequence[tuple[str, Table]] = (),
) -> None:
    """Write arrays and tables atomically as a FITS file with checksums."""
    taken: set[str] = {"PRIMARY"}
    hdus: list[Any] = [fits.PrimaryHDU()]
    for name, array, cards in images:
        hdu = fits.ImageHDU(array)
        hdu.header["EXTNAME"] = _named(name, taken)
        for key, value in cards.items():
            hdu.header[key] = card_text(value) if isinstance(value, str) else value
        hdus.append(hdu)
    for name, table in tables:
        hdu = fits.table_to_hdu(table)
        hdu.header["EXTNAME"] = _named(name, taken)
        hdus.append(hdu)
    for hdu in hdus:
        hdu.add_checksum()
    with atomic.writing(path) as temporary, open(temporary, "wb") as handle:
        fits.HDUList(hdus).writeto(handle)


def _named(text: str, taken: set[str]) -> str:
    name = unique_name(word(text, _LONGEST_NAME), taken)
    taken.add(name)
    return name
