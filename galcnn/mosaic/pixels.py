"""Where the pixels of a mosaic come from: a memory map, or strips that are read once.

A remote, cloud-optimised file fits in here: whatever has `shape`, `expect` and `read` is a source.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from galcnn.errors import UnreadableImageError, message
from galcnn.files.opening import DAMAGE

__all__ = ["Box", "Mapped", "Pixels", "Strips"]

#: First and last-but-one row and column on the mosaic: (y0, y1, x0, x1), all inside.
Box = tuple[int, int, int, int]

#: Rows that are kept decompressed at once: 40 MB of a mosaic 10,000 pixels wide.
STRIP = 1024


class Pixels(Protocol):
    """One plane of numbers, in a file or elsewhere."""

    @property
    def shape(self) -> tuple[int, int]: ...

    def expect(self, boxes: npt.NDArray[np.int64]) -> None:
        """Prepare for what will be read.

        Parameters
        ----------
        boxes : numpy.ndarray
            Shape (n, 4), rows as `Box`, sorted by their first.
        """

    def read(self, box: Box) -> npt.NDArray[Any]:
        """Give the numbers of a box.

        Parameters
        ----------
        box : tuple of int
            (y0, y1, x0, x1).

        Returns
        -------
        numpy.ndarray
            Shape (y1 - y0, x1 - x0), of any real type and byte order; not to be changed.
        """


class Mapped:
    """Pixels that the system reads from the file as they are touched.

    Parameters
    ----------
    plane : numpy.ndarray
        A memory map, or in memory.
    """

    def __init__(self, plane: npt.NDArray[Any]) -> None:
        self.plane = plane

    @property
    def shape(self) -> tuple[int, int]:
        """Pixels as (ny, nx)."""
        return (int(self.plane.shape[0]), int(self.plane.shape[1]))

    def expect(self, boxes: npt.NDArray[np.int64]) -> None:
        """Do nothing: the system reads ahead.

        Parameters
        ----------
        boxes : numpy.ndarray
            Not used.
        """

    def read(self, box: Box) -> npt.NDArray[Any]:
        """Give the numbers of a box.

        Parameters
        ----------
        box : tuple of int
            (y0, y1, x0, x1).

        Returns
        -------
        numpy.ndarray
            A view.
        """
        y0, y1, x0, x1 = box
        return self.plane[y0:y1, x0:x1]


class Strips:
    """Pixels that must be decompressed or scaled, read strip by strip while the boxes come by row.

    Each tile is decompressed once, since a strip keeps the rows that it shares with the one before,
    and no more than a strip is in memory. Where the boxes are few, their own tiles are read instead.

    Parameters
    ----------
    section : object
        `section` of an astropy HDU: slices read and decompress what they cover.
    index : tuple of int
        Of the plane along leading axes.
    shape : tuple of int
        Pixels as (ny, nx).
    tile : tuple of int
        Pixels of a tile as (ny, nx); a whole row where there are none.
    name : str
        Of the file, for errors.
    """

    def __init__(
        self,
        section: Any,
        index: tuple[int, ...],
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
        """Learn which boxes will be read, so that strips are chosen well.

        Parameters
        ----------
        boxes : numpy.ndarray
            Shape (n, 4), rows as `Box`, sorted by their first.
        """
        self._boxes = boxes
        if len(self._boxes):
            wide = self.tile[1]
            x0, x1 = int(self._boxes[:, 2].min()), int(self._boxes[:, 3].max())
            self._columns = (x0 // wide * wide, min(-(-x1 // wide) * wide, self.shape[1]))

    def read(self, box: Box) -> npt.NDArray[Any]:
        """Give the numbers of a box.

        Parameters
        ----------
        box : tuple of int
            (y0, y1, x0, x1).

        Returns
        -------
        numpy.ndarray
            Shape (y1 - y0, x1 - x0).
        """
        y0, y1, x0, x1 = box
        held = self._held(y0, y1, x0, x1)
        if held is None:
            if x0 < self._columns[0] or x1 > self._columns[1]:  # was not expected
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
        """Rows of whole tiles around a box, and as many more as a strip has, in the direction of travel."""
        high = self.tile[0]
        if self._rows is not None and y0 < self._first:  # another band's grid may be upside down
            y0 = max(0, min(y0, y1 - STRIP))
        else:
            y1 = max(y1, y0 + STRIP)
        return y0 // high * high, min(-(-y1 // high) * high, self.shape[0])

    def _n_within(self, y0: int, end: int) -> int:
        return max(1, int(np.sum((self._boxes[:, 0] >= y0) & (self._boxes[:, 1] <= end))))

    def _cost(self, box: Box) -> int:
        """Tiles that a box touches."""
        y0, y1, x0, x1 = box
        high, wide = self.tile
        return (-(-y1 // high) - y0 // high) * (-(-x1 // wide) - x0 // wide)

    def _advance(self, start: int, end: int) -> None:
        """Read a strip, but for the rows that are held already."""
        kept = self._rows[max(start - self._first, 0) :] if self._rows is not None else None
        if kept is None or not len(kept) or start < self._first:
            self._rows = self._read(start, end, *self._columns)
        else:
            fresh = self._read(start + len(kept), end, *self._columns)
            self._rows = np.concatenate([kept, fresh])
        self._first = start

    def _read(self, y0: int, y1: int, x0: int, x1: int) -> npt.NDArray[Any]:
        self.n_tiles += self._cost((y0, y1, x0, x1))
        try:
            found: npt.NDArray[Any] = np.asarray(self.section[(*self.index, slice(y0, y1), slice(x0, x1))])
        except DAMAGE as error:
            raise UnreadableImageError(
                message(
                    "whole pixels", "Fetch the file again.", path=self._name, rows=(y0, y1), error=str(error)
                )
            ) from error
        return found
