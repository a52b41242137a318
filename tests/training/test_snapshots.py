"""Snapshots: every epoch once, whole, of one training."""

import itertools

import keras
import numpy as np
import pytest

from galcnn.model import NetworkSettings, assemble, build_network, fit_preprocessing
from galcnn.training import Snapshots, TrainingSettings, fit, read_snapshots
from galcnn.training.checkpoint import Checkpoint

SETTINGS = NetworkSettings(widths=(4, 4), depth=1, stem=0)


@pytest.fixture(scope="module")
def sides(toy_dataset):
    return toy_dataset.select(np.arange(48)), toy_dataset.select(np.arange(48, 72))


def new_model(sides, seed=3):
    network = build_network((16, 16, 2), 2, settings=SETTINGS, seed=seed)
    return assemble(fit_preprocessing(sides[0].images), network)


def fitted(sides, folder, *, epochs=4, seed=3, callbacks=()):
    model = new_model(sides, seed)
    start = model.get_weights()
    settings = TrainingSettings(epochs=epochs, batch_size=16)
    fit(model, *sides, settings=settings, seed=3, callbacks=[Snapshots(folder), *callbacks])
    return start, model.get_weights()


@pytest.fixture(scope="module")
def whole(sides, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole") / "snapshots"
    return folder, *fitted(sides, folder)


def same(one, other):
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def test_start_and_every_epoch_are_kept(whole):
    folder, start, best = whole
    found = read_snapshots(folder)
    assert [snapshot.epoch for snapshot in found] == [0, 1, 2, 3, 4]
    assert sorted(p.name for p in folder.iterdir()) == [f"epoch-000{k}.npz" for k in range(5)]
    assert same(found[0].weights, start)
    assert any(same(snapshot.weights, best) for snapshot in found), "the best epoch is one of them"
    assert not any(same(a.weights, b.weights) for a, b in itertools.pairwise(found))


def test_an_interrupted_training_goes_on_with_its_snapshots(sides, whole, tmp_path):
    class Interrupt(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch == 1:
                raise KeyboardInterrupt

    folder = tmp_path / "snapshots"
    # Interrupted after the snapshot of the second epoch and before its checkpoint.
    with pytest.raises(KeyboardInterrupt):
        fitted(sides, folder, callbacks=[Interrupt(), Checkpoint(tmp_path / "c.npz")])
    assert len(read_snapshots(folder)) == 3
    fitted(sides, folder, callbacks=[Checkpoint(tmp_path / "c.npz")])
    for snapshot, expected in zip(read_snapshots(folder), read_snapshots(whole[0]), strict=True):
        assert snapshot.epoch == expected.epoch
        for a, b in zip(snapshot.weights, expected.weights, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)


def test_a_shorter_training_leaves_none_of_the_longer(sides, whole, tmp_path):
    folder = tmp_path / "snapshots"
    fitted(sides, folder, epochs=3)
    fitted(sides, folder, epochs=2)
    assert [snapshot.epoch for snapshot in read_snapshots(folder)] == [0, 1, 2]


def test_those_of_another_training_are_refused_and_kept(sides, whole):
    folder = whole[0]
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(ValueError, match=r"this training.*Choose another folder"):
        fitted(sides, folder, seed=4)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_none_and_damaged_ones_are_said(tmp_path):
    with pytest.raises(FileNotFoundError, match="galcnn train --snapshots"):
        read_snapshots(tmp_path)
    (tmp_path / "epoch-0000.npz").write_bytes(b"PK nonsense")
    with pytest.raises(ValueError, match="a snapshot of a training"):
        read_snapshots(tmp_path)
    with pytest.raises(NotADirectoryError):
        Snapshots(tmp_path / "epoch-0000.npz")
