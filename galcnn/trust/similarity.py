"""How alike two maps are. One value a galaxy; NaN where a map is the same everywhere."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata
from skimage.metrics import structural_similarity

from galcnn.errors import message

__all__ = ["folded", "rank_correlation", "relative_change", "ssim", "top_overlap"]

_Maps = npt.NDArray[np.floating[Any]]
_Values = npt.NDArray[np.float64]


def folded(maps: _Maps, *, signed: bool) -> _Values:
    """Add the bands of maps: as they are, or their absolute values.

    Parameters
    ----------
    maps : numpy.ndarray
        Shape (n, ny, nx, n_bands).
    signed : bool
        Whether signs count.

    Returns
    -------
    numpy.ndarray
        float64, shape (n, ny, nx).
    """
    exact = np.asarray(maps, dtype=np.float64)
    total: _Values = (exact if signed else np.abs(exact)).sum(axis=-1)
    return total


def rank_correlation(first: _Maps, second: _Maps) -> _Values:
    """Spearman's rank correlation over the pixels of each galaxy.

    Parameters
    ----------
    first, second : numpy.ndarray
        Shape (n, ny, nx).

    Returns
    -------
    numpy.ndarray
        Shape (n,).
    """
    a, b = (rankdata(x.reshape(len(x), -1), axis=1) for x in _paired(first, second))
    a, b = (x - x.mean(axis=1, keepdims=True) for x in (a, b))
    return _over((a * b).sum(axis=1), np.sqrt((a**2).sum(axis=1) * (b**2).sum(axis=1)))


def ssim(first: _Maps, second: _Maps) -> _Values:
    """Structural similarity (Wang et al. 2004) of each pair of maps, each over its largest size.

    Parameters
    ----------
    first, second : numpy.ndarray
        Shape (n, ny, nx).

    Returns
    -------
    numpy.ndarray
        Shape (n,); NaN where a side is shorter than the window of 7 pixels.
    """
    _paired(first, second)
    found = np.full(len(first), np.nan)
    if min(first.shape[1:]) < 7:
        return found
    for i, (a, b) in enumerate(zip(first, second, strict=True)):
        peaks = np.abs(a).max(), np.abs(b).max()
        if min(peaks) > 0:
            found[i] = structural_similarity(
                np.asarray(a / peaks[0], dtype=np.float64),
                np.asarray(b / peaks[1], dtype=np.float64),
                data_range=1.0,
            )
    return found


def relative_change(before: _Maps, after: _Maps) -> _Values:
    """Norm of the change of each map, over the norm of the map before.

    Parameters
    ----------
    before, after : numpy.ndarray
        Shape (n, ...).

    Returns
    -------
    numpy.ndarray
        Shape (n,): 0 for the same map, 1.41 for an unrelated one of the same norm.
    """
    a, b = (np.asarray(x, dtype=np.float64).reshape(len(x), -1) for x in _paired(before, after))
    return _over(np.linalg.norm(b - a, axis=1), np.linalg.norm(a, axis=1))


def top_overlap(before: _Maps, after: _Maps, *, share: float = 0.05) -> _Values:
    """Share of the largest pixels of each map that are among the largest of the other.

    Parameters
    ----------
    before, after : numpy.ndarray
        Shape (n, ny, nx).
    share : float
        How many of the pixels are meant, between 0 and 1; by chance so many overlap.

    Returns
    -------
    numpy.ndarray
        Shape (n,).

    Raises
    ------
    ValueError
        A share that is none.
    """
    if not 0 < share < 1:
        raise ValueError(message("a share between 0 and 1", "", share=share))
    a, b = (x.reshape(len(x), -1) for x in _paired(before, after))
    top = max(1, round(share * a.shape[1]))
    firsts, seconds = (np.argsort(-x, axis=1, kind="stable")[:, :top] for x in (a, b))
    hits = np.array([len(np.intersect1d(i, j)) / top for i, j in zip(firsts, seconds, strict=True)])
    flat = (np.ptp(a, axis=1) == 0) | (np.ptp(b, axis=1) == 0)
    return np.where(flat, np.nan, hits)


def _paired(first: _Maps, second: _Maps) -> tuple[_Maps, _Maps]:
    if first.shape != second.shape:
        raise ValueError(message("two sets of maps of one shape", "", first=first.shape, second=second.shape))
    return first, second


def _over(part: _Values, whole: _Values) -> _Values:
    ratio: _Values = np.divide(part, whole, out=np.full(len(part), np.nan), where=whole > 0)
    return ratio
