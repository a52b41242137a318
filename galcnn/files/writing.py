"""HDUs written as bytes, with checksums; the text of each card is astropy's."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from astropy.io import fits

from galcnn._runtime.fits_blocks import encoded_sum, word_sum

#: Keyword, value and comment of a card, or its text.
Card: TypeAlias = tuple[str, str | int | float | bool, str] | bytes

_BLOCK, _CARD = 2880, 80
_BITPIX = {"u1": 8, "i2": 16, "i4": 32, "i8": 64, "f4": -32, "f8": -64}


def primary_bytes(cards: Iterable[Card]) -> bytes:
    """Return a primary HDU without an image."""
    begin = ("SIMPLE", True, "conforms to FITS standard"), *_axes(8, ()), ("EXTEND", True, "")
    return _hdu([*begin, *cards], b"")


def image_bytes(values: npt.NDArray[Any], cards: Iterable[Card]) -> bytes:
    """Return an image extension."""
    axes = _axes(_BITPIX[values.dtype.str[1:]], values.shape[::-1])
    counts = ("PCOUNT", 0, "number of parameters"), ("GCOUNT", 1, "number of groups")
    stored = values.astype(values.dtype.newbyteorder(">"), copy=False).tobytes()
    return _hdu([("XTENSION", "IMAGE", "Image extension"), *axes, *counts, *cards], stored)


def text_table_bytes(columns: Mapping[str, Sequence[str]], cards: Iterable[Card]) -> bytes:
    """Return a table extension of columns of printable ASCII."""
    arrays = {name: np.array(values, dtype="S") for name, values in columns.items()}
    rows = np.zeros(
        len(next(iter(arrays.values()))), dtype=[(name, array.dtype) for name, array in arrays.items()]
    )
    for name, array in arrays.items():
        rows[name] = array
    axes = _axes(8, (rows.itemsize, len(rows)), "length of dimension {}")
    counts = ("PCOUNT", 0, "number of group parameters"), ("GCOUNT", 1, "number of groups")
    fields: list[Card] = [("TFIELDS", len(arrays), "number of table fields")]
    for i, (name, array) in enumerate(arrays.items(), 1):
        fields += [(f"TTYPE{i}", name, ""), (f"TFORM{i}", f"{array.itemsize}A", "")]
    begin = ("XTENSION", "BINTABLE", "binary table extension")
    return _hdu([begin, *axes, *counts, *fields, *cards], rows.tobytes())


def _axes(bitpix: int, sides: Sequence[int], said: str = "") -> list[Card]:
    counts = [("BITPIX", bitpix, "array data type"), ("NAXIS", len(sides), "number of array dimensions")]
    return [*counts, *((f"NAXIS{i}", side, said.format(i)) for i, side in enumerate(sides, 1))]


def _hdu(cards: Iterable[Card], data: bytes) -> bytes:
    header = b"".join(card if isinstance(card, bytes) else _text(*card) for card in cards)
    body = data + bytes(-len(data) % _BLOCK)
    now, data_sum = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S"), word_sum(body)

    def whole(checksum: str) -> bytes:
        sums = f"CHECKSUM= '{checksum}'   / HDU checksum updated {now}".ljust(_CARD)
        number = f"'{data_sum:<8}'"
        sums += f"DATASUM = {number:<20} / data unit checksum updated {now}".ljust(_CARD)
        text = header + sums.encode() + b"END"
        return text + b" " * (-len(text) % _BLOCK)

    return whole(encoded_sum(word_sum(whole("0" * 16)) + data_sum)) + body


# Most cards of a survey's files are the same, and astropy formats them slowly.
@functools.lru_cache(maxsize=4096, typed=True)
def _text(keyword: str, value: str | float, comment: str) -> bytes:
    return str(fits.Card(keyword, value, comment or None)).encode("ascii")
