"""Layers beside those of the FITS file that a cutout was made of, on its own pixel grid."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS

from galcnn.cutout import Cutout
from galcnn.errors import UnreadableImageError, message
from galcnn.files.astrometry import celestial_wcs, wcs_cards
from galcnn.files.fits_images import HDUChoice, chosen_hdus
from galcnn.files.hdus import plane_indices
from galcnn.files.layout import is_our_layout
from galcnn.files.sources import opened
from galcnn.layers.appending import append_hdus, numbers
from galcnn.layers.cells import coarse_hdu
from galcnn.layers.headers import FILE_TYPE
from galcnn.layers.layout import CUTOUT_HDU, stack_hdus
from galcnn.layers.regridding import Placement, placement
from galcnn.layers.stack import LayerStack

__all__ = ["write_into"]


def write_into(
    stack: LayerStack,
    original: str | os.PathLike[str],
    *,
    out: str | os.PathLike[str] | None = None,
    append: bool = False,
    hdu: HDUChoice | None = None,
) -> None:
    """Write the maps of a stack beside the image that its cutout was made of.

    Parameters
    ----------
    stack : LayerStack
        Its cutout was cut out of the image, resampled, binned, turned ...
    original : path-like
        FITS file of the image; not compressed as a whole.
    out : path-like, optional
        New file: all bytes of `original`, then the layers.
    append : bool
        Whether `original` itself gains the layers, in place of `out`. Its HDUs stay as they are,
        byte by byte; the file is replaced as a whole, or stays.
    hdu : int, str or sequence of them, optional
        Where the image is, see `galcnn.load_cutout`.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    galcnn.errors.UnreadableImageError
        It is no plain FITS file with an image, or damaged, or a layers file (`append_stack` adds
        to these).
    ValueError
        The cutout does not lie on the image, or nothing says where; or not one of `out` and
        `append` is given.

    Notes
    -----
    Each map has the shape and the WCS of the image, NaN where the cutout does not reach, and the
    values that `galcnn.layers.regridding` describes; where the cutout is a part of the image they
    are the same, bit by bit. The segmentation comes along, and coarse maps on the WCS of their
    cells; syntheses do not. `read_stacks` reads the layers back, `galcnn.load_cutout` the image as
    before.
    """
    path = Path(original)
    if (out is None) != append:
        raise ValueError(
            message("a new file, or append=True", "Give one of the two.", out=out, append=append)
        )
    if out is not None and Path(out).resolve() == path.resolve():
        raise ValueError(message("another file than the original", "Use append=True.", out=str(out)))
    with opened(path) as (hdulist, _):
        if hdulist[0].header.get("FILETYPE") == FILE_TYPE:
            raise UnreadableImageError(
                message(
                    "the file of an image", "append_stack (--append) adds to layers files.", path=str(path)
                )
            )
        image = _Image.of(hdulist, hdu)
        taken = [one.name for one in hdulist]
        number = max(numbers(hdulist), default=0) + 1
    place = placement(stack.cutout, image.wcs, image.shape)
    hdus = stack_hdus(_moved(stack, place), number=number, taken=taken, where=(CUTOUT_HDU, image.places))
    hdus = _with_coarse(hdus, stack)
    append_hdus(path, _whole(hdus, place, image), out=path if out is None else out)


@dataclass(frozen=True)
class _Image:
    """The image of the original: grid, WCS and where it is."""

    shape: tuple[int, int]
    wcs: WCS | None
    places: str

    @classmethod
    def of(cls, hdulist: fits.HDUList, hdu: HDUChoice | None) -> _Image:
        if hdu is None and is_our_layout(hdulist):
            first = next(one for one in hdulist if "GALCNN" in one.header and one.name.startswith("SCI_"))
            places = ""
        else:
            chosen = [one for one, _ in chosen_hdus(hdulist, hdu, None)]
            first = chosen[0]
            places = " ".join(str(i) for i, one in enumerate(hdulist) if any(one is c for c in chosen))
        _, shape = plane_indices(first)
        wcs, _ = celestial_wcs(first.header, shape)
        return cls(shape, wcs, places)


def _moved(stack: LayerStack, place: Placement) -> LayerStack:
    """The stack on the part of the image that holds the cutout."""
    blank = Cutout(np.zeros((1, *place.shape), np.float32), ("all",), wcs=place.wcs)
    explanations = [
        replace(explanation, attribution=place.maps(explanation), coarse=None)
        for explanation in stack.explanations
    ]
    labels = None if stack.segmentation is None else place.labels(stack.segmentation)
    return replace(stack, cutout=blank, explanations=tuple(explanations), syntheses=(), segmentation=labels)


def _with_coarse(hdus: Sequence[Any], stack: LayerStack) -> list[Any]:
    """Coarse maps lie on the sky by their own WCS, whatever the image's grid is."""
    if stack.cutout.wcs is None:
        return list(hdus)
    used = {hdu.name for hdu in hdus}
    like = next((hdu for hdu in hdus if "METHOD" in hdu.header), None)
    coarse = []
    for explanation in stack.explanations:
        if explanation.coarse is None or like is None:
            continue
        hdu = coarse_hdu(explanation, used, stack.cutout.wcs)
        if "CTYPE1" not in hdu.header:
            continue
        for card in ("LAYERFMT", "STACK", "OBJECT", "MODEL", "MODELSHA"):
            if card in like.header:
                hdu.header[card] = (like.header[card], like.header.comments[card])
        for card in ("CELL1_Y", "CELL1_X", "STEP_Y", "STEP_X"):
            del hdu.header[card]  # they count pixels of the cutout
        coarse.append(hdu)
    both = [*hdus[:-1], *coarse, hdus[-1]]
    both[-1].header["NHDU"] = len(both)
    both[-1].add_checksum()
    for hdu in coarse:
        hdu.add_checksum()
    return both


def _whole(hdus: Sequence[Any], place: Placement, image: _Image) -> Iterator[Any]:
    """Each layer on the whole image, one after the other: an image may be large."""
    cards = wcs_cards(image.wcs)
    rows, columns = (slice(c, c + n) for c, n in zip(place.corner, place.shape, strict=True))
    for hdu in hdus:
        if hdu.is_image and hdu.data.shape == place.shape and "FIELD_Y" not in hdu.header:
            fill = 0 if hdu.data.dtype.kind == "i" else np.nan
            data = np.full(image.shape, fill, dtype=hdu.data.dtype)
            data[rows, columns] = hdu.data
            header = hdu.header.copy()
            header.update(cards)
            whole = fits.ImageHDU(data, header)
            whole.add_checksum()
            yield whole
        else:
            yield hdu
