"""HDUs of plain FITS files, read without astropy.

Values, headers and names are those of astropy. Only what every FITS reader reads alike is read here: images
of numbers as they are stored, and cards that keep to the standard. Anything else is left to astropy: a whole
file by `plain_hdus`, which returns None, and a card by `NotPlain`, after which its file is opened again.
"""

from __future__ import annotations

import functools
import itertools
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from astropy.io import fits
from astropy.io.fits.card import UNDEFINED

from galcnn._runtime.fits_blocks import Unit
from galcnn.errors import UnreadableImageError

_CARD = 80
_DTYPES = {8: ">u1", 16: ">i2", 32: ">i4", 64: ">i8", -32: ">f4", -64: ">f8"}
_COMMENTARY = (b"COMMENT ", b"HISTORY ", b"        ", b"CONTINUE")
_KEYWORD = re.compile(rb"([A-Z0-9_\-]+) *")
#: Text without quotes, logical, integer, real number, or nothing; and a comment.
_VALUE = re.compile(
    r" *(?:'([ -&(-~]*)'|([TF])|([+-]?\d+)|([+-]?(?:\d+\.\d*|\.\d+|\d+(?=[ED]))(?:[ED][+-]?\d+)?)|)"
    r" *(?:/[ -~]*)?"
)
#: Text that astropy takes for one of several values of a keyword: 'EXTVER: 1'.
_RECORD = re.compile(r"[A-Za-z_][\w.]*: +[+-]?[\d.]")
_TEXT = re.compile(r"\d*A")
#: Cards by which the stored numbers are not those of the image.
_SCALED = ("BSCALE", "BZERO", "BLANK")
_SIMPLE = b"SIMPLE  =                    T"
_ASTROPY = {"SIMPLE": fits.PrimaryHDU, "IMAGE": fits.ImageHDU}


class NotPlain(UnreadableImageError):
    """A card, or what is asked of a header, is left to astropy."""


class Cards:
    """The cards of a header, each parsed when it is first asked for.

    It answers as `astropy.io.fits.Header` does to ``in``, `get` and ``[]``; whatever else is asked is
    answered by such a header, made of these cards.
    """

    def __init__(
        self, raw: bytes, first: dict[str, int], last: dict[str, int], parent: Cards | None = None
    ) -> None:
        self._raw, self._first, self._last, self._parent = raw, first, last, parent
        self._values: dict[str, Any] = {}

    @classmethod
    def of(cls, raw: bytes) -> Cards | None:
        """Index the cards; None if there are any of which astropy should judge."""
        if not raw.isascii():
            return None
        first: dict[str, int] = {}
        last: dict[str, int] = {}
        for at in range(0, len(raw), _CARD):
            key = _keyword(raw[at : at + 10])
            if key is None:
                return None
            if key == "HIERARCH":
                name, mark, _ = raw[at + 9 : at + _CARD].partition(b"=")
                if not mark:
                    return None
                key = name.decode().strip().upper()
            if key:
                first.setdefault(key, at)
                last[key] = at
        return cls(raw, first, last)

    def __contains__(self, key: str) -> bool:
        return key in self._first or (self._parent is not None and key in self._parent)

    def get(self, key: str, default: Any = None) -> Any:
        """Return the value of the first card of this keyword, in capitals."""
        if key in self._values:
            return self._values[key]
        at = self._first.get(key)
        if at is None:
            return default if self._parent is None else self._parent.get(key, default)
        found = self._value(at)
        value = self._values[key] = None if found is UNDEFINED else found
        return value

    def __getitem__(self, key: str) -> Any:
        if key not in self:
            raise KeyError(f"Keyword {key!r} not found.")
        return self.get(key)

    def __iter__(self) -> Iterator[str]:
        yield from self._first
        if self._parent is not None:
            yield from (key for key in self._parent if key not in self._first)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # such as those that copy and pickle ask for
            raise AttributeError(name)
        return getattr(self._whole, name)

    @functools.cached_property
    def _whole(self) -> fits.Header:
        own = fits.Header.fromstring(self._raw)
        if self._parent is None:
            return own
        header = self._parent._whole.copy()
        header.update(own)
        return header

    def inheriting(self, parent: Cards) -> Cards:
        """Return these cards, with those of another header that they lack."""
        # A header is updated by one card after the other: the last one of a keyword counts.
        return Cards(self._raw, self._last, self._last, parent)

    def images(self, names: Iterable[str], *, undefined: bool = True) -> bytes:
        """Return the text of the last card of each of these keywords, in the order of the header."""
        places = sorted(self._last[name] for name in names)
        values = {at: self._value(at) for at in places}
        return b"".join(
            self._raw[at : at + _CARD] for at in places if undefined or values[at] is not UNDEFINED
        )

    def _value(self, at: int) -> Any:
        text = self._raw[at : at + _CARD].decode().partition("=")[2]
        found = _VALUE.fullmatch(text.removeprefix(" "))
        if found is None or self._raw.startswith(b"CONTINUE", at + _CARD):
            raise NotPlain("a card in another form than that of the standard")
        said, logical, whole, real = found.groups()
        if said is not None:
            if _RECORD.match(said):
                raise NotPlain("a card that is one of several of its keyword")
            return said.rstrip()
        if logical is not None:
            return logical == "T"
        if whole is not None:
            return int(whole)
        return UNDEFINED if real is None else float(real.replace("D", "E"))


class PlainImage:
    """An image HDU, with the attributes of astropy's that are read here."""

    is_image = True

    def __init__(self, unit: Unit, cards: Cards, content: bytes) -> None:
        self.header, self._content, self._start = cards, content, unit.data
        self.kind = "ImageHDU" if unit.number else "PrimaryHDU"
        self.name = str(cards.get("EXTNAME", "" if unit.number else "PRIMARY"))
        self.shape = tuple(cards[f"NAXIS{i}"] for i in range(cards["NAXIS"], 0, -1))

    @property
    def ver(self) -> Any:
        """EXTVER, 1 if there is none."""
        return self.header.get("EXTVER", 1)

    @property
    def data(self) -> npt.NDArray[Any] | None:
        """The pixels as they are stored; None if there are none."""
        n = math.prod(self.shape)
        if not self.shape or n == 0:
            return None
        dtype = np.dtype(_DTYPES[self.header["BITPIX"]])
        pixels = np.frombuffer(self._content, dtype, count=n, offset=self._start).reshape(self.shape)
        return (
            pixels.copy() if dtype.itemsize == 1 else pixels
        )  # others are copied when their bytes are swapped


class PlainTable:
    """A table HDU: its header and texts are read here, all else by astropy when it is asked for."""

    is_image = False
    shape = ()

    def __init__(self, unit: Unit, cards: Cards, content: bytes) -> None:
        self.header, self.name = cards, str(cards.get("EXTNAME", ""))
        self.kind = "BinTableHDU" if unit.text("XTENSION") == "BINTABLE" else "TableHDU"
        self._content, self._unit = content, unit

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._whole, name)

    @functools.cached_property
    def _whole(self) -> Any:
        return getattr(fits, self.kind).fromstring(self._content[self._unit.start : self._unit.end])

    @property
    def holds_texts(self) -> bool:
        """True if all columns are texts, see `texts`."""
        columns = [self.header.get(f"TFORM{i + 1}") for i in range(self.header["TFIELDS"])]
        plain = self.kind == "BinTableHDU" and not self.header["PCOUNT"]
        return plain and all(_TEXT.fullmatch(str(one)) for one in columns)

    def texts(self) -> list[tuple[str, ...]]:
        """Return the texts of each row, without the spaces and null bytes at their ends."""
        widths = [int(str(self.header[f"TFORM{i + 1}"])[:-1] or 1) for i in range(self.header["TFIELDS"])]
        ends = list(itertools.accumulate(widths, initial=0))
        found = []
        for row in range(self.header["NAXIS2"]):
            start = self._unit.data + row * self.header["NAXIS1"]
            parts = (self._content[start + a : start + b] for a, b in itertools.pairwise(ends))
            found.append(tuple(part.partition(b"\0")[0].decode("ascii").rstrip(" ") for part in parts))
        return found


def plain_hdus(content: bytes, units: Sequence[Unit]) -> list[Any] | None:
    """Return the HDUs of a file, those of scaled images by astropy; None if it is not plain."""
    hdus: list[Any] = []
    for unit in units:
        cards = Cards.of(unit.header)
        start, kind = content[unit.start : unit.start + 30], unit.text("XTENSION")
        regular = start == _SIMPLE if unit.number == 0 else start.startswith(b"XTENSION= '")
        # The rest of the block is blank, and the file has all blocks.
        whole = not unit.tail[3:].strip(b" ") and unit.end <= len(content)
        if cards is None or not regular or not whole or unit.tiled or "GROUPS" in cards:
            return None
        try:
            stored = not any(key in cards for key in _SCALED) and cards["BITPIX"] in _DTYPES
            if kind in ("", "IMAGE") and stored:
                hdus.append(PlainImage(unit, cards, content))
            elif kind in ("BINTABLE", "TABLE"):
                hdus.append(PlainTable(unit, cards, content))
            elif (hdu_class := _ASTROPY.get(kind if unit.number else "SIMPLE")) is not None:
                hdus.append(hdu_class.fromstring(content[unit.start : unit.end]))
            else:
                return None
        except NotPlain:
            return None
    return hdus or None


@functools.lru_cache(maxsize=8192)
def _keyword(start: bytes) -> str | None:
    """Return the keyword of a card by its first ten bytes; empty for comments, None if it is not standard."""
    if start[:8] in _COMMENTARY:
        return ""
    if start[:9] == b"HIERARCH ":
        return "HIERARCH"
    found = _KEYWORD.fullmatch(start[:8])
    return found[1].decode() if found is not None and start[8:] == b"= " else None
