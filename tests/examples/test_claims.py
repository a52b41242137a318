"""Verdicts: planted effects and nulls get the right word, and nothing is measured twice."""

import json

import numpy as np
import pytest
from astropy.table import Table
from lecture.claims import (
    Claim,
    Criterion,
    claims_table,
    mean_interval,
    measure_claim,
    write_claims,
)
from scipy.stats import ttest_1samp

from galcnn.evaluation.intervals import decide


def claim(values, delta=1.0, key="planted"):
    """A claim of one part whose effects are known."""
    return Claim(
        key, "It is so", {"part": Criterion("what is seen", delta)}, lambda seed: {"part": values[seed]}
    )


def test_the_interval_is_that_of_student():
    values = np.random.default_rng(0).normal(2, 3, 9)
    expected = ttest_1samp(values, 0).confidence_interval(0.95)
    assert mean_interval(values) == pytest.approx((expected.low, expected.high))
    assert mean_interval([2.0, 2.0, 2.0]) == (2.0, 2.0)
    for values in ([1.0], [1.0, np.nan]):
        with pytest.raises(ValueError, match="at least two finite"):
            mean_interval(values)


@pytest.mark.parametrize(
    ("effect", "right"), [(4.0, "passes"), (0.0, "fails"), (-4.0, "fails"), (1.0, "undecided")]
)
def test_planted_effects_and_nulls_get_the_right_word(effect, right):
    """Of 400 experiments with ten seeds: smallest effect that matters 1, scatter 1."""
    rng = np.random.default_rng(1)
    words = [decide(*mean_interval(rng.normal(effect, 1, 10)), 1.0) for _ in range(400)]
    share = words.count(right) / 400
    wrong = {"passes": "fails", "fails": "passes"}
    if right == "undecided":  # an effect at the threshold: either wrong word in 2.5 %
        assert 0.92 < share < 0.98
        assert abs(words.count("passes") - words.count("fails")) < 16
    else:
        assert share > 0.8
        assert words.count(wrong[right]) == 0


def test_few_seeds_with_much_scatter_stay_undecided():
    assert decide(*mean_interval([0.1, 3.0, 2.0]), 1.0) == "undecided"


@pytest.mark.parametrize(
    ("second", "verdict"),
    [([3.0, 3.1, 2.9], "passes"), ([1.0, 3.0, 0.0], "undecided"), ([0.0, 0.1, -0.1], "fails")],
)
def test_a_claim_holds_where_all_its_parts_do(second, verdict):
    parts = {name: Criterion(name, 1.0, "nat") for name in ("one", "two")}
    two = Claim("two-parts", "Both", parts, lambda seed: {"one": 2.0 + seed / 100, "two": second[seed]})
    effects = [two.measure(seed) for seed in range(3)]
    table = claims_table([two], {"two-parts": effects})
    assert list(table["part_verdict"]) == ["passes", verdict]
    assert list(table["verdict"]) == [verdict, verdict]
    assert list(table["mean"]) == pytest.approx([2.01, np.mean(second)])
    assert list(table["low"][:1]) == pytest.approx([mean_interval([2.0, 2.01, 2.02])[0]])
    assert list(table["seeds"]) == [3, 3]


def test_what_was_measured_is_not_measured_again(tmp_path):
    calls = []

    def measure(seed):
        calls.append(seed)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return {"part": float(seed)}

    asked = Claim("slow", "It is so", {"part": Criterion("what is seen", 1.0)}, measure)
    with pytest.raises(KeyboardInterrupt):
        measure_claim(asked, (0, 1, 2), tmp_path)
    found = measure_claim(asked, (0, 1, 2), tmp_path)
    assert calls == [0, 1, 2, 2]
    assert found == [{"part": 0.0}, {"part": 1.0}, {"part": 2.0}]
    assert json.loads((tmp_path / "slow-seed1.json").read_text())["found"] == {"part": 1.0}
    other = Claim("slow", "It is so", {"part": Criterion("something else", 1.0)}, measure)
    with pytest.raises(ValueError, match=r"effects\.part: 'what is seen' -> 'something else'"):
        measure_claim(other, (0, 1), tmp_path)


def test_a_criterion_may_be_stricter_without_a_new_measurement(tmp_path):
    values = [2.0, 2.1, 1.9]
    measure_claim(claim(values), range(3), tmp_path)
    effects = measure_claim(claim([np.nan] * 3, delta=5.0), range(3), tmp_path)
    assert [e["part"] for e in effects] == values
    assert claims_table([claim(values, 5.0)], {"planted": effects})["verdict"][0] == "fails"


@pytest.mark.parametrize(
    ("asked", "seeds", "text"),
    [
        (claim([np.nan, 1.0]), (0, 1), "a finite effect for each"),
        (claim([1.0, 1.0]), (0,), "two distinct seeds"),
        (claim([1.0, 1.0]), (1, 1), "two distinct seeds"),
    ],
)
def test_what_makes_no_sense_is_refused(tmp_path, asked, seeds, text):
    with pytest.raises(ValueError, match=text):
        measure_claim(asked, seeds, tmp_path)
    assert not list(tmp_path.iterdir()), "nothing is kept of it"
    with pytest.raises(ValueError, match="smallest effect above 0"):
        Criterion("nothing", 0.0)


def test_table_and_figure_are_written(tmp_path):
    claims = [claim([2.0, 2.1, 1.9]), claim([0.0, 0.1, -0.1], key="null")]
    effects = {c.key: [c.measure(seed) for seed in range(3)] for c in claims}
    path = write_claims(claims_table(claims, effects), tmp_path)
    found = Table.read(path)
    assert list(found["verdict"]) == ["passes", "fails"]
    assert (tmp_path / "claims.png").read_bytes()[:4] == b"\x89PNG"


def test_the_figure_shows_intervals_in_units_of_what_matters():
    from lecture.figures import claims_figure

    claims = [claim([2.0, 2.1, 1.9], delta=0.5), claim([0.0, 0.1, -0.1], key="null")]
    table = claims_table(claims, {c.key: [c.measure(seed) for seed in range(3)] for c in claims})
    axes = claims_figure(table).axes[0]
    interval, middle = axes.lines[0], axes.lines[1]
    np.testing.assert_allclose(interval.get_xdata(), np.array(mean_interval([2.0, 2.1, 1.9])) / 0.5)
    np.testing.assert_allclose(middle.get_xdata(), [4.0])
    assert middle.get_color() != axes.lines[3].get_color()
    assert middle.get_marker() != axes.lines[3].get_marker()
    with pytest.raises(ValueError, match="a table with a claim"):
        claims_figure(table[:0])
