"""Append stacks to FITS files without changing existing bytes; the file is replaced atomically."""

from __future__ import annotations

import io
import json
import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from astropy.io import fits

from galcnn._runtime import atomic
from galcnn.cutout import Cutout
from galcnn.errors import UnreadableImageError, message
from galcnn.files import cutout_hdus, load_cutout
from galcnn.files.sources import check_sums, opened
from galcnn.layers import tables
from galcnn.layers.headers import FILE_TYPE
from galcnn.layers.stack import (
    CUTOUT_HDU,
    CUTOUT_STACK,
    LayerStack,
    cutout_of,
    named,
    stack_fields,
    stack_hdus,
)
from galcnn.layers.syntheses import SYNTHESES_FILE

_BLOCK = 2880


def append_stack(path: str | os.PathLike[str], stack: LayerStack) -> None:
    """Append the result of another model or method to a layers file.

    Parameters
    ----------
    path : path-like
        Layers file of the same galaxy. Existing HDUs are not changed by a single byte, and the file is
        replaced atomically.
    stack : galcnn.layers.LayerStack
        Stack to append. Its cutout is written only if the file does not hold an identical one.

    Raises
    ------
    FileNotFoundError
        If the file does not exist.
    galcnn.errors.UnreadableImageError
        If the file is not a layers file, or damaged.
    ValueError
        If the file is of another galaxy.
    """
    wanted = [_content(hdu) for hdu in cutout_hdus(stack.cutout)]
    with opened(path) as (hdulist, _):
        _refuse_others(hdulist, Path(path))
        known, taken, behind = (
            LayerStack.from_hdulist(hdulist).id,
            [hdu.name for hdu in hdulist],
            numbers(hdulist),
        )
        same = next((i for i in (0, *behind) if _cutout_in(hdulist, i) == wanted), None)
    if known != stack.id:
        raise ValueError(
            message(f"layers of {known!r}, as in the file", "Write a file of its own.", id=stack.id)
        )
    where = None if same is None else (CUTOUT_STACK, same)
    number = max(behind, default=0) + 1
    append_hdus(path, stack_hdus(stack, number=number, taken=taken, where=where), out=path)


def read_stacks(path: str | os.PathLike[str]) -> tuple[LayerStack, ...]:
    """Read all stacks of a file.

    Parameters
    ----------
    path : path-like
        Layers file with one or more stacks, or another FITS file to which stacks were added by
        `galcnn.layers.write_into`; the cutout of these is the image of that file.

    Returns
    -------
    tuple of LayerStack
        Stacks in the order in which they were written, with bit-identical arrays.

    Raises
    ------
    FileNotFoundError
        If the file does not exist.
    galcnn.errors.UnreadableImageError
        If the file has no layers, is damaged, or is of a newer version.
    """
    file = Path(path)
    with opened(file) as (hdulist, _):
        try:
            stacks: dict[int, LayerStack] = {}
            if hdulist[0].header.get("FILETYPE") == FILE_TYPE:
                stacks[0] = LayerStack.from_hdulist(hdulist)
            else:
                check_sums(hdulist)  # of a file of others, whose HDUs `opened` only notes
            for number in numbers(hdulist):
                hdus = named(hdulist, number)
                stacks[number] = LayerStack(**stack_fields(hdus, _cutout_of(hdus, stacks, file)))
        except UnreadableImageError as error:
            raise UnreadableImageError(f"{file}: {error}") from error
    if not stacks:
        raise UnreadableImageError(message("a layers file", "galcnn explain writes them.", path=str(file)))
    return tuple(stacks.values())


def holds_result(
    path: str | os.PathLike[str], provenance: Mapping[str, Any], *, id: str | None = None
) -> bool:
    """Tell whether a file holds a stack or syntheses of this provenance and, if given, of this galaxy."""
    wanted = json.loads(json.dumps(provenance))
    with opened(path) as (hdulist, _):
        for number in (0, *numbers(hdulist)):
            hdus = named(hdulist, number)
            known = tables.PROVENANCE in hdus and tables.provenance_from(hdus[tables.PROVENANCE]) == wanted
            if known and (id is None or tables.prediction_from(hdus[tables.MORPHOLOGY]).ids == (id,)):
                return True
    return False


def already_written(
    path: str | os.PathLike[str],
    provenance: Mapping[str, Any],
    *,
    id: str | None = None,
    overwrite: bool = False,
) -> bool:
    """Tell whether an earlier run wrote this result; raise `ExistsError` if the file is another one.

    An incomplete file of galcnn may be replaced, others only with `overwrite`.
    """
    file = Path(path)
    if file.is_file():
        try:
            if holds_result(file, provenance, id=id):
                return True
        except (UnreadableImageError, OSError):
            with open(file, "rb") as handle:
                begin = handle.read(10 * _BLOCK)
            overwrite |= any(kind.encode() in begin for kind in (FILE_TYPE, SYNTHESES_FILE))
    atomic.check_writable(file, overwrite=overwrite)
    return False


def numbers(hdulist: Iterable[Any]) -> list[int]:
    """Return the numbers of the appended stacks; 0, the first stack of a layers file, is not listed."""
    return sorted({int(hdu.header["STACK"]) for hdu in hdulist if "STACK" in hdu.header})


def append_hdus(path: str | os.PathLike[str], hdus: Iterable[Any], *, out: str | os.PathLike[str]) -> None:
    """Write a FITS file that starts with all bytes of another file, which may be `out` itself."""
    file = Path(path)
    _refuse_odd_end(file)
    with atomic.writing(out) as temporary:
        shutil.copyfile(file, temporary)
        with open(temporary, "ab") as handle:
            for hdu in hdus:
                buffer = io.BytesIO()
                # Written after an empty primary HDU of one block, which is cut off again.
                fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(buffer, output_verify="exception")
                handle.write(buffer.getbuffer()[_BLOCK:])


def _refuse_odd_end(file: Path) -> None:
    with open(file, "rb") as handle:
        plain = handle.read(6) == b"SIMPLE"
    end = -1
    if plain:
        with opened(file, parts=True, sums=False) as (hdulist, _):
            place = hdulist[-1].fileinfo()
            end = place["datLoc"] + place["datSpan"]
    if end != file.stat().st_size:
        raise UnreadableImageError(
            message(
                "a plain FITS file that ends with its last HDU",
                "Unpack it first (gunzip, bunzip2), or rewrite it with astropy.",
                path=str(file),
                size_bytes=file.stat().st_size,
                last_hdu_ends_at=end if plain else "not plain FITS",
            )
        )


def _refuse_others(hdulist: fits.HDUList, file: Path) -> None:
    if hdulist[0].header.get("FILETYPE") != FILE_TYPE:
        raise UnreadableImageError(
            message(
                "a layers file to append to",
                "Use --onto (in Python: galcnn.layers.write_into) for other FITS files.",
                path=str(file),
                filetype=hdulist[0].header.get("FILETYPE"),
            )
        )


def _cutout_in(hdulist: fits.HDUList, number: int) -> list[tuple[str, bytes]]:
    """Return cards and pixels of the cutout in a stack, laid out again; empty if it has no own cutout."""
    hdus = named(hdulist, number)
    if not any("GALCNN" in hdu.header for hdu in hdus.values()):
        return []
    return [_content(hdu) for hdu in cutout_hdus(cutout_of(hdus))]


def _content(hdu: Any) -> tuple[str, bytes]:
    return hdu.header.tostring(), hdu.data.tobytes()


def _cutout_of(hdus: dict[str, Any], stacks: dict[int, LayerStack], file: Path) -> Cutout | None:
    """Return the shared cutout of a stack: that of another stack, or the image of the file."""
    if tables.MORPHOLOGY not in hdus:
        return None  # reported when the stack is read
    header = hdus[tables.MORPHOLOGY].header
    if CUTOUT_STACK in header:
        other = stacks.get(header[CUTOUT_STACK])
        return None if other is None else other.cutout
    if CUTOUT_HDU in header:
        places = [int(place) for place in str(header[CUTOUT_HDU]).split()]
        return load_cutout(file, hdu=places or None)  # None: use the default reading of galcnn's own files
    return None
