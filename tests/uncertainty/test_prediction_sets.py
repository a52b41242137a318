"""Sets that hold the true class as often as promised."""

import numpy as np
import pytest
from scipy import stats

from galcnn.prediction import Prediction
from galcnn.uncertainty import fit_conformal
from galcnn.uncertainty.prediction_sets import ConformalSets
from tests.uncertainty.test_calibration import CLASSES, drawn


@pytest.mark.parametrize("rule", ["threshold", "adaptive"])
def test_coverage_is_that_of_theory(rule):
    """Over calibration samples the coverage is Beta(k, n + 1 - k) where scores have no ties (Vovk 2012).

    The adaptive rule gives all most probable classes one score: it covers at least as often.
    """
    n, coverage = 59, 0.8
    big, truth = drawn(6000, seed=99, temperature=3.0)
    covered = []
    for seed in range(150):
        sets = fit_conformal(*drawn(n, seed=seed, temperature=3.0), coverage=coverage, rule=rule)
        covered.append(sets.check(big, truth)["coverage"].value)
    k = int(np.ceil((n + 1) * coverage))
    theory = stats.beta(k, n + 1 - k)
    error = theory.std() / np.sqrt(150) + 0.003  # and that of the 6000 that measure it
    if rule == "adaptive":
        assert np.mean(covered) > theory.mean() - 3 * error
    else:
        assert np.mean(covered) == pytest.approx(theory.mean(), abs=3 * error)
        assert np.std(covered) == pytest.approx(theory.std(), rel=0.2)


def test_limits_by_hand_and_what_too_few_galaxies_can_exclude():
    p = np.array([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3], [0.6, 0.4]])
    prediction = Prediction(tuple("abcd"), np.log(p).astype(np.float32), ("elliptical", "spiral"))
    sets = fit_conformal(prediction, ["elliptical"] * 4, coverage=0.6)  # k = ceil(5 * 0.6) = 3
    assert sets.limits == pytest.approx((0.3, 0.3), abs=1e-6)
    assert sets.words(prediction) == ["elliptical", "elliptical", "elliptical", ""]
    nothing = fit_conformal(prediction, ["elliptical"] * 4, coverage=0.9)
    assert nothing.limits == (np.inf, np.inf)
    assert nothing.sets(prediction).all()
    assert ConformalSets.from_dict(nothing.to_dict()) == nothing


def test_coverage_of_each_class_is_promised_only_when_asked_for():
    """A class whose probabilities are half of what they should be loses without limits of its own."""
    bias = np.array([0.0, 2.0, 0.0])  # mergers occur far more often than the network thinks
    sample, test = drawn(3000, seed=1, bias=bias), drawn(6000, seed=2, bias=bias)
    common = fit_conformal(*sample, coverage=0.9).check(*test)
    own = fit_conformal(*sample, coverage=0.9, per_class=True).check(*test)
    assert common["coverage"].value == pytest.approx(0.9, abs=0.02)
    assert abs(common["coverage_merger"].value - common["coverage_spiral"].value) > 0.05
    for name in CLASSES:
        assert own[f"coverage_{name}"].value == pytest.approx(0.9, abs=0.03)


def test_adaptive_sets_are_never_empty_and_list_the_most_probable_first():
    sample = drawn(500, temperature=4.0)
    sets = fit_conformal(*sample, coverage=0.9, rule="adaptive")
    words = sets.words(sample[0])
    assert all(words)
    assert {w.split("|")[0] for w in words} == set(CLASSES)
    assert all(w.split("|")[0] == best for w, best in zip(words, sample[0].best, strict=True))
    missing = Prediction(("x",), np.full((1, 3), np.nan, dtype=np.float32), CLASSES)
    assert sets.sets(missing).all()


def test_refusals():
    with pytest.raises(ValueError, match=r"a coverage in \(0, 1\).*coverage=1"):
        fit_conformal(*drawn(20), coverage=1.0)
    with pytest.raises(ValueError, match="a rule among"):
        fit_conformal(*drawn(20), rule="best")


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("coverage", float("nan"), "a coverage between 0 and 1"),
        ("coverage", 1.0, "a coverage between 0 and 1"),
        ("limits", [0.5, float("nan")], "a limit for each class"),
        ("limits", [0.5], "a limit for each class"),
    ],
)
def test_a_record_of_senseless_numbers_is_refused(name, value, text):
    whole = ConformalSets(("a", "b"), 0.9, "threshold", (0.5, 0.5), False, 40).to_dict()
    assert ConformalSets.from_dict(whole).coverage == 0.9
    with pytest.raises(ValueError, match=text):
        ConformalSets.from_dict(whole | {name: value})
