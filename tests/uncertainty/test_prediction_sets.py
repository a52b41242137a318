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


OLD = {"elliptical": 0.55, "spiral": 0.4, "merger": 0.05}


def population(n, shares, *, seed):
    """Galaxies of given class frequencies and fixed p(x | class); logits calibrated for equal frequencies."""
    rng = np.random.default_rng(seed)
    truth = rng.choice(3, size=n, p=[shares[name] for name in CLASSES])
    x = rng.normal(size=(n, 2)) + np.array([[0.0, 0.0], [1.6, 0.0], [0.0, 1.6]])[truth]
    logits = x @ np.array([[0.0, 1.6, 0.0], [0.0, 0.0, 1.6]]) - np.array([0.0, 1.28, 1.28])
    uniform = dict.fromkeys(CLASSES, 1.0)
    names = [CLASSES[i] for i in truth]
    return Prediction(tuple(map(str, range(n))), logits, CLASSES).with_prior(OLD, uniform), names


@pytest.mark.parametrize("rule", ["threshold", "adaptive"])
@pytest.mark.parametrize(
    "new",
    [
        dict.fromkeys(CLASSES, 1 / 3),
        {"elliptical": 0.2, "spiral": 0.2, "merger": 0.6},
        {name: p**0.5 / sum(q**0.5 for q in OLD.values()) for name, p in OLD.items()},
        OLD,
    ],
)
def test_coverage_holds_where_the_class_frequencies_change(new, rule):
    """Calibrated on one population and asked about another: the mean coverage is the promised one.

    Above it by no more than the weight of the galaxy to classify, which counts as one with an infinite score.
    """
    n, coverage = 400, 0.8
    uniform = dict.fromkeys(CLASSES, 1.0)
    big, truth = population(8000, new, seed=1)
    asked = big.with_prior(new, uniform)
    covered, unweighted = [], []
    for seed in range(60):
        sets = fit_conformal(*population(n, OLD, seed=100 + seed), coverage=coverage, rule=rule)
        covered.append(sets.check(asked, truth)["coverage"].value)
        unweighted.append(sets.check(big, truth)["coverage"].value)
    error = 3 * (np.std(covered) / np.sqrt(60) + 0.4 / np.sqrt(8000))
    assert np.mean(covered) > coverage - error
    if rule == "threshold":
        assert np.mean(covered) < coverage + error + 3 * max(new[c] / OLD[c] for c in CLASSES) / n
    if new is OLD:
        assert covered == unweighted
    elif rule == "threshold":  # the limits of the old population break the promise
        assert np.mean(unweighted) < coverage - 2 * error


def test_each_class_is_covered_under_any_prior():
    new = dict.fromkeys(CLASSES, 1 / 3)
    sets = fit_conformal(*population(3000, OLD, seed=3), coverage=0.9, per_class=True)
    big, truth = population(9000, new, seed=4)
    found = sets.check(big.with_prior(new, dict.fromkeys(CLASSES, 1.0)), truth)
    for name in CLASSES:  # 150 mergers: the standard deviation of their coverage is 0.025
        assert found[f"coverage_{name}"].value == pytest.approx(0.9, abs=0.06)


def test_limits_of_another_prior_by_hand():
    """Three galaxies of one class, one of the other; their classes weigh 1/2 and 1 after the change."""
    p = np.array([[0.9, 0.1], [0.8, 0.2], [0.6, 0.4], [0.5, 0.5]])
    prediction = Prediction(tuple("abcd"), np.log(p).astype(np.float32), ("elliptical", "spiral"))
    labels = ["elliptical"] * 3 + ["spiral"]
    sets = fit_conformal(prediction, labels, coverage=0.5)
    new = prediction.with_prior({"elliptical": 1, "spiral": 2}, {"elliptical": 1, "spiral": 1})
    # Scores 1 - p of the true classes are now 2/11, 1/3, 4/7 with weight 1/2, and 1/3 with weight 1.
    # elliptical: 0.5 (2.5 + 0.5) = 1.5 is reached at 1/3; spiral: 0.5 (2.5 + 1) = 1.75 too.
    assert sets.limits_of(new) == pytest.approx((1 / 3, 1 / 3), abs=1e-4)
    strict = fit_conformal(prediction, labels, coverage=0.8)
    # elliptical: 2.4 is reached at 4/7, where all is summed; spiral: 2.8 never is, so that it is always kept.
    assert strict.limits_of(new) == pytest.approx((4 / 7, np.inf), abs=1e-4)


def test_sets_without_logits_hold_for_their_own_prior_only():
    sample, labels = drawn(200)
    content = fit_conformal(sample, labels).to_dict()
    old = ConformalSets.from_dict({k: v for k, v in content.items() if k not in ("logits", "truth")})
    assert old.limits_of(sample) == pytest.approx(old.limits)
    new = sample.with_prior(dict.fromkeys(CLASSES, 1.0), OLD)
    assert old.limits_of(new) is None
    with pytest.raises(ValueError, match="the class prior of the fit"):
        old.sets(new)
    whole = ConformalSets.from_dict(content)
    assert whole.to_dict() == content
    np.testing.assert_array_equal(whole.sets(new), fit_conformal(sample, labels).sets(new))
