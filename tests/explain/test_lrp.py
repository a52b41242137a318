"""Relevance: the published rules by hand, its sum, and its limits."""

import keras
import numpy as np
import pytest

from galcnn.explain import LRP, InputXGradient
from galcnn.model import NetworkSettings, build_network
from tests.explain import builds
from tests.explain.builds import IMAGES, SHAPE, TARGET


def gamma_rule(x, w, b, relevance, gamma):
    """The rule of zennit 0.5.1, `zennit.rules.Gamma`, for rows of numbers x: positive and negative parts."""
    up, down = w + gamma * np.maximum(w, 0), w + gamma * np.minimum(w, 0)
    plus, minus, z = np.maximum(x, 0), np.minimum(x, 0), x @ w + b
    above = plus @ up + minus @ down + b + gamma * np.maximum(b, 0)
    below = plus @ down + minus @ up + b + gamma * np.minimum(b, 0)
    share_above = np.where(z > 0, relevance / above, 0)
    share_below = np.where(z < 0, relevance / below, 0)
    return plus * (share_above @ up.T + share_below @ down.T) + minus * (
        share_above @ down.T + share_below @ up.T
    )


def epsilon_rule(x, w, b, relevance, epsilon):
    z = x @ w + b
    return x * ((relevance / (z + np.where(z < 0, -epsilon, epsilon))) @ w.T)


@pytest.mark.parametrize("middle", ["relu", None])
@pytest.mark.parametrize(("gamma", "epsilon"), [(0.25, 1e-6), (1.0, 1e-6), (0, 1e-6), (0, 0.1)])
def test_the_rules_by_hand(middle, gamma, epsilon):
    """Convolutions of one pixel, of signed and of positive numbers, before a ReLU and without one."""
    inputs = keras.Input((2, 2, 3))
    x = keras.layers.Conv2D(4, 1, activation=middle)(inputs)
    x = keras.layers.Conv2D(5, 1)(x)
    x = keras.layers.Flatten()(x)
    network = builds.settle(keras.Model(inputs, keras.layers.Dense(3)(x)))
    images = np.random.default_rng(1).normal(size=(3, 2, 2, 3)).astype("float32")
    w1, b1, w2, b2, w3, b3 = (np.asarray(one, dtype=float) for one in network.get_weights())
    w1, w2 = w1[0, 0], w2[0, 0]
    first = images.astype(float) @ w1 + b1
    features = np.maximum(first, 0) if middle else first
    last = (features @ w2 + b2).reshape(3, -1)
    relevance = (last @ w3 + b3) * TARGET.weights
    relevance = epsilon_rule(last, w3, b3, relevance, epsilon).reshape(3, 2, 2, 5)
    if gamma:
        relevance = gamma_rule(features, w2, b2, relevance, gamma)
        relevance = gamma_rule(images, w1, b1, relevance, gamma)
    else:
        relevance = epsilon_rule(features, w2, b2, relevance, epsilon)
        relevance = epsilon_rule(images, w1, b1, relevance, epsilon)
    found = LRP(gamma, epsilon)(network, images, TARGET)
    np.testing.assert_allclose(found, relevance, rtol=1e-3, atol=1e-4 * np.abs(relevance).max())


@pytest.mark.parametrize("gamma", [0, 0.25, 10])
@pytest.mark.parametrize(
    "settings", [{}, {"residual": True, "pooling": "average"}, {"orientations": 4, "normalization": "none"}]
)
def test_without_biases_the_map_sums_to_the_score(settings, gamma):
    settings = NetworkSettings(widths=(4, 6), stem=0, depth=1, **settings)
    network = builds.settle(build_network((16, 16, 2), 3, settings=settings))
    for variable in network.weights:
        if variable.name in ("bias", "beta", "moving_mean"):
            variable.assign(np.zeros(variable.shape))
    images = np.random.default_rng(0).normal(size=(4, 16, 16, 2)).astype("float32")
    scores = np.asarray(network(images)) @ TARGET.weights
    sums = LRP(gamma)(network, images, TARGET).sum((1, 2, 3), dtype=float)
    np.testing.assert_allclose(sums, scores, rtol=1e-4, atol=1e-4 * np.abs(scores).max())


def test_biases_keep_their_share():
    inputs = keras.Input(SHAPE)
    network = keras.Model(inputs, keras.layers.Dense(3)(keras.layers.Flatten()(inputs)))
    builds.settle(network)
    scores = np.asarray(network(IMAGES)) @ TARGET.weights
    sums = LRP()(network, IMAGES, TARGET).sum((1, 2, 3))
    bias = np.asarray(network.weights[-1]) @ TARGET.weights
    np.testing.assert_allclose(sums, scores - bias, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("build", [builds.flat, builds.nested])
def test_with_relus_and_without_gamma_it_is_input_times_gradient(build):
    network = build()
    expected = InputXGradient()(network, IMAGES, TARGET)
    np.testing.assert_allclose(
        LRP(0, 1e-9)(network, IMAGES, TARGET), expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max()
    )
    assert not np.allclose(LRP()(network, IMAGES, TARGET), expected, rtol=0.05)


@pytest.mark.parametrize(
    "scaled",
    [
        lambda x: x / 4.0,
        lambda x: 0.25 * x,
        lambda x: keras.ops.divide(x, np.full(SHAPE[-1], 4.0, "float32")),
    ],
)
def test_an_operation_with_numbers_is_as_the_layer_that_does_the_same(scaled):
    """Elementwise functions pass the relevance on unchanged."""

    def made(step):
        inputs = keras.Input(SHAPE)
        x = keras.ops.arcsinh(step(inputs))
        x = keras.layers.Conv2D(4, 3, activation="relu", use_bias=False)(x)
        x = keras.layers.GlobalAveragePooling2D()(x)
        return keras.Model(inputs, keras.layers.Dense(3, use_bias=False)(x))

    one, other = builds.settle(made(scaled)), made(keras.layers.Rescaling(0.25))
    other.set_weights(one.get_weights())
    found = LRP()(one, IMAGES, TARGET)
    np.testing.assert_allclose(found, LRP()(other, IMAGES, TARGET), rtol=1e-4, atol=1e-6)
    scores = np.asarray(one(IMAGES)) @ TARGET.weights
    np.testing.assert_allclose(found.sum((1, 2, 3), dtype=float), scores, rtol=1e-3, atol=1e-4)


def test_other_layers_are_refused_by_their_name():
    inputs = keras.Input(SHAPE)
    x = keras.layers.Conv2DTranspose(2, 3, name="wider")(inputs)
    network = keras.Model(inputs, keras.layers.Dense(3)(keras.layers.Flatten()(x)))
    with pytest.raises(ValueError, match=r"layer='wider', kind='Conv2DTranspose'"):
        LRP()(network, IMAGES, TARGET)
    for wrong in ({"gamma": -1}, {"epsilon": 0}):
        with pytest.raises(ValueError, match="gamma of at least 0"):
            LRP(**wrong)
