"""Stretches: their closed forms, their inverses, and what happens to colours."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from galcnn.model.preprocessing.statistics import sky_noise
from galcnn.model.preprocessing.stretch import AsinhStretch, LuptonStretch
from tests.model.preprocessing.toys import sky


def test_asinh_is_linear_below_and_logarithmic_above_its_softening():
    layer = AsinhStretch()
    layer.adapt(sky())
    softening = np.asarray(layer.softening)
    assert softening == pytest.approx(3 * sky_noise(sky()), rel=1e-6)
    x = np.array([1e-4, 1.0, 1e7], dtype="float32").reshape(3, 1, 1, 1) * softening
    out = np.asarray(layer(x.astype("float32")))[:, 0, 0, :]
    np.testing.assert_allclose(out[0], 1e-4, rtol=1e-5)
    np.testing.assert_allclose(out[1], np.arcsinh(1.0), rtol=1e-6)
    np.testing.assert_allclose(out[2], np.log(2e7), rtol=1e-5)


def test_lupton_keeps_the_ratio_of_bands_and_asinh_does_not():
    images = sky(sigma=(1.0, 1.0))
    images[:, 8:16, 8:16] += np.array([300.0, 100.0], "float32")
    images[:, 11:13, 11:13] += np.array([30000.0, 10000.0], "float32")
    lupton, asinh = LuptonStretch(), AsinhStretch()
    for layer in (lupton, asinh):
        layer.adapt(images)
    # Noise of the mean of two bands of noise 1.
    assert float(lupton.softening) == pytest.approx(3 / np.sqrt(2), rel=0.03)
    core = np.array([30300.0, 10100.0], "float32").reshape(1, 1, 1, 2)
    red, blue = np.asarray(lupton(core)).ravel()
    assert red / blue == pytest.approx(3, rel=1e-6)
    mean = core.mean() / float(lupton.softening)
    assert (red + blue) / 2 == pytest.approx(np.arcsinh(mean), rel=1e-6)
    red, blue = np.asarray(asinh(core)).ravel()
    assert red / blue < 1.2


def test_lupton_is_smooth_where_the_mean_vanishes():
    """The series takes over without a step, and bands that cancel give no 0 / 0, nor does their slope."""
    layer = LuptonStretch()
    x = np.linspace(-0.02, 0.02, 401, dtype="float32").reshape(1, 1, -1, 1)
    np.testing.assert_allclose(np.asarray(layer(x)), np.arcsinh(x), rtol=1e-6, atol=1e-9)
    opposite = tf.constant(np.array([2.0, -2.0], "float32").reshape(1, 1, 1, 2))
    other = LuptonStretch()
    with tf.GradientTape() as tape:
        tape.watch(opposite)
        total = tf.reduce_sum(other(opposite) ** 2)
    assert np.asarray(other(opposite)).ravel() == pytest.approx([2, -2])
    assert np.asarray(tape.gradient(total, opposite)).ravel() == pytest.approx([4, -4])


@pytest.mark.parametrize("kind", [AsinhStretch, LuptonStretch])
def test_stretches_can_be_undone(kind):
    images = sky() * 100 + np.float32(3)
    layer = kind()
    layer.adapt(sky())
    back = layer.inverse(keras.ops.convert_to_numpy(layer(images)))
    np.testing.assert_allclose(back, images, rtol=2e-5, atol=1e-4)
