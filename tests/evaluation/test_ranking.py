"""ROC and precision-recall: scikit-learn's numbers, closed forms, and bands as wide as theory says."""

import numpy as np
import pytest
from scipy.stats import mannwhitneyu, norm

from galcnn.evaluation import most_confident, most_uncertain, rankings, worst_mistakes
from galcnn.evaluation.ranking import GRID, ranking_table
from galcnn.prediction import Prediction

CLASSES = ("a", "b", "c")


def sample(n=300, seed=0, ties=False):
    rng = np.random.default_rng(seed)
    truth = rng.choice(3, n, p=[0.6, 0.3, 0.1])
    logits = rng.normal(size=(n, 3)) + 1.2 * np.eye(3)[truth]
    if ties:
        logits = np.round(logits)
    prediction = Prediction(tuple(map(str, range(n))), logits, CLASSES)
    return prediction, [CLASSES[k] for k in truth]


def two(scores, positive):
    """Of two classes, ranked by `scores`."""
    p = np.asarray(scores, dtype=float)
    prediction = Prediction(tuple(map(str, range(len(p)))), np.stack([p, np.zeros(len(p))], 1), ("a", "b"))
    return prediction, ["a" if one else "b" for one in positive]


@pytest.mark.parametrize("ties", [False, True])
def test_curves_and_areas_are_those_of_scikit_learn(ties):
    metrics = pytest.importorskip("sklearn.metrics", reason="scikit-learn comes with galcnn[test]")
    prediction, labels = sample(ties=ties)
    found = rankings(prediction, labels, n_bootstrap=20)
    assert [one.name for one in found] == list(CLASSES)
    for k, one in enumerate(found):
        truth, scores = np.array(labels) == CLASSES[k], prediction.probabilities[:, k]
        x, y, _ = metrics.roc_curve(truth, scores, drop_intermediate=False)
        np.testing.assert_allclose(one.roc.x, x, atol=1e-12)
        np.testing.assert_allclose(one.roc.y, y, atol=1e-12)
        assert one.roc.area.value == pytest.approx(metrics.roc_auc_score(truth, scores), abs=1e-12)
        precision, recall, _ = metrics.precision_recall_curve(truth, scores)
        theirs = metrics.average_precision_score(truth, scores)
        np.testing.assert_allclose(one.precision_recall.y[::-1], precision[:-1], atol=1e-12)
        np.testing.assert_allclose(one.precision_recall.x[::-1], recall[:-1], atol=1e-12)
        assert one.precision_recall.area.value == pytest.approx(theirs, abs=1e-12)


def test_the_area_of_a_roc_is_the_chance_of_the_right_order():
    prediction, labels = sample(ties=True)
    for k, one in enumerate(rankings(prediction, labels, n_bootstrap=2)):
        own = np.array(labels) == CLASSES[k]
        scores = prediction.probabilities[:, k]
        u = mannwhitneyu(scores[own], scores[~own]).statistic
        assert one.roc.area.value == pytest.approx(u / (own.sum() * (~own).sum()), abs=1e-12)
        assert (one.n, one.n_others) == (own.sum(), (~own).sum())


def test_perfect_useless_and_reversed_scores():
    positive = np.array([True] * 3 + [False] * 7)
    (perfect, _) = rankings(*two(np.arange(10)[::-1], positive), n_bootstrap=50)
    assert perfect.roc.area.value == pytest.approx(1, abs=1e-15)
    assert perfect.precision_recall.area.value == 1
    np.testing.assert_array_equal(perfect.roc.low, np.ones(101))
    useless, _ = rankings(*two(np.zeros(10), positive), n_bootstrap=50)
    assert useless.roc.area.value == 0.5
    np.testing.assert_allclose(useless.roc.low, GRID, atol=1e-12)
    assert useless.precision_recall.area.value == pytest.approx(0.3)
    reversed_, _ = rankings(*two(np.arange(10), positive), n_bootstrap=50)
    assert reversed_.roc.area.value == 0
    # Positives stand at ranks 8, 9 and 10.
    assert reversed_.precision_recall.area.value == pytest.approx((1 / 8 + 2 / 9 + 3 / 10) / 3)


def test_two_gaussians_have_their_binormal_curve_and_its_scatter():
    rng = np.random.default_rng(1)
    n = 2000
    positive = np.arange(2 * n) < n
    scores = rng.normal(size=2 * n) + 1.5 * positive
    one, _ = rankings(*two(scores, positive), n_bootstrap=300)
    expected = norm.cdf(1.5 / np.sqrt(2))
    area = one.roc.area
    assert area.low < expected < area.high
    curve = norm.cdf(1.5 + norm.ppf(GRID))
    inside = (one.roc.low <= curve + 1e-9) & (curve <= one.roc.high + 1e-9)
    assert inside.mean() > 0.8
    # DeLong, DeLong & Clarke-Pearson (1988): the variance of the area from placements.
    order = np.sort(scores[~positive])
    above = np.searchsorted(order, scores[positive]) / n
    below = 1 - np.searchsorted(np.sort(scores[positive]), scores[~positive]) / n
    error = np.sqrt(above.var(ddof=1) / n + below.var(ddof=1) / n)
    assert area.high - area.low == pytest.approx(2 * 1.96 * error, rel=0.15)


def test_bands_hold_the_curve_and_a_seed_gives_them_again():
    prediction, labels = sample()
    first, again = (rankings(prediction, labels, seed=3, n_bootstrap=60) for _ in range(2))
    for one, same in zip(first, again, strict=True):
        for curve in ("roc", "precision_recall"):
            np.testing.assert_array_equal(getattr(one, curve).low, getattr(same, curve).low)
        middle = np.interp(GRID, one.roc.x, one.roc.y)
        assert (one.roc.low <= middle + 0.05).all()
        assert (middle <= one.roc.high + 0.05).all()
        assert one.precision_recall.area.low < one.precision_recall.area.value


def test_classes_without_galaxies_have_no_curve():
    prediction, _ = sample(20)
    found = rankings(prediction, ["a"] * 15 + ["c"] * 5, n_bootstrap=5)
    assert [one.name for one in found] == ["a", "c"]
    assert rankings(prediction, ["a"] * 20, n_bootstrap=5) == ()
    table = ranking_table(found)
    assert table["share"].tolist() == [0.75, 0.25]
    assert table.colnames[3:6] == ["roc_area", "roc_area_low", "roc_area_high"]
    assert len(ranking_table(())) == 0


P = np.array([[0.6, 0.3, 0.1], [0.9, 0.05, 0.05], [0.2, 0.7, 0.1], [0.34, 0.33, 0.33], [0.05, 0.05, 0.9]])


def answers(extra=()):
    logits = [*np.log(P), *extra]
    return Prediction(tuple(str(i) for i in range(len(logits))), logits, ("x", "y", "z"))


def test_the_surest_of_each_class_come_class_by_class():
    assert most_confident(answers(), 2).tolist() == [1, 0, 2, 4]
    assert most_confident(answers([[np.nan] * 3]), 9).tolist() == [1, 0, 3, 2, 4]


def test_the_worst_mistake_gave_the_true_class_least():
    labels = ["z", "x", "x", "y", "y"]
    assert worst_mistakes(answers(), labels, 9).tolist() == [4, 0, 2, 3]
    assert worst_mistakes(answers(), labels, 1).tolist() == [4]
    assert worst_mistakes(answers(), ["x", "x", "y", "x", "z"], 9).tolist() == []


def test_the_least_certain_has_the_greatest_entropy_and_a_prediction():
    assert most_uncertain(answers([[np.nan] * 3]), 3).tolist() == [3, 0, 2]
