"""Parts of a tile-compressed image, decoded in a reader process.

Some tiles of an image, with a header of their own, are a tile-compressed image again. It is opened like any
file, and so decoded in a reader process (`galcnn._runtime.reader`) within its limits of time and memory.
"""

from __future__ import annotations

import itertools
import math
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from astropy.io import fits

from galcnn._runtime.fits_blocks import BLOCK, units_of
from galcnn.errors import UnreadableImageError, message
from galcnn.files.sources import Source, opened

#: Bytes of decompressed pixels, and of compressed ones, that are decoded at a time.
_AT_ONCE = 32 << 20
#: Cards of the table that describe tiles and the scaling of their pixels.
_KEPT = re.compile(r"XTENSION|BITPIX|NAXIS\d*|[PG]COUNT|TFIELDS|T(TYPE|FORM|NULL)\d+|Z.*|BSCALE|BZERO|BLANK")
_SUMS = ("ZHECKSUM", "ZDATASUM")
_FORM = re.compile(r"(\d*)([LXBIJKAEDCMPQ])([BIJKED]?)")
_WIDTHS = {"L": 1, "B": 1, "A": 1, "I": 2, "J": 4, "E": 4, "K": 8, "D": 8, "C": 8, "M": 16, "P": 8, "Q": 16}
#: Number of sequences of random numbers for dithering (FITS 4.0, appendix I).
_SEEDS = 10_000


class Tiles:
    """A tile-compressed image in a file, read like an array: by an integer or a range of each axis."""

    def __init__(self, path: Path, number: int) -> None:
        self._path = path
        size = path.stat().st_size
        with open(path, "rb") as handle:
            unit = units_of(handle, size, sys.maxsize)[number]
            handle.seek(unit.start)
            header = fits.Header.fromstring(handle.read(unit.data - unit.start))
        axes = range(unit.integer("ZNAXIS", 1, 32), 0, -1)
        self.shape = tuple(unit.integer(f"ZNAXIS{i}", 1, sys.maxsize) for i in axes)
        defaults = (*(1 for _ in self.shape[1:]), self.shape[-1])
        self.tile = tuple(
            unit.integer(f"ZTILE{i}", 1, sys.maxsize, usual) for i, usual in zip(axes, defaults, strict=True)
        )
        self._table, self._width = unit.data, unit.integer("NAXIS1", 1, sys.maxsize)
        self._heap = unit.data + unit.integer("THEAP", 0, sys.maxsize, self._width * int(header["NAXIS2"]))
        self._end = unit.data + unit.size
        self._pixel_bytes = abs(unit.integer("ZBITPIX", -64, 64)) // 8
        kept = [card for card in header.cards if _KEPT.fullmatch(card.keyword)]
        self._header = fits.Header([card for card in kept if card.keyword not in _SUMS])
        self._arrays = list(_arrays_of(header))
        self._dithered = str(header.get("ZQUANTIZ", "")).startswith("SUBTRACTIVE")

    def __getitem__(self, key: tuple[int | slice, ...]) -> npt.NDArray[Any]:
        """Return a part of the image, in the values that astropy gives."""
        ranges = [
            (one, one + 1) if isinstance(one, int) else one.indices(n)[:2]
            for one, n in zip(key, self.shape, strict=True)
        ]
        tiles = [
            range(first // side, -(-end // side))
            for (first, end), side in zip(ranges, self.tile, strict=True)
        ]
        found: npt.NDArray[Any] | None = None
        for block in self._blocks(tiles):
            start = [one.start * side for one, side in zip(block, self.tile, strict=True)]
            pixels = self._decoded(block)
            if found is None:
                found = np.empty([end - first for first, end in ranges], pixels.dtype.newbyteorder("="))
            inside, there = [], []
            for (first, end), low, n in zip(ranges, start, pixels.shape, strict=True):
                a, b = max(first, low), min(end, low + n)
                inside.append(slice(a - first, b - first))
                there.append(slice(a - low, b - low))
            found[tuple(inside)] = pixels[tuple(there)]
        assert found is not None  # every range has a tile
        return found[tuple(0 if isinstance(one, int) else slice(None) for one in key)]

    def _blocks(self, tiles: list[range]) -> Iterator[list[range]]:
        """Split ranges of tiles into blocks that are decoded at a time."""
        # The random numbers of dithering go by the number of the tile in the image, so that the tiles of a
        # block must follow each other: whole rows of tiles, or parts of one.
        split = 0
        if self._dithered:
            partial = [i for i, one in enumerate(tiles) if len(one) < self._n_tiles[i]]
            split = max(partial, default=0)
        for single in itertools.product(*tiles[:split]):
            ahead = [range(i, i + 1) for i in single]
            along, behind = tiles[split], tiles[split + 1 :]
            each = self._pixel_bytes * math.prod(
                len(one) * side for one, side in zip(behind, self.tile[split + 1 :], strict=True)
            )
            each *= self.tile[split] * math.prod(self.tile[:split]) if split else self.tile[split]
            step = max(1, _AT_ONCE // each)
            for first in range(along.start, along.stop, step):
                yield [*ahead, range(first, min(first + step, along.stop)), *behind]

    @property
    def _n_tiles(self) -> tuple[int, ...]:
        return tuple(-(-n // side) for n, side in zip(self.shape, self.tile, strict=True))

    def _decoded(self, block: list[range]) -> npt.NDArray[Any]:
        numbers = np.ravel_multi_index(np.meshgrid(*block, indexing="ij"), self._n_tiles).ravel()
        rows, heap = self._rows(numbers)
        header = self._header.copy()
        sides = [
            min(one.stop * side, n) - one.start * side
            for one, side, n in zip(block, self.tile, self.shape, strict=True)
        ]
        for i, side in enumerate(reversed(sides), 1):
            header[f"ZNAXIS{i}"] = side
        header["NAXIS2"], header["PCOUNT"] = len(numbers), len(heap)
        if self._dithered:
            seed = int(header.get("ZDITHER0", 0)) + int(numbers[0])
            header["ZDITHER0"] = (seed - 1) % _SEEDS + 1
        data = rows.tobytes() + heap
        content = b"".join((_PRIMARY, header.tostring().encode("latin1"), data, b"\0" * (-len(data) % BLOCK)))
        with opened(Source(str(self._path), content=content)) as (hdulist, _):
            pixels: npt.NDArray[Any] = hdulist[1].data
        if pixels.shape != tuple(sides):
            raise UnreadableImageError(
                message(f"tiles of {tuple(sides)} pixels", "Fetch the file again.", shape=pixels.shape)
            )
        return pixels

    def _rows(self, numbers: npt.NDArray[np.intp]) -> tuple[npt.NDArray[np.uint8], bytes]:
        """Return rows of the table, and a heap with what they refer to."""
        parts: list[bytes] = []
        length = 0
        with open(self._path, "rb") as handle:
            runs = np.split(numbers, np.flatnonzero(np.diff(numbers) != 1) + 1)
            found = [
                self._read(handle, self._table + int(run[0]) * self._width, len(run) * self._width)
                for run in runs
            ]
            rows = np.frombuffer(b"".join(found), np.uint8).reshape(len(numbers), self._width).copy()
            for place, width, item in self._arrays:
                kind = f">i{width // 2}"
                pairs = np.ascontiguousarray(rows[:, place : place + width]).view(kind).astype(np.int64)
                for pair in pairs:
                    n, start = pair.tolist()
                    if n < 0 or start < 0 or self._heap + start + n * item > self._end:
                        raise UnreadableImageError(
                            message("tiles inside of the file", "Fetch it again.", n=n, offset=start)
                        )
                    pair[1] = length
                    length += n * item
                    if length > _AT_ONCE + self._end - self._heap:
                        raise UnreadableImageError(message("tiles that are stored once", "Fetch it again."))
                    parts.append(self._read(handle, self._heap + start, n * item))
                rows[:, place : place + width] = pairs.astype(kind).view(np.uint8).reshape(len(rows), width)
        return rows, b"".join(parts)

    def _read(self, handle: Any, start: int, size: int) -> bytes:
        handle.seek(start)
        found: bytes = handle.read(size)
        if len(found) < size:
            raise UnreadableImageError(message("a whole FITS file", "Fetch it again.", path=str(self._path)))
        return found


_PRIMARY = fits.PrimaryHDU().header.tostring().encode()


def _arrays_of(header: fits.Header) -> Iterator[tuple[int, int, int]]:
    """Yield offset and width of the columns that refer to the heap of a table, and bytes of an item."""
    place = 0
    for i in range(1, header["TFIELDS"] + 1):
        form = _FORM.match(str(header[f"TFORM{i}"]).strip())
        if form is None:
            raise UnreadableImageError(
                message("a format of each column of tiles", "Fetch it again.", column=i)
            )
        n, kind = int(form[1] or 1), form[2]
        width = -(-n // 8) if kind == "X" else n * _WIDTHS[kind]
        if kind in "PQ" and n == 1:
            yield place, width, _WIDTHS[form[3] or "B"]
        place += width
