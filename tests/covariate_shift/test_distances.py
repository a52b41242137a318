"""Drift measures: known values, uniform p-values under the null, power where there is a shift."""

import numpy as np
import pytest
from scipy.stats import kstest, wasserstein_distance

from galcnn.covariate_shift import drift
from galcnn.covariate_shift.distances import MEASURES, holm


def normal(n, *, shift=0.0, scale=1.0, seed=0, d=3):
    return np.random.default_rng(seed).normal(shift, scale, (n, d))


@pytest.mark.parametrize("measure", MEASURES)
def test_p_values_are_uniform_where_both_samples_are_of_one_population(measure):
    """Skewed, heavy-tailed features, and samples of unequal size: nothing is assumed."""
    rng = np.random.default_rng(1)
    values = []
    for turn in range(200):
        pooled = rng.standard_t(3, (50, 4)) ** 2 * np.array([1, 10, 100, 0.1])
        values.append(drift(pooled[:35], pooled[35:], measure=measure, permutations=99, seed=turn).p_value)
    # Of 100 possible values: the step is part of the largest distance.
    assert kstest(values, "uniform").statistic < 0.1 + 0.01
    assert np.mean(np.array(values) <= 0.05) == pytest.approx(0.05, abs=0.045)


@pytest.mark.parametrize("measure", MEASURES)
def test_a_planted_shift_of_the_mean_is_found(measure):
    found = drift(normal(60), normal(60, shift=1.0, seed=1), measure=measure)
    assert found.p_value == 1 / 500


@pytest.mark.parametrize("measure", ["moments", "sliced_wasserstein", "mmd"])
def test_a_planted_change_of_scale_is_found_without_a_change_of_mean(measure):
    assert drift(normal(80), normal(80, scale=2.5, seed=1), measure=measure).p_value < 0.01


def test_the_value_of_the_moments_is_the_shift_in_pooled_deviations():
    near, far = normal(4000, d=1), normal(4000, shift=0.5, seed=1, d=1)
    pooled = np.concatenate([near, far]).std()
    assert drift(near, far, measure="moments", permutations=1).value == pytest.approx(
        abs(far.mean() - near.mean()) / pooled, rel=1e-9
    )


def test_the_sliced_distance_is_scipys_along_one_axis():
    near, far = normal(70, d=1), normal(50, shift=0.7, seed=1, d=1)
    pooled = np.concatenate([near, far])
    want = wasserstein_distance(near[:, 0] / pooled.std(), far[:, 0] / pooled.std())
    found = drift(near, far, measure="sliced_wasserstein", permutations=1).value
    assert found == pytest.approx(want, rel=1e-9)


def test_mmd_is_its_definition():
    near, far = normal(12), normal(9, shift=0.5, seed=1)
    pooled = np.concatenate([near, far])
    pooled = (pooled - pooled.mean(axis=0)) / pooled.std(axis=0)
    distance = np.linalg.norm(pooled[:, None] - pooled[None], axis=2)
    kernel = np.exp(-(distance**2) / (2 * np.median(distance[np.triu_indices(21, 1)]) ** 2))
    a, b = kernel[:12, :12], kernel[12:, 12:]
    want = (a.sum() - 12) / (12 * 11) + (b.sum() - 9) / (9 * 8) - 2 * kernel[:12, 12:].mean()
    assert drift(near, far, measure="mmd", permutations=1).value == pytest.approx(want, rel=1e-9)


def test_the_classifier_tells_separate_samples_and_guesses_equal_ones():
    apart = drift(normal(60), normal(30, shift=6.0, seed=1), measure="classifier", permutations=9)
    assert apart.value == 1.0
    alike = [
        drift(normal(60, seed=i), normal(30, seed=99 + i), measure="classifier", permutations=1).value
        for i in range(20)
    ]
    assert 0.4 < np.mean(alike) < 0.55, "held-out galaxies pull the mean of the rest away: a little below 0.5"


def test_scaling_a_feature_changes_nothing():
    near, far = normal(40), normal(30, shift=0.4, seed=1)
    for measure in MEASURES:
        one = drift(near, far, measure=measure, permutations=49)
        other = drift(near * [1, 1e6, 1e-6] + 3, far * [1, 1e6, 1e-6] + 3, measure=measure, permutations=49)
        assert other.p_value == one.p_value
        assert other.value == pytest.approx(one.value, rel=1e-6)


def test_features_that_never_change_are_no_drift():
    same = np.ones((10, 2))
    assert drift(same, same).p_value == 1.0


def test_holm_is_the_textbooks():
    adjusted = holm({"a": 0.02, "b": 0.001, "c": 0.3, "d": 0.02})
    assert adjusted == pytest.approx({"a": 0.06, "b": 0.004, "c": 0.3, "d": 0.06})
    assert list(adjusted) == ["a", "b", "c", "d"]


@pytest.mark.parametrize(
    ("near", "far", "told"),
    [
        (np.ones((5, 2)), np.ones((5, 3)), "two samples of shape"),
        (np.ones((5, 2)), np.ones((3, 2)), "at least four galaxies"),
        (np.full((5, 2), np.nan), np.ones((5, 2)), "finite features"),
    ],
)
def test_samples_that_cannot_be_compared_are_refused(near, far, told):
    with pytest.raises(ValueError, match=told):
        drift(near, far)
