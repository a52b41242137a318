"""Choose the galaxies to label next: pool-based active learning on the table of a run.

Uncertainty (Settles 2009, Active Learning Literature Survey, section 3.1), disagreement (BALD,
Houlsby et al. 2011), coverage (k-center greedy, Sener & Savarese 2018) and both (k-means among the
uncertain, Zhdanov 2019). Distances and clusters are scikit-learn's.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from astropy.table import Table
from sklearn.cluster import KMeans
from sklearn.metrics import pairwise_distances

from galcnn._runtime import seeding
from galcnn.errors import message
from galcnn.pipeline.neighbours import Embedded
from galcnn.prediction.prediction import shannon_entropy

STRATEGIES: Mapping[str, str] = {
    "entropy": "entropy of the probabilities, largest first",
    "margin": "probability of the best class less that of the second, smallest first",
    "least-confidence": "probability of the best class, smallest first",
    "bald": "mutual information of several models or dropout samples, largest first",
    "k-center": "distance from the nearest labelled or chosen galaxy, largest first",
    "diverse": "k-means among the ten times as many of largest entropy, the nearest to each centre",
    "random": "none: the choice is random",
}


#: Strategies that need no probabilities.
_BY_DISTANCE = ("k-center", "random")
_BY_SCORE = ("entropy", "margin", "least-confidence", "bald")


#: Number of preselected uncertain galaxies that are clustered, per galaxy to be chosen.
_PRESELECTED = 10


#: Near-duplicates: galaxies whose features differ by less than this fraction of their norm.
_TWINS = 1e-4


Floats = npt.NDArray[np.float64]


Rows = npt.NDArray[np.intp]


def label_next(
    embedded: Embedded,
    n: int,
    *,
    strategy: str = "diverse",
    labelled: Collection[str] = (),
    seed: int = 0,
) -> Table:
    """Choose the galaxies to label next.

    Galaxies without a usable image (unreadable, unfit, masked, blank), labelled galaxies and
    near-duplicates of labelled or already chosen galaxies are left out.

    Parameters
    ----------
    embedded : Embedded
        The pool of galaxies. ``bald`` needs a run of an ensemble, or with dropout samples.
    n : int
        Largest number of galaxies to choose.
    strategy : str
        One of `galcnn.pipeline.labelling.STRATEGIES`: ``entropy``, ``margin``, ``least-confidence``,
        ``bald``, ``k-center``, ``diverse`` or ``random``.
    labelled : collection of str
        Ids of galaxies that have a label. Ids that are not in the pool are ignored.
    seed : int
        Seed of ``random`` and of the clustering of ``diverse``. Ties are broken by the order of the
        pool.

    Returns
    -------
    astropy.table.Table
        Chosen galaxies. Columns `rank` (from 1), `id`, `score` (quantity that the strategy ranks by;
        NaN for ``random``) and, if there are probabilities, `class` (most probable class) and `p` (its
        probability).

    Raises
    ------
    ValueError
        If there is no such strategy, `n` is less than 1, or ``bald`` finds no mutual information.
    """
    if strategy not in STRATEGIES:
        raise ValueError(message(f"a strategy among {tuple(STRATEGIES)}", "", strategy=strategy))
    if n < 1:
        raise ValueError(message("at least one galaxy", "", n=n))
    if not embedded.classes and strategy not in _BY_DISTANCE:
        raise ValueError(
            message(
                f"a strategy among {_BY_DISTANCE} for embeddings without class probabilities",
                "Choose it: --strategy k-center. The others need a run of galcnn classify --embeddings.",
                strategy=strategy,
            )
        )
    known = (
        np.isin(np.array(embedded.ids, dtype=str), list(labelled))
        if labelled
        else np.zeros(len(embedded), bool)
    )
    pool = np.flatnonzero(embedded.usable & ~known)
    taken = np.flatnonzero(known & np.isfinite(embedded.features).all(axis=1))
    if strategy in _BY_SCORE:
        scores = _scores(embedded, strategy)
        order = pool[np.argsort(-scores[pool], kind="stable")]
        chosen = _without_twins(embedded, order, taken, n)
        if strategy in ("margin", "least-confidence"):
            scores = -scores
    elif strategy == "random":
        scores = np.full(len(embedded), np.nan)
        chosen = _without_twins(embedded, seeding.generator(seed, "label-next").permutation(pool), taken, n)
    elif strategy == "k-center":
        chosen, scores = _k_center(embedded, pool, taken, n)
    else:
        scores = _scores(embedded, "entropy")
        chosen = _diverse(embedded, pool[np.argsort(-scores[pool], kind="stable")], taken, n, seed)
    return _table(embedded, chosen, scores, {"strategy": strategy, "seed": seed, "labelled": len(labelled)})


def _scores(embedded: Embedded, strategy: str) -> Floats:
    """Return the score of each galaxy, larger for more uncertain ones."""
    if strategy == "bald":
        if embedded.mutual_information is None:
            raise ValueError(
                message(
                    "a run with the column 'mutual_information'",
                    "Run several models, or one with --dropout-samples.",
                    strategy=strategy,
                )
            )
        return embedded.mutual_information
    p = embedded.probabilities
    if strategy == "entropy":
        return shannon_entropy(p)
    best = np.sort(p, axis=1)
    scores: Floats = -best[:, -1] if strategy == "least-confidence" else best[:, -2] - best[:, -1]
    return scores


def _distances(embedded: Embedded, rows: Rows, one: int) -> Floats:
    features = embedded.features
    found: Floats = pairwise_distances(features[rows].astype(np.float64), features[[one]].astype(np.float64))[
        :, 0
    ]
    return found


def _lengths(embedded: Embedded, rows: Rows) -> Floats:
    lengths: Floats = np.linalg.norm(embedded.features[rows].astype(np.float64), axis=1)
    return lengths


def _without_twins(embedded: Embedded, order: Iterable[Any], taken: Rows, n: int) -> Rows:
    """Return the first n rows of an order, without near-duplicates of earlier or labelled ones."""
    chosen: list[int] = []
    for row in order:
        before = np.array([*taken, *chosen], dtype=np.intp)
        limit = _TWINS * _lengths(embedded, np.array([row]))[0]
        if not len(before) or _distances(embedded, before, row).min() > limit:
            chosen.append(int(row))
        if len(chosen) == n:
            break
    return np.array(chosen, dtype=np.intp)


def _k_center(embedded: Embedded, pool: Rows, taken: Rows, n: int) -> tuple[Rows, Floats]:
    """Choose greedily; the radius is at most twice that of the best cover (Gonzalez 1985)."""
    scores = np.full(len(embedded), np.nan)
    chosen: list[int] = []
    if not len(pool):
        return np.array(chosen, dtype=np.intp), scores
    if len(taken):
        near = np.full(len(pool), np.inf)
        for one in taken:
            near = np.minimum(near, _distances(embedded, pool, one))
    else:  # begin with the galaxy nearest to the mean
        middle = embedded.features[pool].astype(np.float64).mean(axis=0)
        first = int(np.argmin(np.linalg.norm(embedded.features[pool] - middle, axis=1)))
        chosen.append(int(pool[first]))
        near = _distances(embedded, pool, pool[first])
        scores[pool[first]] = 0.0
    limits = _TWINS * _lengths(embedded, pool)
    while len(chosen) < n:
        furthest = int(np.argmax(near))
        if near[furthest] <= limits[furthest]:  # only near-duplicates are left
            break
        chosen.append(int(pool[furthest]))
        scores[pool[furthest]] = near[furthest]
        near = np.minimum(near, _distances(embedded, pool, pool[furthest]))
    return np.array(chosen, dtype=np.intp), scores


def _diverse(embedded: Embedded, order: Rows, taken: Rows, n: int, seed: int) -> Rows:
    some = _without_twins(embedded, order, taken, _PRESELECTED * n)
    if len(some) <= n:
        return some
    features = embedded.features[some].astype(np.float64)
    clusters = KMeans(n, n_init=1, random_state=seeding.integer(seed, "label-next") % 2**32).fit(features)
    distance = np.linalg.norm(features - clusters.cluster_centers_[clusters.labels_], axis=1)
    # Ties go to the galaxy of larger entropy, by which `some` is ordered.
    first = [int(np.argmin(np.where(clusters.labels_ == k, distance, np.inf))) for k in range(n)]
    chosen: Rows = some[np.sort(first)]
    return chosen


def _table(embedded: Embedded, chosen: Rows, scores: Floats, meta: dict[str, Any]) -> Table:
    table = embedded.ranked(chosen, "score", scores[chosen])
    table["score"].description = STRATEGIES[meta["strategy"]]
    table.meta |= meta
    return table
