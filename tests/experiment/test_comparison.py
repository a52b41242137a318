"""Optimizers compared: every run whole, the same data and seeds, resumable, and drawn."""

import json

import numpy as np
import pytest
from astropy.table import Table
from PIL import Image

from galcnn.cli.main import main
from galcnn.experiment import Experiment, compare
from galcnn.experiment.comparison import CONTENDERS, Comparison, _search, comparison_from
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
rates = 2
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
        held = curves[curves["contender"] == row["contender"]]
        least = [held[held["seed"] == seed]["validation_loss"].min() for seed in (0, 1)]
        found = [row[f"least_validation_loss{end}"] for end in ("", "_low", "_high")]
        assert found == pytest.approx([np.median(least), min(least), max(least)])
        accuracy = [row[f"validation_accuracy{end}"] for end in ("_low", "", "_high")]
        assert 0 <= accuracy[0] <= accuracy[1] <= accuracy[2] <= 1
        assert (row["rates_tried"], row["enclosed"]) == (2, False)
    with Image.open(done / "comparison.png") as figure:
        assert figure.size == (1520, 720)


def test_runs_that_have_ended_are_not_repeated_and_interrupted_ones_go_on(done, folder, monkeypatch):
    from galcnn.experiment import read_settings

    content = read_settings(folder / "compare.toml")
    comparison = comparison_from(content)
    times = {path.name: path.stat().st_mtime_ns for path in (done / "runs").iterdir()}
    rates = Table.read(done / "rates.ecsv")
    (chosen,) = rates["learning_rate"][(rates["contender"] == "adam") & rates["chosen"]]
    last = f"adam-rate{chosen:.3g}-seed1.json"
    assert len(times) == 6
    assert last in times
    kept = json.loads((done / "runs" / last).read_text())
    (done / "runs" / last).unlink()
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
    again = json.loads((done / "runs" / last).read_text())
    assert again["columns"]["updates"] == kept["columns"]["updates"]
    assert again["columns"]["loss"] == pytest.approx(kept["columns"]["loss"], rel=1e-2)
    for name in set(times) - {last}:
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
        ({"seed": [1]}, "seeds, rates and contenders in compare"),
        ({"rates": 0}, "1 or more"),
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


@pytest.mark.parametrize(
    ("losses", "budget", "tried", "best"),
    [
        ({0: 1.0, 1: 2.0, -1: 3.0}, 5, [-1, 0, 1], 0),  # enclosed at once
        ({0: 3.0, 1: 2.0, 2: 1.0, 3: 1.5}, 5, [0, 1, 2, 3], 2),
        ({0: 3.0, 1: 4.0, -1: 2.0, -2: 1.0, -3: 0.5}, 4, [-2, -1, 0, 1], -2),  # the budget ends it
        ({0: np.inf, -1: np.inf, -2: 1.0, -3: 2.0}, 5, [-3, -2, -1, 0], -2),  # down from where all diverge
        ({0: 1.0}, 1, [0], 0),
    ],
)
def test_the_search_walks_to_the_smallest_loss(losses, budget, tried, best):
    asked = []

    def run(rate):
        step = round(2 * np.log10(rate / 0.01))
        asked.append(step)
        lost = not np.isfinite(losses[step])
        return {"error": "lost" if lost else None, "columns": {"val_loss": [9.0, losses[step], 8.0]}}

    rate, found = _search(0.01, run, budget)
    assert sorted(asked) == tried
    assert rate == pytest.approx(0.01 * 10 ** (best / 2))
    np.testing.assert_allclose(list(found), [0.01 * 10 ** (step / 2) for step in tried])


def test_the_test_set_is_not_touched(folder, tmp_path):
    """Other labels of the test galaxies change no figure of a comparison."""
    table = Table.read(folder / "c.ecsv")
    table["image"] = [str(folder / name) for name in table["image"]]
    table["split"] = np.array(["train"] * 40 + ["validation"] * 10 + ["test"] * 10)
    base = {"network": {"widths": [4], "depth": 1, "stem": 0}, "training": {"epochs": 2}}
    contender = {"adam": {"batch_size": 8, "optimizer": "adam"}}
    found = []
    for name, labels in (("a", table["class"][50:]), ("b", table["class"][49:59])):
        table["class"][50:] = np.array(labels)
        table.write(tmp_path / f"{name}.ecsv")
        content = base | {"data": {"catalog": str(tmp_path / f"{name}.ecsv")}}
        content["compare"] = {"seeds": [0], "rates": 2, "contenders": contender}
        found.append(compare(comparison_from(content), tmp_path / name))
    for column in ("learning_rate", "validation_accuracy", "least_validation_loss"):
        assert found[0][column][0] == pytest.approx(found[1][column][0], rel=1e-4)
    assert not [name for name in found[0].colnames if "test" in name]
