"""Where an image is: a path, bytes in memory or an open file; its kind is told by its first bytes."""

from __future__ import annotations

import io
import os
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from galcnn.errors import UnreadableImageError, message

__all__ = ["FileLike", "Source", "kind_of", "source_of"]

FileLike = str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO

_COMPRESSED = (b"\x1f\x8b", b"BZh", b"PK\x03\x04", b"\xfd7zXZ")
_PICTURES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n")


@dataclass(frozen=True)
class Source:
    """One file to read, any number of times.

    Attributes
    ----------
    name : str
        For errors and for the meta of a cutout.
    path : pathlib.Path or None
        On the disk.
    content : bytes or None
        In memory.
    """

    name: str
    path: Path | None = None
    content: bytes | None = None

    def open(self) -> BinaryIO:
        """Open it at its start.

        Returns
        -------
        binary file
            To be closed by the caller.
        """
        if self.path is not None:
            return open(self.path, "rb")
        return io.BytesIO(self.content or b"")

    @property
    def size(self) -> int:
        """Number of bytes."""
        return self.path.stat().st_size if self.path is not None else len(self.content or b"")


def source_of(file: FileLike | Source) -> Source:
    """Take what users have.

    Parameters
    ----------
    file : path-like, bytes or binary file
        A file is read from where it stands to its end.

    Returns
    -------
    Source
        That can be opened again and again.

    Raises
    ------
    TypeError
        It is none of these, or a file of text.
    """
    if isinstance(file, Source):
        return file
    if isinstance(file, bytes | bytearray | memoryview):
        return Source(f"{len(file)} bytes in memory", content=bytes(file))
    if isinstance(file, str | os.PathLike):
        return Source(os.fspath(file), path=Path(file))
    read = getattr(file, "read", None)
    content = read() if read is not None else None
    if not isinstance(content, bytes):
        raise TypeError(
            message(
                "a path, bytes, or a file open for reading bytes",
                "Open the file in mode 'rb'.",
                type=type(file).__name__,
            )
        )
    named = getattr(file, "name", None)  # an integer where it is a bare descriptor
    return Source(named if isinstance(named, str) else f"{len(content)} bytes in memory", content=content)


def kind_of(source: Source) -> str:
    """Tell FITS and pictures by their first bytes: names lie.

    Parameters
    ----------
    source : Source
        Any.

    Returns
    -------
    str
        ``fits`` or ``picture``.

    Raises
    ------
    FileNotFoundError, IsADirectoryError
        There is no such file.
    galcnn.errors.UnreadableImageError
        It is something else; the text says what.
    """
    if source.path is not None and not source.path.exists():
        raise FileNotFoundError(message("an existing image file", "Check the path.", path=source.name))
    if source.path is not None and source.path.is_dir():
        raise IsADirectoryError(message("an image file", "Name a file in this folder.", path=source.name))
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
        found = f"text: {start[:80].decode('ascii')}"
    else:
        found = f"bytes {start[:8]!r}"
    raise UnreadableImageError(
        message("a FITS, JPEG or PNG file", "Fetch the image again.", path=source.name, found=found)
    )
