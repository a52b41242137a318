"""Intervals cover what they say; verdicts follow from the whole interval, on the side that is asked for."""

import numpy as np
import pytest

from galcnn.evaluation import Criterion, estimate, judge
from galcnn.evaluation.intervals import Estimate, decide, verdict

ABOVE = Criterion("up", "", null=0.0, limit=0.5)
BELOW = Criterion("down", "", null=1.0, limit=0.5, above=False)


def experiment(rng, *, seeds=5, galaxies=200, effect=0.0, seed_scatter=0.02):
    """Differences of two arms on the same galaxies: right or wrong, with seeds of different luck."""
    hard = rng.uniform(0.3, 1.0, galaxies)
    luck = rng.normal(0, seed_scatter, (2, seeds, 1))
    chances = np.clip(hard + luck + np.array([effect, 0.0])[:, None, None], 0, 1)
    right = rng.random(chances.shape) < chances
    return right[0].astype(float) - right[1]


@pytest.mark.parametrize("seed_scatter", [0.0, 0.02, 0.05])
def test_intervals_of_five_seeds_cover_the_truth(seed_scatter):
    """A bootstrap over five seeds would cover 83 %."""
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(400):
        low, high = estimate(experiment(rng, seed_scatter=seed_scatter)).interval()
        hits += low <= 0 <= high
    assert 0.92 <= hits / 400 <= 0.995


def test_p_values_are_not_smaller_than_chance_allows():
    rng = np.random.default_rng(1)
    values = np.array([estimate(experiment(rng, seed_scatter=0.03)).p_value for _ in range(400)])
    assert np.mean(values < 0.05) < 0.08
    assert np.mean(values < 0.5) == pytest.approx(0.5, abs=0.12)


def test_more_galaxies_do_not_make_up_for_few_seeds():
    rng = np.random.default_rng(2)
    few, many = (
        np.mean([estimate(experiment(rng, galaxies=n, seed_scatter=0.05)).error for _ in range(40)])
        for n in (200, 5000)
    )
    assert many > 0.5 * few


def test_the_error_is_the_textbooks_where_only_one_thing_varies():
    values = np.repeat(np.array([[0.1], [0.2], [0.3], [0.6]]), 50, axis=1)
    found = estimate(values)
    assert found.error == pytest.approx(np.std([0.1, 0.2, 0.3, 0.6], ddof=1) / 2)
    assert found.freedom == pytest.approx(3)


def words(effect, n=60, *, seeds=5, galaxies=400):
    rng = np.random.default_rng(3)
    found = []
    for _ in range(n):
        one = estimate(experiment(rng, effect=effect, seeds=seeds, galaxies=galaxies, seed_scatter=0.005))
        found.append(verdict(one, ("a", "b"), delta=0.02, p_value=one.p_value).word)
    return found


def test_equal_arms_are_equal_or_undecided():
    found = words(0.0)
    assert np.mean([word in ("undecided", "no difference larger than delta") for word in found]) > 0.9
    assert "no difference larger than delta" in words(0.0, 20, galaxies=6000)


def test_a_planted_difference_is_found_and_has_the_right_sign():
    assert np.mean([word == "better" for word in words(0.08)]) > 0.9
    assert np.mean([word == "worse" for word in words(-0.08)]) > 0.9


def test_a_difference_of_delta_is_called_none_in_five_of_a_hundred_at_most():
    found = words(0.025, 100, galaxies=3000)
    assert np.mean([word == "no difference larger than delta" for word in found]) < 0.12


@pytest.mark.parametrize("seeds", [1, 2])
def test_few_seeds_give_no_verdict(seeds):
    one = estimate(np.ones((seeds, 50)))
    assert verdict(one, ("a", "b"), delta=0.02, p_value=0.0).word == "not judged"


def test_identical_arms_are_no_difference():
    one = estimate(np.zeros((5, 100)))
    assert one.p_value == 1.0
    assert verdict(one, ("a", "b"), delta=0.02, p_value=1.0).word == "no difference larger than delta"
    assert one == Estimate(0.0, 0.0, 4.0, 5, 100)


@pytest.mark.parametrize(
    ("asked", "mean", "word"),
    [
        (ABOVE, 0.7, "passes"),
        (ABOVE, 0.3, "fails"),
        (ABOVE, 0.5, "undecided"),
        (BELOW, 0.7, "fails"),
        (BELOW, 0.3, "passes"),
        (BELOW, 0.5, "undecided"),
    ],
)
def test_the_whole_interval_must_lie_on_one_side(asked, mean, word):
    values = mean + np.linspace(-0.3, 0.3, 41)  # standard error 0.028
    found = judge(values, asked)
    assert found.word == word
    assert found.score.value == pytest.approx(mean)
    assert found.score.high - found.score.low == pytest.approx(
        2 * 1.96 * values.std() / np.sqrt(41), rel=0.15
    )


def test_what_is_exactly_at_the_limit_is_no_better_than_it():
    assert judge(np.zeros(20), Criterion("light", "", null=0.0, limit=0.0)).word == "fails"


def test_galaxies_without_a_value_do_not_count_and_few_decide_nothing():
    found = judge([np.nan, *np.full(10, 0.9)], ABOVE)
    assert (found.word, found.score.n, found.score.value) == ("passes", 10, pytest.approx(0.9))
    assert judge(np.full(7, 0.9), ABOVE).word == "undecided"
    assert judge([0.9], ABOVE).word == "undecided"
    nothing = judge([np.nan, np.nan], ABOVE)
    assert (nothing.word, nothing.score) == ("not judged", None)


@pytest.mark.parametrize(
    ("interval", "above", "below"),
    [
        ((0.6, 0.8), "passes", "fails"),
        ((0.2, 0.4), "fails", "passes"),
        ((0.4, 0.6), "undecided", "undecided"),
        ((0.5, 0.6), "undecided", "fails"),
        ((0.4, 0.5), "fails", "undecided"),
        ((0.5, 0.5), "fails", "fails"),
        ((np.nan, np.nan), "not judged", "not judged"),
        ((0.6, np.nan), "not judged", "not judged"),
    ],
)
def test_an_interval_becomes_one_verdict(interval, above, below):
    assert decide(*interval, 0.5) == above
    assert decide(*interval, 0.5, above=False) == below


def test_the_sentence_of_two_arms_and_its_verdict_follow_from_the_same_intervals():
    one = Estimate(0.03, 0.01, 4.0, 5, 100)
    assert one.interval() == pytest.approx((0.03 - 0.02776, 0.03 + 0.02776), abs=1e-5)
    better = verdict(one, ("a", "b"), delta=0.02, p_value=0.04)
    assert better.word == "better"
    assert (
        better.text
        == "a is better than b: a - b = +3.0 points [+0.2, +5.8], 5 seeds, 100 galaxies, p = 0.04."
    )
    assert verdict(one, ("a", "b"), delta=0.02, p_value=0.06).word == "undecided"
    assert verdict(one, ("a", "b"), delta=0.052, p_value=0.04).word == "no difference larger than delta"
    assert verdict(one, ("a", "b"), delta=0.051, p_value=0.04).word == "better"  # 90 %: [0.0087, 0.0513]
    assert verdict(Estimate(-0.03, 0.01, 4.0, 5, 100), ("a", "b"), delta=0.02, p_value=0.04).word == "worse"
