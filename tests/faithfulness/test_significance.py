"""Significance: p-values are uniform where there is nothing, and false discoveries stay below their level."""

import numpy as np
import pytest
from scipy.stats import kstest

from galcnn.explain import InputXGradient, Saliency
from galcnn.faithfulness.significance import (
    maps_in_noise,
    over_noise,
    over_null,
    over_seeds,
    significant_share,
)
from tests.explain import builds
from tests.faithfulness.conftest import TARGET

SHAPE = (5, 20, 20, 2)


def null_maps(k, seed=0):
    """Nothing but scatter, of another size in every pixel, about a pattern that all models share."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(k, *SHAPE)) * rng.uniform(0.1, 10, SHAPE)


@pytest.mark.parametrize("k", [3, 5, 16])
def test_p_values_are_uniform_under_the_null(k):
    maps = null_maps(k + 1)
    shared = np.random.default_rng(9).normal(0, 5, SHAPE)
    for found, freedom in (
        (over_noise(maps[0], maps[1:] + shared), k - 1),  # the scatter counts, not where it lies
        (over_seeds(maps[1:]), k - 1),
        (over_null(maps[0] + shared, maps[1:] + shared), k - 1),
    ):
        assert found.freedom == freedom
        assert kstest(found.p_value.ravel(), "uniform").pvalue > 0.01


def test_a_gaussian_instead_of_students_t_would_see_what_is_not_there():
    found = over_seeds(null_maps(3))
    assert np.mean(found.p_value < 0.001) < 0.003
    assert np.mean(np.abs(found.ratio) > 3.29) > 0.05, "what a Gaussian calls 0.001"


def test_false_discoveries_stay_below_their_level():
    rng = np.random.default_rng(2)
    shares, power = [], []
    for seed in range(60):
        draws = null_maps(17, seed=seed)[:, :1]
        real = rng.uniform(size=draws.shape[1:]) < 0.2
        maps = draws[0] + 8 * real * draws[1:].std(axis=0)
        seen = over_noise(maps, draws[1:]).q_value < 0.05
        shares.append((seen & ~real).sum() / max(seen.sum(), 1))
        power.append(seen[real].mean())
    assert np.mean(shares) < 0.05
    assert np.mean(power) > 0.5
    nothing = [
        (over_noise(m[0], m[1:]).q_value < 0.05).any(axis=(1, 2, 3))
        for m in (null_maps(17, seed) for seed in range(40))
    ]
    assert np.mean(nothing) < 0.09, "a galaxy without signal has a discovery in 5 of 100 cases"


def test_q_values_are_adjusted_for_each_galaxy_alone():
    maps = null_maps(17)
    whole, alone = over_noise(maps[0], maps[1:]), over_noise(maps[0][:1], maps[1:, :1])
    assert np.array_equal(whole.q_value[:1], alone.q_value)
    assert np.all(whole.q_value >= whole.p_value)


def test_the_gradient_of_a_linear_network_has_no_scatter(sample, unchanged):
    network, weights = builds.linear()
    draws = maps_in_noise(unchanged(network), Saliency(), sample, draws=4)
    assert np.ptp(draws, axis=0).max() == 0
    assert significant_share(draws[0], over_noise(draws[0], draws)).tolist() == [1, 1, 1, 1]
    # Input times gradient: the scatter of a pixel is sigma |w|.
    draws = maps_in_noise(network, InputXGradient(), sample, draws=200)
    w = weights @ np.array(TARGET.weights)
    ratio = draws.std(axis=0) / (0.1 * np.abs(w))
    assert ratio.mean() == pytest.approx(1, abs=0.02)


def test_two_maps_have_no_scatter_to_speak_of():
    with pytest.raises(ValueError, match="at least three maps"):
        over_seeds(null_maps(2))
