"""The same command again goes on, repeats nothing that has ended, and refuses what differs."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import keras
import numpy as np
import pytest
from astropy.table import Table
from PIL import Image

from galcnn.cli.main import main
from galcnn.experiment import Experiment, train
from galcnn.experiment.settings import DataSettings
from galcnn.experiment.training import checkpoint_of
from galcnn.model import NetworkSettings, load_model
from galcnn.training import Augmentation, TrainingSettings
from galcnn.training.checkpoint import read_state


@pytest.fixture(scope="module")
def catalog(tmp_path_factory):
    """Bright and faint squares on noise."""
    folder = tmp_path_factory.mktemp("squares")
    rng = np.random.default_rng(0)
    names, kinds = [f"p{i}.png" for i in range(60)], [("bright", "faint")[i % 2] for i in range(60)]
    for name, kind in zip(names, kinds, strict=True):
        picture = rng.integers(0, 60, (16, 16, 3))
        picture[5:11, 5:11] += 150 if kind == "bright" else 40
        Image.fromarray(picture.astype(np.uint8)).save(folder / name)
    Table({"image": names, "class": kinds}).write(folder / "c.ecsv")
    return str(folder / "c.ecsv")


def experiment_of(catalog, **training):
    settings = {"epochs": 4, "batch_size": 8, "augmentation": Augmentation(rotations="quarter")} | training
    network = NetworkSettings(widths=(4, 6), depth=1, stem=0, dropout=0.3)
    return Experiment(DataSettings(catalog), network, TrainingSettings(**settings), seed=3)


class Interrupting(keras.callbacks.Callback):
    def __init__(self, epoch):
        super().__init__()
        self.epochs, self.at = [], epoch

    def on_epoch_begin(self, epoch, logs=None):
        self.epochs.append(epoch)
        if epoch == self.at:
            raise KeyboardInterrupt


@pytest.fixture(scope="module")
def resumed(catalog, tmp_path_factory):
    """A run that was interrupted in its third epoch, went on, and ended."""
    out = tmp_path_factory.mktemp("resumed") / "model"
    first, second = Interrupting(2), Interrupting(-1)
    with pytest.raises(KeyboardInterrupt):
        train(experiment_of(catalog), out, callbacks=[first])
    assert not out.exists(), "no model or a whole one"
    assert read_state(checkpoint_of(out)).epoch == 2
    trained = train(experiment_of(catalog), out, callbacks=[second])
    assert (first.epochs, second.epochs) == ([0, 1, 2], [2, 3])
    return out, trained


def test_it_ends_as_if_it_had_not_been_interrupted(catalog, resumed, tmp_path):
    out, trained = resumed
    straight = train(experiment_of(catalog), tmp_path / "model")
    a, b = (Table.read(folder / "history.csv") for folder in (out, tmp_path / "model"))
    assert list(a["epoch"]) == [1, 2, 3, 4]
    for name in a.colnames:  # bit-equal if deterministic: see the test of kills
        np.testing.assert_allclose(a[name], b[name], rtol=1e-3)
    for one, other in zip(trained.model.get_weights(), straight.model.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-2, atol=1e-3)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model"], "the checkpoint has gone"


def test_what_has_ended_is_not_repeated(catalog, resumed):
    out, trained = resumed
    before = (out / "model.keras").stat().st_mtime_ns
    watching = Interrupting(0)
    again = train(experiment_of(catalog), out, callbacks=[watching])
    assert watching.epochs == []
    assert again.card == trained.card
    assert (out / "model.keras").stat().st_mtime_ns == before


def test_another_experiment_in_its_place_is_refused_with_what_differs(catalog, resumed, tmp_path):
    out, trained = resumed
    other = replace(experiment_of(catalog, epochs=5), seed=4)
    with pytest.raises(ValueError, match=r"training.epochs: 4 -> 5; seed: 3 -> 4") as error:
        train(other, out)
    assert "--overwrite" in str(error.value)
    table = Table.read(catalog)
    table["image"] = [os.path.join(os.path.dirname(catalog), name) for name in table["image"]]  # noqa: PTH118, PTH120
    table.write(tmp_path / "same.ecsv")
    assert train(experiment_of(str(tmp_path / "same.ecsv")), out).card == trained.card
    table[:50].write(tmp_path / "fewer.ecsv")
    with pytest.raises(ValueError, match=r"changed=\"data_sha256: "):
        train(experiment_of(str(tmp_path / "fewer.ecsv")), out)


def test_a_checkpoint_of_other_settings_is_refused_until_told_to_begin_anew(catalog, tmp_path):
    out = tmp_path / "model"
    with pytest.raises(KeyboardInterrupt):
        train(experiment_of(catalog), out, callbacks=[Interrupting(1)])
    other = experiment_of(catalog, epochs=1, optimizer="momentum")
    with pytest.raises(ValueError, match=r"training.epochs: 4 -> 1; training.optimizer"):
        train(other, out)
    trained = train(other, out, overwrite=True)
    assert trained.card.metrics["epochs"] == 1
    assert not checkpoint_of(out).exists()


def test_a_card_repeats_the_run(resumed, tmp_path, capsys):
    out, trained = resumed
    assert main(["train", str(out / "card.json"), "--out", str(tmp_path / "again"), "--quiet"]) == 0
    said = capsys.readouterr().out
    assert f"the data are those of {out / 'card.json'}" in said
    again = load_model(tmp_path / "again")
    assert again.card.settings == trained.card.settings
    assert again.card.data == trained.card.data
    for one, other in zip(trained.model.get_weights(), again.model.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-2, atol=1e-3)
    assert main(["train", str(out / "card.json"), "--out", str(tmp_path / "again"), "--quiet"]) == 0
    assert "was not trained again" in capsys.readouterr().out


def test_a_card_without_an_experiment_says_so(trained, tmp_path, capsys):
    trained.card.write(tmp_path / "card.json")
    assert main(["train", str(tmp_path / "card.json"), "--out", str(tmp_path / "m")]) == 2
    assert "the card of a model of galcnn train" in capsys.readouterr().err


def test_the_command_finds_a_learning_rate(catalog, tmp_path, capsys):
    figure = tmp_path / "rates.png"
    words = ["train", "--catalog", catalog, "--set", "network.widths=4,8", "--batch-size", "8", "--quiet"]
    assert main([*words, "--find-learning-rate", str(figure)]) == 0
    said = capsys.readouterr().out
    assert "--learning-rate " in said
    rate = float(said.split("--learning-rate ")[1].split()[0])
    assert 1e-4 < rate < 1
    with Image.open(figure) as drawn:
        assert drawn.size == (920, 640)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["rates.png"]


@pytest.mark.full
@pytest.mark.parametrize("epochs", [1, 2, 5])
def test_the_command_killed_goes_on_to_the_last_bit(epochs, catalog, tmp_path):
    words = [
        "train",
        "--catalog",
        catalog,
        "--set",
        "network.widths=4,6",
        "--batch-size",
        "8",
        "--epochs",
        "8",
    ]
    words += ["--quiet", "--set", "deterministic=true", "--set", "network.dropout=0.3", "--seed", "3"]

    def start(out):
        command = [sys.executable, "-m", "galcnn.cli.main", *words, "--out", str(out)]
        return subprocess.Popen(command, stdout=subprocess.DEVNULL)

    out, deadline = tmp_path / "killed", time.monotonic() + 120
    process = start(out)
    while not checkpoint_of(out).exists() or read_state(checkpoint_of(out)).epoch < epochs:
        assert time.monotonic() < deadline
        assert process.poll() is None, "it ended before it could be killed"
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait(timeout=30)
    assert not out.exists()
    for folder in (out, tmp_path / "straight"):
        assert start(folder).wait(timeout=120) == 0
    one, other = (load_model(folder) for folder in (out, tmp_path / "straight"))
    for a, b in zip(one.model.get_weights(), other.model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert (out / "history.csv").read_bytes() == (tmp_path / "straight" / "history.csv").read_bytes()
    assert (out / "test.ecsv").read_bytes() == (tmp_path / "straight" / "test.ecsv").read_bytes()
