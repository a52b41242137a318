"""Sources of images (paths, bytes in memory, open files), and opening of FITS files.

What passes a decoder in C (tiles, gzip and the like, JPEG, PNG) is decoded in a reader process
(`galcnn._runtime.reader`), and so is everything of an untrusted source. All damage raises one kind of error,
and astropy's warnings are kept as notes.
"""

from __future__ import annotations

import contextlib
import io
import os
import stat
import sys
import threading
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import numpy as np
import numpy.typing as npt
from astropy.io import fits
from astropy.utils.exceptions import AstropyWarning

from galcnn._runtime.compressed import COMPRESSED, MAGIC
from galcnn._runtime.decoding import PICTURES
from galcnn._runtime.fits_blocks import Unit, changed, units_of
from galcnn._runtime.reader import decode
from galcnn.errors import UnreadableImageError, message, reading, wrong_type
from galcnn.files.plain import NotPlain, plain_hdus

#: Opening a pipe waits for its other end, unless told otherwise.
_NO_WAIT = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
#: Larger plain files are read in parts.
_SMALL = 64 << 20
#: Warning filters are common to all threads.
WARNINGS_LOCK = threading.RLock()


@dataclass(frozen=True)
class Source:
    """A file that can be read several times.

    Attributes
    ----------
    name : str
        Name for error texts and for the meta of a cutout.
    path : pathlib.Path or None
        File on disk.
    content : bytes or None
        Content in memory.
    untrusted : bool
        If True, plain FITS is also read in a reader process first, see `untrusted`.
    """

    name: str
    path: Path | None = None
    content: bytes | None = None
    untrusted: bool = False

    def open(self) -> BinaryIO:
        """Open the file at its start; pipes, sockets and devices are refused, and do not block."""
        if self.path is None:
            return io.BytesIO(self.content or b"")
        found = os.open(self.path, os.O_RDONLY | _NO_WAIT)
        kind = os.fstat(found).st_mode
        if not stat.S_ISREG(kind):
            os.close(found)
            if stat.S_ISDIR(kind):
                raise IsADirectoryError(f"{self.name} is a folder; give an image file.")
            raise UnreadableImageError(
                message("a file, not a pipe, socket or device", "Write it to a file first.", path=self.name)
            )
        return os.fdopen(found, "rb")

    @property
    def size(self) -> int:
        """Size in bytes."""
        return self.path.stat().st_size if self.path is not None else len(self.content or b"")

    def read(self) -> bytes:
        """Return the content; of a file, as many bytes as it has when it is opened."""
        if self.path is None:
            return self.content or b""
        with self.open() as handle:
            return handle.read(os.fstat(handle.fileno()).st_size)


FileLike: TypeAlias = (
    str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO | fits.HDUList | Source
)


def source_of(file: FileLike) -> Source:
    """Make a source from a path, bytes, an open binary file or an HDUList."""
    if isinstance(file, Source):
        return file
    if isinstance(file, fits.HDUList):
        content = io.BytesIO()
        file.writeto(content, output_verify="ignore")
        return Source(file.filename() or "HDUList in memory", content=content.getvalue())
    if isinstance(file, bytes | bytearray | memoryview):
        return Source(f"{len(file)} bytes in memory", content=bytes(file))
    if isinstance(file, str | os.PathLike):
        return Source(os.fspath(file), path=Path(file))
    read = getattr(file, "read", None)
    found = read() if callable(read) and not isinstance(file, type) else None
    if not isinstance(found, bytes):
        raise wrong_type(
            "an HDUList, a path, bytes, or a file open for reading bytes (mode 'rb')",
            "Convert NDData and arrays with galcnn.files.as_cutout.",
            file=file,
        )
    named = getattr(file, "name", None)  # an integer for a bare file descriptor
    return Source(named if isinstance(named, str) else f"{len(found)} bytes in memory", content=found)


def untrusted(file: FileLike, name: str | None = None) -> Source:
    """Make a source of what came from a service or a request: a reader process reads it first.

    Examples
    --------
    >>> untrusted(b"SIMPLE  =", "answer of a service")
    Source(name='answer of a service', path=None, content=b'SIMPLE  =', untrusted=True)
    """
    source = source_of(file)
    return replace(source, name=name or source.name, untrusted=True)


def in_memory(source: Source) -> Source:
    """Read a file of at most 64 MiB, of which everything is then asked without opening it again."""
    if source.path is None:
        return source
    _check_file(source)
    with source.open() as handle:
        size = os.fstat(handle.fileno()).st_size
        return source if size > _SMALL else replace(source, path=None, content=handle.read(size))


def kind_of(source: Source) -> str:
    """Return "fits" or "picture", from the first bytes of a file and not from its name."""
    _check_file(source)
    with source.open() as handle:
        start = handle.read(512)
    if start.startswith((b"SIMPLE  =", *COMPRESSED)):
        return "fits"
    if start.startswith(PICTURES):
        return "picture"
    text = start.lstrip().lower()
    if not start:
        found = "an empty file"
    elif text.startswith((b"<!doctype html", b"<html", b"<head")):
        found = "a web page (a service's error message?)"
    elif all(32 <= byte < 127 or byte in b"\t\r\n" for byte in start):
        found = "text"
    else:
        found = "bytes of another format"
    raise UnreadableImageError(
        message("a FITS, JPEG or PNG file", "Fetch the image again.", path=source.name, found=found)
    )


def is_packed(path: Path) -> bool:
    """Return True for a file that is compressed as a whole, as by gzip."""
    source = source_of(path)
    _check_file(source)
    with source.open() as handle:
        return handle.read(MAGIC).startswith(COMPRESSED)


def _check_file(source: Source) -> None:
    if source.path is not None and not source.path.exists():
        raise FileNotFoundError(f"File not found: {source.name}.")
    if source.path is not None and source.path.is_dir():
        raise IsADirectoryError(f"{source.name} is a folder; give an image file.")


@contextlib.contextmanager
def opened(
    file: FileLike, *, strict: bool = False, parts: bool = False, sums: bool = True, plain: bool = False
) -> Iterator[tuple[fits.HDUList, Notes]]:
    """Open a FITS file; astropy's warnings, and sums that do not match, are collected in notes.

    With `strict`, these sums are an error. With `parts`, for files of which parts are read later,
    tile-compressed images are left so. Without `sums`, they are not verified again. With `plain`, the HDUs
    are a list of `galcnn.files.plain` if possible, and `NotPlain` asks to open the file again without it.
    """
    source = source_of(file)
    _check_file(source)
    notes = Notes()
    others: list[warnings.WarningMessage] = []
    with contextlib.ExitStack() as stack:
        stack.enter_context(_damage(source))
        # All before the lock: the file may be slow, and its decoder too.
        handle, units = stack.enter_context(_plain(source, notes, parts=parts))
        if sums:
            _check_sums(handle, units, notes, strict=strict)
        handle.seek(0)
        with WARNINGS_LOCK, warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", AstropyWarning)
            try:
                with contextlib.ExitStack() as files:
                    small = handle.getvalue() if plain and isinstance(handle, io.BytesIO) else None
                    hdus: Any = None if small is None else plain_hdus(small, units)
                    if hdus is None:
                        # memmap=False, since the file may be replaced or removed while the cutout exists.
                        # Our own handle, since astropy leaves its handle open if the file is damaged.
                        options = {"lazy_load_hdus": False, "disable_image_compression": not parts}
                        hdus = files.enter_context(fits.open(handle, memmap=False, **options))
                        _refuse_cut_off(caught, source.name)
                    yield hdus, notes
            finally:
                notes += [" ".join(str(w.message).split()) for w in caught if _of_astropy(w)]
                others += [w for w in caught if not _of_astropy(w)]
    for w in others:
        warnings.warn_explicit(w.message, w.category, w.filename, w.lineno)


def decoded_picture(source: Source) -> tuple[str, bool, npt.NDArray[Any]]:
    """Return format, depth (True for 16-bit grey) and pixels of a JPEG or PNG, the upper row first."""
    facts, pixels = decode(source.read(), source.name)
    if pixels is None or "format" not in facts:
        raise UnreadableImageError(message("a JPEG or PNG", "Fetch the picture again.", path=source.name))
    shape = tuple(facts["shape"])
    return facts["format"], facts["deep"], np.frombuffer(pixels, dtype=facts["dtype"]).reshape(shape)


class Notes(list[str]):
    """Notes on an open file, and its HDUs that do not match their checksums."""

    def __init__(self) -> None:
        super().__init__()
        self.changed: list[str] = []


def check_sums(hdulist: fits.HDUList) -> None:
    """Raise an error if data do not match their checksum, since a changed pixel may go unnoticed."""
    # HDUs that astropy cannot identify have no method to verify them.
    changed = [
        hdu.name or type(hdu).__name__
        for hdu in hdulist
        if not hasattr(hdu, "verify_datasum") or ("DATASUM" in hdu.header and hdu.verify_datasum() == 0)
    ]
    if changed:
        raise UnreadableImageError(
            message("data that match their checksum", "Restore the file.", damaged=changed)
        )


@contextlib.contextmanager
def _damage(source: Source) -> Iterator[None]:
    """Make whatever is raised for a damaged file one kind of error, which names the file."""
    try:
        with reading("a whole FITS file", "Fetch it again.", path=source.name, size_bytes=source.size):
            yield
    except UnreadableImageError as error:
        if isinstance(error, NotPlain) or source.name in str(error):
            raise
        raise UnreadableImageError(f"{source.name}: {error}") from error


@contextlib.contextmanager
def _plain(source: Source, notes: Notes, *, parts: bool) -> Iterator[tuple[BinaryIO, list[Unit]]]:
    """Open a file as plain FITS, with its structure, which fits into the file."""
    with source.open() as file:
        handle, size = file, source.size
        if size <= _SMALL and source.path is not None:
            handle = io.BytesIO(file.read(size))
        packed = handle.read(MAGIC).startswith(COMPRESSED)
        units = [] if packed else units_of(handle, size, sys.maxsize)
        if packed or source.untrusted or (not parts and any(unit.tiled for unit in units)):
            handle.seek(0)
            facts, plain = decode(handle.read(size), source.name)
            notes += facts.get("notes", [])
            if plain is not None:
                handle, size = io.BytesIO(plain), len(plain)
                units = units_of(handle, size, sys.maxsize)
        for unit in units:
            if unit.behind_end:
                notes.append(f"{unit.behind_end} bytes behind the END of HDU {unit.name} are not read")
        end = units[-1].end if units else size
        if end < size:
            notes.append(f"{size - end} bytes after the last HDU are not read")
            if isinstance(handle, io.BytesIO):
                handle.truncate(end)
        yield handle, units


def _check_sums(handle: BinaryIO, units: list[Unit], notes: Notes, *, strict: bool) -> None:
    """Note what was changed after it was written; in our own files, or if strict, raise an error."""
    ours = bool(units) and units[0].ours
    for unit, keyword in changed(handle, units):
        if strict or ours or unit.ours or unit.tiled:
            raise UnreadableImageError(
                message(
                    "data that match their checksum", "Restore the file.", damaged=unit.name, card=keyword
                )
            )
        notes.changed.append(unit.name)
        what = "pixels" if keyword == "DATASUM" else "header cards"
        notes.append(
            f"{keyword} of HDU {unit.name} does not match: other {what} than when it was written "
            "(damage, an edit, or a cutout with the header of its image)"
        )


def _of_astropy(caught: warnings.WarningMessage) -> bool:
    return issubclass(caught.category, AstropyWarning)


def _refuse_cut_off(caught: Sequence[warnings.WarningMessage], name: str) -> None:
    """Raise an error for truncated files, about which astropy only warns."""
    for w in caught:
        if _of_astropy(w) and "truncated" in str(w.message):
            raise UnreadableImageError(
                message("a whole FITS file", "Fetch it again.", path=name, error=str(w.message))
            )
