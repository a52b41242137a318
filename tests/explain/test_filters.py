"""Learned filters as they are, what their numbers say, and what they do to an image."""

import keras
import numpy as np
import pytest
from scipy.signal import correlate2d

from galcnn.explain import activations, filter_result, filters, weight_table
from galcnn.explain.network.filters import Filters, filter_statistics
from tests.explain import builds
from tests.explain.builds import flat, mixed, nested, settle

IMAGES = builds.IMAGES[:3]


def test_kernels_come_planes_first_and_are_copies():
    network = flat(of=mixed)
    learned = filters(network)
    assert list(learned) == ["first", "side", "last"]
    kernel = network.get_layer("first").get_weights()[0]
    np.testing.assert_array_equal(learned["first"].kernels[3, 1], kernel[:, :, 1, 3])
    np.testing.assert_array_equal(learned["first"].bias, network.get_layer("first").get_weights()[1])
    learned["first"].kernels[:] = 0
    np.testing.assert_array_equal(network.get_layer("first").get_weights()[0], kernel)
    assert list(filters(nested(of=mixed))) == ["middle/inner/first", "middle/inner/side", "middle/inner/last"]


def test_statistics_know_a_blur_a_spot_and_an_edge():
    blur, edge = np.full((3, 3), 2.0), np.array([[-1, 0, 1]] * 3, dtype=float)
    spot = np.array([[-1, -1, -1], [-1, 8, -1], [-1, -1, -1]], dtype=float)
    kernels = np.stack([blur, spot, edge, blur + edge, 0 * blur])[:, np.newaxis].astype("float32")
    table = filter_statistics(Filters("conv", kernels, np.arange(5, dtype="float32")))
    shares = np.array([table[name].data for name in ("flat", "even", "odd")]).T
    np.testing.assert_allclose(
        shares[:4], [[1, 0, 0], [0, 1, 0], [0, 0, 1], [36 / 42, 0, 6 / 42]], atol=1e-12
    )
    assert np.isnan(shares[4]).all()
    np.testing.assert_allclose(table["norm"], [6, np.sqrt(72), np.sqrt(6), np.sqrt(42), 0])
    np.testing.assert_allclose(table["mean"], [2, 0, 0, 2, 0])
    assert table["bias"].tolist() == [0, 1, 2, 3, 4]


def test_weights_of_each_layer_have_their_numbers():
    network = flat(of=mixed)
    table = weight_table(network)
    row = table[(table["network_layer"] == "side") & (table["weight"] == "kernel")][0]
    values = network.get_layer("side").get_weights()[0].astype(float)
    assert row["shape"] == "3 x 3 x 4 x 4"
    assert row["n"] == values.size
    for name, value in (("mean", values.mean()), ("std", values.std()), ("p95", np.percentile(values, 95))):
        assert row[name] == pytest.approx(value)
    assert row["tiny"] == np.mean(np.abs(values) < 0.01 * np.abs(values).max())
    assert sum(table["n"]) == network.count_params()
    assert set(weight_table(nested(of=mixed))["n"]) == set(table["n"])


@pytest.mark.parametrize("build", [flat, nested])
def test_a_filters_result_is_what_its_layer_gives(build):
    network = build(of=mixed)
    prefix = "" if build is flat else "middle/inner/"
    found = activations(network, IMAGES)
    for layer in ("first", "last"):
        for number in (0, 2):
            parts, total = filter_result(network, IMAGES, layer=prefix + layer, filter=number)
            np.testing.assert_allclose(total, found[prefix + layer][..., number], rtol=1e-4, atol=1e-5)
            bias = filters(network)[prefix + layer].bias[number]
            np.testing.assert_allclose(parts.sum(axis=1) + bias, total, rtol=1e-4, atol=1e-5)
    parts, total = filter_result(network, IMAGES, layer=f"{prefix}side", filter=1)
    assert total.min() < 0, "before the activation function of the same layer"
    np.testing.assert_allclose(np.maximum(total, 0), found[f"{prefix}side"][..., 1], rtol=1e-4, atol=1e-5)


def test_each_band_is_correlated_with_its_own_kernel():
    network = flat(of=mixed)
    parts, _ = filter_result(network, IMAGES, layer="first", filter=3)
    kernel = filters(network)["first"].kernels[3]
    for band in range(2):
        expected = correlate2d(IMAGES[1, ..., band], kernel[band], mode="same")
        np.testing.assert_allclose(parts[1, band], expected, rtol=1e-4, atol=1e-5)


def test_what_is_no_plain_convolution_is_refused():
    with pytest.raises(ValueError, match=r"a plain Conv2D.*pool"):
        filter_result(flat(of=mixed), IMAGES, layer="pool", filter=0)
    with pytest.raises(ValueError, match="a filter from 0 to 3"):
        filter_result(flat(of=mixed), IMAGES, layer="first", filter=4)
    inputs = keras.Input(IMAGES.shape[1:])
    grouped = keras.layers.Conv2D(4, 3, groups=2, name="grouped")(inputs)
    network = settle(keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Flatten()(grouped))))
    with pytest.raises(ValueError, match="a plain Conv2D"):
        filter_result(network, IMAGES, layer="grouped", filter=0)
