"""The learning-rate range test finds the rate of the steepest fall, and leaves no trace."""

import numpy as np
import pytest

from galcnn.model import NetworkSettings, assemble, build_network, fit_preprocessing
from galcnn.training import TrainingSettings
from galcnn.training.rate_search import RangeTest, learning_rate_range_test, smoothed


def falling(where, *, lost=3.0):
    """A loss that falls over a decade about a rate, and explodes a factor of 10**1.5 above it."""
    rates = np.geomspace(1e-6, 10, 120)
    distance = np.log10(rates / where)
    return RangeTest(rates, 1 - 0.8 / (1 + np.exp(-4 * distance)) + lost * np.exp(6 * (distance - 1.5)))


@pytest.mark.parametrize("where", [1e-4, 1e-3, 1e-2])
def test_the_suggestion_is_where_the_loss_falls_fastest(where):
    assert falling(where).suggestion == pytest.approx(where, rel=0.6)


def test_a_loss_that_does_not_fall_suggests_nothing():
    rates = np.geomspace(1e-6, 10, 120)
    assert RangeTest(rates, np.ones(120)).suggestion is None
    assert RangeTest(rates, np.linspace(1, 5, 120)).suggestion is None


def test_scatter_of_the_batches_is_smoothed_away():
    rng = np.random.default_rng(1)
    for _ in range(20):
        clean = falling(1e-2)
        noisy = RangeTest(clean.rates, clean.losses + rng.normal(0, 0.1, 120))
        assert 1e-3 < noisy.suggestion < 1e-1
        assert RangeTest(clean.rates, 1 + rng.normal(0, 0.1, 120)).suggestion is None


def test_smoothing_keeps_a_straight_line_and_weights_have_sum_1():
    assert smoothed(np.full(30, 7.0)) == pytest.approx(np.full(30, 7.0))
    line = np.arange(100.0)
    assert smoothed(line)[30:70] == pytest.approx(line[30:70], abs=1e-4)


def test_on_a_network_it_rises_stops_and_puts_every_variable_back(toy_dataset):
    network = build_network((16, 16, 2), 2, settings=NetworkSettings(widths=(4, 8), dropout=0.2), seed=1)
    model = assemble(fit_preprocessing(toy_dataset.images), network)
    before = [np.asarray(v) for v in model.variables]
    settings = TrainingSettings(batch_size=24, optimizer="sgd")
    found = learning_rate_range_test(model, toy_dataset, settings=settings, seed=2)
    for was, now in zip(before, model.variables, strict=True):
        np.testing.assert_array_equal(was, now)
    assert len(found.rates) == len(found.losses) <= 120
    np.testing.assert_allclose(np.diff(np.log(found.rates)), np.log(1e7) / 119, rtol=1e-6)
    assert 1e-4 < found.suggestion < 3
    again = learning_rate_range_test(model, toy_dataset, settings=settings, seed=2)
    assert again.losses[:50] == pytest.approx(found.losses[:50], rel=1e-3)
