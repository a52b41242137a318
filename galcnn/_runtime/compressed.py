"""Files that are compressed as a whole: gzip, bzip2, xz, or a zip archive of one file."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import lzma
import zipfile
from collections.abc import Iterator
from typing import Any, BinaryIO

_ZIP = b"PK\x03\x04"
_DECOMPRESSORS: tuple[tuple[bytes, Any], ...] = ((b"\x1f\x8b", gzip), (b"BZh", bz2), (b"\xfd7zXZ", lzma))
#: First bytes of compressed files, and the number of bytes that tells them.
COMPRESSED = (_ZIP, *(magic for magic, _ in _DECOMPRESSORS))
MAGIC = 6


@contextlib.contextmanager
def unpacked(handle: BinaryIO) -> Iterator[BinaryIO]:
    """Open what a compressed file holds."""
    start = handle.read(MAGIC)
    handle.seek(0)
    with contextlib.ExitStack() as stack:
        if start.startswith(_ZIP):
            archive = stack.enter_context(zipfile.ZipFile(handle))
            names = archive.namelist()
            if len(names) != 1:
                raise OSError(f"a zip archive of {len(names)} files, not one")
            yield stack.enter_context(archive.open(names[0]))  # type: ignore[misc]
        else:
            module = next(module for magic, module in _DECOMPRESSORS if start.startswith(magic))
            yield stack.enter_context(module.open(handle))
