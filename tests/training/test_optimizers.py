"""Optimizers step by step against their equations, on a quadratic whose gradient is known."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from galcnn.training import TrainingSettings, make_optimizer

#: f(w) = sum(CURVATURE * w**2) / 2
CURVATURE = np.array([1.0, 10.0])
START = np.array([3.0, -2.0])
STEPS = 12


def gradient(w):
    return CURVATURE * w


def path_of(settings, *, chunks=1, gradients=gradient, n=STEPS):
    """Positions after each step of our optimizer."""
    made = make_optimizer(settings, updates_per_epoch=n, chunks=chunks)
    w = keras.Variable(START.astype("float32"), name="kernel")
    path = []
    for _ in range(n):
        made.apply([tf.constant(gradients(w.numpy().astype(float)), tf.float32)], [w])
        path.append(w.numpy().copy())
    return np.array(path)


def settings(optimizer, rate=0.05, **more):
    return TrainingSettings(optimizer=optimizer, learning_rate=rate, schedule="constant", **more)


def test_gradient_descent():
    w, expected = START, []
    for _ in range(STEPS):
        w = w - 0.05 * gradient(w)
        expected.append(w)
    np.testing.assert_allclose(path_of(settings("sgd")), expected, rtol=1e-5)


def test_momentum():
    """v_k = gamma v_(k-1) + eta grad(theta_(k-1)); theta_k = theta_(k-1) - v_k."""
    w, v, expected = START, 0.0, []
    for _ in range(STEPS):
        v = 0.9 * v + 0.05 * gradient(w)
        w = w - v
        expected.append(w)
    np.testing.assert_allclose(path_of(settings("momentum")), expected, rtol=1e-4, atol=1e-5)


def test_nesterov_looks_ahead_and_keras_stores_the_point_ahead():
    """v_k = gamma v_(k-1) + eta grad(theta - gamma v_(k-1)): the variable is theta_k - gamma v_k."""
    w, v, ahead, positions = START, 0.0, [], []
    for _ in range(STEPS):
        v = 0.9 * v + 0.05 * gradient(w - 0.9 * v)
        w = w - v
        ahead.append(w - 0.9 * v)
        positions.append(w)
    found = path_of(settings("nesterov"))
    np.testing.assert_allclose(found, ahead, rtol=1e-4, atol=1e-5)
    assert np.abs(found - positions).max() > 0.1, "the position itself is another point"


def test_rmsprop():
    w, mean_square, expected = START, 0.0, []
    for _ in range(STEPS):
        g = gradient(w)
        mean_square = 0.9 * mean_square + 0.1 * g**2
        w = w - 0.05 * g / np.sqrt(mean_square + 1e-7)
        expected.append(w)
    np.testing.assert_allclose(path_of(settings("rmsprop")), expected, rtol=1e-4, atol=1e-5)


def test_adagrad():
    w, total, expected = START, 0.1, []  # Keras begins with 0.1
    for _ in range(STEPS):
        g = gradient(w)
        total = total + g**2
        w = w - 0.05 * g / np.sqrt(total + 1e-7)
        expected.append(w)
    np.testing.assert_allclose(path_of(settings("adagrad")), expected, rtol=1e-4, atol=1e-5)


def adam(decay=0.0, penalty=0.0):
    w, m, v, expected = START, 0.0, 0.0, []
    for k in range(1, STEPS + 1):
        g = gradient(w) + penalty * w
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        step = 0.05 * (m / (1 - 0.9**k)) / (np.sqrt(v / (1 - 0.999**k)) + 1e-7)
        w = w - 0.05 * decay * w - step
        expected.append(w)
    return np.array(expected)


def test_adam_and_adamw():
    np.testing.assert_allclose(path_of(settings("adam")), adam(), rtol=1e-4, atol=1e-4)
    decayed = path_of(settings("adamw", weight_decay=0.3))
    np.testing.assert_allclose(decayed, adam(decay=0.3), rtol=1e-4, atol=1e-4)
    # Any optimizer takes a decoupled decay: Adam with one is AdamW.
    np.testing.assert_allclose(path_of(settings("adam", weight_decay=0.3)), decayed, rtol=1e-6)


def test_decoupled_decay_and_l2_agree_under_plain_descent_and_differ_under_adam():
    """With lambda = 0.3: dC/dw = dE/dw + lambda w in the loss, or eta lambda w in the update."""

    def penalised(w):
        return gradient(w) + 0.3 * w

    np.testing.assert_allclose(
        path_of(settings("sgd"), gradients=penalised), path_of(settings("sgd", weight_decay=0.3)), rtol=1e-5
    )
    inside = path_of(settings("adam"), gradients=penalised)
    np.testing.assert_allclose(inside, adam(penalty=0.3), rtol=1e-4, atol=1e-4)
    # Adam divides the gradient by its size, and with it the penalty: the first step does not feel it at all.
    outside = path_of(settings("adam", weight_decay=0.3))
    np.testing.assert_allclose(inside[0], START - 0.05 * np.sign(START), rtol=1e-4)
    np.testing.assert_allclose(outside[0], START - 0.05 * np.sign(START) - 0.05 * 0.3 * START, rtol=1e-4)
    assert np.abs(inside - outside).max() > 0.05


def test_biases_and_normalisations_do_not_decay():
    made = make_optimizer(settings("sgd", weight_decay=0.5), updates_per_epoch=1)
    variables = [keras.Variable(np.ones(2), name=name) for name in ("kernel", "bias", "gamma", "beta")]
    made.apply([tf.zeros(2)] * 4, variables)
    assert [float(v.numpy()[0]) for v in variables] == pytest.approx([1 - 0.05 * 0.5, 1, 1, 1])


def test_clipping_by_value_and_by_norm():
    g = gradient(START)  # (3, -20)
    one = {"n": 1, "gradients": gradient}
    clipped = START - path_of(settings("sgd", rate=1.0, clipvalue=5.0), **one)[0]
    np.testing.assert_allclose(clipped, [3, -5], rtol=1e-5)
    for name in ("clipnorm", "global_clipnorm"):
        clipped = START - path_of(settings("sgd", rate=1.0, **{name: 2.0}), **one)[0]
        np.testing.assert_allclose(clipped, 2 * g / np.linalg.norm(g), rtol=1e-5)
    with pytest.raises(ValueError, match="at most one of clipvalue, clipnorm and global_clipnorm"):
        TrainingSettings(clipvalue=1.0, clipnorm=1.0)


def test_the_global_norm_is_of_all_variables_together():
    made = make_optimizer(settings("sgd", rate=1.0, global_clipnorm=1.0), updates_per_epoch=1)
    a, b = (keras.Variable(np.zeros(1), name="kernel") for _ in range(2))
    made.apply([tf.constant([3.0]), tf.constant([4.0])], [a, b])
    assert [float(v.numpy()[0]) for v in (a, b)] == pytest.approx([-0.6, -0.8])


def test_chunks_make_one_update_of_their_mean_gradient():
    """Gradients 1, 2, 6, then 3, 3, 3: two updates, by 3 each; momentum counts updates, not chunks."""
    series = iter([1.0, 2.0, 6.0, 3.0, 3.0, 3.0])
    found = path_of(
        settings("momentum", rate=1.0), chunks=3, gradients=lambda w: np.full(2, next(series)), n=6
    )
    moved = (found - START)[:, 0]
    assert moved.tolist() == pytest.approx([0, 0, -3, -3, -3, -3 - (0.9 * 3 + 3)], abs=1e-5)


@pytest.mark.parametrize(
    "name", ["sgd", "rmsprop", "adagrad", "adam", "adamw", "lion", "momentum", "nesterov"]
)
def test_a_word_is_enough(name):
    assert isinstance(
        make_optimizer(TrainingSettings(optimizer=name), updates_per_epoch=3), keras.optimizers.Optimizer
    )


def test_optimizers_are_names_configurations_or_objects_and_mine_is_not_touched():
    configured = {"class_name": "SGD", "config": {"learning_rate": 0.3, "momentum": 0.9}}
    made = make_optimizer(TrainingSettings(optimizer=configured, schedule="constant"), updates_per_epoch=1)
    assert (float(made.learning_rate), made.momentum) == (pytest.approx(0.3), 0.9)
    mine = keras.optimizers.Adam(0.5)
    made = make_optimizer(
        TrainingSettings(optimizer=mine, learning_rate=0.25, schedule="constant"), updates_per_epoch=1
    )
    assert made is not mine
    assert (float(made.learning_rate), float(mine.learning_rate)) == (0.25, 0.5)
    with pytest.raises(ValueError, match="adamm"):
        make_optimizer(TrainingSettings(optimizer="adamm"), updates_per_epoch=1)
