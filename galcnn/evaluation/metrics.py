"""Accuracy, recall, precision and calibration error of a prediction, with bootstrap intervals."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from galcnn.catalog import Catalog
from galcnn.catalog.formats import Galaxies, as_catalog
from galcnn.errors import message, wrong_type
from galcnn.evaluation.intervals import Floats, Ints, Score, bootstrap
from galcnn.prediction import Prediction


def evaluate(
    prediction: Prediction,
    labels: Iterable[str] | Galaxies,
    *,
    seed: int = 0,
    n_bootstrap: int = 2000,
) -> dict[str, Score]:
    """Score a prediction against true classes.

    Parameters
    ----------
    prediction : galcnn.prediction.Prediction
        Prediction for galaxies that were not used in training.
    labels : sequence of str, or Catalog, Table, DataFrame or path-like
        True classes, in the order of the prediction; or a catalog with the column `class` and the ids of
        all galaxies of the prediction, in any order.
    seed : int
        Random seed of the bootstrap.
    n_bootstrap : int
        Number of bootstrap samples.

    Returns
    -------
    dict of str to Score
        ``accuracy``, ``balanced_accuracy`` (mean recall of the classes that occur),
        ``calibration_error``, and ``recall_<class>`` (completeness) and ``precision_<class>``
        (purity) of each class. Bootstrap samples are stratified by true class, so that every one
        contains the rare classes. An accuracy, recall or precision of exactly 0 or 1 is the same in
        every bootstrap sample; it gets the Wilson (1927, JASA 22, 209) interval instead.

    Raises
    ------
    TypeError
        If an argument has a type that is not accepted; the text says which are.
    ValueError
        If there are no galaxies, a label is not a class of the prediction, or a galaxy has no
        prediction.
    """
    if not isinstance(prediction, Prediction):
        raise wrong_type("a Prediction, such as predict() returns", prediction=prediction)
    truth, probabilities = prediction.positions(_labels(prediction, labels)), prediction.probabilities
    guess = probabilities.argmax(axis=1)
    n_classes = len(prediction.classes)

    def measure(rows: Ints) -> Floats:
        matrix = _confusion(truth[rows], guess[rows], n_classes)
        recall, precision = _ratio(np.diag(matrix), matrix.sum(1)), _ratio(np.diag(matrix), matrix.sum(0))
        error = calibration_error(probabilities[rows], truth[rows])
        return np.concatenate(
            [[np.diag(matrix).sum() / len(rows), np.nanmean(recall), error], recall, precision]
        )

    names = ["accuracy", "balanced_accuracy", "calibration_error"]
    names += [f"{what}_{name}" for what in ("recall", "precision") for name in prediction.classes]
    per_class = np.bincount(truth, minlength=n_classes), np.bincount(guess, minlength=n_classes)
    sizes = [len(truth)] * 3 + [int(n) for counts in per_class for n in counts]
    values, low, high = bootstrap(measure, truth, seed=seed, n_bootstrap=n_bootstrap)
    scores = {
        name: Score(float(v), float(a), float(b), n)
        for name, v, a, b, n in zip(names, values, low, high, sizes, strict=True)
    }
    shares = [name for name in names if name == "accuracy" or name.startswith(("recall_", "precision_"))]
    return scores | {name: _widened(scores[name]) for name in shares}


def _labels(prediction: Prediction, labels: Any) -> Sequence[str]:
    """Return the true classes in the order of the prediction."""
    by_id = isinstance(labels, Catalog | str | os.PathLike) or hasattr(labels, "columns")
    if not by_id and isinstance(labels, Iterable) and not isinstance(labels, Mapping | type):
        return [str(name) for name in labels]
    if not by_id:
        raise wrong_type("the true classes: a sequence of names, or a catalog with them", labels=labels)
    catalog = as_catalog(labels)
    known = dict(zip(catalog.ids, catalog.labels.tolist(), strict=True))
    if missing := [name for name in prediction.ids if name not in known]:
        raise ValueError(
            message(
                "the ids of all galaxies in the catalog", "Give them to predict: ids=...", missing=missing
            )
        )
    return [known[name] for name in prediction.ids]


def confusion_matrix(prediction: Prediction, labels: Sequence[str]) -> Ints:
    """Compute the confusion matrix.

    Parameters
    ----------
    prediction : galcnn.prediction.Prediction
        Prediction for galaxies with known classes.
    labels : sequence of str
        True classes, in the same order.

    Returns
    -------
    numpy.ndarray
        Number of galaxies, shape (n_classes, n_classes): true class by predicted class.
    """
    truth, probabilities = prediction.positions(labels), prediction.probabilities
    return _confusion(truth, probabilities.argmax(axis=1), len(prediction.classes))


def calibration_error(probabilities: Floats, truth: Ints, *, n_bins: int = 15) -> float:
    """Expected calibration error (Guo et al. 2017, equation 3); biased upwards for small samples."""
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == truth
    bins = np.minimum((confidence * n_bins).astype(int), n_bins - 1)
    gap = np.bincount(bins, weights=right - confidence, minlength=n_bins)
    return float(np.abs(gap).sum() / len(truth))


def _widened(score: Score) -> Score:
    if score.value not in (0.0, 1.0):
        return score
    far = 1.959964**2 / (score.n + 1.959964**2)
    return Score(score.value, 0.0, far, score.n) if score.value == 0 else Score(1.0, 1 - far, 1.0, score.n)


def _confusion(truth: Ints, guess: Ints, n_classes: int) -> Ints:
    return np.bincount(truth * n_classes + guess, minlength=n_classes**2).reshape(n_classes, n_classes)


def _ratio(part: Ints, whole: Ints) -> Floats:
    ratio: Floats = np.divide(part, whole, out=np.full(len(part), np.nan), where=whole > 0)
    return ratio
