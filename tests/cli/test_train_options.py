"""Each option of `galcnn train` reaches the field that it names."""

import pytest

from galcnn.cli.main import main
from galcnn.cli.train import _overridden, command
from galcnn.experiment import Experiment
from galcnn.training import Schedule


def experiment_of(words, content=None):
    given = dict(command.make_context("train", ["--catalog", "c.csv", "--out", "m", *words]).params)
    return Experiment.from_dict(_overridden(content or {}, given))


@pytest.mark.parametrize(
    ("option", "value", "section", "expected"),
    [
        ("--batch-size", "all", "training", "all"),
        ("--batch-size", "1", "training", 1),
        ("--chunk-size", "32", "training", 32),
        ("--optimizer", "nesterov", "training", "nesterov"),
        ("--learning-rate", "0.02", "training", 0.02),
        ("--schedule", "plateau", "training", Schedule("plateau")),
        ("--weight-decay", "0.1", "training", 0.1),
        ("--clipvalue", "0.5", "training", 0.5),
        ("--clipnorm", "0.5", "training", 0.5),
        ("--global-clipnorm", "0.5", "training", 0.5),
        ("--tolerance", "1e-4", "training", 1e-4),
        ("--patience", "3", "training", 3),
        ("--label-smoothing", "0.1", "training", 0.1),
        ("--shift", "2", "augmentation", 2),
        ("--blur", "0.5", "augmentation", 0.5),
        ("--noise", "0.5", "augmentation", 0.5),
        ("--band-dropout", "0.1", "augmentation", 0.1),
        ("--l1", "0.1", "network", 0.1),
        ("--l2", "0.1", "network", 0.1),
        ("--max-norm", "2", "network", 2.0),
        ("--dropout", "0.4", "network", 0.4),
        ("--spatial-dropout", "0.1", "network", 0.1),
    ],
)
def test_an_option_reaches_its_field(option, value, section, expected):
    name = option.removeprefix("--").replace("-", "_")
    found, before = experiment_of([option, value]), experiment_of([])

    def value_in(experiment):
        training = experiment.training
        record = training.augmentation if section == "augmentation" else getattr(experiment, section)
        return getattr(record, name)

    assert value_in(found) == expected != value_in(before)


def test_options_win_over_the_file_and_leave_the_rest_of_it():
    content = {"training": {"epochs": 7, "schedule": {"name": "step", "every": 3}, "optimizer": "sgd"}}
    found = experiment_of(["--optimizer", "adam", "--deterministic"], content)
    assert (found.training.epochs, found.training.optimizer) == (7, "adam")
    assert found.training.schedule == Schedule("step", every=3)
    assert found.deterministic
    assert Experiment.from_dict(found.to_dict()) == found


@pytest.mark.parametrize("size", ["0", "some", "-3", "1.5"])
def test_a_batch_size_is_a_number_or_all(size, capsys):
    assert main(["train", "--catalog", "c.csv", "--out", "m", "--batch-size", size]) == 2
    assert "expected a number of images or 'all'" in capsys.readouterr().err


def test_an_unknown_optimizer_is_refused_before_anything_is_read(tmp_path, capsys):
    words = ["train", "--catalog", str(tmp_path / "none.csv"), "--out", str(tmp_path / "m")]
    assert main([*words, "--optimizer", "adamm"]) == 2
    said = capsys.readouterr().err
    assert "an optimizer of Keras, or one of ('momentum', 'nesterov')" in said
    assert "'adamm'" in said
