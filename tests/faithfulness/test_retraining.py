"""Retraining without the pixels of a map: networks lose more with the galaxy than with the sky.

Retrained models, of other seeds or shuffled labels, are kept, and trained alike.
"""

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest
from astropy.table import Table

from galcnn.cli.main import main
from galcnn.experiment import Experiment
from galcnn.experiment.data import ExperimentData
from galcnn.faithfulness import retrain
from galcnn.faithfulness.retraining import (
    RetrainingSettings,
    _interval,
    _shuffled,
    _without,
    retrained_models,
)
from galcnn.model import save_model


@dataclass(frozen=True)
class Corners:
    """A map that points at the sky."""

    name: ClassVar[str] = "corners"
    per_band: ClassVar[bool] = False
    kind: ClassVar[str] = "features"

    def __call__(self, network, images, target, *, context=None):
        y, x = np.mgrid[:16, :16] - 7.5
        return np.broadcast_to(np.hypot(y, x)[..., np.newaxis], images.shape).astype(np.float32)


@pytest.fixture(scope="module")
def prepared(toy_dataset):
    experiment = Experiment.from_dict(
        {
            "data": {"catalog": "none"},
            "network": {"widths": [8, 8, 16]},
            "training": {"epochs": 8, "learning_rate": 0.01},
        }
    )
    sides = {"train": slice(0, 150), "validation": slice(150, 180), "test": slice(180, 240)}
    parts = {name: toy_dataset.select(np.arange(240)[piece]) for name, piece in sides.items()}
    return ExperimentData(experiment, None, toy_dataset, parts)


def test_the_first_pixels_become_sky_of_the_images_own_level(prepared):
    side = prepared.sides["test"]
    order = np.argsort(-side.images.sum(axis=-1).reshape(len(side), -1), axis=1)
    left = _without(side, order, 0.25).images.reshape(len(side), 256, 2)
    before = side.images.reshape(len(side), 256, 2)
    taken, kept = order[:, :64], order[:, 64:]
    rows = np.arange(len(side))[:, np.newaxis]
    assert np.array_equal(left[rows, kept], before[rows, kept])
    assert before[rows, taken].mean() > 30
    assert abs(left[rows, taken].mean()) < 8, "the frames hold the ends of some blobs"


@pytest.mark.full
def test_light_holds_what_the_network_needs_and_the_corners_do_not(trained, prepared, tmp_path):
    settings = RetrainingSettings(shares=(0.4,), seeds=(0,))
    table = retrain(trained, prepared, tmp_path / "retrained", explainers=[Corners()], settings=settings)
    rows = {str(row["method"]): row for row in table}
    assert set(rows) == {"random", "light", "corners"}
    assert rows["random"]["below_random"] == 0
    assert rows["light"]["accuracy"] < rows["corners"]["accuracy"] - 0.1
    assert rows["light"]["low"] <= rows["light"]["below_random"] <= rows["light"]["high"]
    runs = {file: file.stat().st_mtime_ns for file in (tmp_path / "retrained" / "runs").iterdir()}
    again = retrain(trained, prepared, tmp_path / "retrained", explainers=[Corners()], settings=settings)
    assert np.array_equal(again["accuracy"], table["accuracy"])
    assert runs == {file: file.stat().st_mtime_ns for file in runs}
    with pytest.raises(ValueError, match="same model, data and settings"):
        other = RetrainingSettings(shares=(0.3,), seeds=(0,))
        retrain(trained, prepared, tmp_path / "retrained", explainers=[Corners()], settings=other)


def test_shares_that_are_none_are_refused(capsys, tmp_path):
    with pytest.raises(ValueError, match="fractions between 0 and 1"):
        RetrainingSettings(shares=(1.5,))
    words = ["faithfulness", str(tmp_path / "none"), "--out", str(tmp_path / "out")]
    assert main([*words, "--retrain"]) == 2
    assert "Model folder not found" in capsys.readouterr().err
    assert main([*words, "--retrain", "-n", "9", "--epsilon", "2"]) == 2
    assert "no --number, --epsilon with --retrain" in " ".join(capsys.readouterr().err.split())
    assert main([*words, "--shares", "0.1"]) == 2
    assert "--retrain with --shares" in " ".join(capsys.readouterr().err.split())


def test_the_interval_knows_the_scatter_of_galaxies_and_of_trainings():
    """Of a mean of k seeds and n galaxies: variance s^2 / k + g^2 / n + e^2 / (k n)."""
    rng = np.random.default_rng(4)
    seeds, galaxies = rng.normal(0, 0.3, (40, 1)), rng.normal(0, 1.0, (1, 100))
    low, high = _interval(0.5 + seeds + galaxies)
    expected = 3.92 * np.hypot(seeds.std() / np.sqrt(40), galaxies.std() / 10)
    assert high - low == pytest.approx(expected, rel=0.1)
    assert low < 0.5 + seeds.mean() + galaxies.mean() < high
    assert _interval(np.broadcast_to(galaxies, (3, 100)))[1] - galaxies.mean() == pytest.approx(
        1.96 * galaxies.std() / 10, rel=0.1
    )


@pytest.fixture(scope="module")
def small(toy_dataset):
    experiment = Experiment.from_dict(
        {
            "data": {"catalog": "none"},
            "network": {"widths": [4]},
            "training": {"epochs": 1, "learning_rate": 0.01},
        }
    )
    sides = {"train": slice(0, 60), "validation": slice(60, 90), "test": slice(90, 120)}
    parts = {name: toy_dataset.select(np.arange(240)[piece]) for name, piece in sides.items()}
    return ExperimentData(experiment, None, toy_dataset, parts)


def test_shuffled_labels_keep_the_classes_and_forget_the_galaxies(small):
    one, other = _shuffled(small, 1), _shuffled(small, 2)
    for name in ("train", "validation"):
        before = small.sides[name]
        assert one[name].counts == before.counts
        assert np.mean(one[name].labels == before.labels) < 0.75, "half of two classes by chance"
        assert np.any(one[name].labels != other[name].labels), "each model its own shuffling"
        assert one[name].images is before.images
    assert one["test"] is small.sides["test"]


@pytest.mark.full
def test_retrained_models_differ_are_kept_and_go_on(trained, small, tmp_path):
    made = retrained_models(trained, small, tmp_path / "models", differing="seeds", n=2)
    first, second = (model.model.get_weights() for model in made)
    assert any(not np.array_equal(a, b) for a, b in zip(first, second, strict=True))
    assert [model.card.settings["seed"] for model in made] == [1, 2]
    assert {model.card.settings["data"]["split_seed"] for model in made} == {0}, "the split of the model"
    file = tmp_path / "models/seeds-1/model.keras"
    written = file.stat().st_mtime_ns
    again = retrained_models(trained, small, tmp_path / "models", differing="seeds", n=3)
    assert file.stat().st_mtime_ns == written
    assert all(np.array_equal(a, b) for a, b in zip(first, again[0].model.get_weights(), strict=True))
    assert len(again) == 3
    (random,) = retrained_models(trained, small, tmp_path / "models", differing="labels", n=1)
    assert random.classes == trained.classes
    assert sorted(path.name for path in (tmp_path / "models").iterdir() if path.is_dir()) == [
        "labels-1",
        "seeds-1",
        "seeds-2",
        "seeds-3",
    ]
    foreign = replace(trained, card=replace(trained.card, model_sha256="another"))
    with pytest.raises(ValueError, match="the same model and data"):
        retrained_models(foreign, small, tmp_path / "models", differing="seeds", n=3)
    with pytest.raises(ValueError, match="one retrained model or more"):
        retrained_models(trained, small, tmp_path / "models", differing="noise", n=3)


def test_too_few_retrained_models_are_refused_at_the_command_line(tmp_path, capsys):
    words = [
        "faithfulness",
        "model",
        "--catalog",
        "c.ecsv",
        "--out",
        str(tmp_path),
        "--retrained-models",
        "2",
    ]
    assert main(words) == 2
    assert "--retrained-models" in capsys.readouterr().err


def test_retrained_models_are_beside_the_output_and_asked_for(trained, small, tmp_path, monkeypatch, capsys):
    given = []

    def stop(*arguments, n, **_):
        given.append((arguments[2], n))
        raise ValueError("Stopped.")

    monkeypatch.setattr("galcnn.experiment.data.data_of", lambda *_, **__: small)
    monkeypatch.setattr("galcnn.faithfulness.retraining.retrained_models", stop)
    save_model(trained, tmp_path / "model")
    Table({"id": ["a"], "image": ["a.fits"]}).write(tmp_path / "c.ecsv")
    words = ["faithfulness", str(tmp_path / "model"), "--catalog", str(tmp_path / "c.ecsv"), "--split", "all"]
    words += ["--retrained-models", "3", "--yes", "--quiet", "--out", f"{tmp_path}/faithful/"]
    assert main(words) == 2
    assert f"6 trainings on {len(small.sides['train'])} images each." in capsys.readouterr().err
    assert given == [(f"{tmp_path}/faithful-retrained-models", 3)]
