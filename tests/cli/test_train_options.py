"""Each setting reaches its field, by an option of its own or by --set; the list of settings is complete."""

from dataclasses import fields, is_dataclass
from pathlib import Path

import pytest

from galcnn.cli import options
from galcnn.cli.main import main
from galcnn.cli.train import command
from galcnn.experiment import Experiment
from galcnn.experiment.assignments import Assignment, list_settings, with_assignments
from galcnn.training import Schedule


def experiment_of(words, content=None):
    context = command.make_context("train", ["--catalog", "c.csv", "--out", "m", *words])
    return Experiment.from_dict(with_assignments(content or {}, options.assignments(context)))


def value_of(experiment, key):
    for name in key.split("."):
        experiment = experiment[name] if isinstance(experiment, dict) else getattr(experiment, name)
    return experiment


@pytest.mark.parametrize(
    ("words", "key", "expected"),
    [
        ("--batch-size all", "training.batch_size", "all"),
        ("--batch-size 1", "training.batch_size", 1),
        ("--learning-rate 0.02", "training.learning_rate", 0.02),
        ("--epochs 3", "training.epochs", 3),
        ("--architecture ResNet50V2", "network.architecture", "ResNet50V2"),
        ("--id objid", "data.id", "objid"),
        ("--label class_name", "data.label", "class_name"),
        ("--image-column file", "data.image_column", "file"),
        ("--images folder", "data.images", "folder"),
        ("--merge s=a,b --merge t=c --merge s=d", "data.merge", {"s": ("a", "b", "d"), "t": ("c",)}),
        ("--drop a --drop b,c", "data.drop", ("a", "b", "c")),
        ("--bands g,r", "data.bands", ("g", "r")),
        ("--size 32", "data.size", 32),
        ("--render sdss", "data.render", "sdss"),
        ("--device cpu", "devices.device", "cpu"),
        ("--seed 3", "seed", 3),
        ("--set seed=3", "seed", 3),
        ("--set training.chunk_size=32", "training.chunk_size", 32),
        ("--set training.optimizer=nesterov", "training.optimizer", "nesterov"),
        ("--set training.schedule=plateau", "training.schedule", Schedule("plateau")),
        ("--set training.schedule.every=3", "training.schedule", Schedule(every=3)),
        ("--set training.weight_decay=0.1", "training.weight_decay", 0.1),
        ("--set training.clipvalue=0.5", "training.clipvalue", 0.5),
        ("--set training.clipnorm=0.5", "training.clipnorm", 0.5),
        ("--set training.global_clipnorm=0.5", "training.global_clipnorm", 0.5),
        ("--set training.tolerance=1e-4", "training.tolerance", 1e-4),
        ("--set training.patience=3", "training.patience", 3),
        ("--set training.balance=sampling", "training.balance", "sampling"),
        ("--set training.label_smoothing=0.1", "training.label_smoothing", 0.1),
        ("--set training.augmentation.flips=false", "training.augmentation.flips", False),
        ("--set training.augmentation.rotations=none", "training.augmentation.rotations", "none"),
        ("--set training.augmentation.shift=2", "training.augmentation.shift", 2),
        ("--set training.augmentation.blur=0.5", "training.augmentation.blur", 0.5),
        ("--set training.augmentation.noise=0.5", "training.augmentation.noise", 0.5),
        ("--set training.augmentation.band_dropout=0.1", "training.augmentation.band_dropout", 0.1),
        (
            "--set training.augmentation.flip_swaps.spiral_cw=spiral_acw",
            "training.augmentation.flip_swaps",
            {"spiral_cw": "spiral_acw"},
        ),
        ("--set data.merge.Class1.1=a,b", "data.merge", {"Class1.1": ("a", "b")}),
        ("--set data.fractions=0.6,0.2,0.2", "data.fractions", (0.6, 0.2, 0.2)),
        ("--set network.widths=16,32", "network.widths", (16, 32)),
        ("--set network.widths=[16,32]", "network.widths", (16, 32)),
        ("--set network.orientations=4", "network.orientations", 4),
        ("--set network.residual=true", "network.residual", True),
        ("--set network.precision=mixed_float16", "network.precision", "mixed_float16"),
        ("--set network.l1=0.1", "network.l1", 0.1),
        ("--set network.l2=0.1", "network.l2", 0.1),
        ("--set network.max_norm=2", "network.max_norm", 2.0),
        ("--set network.dropout=0.4", "network.dropout", 0.4),
        ("--set network.spatial_dropout=0.1", "network.spatial_dropout", 0.1),
        ("--set deterministic=true", "deterministic", True),
        ("--set health=20", "health", 20),
    ],
)
def test_a_setting_reaches_its_field(words, key, expected):
    found, before = experiment_of(words.split()), experiment_of([])
    assert value_of(found, key) == expected != value_of(before, key)


def test_tables_are_given_as_in_toml():
    text = 'training.optimizer={class_name = "SGD", config = {momentum = 0.8}}'
    assert experiment_of(["--set", text]).training.optimizer == {
        "class_name": "SGD",
        "config": {"momentum": 0.8},
    }


def test_options_win_over_the_file_and_leave_the_rest_of_it():
    content = {"training": {"epochs": 7, "schedule": {"name": "step", "every": 3}, "optimizer": "sgd"}}
    found = experiment_of(["--set", "training.optimizer=adam", "--set", "deterministic=true"], content)
    assert (found.training.epochs, found.training.optimizer) == (7, "adam")
    assert found.training.schedule == Schedule("step", every=3)
    assert found.deterministic
    assert Experiment.from_dict(found.to_dict()) == found
    assert content["training"]["optimizer"] == "sgd", "what is passed stays as it is"


def test_the_last_option_wins():
    assert experiment_of(["--epochs", "3", "--set", "training.epochs=4"]).training.epochs == 4
    assert experiment_of(["--set", "training.epochs=4", "--epochs", "3"]).training.epochs == 3
    unset = ["--set", "training.patience=3", "--set", "training.patience=none"]
    assert experiment_of(unset).training.patience is None


def test_part_of_a_section_is_replaced():
    content = {"training": {"schedule": "step"}}
    found = experiment_of(["--set", "training.schedule.every=3"], content)
    assert found.training.schedule == Schedule("step", every=3)


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--batch-size", "0"], "--batch-size=0"),
        (
            ["--batch-size", "some"],
            "int or all for training.batch_size. Received: --batch-size='some'",
        ),
        (["--batch-size", "-3"], "--batch-size=-3"),
        (["--batch-size", "1.5"], "Expected int or all for training.batch_size"),
        (["--epochs", "x"], "Expected int for training.epochs. Received: --epochs='x'."),
        (["--set", "training.epochs=0"], "of at least 1. Received: --set training.epochs=0"),
        (["--set", "training.epoch=3"], "--set='training.epoch=3'. Did you mean 'training.epochs'?"),
        (["--set", "epochs=3"], "Did you mean 'training.epochs'?"),
        (["--set", "patience=3"], "Did you mean 'training.patience' or 'training.schedule.patience'?"),
        (["--set", "trainign.optimizer=sgd"], "Did you mean 'training.optimizer'?"),
        (["--set", "training.augmentation=3"], "Did you mean 'training.augmentation.flips'"),
        (["--set", "zzz=3"], "See galcnn train --list-settings."),
        (["--set", "training.epochs"], "a setting and its value, such as training.epochs=20"),
        (["--set", "training.balance=weight"], "Expected none|weights|sqrt-weights|sampling for"),
        (["--set", "training.augmentation.flips=maybe"], "Expected true|false for"),
        (["--set", "network.widths=a,b"], "Expected int,int,... for network.widths"),
        (["--set", "training.schedule=cosinus"], "Expected constant|step|exponential|cosine|plateau for"),
        (["--merge", "spiral"], "Expected NAME=text,text,... for data.merge. Received: --merge='spiral'"),
        (["--device", "tpu"], "Expected a device: auto, cpu, gpu or gpu:N. Received: --device='tpu'."),
        (["--seed", "-1"], "Expected a seed of 0 or more. Received: --seed=-1."),
    ],
)
def test_a_wrong_setting_names_the_option(words, text, capsys):
    assert main(["train", "--catalog", "c.csv", "--out", "m", *words]) == 2
    assert text in capsys.readouterr().err


def test_an_unknown_optimizer_is_refused_before_anything_is_read(tmp_path, capsys):
    words = ["train", "--catalog", str(tmp_path / "none.csv"), "--out", str(tmp_path / "m")]
    assert main([*words, "--set", "training.optimizer=adamm"]) == 2
    said = capsys.readouterr().err
    assert "an optimizer of Keras, or one of ('momentum', 'nesterov')" in said
    assert "'adamm'" in said


def test_what_is_no_experiment_is_said(tmp_path, capsys):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "card.json").write_text("{}")
    (tmp_path / "labels.csv").write_text("id\n1\n")
    for command_, more in (("train", ["--out", "m"]), ("preflight", []), ("compare", ["--out", "m"])):
        for name, text in (
            ("labels.csv", "labels.csv is a table, not a TOML file of settings; give it as --catalog"),
            ("model", "model/card.json."),
            ("none.toml", "File not found: "),
        ):
            assert main([command_, str(tmp_path / name), *more]) == 2
            assert text in capsys.readouterr().err
        assert main([command_, *more]) == 2
        assert "Expected --catalog FILE" in capsys.readouterr().err


def leaves(kind, prefix=""):
    """Keys of all fields of the dataclasses, as `Experiment` builds them."""
    experiment = kind
    for field in fields(experiment):
        value = getattr(experiment, field.name)
        if is_dataclass(value):
            yield from leaves(value, f"{prefix}{field.name}.")
        else:
            yield f"{prefix}{field.name}"


def test_all_settings_are_listed_with_defaults_that_can_be_given(capsys):
    assert main(["train", "--list-settings"]) == 0
    shown = capsys.readouterr().out
    listed = {one.key: one for one in list_settings()}
    assert all(f"  {key} = " in shown for key in listed)
    default = experiment_of([])
    known = {key.removesuffix(".NAME").replace("schedule", "schedule.name") for key in listed}
    known |= {key.removesuffix(".NAME") for key in listed}
    whole = {"data.votes", "training.augmentation.redshift", "start"}
    assert set(leaves(default)) - whole <= known
    for one in listed.values():
        assert one.help.endswith("."), one.key
        assert len(one.help) < 110, one.key
        given = one.default not in ("required", "") and not one.key.startswith(tuple(whole))
        if given and "observation" not in one.key:
            assignment = Assignment.parse(f"{one.key}={one.default}")
            assert Experiment.from_dict(with_assignments(default.to_dict(), [assignment])) == (
                Experiment.from_dict(default.to_dict())
            ), one.key


def test_the_docs_list_all_settings():
    rows = [
        "| " + " | ".join(text.replace("|", "\\|") for text in (f"`{one.key}`", *texts)) + " |"
        for one in list_settings()
        for texts in [(one.type, one.default, one.help)]
    ]
    page = (Path(__file__).parents[2] / "docs" / "training.md").read_text(encoding="utf-8")
    assert [line for line in page.splitlines() if line in rows] == rows, "\n".join(rows)


def test_names_are_without_the_spaces_around_them():
    assert experiment_of(["--merge", "spiral = a, b"]).data.merge == {"spiral": ("a", "b")}
