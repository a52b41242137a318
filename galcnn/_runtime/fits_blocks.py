"""Structure of a FITS file, read block by block before anything is allocated, and its checksums.

Only cards that say how large something is are looked at. What the headers declare must fit into the file,
and the image of tiles into a limit; see FITS 4.0, sections 4.4 (sizes), 10 (tiles) and appendix J (sums).
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

from galcnn.errors import UnreadableImageError, message

BLOCK = 2880
_CARD = 80
#: More blocks of one header (36,000 cards) or more HDUs than any archive writes.
_MOST_BLOCKS, _MOST_HDUS, _MOST_AXES = 1000, 5000, 999
_BITPIX = (8, 16, 32, 64, -32, -64)
_TILES = ("RICE_1", "RICE_ONE", "GZIP_1", "GZIP_2", "PLIO_1", "HCOMPRESS_1", "NOCOMPRESS")
#: Parameters of the tile decoders, which believe them (FITS 4.0, section 10.4).
_PARAMETERS = {"BLOCKSIZE": (16, 32), "BYTEPIX": (1, 2, 4, 8), "SMOOTH": (0, 1)}
_END = re.compile(rb"END(?![A-Z0-9_\-])")  # astropy ends a header here
_KEPT = re.compile(
    r"SIMPLE|XTENSION|BITPIX|NAXIS\d*|PCOUNT|GCOUNT|GROUPS|TFIELDS|THEAP|EXTNAME|CHECKSUM|DATASUM"
    r"|Z(IMAGE|CMPTYPE|BITPIX|NAXIS\d*|TILE\d+|NAME\d+|VAL\d+)|GALCNN|LAYERFMT|FILETYPE|CREATOR|NEXTEND"
)
_INTEGER = re.compile(r"[+-]?\d{1,19}")
_NUMBER = re.compile(r"[+-]?[\d.]{1,25}([DEde][+-]?\d{1,5})?")
_SCALE, _MOST_SCALE = re.compile(r"\d{1,10}(\.\d{0,20})?(E[+-]?\d{1,2})?"), 1e9
_WORDS = 1 << 24  # bytes that are summed at a time
_MARKS = ":;<=>?@[\\]^_`"  # between the digits and letters of ASCII


@dataclass(frozen=True)
class Unit:
    """An HDU as its header describes it.

    Attributes
    ----------
    number : int
        Index in the file, from 0.
    start, data, size, end : int
        Offsets of header and data, bytes of data without padding, and offset of the next HDU.
    cards : dict of str to str
        Texts of the values of the structural cards.
    header : bytes
        Cards of the header, without END.
    tail : bytes
        The rest of the last block of the header, from END.
    """

    number: int
    start: int
    data: int
    size: int
    end: int
    cards: dict[str, str]
    header: bytes = b""
    tail: bytes = b""

    @property
    def name(self) -> str:
        """Number and EXTNAME, for error texts."""
        name = self.text("EXTNAME")
        return f"{self.number} ({name})" if name else str(self.number)

    @property
    def behind_end(self) -> int:
        """Number of bytes behind END, where a header is blank: a moved block of cards, for example."""
        return len(self.tail[3:].strip(b" \0"))

    @property
    def tiled(self) -> bool:
        """True if this is a tile-compressed image."""
        table = self.text("XTENSION") in ("BINTABLE", "A3DTABLE")
        # astropy takes everything but F and 0 for true.
        return table and self.cards.get("ZIMAGE", "F") not in ("F", "0", "", "''")

    @property
    def ours(self) -> bool:
        """True if galcnn wrote this HDU."""
        marked = "GALCNN" in self.cards or "LAYERFMT" in self.cards
        return marked or any(self.text(key).startswith("galcnn") for key in ("FILETYPE", "CREATOR"))

    def text(self, key: str) -> str:
        """Return the text of a card; empty if there is none."""
        value = self.cards.get(key, "")
        return value.strip("'").rstrip() if value.startswith("'") else ""

    def integer(self, key: str, low: int, high: int, default: int | None = None) -> int:
        """Return the integer of a card, which must be in a range."""
        said = self.cards.get(key)
        if said is None and default is not None:
            return default
        if said is None or not _INTEGER.fullmatch(said) or not low <= int(said) <= high:
            raise _refusal(self, f"{key} from {low} to {high}", **{key: said})
        return int(said)


def units_of(handle: BinaryIO, size: int, limit: int) -> list[Unit]:
    """Read the structure of a FITS file of `size` bytes, whose decompressed tiles may have `limit` bytes."""
    units: list[Unit] = []
    start = 0
    while start < size:
        handle.seek(start)
        block = handle.read(BLOCK)
        if not units and not block.startswith(b"SIMPLE"):
            raise UnreadableImageError(
                message("a whole FITS file", "Fetch it again.", found="no SIMPLE card")
            )
        if units and not block.startswith(b"XTENSION"):
            break
        if len(units) == _MOST_HDUS:
            raise UnreadableImageError(message(f"at most {_MOST_HDUS} HDUs", "Fetch it again."))
        unit = _unit(handle, block, start, len(units))
        units.append(unit)
        if unit.ours and unit.behind_end:
            raise _refusal(unit, "nothing behind the END of its header", n_bytes=unit.behind_end)
        # A file without padding at its end is left to astropy, which says so.
        if unit.data + unit.size > size:
            needed = unit.data + unit.size
            raise _refusal(unit, "all of its data, not truncated", size_bytes=size, needed_bytes=needed)
        if unit.tiled:
            limit -= _checked_tiles(unit, limit)
        start = unit.end
    if units and units[0].ours:
        if start < size:
            raise UnreadableImageError(
                message("a file that ends with its last HDU", "Write it again.", left_bytes=size - start)
            )
        # Layers may have been appended to a cutout since it was written.
        if len(units) - 1 < (least := units[0].integer("NEXTEND", 0, _MOST_HDUS, 0)):
            raise _refusal(units[-1], f"{least} extensions, as the file says (NEXTEND)", found=len(units) - 1)
    return units


def changed(handle: BinaryIO, units: list[Unit]) -> Iterator[tuple[Unit, str]]:
    """Yield HDUs whose bytes do not match CHECKSUM or DATASUM, with the keyword.

    In files of galcnn every HDU has both, and one that lacks them is changed.
    """
    whole = bool(units) and units[0].ours
    summed = any("CHECKSUM" in unit.cards for unit in units if unit.ours)
    for unit in units:
        data_sum, checksum = unit.cards.get("DATASUM"), unit.text("CHECKSUM")
        if (unit.ours or whole) and summed and (data_sum is None or not checksum):
            yield unit, "DATASUM" if data_sum is None else "CHECKSUM"
            continue
        stated = (data_sum or "").strip("' ")
        # An empty text, or zeros instead of a sum, say that none was computed.
        known = checksum.strip("0") != ""
        if not stated and not known:
            continue
        data = _sum(handle, unit.data, unit.end - unit.data)
        if stated and (not stated.isdecimal() or (data - int(stated)) % 0xFFFFFFFF):
            yield unit, "DATASUM"
        elif known and (data + _sum(handle, unit.start, unit.data - unit.start)) % 0xFFFFFFFF:
            yield unit, "CHECKSUM"


def _unit(handle: BinaryIO, block: bytes, start: int, number: int) -> Unit:
    header = [block]
    while (length := _end_of(block)) is None:
        block = handle.read(BLOCK)
        if len(block) < BLOCK or len(header) == _MOST_BLOCKS:
            raise UnreadableImageError(
                message(
                    "a whole FITS file with an END of each header",
                    "Fetch it again.",
                    hdu=number,
                    n_blocks=len(header),
                )
            )
        header.append(block)
    raw = b"".join(header)
    end = len(raw) - BLOCK + length
    cards = _cards(raw[:end])
    data = start + len(raw)
    unit = Unit(number, start, data, 0, data, cards)
    size = _size(unit)
    return Unit(number, start, data, size, data + -(-size // BLOCK) * BLOCK, cards, raw[:end], raw[end:])


def _end_of(block: bytes) -> int | None:
    """Return the offset of the card END in a block."""
    if b"END" in block:
        for found in _END.finditer(block):
            if found.start() % _CARD == 0:
                return found.start()
    return None


def _cards(raw: bytes) -> dict[str, str]:
    """Return the first value of each structural card, as text without its comment."""
    cards: dict[str, str] = {}
    for at in range(0, len(raw), _CARD):
        if not _may_be_kept(raw[at : at + 8]):
            continue
        card = raw[at : at + _CARD].decode("latin1")
        key, mark, rest = card.partition("=")
        key = key.removeprefix("HIERARCH ").strip()
        if not mark or key in cards or not _KEPT.fullmatch(key):
            continue
        value = rest.strip()
        if value.startswith("'"):
            cards[key] = value[: value.find("'", 1) + 1] or value
        else:
            cards[key] = value.partition("/")[0].strip()
    return cards


@functools.lru_cache(maxsize=4096)
def _may_be_kept(start: bytes) -> bool:
    """Return False if a card that starts so is not structural."""
    if start == b"HIERARCH" or b"=" in start:
        return True
    return _KEPT.fullmatch(start.decode("latin1").strip()) is not None


def _size(unit: Unit) -> int:
    """Return the bytes of data that a header declares."""
    bits = unit.integer("BITPIX", -64, 64)
    if bits not in _BITPIX:
        raise _refusal(unit, f"BITPIX among {_BITPIX}", BITPIX=bits)
    n_axes = unit.integer("NAXIS", 0, _MOST_AXES)
    axes = [unit.integer(f"NAXIS{i + 1}", 0, (1 << 63) - 1) for i in range(n_axes)]
    kind = unit.text("XTENSION")
    groups = unit.number == 0 and axes[:1] == [0] and unit.cards.get("GROUPS") == "T"
    free = groups or kind not in ("", "IMAGE")
    extra = unit.integer("PCOUNT", 0, 1 << 62 if free else 0, 0)
    copies = unit.integer("GCOUNT", 1, 1 << 62 if groups else 1, 1)
    if kind in ("TABLE", "BINTABLE", "A3DTABLE"):
        if n_axes != 2:
            raise _refusal(unit, "a table of two axes", NAXIS=n_axes)
        unit.integer("TFIELDS", 0, 999)
        main = math.prod(axes)
        unit.integer("THEAP", main, main + extra, main)
        if axes[0] == 0 and axes[1] > 0:
            raise _refusal(unit, "rows of at least one byte", NAXIS1=0, NAXIS2=axes[1])
    pixels = math.prod(axes[1:] if groups else axes) if axes else 0
    return abs(bits) // 8 * copies * (extra + pixels)


def _checked_tiles(unit: Unit, limit: int) -> int:
    """Check what a tile decoder would believe; return the bytes of the image."""
    kind = unit.text("ZCMPTYPE") or "RICE_1"
    bits = unit.integer("ZBITPIX", -64, 64)
    if kind not in _TILES or bits not in _BITPIX:
        raise _refusal(unit, f"ZCMPTYPE among {_TILES}", ZBITPIX=bits)
    axes = range(1, unit.integer("ZNAXIS", 1, 32) + 1)
    shape = [unit.integer(f"ZNAXIS{i}", 1, (1 << 31) - 1) for i in axes]
    tile = [unit.integer(f"ZTILE{i}", 1, (1 << 31) - 1, shape[0] if i == 1 else 1) for i in axes]
    size = abs(bits) // 8 * math.prod(shape)
    if size > limit:
        raise UnreadableImageError(too_large(size, limit))
    n_tiles = math.prod(-(-n // side) for n, side in zip(shape, tile, strict=True))
    rows = unit.integer("NAXIS2", 0, (1 << 63) - 1)
    if n_tiles != rows:
        raise _refusal(unit, f"a row for each of {n_tiles} tiles", NAXIS2=rows)
    for i in range(1, 100):
        name = unit.text(f"ZNAME{i}").upper()
        if name in _PARAMETERS:
            value = unit.integer(f"ZVAL{i}", 0, 99)
            if value not in _PARAMETERS[name]:
                raise _refusal(unit, f"{name} among {_PARAMETERS[name]}", **{f"ZVAL{i}": value})
        elif name == "SCALE":
            said = unit.cards.get(f"ZVAL{i}", "")
            # cfitsio writes 0.0000000E+00.
            if not _SCALE.fullmatch(said) or not float(said) < _MOST_SCALE:
                raise _refusal(unit, "SCALE of 0 or more", **{f"ZVAL{i}": said})
    return size


def too_large(size: int | str, limit: int) -> str:
    """Return the text of an error: what is decompressed would be too large."""
    return message(
        f"at most {limit >> 20} MiB, decompressed",
        "If the file is what it should be, decompress it first (gunzip, funpack).",
        size_bytes=size,
    )


def _sum(handle: BinaryIO, start: int, size: int) -> int:
    """Return the sum of the 32-bit words of a part of a file; the sums of FITS are modulo 2**32 - 1."""
    handle.seek(start)
    total = 0
    while size > 0:
        chunk = handle.read(min(size, _WORDS))
        if not chunk:
            break
        size -= len(chunk)
        total += word_sum(chunk)
    return total


def word_sum(content: bytes) -> int:
    """Return the sum of the 32-bit words of some bytes, between 0 and 2**32 - 1, as DATASUM has it."""
    whole = len(content) // 4
    total = int(np.frombuffer(content, ">u4", count=whole).sum(dtype=np.uint64))
    if tail := content[4 * whole :]:
        total += int.from_bytes(tail.ljust(4, b"\0"), "big")
    return _with_carries(total)


def _with_carries(total: int) -> int:
    """Return a sum modulo 2**32 - 1, as when each carry is added: 0 for zeros only."""
    return (total - 1) % 0xFFFFFFFF + 1 if total else 0


def encoded_sum(total: int) -> str:
    """Return the text of CHECKSUM for an HDU whose words have this sum while CHECKSUM is sixteen zeros."""
    # FITS 4.0, appendix J: each byte of the complement is divided among four letters, none of them a mark.
    letters = np.empty((4, 4), dtype=np.uint8)
    for i, byte in enumerate((0xFFFFFFFF - _with_carries(total)).to_bytes(4, "big")):
        parts = [byte // 4 + ord("0") + (byte % 4 if j == 0 else 0) for j in range(4)]
        while any(chr(part) in _MARKS for part in parts):
            for j in (0, 2):
                if chr(parts[j]) in _MARKS or chr(parts[j + 1]) in _MARKS:
                    parts[j] += 1
                    parts[j + 1] -= 1
        letters[:, i] = parts
    return np.roll(letters.ravel(), 1).tobytes().decode()


def _refusal(unit: Unit, expected: str, **received: object) -> UnreadableImageError:
    # Texts of cards are not quoted: any file may be named, and errors are shown to others.
    shown = {key: value if _is_number(value) else "no such number" for key, value in received.items()}
    return UnreadableImageError(
        message(f"a whole FITS file with {expected}", "Fetch it again.", hdu=unit.name, **shown)
    )


def _is_number(value: object) -> bool:
    return value is None or isinstance(value, int) or bool(_NUMBER.fullmatch(str(value)))
