"""Read VOTables of unknown origin: no address in them is opened, and their size is bounded."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from xml.parsers import expat

from galcnn.errors import message

if TYPE_CHECKING:
    from astropy.io.votable.tree import VOTableFile

#: First bytes of gzip, bzip2 and xz, which astropy would decompress without a limit.
_COMPRESSED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ")
#: Bytes of an element in memory, by datatype; text takes four a character.
_BYTES = {"boolean": 1, "bit": 1, "unsignedByte": 1, "short": 2, "int": 4, "float": 4} | dict.fromkeys(
    ("char", "unicodeChar"), 4
)
_TEXT = ("char", "unicodeChar")
#: Size of a table: so many numbers and bytes, and so many more for each byte of the file. A number takes a
#: byte or more of a file, unless it is a bit or in an array that is left empty; text is padded in memory.
_NUMBERS, _NUMBERS_PER_BYTE = 10**6, 8
_MEMORY, _MEMORY_PER_BYTE = 2**28, 16


def parse_votable(content: bytes, *, verify: str | None = None) -> VOTableFile:
    """Parse a VOTable.

    Parameters
    ----------
    content : bytes
        The whole document, not compressed.
    verify : str, optional
        As in `astropy.io.votable.parse`.

    Returns
    -------
    astropy.io.votable.tree.VOTableFile
        The parsed document.

    Raises
    ------
    ValueError
        If data are stored at an address (``<STREAM href=...>``), entities are declared, the document is
        compressed, or a table is declared far larger than the document.
    Exception
        Exceptions of astropy for a damaged document.
    """
    from astropy.io.votable import parse
    from astropy.utils.xml.iterparser import get_xml_iterator

    if content.startswith(_COMPRESSED):
        raise ValueError(
            message("a VOTable that is not compressed", "Decompress it.", found=content[:2].hex())
        )
    _check_entities(content)
    # The events are those that astropy's reader gets, so that no spelling is missed.
    with get_xml_iterator(io.BytesIO(content)) as events:
        table = _Size(len(content))
        for start, tag, attributes, _ in events:
            if not start:
                continue
            if tag == "STREAM" and "href" in attributes:
                # astropy would open it, whether on this machine or another one.
                raise ValueError(
                    message("a VOTable that contains its data", "Save it with its data inside.", href="given")
                )
            table.add(tag, attributes)
    return parse(io.BytesIO(content), verify=verify)


def _check_entities(content: bytes) -> None:
    """Raise an error if a document declares entities: astropy drops the external ones without a word."""

    def declared(*_: object) -> None:
        raise ValueError(
            message("a VOTable without entity declarations", "Save it without.", entities="declared")
        )

    def begun(*_: object) -> None:
        raise StopIteration  # declarations stand before the first element

    parser = expat.ParserCreate()
    parser.EntityDeclHandler, parser.StartElementHandler = declared, begun
    try:
        parser.Parse(content, True)
    except StopIteration:
        pass
    except expat.ExpatError as error:
        raise ValueError(message("a VOTable", "Is the file complete?", error=str(error))) from error


class _Size:
    """Declared size of the tables of a document, compared with that of the document."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._rows, self._read, self._numbers, self._bytes = 1, 0, 0, 0

    def add(self, tag: str, attributes: Mapping[str, str]) -> None:
        """Count an element; raise an error if the table becomes larger than the document can hold."""
        if tag == "TABLE":
            self._rows, self._read, self._numbers, self._bytes = (
                max(1, _whole(attributes.get("nrows"))),
                0,
                0,
                0,
            )
        elif tag in ("FIELD", "PARAM"):
            kind = attributes.get("datatype", "")
            sides = attributes.get("arraysize", "1").split("x")
            n = math.prod(1 if side.endswith("*") else max(1, _whole(side)) for side in sides)
            numbers, size = 0 if kind in _TEXT else n, n * _BYTES.get(kind, 16)
            self._check(1, numbers, size)
            if tag == "FIELD":
                self._numbers += numbers
                self._bytes += size
        elif tag == "TR":
            self._read += 1
        else:
            return
        self._check(max(self._rows, self._read), self._numbers, self._bytes)

    def _check(self, rows: int, numbers: int, size: int) -> None:
        if (
            rows * numbers > _NUMBERS + _NUMBERS_PER_BYTE * self._size
            or rows * size > _MEMORY + _MEMORY_PER_BYTE * self._size
        ):
            raise ValueError(
                message(
                    "a table no larger than its file",
                    "Is the file complete?",
                    rows=rows,
                    bytes_per_row=size,
                    size_bytes=self._size,
                )
            )


def _whole(text: Any) -> int:
    """Return a whole number, or 0: astropy reports what is none."""
    try:
        return int(text)
    except (TypeError, ValueError):
        return 0
