"""One device, two that share each batch, two workers: the same losses; and half precision where it may be."""

import csv
import json
import os
import signal
import socket
import subprocess
import sys
from dataclasses import replace

import keras
import numpy as np
import pytest
from PIL import Image

from galcnn.model import DeviceSettings, NetworkSettings, assemble, build_network, fit_preprocessing
from galcnn.model.devices import device_line, devices_used, loss_scaled, make_strategy
from galcnn.training import Augmentation, TrainingSettings, fit
from galcnn.training.checkpoint import read_state

#: Dropout is drawn on each device by itself, and so is left out where losses are compared.
TOML = """
[data]
catalog = "catalog.csv"
[network]
widths = [4, 8]
dropout = 0.0
l2 = 0.01
[training]
epochs = 3
batch_size = 16
augmentation = { rotations = "quarter" }
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Round and long blobs, 72 of them, of which 48 train: three batches of 16."""
    folder = tmp_path_factory.mktemp("blobs")
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:16, :16] - 7.5
    rows = ["id,image,class,split"]
    for i in range(72):
        kind = ("round", "long")[i % 2]
        light = 200 * np.exp(-(x**2) / 8 - y**2 / (8 if kind == "round" else 40))
        light += rng.uniform(0, 30, (16, 16))
        Image.fromarray(light.astype(np.uint8)).save(folder / f"{i}.png")
        rows.append(f"g{i},{i}.png,{kind},{'train' if i < 48 else 'validation' if i < 60 else 'test'}")
    (folder / "catalog.csv").write_text("\n".join(rows) + "\n")
    (folder / "e.toml").write_text(TOML)
    return folder


def command(folder, out, *words):
    return [sys.executable, "-m", "galcnn.cli.main", "train", str(folder / "e.toml"), "--quiet",
            "--out", str(folder / out), *words]  # fmt: skip


def history(folder, out):
    with open(folder / out / "history.csv", encoding="utf-8") as handle:
        rows = list(csv.DictReader(handle))
    return {name: [float(row[name]) for row in rows] for name in rows[0]}


@pytest.fixture(scope="module")
def alone(folder):
    result = subprocess.run(command(folder, "one"), capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("computing on ")
    return history(folder, "one")


def compare(found, alone):
    """Batch normalisation measures the whole batch on all devices: without that, the losses part at once."""
    assert found.keys() == alone.keys()
    for name in alone:
        assert found[name] == pytest.approx(alone[name], rel=2e-3), name


@pytest.mark.full
def test_two_logical_devices_that_share_each_batch_have_the_losses_of_one(folder, alone):
    words = ("--device", "cpu", "--set", "devices.strategy=mirrored", "--set", "devices.replicas=2")
    result = subprocess.run(command(folder, "two", *words), capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    assert "CPU:0" in result.stdout.splitlines()[0]
    assert "CPU:1" in result.stdout.splitlines()[0]
    compare(history(folder, "two"), alone)
    card = json.loads((folder / "two" / "card.json").read_text())
    assert card["devices"]["strategy"] == "mirrored"
    assert card["devices"]["replicas"] == 2
    # What is saved is a model of one device, with the weights of both.
    one, two = (keras.saving.load_model(folder / name / "model.keras") for name in ("one", "two"))
    assert not [x for x in two._flatten_layers() if getattr(x, "synchronized", False)]
    for ours, theirs in zip(one.get_weights(), two.get_weights(), strict=True):
        np.testing.assert_allclose(theirs, ours, atol=5e-3)


#: Runs the same experiment, and is killed when its third epoch begins.
KILLED = """
import os, signal, sys
import keras
from galcnn import Experiment, train
from galcnn.experiment.settings import read_settings

class Kill(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 2:
            os.kill(os.getpid(), signal.SIGKILL)

settings = read_settings(sys.argv[1]) | {"devices": {"strategy": "workers"}}
train(Experiment.from_dict(settings), sys.argv[2], callbacks=[Kill()])
"""


def two_workers(commands):
    """Exit code, words and errors of both."""
    sockets = [socket.socket() for _ in range(2)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    cluster = {"worker": [f"127.0.0.1:{one.getsockname()[1]}" for one in sockets]}
    for one in sockets:
        one.close()
    workers = []
    for index, words in enumerate(commands):
        config = json.dumps({"cluster": cluster, "task": {"type": "worker", "index": index}})
        workers.append(
            subprocess.Popen(
                words,
                env=os.environ | {"TF_CONFIG": config},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
    said = [worker.communicate(timeout=300) for worker in workers]
    return [worker.returncode for worker in workers], *zip(*said, strict=True)


@pytest.mark.full
def test_two_workers_that_were_killed_go_on_and_have_the_losses_of_one(folder, alone):
    """Each in a folder of its own, as on two machines: the first one's checkpoint is that of both."""
    outs = ["workers", "second"]
    killed = [[sys.executable, "-c", KILLED, str(folder / "e.toml"), str(folder / out)] for out in outs]
    codes, _, errors = two_workers(killed)
    assert codes == [-signal.SIGKILL, -signal.SIGKILL], errors
    assert read_state(folder / "workers.checkpoint.npz").epoch == 2
    assert not (folder / "second.checkpoint.npz").exists()
    codes, words, errors = two_workers(
        [command(folder, out, "--set", "devices.strategy=workers") for out in outs]
    )
    assert codes == [0, 0], errors
    assert "each batch shared by 2 workers" in words[0]
    assert "the first worker writes the model" in words[1]
    assert not (folder / "workers.checkpoint.npz").exists()
    compare(history(folder, "workers"), alone)
    assert json.loads((folder / "workers" / "card.json").read_text())["devices"]["strategy"] == "workers"
    # The model stands where the first worker wrote it, and not with the second: neither waits for the other.
    codes, _, errors = two_workers(
        [command(folder, out, "--set", "devices.strategy=workers") for out in outs]
    )
    assert codes == [2, 2]
    assert all("n_workers_with_it=1" in error for error in errors)


def test_a_chosen_device_holds_the_weights():
    strategy = make_strategy(DeviceSettings(device="cpu"))
    with strategy.scope():
        network = build_network((8, 8, 1), 2, settings=NetworkSettings(widths=(2,), stem=0))
    assert {w.value.device.rsplit("/", 1)[-1] for w in network.weights} == {"device:CPU:0"}
    assert devices_used(strategy)["devices"] == [f"CPU:0 ({os.cpu_count()} cores)"]
    assert devices_used(strategy)["strategy"] == "one"
    assert device_line(make_strategy(DeviceSettings())).startswith("computing on ")


@pytest.mark.parametrize("precision", ["mixed_float16", "mixed_bfloat16"])
def test_half_precision_trains_with_a_scaled_loss_and_float32_where_it_must(toy_dataset, precision):
    training, validation = toy_dataset.select(np.arange(64)), toy_dataset.select(np.arange(64, 96))
    settings = NetworkSettings(widths=(4, 8), precision=precision)
    network = build_network((16, 16, 2), 2, settings=settings, seed=1)
    model = assemble(fit_preprocessing(training.images), network)
    still = TrainingSettings(epochs=6, learning_rate=0.01, augmentation=Augmentation(rotations="quarter"))
    losses = fit(model, training, validation, settings=still, seed=1)["loss"]
    assert losses[-1] < losses[0]
    half = precision.removeprefix("mixed_")
    assert network.get_layer("conv2_1").compute_dtype == half
    assert {layer.compute_dtype for layer in model.get_layer("preprocessing").layers} == {"float32"}
    assert {network.get_layer(name).compute_dtype for name in ("gap", "dropout", "logits")} == {"float32"}
    assert {w.dtype for w in network.trainable_weights} == {"float32"}
    assert isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer) == (half == "float16")
    assert keras.config.dtype_policy().name == "float32", "no global policy is set"
    whole = build_network((16, 16, 2), 2, settings=NetworkSettings(widths=(4, 8)), seed=1)
    whole.set_weights(network.get_weights())
    stretched = model.get_layer("preprocessing").predict(validation.images, verbose=0)
    ours, theirs = (net.predict(stretched, verbose=0) for net in (network, whole))
    assert ours.dtype == np.float32
    np.testing.assert_allclose(ours, theirs, atol=0.02 * np.ptp(theirs))
    assert not np.array_equal(ours, theirs)


def test_an_optimizer_is_scaled_once_and_only_where_it_must():
    half = NetworkSettings(widths=(2,), stem=0, precision="mixed_float16")
    once = loss_scaled(keras.optimizers.SGD(), build_network((8, 8, 1), 2, settings=half))
    assert isinstance(once, keras.optimizers.LossScaleOptimizer)
    assert loss_scaled(once, build_network((8, 8, 1), 2, settings=half)) is once
    plain = keras.optimizers.SGD()
    assert loss_scaled(plain, build_network((8, 8, 1), 2, settings=replace(half, precision=None))) is plain


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"device": "tpu"}, "a device: auto, cpu, gpu or gpu:N"),
        ({"strategy": "horovod"}, "a strategy among"),
        ({"replicas": 2}, "two or more replicas, with strategy 'mirrored'"),
        ({"strategy": "mirrored", "replicas": 1}, "two or more replicas"),
        ({"strategy": "mirrored", "device": "gpu:1"}, "Give replicas"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings, text):
    with pytest.raises(ValueError, match=text):
        DeviceSettings(**settings)


def test_what_this_machine_cannot_give_is_refused(monkeypatch):
    with pytest.raises(ValueError, match=r"a device that TensorFlow sees.*device='gpu:9'.*--device auto"):
        make_strategy(DeviceSettings(device="gpu:9"))
    with pytest.raises(RuntimeError, match="TensorFlow not yet initialised, to split the CPU"):
        make_strategy(DeviceSettings(device="cpu", strategy="mirrored", replicas=3))
    for config in ("", "{}", '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 0}}'):
        monkeypatch.setenv("TF_CONFIG", config)
        with pytest.raises(ValueError, match="TF_CONFIG"):
            make_strategy(DeviceSettings(strategy="workers"))
