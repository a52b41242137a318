"""ROC and precision-recall curves per class, and selections of galaxies to inspect."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from astropy.table import Table

from galcnn.evaluation.intervals import Floats, Ints, Score, bootstrap
from galcnn.prediction import Prediction

#: False positive rates, or recalls, at which the bootstrap bands are computed.
GRID = np.linspace(0, 1, 101)


@dataclass(frozen=True, eq=False)
class Curve:
    """A curve over all thresholds, with its 95 % bootstrap band.

    Attributes
    ----------
    x, y : numpy.ndarray
        One point per threshold, from the highest to the lowest threshold; shape (n,).
    low, high : numpy.ndarray
        Bounds of `y` at the abscissae `GRID`.
    area : galcnn.evaluation.Score
        Area under the curve.
    """

    x: Floats
    y: Floats
    low: Floats
    high: Floats
    area: Score


@dataclass(frozen=True, eq=False)
class Ranking:
    """ROC and precision-recall curves of one class against all others.

    Attributes
    ----------
    name : str
        The class.
    n, n_others : int
        Number of galaxies of this class, and of all other classes.
    roc : Curve
        True positive rate (recall, completeness) against false positive rate, from (0, 0) to
        (1, 1). Its area, by the trapezoidal rule, is the probability that a galaxy of the class has
        a higher score than a galaxy of another class, with ties counted half (Hanley & McNeil 1982,
        Radiology 143, 29).
    precision_recall : Curve
        Precision (purity) against recall (completeness). Its area is the average precision: the sum
        over thresholds of the precision times the increase in recall, without interpolation, which
        would be too optimistic (Davis & Goadrich 2006, ICML). A random classifier has
        ``n / (n + n_others)``.
    """

    name: str
    n: int
    n_others: int
    roc: Curve
    precision_recall: Curve


def rankings(
    prediction: Prediction, labels: Sequence[str], *, seed: int = 0, n_bootstrap: int = 1000
) -> tuple[Ranking, ...]:
    """Compute ROC and precision-recall curves of each class.

    Parameters
    ----------
    prediction : galcnn.prediction.Prediction
        Prediction for galaxies that were not used in training.
    labels : sequence of str
        True classes, in the same order.
    seed : int
        Random seed of the bootstrap.
    n_bootstrap : int
        Number of bootstrap samples, stratified by true class.

    Returns
    -------
    tuple of Ranking
        One per class, without classes that contain no galaxies or all of them. The bootstrap bands
        are too narrow for classes with fewer than about ten galaxies, and have zero width for a
        perfect curve.

    Raises
    ------
    ValueError
        If there are no galaxies, a label is not a class of the prediction, or a galaxy has no
        prediction.

    Examples
    --------
    >>> p = np.array([0.9, 0.8, 0.35, 0.4, 0.1])
    >>> sample = Prediction(tuple("abcde"), np.log([p, 1 - p]).T, ("spiral", "other"))
    >>> spiral, _ = rankings(sample, ["spiral"] * 3 + ["other"] * 2, n_bootstrap=10)
    >>> round(spiral.roc.area.value, 3), round(spiral.precision_recall.area.value, 3)
    (0.833, 0.917)
    """
    truth, probabilities = prediction.positions(labels), prediction.probabilities
    counts = np.bincount(truth, minlength=len(prediction.classes))
    shown = [int(k) for k in np.flatnonzero((counts > 0) & (counts < len(truth)))]
    sorted_ = [_Sorted.of(probabilities[:, k], truth == k) for k in shown]

    def measure(rows: Ints) -> Floats:
        times = np.bincount(rows, minlength=len(truth))
        return np.concatenate([one.figures(times) for one in sorted_]) if sorted_ else np.empty(0)

    values, low, high = bootstrap(measure, truth, seed=seed, n_bootstrap=n_bootstrap)
    blocks = np.stack([values, low, high]).reshape(3, len(shown), 2, 1 + len(GRID))
    once = np.ones(len(truth), dtype=int)
    found = []
    for place, (k, one) in enumerate(zip(shown, sorted_, strict=True)):
        curves = []
        for which, (x, y) in enumerate((one.roc(once), one.precision_recall(once))):
            value, least, most = blocks[:, place, which]
            area = Score(float(value[0]), float(least[0]), float(most[0]), len(truth))
            curves.append(Curve(x, y, least[1:], most[1:], area))
        n = int(counts[k])
        found.append(Ranking(prediction.classes[k], n, len(truth) - n, curves[0], curves[1]))
    return tuple(found)


def ranking_table(ranked: Sequence[Ranking]) -> Table:
    """Return the areas under the curves as a table, one row per class."""
    table = Table()
    table["class"] = np.array([one.name for one in ranked], dtype=str)
    table["n"] = [one.n for one in ranked]
    table["n_others"] = [one.n_others for one in ranked]
    areas = {
        "roc_area": [one.roc.area for one in ranked],
        "average_precision": [one.precision_recall.area for one in ranked],
    }
    for name, scores in areas.items():
        table[name] = [score.value for score in scores]
        table[f"{name}_low"] = [score.low for score in scores]
        table[f"{name}_high"] = [score.high for score in scores]
    table["share"] = [one.n / (one.n + one.n_others) for one in ranked]
    return table


@dataclass(frozen=True, eq=False)
class _Sorted:
    """Galaxies sorted by falling score; a bootstrap sample only changes how often each counts."""

    order: Ints
    positive: npt.NDArray[np.bool_]
    ends: Ints  # the last galaxy of each group of equal scores

    @classmethod
    def of(cls, scores: Floats, positive: npt.NDArray[np.bool_]) -> _Sorted:
        order = np.argsort(-scores, kind="stable")
        ranked = scores[order]
        ends = np.append(np.flatnonzero(np.diff(ranked)), len(ranked) - 1)
        return cls(order, positive[order], ends)

    def figures(self, times: Ints) -> Floats:
        """Area and values at `GRID` of the ROC curve, then of the precision-recall curve."""
        x, y = self.roc(times)
        at = np.searchsorted(x, GRID, side="right") - 1
        after = np.minimum(at + 1, len(x) - 1)
        step = x[after] - x[at]
        share = np.divide(GRID - x[at], step, out=np.zeros(len(GRID)), where=step > 0)
        roc = [np.trapezoid(y, x)], y[at] + share * (y[after] - y[at])
        recall, precision = self.precision_recall(times)
        reached = np.minimum(np.searchsorted(recall, GRID - 1e-12), len(recall) - 1)
        average = np.sum(np.diff(recall, prepend=0) * precision)
        return np.concatenate([*roc, [average], precision[reached]])

    def roc(self, times: Ints) -> tuple[Floats, Floats]:
        hits, alarms = self._counts(times)
        return np.append(0.0, alarms / alarms[-1]), np.append(0.0, hits / hits[-1])

    def precision_recall(self, times: Ints) -> tuple[Floats, Floats]:
        hits, alarms = self._counts(times)
        drawn = (hits + alarms) > 0  # the highest scores may be missing from a bootstrap sample
        hits, alarms = hits[drawn], alarms[drawn]
        return hits / hits[-1], hits / (hits + alarms)

    def _counts(self, times: Ints) -> tuple[Floats, Floats]:
        weights = times[self.order]
        hits = np.cumsum(weights * self.positive)[self.ends].astype(np.float64)
        return hits, np.cumsum(weights)[self.ends] - hits


def most_confident(prediction: Prediction, most: int) -> Ints:
    """Select the most confident predictions of each class, so that rare classes are included.

    Parameters
    ----------
    prediction : galcnn.prediction.Prediction
        Predictions; rows without one are ignored.
    most : int
        Maximum number of galaxies per predicted class.

    Returns
    -------
    numpy.ndarray
        Row numbers, int: galaxies predicted as the first class by falling probability, then those
        of the second class, and so on.

    Examples
    --------
    >>> p = Prediction(("a", "b", "c"), np.log([[0.6, 0.4], [0.9, 0.1], [0.2, 0.8]]), ("x", "y"))
    >>> most_confident(p, 1).tolist()
    [1, 2]
    """
    probabilities, best = prediction.probabilities, np.array(prediction.best, dtype=object)
    found = [np.empty(0, dtype=int)]
    for k, name in enumerate(prediction.classes):
        own = np.flatnonzero(best == name)
        found.append(own[np.argsort(-probabilities[own, k], kind="stable")[:most]])
    return np.concatenate(found)


def worst_mistakes(prediction: Prediction, labels: Sequence[str], most: int) -> Ints:
    """Select the wrong predictions that give the true class the lowest probability.

    Parameters
    ----------
    prediction : galcnn.prediction.Prediction
        Prediction for galaxies with known classes; every galaxy needs one.
    labels : sequence of str
        True classes, in the same order.
    most : int
        Maximum number of galaxies.

    Returns
    -------
    numpy.ndarray
        Row numbers, int, by rising probability of the true class; fewer than `most` if there are
        fewer wrong predictions.
    """
    truth, probabilities = prediction.positions(labels), prediction.probabilities
    cost = probabilities[np.arange(len(truth)), truth]
    wrong = np.flatnonzero(probabilities.argmax(axis=1) != truth)
    return wrong[np.argsort(cost[wrong], kind="stable")[:most]]


def most_uncertain(prediction: Prediction, most: int) -> Ints:
    """Select the predictions with the highest entropy.

    Parameters
    ----------
    prediction : galcnn.prediction.Prediction
        Predictions; rows without one are ignored.
    most : int
        Maximum number of galaxies.

    Returns
    -------
    numpy.ndarray
        Row numbers, int, by falling entropy.
    """
    entropy = prediction.entropy
    known = np.flatnonzero(np.isfinite(entropy))
    return known[np.argsort(-entropy[known], kind="stable")[:most]]
