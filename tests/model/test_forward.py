"""One pass shows every network layer, in models of every build, and leaves no trace in them."""

import gc
import weakref

import keras
import numpy as np
import pytest
import tensorflow as tf

from galcnn.explain import activations, layer_gradients, weight_gradients
from galcnn.model import NetworkSettings, Target, build_network, network_layers
from galcnn.model.forward import forward, outputs
from galcnn.model.graph import network_layer
from galcnn.model.receptive import cell_grid_at
from tests.explain import builds
from tests.explain.builds import flat, linear, mixed, nested, sequential

IMAGES = builds.IMAGES[:3]

TARGET = Target("t", (1.0, -0.5, 2.0))


@pytest.mark.parametrize("build", [flat, nested, sequential])
def test_the_pass_gives_what_the_network_gives(build):
    network = build()
    output, seen = forward(network, tf.constant(IMAGES))
    np.testing.assert_array_equal(output.numpy(), outputs(network, IMAGES))
    np.testing.assert_array_equal(list(seen.values())[-1].numpy(), output.numpy())
    assert list(network_layers(network)) == list(seen)


def test_layers_are_named_by_their_models_and_know_their_sources():
    layers = network_layers(nested(of=mixed))
    names = ["first", "norm", "relu", "pool", "side", "sum", "last", "gap", "logits"]
    assert list(layers) == [
        "middle/same",
        *(f"middle/inner/{name}" for name in names),
        "middle/inner",
        "middle",
    ]
    assert layers["middle/inner/first"].sources == ("middle/same",)
    assert layers["middle/inner/sum"].sources == ("middle/inner/pool", "middle/inner/side")
    assert layers["middle/inner/last"].shape == (3, 3, 6)
    assert layers["middle/inner/last"].kind == "Conv2D"
    assert network_layers(flat(of=mixed))["first"].sources == ("input",)
    with pytest.raises(ValueError, match="a network layer among first, norm"):
        network_layer(flat(of=mixed), "frist")


def test_nested_and_flat_networks_show_the_same():
    one, other = flat(of=mixed), nested(of=mixed)
    for compute in (
        activations,
        lambda n, x: layer_gradients(n, x, TARGET),
        lambda n, x: weight_gradients(n, x, TARGET),
    ):
        a, b = compute(one, IMAGES), compute(other, IMAGES)
        for name, values in a.items():
            np.testing.assert_allclose(b[f"middle/inner/{name}"], values, rtol=1e-5, atol=1e-6, err_msg=name)


def test_activations_are_those_of_the_layers_applied_by_hand():
    network = flat(of=mixed)
    found = activations(network, IMAGES)
    x = network.get_layer("first")(IMAGES)
    np.testing.assert_allclose(found["first"], x, rtol=1e-5, atol=1e-6)
    gamma, beta, mean, variance = network.get_layer("norm").get_weights()
    normed = (found["first"] - mean) / np.sqrt(variance + 1e-3) * gamma + beta
    np.testing.assert_allclose(found["norm"], normed, rtol=1e-3, atol=1e-5)
    np.testing.assert_array_equal(found["relu"], np.maximum(found["norm"], 0))
    np.testing.assert_allclose(found["sum"], found["pool"] + found["side"], rtol=1e-6)
    kernel, bias = network.get_layer("logits").get_weights()
    np.testing.assert_allclose(found["logits"], found["gap"] @ kernel + bias, rtol=1e-4, atol=1e-5)
    some = activations(network, IMAGES, layers=["gap", "first"])
    assert list(some) == ["gap", "first"]
    np.testing.assert_array_equal(some["gap"], found["gap"])


def test_more_images_than_a_batch_come_in_order():
    images = np.random.default_rng(1).normal(size=(70, 12, 10, 2)).astype("float32")
    found = activations(flat(of=mixed), images, layers=["gap"])["gap"]
    alone = [
        activations(flat(of=mixed), images[i : i + 1], layers=["gap"])["gap"][0] for i in (0, 63, 64, 69)
    ]
    np.testing.assert_allclose(found[[0, 63, 64, 69]], alone, rtol=1e-4, atol=1e-5)


def test_a_layers_gradient_tells_what_a_change_of_a_cell_does():
    """Behind the last ReLU everything is linear: the gradient is exact for steps of any size."""
    network, weights = flat(of=mixed), np.array(TARGET.weights)
    gradients = layer_gradients(network, IMAGES, TARGET)
    kernel, _ = network.get_layer("logits").get_weights()
    np.testing.assert_allclose(gradients["gap"], np.broadcast_to(kernel @ weights, (3, 6)), rtol=1e-5)
    np.testing.assert_allclose(
        gradients["last"], np.broadcast_to(kernel @ weights / 9, (3, 3, 3, 6)), rtol=1e-5
    )
    np.testing.assert_array_equal(gradients["logits"], np.broadcast_to(weights, (3, 3)).astype("float32"))
    # Through a ReLU it passes where the ReLU is on, and nowhere else.
    on = activations(network, IMAGES, layers=["norm"])["norm"] > 0
    np.testing.assert_allclose(gradients["norm"], gradients["relu"] * on, rtol=1e-6)
    each = [Target.of_class(name, "abc") for name in "abc"]
    np.testing.assert_array_equal(layer_gradients(network, IMAGES, each)["logits"], np.eye(3))


def test_gradients_of_weights_are_the_closed_form_and_the_mean_over_images():
    network, _ = linear()
    found = weight_gradients(network, IMAGES, TARGET)
    mean = IMAGES.reshape(3, -1).mean(axis=0)
    np.testing.assert_allclose(found["logits/kernel"], np.outer(mean, TARGET.weights), rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(found["logits/bias"], TARGET.weights)
    deep = flat(of=mixed)
    assert "norm/moving_mean" not in weight_gradients(deep, IMAGES, TARGET), "no weight that training moves"
    deep.get_layer("first").trainable = False
    assert "first/kernel" not in weight_gradients(deep, IMAGES, TARGET)


@pytest.mark.parametrize("gradients", [layer_gradients, weight_gradients])
def test_gradients_of_a_softmax_are_refused(gradients):
    network = flat(of=mixed)
    squashed = keras.Model(network.input, keras.layers.Softmax()(network.output))
    with pytest.raises(ValueError, match="a network that ends in logits"):
        gradients(squashed, IMAGES, TARGET)


def test_a_layer_that_is_called_twice_is_two_steps():
    inputs = keras.Input((8, 8, 2))
    shared = keras.layers.Conv2D(2, 3, padding="same", name="conv")
    x = keras.layers.GlobalAveragePooling2D(name="gap")(shared(shared(inputs)))
    network = keras.Model(inputs, keras.layers.Dense(2, name="logits")(x))
    layers = network_layers(network)
    assert list(layers) == ["conv", "conv#2", "gap", "logits"]
    assert layers["conv#2"].sources == ("conv",)
    assert [cell_grid_at(layers[name]).field for name in ("conv", "conv#2")] == [(3, 3), (5, 5)]
    images = IMAGES[:, :8, :8]
    found = activations(network, images)
    np.testing.assert_allclose(found["conv#2"], shared(shared(images)), rtol=1e-4, atol=1e-6)
    assert list(weight_gradients(network, images, Target("t", (1, 0)))) == [
        "conv/kernel",
        "conv/bias",
        "logits/kernel",
        "logits/bias",
    ]


def test_a_block_of_two_inputs_knows_what_it_reads():
    network = builds.joined()
    layers = network_layers(network)
    first = next(iter(layers))
    relu, skip = layers["block"].sources
    assert (layers["block/inside"].sources, layers["block/joined"].sources[1]) == ((relu,), first)
    assert (skip, layers[relu].kind) == (first, "ReLU")
    assert list(forward(network, tf.constant(IMAGES))[1]) == list(layers)
    two = keras.Input((4,)), keras.Input((4,))
    with pytest.raises(ValueError, match=r"a network with one input.*inputs=2"):
        network_layers(keras.Model(two, keras.layers.Add()(two)))


def test_functional_operations_are_steps_too():
    inputs = keras.Input(IMAGES.shape[1:])
    network = keras.Model(inputs, mixed(inputs, "function"))
    assert "relu" in list(network_layers(network))[2]


def test_a_model_that_hides_its_graph_is_refused():
    class Hidden(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = keras.layers.Dense(2)

        def call(self, x):
            return self.dense(x)

    hidden = Hidden()
    hidden(np.zeros((1, 3), "float32"))
    with pytest.raises(ValueError, match=r"a functional or sequential model.*Hidden"):
        forward(hidden, tf.zeros((1, 3)))
    with pytest.raises(ValueError, match="a network layer among"):
        activations(flat(of=mixed), IMAGES, layers=["none"])


def test_dropout_and_batch_norm_run_in_inference_mode():
    inputs = keras.Input((8, 8, 2))
    x = keras.layers.Dropout(0.9, seed=1)(keras.layers.BatchNormalization()(inputs))
    network = keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Flatten()(x)))
    before = network.get_weights()
    images = IMAGES[:, :8, :8] + 5
    found = list(activations(network, images).values())[-1]
    np.testing.assert_allclose(found, network.predict(images, verbose=0), rtol=1e-5)
    assert all(np.array_equal(a, b) for a, b in zip(before, network.get_weights(), strict=True))


def test_half_precision_networks_show_float32():
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        half = flat(of=mixed)
    finally:
        keras.config.set_dtype_policy(policy)
    full = flat(of=mixed)
    for name, values in activations(half, IMAGES).items():
        assert values.dtype == np.float32
        np.testing.assert_allclose(values, activations(full, IMAGES)[name], rtol=0.03, atol=0.03)
    a, b = (layer_gradients(n, IMAGES, TARGET, layers=["first"])["first"] for n in (half, full))
    assert np.corrcoef(a.ravel(), b.ravel())[0, 1] > 0.99


def test_a_dropped_network_is_freed():
    network = nested(of=mixed)
    activations(network, IMAGES)
    layer_gradients(network, IMAGES, TARGET)
    weight_gradients(network, IMAGES, TARGET)
    gone = weakref.ref(network)
    del network
    gc.collect()
    assert gone() is None


def test_a_layer_is_found_by_its_own_name_where_it_is_the_only_one():
    network = nested(of=mixed)
    assert network_layer(network, "last") is network_layer(network, "middle/inner/last")
    inputs = keras.Input(IMAGES.shape[1:])
    twice = keras.Model(inputs, network.get_layer("middle")(flat_maps(inputs)))
    with pytest.raises(ValueError, match=r"among maps/first, middle/inner/first\. .*network_layer='first'"):
        network_layer(twice, "first")


def flat_maps(inputs):
    """A model whose layers have the names of another's, and that gives images again."""
    own = keras.Input(IMAGES.shape[1:])
    x = keras.layers.Conv2D(2, 3, padding="same", name="first")(own)
    return keras.Model(own, x, name="maps")(inputs)


def test_one_function_serves_all_calls():
    from galcnn.model import forward as module

    network = flat(of=mixed)
    for n in (1, 2, 3, 1):
        activations(network, IMAGES[:n], layers=["gap"])
        layer_gradients(network, IMAGES[:n], TARGET, layers=["gap"])
    functions = module._COMPILED[network]
    assert len(functions) == 2
    assert [f.experimental_get_tracing_count() for f in functions.values()] == [1, 1]


def test_of_several_orientations_the_images_as_they_stand_are_given_batch_by_batch():
    settings = NetworkSettings(widths=(3,), stem=0, orientations=4)
    network = build_network((8, 8, 1), 2, settings=settings, seed=1)
    images = np.random.default_rng(0).normal(size=(70, 8, 8, 1)).astype("float32")
    first = network_layers(network)["conv1_1"].layer
    maps = activations(network, images, layers=["conv1_1"])["conv1_1"]
    np.testing.assert_allclose(maps, np.asarray(first(images)), rtol=1e-4, atol=1e-5)
    slopes = layer_gradients(network, images, Target("t", (1.0, 0.0)), layers=["conv1_1"])["conv1_1"]
    alone = layer_gradients(network, images[66:67], Target("t", (1.0, 0.0)), layers=["conv1_1"])["conv1_1"]
    np.testing.assert_allclose(slopes[66:67], alone, rtol=1e-4, atol=1e-7)
