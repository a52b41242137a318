"""Siblings of a model: other seeds, or shuffled labels; kept, and trained alike."""

from dataclasses import replace

import numpy as np
import pytest

from galcnn.cli.main import main
from galcnn.experiment import Experiment
from galcnn.experiment.data import ExperimentData
from galcnn.faithfulness.retraining import _shuffled, siblings


@pytest.fixture(scope="module")
def prepared(toy_dataset):
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


def test_shuffled_labels_keep_the_classes_and_forget_the_galaxies(prepared):
    one, other = _shuffled(prepared, 1), _shuffled(prepared, 2)
    for name in ("train", "validation"):
        before = prepared.sides[name]
        assert one[name].counts == before.counts
        assert np.mean(one[name].labels == before.labels) < 0.75, "half of two classes by chance"
        assert np.any(one[name].labels != other[name].labels), "each model its own shuffling"
        assert one[name].images is before.images
    assert one["test"] is prepared.sides["test"]


def test_siblings_differ_are_kept_and_go_on(trained, prepared, tmp_path):
    made = siblings(trained, prepared, tmp_path / "models", differing="seeds", n=2)
    first, second = (model.model.get_weights() for model in made)
    assert any(not np.array_equal(a, b) for a, b in zip(first, second, strict=True))
    assert [model.card.settings["seed"] for model in made] == [1, 2]
    assert {model.card.settings["data"]["split_seed"] for model in made} == {0}, "the split of the model"
    file = tmp_path / "models/seeds-1/model.keras"
    written = file.stat().st_mtime_ns
    again = siblings(trained, prepared, tmp_path / "models", differing="seeds", n=3)
    assert file.stat().st_mtime_ns == written
    assert all(np.array_equal(a, b) for a, b in zip(first, again[0].model.get_weights(), strict=True))
    assert len(again) == 3
    (random,) = siblings(trained, prepared, tmp_path / "models", differing="labels", n=1)
    assert random.classes == trained.classes
    assert sorted(path.name for path in (tmp_path / "models").iterdir() if path.is_dir()) == [
        "labels-1",
        "seeds-1",
        "seeds-2",
        "seeds-3",
    ]
    foreign = replace(trained, card=replace(trained.card, model_sha256="another"))
    with pytest.raises(ValueError, match="the same model and data"):
        siblings(foreign, prepared, tmp_path / "models", differing="seeds", n=3)
    with pytest.raises(ValueError, match="one sibling or more"):
        siblings(trained, prepared, tmp_path / "models", differing="noise", n=3)


def test_too_few_siblings_are_refused_at_the_command_line(tmp_path, capsys):
    words = ["trust", "model", "--catalog", "c.ecsv", "--out", str(tmp_path), "--siblings", "2"]
    assert main(words) == 2
    assert "--siblings" in capsys.readouterr().err
