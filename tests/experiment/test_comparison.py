"""Optimizers compared: every run whole, the same data and seeds, resumable, and drawn."""

import json

import numpy as np
import pytest
from astropy.table import Table
from PIL import Image

from galcnn.cli.main import main
from galcnn.experiment import Experiment, compare
from galcnn.experiment.comparison import CONTENDERS, Comparison, comparison_from
from galcnn.training.callbacks import LossRecord
from galcnn.viewers.plots.training import comparison_figure

TOML = """
[data]
catalog = "c.ecsv"
[network]
widths = [4, 6]
depth = 1
stem = 0
[training]
epochs = 3
augmentation = { rotations = "quarter" }
[compare]
seeds = [0, 1]
[compare.contenders.batch]
batch_size = "all"
optimizer = "sgd"
learning_rate = 0.1
epochs = 5
[compare.contenders.adam]
batch_size = 8
optimizer = "adam"
learning_rate = 0.01
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Bright and faint squares, and a file that compares two optimizers on them."""
    folder = tmp_path_factory.mktemp("squares")
    rng = np.random.default_rng(0)
    names, kinds = [f"p{i}.png" for i in range(60)], [("bright", "faint")[i % 2] for i in range(60)]
    for name, kind in zip(names, kinds, strict=True):
        picture = rng.integers(0, 60, (16, 16, 3))
        picture[5:11, 5:11] += 150 if kind == "bright" else 40
        Image.fromarray(picture.astype(np.uint8)).save(folder / name)
    Table({"image": names, "class": kinds}).write(folder / "c.ecsv")
    (folder / "compare.toml").write_text(TOML)
    return folder


@pytest.fixture(scope="module")
def done(folder):
    words = ["compare", str(folder / "compare.toml"), "--out", str(folder / "out"), "--quiet"]
    assert main(words) == 0
    return folder / "out"


def test_curves_hold_every_epoch_of_every_run(done):
    curves = Table.read(done / "curves.ecsv")
    for name, epochs, updates in (("batch", 5, 1), ("adam", 3, 6)):  # 42 training images in batches of 8
        for seed in (0, 1):
            run = curves[(curves["contender"] == name) & (curves["seed"] == seed)]
            assert list(run["epoch"]) == list(range(epochs + 1))
            assert list(run["updates"]) == [updates * epoch for epoch in range(epochs + 1)]
            assert run["seconds"][0] == 0
            assert np.all(np.diff(run["seconds"]) > 0)
            assert np.isfinite(run["loss"]).all()
    start = curves[curves["epoch"] == 0]
    # The same seed begins with the same weights, whatever the optimizer.
    for seed in (0, 1):
        losses = start["loss"][start["seed"] == seed]
        assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    assert len(set(np.round(start["loss"], 6))) == 2


def test_the_summary_is_that_of_the_curves(done):
    summary, curves = Table.read(done / "summary.ecsv"), Table.read(done / "curves.ecsv")
    assert list(summary["contender"]) == ["batch", "adam"]
    for row in summary:
        last = curves[(curves["contender"] == row["contender"]) & (curves["epoch"] == row["epochs"])]
        found = (row["loss"], row["loss_low"], row["loss_high"])
        assert found == pytest.approx((np.median(last["loss"]), min(last["loss"]), max(last["loss"])))
        assert 0 <= row["test_accuracy_low"] <= row["test_accuracy"] <= row["test_accuracy_high"] <= 1
    with Image.open(done / "comparison.png") as figure:
        assert figure.size == (1520, 720)


def test_runs_that_have_ended_are_not_repeated_and_interrupted_ones_go_on(done, folder, monkeypatch):
    from galcnn.experiment import read_settings

    content = read_settings(folder / "compare.toml")
    comparison = comparison_from(content)
    times = {path.name: path.stat().st_mtime_ns for path in (done / "runs").iterdir()}
    assert sorted(times) == ["adam-seed0.json", "adam-seed1.json", "batch-seed0.json", "batch-seed1.json"]
    kept = json.loads((done / "runs" / "adam-seed1.json").read_text())
    (done / "runs" / "adam-seed1.json").unlink()
    real, epochs = LossRecord.on_epoch_end, []

    def interrupted(self, epoch, logs=None):
        epochs.append(epoch)
        real(self, epoch, logs)
        if epochs == [0, 1]:
            raise KeyboardInterrupt

    monkeypatch.setattr(LossRecord, "on_epoch_end", interrupted)
    with pytest.raises(KeyboardInterrupt):
        compare(comparison, done)
    compare(comparison, done)
    assert epochs == [0, 1, 1, 2], "from the checkpoint of the first epoch on"
    again = json.loads((done / "runs" / "adam-seed1.json").read_text())
    assert again["columns"]["updates"] == kept["columns"]["updates"]
    assert again["columns"]["loss"] == pytest.approx(kept["columns"]["loss"], rel=1e-2)
    for name in set(times) - {"adam-seed1.json"}:
        assert (done / "runs" / name).stat().st_mtime_ns == times[name]
    other = comparison_from(content | {"training": content["training"] | {"epochs": 4}})
    with pytest.raises(ValueError, match=r"changed='training.epochs: 3 -> 4"):
        compare(Comparison({"adam": other.experiments["adam"]}), done)


def test_what_is_compared_by_default_is_the_family(folder):
    comparison = comparison_from({"data": {"catalog": "c"}})
    assert tuple(comparison.experiments) == tuple(CONTENDERS)
    assert comparison.seeds == (0, 1, 2)
    batch = comparison.experiments["batch"]
    assert (batch.training.batch_size, batch.training.schedule.name) == ("all", "constant")
    assert batch.network.normalization == "group"
    assert {e.training.patience for e in comparison.experiments.values()} == {None}


@pytest.mark.parametrize(
    ("section", "text"),
    [
        ({"contenders": {"a": {"optimiser": "sgd"}}}, "Did you mean 'optimizer'"),
        ({"seed": [1]}, "seeds and contenders in compare"),
        ({"seeds": [1, 1]}, "distinct seeds"),
        ({"contenders": {}}, "contenders, and"),
        ({"contenders": {"a": "adam"}}, "a section for each contender"),
        ({"contenders": {"../a": {}}}, "names of contenders"),
        ({"contenders": {"a": {"patience": 3}}}, "all their epochs"),
    ],
)
def test_what_is_wrong_is_said(section, text):
    with pytest.raises(ValueError, match=text):
        comparison_from({"data": {"catalog": "c"}, "compare": section})


def test_one_data_set_is_compared():
    a, b = (Experiment.from_dict({"data": {"catalog": c}, "training": {"patience": None}}) for c in "ab")
    with pytest.raises(ValueError, match="one data set"):
        Comparison({"a": a, "b": b})


def test_runs_of_one_name_have_one_length():
    three, two = (tuple(np.arange(1.0, n + 1) for _ in range(3)) for n in (3, 2))
    assert len(comparison_figure({"a": [three, three], "b": [two]}).axes) == 2
    with pytest.raises(ValueError, match="runs of one length"):
        comparison_figure({"a": [three, two]})
    with pytest.raises(ValueError, match="runs of one length"):
        comparison_figure({})
