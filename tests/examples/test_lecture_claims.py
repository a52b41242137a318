"""The example of the lecture's claims: what it asks, and the descents on surfaces that are known."""

import importlib.util
import math
from pathlib import Path

import numpy as np
import pytest

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "lecture_claims.py"


@pytest.fixture(scope="module")
def lecture():
    spec = importlib.util.spec_from_file_location("lecture_claims", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_claim_has_a_name_of_its_own_and_a_criterion(lecture):
    keys = [claim.key for claim in lecture.CLAIMS]
    assert len(set(keys)) == len(keys) == 16
    assert all(claim.criteria for claim in lecture.CLAIMS)


def test_plain_descent_and_momentum_follow_their_equations(lecture):
    start = np.array([1.0, -2.0])
    path = lecture.ravine(start)
    n = np.arange(601)[:, np.newaxis]
    np.testing.assert_allclose(path, start * (1 - 0.019 * np.array([100.0, 1.0])) ** n, rtol=1e-9, atol=1e-12)
    # By hand, from f = (100 x^2 + y^2) / 2 at (1, 1) and a rate of 0.01.
    x = lecture.ravine((1.0, 1.0), rate=0.01, gamma=0.5)[:3, 0]
    np.testing.assert_allclose(x, [1.0, 0.0, -0.5], atol=1e-12)
    ahead = lecture.ravine((1.0, 1.0), rate=0.005, gamma=0.5, nesterov=True)[:3, 0]
    # v1 = 0.5, x1 = 0.5; gradient at 0.5 - 0.25: v2 = 0.25 + 0.125, x2 = 0.125
    np.testing.assert_allclose(ahead, [1.0, 0.5, 0.125], atol=1e-12)


def test_updates_and_zigzag_in_closed_form(lecture):
    flat = np.abs(lecture.ravine((1.0, 1.0))[:, 1])
    assert lecture.updates_until(flat, 0.01) == math.ceil(math.log(0.01) / math.log(0.981)) == 241
    assert lecture.updates_until([3.0, np.nan, 1.0, 0.0], 2.0) == 2, "what is no number is not below"
    assert lecture.zigzag(np.array([[0.0, 0.0], [1.0, 1.0], [2.0, 2.0]])) == pytest.approx(1)
    assert lecture.zigzag(np.array([[0.0, 0.0], [1.0, 1.0], [2.0, 0.0]])) == pytest.approx(math.sqrt(2))


def test_single_images_leave_the_poorer_well_and_full_batches_do_not(lecture):
    effect = lecture.escape(3)["two wells"]
    assert 0 < effect <= 1
    assert lecture.escape(3) == lecture.escape(3)


def test_it_takes_longer_from_beside_the_saddle(lecture):
    # Growth by 1.1 an update from y to 0.5 and beyond: about log(0.5 / y) / log(1.1) more updates.
    assert 1 < lecture.saddle(0)["saddle"] < 4


def test_the_curves_of_dropout_are_means_over_seeds_with_their_intervals(lecture, monkeypatch):
    # In place of 36 trainings: losses of which the mean and its interval are known.
    ends = {"training_loss": 1.0, "dev_loss": 2.0}

    def last(training, seed, what):
        rate, width = dict(training.network)["dropout"], dict(training.network)["widths"][-1]
        return ends[what] + rate + width / 16 + seed

    monkeypatch.setattr(lecture, "last", last)
    table = lecture.dropout_curves(range(3))
    assert [tuple(row) for row in table["width", "rate"]] == [
        (width, rate) for width in (16, 32) for rate in (0.0, 0.2, 0.4, 0.6, 0.8, 0.9)
    ]
    np.testing.assert_allclose(table["training"], 2 + table["rate"] + table["width"] / 16)
    np.testing.assert_allclose(table["dev"] - table["training"], 1)
    # Seeds 0, 1, 2: t(0.975, 2) / sqrt(3) = 4.3027 / 1.7321.
    np.testing.assert_allclose(table["dev_high"] - table["dev"], 2.4841, atol=1e-4)
    np.testing.assert_allclose(table["training"] - table["training_low"], 2.4841, atol=1e-4)
    axes = lecture.dropout_figure(table).axes
    assert len(axes) == 2
    np.testing.assert_allclose(axes[1].containers[0].lines[0].get_ydata(), table["training"][6:])
