"""The line behind a saliency map: exact for a linear network, a known error for a quadratic one."""

import keras
import numpy as np
import pytest

from galcnn.explain import first_order
from galcnn.explain.network.first_order import FirstOrder, FirstOrderSettings
from galcnn.model import Target
from tests.explain.builds import N_CLASSES, SHAPE, flat, linear, mixed

IMAGES = np.random.default_rng(0).normal(size=(3, *SHAPE)).astype("float32")

TARGET = Target("t", (1.0, 0.0, -1.0))


def quadratic():
    """Logits are sums over x of w x + c x^2 / 2: gradient w + c x, Hessian diag(c)."""
    inputs = keras.Input(IMAGES.shape[1:])
    both = keras.layers.Concatenate()([inputs, keras.ops.square(inputs) / 2])
    dense = keras.layers.Dense(N_CLASSES, name="logits", use_bias=False)
    network = keras.Model(inputs, dense(keras.layers.Flatten()(both)))
    weights = np.random.default_rng(2).normal(size=(*IMAGES.shape[1:3], 4, N_CLASSES)).astype("float32")
    dense.set_weights([weights.reshape(-1, N_CLASSES)])
    goal = weights.astype(float) @ np.array(TARGET.weights)
    return network, goal[..., :2], goal[..., 2:]


@pytest.mark.parametrize("direction", ["noise", "gradient"])
def test_of_a_linear_network_the_line_is_exact_at_any_distance(direction):
    network, weights = linear()
    found = first_order(network, IMAGES, TARGET, sigma=np.float32(0.5), direction=direction)
    assert np.nanmax(found.error[:, 2:]) < 1e-4, "below, float32 scores have no more digits"
    np.testing.assert_array_equal(found.reach(), np.full(3, 10.0))
    bias = np.asarray(network.get_layer("logits").bias)
    np.testing.assert_allclose(found.intercepts, bias @ np.array(TARGET.weights), atol=1e-4)
    w = weights @ np.array(TARGET.weights)
    np.testing.assert_allclose(found.scores - found.intercepts, np.sum(IMAGES * w, axis=(1, 2, 3)), atol=1e-4)


def test_of_a_quadratic_the_error_is_half_the_curvature():
    """S(I + d) - S(I) - w.d = sum(c d^2) / 2 for every d; over w.d it grows in proportion to distance."""
    network, w, c = quadratic()
    chosen = FirstOrderSettings(distances=(0.3, 1.0, 3.0), draws=4, seed=7)
    sigma = np.array([0.2, 0.7], "float32")  # one a band
    found = first_order(network, IMAGES, TARGET, sigma=sigma, settings=chosen)
    from galcnn._runtime.seeding import generator

    for row, image in enumerate(IMAGES.astype(float)):
        stream = generator(7, "first order", row)
        draws = [sigma.astype(float) * stream.normal(size=image.shape) for _ in range(4)]
        for column, distance in enumerate(chosen.distances):
            steps = distance * np.array(draws)
            half = np.sum(c * steps**2, axis=(1, 2, 3)) / 2
            line = np.sum((w + c * image) * steps, axis=(1, 2, 3))
            np.testing.assert_allclose(found.linear[row, column], line, rtol=1e-3, atol=1e-3)
            np.testing.assert_allclose(found.actual[row, column] - line, half, rtol=1e-2, atol=1e-2)
            expected = np.sqrt(np.mean(half**2) / np.mean(line**2))
            assert found.error[row, column] == pytest.approx(expected, rel=1e-2)
    np.testing.assert_allclose(found.error[:, 2] / found.error[:, 1], 3, rtol=0.02)


def test_along_the_gradient_the_steps_have_the_stated_length_and_the_largest_slope():
    network, w, c = quadratic()
    sigma = np.random.default_rng(3).uniform(0.1, 2, IMAGES.shape).astype("float32")
    chosen = FirstOrderSettings(distances=(0.5,))
    found = first_order(network, IMAGES, TARGET, sigma=sigma, direction="gradient", settings=chosen)
    slope = (w + c * IMAGES) * sigma  # per sigma
    steepest = 0.5 * np.sqrt(slope[0].size) * np.linalg.norm(slope.reshape(3, -1), axis=1)
    np.testing.assert_allclose(found.linear[:, 0, 0], steepest, rtol=1e-4)
    np.testing.assert_allclose(found.linear[:, 0, 1], -steepest, rtol=1e-4)


def test_reach_is_where_the_error_passes_the_limit():
    distances = np.array([0.1, 1.0, 10.0])
    linear_part = np.ones((4, 3, 1))
    error = np.array([[0, 0, 1.0], [0.1, 0.2, 0.3], [0.6, 1, 1], [0.0, 1.0, 0.0]])
    curves = FirstOrder(distances, 1 + error[..., None], linear_part, "noise", np.zeros(4), np.zeros(4))
    np.testing.assert_allclose(curves.error, error)
    np.testing.assert_allclose(curves.reach(0.5), [10**0.5, 10, 0, 10**-0.5])
    nothing = FirstOrder(distances, 0 * linear_part, 0 * linear_part, "noise", np.zeros(4), np.zeros(4))
    assert np.isnan(nothing.error).all()
    np.testing.assert_array_equal(nothing.reach(), np.zeros(4))


def test_a_network_with_kinks_is_straight_close_by_and_not_far_away():
    found = first_order(flat(of=mixed), IMAGES, TARGET, sigma=np.float32(1))
    median = np.median(found.error, axis=0)
    assert median[1] < 0.1 < median[-1]
    assert np.all((found.reach() > 0.01) & (found.reach() < 10))


def test_what_cannot_be_is_refused():
    network, _ = linear()
    for sigma in (np.float32(0), np.float32(np.nan), np.float32(-1)):
        with pytest.raises(ValueError, match="finite noise >= 0"):
            first_order(network, IMAGES, TARGET, sigma=sigma)
    with pytest.raises(ValueError, match="direction among"):
        first_order(network, IMAGES, TARGET, sigma=np.float32(1), direction="up")
    for fields in ({"distances": ()}, {"distances": (1, 0.5)}, {"distances": (0, 1)}, {"draws": 0}):
        with pytest.raises(ValueError, match="increasing positive distances"):
            FirstOrderSettings(**fields)
