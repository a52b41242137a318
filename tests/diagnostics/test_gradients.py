"""Gradients looked at while a network is trained: right figures, no trace, alarms where they are due."""

import contextlib
import json
import re
import subprocess
import sys
import warnings
from pathlib import Path

import keras
import numpy as np
import pytest
from astropy.table import Table

from galcnn.diagnostics import GradientHealth, diagnose
from galcnn.diagnostics.gradients import HealthLimits, HealthWarning
from galcnn.training import Augmentation, TrainingSettings, fit, training_batches
from galcnn.training.checkpoint import Checkpoint
from tests.diagnostics.toys import DEEP, SHALLOW, model_of, remedied, sides, watched

ALL = Augmentation(rotations="any", noise=0.5)


@pytest.fixture(scope="module")
def plain():
    """A healthy training by plain gradient descent: no dropout, so that all can be computed by hand."""
    still = Augmentation(flips=False, rotations="none")
    how = {
        "optimizer": "sgd",
        "learning_rate": 0.05,
        "schedule": "constant",
        "augmentation": still,
        "epochs": 2,
    }
    return watched(SHALLOW, {**how, "augmentation": still}, every=4)


def test_the_figures_are_those_of_keras_own_gradient(plain):
    """The last look, against a gradient taken in the open; plain SGD moves by rate times gradient."""
    import tensorflow as tf

    _, health, _ = plain
    training, _ = sides()
    model = model_of(training, SHALLOW)
    loss = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.05)
    images, targets, weights = health.batch
    model.compile("sgd", loss)
    with tf.GradientTape() as tape:
        value = loss(targets, model(images, training=True), sample_weight=weights)
    layers = [model.get_layer("network").get_layer(name) for name in ("conv1_1", "conv2_1", "logits")]
    gradients = tape.gradient(value, [layer.kernel.value for layer in layers])
    table = health.table()
    start = table[table["update"] == 0]
    assert list(start["layer"]) == ["network/conv1_1", "network/conv2_1", "network/logits"]
    assert start["loss"][0] == pytest.approx(float(value), rel=1e-5)
    for row, layer, gradient in zip(start, layers, gradients, strict=True):
        assert row["weight_norm"] == pytest.approx(np.linalg.norm(np.asarray(layer.kernel)), rel=1e-5)
        assert row["gradient_norm"] == pytest.approx(np.linalg.norm(gradient), rel=1e-4)
        assert np.isnan(row["update_ratio"])
    outputs = model.get_layer("network").get_layer("logits").input
    assert np.isnan(start["dead"][2]), "logits have no ReLU"
    assert outputs.shape[-1] == 8
    logits = np.asarray(model(images, training=True))
    assert start["signal"][2] == pytest.approx(np.sqrt(logits.var(axis=0).mean()), rel=1e-4)
    # The first update is of the first batch, which is the one that is looked at.
    first = table[table["update"] == 1]
    expected = 0.05 * start["gradient_norm"] / start["weight_norm"]
    np.testing.assert_allclose(first["update_ratio"], expected, rtol=1e-3)


def test_looks_come_at_the_start_early_and_every_so_many_updates(plain):
    table = plain[1].table()
    assert sorted(set(table["update"])) == [0, 1, 4, 5, 8, 12]
    assert list(table["epoch"][table["update"] == 8]) == [2, 2, 2]
    assert not plain[1].signs


def test_dead_units_are_counted():
    """Four of six maps have a bias that no image can lift over zero."""
    training, _ = sides()
    model = model_of(training, SHALLOW)
    bias = model.get_layer("network").get_layer("conv1_1").bias
    bias.assign([-1e6] * 4 + [1.0] * 2)
    settings = TrainingSettings(epochs=1, batch_size=16, optimizer="sgd", learning_rate=1e-9)
    health = GradientHealth(next(iter(training_batches(training, settings, 0).beginning_at(0))))
    fit(model, training, sides()[1], settings=settings, callbacks=[health])
    assert health.table()["dead"][0] == pytest.approx(4 / 6)
    assert not health.signs
    bias.assign([-1e6] * 6)
    again = GradientHealth(health.batch)
    with pytest.warns(HealthWarning):
        fit(model, training, sides()[1], settings=settings, callbacks=[again])
    assert (again.signs[0].kind, again.signs[0].layer, again.signs[0].update) == (
        "dead",
        "network/conv1_1",
        0,
    )


def bits(path, health):
    """Train with all that has a state: dropout, augmentation, batch norm, Adam; give every bit of it."""
    data = sides(48, 16)
    network = {**SHALLOW, "normalization": "batch", "dropout": 0.4, "spatial_dropout": 0.2, "l2": 0.01}
    model = model_of(data[0], network)
    settings = TrainingSettings(
        epochs=2, batch_size=16, augmentation=Augmentation(rotations="any", noise=0.5)
    )
    batch = next(iter(training_batches(data[0], settings, 0).beginning_at(0)))
    looking = [GradientHealth(batch, every=2)] if health else []
    history = fit(model, *data, settings=settings, callbacks=looking)
    if health:
        assert set(looking[0].table()["update"]) == {0, 1, 2, 4, 5, 6}
    variables = [*model.variables, *model.optimizer.variables]
    np.savez(path, *[np.asarray(v) for v in variables], np.array(history["loss"] + history["val_loss"]))


def main(folder):
    """Of the process that the test starts; equal bits want one order of additions."""
    import tensorflow as tf

    tf.config.experimental.enable_op_determinism()
    for name, health in (("with", True), ("without", False)):
        bits(Path(folder) / f"{name}.npz", health)
    sys.stdout.write(json.dumps("done"))


def test_a_training_ends_with_the_same_bits_with_and_without(tmp_path):
    code = f"from tests.diagnostics.test_gradients import main; main({str(tmp_path)!r})"
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=root, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    with np.load(tmp_path / "with.npz") as one, np.load(tmp_path / "without.npz") as other:
        assert len(one.files) == len(other.files) > 20
        for name in one.files:
            np.testing.assert_array_equal(one[name], other[name])


def test_a_vanishing_training_is_caught_and_mended_by_what_is_proposed():
    """Twelve layers of sigmoid: the gradient is lost on its way back, and all answers are alike."""
    network = {**DEEP, "activation": "sigmoid", "initializer": "glorot_normal"}
    how = {"optimizer": "adam", "learning_rate": 0.003, "epochs": 6}
    with pytest.warns(HealthWarning):
        _, health, _ = watched(network, how)
    sign = next(sign for sign in health.signs if sign.kind == "vanishing")
    assert sign.update == 0
    assert sign.layer.startswith("network/conv")
    assert "activation" in str(sign)
    network, how = remedied(network, how, sign.remedies[0])
    assert network["activation"] == "relu"
    _, mended, _ = watched(network, how)
    assert not mended.signs
    assert mended.table()["loss"][-1] < 0.8 * mended.table()["loss"][0]


@pytest.mark.full
def test_a_wrong_initializer_is_named_with_the_right_one():
    wide = {"class_name": "RandomNormal", "config": {"stddev": 0.01}}
    network = {**DEEP, "initializer": wide}
    with pytest.warns(HealthWarning):
        _, health, _ = watched(network, {"epochs": 1})
    assert re.match(r"vanishing at layer network/conv1_\d, update 0: .*he_normal", str(health.signs[0]))
    network, how = remedied(network, {"epochs": 1}, health.signs[0].remedies[0])
    _, mended, _ = watched(network, how)
    assert not mended.signs


def test_an_exploding_training_stops_at_the_update_with_its_layer_and_is_mended(tmp_path):
    network = {**SHALLOW, "activation": "leaky_relu"}  # ReLUs would die, and be at peace
    how = {"optimizer": "sgd", "learning_rate": 1e3, "schedule": "constant"}
    log = tmp_path / "health.csv"
    with (
        pytest.warns(HealthWarning, match="exploding"),
        pytest.raises(
            FloatingPointError, match=r"finite loss.*epoch=1, batch=\d.*Health: exploding at layer"
        ),
    ):
        watched(network, how, log=log)
    record = Table.read(log)
    sign = diagnose(record)[0]
    assert (sign.kind, sign.update) == ("exploding", 1)
    assert sign.layer.startswith("network/")
    assert record["nonfinite"][record["update"] == record["update"].max()].max() > 0, (
        "the last look is of NaN"
    )
    # Each remedy is a tenth of the rate: again and again, until nothing is wrong.
    tried = 0
    while sign is not None:
        tried += 1
        assert sign.remedies[0] == {"training.learning_rate": pytest.approx(how["learning_rate"] / 10)}
        _, how = remedied(network, how, sign.remedies[0])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", HealthWarning)
            with contextlib.suppress(FloatingPointError):
                history = watched(network, {**how, "epochs": 2}, log=log)[0]
        sign = next(iter(diagnose(Table.read(log))), None)
    assert tried >= 3
    assert np.isfinite(history["loss"]).all()


@pytest.mark.full
def test_nothing_is_said_of_healthy_trainings():
    """False alarms over seeds and kinds of training: none in twelve."""
    alarms = []
    for seed in range(4):
        for network, how in [
            (SHALLOW, {}),
            ({**SHALLOW, "normalization": "batch", "dropout": 0.2}, {"learning_rate": 0.01}),
            (SHALLOW, {"optimizer": "nesterov", "learning_rate": 0.01}),
        ]:
            _, health, _ = watched(network, {"epochs": 3, **how}, seed=seed)
            alarms += health.signs
    assert not alarms


def test_the_last_layer_which_starts_near_zero_may_grow_and_move_but_no_other():
    """A record of three healthy layers, of which one has a fault of each kind."""
    shared = {"epoch": 1, "learning_rate": 1e-3, "loss": 1.0, "activation": "relu", "initializer": "HeNormal"}
    healthy = {"weight_norm": 1.0, "gradient_norm": 1.0, "update_ratio": 0.01, "dead": 0.0, "signal": 1.0}

    def signs(at, after):
        rows = [
            {"layer": f"conv{i}", "update": update, **shared, **healthy, "normalized": True, "nonfinite": 0.0}
            | (after if (update, i) == (1, at) else {})
            for update in (0, 1)
            for i in range(3)
        ]
        return [(sign.kind, sign.layer) for sign in diagnose(Table(rows))]

    for kind, at, after in [
        ("exploding", 1, {"weight_norm": 100.0}),
        ("vanishing", 1, {"weight_norm": 0.01}),
        ("exploding", 1, {"update_ratio": 0.7}),
        ("exploding", 0, {"gradient_norm": 1e5}),
        ("vanishing", 0, {"gradient_norm": 1e-5}),
        ("vanishing", 1, {"signal": 1e-5}),
    ]:
        assert signs(at, after) == [(kind, f"conv{at}")]
        assert signs(2, after) == []
    assert signs(2, {"signal": 1e5}) == [("exploding", "conv2")]
    assert signs(2, {"nonfinite": 1.0}) == [("exploding", "conv2")]


@pytest.mark.full
def test_a_network_that_does_not_move_stagnates():
    """Before the patience is over nothing is said; a rate of nearly zero then is."""
    how = {"optimizer": "sgd", "learning_rate": 1e-9, "schedule": "constant", "epochs": 4}
    limits = HealthLimits(patience=20)
    with pytest.warns(HealthWarning):
        _, health, _ = watched(SHALLOW, how, limits=limits)
    # The logits began near zero, and are there still.
    assert [(sign.kind, sign.update, sign.symptom) for sign in health.signs] == [
        ("stagnation", 20, "standard deviation of the logits over images"),
        ("stagnation", 20, "share of the weights that one update changes"),
    ]
    assert all({"training.learning_rate": 1e-8} in sign.remedies for sign in health.signs)


def test_what_was_seen_is_kept_by_a_checkpoint(tmp_path):
    """Stopped after two epochs of four and taken up again: one record, no look twice."""

    class Stopping(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 2:
                raise KeyboardInterrupt

    data = sides()
    settings = TrainingSettings(epochs=4, batch_size=16, learning_rate=0.01)
    batch = next(iter(training_batches(data[0], settings, 0).beginning_at(0)))
    tables = []
    for extra in ([Stopping()], []):
        health = GradientHealth(batch, every=5)
        where = [health, *extra, Checkpoint(tmp_path / "c.npz")]
        if extra:
            with pytest.raises(KeyboardInterrupt):
                fit(model_of(data[0], SHALLOW), *data, settings=settings, callbacks=where)
        else:
            fit(model_of(data[0], SHALLOW), *data, settings=settings, callbacks=where)
        tables.append(health.table())
    assert sorted(set(tables[0]["update"])) == [0, 1, 5, 10]
    assert sorted(set(tables[1]["update"])) == [0, 1, 5, 10, 15, 20]
    assert len(tables[1]) == 6 * 3


def test_tensorboard_reads_what_was_written(tmp_path):
    import tensorflow as tf
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    _, health, _ = watched(SHALLOW, {"epochs": 1}, every=3, tensorboard=tmp_path / "board")
    events = EventAccumulator(str(tmp_path / "board"), size_guidance={"tensors": 0})
    events.Reload()
    table = health.table()
    rows = table[table["layer"] == "network/conv2_1"]
    written = events.Tensors("gradient_norm/network/conv2_1")
    assert [event.step for event in written] == list(rows["update"])
    values = [float(tf.make_ndarray(event.tensor_proto)) for event in written]
    np.testing.assert_allclose(values, rows["gradient_norm"], rtol=1e-6)
    losses = [float(tf.make_ndarray(event.tensor_proto)) for event in events.Tensors("health/loss")]
    np.testing.assert_allclose(losses, rows["loss"], rtol=1e-6)


def test_bad_settings_are_refused():
    with pytest.raises(ValueError, match="1 or more"):
        GradientHealth([], every=0)
