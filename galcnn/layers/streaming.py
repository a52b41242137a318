"""A synthesis that is larger than memory -> the file that `write_syntheses` writes, strip by strip."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from astropy.io import fits

from galcnn import atomic
from galcnn.explain.synthesis import Synthesis
from galcnn.files.astrometry import wcs_cards
from galcnn.layers import tables
from galcnn.layers.headers import synthesis_header
from galcnn.layers.syntheses import new_names, primary, synthesis_table

if TYPE_CHECKING:
    from astropy.wcs import WCS

__all__ = ["stream_synthesis"]

#: Gives image and start of one band, shape (n_rows, nx) each, strip by strip from the first row on.
Strip = tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]


def stream_synthesis(
    path: str | os.PathLike[str],
    about: Synthesis,
    strips: Callable[[int], Iterator[Strip]],
    *,
    shape: tuple[int, int],
    provenance: Mapping[str, Any],
    wcs: WCS | None,
) -> None:
    """Write an image made for a target, whole or not at all, without holding it in memory.

    Parameters
    ----------
    path : path-like
        An older file is replaced.
    about : galcnn.explain.Synthesis
        All but the pixels: its own may be few.
    strips : callable
        From the number of a band to image and start, strip by strip; asked once for each layer.
    shape : tuple of int
        Pixels as (ny, nx).
    provenance : mapping of str to Any
        Values that JSON can write.
    wcs : astropy.wcs.WCS or None
        Of the images.

    Notes
    -----
    The layers have no checksums, which would need the whole of a plane beforehand.
    """
    taken, cards = {"PRIMARY", tables.PROVENANCE}, wcs_cards(wcs)
    names = new_names(about, tuple(_MADE), taken)
    with atomic.writing(path) as temporary:
        primary(sum(map(len, names.values())) + 2).writeto(temporary, output_verify="exception")
        for part, make in _MADE.items():
            for number, (name, band) in enumerate(zip(names[part], about.bands, strict=True)):
                header = fits.ImageHDU().header
                header["BITPIX"], header["NAXIS"] = -32, 2
                header.insert("NAXIS", ("NAXIS1", shape[1]), after=True)
                header.insert("NAXIS1", ("NAXIS2", shape[0]), after=True)
                header.extend(synthesis_header(name, about, (part, band), cards))
                _stream(Path(temporary), header, (make(*strip) for strip in strips(number)))
        with fits.open(temporary, mode="append") as hdulist:
            hdulist.append(synthesis_table([about], [names]))
            hdulist.append(tables.provenance_table(provenance))


def _stream(path: Path, header: fits.Header, rows: Iterator[npt.NDArray[np.float32]]) -> None:
    with open(path, "ab+") as handle:
        handle.seek(0, os.SEEK_END)
        handle.write(header.tostring().encode("ascii"))
        written = 0
        for strip in rows:
            written += handle.write(np.ascontiguousarray(strip, dtype=">f4").tobytes())
        handle.write(b"\0" * (-written % 2880))


def _difference(image: npt.NDArray[np.float32], start: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    with np.errstate(invalid="ignore", over="ignore"):
        return image - start


def _ten_times(image: npt.NDArray[np.float32], start: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    with np.errstate(over="ignore"):
        return np.float32(10) * _difference(image, start)


#: What is laid out, as in a file that is written at once.
_MADE: Mapping[str, Callable[..., npt.NDArray[np.float32]]] = {
    "image": lambda image, start: image,
    "start": lambda image, start: start,
    "difference": _difference,
    "ten times the difference": _ten_times,
}
