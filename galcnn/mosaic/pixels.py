"""Sources of the pixels of a mosaic: strips of it that are read once.

Compressed files are decompressed once, and tiles decoded, in other processes. Any object with `shape`,
`expect` and `read` can be a source, such as a remote, cloud-optimised file.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from astropy.io import fits

from galcnn._runtime.reader import unpack
from galcnn.errors import UnreadableImageError, message, reading
from galcnn.files.axes import PlaneIndex, at
from galcnn.files.fits_images import find_hdu
from galcnn.files.flags import table_of_flags
from galcnn.files.hdus import inherited, plane_indices
from galcnn.files.headers import role_of, role_of_name
from galcnn.files.sources import Notes, is_packed, opened
from galcnn.mosaic.tiles import Tiles

#: Box on the mosaic, all inside: (y0, y1, x0, x1), first row and column included, last excluded.
Box = tuple[int, int, int, int]

#: Rows that are kept decompressed at a time: 40 MB for a mosaic 10,000 pixels wide. Of plain images fewer,
#: which the processor's cache holds.
STRIP, PLAIN_STRIP = 1024, 256
#: Pixels that are decoded in the time that one request to a reader process takes.
REQUEST = 1 << 19


class Pixels(Protocol):
    """A plane of pixels, in a file or elsewhere."""

    @property
    def shape(self) -> tuple[int, int]: ...

    def expect(self, boxes: npt.NDArray[np.int64]) -> None:
        """Prepare for reading boxes, shape (n, 4), sorted by their first row."""

    def read(self, box: Box) -> npt.NDArray[Any]:
        """Return the values of a box."""


class Strips:
    """Pixels in native byte order, read in strips while boxes are requested by row."""

    # Each tile is decompressed once, since a strip keeps the rows that it shares with the previous one, and
    # at most one strip is in memory. For few boxes, only their own tiles are read. `section` is that of an
    # astropy HDU, a memory map or `Tiles`; `index` is the position of the plane; `shape` and `tile` are
    # (ny, nx); the pixels of a plain image are tiles of one pixel. `request` is the cost of a read in pixels.

    def __init__(
        self,
        section: Any,
        index: PlaneIndex,
        *,
        shape: tuple[int, int],
        tile: tuple[int, int],
        name: str = "",
        request: int = 0,
    ) -> None:
        self.section, self.index, self.shape, self.tile = section, index, shape, tile
        self._boxes: npt.NDArray[np.int64] = np.empty((0, 4), dtype=np.int64)
        self._columns = (0, shape[1])
        self._name, self._request = name, request // (tile[0] * tile[1])
        self._first, self._damaged = 0, 0
        self._rows: npt.NDArray[Any] | None = None
        self._height = PLAIN_STRIP if tile == (1, 1) else STRIP
        self.n_tiles = 0

    def expect(self, boxes: npt.NDArray[np.int64]) -> None:
        """Store the boxes that will be read, to choose strips."""
        self._boxes, self._rows, self._damaged = boxes, None, 0  # rows that are held have other columns
        if len(self._boxes):
            wide = self.tile[1]
            x0, x1 = int(self._boxes[:, 2].min()), int(self._boxes[:, 3].max())
            self._columns = (x0 // wide * wide, min(-(-x1 // wide) * wide, self.shape[1]))

    def read(self, box: Box) -> npt.NDArray[Any]:
        """Return the values of a box."""
        y0, y1, x0, x1 = box
        held = self._held(y0, y1, x0, x1)
        if held is None:
            if x0 < self._columns[0] or x1 > self._columns[1]:  # not one of the expected boxes
                return self._read(y0, y1, x0, x1)
            start, end = self._strip(y0, y1)
            n, strip = self._n_within(start, end - (y1 - y0)), (start, end, *self._columns)
            if (self._cost(box) + self._request) * n < self._cost(strip) + self._request:
                return self._read(y0, y1, x0, x1)
            if y0 < self._damaged:  # each box on its own
                return self._read(y0, y1, x0, x1)
            try:
                self._advance(start, end)
            except UnreadableImageError:  # damage elsewhere in the strip
                self._rows, self._damaged = None, end
                return self._read(y0, y1, x0, x1)
            held = self._rows
            assert held is not None  # for the type checker
        left = self._columns[0]
        return held[y0 - self._first : y1 - self._first, x0 - left : x1 - left]

    def _held(self, y0: int, y1: int, x0: int, x1: int) -> npt.NDArray[Any] | None:
        rows, (left, right) = self._rows, self._columns
        if rows is None or y0 < self._first or y1 > self._first + len(rows) or x0 < left or x1 > right:
            return None
        return rows

    def _strip(self, y0: int, y1: int) -> tuple[int, int]:
        """Return whole tile rows around a box, extended to a strip in the direction of travel."""
        high = self.tile[0]
        if self._rows is not None and y0 < self._first:  # another band's grid may be upside down
            y0 = max(0, min(y0, y1 - self._height))
        else:
            y1 = max(y1, y0 + self._height)
        return y0 // high * high, min(-(-y1 // high) * high, self.shape[0])

    def _n_within(self, first: int, last: int) -> int:
        """Return the number of expected boxes whose first row is in a range, at least two."""
        n_before, n = np.searchsorted(self._boxes[:, 0], (first, last + 1))
        return max(2, int(n - n_before))

    def _cost(self, box: Box) -> int:
        """Return the number of tiles that a box touches."""
        y0, y1, x0, x1 = box
        high, wide = self.tile
        return (-(-y1 // high) - y0 // high) * (-(-x1 // wide) - x0 // wide)

    def _advance(self, start: int, end: int) -> None:
        """Read a strip, except for rows in memory."""
        kept = self._rows[max(start - self._first, 0) :] if self._rows is not None else None
        if kept is None or not len(kept) or start < self._first:
            self._rows = self._read(start, end, *self._columns)
        else:
            fresh = self._read(start + len(kept), end, *self._columns)
            self._rows = np.concatenate([kept, fresh])
        self._first = start

    def _read(self, y0: int, y1: int, x0: int, x1: int) -> npt.NDArray[Any]:
        self.n_tiles += self._cost((y0, y1, x0, x1))
        with reading("whole pixels", "Fetch the file again.", path=self._name, rows=(y0, y1)):
            found = np.asarray(self.section[at(self.index, slice(y0, y1), slice(x0, x1))])
            native: npt.NDArray[Any] = found.astype(found.dtype.newbyteorder("="), copy=False)
        return native


class MosaicCompanion:
    """A mask or noise map of a mosaic."""

    def __init__(
        self, planes: list[Pixels], header: fits.Header, role: str, name: str, flags: Mapping[str, int]
    ) -> None:
        self.planes, self.header, self.role, self.name = planes, header, role, name
        self.flags = flags

    def of(self, plane: int, shape: tuple[int, int], n_planes: int) -> Pixels:
        """Return the map of one band."""
        if len(self.planes) not in (1, n_planes) or self.planes[0].shape != shape:
            raise UnreadableImageError(
                message(
                    f"a mask or noise map of {shape} pixels (ny, nx), like the image",
                    "",
                    hdu=self.name,
                    shape=self.planes[0].shape,
                    n_planes=len(self.planes),
                )
            )
        return self.planes[0 if len(self.planes) == 1 else plane]


class Files:
    """Files that are open together; each is decompressed and opened once, and each plane is one source."""

    def __init__(self, stack: ExitStack, *, strict: bool = False) -> None:
        self._stack, self._strict = stack, strict
        self._plain: dict[Path, Path] = {}
        self._changed: dict[Path, list[str]] = {}
        self._open: dict[Path, Any] = {}
        self._sources: dict[tuple[Path, int, PlaneIndex], Pixels] = {}

    @property
    def changed(self) -> list[str]:
        """HDUs of all files that do not match their checksums."""
        return [name for names in self._changed.values() for name in names]

    @contextmanager
    def headers(self, path: Path) -> Iterator[tuple[fits.HDUList, Notes]]:
        """Open a file to read its headers; its checksums are verified when it is opened first."""
        plain = self._plain[path] if path in self._plain else self._unpacked(path)
        first = path not in self._changed
        with opened(plain, strict=self._strict, parts=True, sums=first) as (hdulist, notes):
            self._plain[path] = plain
            self._changed.setdefault(path, notes.changed)
            yield hdulist, notes

    def source(self, path: Path, hdu: int, index: PlaneIndex) -> Pixels:
        """Return the source of one plane."""
        key = (path, hdu, index)
        if key not in self._sources:
            self._sources[key] = self._new_source(*key)
        return self._sources[key]

    def companion(self, image: Path, said: str) -> MosaicCompanion:
        """Find a mask or noise map: another file, else the HDU of this name in the image's file."""
        path = Path(said)
        elsewhere = path.is_file()
        if not elsewhere and (path.suffix or path.name != said):
            raise FileNotFoundError(f"File not found: {said}. It is not the name of an HDU either.")
        file = path if elsewhere else image
        with self.headers(file) as (hdulist, _):
            if elsewhere:
                images = [one for one in hdulist if one.is_image and len(one.shape or ()) >= 2]
                if len(images) != 1:
                    raise UnreadableImageError(
                        message("one image in a file of mask or noise", "", path=said, n_images=len(images))
                    )
                hdu = images[0]
            else:
                hdu = find_hdu(hdulist, said)
            indices, _ = plane_indices(hdu)
            number = hdulist.index(hdu)
            header, role, name = inherited(hdulist, hdu).copy(), role_of(hdu), hdu.name
            flags = table_of_flags(hdulist, hdu.name)
        if elsewhere and role == "image":
            role = role_of_name(path.name)
        planes = [self.source(file, number, index) for index in indices]
        return MosaicCompanion(planes, header, role, name, flags)

    def _unpacked(self, path: Path) -> Path:
        """Return a file that can be memory-mapped: `path`, or a decompressed copy of it."""
        if not is_packed(path):
            return path
        target = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="galcnn-mosaic-")))
        target /= "mosaic.fits"
        unpack(path, target)
        return target

    def _new_source(self, path: Path, hdu: int, index: PlaneIndex) -> Pixels:
        with reading("a whole FITS file", "Fetch it again.", path=str(path)):
            return self._opened(path, hdu, index)

    def _opened(self, path: Path, hdu: int, index: PlaneIndex) -> Pixels:
        plain = self._plain[path]
        if path not in self._open:
            self._open[path] = self._stack.enter_context(fits.open(plain, memmap=None))
        found = self._open[path][hdu]
        _, shape = plane_indices(found)
        if isinstance(found, fits.CompImageHDU):
            tiles = Tiles(plain, hdu)
            high, wide = (n for n, i in zip(tiles.tile, index, strict=True) if i is None)
            return Strips(tiles, index, shape=shape, tile=(high, wide), name=str(path), request=REQUEST)
        header = found.header
        if header.get("BSCALE", 1) != 1 or header.get("BZERO", 0) != 0 or "BLANK" in header:
            # astropy scales on reading.
            return Strips(found.section, index, shape=shape, tile=(1, shape[1]), name=str(path))
        return Strips(found.data, index, shape=shape, tile=(1, 1), name=str(path))
