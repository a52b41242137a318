"""Sources of the pixels of a mosaic: a memory map, or strips that are read once.

Files compressed with gzip or bzip2 are decompressed once. Any object with `shape`, `expect` and `read` can
be a source, such as a remote, cloud-optimised file.
"""

from __future__ import annotations

import bz2
import gzip
import shutil
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from astropy.io import fits

from galcnn.errors import UnreadableImageError, error_of_file, message, reading
from galcnn.files.axes import PlaneIndex, at
from galcnn.files.fits_images import find_hdu
from galcnn.files.flags import table_of_flags
from galcnn.files.hdus import inherited, plane_indices
from galcnn.files.headers import role_of, role_of_name
from galcnn.files.sources import opened

#: Box on the mosaic, all inside: (y0, y1, x0, x1), first row and column included, last excluded.
Box = tuple[int, int, int, int]

#: Rows that are kept decompressed at a time: 40 MB for a mosaic 10,000 pixels wide.
STRIP = 1024
_PACKED: dict[bytes, Any] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open}


class Pixels(Protocol):
    """A plane of pixels, in a file or elsewhere."""

    @property
    def shape(self) -> tuple[int, int]: ...

    def expect(self, boxes: npt.NDArray[np.int64]) -> None:
        """Prepare for reading boxes, shape (n, 4), sorted by their first row."""

    def read(self, box: Box) -> npt.NDArray[Any]:
        """Return the values of a box."""


class Mapped:
    """Pixels of a memory-mapped file."""

    def __init__(self, plane: npt.NDArray[Any]) -> None:
        self.plane = plane

    @property
    def shape(self) -> tuple[int, int]:
        """Shape in pixels, (ny, nx)."""
        return (int(self.plane.shape[0]), int(self.plane.shape[1]))

    def expect(self, boxes: npt.NDArray[np.int64]) -> None:
        """Do nothing: the operating system reads ahead."""

    def read(self, box: Box) -> npt.NDArray[Any]:
        """Return the values of a box."""
        y0, y1, x0, x1 = box
        return self.plane[y0:y1, x0:x1]


class Strips:
    """Pixels that must be decompressed or scaled, read in strips while boxes are requested by row."""

    # Each tile is decompressed once, since a strip keeps the rows that it shares with the previous one, and
    # at most one strip is in memory. For few boxes, only their own tiles are read. `section` is that of an
    # astropy HDU; `index` is the position of the plane; `shape` and `tile` are (ny, nx).

    def __init__(
        self,
        section: Any,
        index: PlaneIndex,
        *,
        shape: tuple[int, int],
        tile: tuple[int, int],
        name: str = "",
    ) -> None:
        self.section, self.index, self.shape, self.tile = section, index, shape, tile
        self._boxes: npt.NDArray[np.int64] = np.empty((0, 4), dtype=np.int64)
        self._columns = (0, shape[1])
        self._name = name
        self._first = 0
        self._rows: npt.NDArray[Any] | None = None
        self.n_tiles = 0

    def expect(self, boxes: npt.NDArray[np.int64]) -> None:
        """Store the boxes that will be read, to choose strips."""
        self._boxes = boxes
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
            if self._cost(box) * self._n_within(start, end) < self._cost((start, end, *self._columns)):
                return self._read(y0, y1, x0, x1)
            self._advance(start, end)
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
            y0 = max(0, min(y0, y1 - STRIP))
        else:
            y1 = max(y1, y0 + STRIP)
        return y0 // high * high, min(-(-y1 // high) * high, self.shape[0])

    def _n_within(self, y0: int, end: int) -> int:
        return max(1, int(np.sum((self._boxes[:, 0] >= y0) & (self._boxes[:, 1] <= end))))

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
            found: npt.NDArray[Any] = np.asarray(self.section[at(self.index, slice(y0, y1), slice(x0, x1))])
        return found


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

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._plain: dict[Path, Path] = {}
        self._open: dict[Path, Any] = {}
        self._sources: dict[tuple[Path, int, PlaneIndex], Pixels] = {}

    @property
    def sources(self) -> list[Pixels]:
        """All sources in use."""
        return list(self._sources.values())

    def plain(self, path: Path) -> Path:
        """Return a file that can be memory-mapped: `path`, or a decompressed copy of it."""
        if path not in self._plain:
            if not path.is_file():
                raise FileNotFoundError(f"File not found: {path}.")
            with open(path, "rb") as handle:
                start = handle.read(3)
            unpack = next((call for magic, call in _PACKED.items() if start.startswith(magic)), None)
            self._plain[path] = path if unpack is None else self._unpacked(path, unpack)
        return self._plain[path]

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
        with opened(self.plain(file), parts=True) as (hdulist, _):
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

    def _unpacked(self, path: Path, unpack: Any) -> Path:
        folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="galcnn-mosaic-")))
        target = folder / "mosaic.fits"
        try:
            with unpack(path, "rb") as packed, open(target, "wb") as plain:
                shutil.copyfileobj(packed, plain, 1 << 20)
        except Exception as error:
            if isinstance(error, OSError) and error.errno is not None:  # e.g. a full disk: no damage
                raise
            raise error_of_file(error, "a whole packed file", "Fetch it again.", path=str(path)) from error
        return target

    def _new_source(self, path: Path, hdu: int, index: PlaneIndex) -> Pixels:
        with reading("a whole FITS file", "Fetch it again.", path=str(path)):
            return self._opened(path, hdu, index)

    def _opened(self, path: Path, hdu: int, index: PlaneIndex) -> Pixels:
        if path not in self._open:
            self._open[path] = self._stack.enter_context(fits.open(self.plain(path), memmap=None))
        found = self._open[path][hdu]
        _, shape = plane_indices(found)
        if isinstance(found, fits.CompImageHDU):
            tile = tuple(n for n, i in zip(found.tile_shape, index, strict=True) if i is None)
            return Strips(found.section, index, shape=shape, tile=tile, name=str(path))
        header = found.header
        if header.get("BSCALE", 1) != 1 or header.get("BZERO", 0) != 0 or "BLANK" in header:
            # astropy scales on reading.
            return Strips(found.section, index, shape=shape, tile=(1, shape[1]), name=str(path))
        return Mapped(found.data[at(index, slice(None), slice(None))])
