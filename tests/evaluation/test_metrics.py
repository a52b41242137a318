"""Scores by hand, and intervals that hold what they promise."""

import numpy as np
import pytest

from galcnn.evaluation import bootstrap, confusion_matrix, evaluate
from galcnn.evaluation.metrics import calibration_error
from galcnn.prediction import Prediction

CLASSES = ("a", "b", "c")


def prediction(probabilities):
    p = np.asarray(probabilities, dtype=float)
    return Prediction(tuple(map(str, range(len(p)))), np.log(np.maximum(p, 1e-30)), CLASSES)


def sure(guess, confidence=0.8):
    p = np.full((len(guess), 3), (1 - confidence) / 2)
    p[np.arange(len(guess)), guess] = confidence
    return prediction(p)


def test_figures_by_hand():
    truth = list("aaaabbbc")
    guess = [0, 0, 0, 1, 1, 1, 0, 0]
    scores = evaluate(sure(guess), truth, n_bootstrap=50)
    assert scores["accuracy"].value == pytest.approx(5 / 8)
    assert scores["recall_a"].value == pytest.approx(3 / 4)
    assert scores["recall_b"].value == pytest.approx(2 / 3)
    assert scores["recall_c"].value == 0
    assert scores["precision_a"].value == pytest.approx(3 / 5)
    assert scores["precision_b"].value == pytest.approx(2 / 3)
    assert np.isnan(scores["precision_c"].value)
    assert scores["balanced_accuracy"].value == pytest.approx((3 / 4 + 2 / 3 + 0) / 3)
    assert scores["calibration_error"].value == pytest.approx(0.8 - 5 / 8)
    assert (scores["recall_a"].n, scores["precision_a"].n, scores["accuracy"].n) == (4, 5, 8)
    assert confusion_matrix(sure(guess), truth).tolist() == [[3, 1, 0], [1, 2, 0], [1, 0, 0]]


def test_a_class_that_does_not_occur_is_not_counted():
    scores = evaluate(sure([0, 0, 1]), list("aab"), n_bootstrap=20)
    assert scores["balanced_accuracy"].value == 1
    assert np.isnan(scores["recall_c"].value)
    assert np.isnan(scores["recall_c"].low)


def test_calibration_error_of_an_honest_forecast_is_its_sampling_noise():
    rng = np.random.default_rng(1)
    p = rng.dirichlet((1, 1, 1), 200_000)
    truth = (rng.random((len(p), 1)) > p.cumsum(axis=1)).sum(axis=1)
    # Each bin of n galaxies is off by about sqrt(q (1 - q) / n): 15 bins of 200,000 give under 0.4 %.
    assert calibration_error(p, truth) < 0.004
    boasting = p**3 / (p**3).sum(axis=1, keepdims=True)
    excess = boasting.max(axis=1).mean() - p.max(axis=1).mean()
    assert calibration_error(boasting, truth) == pytest.approx(excess, abs=0.01)


def test_the_interval_covers_the_truth_as_often_as_it_says():
    """200 surveys of 150 galaxies with accuracy 0.8: a 95 % interval holds it 190 +- 10 times."""
    rng = np.random.default_rng(2)
    hits = 0
    for survey in range(200):
        right = (rng.random(150) < 0.8).astype(float)
        _, low, high = bootstrap(
            lambda rows, right=right: np.array([right[rows].mean()]),
            np.zeros(150, int),
            seed=survey,
            n_bootstrap=300,
        )
        hits += low[0] <= 0.8 <= high[0]
    assert 178 <= hits <= 200


def test_draws_are_stratified_and_repeatable():
    strata = np.array([0] * 50 + [1] * 2)

    def count(rows):
        return np.array([np.sum(strata[rows] == 1)], dtype=float)

    values, low, high = bootstrap(count, strata, n_bootstrap=100)
    assert values[0] == low[0] == high[0] == 2
    one, two = (evaluate(sure([0, 1, 2, 0]), list("abca"), seed=7, n_bootstrap=100) for _ in range(2))
    assert one["accuracy"] == two["accuracy"]


def test_a_share_without_scatter_has_the_interval_of_wilson():
    """15 of 15 right does not mean that all galaxies would be right: at 95 % it may be 79.6 %."""
    scores = evaluate(sure([0] * 15 + [1] * 5 + [1]), ["a"] * 15 + ["b"] * 5 + ["c"], n_bootstrap=50)
    assert (scores["recall_a"].low, scores["recall_a"].high) == (pytest.approx(0.7961, abs=1e-4), 1.0)
    assert (scores["recall_c"].low, scores["recall_c"].high) == (0.0, pytest.approx(0.7935, abs=1e-4))


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: evaluate(sure([0]), ["d"]), r"classes among.*unknown=\['d'\]"),
        (lambda: evaluate(sure([0, 1]), ["a"]), "one label for each of 2 galaxies"),
        (lambda: evaluate(sure([]), []), "one label for each of 0 galaxies"),
        (lambda: evaluate(Prediction(("1",), np.full((1, 3), np.nan), CLASSES), ["a"]), "failed=1"),
    ],
)
def test_what_cannot_be_scored_is_refused(call, text):
    with pytest.raises(ValueError, match=text):
        call()
