"""Costs counted by hand, by TensorFlow's own profiler, and the receptive field by poking pixels."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from astropy.table import Table

from galcnn.cli.main import main
from galcnn.model import NetworkSettings, build_network, network_table
from galcnn.model.profile import layer_costs, network_cost

#: 8 x 8 pixels, 2 bands: conv 3 x 3 to 4, pool, conv 3 x 3 to 6, mean, dense to 3; all with biases.
SMALL = NetworkSettings(widths=(4, 6), depth=1, stem=0, normalization="none", dropout=0)


def small(**settings):
    from dataclasses import replace

    return build_network((8, 8, 2), 3, settings=replace(SMALL, **settings))


def test_costs_of_a_small_network_are_those_counted_by_hand():
    cost = network_cost(small())
    parameters = (2 * 9 + 1) * 4 + (4 * 9 + 1) * 6 + (6 + 1) * 3
    assert (cost.parameters, cost.trainable, cost.weight_bytes) == (parameters, parameters, 4 * parameters)
    assert cost.flops == 64 * 4 * (2 * 9 * 2 + 1) + 16 * 6 * (2 * 9 * 4 + 1) + 3 * (2 * 6 + 1)
    # conv, activation, pool, conv, activation, mean, logits; four bytes each.
    assert cost.activation_bytes == 4 * (2 * 64 * 4 + 16 * 4 + 2 * 16 * 6 + 6 + 3)
    # 3 pixels, 4 after the pool, and two of its steps of 2 on each side.
    assert cost.receptive_field == (3 + 1 + 2 * 2, 3 + 1 + 2 * 2)
    kinds = [layer.kind for layer in layer_costs(small())]
    assert kinds == [
        "Conv2D",
        "Activation",
        "MaxPooling2D",
        "Conv2D",
        "Activation",
        "GlobalAveragePooling2D",
        "Dense",
    ]


def test_orientations_cost_as_many_times_and_half_precision_half_the_memory():
    plain, eight = network_cost(small()), network_cost(small(orientations=8))
    dense = 3 * (2 * 6 + 1)
    assert eight.flops - dense == 8 * (plain.flops - dense)
    assert eight.parameters == plain.parameters
    half = {c.address: c.output_bytes for c in layer_costs(small(precision="mixed_float16"))}
    whole = {c.address: c.output_bytes for c in layer_costs(small())}
    assert half["conv1_1"] * 2 == whole["conv1_1"]
    assert half["logits"] == whole["logits"]


@pytest.mark.parametrize(
    "settings",
    [SMALL, NetworkSettings(widths=(4, 8), residual=True), NetworkSettings(architecture="MobileNetV3Small")],
)
def test_operations_are_those_of_tensorflows_profiler(settings):
    """It counts all operations, ours those of convolutions and dense layers, without which little is left."""
    network = build_network((32, 32, 3), 3, settings=settings)
    run = tf.function(lambda x: network(x, training=False))
    graph = run.get_concrete_function(tf.TensorSpec((1, 32, 32, 3))).graph
    options = tf.compat.v1.profiler.ProfileOptionBuilder(
        tf.compat.v1.profiler.ProfileOptionBuilder.float_operation()
    )
    options = options.with_empty_output().build()
    counted = tf.compat.v1.profiler.profile(graph, options=options)
    ours = network_cost(network).flops
    assert ours <= counted.total_float_ops
    assert ours == pytest.approx(counted.total_float_ops, rel=0.25)


def test_a_separable_convolution_is_counted_in_its_two_steps():
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.SeparableConv2D(5, 3, padding="same", depth_multiplier=2)(inputs)
    x = keras.layers.DepthwiseConv2D(3, padding="same", use_bias=False)(x)
    x = keras.layers.Conv2D(10, 1, groups=5)(x)
    first, second, third = (cost.flops for cost in layer_costs(keras.Model(inputs, x)))
    assert first == 64 * (2 * 9 * 6 + 2 * 6 * 5 + 5)
    assert second == 64 * 5 * 2 * 9
    assert third == 64 * 10 * (2 * 1 + 1)


def test_the_receptive_field_is_what_a_cell_reacts_to():
    network = build_network(
        (64, 64, 1), 2, settings=NetworkSettings(widths=(2, 2, 2), depth=1, stem=0, normalization="none")
    )
    field = network_cost(network).receptive_field
    features = keras.Model(network.inputs, network.get_layer("conv3_1").output)
    image = tf.Variable(np.random.default_rng(0).normal(size=(1, 64, 64, 1)).astype("float32"))
    reach = np.zeros(64, dtype=bool)
    for seed in range(20):  # a maximum passes one pixel only: other images show the others
        image.assign(np.random.default_rng(seed).normal(size=(1, 64, 64, 1)))
        with tf.GradientTape() as tape:
            middle = tf.reduce_sum(features([image])[0, 8, 8])
        reach |= np.any(np.asarray(tape.gradient(middle, image))[0, :, :, 0] != 0, axis=0)
    assert np.ptp(np.flatnonzero(reach)) + 1 == field[0]


def test_the_table_on_the_command_line(tmp_path, capsys, trained):
    out = tmp_path / "n.ecsv"
    words = ["profile", "blocks", "residual", "--size", "32", "--pixel-scale", "0.4", "--out", str(out)]
    assert main(words) == 0
    table = Table.read(out)
    assert list(table["network"]) == ["blocks", "residual"]
    assert table["parameters"][1] > table["parameters"][0]
    assert table["receptive_field_arcsec"][0] == pytest.approx(0.4 * table["receptive_field"][0], abs=0.01)
    assert "residual" in capsys.readouterr().out
    from galcnn.model import save_model

    save_model(trained, tmp_path / "model")
    assert main(["profile", str(tmp_path / "model"), "--by-layer"]) == 0
    shown = capsys.readouterr().out
    assert "conv1_1" in shown
    assert main(["profile", "blocks", "residual", "--by-layer"]) == 2
    assert network_table([("a", trained.network)])["parameters"][0] == trained.network.count_params()
