"""Drift: how far two samples of galaxies are apart, and whether chance would do as much.

Each measure takes features, one row a galaxy. The p-value is that of a permutation test: where
both samples are of one population, it is uniform, whatever the features are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
from astropy.table import QTable
from scipy.spatial.distance import cdist, pdist
from scipy.stats import binomtest

from galcnn import seeding
from galcnn.errors import message

__all__ = ["MEASURES", "Drift", "Measure", "drift", "holm", "power_curve"]

Measure = Literal["moments", "sliced_wasserstein", "mmd", "classifier"]
MEASURES: tuple[str, ...] = get_args(Measure)

_Array = npt.NDArray[np.float64]
#: Value and one value a permutation, for labels of shape (n_permutations, n).
_Statistic = Callable[[npt.NDArray[np.bool_]], _Array]

_PROJECTIONS = 64
_FOLDS = 5
#: Weight of the ridge, in units of the mean variance of a feature times the number of galaxies.
_RIDGE = 0.1


@dataclass(frozen=True)
class Drift:
    """A measured difference of two samples.

    Attributes
    ----------
    measure : str
        One of `MEASURES`.
    value : float
        Moments: root mean square, over features, of the difference of means in standard
        deviations of the pooled sample. Sliced Wasserstein: mean distance over directions, in
        the same unit. MMD: squared, unbiased, so that it may be negative. Classifier: share of
        galaxies whose sample is told, 0.5 by chance or a little less.
    p_value : float
        Share of permutations with a statistic at least as large; never 0.
    n_reference, n_sample : int
        Galaxies.
    permutations : int
        How many.
    """

    measure: str
    value: float
    p_value: float
    n_reference: int
    n_sample: int
    permutations: int


def drift(
    reference: npt.ArrayLike,
    sample: npt.ArrayLike,
    *,
    measure: Measure = "mmd",
    permutations: int = 499,
    seed: int = 0,
) -> Drift:
    """Measure how far two samples are apart.

    Parameters
    ----------
    reference, sample : array-like
        Features, shapes (n, n_features) and (m, n_features), finite, four galaxies or more each.
    measure : {"moments", "sliced_wasserstein", "mmd", "classifier"}
        Differences of means and variances of each feature; Wasserstein distance along random
        directions (Rabin et al. 2012); maximum mean discrepancy with a Gaussian kernel of the
        median distance (Gretton et al. 2012, JMLR 13, 723); a cross-validated linear classifier
        (Lopez-Paz & Oquab 2017, 1610.06545).
    permutations : int
        Of the test; the smallest p-value is 1 / (permutations + 1).
    seed : int
        Of permutations, directions and folds.

    Returns
    -------
    Drift
        Value and p-value.

    Raises
    ------
    ValueError
        The samples have other features, too few galaxies, or numbers that are not finite.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> near, far = rng.normal(size=(60, 3)), rng.normal(1.0, 1.0, size=(40, 3))
    >>> drift(near, far).p_value
    0.002
    """
    near, far = _checked(reference, sample)
    if measure not in MEASURES or permutations < 1:
        raise ValueError(
            message(f"a measure among {MEASURES}", "", measure=measure, permutations=permutations)
        )
    pooled = np.concatenate([near, far])
    pooled = pooled[:, pooled.std(axis=0) > 0]
    if pooled.shape[1] == 0:
        return Drift(measure, 0.5 if measure == "classifier" else 0.0, 1.0, len(near), len(far), permutations)
    pooled = (pooled - pooled.mean(axis=0)) / pooled.std(axis=0)
    own = np.arange(len(pooled)) >= len(near)
    rng = seeding.generator(seed, "permutation")
    labels = np.stack([own, *(rng.permutation(own) for _ in range(permutations))])
    statistic, value = _STATISTICS[measure](pooled, seeding.generator(seed, "drift", measure), own)
    found = statistic(labels)
    p_value = (1 + np.sum(found[1:] >= found[0] * (1 - 1e-12))) / (1 + permutations)
    shown = float(found[0]) if value is None else value
    return Drift(measure, shown, float(p_value), len(near), len(far), permutations)


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Adjust p-values for the number of questions asked.

    Parameters
    ----------
    p_values : mapping of str to float
        By question.

    Returns
    -------
    dict of str to float
        Adjusted by the step-down method (Holm 1979, Scand. J. Statist. 6, 65), in the same order.

    Examples
    --------
    >>> holm({"a": 0.01, "b": 0.04, "c": 0.03})
    {'a': 0.03, 'b': 0.06, 'c': 0.06}
    """
    adjusted, largest = {}, 0.0
    for i, name in enumerate(sorted(p_values, key=lambda name: p_values[name])):
        largest = max(largest, min(1.0, (len(p_values) - i) * p_values[name]))
        adjusted[name] = largest
    return {name: adjusted[name] for name in p_values}


def power_curve(
    reference: npt.ArrayLike,
    shifts: Sequence[float],
    *,
    measure: Measure = "mmd",
    n: int = 50,
    repeats: int = 100,
    seed: int = 0,
) -> QTable:
    """Plant shifts in the mean of every feature, and count how often they are found at p < 0.05.

    Parameters
    ----------
    reference : array-like
        Features, shape (n_galaxies, n_features); samples are drawn from them without replacement.
    shifts : sequence of float
        In standard deviations of each feature. Zero shows the false alarms.
    measure : str
        See `drift`.
    n : int
        Galaxies in each of the two samples.
    repeats : int
        Draws for each shift.
    seed : int
        Of the draws.

    Returns
    -------
    astropy.table.QTable
        ``shift``, ``power`` and its 95 % interval ``low``, ``high`` (Clopper & Pearson 1934).

    Raises
    ------
    ValueError
        There are fewer than 2 n galaxies.
    """
    features = np.asarray(reference, dtype=np.float64)
    if len(features) < 2 * n:
        raise ValueError(
            message(f"at least {2 * n} galaxies for two samples of {n}", "", n_galaxies=len(features))
        )
    spread = features.std(axis=0)
    rows = []
    for shift in shifts:
        hits = 0
        for turn in range(repeats):
            order = seeding.generator(seed, "power", turn).permutation(len(features))[: 2 * n]
            near, far = features[order[:n]], features[order[n:]] + shift * spread
            hits += drift(near, far, measure=measure, permutations=199, seed=turn).p_value < 0.05
        interval = binomtest(int(hits), repeats).proportion_ci(0.95)
        rows.append((float(shift), hits / repeats, interval.low, interval.high))
    return QTable(rows=rows, names=("shift", "power", "low", "high"))


def _checked(reference: npt.ArrayLike, sample: npt.ArrayLike) -> tuple[_Array, _Array]:
    near, far = (np.asarray(one, dtype=np.float64) for one in (reference, sample))
    if near.ndim != 2 or far.ndim != 2 or near.shape[1] != far.shape[1]:
        raise ValueError(
            message("two samples of shape (n, n_features)", "", reference=near.shape, sample=far.shape)
        )
    if min(len(near), len(far)) < 4:
        raise ValueError(
            message("at least four galaxies in each sample", "", n_reference=len(near), n_sample=len(far))
        )
    if not (np.isfinite(near).all() and np.isfinite(far).all()):
        raise ValueError(message("finite features", "Leave galaxies without them out.", finite=False))
    return near, far


def _moments(
    pooled: _Array, rng: np.random.Generator, own: npt.NDArray[np.bool_]
) -> tuple[_Statistic, float | None]:
    """Standardised differences of means and of second moments, squared and averaged."""
    del rng
    features = np.concatenate([pooled, pooled**2], axis=1)
    spread = features.std(axis=0)
    features = features[:, spread > 0] / spread[spread > 0]

    def statistic(labels: npt.NDArray[np.bool_]) -> _Array:
        return np.asarray(np.mean(_mean_differences(labels, features) ** 2, axis=1))

    value = float(np.sqrt(np.mean(_mean_differences(own[np.newaxis], pooled) ** 2)))
    return statistic, value


def _sliced(
    pooled: _Array, rng: np.random.Generator, own: npt.NDArray[np.bool_]
) -> tuple[_Statistic, float | None]:
    """Area between the two cumulative distributions along each of some directions."""
    del own
    directions = rng.standard_normal((pooled.shape[1], _PROJECTIONS))
    projected = pooled @ (directions / np.linalg.norm(directions, axis=0))
    order = np.argsort(projected, axis=0, kind="stable")
    gaps = np.diff(np.take_along_axis(projected, order, axis=0), axis=0)

    def statistic(labels: npt.NDArray[np.bool_]) -> _Array:
        found = np.empty(len(labels))
        for i, one in enumerate(labels):
            weights = np.where(one, 1 / one.sum(), -1 / (~one).sum())
            found[i] = np.mean(np.sum(np.abs(np.cumsum(weights[order], axis=0)[:-1]) * gaps, axis=0))
        return found

    return statistic, None


def _mmd(
    pooled: _Array, rng: np.random.Generator, own: npt.NDArray[np.bool_]
) -> tuple[_Statistic, float | None]:
    del rng, own
    median = float(np.median(pdist(pooled)))
    kernel = np.exp(-cdist(pooled, pooled, "sqeuclidean") / (2 * max(median, 1e-12) ** 2))
    np.fill_diagonal(kernel, 0.0)

    def statistic(labels: npt.NDArray[np.bool_]) -> _Array:
        far = labels.astype(np.float64)
        near = 1 - far
        m, n = far.sum(axis=1), near.sum(axis=1)
        within = np.sum(near @ kernel * near, axis=1) / (n * (n - 1))
        within += np.sum(far @ kernel * far, axis=1) / (m * (m - 1))
        return np.asarray(within - 2 * np.sum(near @ kernel * far, axis=1) / (n * m))

    return statistic, None


def _classifier(
    pooled: _Array, rng: np.random.Generator, own: npt.NDArray[np.bool_]
) -> tuple[_Statistic, float | None]:
    """Ridge regression on the label; its held-out prediction is linear in the labels."""
    n = len(pooled)
    fold = rng.permutation(n) % _FOLDS
    features = np.concatenate([pooled, np.ones((n, 1))], axis=1)
    hat = np.zeros((n, n))
    ridge = _RIDGE * n * np.eye(features.shape[1])
    ridge[-1, -1] = 1e-9
    for held in range(_FOLDS):
        train, test = fold != held, fold == held
        gram = features[train].T @ features[train] + ridge
        hat[np.ix_(test, train)] = features[test] @ np.linalg.solve(gram, features[train].T)

    def statistic(labels: npt.NDArray[np.bool_]) -> _Array:
        signs = _balanced(labels)
        return np.asarray(np.mean(signs * (signs @ hat.T), axis=1))

    signs = _balanced(own[np.newaxis])[0]
    told = np.sign(hat @ signs) == np.sign(signs)
    return statistic, float(np.mean([told[own].mean(), told[~own].mean()]))


def _balanced(labels: npt.NDArray[np.bool_]) -> _Array:
    """Signs whose sum is zero, so that the larger sample does not decide alone."""
    share = labels.mean(axis=1, keepdims=True)
    signs: _Array = np.where(labels, 0.5 / share, -0.5 / (1 - share))
    return signs


def _mean_differences(labels: npt.NDArray[np.bool_], features: _Array) -> _Array:
    far = labels.astype(np.float64)
    near = 1 - far
    return np.asarray(
        far @ features / far.sum(axis=1, keepdims=True) - near @ features / near.sum(axis=1, keepdims=True)
    )


_STATISTICS: Mapping[str, Callable[..., tuple[_Statistic, float | None]]] = {
    "moments": _moments,
    "sliced_wasserstein": _sliced,
    "mmd": _mmd,
    "classifier": _classifier,
}
