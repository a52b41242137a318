"""A training that was killed goes on as if nothing had happened, to the last bit."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace

import keras
import numpy as np
import pytest

from galcnn.model import NetworkSettings, assemble, build_network, fit_preprocessing
from galcnn.training import Augmentation, Schedule, TrainingSettings, fit
from galcnn.training.checkpoint import Checkpoint, read_state, restore_best

#: Dropout (a state of its own), momentum, a plateau and patience: all that Keras' own files leave out.
SETTINGS = TrainingSettings(
    epochs=6,
    batch_size=16,
    optimizer="adam",
    learning_rate=0.01,
    schedule=Schedule("plateau", factor=0.5, patience=1),
    patience=5,
    augmentation=Augmentation(rotations="any"),
)
NETWORK = NetworkSettings(widths=(4, 6), depth=1, stem=0, dropout=0.3, spatial_dropout=0.1)


class Counting(keras.callbacks.Callback):
    """A user's callback with a state."""

    def __init__(self):
        super().__init__()
        self.losses = []

    def on_epoch_end(self, epoch, logs=None):
        self.losses.append(logs["loss"])

    def get_state(self):
        return {"losses": self.losses}

    def set_state(self, state):
        self.losses = state["losses"]


class Killing(keras.callbacks.Callback):
    """kill -9 of this very process, after an update or before an epoch."""

    def __init__(self, epoch, batch):
        super().__init__()
        self.at = epoch, batch

    def on_epoch_begin(self, epoch, logs=None):
        self.now = epoch
        if self.at == (epoch, -1):
            os.kill(os.getpid(), signal.SIGKILL)

    def on_train_batch_end(self, batch, logs=None):
        if self.at == (self.now, batch):
            os.kill(os.getpid(), signal.SIGKILL)


def sides():
    from galcnn.dataset import Dataset
    from galcnn.model import InputSpec
    from tests.conftest import toy_images

    images, labels = toy_images(88)
    spec = InputSpec(("g", "r"), "nJy", (16, 16), 0.4)
    data = Dataset(tuple(map(str, range(88))), images, labels, ("round", "thin"), spec)
    return data.select(np.arange(56)), data.select(np.arange(56, 88))


def model_of(training):
    network = build_network(training.inputs.image_shape, 2, settings=NETWORK, seed=2)
    return assemble(fit_preprocessing(training.images), network)


def run(path, *extra):
    """Train, with a checkpoint where a path is given; give all that must be equal."""
    data, counting = sides(), Counting()
    model = model_of(data[0])
    callbacks = [counting, *extra, *([Checkpoint(path)] if path else [])]
    history = fit(model, *data, settings=SETTINGS, seed=5, callbacks=callbacks)
    variables = [*model.variables, *model.optimizer.variables]
    return history, counting.losses, [np.asarray(v) for v in variables]


def main(path, epoch, batch):
    """Of the processes that the tests start; equal bits want one order of additions."""
    import tensorflow as tf

    tf.config.experimental.enable_op_determinism()
    if epoch >= 0:
        run(path, Killing(epoch, batch))
        raise SystemExit("was to be killed")
    again, straight = run(path), run(None)
    assert again[0] == straight[0], (again[0], straight[0])
    assert again[1] == straight[1]
    for one, other in zip(again[2], straight[2], strict=True):
        np.testing.assert_array_equal(one, other)
    sys.stdout.write(json.dumps(again[0]))


def process(path, epoch, batch=-1):
    code = f"from tests.training.test_checkpoint import main; main({str(path)!r}, {epoch}, {batch})"
    root = os.path.dirname(os.path.dirname(os.path.dirname(__file__)))  # noqa: PTH120
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=root, timeout=300, check=False
    )


def killed_and_resumed(path, kills):
    for epoch, batch in kills:
        assert process(path, epoch, batch).returncode == -signal.SIGKILL
    last = process(path, -1)
    assert last.returncode == 0, last.stderr
    return json.loads(last.stdout.splitlines()[-1])


@pytest.mark.full
def test_a_training_killed_twice_resumes_bit_equal(tmp_path):
    """Once amid an epoch, once between two; the last process also trains without interruption."""
    path = tmp_path / "c.npz"
    history = killed_and_resumed(path, [(2, 1), (4, -1)])
    assert len(history["loss"]) == 6
    assert len(set(history["loss"])) == 6
    state = read_state(path)
    assert state.epoch == 6
    assert state.history["loss"] == history["loss"]


@pytest.mark.full
@pytest.mark.parametrize("batch", [-1, 0, 3])
@pytest.mark.parametrize("epoch", [0, 1, 3, 5])
def test_a_training_killed_anywhere_resumes_bit_equal(epoch, batch, tmp_path):
    killed_and_resumed(tmp_path / "c.npz", [(epoch, batch)])


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    path = tmp_path_factory.mktemp("finished") / "c.npz"
    return path, run(path)


def test_every_variable_is_kept_dropouts_random_state_and_the_optimizers_too(finished):
    state = read_state(finished[0])
    model = model_of(sides()[0])
    assert len(state.model) == len(model.variables) > len(model.weights), "seeds of dropout are no weights"
    # Adam: iterations, learning rate, and two moments for each weight.
    assert len(state.optimizer) == 2 + 2 * len(model.trainable_variables)
    assert {key for s in state.callbacks for key in s} >= {
        "best_weights",
        "wait",
        "cooldown_counter",
        "losses",
    }


def test_a_finished_training_is_not_repeated(finished):
    path, (history, losses, _) = finished
    before = path.read_bytes()
    again = run(path)
    assert again[0] == history
    assert again[1] == losses == history["loss"], "callbacks are as they were"
    assert path.read_bytes() == before


def test_a_killed_training_leaves_its_best_weights(finished):
    path, (history, _, _) = finished
    training, validation = sides()
    model = model_of(training)
    assert restore_best(model, path) == int(np.argmin(history["val_loss"])) + 1
    loss = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=SETTINGS.label_smoothing)
    now = float(loss(np.eye(2)[validation.labels], model.predict(validation.images, verbose=0)))
    assert now == pytest.approx(min(history["val_loss"]), rel=1e-4)
    other = assemble(
        fit_preprocessing(training.images),
        build_network((16, 16, 2), 2, settings=replace(NETWORK, widths=(8,)), seed=2),
    )
    with pytest.raises(ValueError, match="the checkpoint of this model"):
        restore_best(other, path)


def test_other_settings_do_not_go_on(finished):
    path, _ = finished
    training, validation = sides()
    where = [Checkpoint(path)]
    for settings, seed, words in [
        (
            replace(SETTINGS, epochs=9, batch_size=8),
            5,
            r"training.epochs: 6 -> 9; training.batch_size: 16 -> 8",
        ),
        (replace(SETTINGS, schedule="cosine"), 5, r"training.schedule.name: 'plateau' -> 'cosine'"),
        (SETTINGS, 6, r"seed: 5 -> 6"),
    ]:
        with pytest.raises(ValueError, match=words):
            fit(model_of(training), training, validation, settings=settings, seed=seed, callbacks=where)
    with pytest.raises(ValueError, match=r"data_sha256.training: "):
        fit(
            model_of(training),
            training.select(np.arange(50)),
            validation,
            settings=SETTINGS,
            seed=5,
            callbacks=where,
        )
    with pytest.raises(ValueError, match=r"callbacks: .*Counting"):
        fit(model_of(training), training, validation, settings=SETTINGS, seed=5, callbacks=where)
    where.append(Counting())
    network = build_network((16, 16, 2), 2, settings=replace(NETWORK, dropout=0.4), seed=2)
    model = assemble(fit_preprocessing(training.images), network)
    with pytest.raises(ValueError, match=r"layers_sha256: "):
        fit(model, training, validation, settings=SETTINGS, seed=5, callbacks=where)


@pytest.mark.parametrize("content", [b"", b"PK nonsense", b"half"])
def test_a_file_that_is_no_checkpoint_is_refused(content, tmp_path, finished):
    path = tmp_path / "c.npz"
    whole = finished[0].read_bytes()
    path.write_bytes(whole[: len(whole) // 2] if content == b"half" else content)
    with pytest.raises(ValueError, match="the checkpoint of a training"):
        read_state(path)


def test_a_lost_loss_leaves_the_last_good_weights_in_model_and_file(tmp_path):
    """The learning rate explodes after the second epoch (8 updates)."""
    training, validation = sides()
    wild = keras.optimizers.SGD(keras.optimizers.schedules.PiecewiseConstantDecay([7], [0.01, 1e30]))
    settings = TrainingSettings(epochs=6, batch_size=16, optimizer=wild)
    network = build_network((16, 16, 2), 2, settings=replace(NETWORK, normalization="none"), seed=2)
    model = assemble(fit_preprocessing(training.images), network)
    path = tmp_path / "c.npz"
    with pytest.raises(
        FloatingPointError, match=r"epoch=3.*last good weights are in the model and in .*c.npz"
    ):
        fit(model, training, validation, settings=settings, callbacks=[Checkpoint(path)])
    state = read_state(path)
    assert state.epoch == 2
    assert np.isfinite(state.history["val_loss"]).all()
    kept = model.get_weights()
    assert all(np.isfinite(w).all() for w in kept)
    early = replace(settings, optimizer="sgd", learning_rate=1e30, schedule="constant")
    with pytest.raises(FloatingPointError, match=r"epoch=1.*last good weights are in the model\.$"):
        fit(model, training, validation, settings=early, callbacks=[Checkpoint(tmp_path / "none.npz")])
    assert not (tmp_path / "none.npz").exists()
    for one, other in zip(kept, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)  # those of the start
    for variable in model.weights:
        variable.assign(keras.ops.zeros_like(variable))
    restore_best(model, path)
    for one, other in zip(kept, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
