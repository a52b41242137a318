"""Signals at initialisation, against closed forms: Glorot keeps tanh, He keeps ReLU, and the wrong pairs."""

import keras
import numpy as np
import pytest
from scipy.integrate import quad

from galcnn.diagnostics import Stack, stack_summary, stack_table
from galcnn.diagnostics.initialisation import initialisation_table, initializer_variance, mean_field
from galcnn.model import NetworkSettings, build_network

#: Keras' names, and the variance of a kernel of shape (3, 3, 32, 64) by hand: n_in = 288, n_out = 576.
VARIANCES = {
    "zeros": 0.0,
    "ones": 0.0,
    "random_normal": 0.05**2,
    "random_uniform": 0.1**2 / 12,
    "glorot_normal": 2 / (288 + 576),
    "glorot_uniform": 2 / (288 + 576),
    "he_normal": 2 / 288,
    "he_uniform": 2 / 288,
    "lecun_normal": 1 / 288,
    "lecun_uniform": 1 / 288,
    "orthogonal": 1 / 288,
}


@pytest.mark.parametrize("name", VARIANCES)
def test_every_initializer_by_its_keras_name_gives_the_variance_of_its_paper(name):
    """From one line of the experiment's [network] to the weights that lie in the network."""
    settings = NetworkSettings(widths=(32, 64), depth=1, stem=0, initializer=name)
    layer = build_network((16, 16, 3), 2, settings=settings, seed=3).get_layer("conv2_1")
    kernel = np.asarray(layer.kernel)
    assert kernel.shape == (3, 3, 32, 64)
    assert initializer_variance(layer.kernel_initializer, kernel.shape) == pytest.approx(VARIANCES[name])
    # Of 18 432 independent weights the variance is known to 1 % (one standard deviation).
    assert kernel.var() == pytest.approx(VARIANCES[name], rel=0.04, abs=1e-12)
    flat = kernel.reshape(-1, 64)
    if name == "orthogonal":
        np.testing.assert_allclose(flat.T @ flat, np.eye(64), atol=1e-5)


def test_a_constant_wants_its_value_and_an_unknown_name_is_refused():
    constant = {"class_name": "Constant", "config": {"value": 0.1}}
    net = build_network((8, 8, 1), 2, settings=NetworkSettings(widths=(2,), initializer=constant))
    assert np.allclose(net.get_layer("conv1_1").kernel, 0.1)
    for name in ("constant", "he_norml"):
        with pytest.raises(ValueError, match=f"an initializer of Keras.*initializer='{name}'"):
            build_network((8, 8, 1), 2, settings=NetworkSettings(widths=(2,), initializer=name))


def test_the_truncated_gaussian_is_known_too():
    initializer = keras.initializers.TruncatedNormal(stddev=0.5, seed=1)
    kernel = np.asarray(initializer((400, 400)))
    assert kernel.var() == pytest.approx(initializer_variance(initializer, (400, 400)), rel=0.02)


@pytest.mark.parametrize(("initializer", "ratio"), [("he_normal", 1.0), ("glorot_uniform", 0.5)])
@pytest.mark.parametrize("depth", [5, 30])
def test_relu_keeps_the_variance_with_he_and_halves_it_with_glorot(initializer, ratio, depth):
    """In closed form: E[relu(z)^2] = q / 2 and E[relu'(z)^2] = 1/2, forward and backward alike."""
    stack = Stack(depth, 128, "relu", initializer)
    variance, gradient = mean_field(stack)
    np.testing.assert_allclose(variance[1:] / variance[:-1], ratio, rtol=1e-9)
    np.testing.assert_allclose(gradient[:-1] / gradient[1:], ratio, rtol=1e-9)
    table = stack_table(stack, seeds=8)
    for name in ("ratio", "gradient_ratio"):
        found = np.asarray(table[name])[np.isfinite(table[name])]
        assert len(found) == depth - 1
        np.testing.assert_allclose(table[f"{name}_theory"][np.isfinite(table[name])], ratio, rtol=1e-9)
        assert np.all(np.abs(found - ratio) < 5 * np.nanmax(table[f"{name}_error"]))
        assert found.mean() == pytest.approx(ratio, abs=0.12 * ratio / np.sqrt(depth))


def test_glorot_keeps_tanh_and_the_wrong_pairs_vanish_or_explode():
    """After 30 layers, by theory and as measured."""
    end = {}
    for activation, initializer in [
        ("tanh", "glorot_normal"),
        ("tanh", "random_normal"),
        ("relu", "he_normal"),
        ("relu", "glorot_normal"),
        ("relu", "orthogonal"),
        ("sigmoid", "glorot_normal"),
    ]:
        table = stack_table(Stack(30, 64, activation, initializer), seeds=4)
        end[activation, initializer] = table
        theory = np.log10(table["gradient_theory"][0]), np.log10(table["variance_theory"][-1])
        measured = np.log10(table["gradient"][0]), np.log10(table["variance"][-1])
        np.testing.assert_allclose(measured, theory, atol=0.08 * np.abs(theory).max() + 0.4)
    assert end["tanh", "glorot_normal"]["gradient"][0] > 0.01
    assert end["tanh", "random_normal"]["gradient"][0] < 1e-18
    assert end["relu", "glorot_normal"]["gradient"][0] < 1e-7
    assert end["sigmoid", "glorot_normal"]["gradient"][0] < 1e-30
    assert 0.05 < end["relu", "he_normal"]["gradient"][0] < 20
    tables = [*end.values(), stack_table(Stack(30, 64, "relu", "he_normal"), seeds=2)]
    wild = {"class_name": "RandomNormal", "config": {"stddev": 0.5}}
    tables += [stack_table(Stack(10, 64, "relu", name), seeds=2) for name in (wild, "zeros")]
    verdicts = list(stack_summary(tables)["verdict"])
    assert verdicts[0] == verdicts[2] == "kept"
    assert verdicts[-2:] == ["explodes", "vanishes"]
    assert verdicts.count("vanishes") == 5


def test_the_mean_field_of_tanh_is_its_integral():
    """By quadrature of another kind, and by the first terms of the series for a small variance."""
    variance, gradient = mean_field(Stack(3, 100, "tanh", "glorot_normal"))

    def mean(function, q):
        return quad(lambda z: function(z) * np.exp(-z * z / 2 / q) / np.sqrt(2 * np.pi * q), -12, 12)[0]

    assert variance[0] == 1
    assert variance[1] == pytest.approx(mean(lambda z: np.tanh(z) ** 2, 1.0), rel=1e-6)
    assert gradient[1] == pytest.approx(mean(lambda z: np.cosh(z) ** -4, variance[1]), rel=1e-6)
    tiny = 1e-3  # E[tanh^2] = q - 2 q^2 + ..., E[tanh'^2] = 1 - 2 q + ...
    small = Stack(2, 100, "tanh", "glorot_normal")
    keras_name = {"class_name": "RandomNormal", "config": {"stddev": float(np.sqrt(tiny / 100))}}
    q, g = mean_field(Stack(2, 100, small.activation, keras_name))
    assert q[0] == pytest.approx(tiny)
    assert q[1] == pytest.approx(tiny * (tiny - 2 * tiny**2), rel=1e-4)
    assert g[0] == pytest.approx(tiny * (1 - 2 * tiny), rel=1e-4)


@pytest.mark.parametrize("initializer", ["he_normal", "glorot_uniform"])
def test_a_network_of_convolutions_follows_the_law_of_each_layer(initializer):
    """Strides, edges, stacked blocks: the mean over draws of measured over expected is 1."""
    settings = NetworkSettings(
        widths=(24, 48), depth=2, stem=16, normalization="none", dropout=0.0, initializer=initializer
    )
    images = np.random.default_rng(0).normal(size=(16, 16, 16, 3)).astype("float32")
    ratios = {"weight": [], "variance": [], "gradient": []}
    for seed in range(12):
        table = initialisation_table(build_network((16, 16, 3), 12, settings=settings, seed=seed), images)
        ratios["weight"].append(table["weight_variance"] / table["weight_theory"])
        for name in ("variance", "gradient"):
            ratios[name].append(table[name] / table[f"{name}_theory"])
    assert list(table["layer"]) == ["stem", "conv1_1", "conv1_2", "conv2_1", "conv2_2", "logits"]
    assert list(table["fan_in"]) == [75, 144, 216, 216, 432, 48]
    assert list(table["activation"]) == ["relu"] * 5 + ["linear"]
    for name, found in ratios.items():
        mean = np.mean(found, axis=0)
        error = np.std(found, axis=0, ddof=1) / np.sqrt(12)
        assert np.all(np.abs(mean - 1) < 4 * error + 0.03), (name, mean, error)


def test_nothing_in_a_model_changes_and_where_there_is_no_law_there_is_no_figure():
    settings = NetworkSettings(widths=(4, 8), residual=True, dropout=0.4, spatial_dropout=0.2)
    network = build_network((16, 16, 2), 3, settings=settings)
    before = [np.asarray(v).copy() for v in network.variables]
    images = np.random.default_rng(0).normal(size=(8, 16, 16, 2)).astype("float32")
    table = initialisation_table(network, images)
    for variable, value in zip(network.variables, before, strict=True):
        np.testing.assert_array_equal(variable, value)
    rows = {row["layer"]: row for row in table}
    assert np.isnan(rows["conv1_1"]["gradient_theory"]), "the way past the block reads its input too"
    assert np.isfinite(rows["conv1_2"]["gradient_theory"])
    alike = build_network((16, 16, 2), 3, settings=NetworkSettings(widths=(4,), initializer="ones"))
    table = initialisation_table(alike, images)  # the last kernel is drawn, whatever the initializer
    assert np.isnan(table["variance_theory"][:-1]).all()
    assert table["weight_theory"][-1] == pytest.approx(2e-4 / table["fan_in"][-1])
    assert table["variance_theory"][-1] > 0
    dead = build_network((16, 16, 2), 3, settings=NetworkSettings(widths=(4,), initializer="zeros"))
    assert not initialisation_table(dead, images)["variance"].any()


def test_kernels_of_other_layers_are_measured_without_a_theory():
    inputs = keras.Input((8, 8, 2))
    x = keras.layers.SeparableConv2D(4, 3, activation="relu")(inputs)
    x = keras.layers.GlobalAveragePooling2D()(x)
    model = keras.Model(inputs, keras.layers.Dense(2, name="logits")(x))
    images = np.random.default_rng(0).normal(size=(4, 8, 8, 2)).astype("float32")
    table = initialisation_table(model, images)
    assert len(table) == 2
    assert table["variance"][0] > 0
    assert np.isnan(table["variance_theory"][0])


def test_bad_stacks_are_refused():
    with pytest.raises(ValueError, match="at least 1 layer"):
        Stack(0)
    with pytest.raises(ValueError, match="at least two draws"):
        stack_table(Stack(2), seeds=1)
