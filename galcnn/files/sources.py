"""Sources of images (paths, bytes in memory, open files), and opening of FITS files.

All damage raises one kind of error, and astropy's warnings are kept as notes.
"""

from __future__ import annotations

import bz2
import contextlib
import gzip
import io
import lzma
import os
import threading
import warnings
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

from astropy.io import fits
from astropy.utils.exceptions import AstropyWarning

from galcnn.errors import UnreadableImageError, message, reading, wrong_type

FileLike: TypeAlias = str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO | fits.HDUList

_COMPRESSED = (b"\x1f\x8b", b"BZh", b"PK\x03\x04", b"\xfd7zXZ")
_PICTURES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n")
_DECOMPRESSORS: tuple[tuple[bytes, Any], ...] = ((b"\x1f\x8b", gzip), (b"BZh", bz2), (b"\xfd7zXZ", lzma))
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
    """

    name: str
    path: Path | None = None
    content: bytes | None = None

    def open(self) -> BinaryIO:
        """Open the file at its start."""
        if self.path is not None:
            return open(self.path, "rb")
        return io.BytesIO(self.content or b"")

    @property
    def size(self) -> int:
        """Size in bytes."""
        return self.path.stat().st_size if self.path is not None else len(self.content or b"")


def source_of(file: FileLike | Source) -> Source:
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


def kind_of(source: Source) -> str:
    """Return "fits" or "picture", from the first bytes of a file and not from its name."""
    _check_file(source)
    with source.open() as handle:
        start = handle.read(512)
    if start.startswith((b"SIMPLE  =", *_COMPRESSED)):
        return "fits"
    if start.startswith(_PICTURES):
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


def _check_file(source: Source) -> None:
    if source.path is not None and not source.path.exists():
        raise FileNotFoundError(f"File not found: {source.name}.")
    if source.path is not None and source.path.is_dir():
        raise IsADirectoryError(f"{source.name} is a folder; give an image file.")


@contextlib.contextmanager
def opened(file: FileLike | Source) -> Iterator[tuple[fits.HDUList, list[str]]]:
    """Open a FITS file; astropy's warnings are collected in a list."""
    source = source_of(file)
    _check_file(source)
    notes: list[str] = []
    with WARNINGS_LOCK, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", AstropyWarning)
        try:
            # memmap=False, since the file may be replaced or removed while the cutout exists.
            # Our own handle, since astropy leaves its handle open if the file is damaged.
            with (
                reading("a whole FITS file", "Fetch it again.", path=source.name, size_bytes=source.size),
                _plain(source) as handle,
                fits.open(handle, memmap=False, lazy_load_hdus=False) as hdulist,
            ):
                _refuse_cut_off(caught, source.name)
                yield hdulist, notes
        finally:
            notes += [" ".join(str(w.message).split()) for w in caught if _of_astropy(w)]
            others = [w for w in caught if not _of_astropy(w)]
    for w in others:
        warnings.warn_explicit(w.message, w.category, w.filename, w.lineno)


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


def _plain(source: Source) -> BinaryIO:
    """Return a handle for astropy, which decompresses files but not content in memory."""
    handle = source.open()
    if source.content is None:
        return handle
    if source.content.startswith(b"PK\x03\x04"):
        with zipfile.ZipFile(handle) as archive:
            names = archive.namelist()
            if len(names) != 1:
                raise OSError(f"a zip archive of {len(names)} files, not one")
            return io.BytesIO(archive.read(names[0]))
    for magic, module in _DECOMPRESSORS:
        if source.content.startswith(magic):
            with module.open(handle) as plain:
                return io.BytesIO(plain.read())
    return handle


def _of_astropy(caught: warnings.WarningMessage) -> bool:
    return issubclass(caught.category, AstropyWarning)


def _refuse_cut_off(caught: Sequence[warnings.WarningMessage], name: str) -> None:
    """Raise an error for truncated files, about which astropy only warns."""
    for w in caught:
        if _of_astropy(w) and "truncated" in str(w.message):
            raise UnreadableImageError(
                message("a whole FITS file", "Fetch it again.", path=name, error=str(w.message))
            )
