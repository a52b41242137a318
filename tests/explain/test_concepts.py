"""Concept sensitivity: closed form on a linear network, and p-values that are uniform if nothing differs."""

import keras
import numpy as np
import pytest

from galcnn.explain import concept_sensitivity
from galcnn.model import Target
from tests.explain import builds

SHAPE = (4, 3, 2)
TARGET = Target("t", (0.5, 1.0, -1.0))
RNG = np.random.default_rng(4)
IMAGES = RNG.normal(size=(30, *SHAPE)).astype("float32")


@pytest.fixture(scope="module")
def network():
    """Six linear features, named `units`, and a Dense layer."""
    inputs = keras.Input(SHAPE)
    x = keras.layers.Dense(6, name="units")(keras.layers.Flatten()(inputs))
    return builds.settle(keras.Model(inputs, keras.layers.Dense(3)(x)))


def sensitivity(network, examples, others, **settings):
    return concept_sensitivity(network, IMAGES, TARGET, examples, others, network_layer="units", **settings)


def test_along_a_feature_that_alone_differs_the_slope_is_the_weight_of_it(network):
    """The plane between examples that differ in one feature only is normal to it."""
    kernel, bias, head, _ = (np.asarray(one, dtype=float) for one in network.get_weights())
    move = np.linalg.lstsq(kernel.T, 30 * np.eye(6)[2], rcond=None)[0].reshape(SHAPE)
    others = RNG.normal(size=(60, *SHAPE)).astype("float32")
    found = sensitivity(network, (others + move).astype("float32"), others, paired=True)
    expected = (head @ TARGET.weights)[2]
    assert found.accuracy > 0.95
    assert found.score == float(expected > 0)
    features = np.concatenate([others + move, others]).reshape(120, -1) @ kernel + bias
    x = (features - features.mean(0)) / features.std(0)
    labels = np.repeat([1.0, -1.0], 60)
    way = np.linalg.solve(x.T @ x + 120 * np.eye(6), x.T @ labels) / features.std(0)
    np.testing.assert_allclose(found.slope, (head @ TARGET.weights) @ way / np.linalg.norm(way), rtol=1e-3)
    left = []
    for row in range(120):
        rest = np.arange(120) != row
        a = np.column_stack([x, np.ones(120)])
        ridge = np.diag([120.0] * 6 + [0])
        fit = np.linalg.solve(a[rest].T @ a[rest] + ridge, a[rest].T @ labels[rest])
        left.append(np.sign(a[row] @ fit) == labels[row])
    assert found.accuracy == pytest.approx(np.mean(left), abs=1e-9)


@pytest.mark.parametrize("paired", [False, True])
def test_p_values_are_uniform_if_the_examples_do_not_differ(network, paired):
    found = []
    for trial in range(80):
        both = np.random.default_rng(trial).normal(size=(24, *SHAPE)).astype("float32")
        found.append(
            sensitivity(network, both[:12], both[12:], paired=paired, n_random=39, seed=trial).p_value
        )
    assert abs(np.mean(found) - 0.5) < 4 * np.sqrt(1 / 12 / 80)
    # Of 80 at a level of 0.1, 8 are expected, and more than 18 in one of two thousand.
    assert np.sum(np.array(found) <= 0.1) <= 18


def test_pairs_show_smaller_effects_than_unpaired_examples(network):
    rng = np.random.default_rng(8)
    kernel, _, head, _ = (np.asarray(one, dtype=float) for one in network.get_weights())
    steep = kernel @ head @ TARGET.weights
    others = (3 * rng.normal(size=(40, *SHAPE))).astype("float32")
    examples = others + (0.6 * steep / np.linalg.norm(steep)).reshape(SHAPE).astype("float32")
    apart, pairs = (sensitivity(network, examples, others, paired=one) for one in (False, True))
    assert pairs.slope > 0
    assert pairs.p_value < 0.01 < apart.p_value


def test_too_few_examples_and_unequal_pairs_are_refused(network):
    for examples, others, paired in ((IMAGES[:7], IMAGES, False), (IMAGES[:9], IMAGES[:10], True)):
        with pytest.raises(ValueError, match="at least 8 images"):
            sensitivity(network, examples, others, paired=paired)
