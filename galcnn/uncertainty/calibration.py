"""Calibrated probabilities: of a hundred predictions with probability 0.8, eighty should be right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
from astropy.table import Table

from galcnn._runtime import seeding
from galcnn.errors import message
from galcnn.evaluation import Score, bootstrap
from galcnn.evaluation.metrics import calibration_error
from galcnn.prediction import Prediction
from galcnn.prediction.calibration import Calibration, Kind

Floats = npt.NDArray[np.float64]
#: A kind, or the choice of one by cross-validation.
Choice = Literal["auto", "temperature", "bias", "vector"]

#: Smallest factor on the logits.
_LEAST = 1e-2
#: Standard deviation of a normal prior on the factors (mean 1) and offsets (mean 0). It keeps them finite for
#: a sample without wrong predictions; with some hundred galaxies and some mistakes its effect is negligible.
_PRIOR = 3.0
#: Number of folds of the cross-validation that chooses a kind.
_FOLDS = 10
#: Smallest sample in which it chooses; in a smaller one, more than a temperature would be noise.
_LEAST_SAMPLE = 100


def fit_calibration(
    prediction: Prediction, labels: Sequence[str], *, kind: Choice = "temperature"
) -> Calibration:
    """Fit a calibration by maximum likelihood of the true classes.

    Parameters
    ----------
    prediction : galcnn.prediction.Prediction
        Prediction for galaxies that were not used in training. If the class frequencies in this
        sample differ from those in training, adjust it first with `Prediction.with_prior`.
    labels : sequence of str
        True classes, in the same order.
    kind : {"auto", "temperature", "bias", "vector"}
        Kind of calibration, see `Calibration`. With ``auto``, the one with the smallest log loss in
        10-fold cross-validation; a temperature alone for fewer than 100 galaxies, or if the difference is
        less than its standard error.

    Returns
    -------
    Calibration
        Calibration that minimises the mean negative log-likelihood, a convex function. A normal prior
        with standard deviation 3 on the factors (mean 1) and offsets (mean 0) keeps them finite if
        the sample has no wrong predictions.

    Raises
    ------
    ValueError
        If there are no galaxies, a label is not a class of the prediction, or a galaxy has no
        prediction.
    """
    if kind not in get_args(Choice):
        raise ValueError(message(f"a kind among {get_args(Choice)}", "", kind=kind))
    truth, shift = prediction.positions(labels), np.asarray(prediction.adjustment)
    logits = prediction.logits.astype(np.float64)
    chosen = _chosen(logits, truth, shift) if kind == "auto" else kind
    scale, bias = _fitted(logits, truth, shift, chosen)
    return Calibration(chosen, tuple(scale.tolist()), tuple((bias - bias.mean()).tolist()), len(truth))


def _chosen(logits: Floats, truth: npt.NDArray[np.int_], shift: Floats) -> Kind:
    """Return the kind with the smallest log loss in cross-validation, the simplest if none is better."""
    if len(truth) < _LEAST_SAMPLE:
        return "temperature"
    # In turn within each class, so that all folds have galaxies of rare classes.
    order = np.argsort(truth, kind="stable")
    folds = np.empty(len(truth), dtype=int)
    folds[order] = np.arange(len(truth)) % _FOLDS
    kinds: tuple[Kind, ...] = get_args(Kind)
    losses = np.full((len(kinds), len(truth)), np.inf)
    for fold in np.unique(folds):
        inside, outside = folds != fold, folds == fold
        if not inside.any():
            return "temperature"
        for row, kind in enumerate(kinds):
            scale, bias = _fitted(logits[inside], truth[inside], shift, kind)
            logs = _log_softmax(logits[outside] * scale + bias + shift)
            losses[row, outside] = -logs[np.arange(len(logs)), truth[outside]]
    best = int(losses.mean(axis=1).argmin())
    gain = losses[0] - losses[best]
    return kinds[best] if gain.mean() > gain.std(ddof=1) / np.sqrt(len(gain)) else "temperature"


def _log_softmax(scores: Floats) -> Floats:
    scores = scores - scores.max(axis=1, keepdims=True)
    logs: Floats = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
    return logs


def _fitted(logits: Floats, truth: npt.NDArray[np.int_], shift: Floats, kind: Kind) -> tuple[Floats, Floats]:
    """Return the factors and offsets of greatest likelihood."""
    from scipy.optimize import minimize

    n_classes = logits.shape[1]
    n_scales = n_classes if kind == "vector" else 1
    n_biases = 0 if kind == "temperature" else n_classes
    start = np.concatenate([np.ones(n_scales), np.zeros(n_biases)])
    rows = np.arange(len(truth))

    def loss(values: Floats) -> tuple[float, Floats]:
        bias = values[n_scales:] if n_biases else np.zeros(n_classes)
        logs = _log_softmax(logits * values[:n_scales] + bias + shift)
        error = np.exp(logs)
        error[rows, truth] -= 1.0
        slope = (error * logits).mean(axis=0)
        gradient = slope.sum(keepdims=True) if n_scales == 1 else slope
        cost = -float(logs[rows, truth].mean())
        slopes = np.concatenate([gradient, error.mean(axis=0)[:n_biases]])
        pull = (values - start) / (_PRIOR**2 * len(truth))
        return cost + float(((values - start) * pull).sum() / 2), slopes + pull

    bounds = [(_LEAST, None)] * n_scales + [(None, None)] * n_biases
    found = minimize(
        loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"ftol": 1e-15, "gtol": 1e-10}
    ).x
    return np.broadcast_to(found[:n_scales], n_classes), found[n_scales:] if n_biases else np.zeros(n_classes)


@dataclass(frozen=True)
class CalibrationTest:
    """Result of a test of the hypothesis that the probabilities are calibrated.

    Attributes
    ----------
    error : galcnn.evaluation.Score
        Expected calibration error with its bootstrap interval.
    expected : float
        Mean error of samples that are drawn from the probabilities themselves. It is above 0 because
        the sample is finite.
    p_value : float
        Fraction of these samples whose error is at least as large as the measured one.
    """

    error: Score
    expected: float
    p_value: float

    def __str__(self) -> str:
        return f"{self.error}, {self.expected:.3f} expected of right probabilities (p = {self.p_value:.3f})"


def calibration_test(
    prediction: Prediction, labels: Sequence[str], *, seed: int = 0, n_draws: int = 1000
) -> CalibrationTest:
    """Test whether the calibration error exceeds that of perfectly calibrated probabilities.

    Parameters
    ----------
    prediction : galcnn.prediction.Prediction
        Prediction for galaxies that were not used in training or calibration.
    labels : sequence of str
        True classes, in the same order.
    seed : int
        Random seed.
    n_draws : int
        Number of bootstrap samples, and of samples with classes drawn from the probabilities
        (consistency resampling, Broecker & Smith 2007, Weather and Forecasting 22, 651).

    Returns
    -------
    CalibrationTest
        Calibration error, its expected value for calibrated probabilities, and p-value.

    Raises
    ------
    ValueError
        If there are no galaxies, a label is not a class of the prediction, or a galaxy has no
        prediction.
    """
    truth, probabilities = prediction.positions(labels), prediction.probabilities
    value, low, high = bootstrap(
        lambda rows: np.array([calibration_error(probabilities[rows], truth[rows])]),
        truth,
        seed=seed,
        n_bootstrap=n_draws,
    )
    rng = seeding.generator(seed, "calibration test")
    edges = probabilities.cumsum(axis=1)[:, :-1]
    null = np.array(
        [
            calibration_error(probabilities, (rng.random((len(truth), 1)) > edges).sum(axis=1))
            for _ in range(n_draws)
        ]
    )
    p_value = float((1 + np.sum(null >= value[0])) / (1 + n_draws))
    error = Score(float(value[0]), float(low[0]), float(high[0]), len(truth))
    return CalibrationTest(error, float(null.mean()), p_value)


def reliability(prediction: Prediction, labels: Sequence[str], *, n_bins: int = 10) -> Table:
    """Compute the data of a reliability diagram: accuracy in bins of confidence.

    Parameters
    ----------
    prediction : galcnn.prediction.Prediction
        Prediction for galaxies with known classes.
    labels : sequence of str
        True classes, in the same order.
    n_bins : int
        Number of equal bins of the highest probability, from 0 to 1.

    Returns
    -------
    astropy.table.Table
        One row per bin that contains galaxies: ``low_edge``, ``high_edge``, mean ``confidence``,
        ``accuracy`` with its 95 % Wilson interval ``low``, ``high``, and number of galaxies ``n``.

    Raises
    ------
    ValueError
        If there are no galaxies, a label is not a class of the prediction, or a galaxy has no
        prediction.
    """
    from astropy.stats import binom_conf_interval

    truth, probabilities = prediction.positions(labels), prediction.probabilities
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == truth
    bins = np.minimum((confidence * n_bins).astype(int), n_bins - 1)
    filled = np.unique(bins)
    counts = np.bincount(bins, minlength=n_bins)[filled]
    hits = np.bincount(bins, weights=right, minlength=n_bins)[filled]
    low, high = binom_conf_interval(hits, counts, confidence_level=0.95, interval="wilson")
    table = Table()
    table["low_edge"], table["high_edge"] = filled / n_bins, (filled + 1) / n_bins
    table["confidence"] = np.bincount(bins, weights=confidence, minlength=n_bins)[filled] / counts
    table["accuracy"], table["low"], table["high"], table["n"] = hits / counts, low, high, counts
    return table


def departures(table: Table) -> npt.NDArray[np.bool_]:
    """Find the bins of a table of `reliability` in which the accuracy is not the confidence.

    Binomial test of each bin; a right curve has a departure with a probability of at most 5 %.
    """
    from scipy.stats import binomtest

    hits = np.round(table["accuracy"] * table["n"]).astype(int)
    p = [
        binomtest(int(k), int(n), min(confidence, 1.0)).pvalue
        for k, n, confidence in zip(hits, table["n"], table["confidence"], strict=True)
    ]
    return np.array(p) < 0.05 / len(p)
