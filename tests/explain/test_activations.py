"""Identity 5: the backward pass of a convolution is a convolution with the rotated filter."""

import itertools

import numpy as np
import pytest
import tensorflow as tf
from scipy.signal import convolve2d

from galcnn.explain import backward_pass
from galcnn.explain.network.activations import backward_convolution, rotated
from galcnn.model import Target
from tests.explain import builds
from tests.explain.builds import flat, mixed, nested

IMAGES = builds.IMAGES[:3]

RNG = np.random.default_rng(0)
CASES = [
    (size, kernel, strides, padding)
    for size, kernel, strides, padding in itertools.product(
        [(9, 12), (8, 7)], [(3, 3), (5, 2), (1, 1)], [(1, 1), (2, 2), (3, 1)], ["same", "valid"]
    )
]


@pytest.mark.parametrize(("size", "kernel", "strides", "padding"), CASES)
def test_it_is_the_derivative_and_the_adjoint(size, kernel, strides, padding):
    x = RNG.normal(size=(2, *size, 3)).astype("float32")
    k = RNG.normal(size=(*kernel, 3, 4)).astype("float32")
    with tf.GradientTape() as tape:
        images = tf.constant(x)
        tape.watch(images)
        z = tf.nn.conv2d(images, k, strides, padding.upper())
    y = RNG.normal(size=z.shape).astype("float32")
    automatic = tape.gradient(z, images, output_gradients=tf.constant(y)).numpy()
    convolved = backward_convolution(y, k, input_shape=size, strides=strides, padding=padding)
    np.testing.assert_allclose(convolved, automatic, rtol=1e-5, atol=1e-5)
    # <conv x, y> = <x, convT y>
    assert np.vdot(z.numpy().astype(float), y) == pytest.approx(np.vdot(x.astype(float), convolved), rel=1e-4)


def test_with_stride_1_and_one_plane_it_is_the_true_convolution_of_signal_processing():
    """scipy's convolve2d turns the kernel by itself: the full convolution of the gradient."""
    y, k = RNG.normal(size=(6, 7)).astype("float32"), RNG.normal(size=(3, 3)).astype("float32")
    full = backward_convolution(
        y[np.newaxis, ..., np.newaxis], k[..., np.newaxis, np.newaxis], input_shape=(8, 9), padding="valid"
    )
    np.testing.assert_allclose(full[0, ..., 0], convolve2d(y, k, mode="full"), rtol=1e-5, atol=1e-6)


def test_rotating_turns_and_swaps():
    k = np.arange(12, dtype="float32").reshape(2, 3, 2, 1)
    turned = rotated(k)
    assert turned.shape == (2, 3, 1, 2)
    assert turned[0, 0, 0, 1] == k[1, 2, 1, 0]
    np.testing.assert_array_equal(rotated(turned), k)


def test_without_the_rotation_it_is_wrong():
    """The positive control: a kernel that is not turned gives another gradient."""
    k = RNG.normal(size=(3, 3, 1, 1)).astype("float32")
    y = RNG.normal(size=(1, 6, 6, 1)).astype("float32")
    right = backward_convolution(y, k, input_shape=(6, 6))
    wrong = backward_convolution(y, k[::-1, ::-1], input_shape=(6, 6))
    assert np.abs(right - wrong).max() > 0.5 * np.abs(right).max()


@pytest.mark.parametrize("layer", ["first", "side", "last"])
def test_in_a_network_both_ways_agree(layer):
    """Strided, with an activation function of its own, and in a residual branch."""
    target = Target("t", (1.0, -1.0, 0.5))
    shown = backward_pass(flat(of=mixed), IMAGES, target, layer=layer)
    assert shown.error < 1e-5
    assert np.abs(shown.automatic).max() > 0
    if layer == "first":  # its input is the image: the whole gradient passes through it
        from galcnn.model.gradients import target_gradient

        gradient, _ = target_gradient(flat(of=mixed), IMAGES, target)
        np.testing.assert_allclose(shown.convolved, gradient, rtol=1e-4, atol=1e-6)
    inside = backward_pass(nested(of=mixed), IMAGES, target, layer=f"middle/inner/{layer}")
    np.testing.assert_allclose(inside.convolved, shown.convolved, rtol=1e-5, atol=1e-7)


def test_what_does_not_belong_together_is_refused():
    with pytest.raises(ValueError, match="the gradient of this convolution's output"):
        backward_convolution(np.zeros((1, 5, 5, 1)), np.zeros((3, 3, 1, 1)), input_shape=(9, 9))
    with pytest.raises(ValueError, match="padding='full'"):
        backward_convolution(
            np.zeros((1, 9, 9, 1)), np.zeros((3, 3, 1, 1)), input_shape=(9, 9), padding="full"
        )
    with pytest.raises(ValueError, match="a Conv2D without dilation"):
        backward_pass(flat(of=mixed), IMAGES, Target("t", (1, 0, 0)), layer="pool")
