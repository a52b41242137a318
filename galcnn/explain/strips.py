"""Images that may be larger than memory: in an array, or in a file of which only rows are read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

__all__ = ["Maker", "Strips", "by_tiles", "in_files", "in_memory", "run_tiles", "scaled", "spans", "tiles"]

Images = npt.NDArray[np.float32]
Shape = tuple[int, int, int]

#: Tiles that a network sees at once.
_BATCH = 16
#: Where the tails of a Gaussian are cut, in standard deviations.
_TRUNCATE = 4.0


class Strips:
    """An image of zeros, to be written and read by its rows.

    Parameters
    ----------
    shape : tuple of int
        (ny, nx, n_bands).
    path : pathlib.Path, optional
        File that holds it, which is opened for as long as rows are read or written alone: the
        system counts what is mapped as memory of ours. In memory when not given.
    """

    def __init__(self, shape: Shape, path: Path | None = None) -> None:
        self.shape, self._path = shape, path
        self._array = np.zeros(shape, dtype=np.float32) if path is None else None
        if path is not None:
            with open(path, "wb") as handle:
                handle.truncate(int(np.prod(shape)) * 4)

    def read(self, rows: slice | npt.NDArray[np.int_]) -> Images:
        """Give some rows.

        Parameters
        ----------
        rows : slice or numpy.ndarray
            Which.

        Returns
        -------
        numpy.ndarray
            A copy, shape (n_rows, nx, n_bands).
        """
        return np.array(self._opened("r")[rows])

    def write(self, rows: slice | npt.NDArray[np.int_], values: Images) -> None:
        """Replace some rows.

        Parameters
        ----------
        rows : slice or numpy.ndarray
            Which.
        values : numpy.ndarray
            Shape (n_rows, nx, n_bands).
        """
        self._opened("r+")[rows] = values

    def _opened(self, mode: Any) -> npt.NDArray[np.float32]:
        if self._array is not None:
            return self._array
        assert self._path is not None
        return np.memmap(self._path, np.float32, mode, shape=self.shape)


#: Makes an image of zeros of a shape.
Maker = Callable[[Shape], Strips]


def in_memory(shape: Shape) -> Strips:
    """Make an image in memory.

    Parameters
    ----------
    shape : tuple of int
        (ny, nx, n_bands).

    Returns
    -------
    Strips
        Of zeros.
    """
    return Strips(shape)


def in_files(folder: Path) -> Maker:
    """Make images in files.

    Parameters
    ----------
    folder : pathlib.Path
        Exists, and is removed by its owner.

    Returns
    -------
    callable
        Like `in_memory`.
    """
    return lambda shape: Strips(shape, folder / f"{len(list(folder.iterdir()))}.raw")


def spans(n: int, height: int) -> Iterator[slice]:
    """Cut rows into strips.

    Parameters
    ----------
    n : int
        Rows.
    height : int
        Of a strip; the last may be lower.

    Yields
    ------
    slice
        From the first row on.
    """
    for top in range(0, n, height):
        yield slice(top, min(top + height, n))


def scaled(image: Strips, shape: tuple[int, int], make: Maker, *, height: int) -> Strips:
    """Bring an image to another number of pixels: smoothed where it shrinks, then interpolated.

    Parameters
    ----------
    image : Strips
        Any.
    shape : tuple of int
        Wanted (ny, nx).
    make : callable
        Where it goes.
    height : int
        Of the strips in which it is made; the result is the same to the bit whatever it is.

    Returns
    -------
    Strips
        Pixel centres are where they were: position (i + 0.5) n / N - 0.5 of n pixels for pixel i
        of N; before, a Gaussian of (n / N - 1) / 2 pixels takes what would alias.
    """
    ny, nx, n_bands = image.shape
    made = make((*shape, n_bands))
    reach = int(_TRUNCATE * _blur(ny, shape[0]) + 0.5) + 1
    for rows in spans(shape[0], height):
        first, last = ((row + 0.5) * ny / shape[0] - 0.5 for row in (rows.start, rows.stop - 1))
        low, high = max(int(np.floor(first)) - reach, 0), min(int(np.floor(last)) + reach + 2, ny)
        strip = _along(image.read(slice(low, high)), 0, (ny, shape[0]), (low, rows))
        made.write(rows, _along(strip, 1, (nx, shape[1]), (0, slice(0, shape[1]))))
    return made


def _along(part: Images, axis: int, sizes: tuple[int, int], place: tuple[int, slice]) -> Images:
    """Scale a part of an image along one axis: where it begins, and which pixels are wanted."""
    (n, wanted), (begin, pixels) = sizes, place
    if n == wanted:
        return part.take(np.arange(pixels.start, pixels.stop) - begin, axis)
    if blur := _blur(n, wanted):
        part = ndimage.gaussian_filter1d(part, blur, axis=axis, mode="reflect", truncate=_TRUNCATE)
    position = np.clip((np.arange(pixels.start, pixels.stop) + 0.5) * n / wanted - 0.5, 0, n - 1)
    before = np.floor(position).astype(int)
    share = (position - before).astype(np.float32).reshape((-1, 1, 1) if axis == 0 else (1, -1, 1))
    ends = [part.take(np.minimum(before + one, n - 1) - begin, axis) for one in (0, 1)]
    return np.asarray(ends[0] + share * (ends[1] - ends[0]), dtype=np.float32)


def _blur(n: int, wanted: int) -> float:
    return max(0.0, (n / wanted - 1) / 2)


def by_tiles(strip: Images, tile: tuple[int, int], compute: Callable[[Images], Images]) -> Images:
    """Compute on a strip by tiles of the size that a network reads.

    Parameters
    ----------
    strip : numpy.ndarray
        Shape (n_rows, nx, n_bands), no higher than a tile.
    tile : tuple of int
        Pixels of a tile as (ny, nx).
    compute : callable
        From tiles to arrays of as many pixels.

    Returns
    -------
    numpy.ndarray
        Shape (n_rows, nx, ...).
    """
    done = run_tiles(tiles(strip, tile), compute)
    row = done.swapaxes(0, 1).reshape(tile[0], -1, done.shape[-1])
    return np.asarray(row[: len(strip), : strip.shape[1]])


def run_tiles(those: Images, compute: Callable[[Images], Images]) -> Images:
    """Compute on some tiles at a time.

    Parameters
    ----------
    those : numpy.ndarray
        From `tiles`.
    compute : callable
        From tiles to arrays, one row a tile.

    Returns
    -------
    numpy.ndarray
        One row a tile.
    """
    return np.concatenate([compute(those[piece]) for piece in spans(len(those), _BATCH)])


def tiles(strip: Images, tile: tuple[int, int]) -> Images:
    """Cut a strip into tiles; beyond its edges it goes on mirrored.

    Parameters
    ----------
    strip : numpy.ndarray
        Shape (n_rows, nx, n_bands), no higher than a tile.
    tile : tuple of int
        Pixels of a tile as (ny, nx).

    Returns
    -------
    numpy.ndarray
        Shape (n, ny, nx, n_bands), from left to right.
    """
    columns = -(-strip.shape[1] // tile[1])
    pads = [(0, tile[0] - len(strip)), (0, columns * tile[1] - strip.shape[1]), (0, 0)]
    padded = np.pad(strip, pads, mode="symmetric")
    return np.ascontiguousarray(padded.reshape(tile[0], columns, tile[1], -1).swapaxes(0, 1))
