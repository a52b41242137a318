"""Verdicts: by the whole interval, on the side that the criterion names."""

import numpy as np
import pytest

from galcnn.trust.verdicts import CRITERIA, Criterion, criterion, judge

ABOVE = Criterion("up", "", null=0.0, limit=0.5)
BELOW = Criterion("down", "", null=1.0, limit=0.5, above=False)


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
    assert judge(np.zeros(20), criterion("deletion-light")).word == "fails"


def test_galaxies_without_a_value_do_not_count_and_few_decide_nothing():
    found = judge([np.nan, *np.full(10, 0.9)], ABOVE)
    assert (found.word, found.score.n, found.score.value) == ("passes", 10, pytest.approx(0.9))
    assert judge(np.full(7, 0.9), ABOVE).word == "undecided"
    assert judge([0.9], ABOVE).word == "undecided"
    nothing = judge([np.nan, np.nan], ABOVE)
    assert (nothing.word, nothing.score) == ("does not apply", None)


def test_the_null_of_every_criterion_lies_on_its_bad_side_of_the_limit():
    for one in CRITERIA:
        assert one.null <= one.limit if one.above else one.null > one.limit
    with pytest.raises(ValueError, match="a criterion among"):
        criterion("beauty")
