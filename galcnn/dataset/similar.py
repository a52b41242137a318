"""Similar vectors among many, without comparing all pairs: locality-sensitive hashing by cross-polytopes."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt

from galcnn._runtime import seeding

Vectors = npt.NDArray[np.float32]
Rows = npt.NDArray[np.intp]

#: Number of pairs up to which all are compared.
ALL_PAIRS = 10**8
#: Number of hash tables: a pair is found if it is in one bucket in any of them.
_TABLES = 100
#: Dimensions of the random projection of one hash, whose value is the largest of them, with its sign.
_DIMENSIONS = 64
#: Rows hashed, pairs proposed, and pairs compared, at a time.
_CHUNK, _PAIRS, _COMPARED = 16384, 10**6, 4096


def most_similar(
    one: Vectors, other: Vectors, likeness: Callable[[Rows, Rows], Vectors], *, limit: float
) -> Iterator[tuple[int, int, float]]:
    """Yield each row of a set with the most similar one of another set, if that is above a limit.

    In time proportional to the number of vectors: those that hashing proposes are compared.

    Parameters
    ----------
    one, other : numpy.ndarray
        Unit vectors, float32, shapes (n_one, size) and (n_other, size); zeros are similar to nothing.
    likeness : callable
        Called with rows of `one` and of `other`; the likeness of each pair, float32, shape (n_pairs,).
    limit : float
        Limit that the likeness must exceed.

    Yields
    ------
    tuple of int, int, float
        Row in `one`, row in `other` and their likeness; rows of `one` in order.
    """
    best, match = np.full(len(one), limit, dtype=np.float32), np.full(len(one), -1)
    for proposed in similar_rows(one, other):
        for start in range(0, len(proposed[0]), _COMPARED):
            i, j = (rows[start : start + _COMPARED] for rows in proposed)
            value = likeness(i, j)
            order = np.argsort(value, kind="stable")
            i, j, value = i[order], j[order], value[order]
            better = value > best[i]
            # Of several assignments to a row the last one stays, which has the largest value.
            best[i[better]], match[i[better]] = value[better], j[better]
    for row in np.flatnonzero(match >= 0):
        yield int(row), int(match[row]), float(best[row])


def similar_rows(one: Vectors, other: Vectors, *, seed: int = 0) -> Iterator[tuple[Rows, Rows]]:
    """Yield rows of two sets of unit vectors that may be similar; most are not, and pairs may be repeated.

    Cross-polytope hashing (Andoni et al. 2015, NeurIPS 28). Pairs with a cosine above 0.8 are found with a
    probability above 0.999, of 0.64 in nine cases of ten (`tests/dataset/test_similar.py` measures it).
    """
    rows, base = (np.flatnonzero(part.any(axis=1)) for part in (one, other))
    if not len(rows) or not len(base):
        return
    # About as many buckets as vectors.
    hashes = max(1, round(np.log(len(base)) / np.log(2 * _DIMENSIONS)))
    for table in range(_TABLES):
        draw = seeding.generator(seed, "similar", table)
        projection = draw.normal(size=(one.shape[1], hashes, _DIMENSIONS)).astype(np.float32)
        own, keys = _keys(one, rows, projection), _keys(other, base, projection)
        order = np.argsort(keys, kind="stable")
        first, last = (np.searchsorted(keys[order], own, side) for side in ("left", "right"))
        ends = (last - first).cumsum()
        start = 0
        while start < len(rows):
            before = ends[start - 1] if start else 0
            stop = max(start + 1, int(np.searchsorted(ends, before + _PAIRS, "right")))
            counts = (last - first)[start:stop]
            places = np.arange(counts.sum()) - np.repeat(counts.cumsum() - counts, counts)
            yield (
                np.repeat(rows[start:stop], counts),
                base[order[np.repeat(first[start:stop], counts) + places]],
            )
            start = stop


def _keys(vectors: Vectors, rows: Rows, projection: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
    """Return the bucket of each row."""
    size, hashes, n = projection.shape
    keys = np.empty(len(rows), dtype=np.int64)
    radix = (2 * n) ** np.arange(hashes)
    for start in range(0, len(rows), _CHUNK):
        turned = (vectors[rows[start : start + _CHUNK]] @ projection.reshape(size, -1)).reshape(-1, hashes, n)
        best = np.abs(turned).argmax(axis=2)
        negative = np.take_along_axis(turned, best[..., np.newaxis], axis=2)[..., 0] < 0
        keys[start : start + _CHUNK] = (best + n * negative) @ radix
    return keys
