"""The builder: parameters counted by hand, seeds, names, refusals."""

from dataclasses import replace

import keras
import numpy as np
import pytest

from galcnn.model import NetworkSettings, assemble, build_network, feature_maps, fit_preprocessing

PLAIN = NetworkSettings(widths=(8, 16), depth=1, stem=0, normalization="none")


def test_parameters_are_those_of_the_formula():
    net = build_network((32, 32, 3), 4, settings=PLAIN)
    assert net.count_params() == (3 * 9 + 1) * 8 + (8 * 9 + 1) * 16 + (16 + 1) * 4
    net = build_network((32, 32, 3), 4, settings=NetworkSettings(widths=(8, 16), depth=2, stem=4))
    # With batch norm: no bias, four numbers a channel.
    convolutions = 3 * 25 * 4 + (4 + 8) * 9 * 8 + (8 + 16) * 9 * 16
    assert net.count_params() == convolutions + 4 * (4 + 8 + 8 + 16 + 16) + (16 + 1) * 4


@pytest.mark.parametrize(("poolings", "cells"), [(0, 32), (1, 16), (2, 8), (3, 4), (9, 4)])
def test_poolings_halve_the_grid_after_the_first_blocks_and_never_after_the_last(poolings, cells):
    settings = NetworkSettings(widths=(4, 4, 4, 4), depth=1, stem=0, poolings=poolings)
    net = build_network((32, 32, 1), 2, settings=settings)
    assert net.get_layer("gap").input.shape[1:] == (cells, cells, 4)
    pooled = [layer.name for layer in net.layers if layer.name.startswith("pool")]
    assert pooled == [f"pool{block}" for block in range(1, min(poolings, 3) + 1)]


def test_the_default_network_has_8_cells_a_side_for_pictures_of_96_pixels_cut_to_two_thirds():
    net = build_network((96, 96, 3), 4, settings=NetworkSettings(field=2 / 3))
    assert net.get_layer("gap").input.shape[1:] == (8, 8, 128)


def test_it_ends_in_logits_without_a_softmax():
    net = build_network((16, 16, 1), 3, settings=NetworkSettings(widths=(4,)))
    assert net.name == "network"
    assert net.layers[-1].name == "logits"
    assert net.layers[-1].activation is keras.activations.linear


def test_the_same_seed_gives_the_same_weights_and_layers_differ_from_each_other():
    settings = NetworkSettings(widths=(8, 8), depth=2, stem=0)
    one, two, other = (build_network((16, 16, 8), 2, settings=settings, seed=s) for s in (1, 1, 2))
    for a, b, c in zip(one.weights, two.weights, other.weights, strict=True):
        assert np.array_equal(a, b)
        if "kernel" in a.path:
            assert not np.array_equal(a, c)
    kernels = [np.asarray(w) for w in one.weights if w.path.endswith("kernel") and w.ndim == 4]
    assert len(kernels) == 4
    assert not any(np.array_equal(kernels[0], k) for k in kernels[1:])


def test_he_normal_has_the_variance_of_the_paper():
    net = build_network((16, 16, 3), 2, settings=NetworkSettings(widths=(64, 128)), seed=4)
    kernel = np.asarray(net.get_layer("conv2_1").kernel)
    assert kernel.var() == pytest.approx(2 / (64 * 9), rel=0.02)


def test_an_initializers_own_seed_and_configuration_are_kept():
    constant = {"class_name": "Constant", "config": {"value": 0.25}}
    net = build_network(
        (8, 8, 1), 2, settings=NetworkSettings(widths=(2,), depth=1, stem=0, initializer=constant)
    )
    assert np.all(np.asarray(net.get_layer("conv1_1").kernel) == 0.25)
    regularized = replace(PLAIN, widths=(2,), initializer=constant, regularizer="l2")
    net = build_network((8, 8, 1), 2, settings=regularized)
    # Keras' l2 is 0.01 times the sum of squares: 18 weights of the convolution, and the 4 small ones of the
    # Dense, whose start is not that of the other kernels.
    last = np.asarray(net.get_layer("logits").kernel)
    assert 0 < np.abs(last).max() < 0.05
    assert float(sum(net.losses)) == pytest.approx(0.01 * (0.25**2 * 18 + np.sum(last**2)))


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"residual": True},
        {"normalization": "none"},
        {"normalization": "group", "residual": True, "depth": 4},
        {"orientations": 8, "activation": "gelu"},
        {"widths": (4, 8), "initializer": "glorot_uniform"},
    ],
)
def test_the_logits_begin_near_zero(settings):
    net = build_network((32, 32, 3), 4, settings=NetworkSettings(**settings), seed=2)
    images = np.random.default_rng(0).normal(size=(16, 32, 32, 3)).astype("float32")
    logits = np.asarray(net(images, training=True))
    assert 1e-4 < np.abs(logits).max() < 0.05


def test_the_last_kernel_is_a_hundredth_of_he_normal():
    net = build_network((16, 16, 3), 40, settings=NetworkSettings(widths=(64, 128)), seed=4)
    assert np.asarray(net.get_layer("logits").kernel).var() == pytest.approx(1e-4 * 2 / 128, rel=0.05)


def test_the_default_feature_maps_have_8_by_8_cells():
    """Of pictures of 96 pixels, of which the central two thirds are seen, and of simulated cutouts of 64."""
    assert feature_maps(build_network((64, 64, 3), 4)).shape[:2] == (8, 8)
    field = NetworkSettings(field=2 / 3)
    assert feature_maps(build_network((96, 96, 3), 4, settings=field)).shape[:2] == (8, 8)


@pytest.mark.parametrize("normalization", ["batch", "group", "layer", "none"])
@pytest.mark.parametrize("pooling", ["max", "average"])
def test_every_word_builds_a_network_that_sees(normalization, pooling):
    settings = NetworkSettings(widths=(4, 12), normalization=normalization, pooling=pooling, dropout=0.5)
    net = build_network((16, 16, 2), 3, settings=settings)
    images = np.random.default_rng(0).normal(size=(2, 16, 16, 2)).astype("float32")
    logits = net.predict(images, verbose=0)
    assert np.all(np.isfinite(logits))
    assert not np.allclose(logits[0], logits[1])


def test_group_and_layer_norm_make_each_image_its_own_reference():
    images = np.random.default_rng(0).normal(size=(2, 16, 16, 2)).astype("float32")
    for normalization in ("group", "layer"):
        settings = NetworkSettings(widths=(8,), normalization=normalization)
        net = build_network((16, 16, 2), 3, settings=settings)
        # The first layer has no bias: a brighter image is normalised away, up to epsilon.
        logits = net.predict(images, verbose=0)
        np.testing.assert_allclose(
            net.predict(images * 50, verbose=0), logits, rtol=0, atol=2e-3 * np.abs(logits).max()
        )


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: build_network((32, 32, 3), 1), "at least two classes"),
        (lambda: build_network((6, 6, 3), 2), "images of at least 8 pixels for 3 halvings"),
        (lambda: NetworkSettings(normalization="instance"), "normalization among"),
        (lambda: NetworkSettings(field=0.0), r"a field in \(0, 1\]"),
        (lambda: build_network((30, 30, 3), 2, settings=NetworkSettings(field=0.2)), "images of at least 8"),
        (lambda: NetworkSettings(widths=()), "widths, depth and kernel of at least 1"),
        (lambda: NetworkSettings(poolings=-1), "stem and poolings of at least 0"),
        (lambda: NetworkSettings(dropout=1.0), r"dropout rate in \[0, 1\)"),
        (
            lambda: assemble(keras.Sequential(name="x"), keras.Sequential(name="network")),
            "named 'preprocessing'",
        ),
    ],
)
def test_bad_settings_are_refused(call, text):
    with pytest.raises(ValueError, match=text):
        call()


def test_logits_stay_float32_under_a_mixed_policy():
    old = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        images = np.random.default_rng(0).normal(0, 5, (8, 16, 16, 2)).astype("float32")
        model = assemble(fit_preprocessing(images), build_network((16, 16, 2), 2))
        assert model.get_layer("network").get_layer("conv1_1").compute_dtype == "float16"
        logits = model(images)
    finally:
        keras.config.set_dtype_policy(old)
    assert logits.dtype == "float32"
    assert np.all(np.isfinite(logits))


def test_a_network_is_blind_beyond_its_field():
    settings = NetworkSettings(widths=(4, 8), depth=1, stem=0, field=0.5)
    net = build_network((32, 32, 2), 3, settings=settings)
    images = np.random.default_rng(0).normal(size=(2, 32, 32, 2)).astype("float32")
    seen = net.predict(images, verbose=0)
    elsewhere = images.copy()
    elsewhere[:, :8] = elsewhere[:, 24:] = elsewhere[:, :, :8] = elsewhere[:, :, 24:] = 99
    np.testing.assert_array_equal(net.predict(elsewhere, verbose=0), seen)
    elsewhere[:, 8] = 99
    assert not np.allclose(net.predict(elsewhere, verbose=0), seen)


def test_a_residual_block_adds_what_enters_it():
    """With kernels of zero nothing is left but the way past them."""
    settings = NetworkSettings(
        widths=(2, 5), depth=2, stem=0, residual=True, normalization="none", dropout=0, initializer="zeros"
    )
    net = build_network((16, 16, 2), 3, settings=settings)
    images = np.random.default_rng(0).normal(size=(2, 16, 16, 2)).astype("float32")
    first = keras.Model(net.inputs, net.get_layer("add1_activation").output)
    np.testing.assert_array_equal(first([images]), np.maximum(images, 0))
    # Where the widths differ a 1 x 1 convolution leads past.
    shortcut = net.get_layer("shortcut2")
    assert shortcut.kernel.shape == (1, 1, 2, 5)
    shortcut.kernel.assign(np.ones((1, 1, 2, 5)))
    second = keras.Model(net.inputs, net.get_layer("add2_activation").output)
    pooled = np.maximum(images, 0).reshape(2, 8, 2, 8, 2, 2).max(axis=(2, 4))
    expected = np.repeat(pooled.sum(axis=-1, keepdims=True), 5, axis=-1)
    np.testing.assert_allclose(second([images]), expected, rtol=1e-6)
    assert net.count_params() == 2 * (2 * 9 * 2 + 2) + (2 * 9 + 1) * 5 + (5 * 9 + 1) * 5 + 3 * 5 + 6 * 3
