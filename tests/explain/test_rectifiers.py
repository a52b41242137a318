"""Guided backpropagation and the deconvnet reach every ReLU, or refuse and say what they found."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from galcnn.explain import Deconvnet, GuidedBackprop, Saliency
from galcnn.model import NetworkSettings, assemble, build_network, fit_preprocessing
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
        # A gate that is made of a ReLU6, as MobileNetV3 has it, and one of a tanh.
        (keras.layers.Activation("hard_silu"), "'Swish': 1"),
        (lambda x: keras.ops.gelu(x, approximate=True), "'Swish': 1"),
        (keras.layers.ReLU(threshold=0.5), "'Greater': 1"),
        (keras.layers.ReLU(negative_slope=0.1), "'LeakyRelu': 1"),
        (keras.layers.PReLU(alpha_initializer="ones", shared_axes=[1, 2]), "'PReLU': 1"),
        (keras.layers.PReLU(), "'PReLU': 1"),
        (lambda x: keras.ops.relu(x) - 0.2 * keras.ops.relu(-x), "'PReLU': 1"),
        (lambda x: keras.layers.Add()([keras.ops.relu(x), keras.ops.relu(-x)]), "'PReLU': 1"),
        (lambda x: 0.1 * x + 0.9 * keras.ops.relu(x), "'PReLU': 1"),
        (lambda x: keras.ops.relu(x) - keras.ops.relu(x - 1), "'PReLU': 1"),
        (lambda x: keras.layers.Average()([x, keras.ops.relu(2 * x)]), "'PReLU': 1"),
        (keras.layers.Activation("squareplus"), "'PReLU': 1"),
        (keras.layers.Activation("tanh_shrink"), "'PReLU': 1"),
    ],
)
def test_a_rectifier_that_would_escape_is_refused_with_what_was_found(method, rectify, found):
    with pytest.raises(ValueError, match=r"rectifiers are all ReLUs.*relus=.*others=") as error:
        method(with_rectifier(rectify), IMAGES, TARGET)
    assert found in str(error.value)


@BOTH
def test_the_slopes_of_grouped_convolutions_and_of_pairs_of_relus_are_those_of_their_parts(method):
    """A convolution of two groups is two convolutions; both halves of a concatenated ReLU are ReLUs."""
    inputs = keras.Input(SHAPE)
    grouped = keras.layers.Conv2D(4, 3, groups=2)
    parts = [keras.layers.Conv2D(2, 3), keras.layers.Conv2D(2, 3)]

    def network(found):
        both = keras.layers.Concatenate()([keras.ops.relu(found), keras.ops.relu(-found)])
        return keras.Model(
            inputs, keras.layers.Dense(3, name="head")(keras.layers.GlobalAveragePooling2D()(both))
        )

    halves = [part(inputs[..., i : i + 1]) for i, part in enumerate(parts)]
    one, other = network(grouped(inputs)), network(keras.layers.Concatenate()(halves))
    builds.settle(one)
    kernel, bias = grouped.get_weights()
    for i, part in enumerate(parts):
        part.set_weights([kernel[..., 2 * i : 2 * i + 2], bias[2 * i : 2 * i + 2]])
    other.get_layer("head").set_weights(one.get_layer("head").get_weights())
    np.testing.assert_allclose(
        method(one, IMAGES, TARGET), method(other, IMAGES, TARGET), rtol=1e-4, atol=1e-6
    )


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
def test_a_square_of_a_relu_and_a_gate_of_other_maps_are_no_gates_of_their_own(method):
    def gated(x):
        x = keras.layers.ReLU()(x)
        gate = keras.layers.Conv2D(4, 1, activation="sigmoid")(keras.ops.mean(x, axis=(1, 2), keepdims=True))
        return keras.layers.Multiply()([x, gate])

    for rectify in (lambda x: keras.ops.square(keras.ops.relu(x)), gated):
        assert np.any(method(with_rectifier(rectify), IMAGES, TARGET) != 0)


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


class Called(keras.layers.Layer):
    """A layer that calls a function that TensorFlow has compiled, in a second one if `twice`."""

    def __init__(self, function, *, twice=False, **kwargs):
        super().__init__(**kwargs)
        once = tf.function(function)
        self.function = tf.function(lambda x: once(x)) if twice else once

    def call(self, inputs):
        return self.function(inputs)


@BOTH
@pytest.mark.parametrize("twice", [False, True])
@pytest.mark.parametrize(
    ("rectify", "found"),
    [
        (tf.nn.relu, "Relu"),
        (lambda x: tf.nn.relu(x) - 0.2 * tf.nn.relu(-x), "PReLU"),
        (lambda x: x * tf.sigmoid(x), "Sigmoid"),
        (lambda x: tf.maximum(x, 0.0), "Maximum"),
        (lambda x: (x + tf.sqrt(x * x + 1)) / 2, "PReLU"),
    ],
)
def test_a_rectifier_in_a_called_function_is_refused_by_its_name(method, rectify, found, twice):
    with pytest.raises(ValueError, match=f"'{found} in a called function': 1"):
        method(with_rectifier(Called(rectify, twice=twice)), IMAGES, TARGET)


@BOTH
def test_a_called_function_without_rectifiers_changes_nothing(method):
    scale = np.random.default_rng(2).normal(size=4).astype("float32")
    called = with_rectifier(lambda x: keras.ops.relu(Called(lambda x: x * scale + 0.3)(x)))
    written = with_rectifier(lambda x: keras.ops.relu(x * scale + 0.3))
    np.testing.assert_allclose(method(called, IMAGES, TARGET), method(written, IMAGES, TARGET), rtol=1e-5)


@BOTH
def test_a_rectifier_of_two_pieces_of_which_one_goes_through_a_function_is_found(method):
    with pytest.raises(ValueError, match="'PReLU': 1"):
        method(
            with_rectifier(
                lambda x: keras.ops.relu(x) - 0.2 * keras.ops.relu(Called(lambda x: -x)(x)), first=None
            ),
            IMAGES,
            TARGET,
        )


@BOTH
def test_a_residual_block_of_grouped_convolutions_is_one_of_relus(method):
    def block(x):
        inner = keras.layers.Conv2D(4, 3, padding="same", groups=2, activation="relu")(x)
        return keras.layers.Add()([x, inner])

    assert np.isfinite(method(with_rectifier(block), IMAGES, TARGET)).all()


def with_own_relus(network, rule):
    """The same network with each ReLU's way back written out."""

    @tf.custom_gradient
    def relu(x):
        def back(signal):
            return tf.nn.relu(signal) * (tf.cast(x > 0, x.dtype) if rule == "guided" else 1)

        return tf.nn.relu(x), back

    def again(layer):
        if getattr(layer, "activation", None) is keras.activations.relu:
            return keras.layers.Activation(relu, name=layer.name)
        return type(layer).from_config(layer.get_config())

    other = keras.models.clone_model(network, clone_function=again, recursive=True)
    other.set_weights(network.get_weights())
    return other


@BOTH
@pytest.mark.parametrize(
    "settings",
    [
        NetworkSettings(widths=(4, 6), stem=0, residual=True),
        NetworkSettings(widths=(4, 6), stem=4, orientations=4),
        NetworkSettings(widths=(4,), residual=True, normalization="group", orientations=8, field=0.8),
        pytest.param(NetworkSettings(architecture="ResNet50V2"), marks=pytest.mark.full),
    ],
    ids=["residual", "orientations", "all", "ResNet50V2"],
)
def test_residual_and_turned_networks_agree_with_relus_whose_way_back_is_written_out(method, settings):
    images = np.random.default_rng(0).normal(size=(2, 32, 32, 2)).astype("float32")
    network = build_network((32, 32, 2), 3, settings=settings, seed=2)
    other = with_own_relus(network, method.name)
    with tf.GradientTape() as tape:
        tensor = tf.convert_to_tensor(images)
        tape.watch(tensor)
        score = tf.reduce_sum(other(tensor, training=False) * TARGET.weights)
    expected = tape.gradient(score, tensor).numpy()
    assert np.ptp(expected) > 0
    maps = method(network, images, TARGET)
    np.testing.assert_allclose(maps, expected, rtol=1e-3, atol=1e-5 * np.abs(expected).max())


@pytest.mark.full
@BOTH
def test_gates_of_mobilenet_are_found_and_refused(method):
    network = build_network((32, 32, 2), 3, settings=NetworkSettings(architecture="MobileNetV3Small"))
    with pytest.raises(ValueError, match="'Swish': 18"):
        method(network, np.zeros((1, 32, 32, 2), "float32"), TARGET)


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
