"""Crop and pad: the same pixels on another window."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from galcnn.cutout import Cutout
from galcnn.errors import message
from galcnn.geometry.grid import checked_shape, recorded, scaled_wcs

__all__ = ["crop", "pad", "window"]

_Array = npt.NDArray[Any]


def crop(cutout: Cutout, shape: tuple[int, int], *, corner: tuple[int, int] | None = None) -> Cutout:
    """Cut a part out of a cutout.

    Parameters
    ----------
    cutout : galcnn.cutout.Cutout
        Any.
    shape : tuple of int
        Pixels as (ny, nx), not more than there are.
    corner : tuple of int, optional
        First row and column to keep; about the centre by default.

    Returns
    -------
    galcnn.cutout.Cutout
        `cutout` itself where the shape is its own.

    Raises
    ------
    ValueError
        The part reaches over the edge.

    Examples
    --------
    >>> import numpy as np
    >>> cutout = Cutout(np.arange(25.0).reshape(5, 5), ("r",))
    >>> crop(cutout, (1, 3)).flux.tolist()
    [[[11.0, 12.0, 13.0]]]
    """
    shape = checked_shape(shape)
    start = _centred(cutout.shape, shape) if corner is None else (int(corner[0]), int(corner[1]))
    ends = (start[0] + shape[0], start[1] + shape[1])
    if min(start) < 0 or ends[0] > cutout.shape[0] or ends[1] > cutout.shape[1]:
        raise ValueError(
            message(
                f"a part of {cutout.shape} pixels (ny, nx)",
                "Use pad for more pixels.",
                shape=shape,
                corner=start,
            )
        )
    return _moved(cutout, shape, start, "crop")


def pad(cutout: Cutout, shape: tuple[int, int]) -> Cutout:
    """Add masked NaN pixels around a cutout.

    Parameters
    ----------
    cutout : galcnn.cutout.Cutout
        Any.
    shape : tuple of int
        Pixels as (ny, nx), not fewer than there are.

    Returns
    -------
    galcnn.cutout.Cutout
        `cutout` itself where the shape is its own.

    Raises
    ------
    ValueError
        Pixels would be lost.

    Examples
    --------
    >>> import numpy as np
    >>> padded = pad(Cutout(np.ones((1, 1)), ("r",)), (1, 3))
    >>> padded.flux.tolist(), padded.mask.tolist()
    ([[[nan, 1.0, nan]]], [[[True, False, True]]])
    """
    shape = checked_shape(shape)
    if shape[0] < cutout.shape[0] or shape[1] < cutout.shape[1]:
        raise ValueError(
            message(f"at least {cutout.shape} pixels (ny, nx)", "Use crop for fewer pixels.", shape=shape)
        )
    return _moved(cutout, shape, _centred(cutout.shape, shape), "pad")


def window(cutout: Cutout, shape: tuple[int, int], corner: tuple[int, int]) -> Cutout:
    """Give a part of a cutout that may reach over its edge.

    Parameters
    ----------
    cutout : galcnn.cutout.Cutout
        Any.
    shape : tuple of int
        Pixels as (ny, nx).
    corner : tuple of int
        First row and column; negative before the edge.

    Returns
    -------
    galcnn.cutout.Cutout
        Pixels beyond the edge are NaN and masked. `cutout` itself where it is the whole.

    Examples
    --------
    >>> import numpy as np
    >>> window(Cutout(np.arange(4.0).reshape(2, 2), ("r",)), (1, 3), (1, -1)).flux.tolist()
    [[[nan, 2.0, 3.0]]]
    """
    return _moved(cutout, checked_shape(shape), (int(corner[0]), int(corner[1])), "window")


def _centred(old: tuple[int, int], new: tuple[int, int]) -> tuple[int, int]:
    return (old[0] // 2 - new[0] // 2, old[1] // 2 - new[1] // 2)


def _moved(cutout: Cutout, shape: tuple[int, int], start: tuple[int, int], word: str) -> Cutout:
    """The same pixels on a window that may reach over the edge."""
    if shape == cutout.shape and start == (0, 0):
        return cutout
    old_rows, new_rows = _overlap(cutout.shape[0], shape[0], start[0])
    old_columns, new_columns = _overlap(cutout.shape[1], shape[1], start[1])

    def windowed(planes: _Array, fill: float | bool) -> _Array:
        window = np.full((len(planes), *shape), fill, dtype=planes.dtype)
        window[:, new_rows, new_columns] = planes[:, old_rows, old_columns]
        return window

    step = {"step": word, "from": list(cutout.shape), "shape": list(shape), "corner": list(start)}
    return replace(
        cutout,
        flux=windowed(cutout.flux, np.nan),
        mask=windowed(cutout.mask, True),
        sigma=None if cutout.sigma is None else windowed(cutout.sigma, np.nan),
        wcs=scaled_wcs(cutout.wcs, (1.0, 1.0), (float(start[0]), float(start[1])), shape),
        meta=recorded(cutout.meta, step),
    )


def _overlap(n_old: int, n_new: int, start: int) -> tuple[slice, slice]:
    first, last = max(0, start), min(n_old, start + n_new)
    return slice(first, last), slice(first - start, last - start)
