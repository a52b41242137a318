"""Guided backpropagation and the deconvnet reach every ReLU, or refuse and say what they found."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from galcnn.explain import Deconvnet, GuidedBackprop, Saliency
from galcnn.model import NetworkSettings, assemble, build_network
from galcnn.preprocessing import fit_preprocessing
from tests.explain import builds
from tests.explain.builds import IMAGES, SHAPE, TARGET

BOTH = pytest.mark.parametrize("method", [GuidedBackprop(), Deconvnet()], ids=["guided", "deconvnet"])


def with_rectifier(rectify, first="relu"):
    """A network that has a ReLU and one other rectifier."""
    inputs = keras.Input(SHAPE)
    x = keras.layers.Conv2D(4, 3, activation=first)(inputs)
    x = rectify(keras.layers.Conv2D(4, 3)(x))
    x = keras.layers.Dense(3)(keras.layers.GlobalAveragePooling2D()(x))
    return builds.settle(keras.Model(inputs, x))


@BOTH
@pytest.mark.parametrize("build", [*builds.BUILDS, lambda: builds.flat(spelling="function")])
def test_it_is_never_the_plain_gradient_in_silence(method, build):
    """In libraries of today it is, for nested models, for ReLU layers and for functions."""
    network = build()
    assert not np.allclose(method(network, IMAGES, TARGET), Saliency()(network, IMAGES, TARGET), rtol=0.05)


@BOTH
@pytest.mark.parametrize(
    ("rectify", "found"),
    [
        (lambda x: keras.ops.maximum(x, 0.0), "'Maximum': 1"),
        (lambda x: keras.ops.where(x > 0, x, 0.0), "'SelectV2': 1"),
        (lambda x: keras.ops.clip(x, 0.0, 1e9), "'Maximum': 1"),
        (lambda x: x * keras.ops.cast(x > 0, x.dtype), "'Greater': 1"),
        (lambda x: (x + keras.ops.abs(x)) / 2, "'Abs': 1"),
        (keras.layers.LeakyReLU(), "'LeakyRelu': 1"),
        (keras.layers.ELU(), "'Elu': 1"),
        (keras.layers.Activation("selu"), "'Selu': 1"),
        (keras.layers.Activation("softplus"), "'Softplus': 1"),
        (keras.layers.Activation("silu"), "others="),
        (keras.layers.Activation("gelu"), "others="),
        (lambda x: x * keras.ops.sigmoid(x), "'Swish': 1"),
        (keras.layers.ReLU(threshold=0.5), "'Greater': 1"),
        (keras.layers.ReLU(negative_slope=0.1), "'LeakyRelu': 1"),
    ],
)
def test_a_rectifier_that_would_escape_is_refused_with_what_was_found(method, rectify, found):
    with pytest.raises(ValueError, match=r"rectifiers are all ReLUs.*relus=.*others=") as error:
        method(with_rectifier(rectify), IMAGES, TARGET)
    assert found in str(error.value)


@BOTH
def test_a_network_without_relu_is_refused(method):
    with pytest.raises(ValueError, match=r"at least one.*relus=0, others='none'"):
        method(with_rectifier(lambda x: x, first="tanh"), IMAGES, TARGET)


@BOTH
def test_smooth_activations_beside_relus_are_gone_through_by_their_slope(method):
    maps = method(with_rectifier(keras.layers.Activation("tanh")), IMAGES, TARGET)
    assert np.any(maps != 0)
    assert np.all(np.isfinite(maps))


@BOTH
def test_relu6_is_a_relu_that_shuts_above_too(method):
    network = with_rectifier(keras.layers.ReLU(max_value=6))
    plain, faint = with_rectifier(keras.layers.ReLU()), IMAGES / 10
    np.testing.assert_array_equal(network(faint), plain(faint))  # 6 is not reached
    expected = method(plain, faint, TARGET)
    np.testing.assert_allclose(method(network, faint, TARGET), expected, rtol=1e-5, atol=1e-7)
    shut = method(network, 1000 * IMAGES, TARGET)
    assert np.any(expected != 0)
    # Almost every unit is at 0 or at 6: guided lets nothing through, a deconvnet does not look.
    assert np.any(shut != 0) == (method.name == "deconvnet")


@BOTH
def test_a_compiled_function_inside_a_network_hides_its_relus_and_is_refused(method):
    @tf.function
    def hidden(x):
        return tf.nn.relu(x)

    class Hidden(keras.layers.Layer):
        def call(self, inputs):
            return hidden(inputs)

    with pytest.raises(ValueError, match="PartitionedCall"):
        method(with_rectifier(Hidden()), IMAGES, TARGET)


@BOTH
def test_a_clipping_preprocessing_is_no_part_of_the_network(method):
    images = (np.random.default_rng(0).normal(size=(6, 16, 16, 2)) * 5 + 20).astype("float32")
    network = build_network((16, 16, 2), 3, settings=NetworkSettings(widths=(4, 8)), seed=1)
    inputs = keras.Input((16, 16, 2))
    clipped = keras.Model(inputs, keras.ops.maximum(inputs, 0.0) / 20, name="preprocessing")
    maps = method(assemble(clipped, network), images, TARGET)
    inner = method(network, np.maximum(images, 0) / 20, TARGET)
    np.testing.assert_allclose(maps, inner / 20 * (images > 0), rtol=1e-4, atol=1e-8)
    stretched = assemble(fit_preprocessing(images), network)
    assert np.any(method(stretched, images, TARGET) != 0)


def test_a_relu_that_the_target_does_not_go_through_does_not_count():
    inputs = keras.Input(SHAPE)
    x = keras.layers.Conv2D(4, 3)(inputs)
    keras.layers.ReLU()(x)
    network = keras.Model(inputs, keras.layers.Dense(3)(keras.layers.GlobalAveragePooling2D()(x)))
    with pytest.raises(ValueError, match="relus=0"):
        GuidedBackprop()(network, IMAGES, TARGET)
