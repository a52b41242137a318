"""Surfaces of models whose loss is known, and computations that are interrupted."""

import os
import signal
import subprocess
import sys
from contextlib import contextmanager

import keras
import numpy as np
import pytest

from galcnn.diagnostics import Grid, Objective, random_slice, slice_between, trajectory_slice
from galcnn.diagnostics.landscape import between, random_direction, weights_of
from galcnn.diagnostics.surface import Surface
from galcnn.model import NetworkSettings, build_network

RNG = np.random.default_rng(0)
IMAGES = RNG.normal(size=(60, 8, 8, 2)).astype(np.float32)
LABELS = RNG.integers(0, 3, 60)


def linear(seed=0):
    """Logits that are linear in the weights: the loss is convex, and known."""
    return keras.Sequential(
        [
            keras.Input((8, 8, 2)),
            keras.layers.Flatten(),
            keras.layers.Dense(3, kernel_initializer=keras.initializers.RandomNormal(0.1, seed=seed)),
        ]
    )


def small(seed=2, **settings):
    wanted = NetworkSettings(widths=(4, 6), depth=1, stem=0, dropout=0.3, **settings)
    network = build_network((8, 8, 2), 3, settings=wanted, seed=seed)
    kernel = network.layers[-1].kernel
    kernel.assign(100 * kernel)  # as after a training: new logits are near zero
    return network


def cross_entropy(logits):
    """Mean over the images, and the share of wrong answers."""
    logits = np.asarray(logits, dtype=np.float64)
    shifted = logits - logits.max(axis=1, keepdims=True)
    logged = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return -logged[np.arange(len(LABELS)), LABELS].mean(), np.mean(logits.argmax(axis=1) != LABELS)


def test_the_surface_of_a_linear_model_in_closed_form():
    network = linear()
    found = random_slice(Objective(network, IMAGES, LABELS), grid=Grid(7, 2.0), seed=3)
    one, two = (random_direction(network, seed=3, number=number) for number in (1, 2))
    kernel, bias = weights_of(network)
    flat = IMAGES.reshape(60, -1).astype(np.float64)
    for i, beta in enumerate(found.beta):
        for j, alpha in enumerate(found.alpha):
            moved = kernel + alpha * one[0] + beta * two[0]
            loss, error = cross_entropy(flat @ moved + bias)
            assert found.loss[i, j] == pytest.approx(loss, rel=1e-5)
            assert found.error[i, j] == pytest.approx(error, abs=1e-9)
    assert found.alpha[3] == found.beta[3] == 0
    assert found.roughness < 1e-6, "cross-entropy is convex in the logits"
    line = random_slice(Objective(network, IMAGES, LABELS), grid=Grid(7, 2.0, 1), seed=3)
    np.testing.assert_allclose(line.loss[0], found.loss[3], rtol=1e-6)


@pytest.mark.parametrize("statistics", ["recompute", "stored"])
def test_batch_statistics_are_as_said(statistics):
    network = small(normalization="batch")
    for name in ("conv1_1_batchnorm", "conv2_1_batchnorm"):  # some that are those of no batch
        network.get_layer(name).moving_mean.assign_add(
            keras.ops.ones_like(network.get_layer(name).moving_mean)
        )
    objective = Objective(network, IMAGES, LABELS, statistics=statistics)
    found = objective(objective.origin)
    stored = cross_entropy(network(IMAGES, training=False))
    if statistics == "stored":
        np.testing.assert_allclose(found, stored, rtol=1e-5)
        return
    assert abs(found[0] - stored[0]) > 1e-3
    # By hand: the convolution, its mean and variance over the whole batch, ReLU, pooling ...
    values = IMAGES
    for block in (1, 2):
        values = keras.ops.conv(values, network.get_layer(f"conv{block}_1").kernel, padding="same")
        values = np.asarray(values, dtype=np.float64)
        values = (values - values.mean(axis=(0, 1, 2))) / np.sqrt(values.var(axis=(0, 1, 2)) + 1e-3)
        values = np.maximum(values, 0).astype(np.float32)
        if block == 1:
            values = np.asarray(keras.ops.max_pool(values, 2))
    dense = network.get_layer("logits")
    logits = values.mean(axis=(1, 2)) @ np.asarray(dense.kernel) + np.asarray(dense.bias)
    np.testing.assert_allclose(found, cross_entropy(logits), rtol=1e-4)


def test_frozen_batch_normalisation_keeps_its_statistics():
    network = small(normalization="batch")
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.moving_variance.assign(3 * keras.ops.ones_like(layer.moving_variance))
            layer.trainable = False
    objective = Objective(network, IMAGES, LABELS)
    np.testing.assert_allclose(
        objective(objective.origin), cross_entropy(network(IMAGES, training=False)), rtol=1e-5
    )


@pytest.mark.parametrize("statistics", ["recompute", "stored"])
def test_scaling_filters_before_batch_norm_changes_nothing(statistics):
    """What filter-wise normalisation is for (Li et al. 2018, section 4)."""
    network = small(normalization="batch")
    layer = network.get_layer("conv1_1_batchnorm")
    layer.epsilon = 1e-12  # the one thing that knows the scale
    network.get_layer("conv2_1_batchnorm").epsilon = 1e-12

    def surface():
        return random_slice(Objective(network, IMAGES, LABELS, statistics=statistics), grid=Grid(5), seed=1)

    before = surface()
    scales = np.array([0.2, 1.0, 3.0, 9.0], dtype=np.float32)
    kernel = network.get_layer("conv1_1").kernel
    kernel.assign(np.asarray(kernel) * scales)
    layer.moving_mean.assign(np.asarray(layer.moving_mean) * scales)
    layer.moving_variance.assign(np.asarray(layer.moving_variance) * scales**2)
    np.testing.assert_allclose(surface().loss, before.loss, rtol=2e-4)
    # Without the normalisation of directions a step would be of another size for each scale.
    assert np.ptp(before.loss) > 0.05


@contextmanager
def interrupted_after(points):
    done = 0

    def step(note=""):
        nonlocal done
        done += 1
        if done == points:
            raise KeyboardInterrupt

    yield step


def bits(network):
    return [keras.ops.convert_to_numpy(v).tobytes() for v in network.variables]


@pytest.mark.parametrize("normalization", ["batch", "none"])
def test_weights_stay_bit_by_bit_and_an_interrupted_surface_goes_on(tmp_path, normalization):
    network = small(normalization=normalization)
    before = bits(network)
    whole = random_slice(Objective(network, IMAGES, LABELS), grid=Grid(5), seed=2)
    assert bits(network) == before
    kept = tmp_path / "rows.npz"
    with pytest.raises(KeyboardInterrupt):
        random_slice(
            Objective(network, IMAGES, LABELS),
            grid=Grid(5),
            seed=2,
            kept=kept,
            progress=lambda *_, **__: interrupted_after(13),
        )
    assert bits(network) == before
    assert np.load(kept)["rows"].shape == (2, 5, 2)
    computed = []

    class Counting(Objective):
        def __call__(self, weights):
            computed.append(1)
            return super().__call__(weights)

    again = random_slice(Counting(network, IMAGES, LABELS), grid=Grid(5), seed=2, kept=kept)
    assert len(computed) == 15, "two of five rows stood"
    np.testing.assert_allclose(again.loss, whole.loss, rtol=1e-6)
    random_slice(Counting(network, IMAGES, LABELS), grid=Grid(5), seed=2, kept=kept)
    assert len(computed) == 15, "all stand"
    assert bits(network) == before


def test_an_error_on_the_way_leaves_the_weights(monkeypatch):
    network = small()
    before = bits(network)
    objective = Objective(network, IMAGES, LABELS)
    monkeypatch.setattr(objective, "_sums", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        random_slice(objective, grid=Grid(3))
    assert bits(network) == before


@pytest.mark.parametrize("change", ["grid", "seed", "images", "weights", "statistics"])
def test_rows_of_another_surface_are_refused(tmp_path, change):
    kept, network = tmp_path / "rows.npz", small()
    random_slice(Objective(network, IMAGES, LABELS), grid=Grid(3), kept=kept)
    if change == "weights":
        network.get_layer("logits").bias.assign(np.ones(3))
    images = IMAGES + 1 if change == "images" else IMAGES
    statistics = "stored" if change == "statistics" else "recompute"
    with pytest.raises(ValueError, match=r"rows of the same model.*Choose another folder"):
        random_slice(
            Objective(network, images, LABELS, statistics=statistics),
            grid=Grid(5 if change == "grid" else 3),
            seed=int(change == "seed"),
            kept=kept,
        )
    kept.write_bytes(b"nonsense")
    with pytest.raises(ValueError, match="rows of a surface"):
        random_slice(Objective(network, IMAGES, LABELS), grid=Grid(3), kept=kept)


@pytest.mark.parametrize("statistics", ["recompute", "stored"])
def test_the_line_between_two_solutions_has_them_at_its_ends(statistics):
    first, second = small(2), small(5)
    second.get_layer("conv1_1_batchnorm").moving_variance.assign(np.full(4, 2.5))
    found = slice_between(Objective(first, IMAGES, LABELS, statistics=statistics), second, points=5)
    assert found.alpha[0] == 0
    assert found.alpha[-1] == 1
    for end, network in ((0, first), (-1, second)):
        own = Objective(network, IMAGES, LABELS, statistics=statistics)
        assert found.loss[0, end] == pytest.approx(own(own.origin)[0], rel=1e-5)
        if statistics == "stored":
            loss, error = cross_entropy(network(IMAGES, training=False))
            assert (found.loss[0, end], found.error[0, end]) == pytest.approx((loss, error), rel=1e-5)
    # Half-way, with stored statistics: those of batch normalisation are half-way too.
    if statistics == "stored":
        half = small(7)
        for weight, a, way in zip(half.weights, weights_of(first), between(first, second), strict=True):
            weight.assign(a + way / 2)
        assert found.loss[0, 2] == pytest.approx(cross_entropy(half(IMAGES, training=False))[0], rel=1e-5)


def test_a_convex_loss_has_no_barrier_and_permuted_units_have_one():
    convex = slice_between(Objective(linear(0), IMAGES, LABELS), linear(1), points=9)
    assert convex.barrier == pytest.approx(0, abs=1e-9)

    def two_layers():
        return keras.Sequential(
            [
                keras.Input((8, 8, 2)),
                keras.layers.Flatten(),
                keras.layers.Dense(16, "relu", kernel_initializer=keras.initializers.HeNormal(seed=0)),
                keras.layers.Dense(3, kernel_initializer=keras.initializers.HeNormal(seed=1)),
            ]
        )

    first, second = two_layers(), two_layers()
    inner, _, outer, _ = first.get_weights()
    own = (np.maximum(IMAGES.reshape(60, -1) @ inner, 0) @ outer).argmax(axis=1)  # which it answers well
    order = np.roll(np.arange(16), 3)
    second.layers[1].kernel.assign(inner[:, order])
    second.layers[2].kernel.assign(outer[order])
    found = slice_between(Objective(first, IMAGES, own), second, points=9)
    assert found.loss[0, 0] == pytest.approx(found.loss[0, -1], rel=1e-4), "the same function at both ends"
    assert found.barrier == pytest.approx(found.loss[0].max() - found.loss[0, 0], rel=1e-2)
    assert found.barrier > 0.1


def test_the_trajectory_has_its_points_where_the_snapshots_are():
    network = linear()
    origin = weights_of(network)
    rng = np.random.default_rng(1)
    ways = [rng.normal(size=origin[0].shape) for _ in range(2)]
    places = [(-2.0, 0.0), (-1.2, 0.9), (-0.5, 0.4), (0.0, 0.0)]
    snapshots = {k: [origin[0] + a * ways[0] + b * ways[1], origin[1]] for k, (a, b) in enumerate(places)}
    objective = Objective(network, IMAGES, LABELS)
    found = trajectory_slice(objective, snapshots, points=5)
    assert found.path.shape == (4, 2)
    assert found.facts["explained_1"] + found.facts["explained_2"] == pytest.approx(1)
    low, high = found.path.min(axis=0), found.path.max(axis=0)
    assert found.alpha[0] < low[0] < high[0] < found.alpha[-1]
    assert found.beta[0] < low[1] < high[1] < found.beta[-1]
    np.testing.assert_allclose(found.path[-1], 0, atol=1e-9)
    assert np.linalg.norm(found.path[0]) == pytest.approx(2 * np.linalg.norm(ways[0]), rel=1e-6)
    assert found.roughness < 1e-6
    with pytest.raises(ValueError, match="at least three snapshots"):
        trajectory_slice(objective, {0: origin, 1: origin}, points=5)


def test_a_loss_that_overflows_is_infinite():
    network = linear()
    objective = Objective(network, IMAGES, LABELS)
    assert objective([np.full_like(w, 1e38) for w in objective.origin])[0] == np.inf


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: Grid(4), "odd number of points"),
        (lambda: Grid(5, -1.0), "positive reach"),
        (lambda: Grid(5, 1.0, 3), "1 or 2 dimensions"),
        (lambda: Objective(linear(), IMAGES, LABELS[:5]), "as many labels"),
        (lambda: Objective(linear(), IMAGES, LABELS, statistics="none"), "statistics among"),
        (
            lambda: Surface(np.arange(3.0), np.zeros(1), np.zeros((3, 1)), np.zeros((3, 1)), "random"),
            r"shape \(n_beta, n_alpha\)",
        ),
        (
            lambda: Surface(
                np.array([0.0, 1.0, 3.0]), np.zeros(1), np.zeros((1, 3)), np.zeros((1, 3)), "random"
            ),
            "equally spaced",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(call, text):
    with pytest.raises(ValueError, match=text):
        call()


def test_a_subclassed_network_is_refused():
    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = keras.layers.Dense(3)

        def call(self, inputs):
            return self.dense(keras.ops.reshape(inputs, (-1, 128)))

    network = Own()
    network(IMAGES)
    with pytest.raises(ValueError, match="functional or sequential"):
        Objective(network, IMAGES, LABELS)


@pytest.mark.full
def test_a_killed_computation_goes_on(tmp_path):
    """Killed at any moment, five times; what it ends with is what it would have been."""
    script = tmp_path / "compute.py"
    script.write_text(
        "import sys, time\n"
        "import numpy as np\n"
        "from galcnn.diagnostics.landscape import Objective\n"
        "from galcnn.diagnostics.landscape import Grid, random_slice\n"
        "from galcnn.model import NetworkSettings, build_network\n"
        "rng = np.random.default_rng(0)\n"
        "images = rng.normal(size=(60, 8, 8, 2)).astype(np.float32)\n"
        "labels = rng.integers(0, 3, 60)\n"
        "wanted = NetworkSettings(widths=(4, 6), depth=1, stem=0)\n"
        "network = build_network((8, 8, 2), 3, settings=wanted, seed=2)\n"
        "class Slow(Objective):\n"
        "    def __call__(self, weights):\n"
        "        time.sleep(0.02)\n"
        "        return super().__call__(weights)\n"
        "print('ready', flush=True)\n"
        "found = random_slice(Slow(network, images, labels), grid=Grid(15), kept='rows.npz')\n"
        "np.save('loss.npy', found.loss)\n"
    )
    rng = np.random.default_rng(0)
    for attempt in range(6):
        with subprocess.Popen(
            [sys.executable, str(script)], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        ) as process:
            assert process.stdout.readline() == b"ready\n"
            try:
                process.wait(timeout=None if attempt == 5 else rng.uniform(0.3, 1.5))
                break
            except subprocess.TimeoutExpired:
                os.kill(process.pid, signal.SIGKILL)
    network = build_network((8, 8, 2), 3, settings=NetworkSettings(widths=(4, 6), depth=1, stem=0), seed=2)
    rng = np.random.default_rng(0)
    images = rng.normal(size=(60, 8, 8, 2)).astype(np.float32)
    whole = random_slice(Objective(network, images, rng.integers(0, 3, 60)), grid=Grid(15))
    np.testing.assert_allclose(np.load(tmp_path / "loss.npy"), whole.loss, rtol=1e-5)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["compute.py", "loss.npy", "rows.npz"]
