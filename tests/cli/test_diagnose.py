"""galcnn diagnose: signals at initialisation, and what was seen of a training."""

import numpy as np
import pytest
from astropy.table import Table

from galcnn.cli.main import main
from galcnn.diagnostics.gradients import HealthWarning


def test_plain_stacks_are_summed_up_drawn_and_written(tmp_path, capsys):
    words = ["--activation", "relu", "--initializer", "he_normal", "--initializer", "glorot_normal"]
    out = tmp_path / "signals"
    words += ["--depth", "12", "--units", "64", "--draws", "3", "--out", str(out)]
    assert main(["diagnose", "--init", *words]) == 0
    shown = capsys.readouterr().out
    assert "kept" in shown
    assert "vanishes" in shown
    assert (out / "initialisation.png").stat().st_size > 10_000
    table = Table.read(out / "relu-glorot_normal-12.ecsv")
    np.testing.assert_allclose(table["variance_theory"], 0.5 ** np.arange(12))


def test_an_experiment_is_measured_layer_by_layer(toy_experiment, tmp_path, capsys):
    out = tmp_path / "signals"
    assert (
        main(["diagnose", str(toy_experiment), "--init", "--initializer", "lecun_normal", "--out", str(out)])
        == 0
    )
    assert "network/conv1_1" in capsys.readouterr().out
    table = Table.read(out / "experiment.ecsv")
    assert set(table["initializer"][:-1]) == {"LecunNormal"}
    assert table["initializer"][-1] == "VarianceScaling", "the last kernel is small, whatever the initializer"
    scale = np.append(np.ones(len(table) - 1), 2e-4)
    np.testing.assert_allclose(table["weight_theory"], scale / table["fan_in"])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "Expected"),
        (["--init", "nothing.toml"], "File not found: nothing.toml."),
        (["--init", "--initializer", "he_norml"], "Expected"),
    ],
)
def test_what_it_cannot_do_is_said(words, said, capsys):
    assert main(["diagnose", *words]) == 2
    assert said in capsys.readouterr().err


def test_a_training_is_looked_at_and_its_health_read(toy_experiment, tmp_path, capsys):
    model = tmp_path / "model"
    words = ["train", str(toy_experiment), "--out", str(model), "--quiet", "--set", "health=4"]
    assert main([*words, "--tensorboard", str(tmp_path / "board")]) == 0
    assert f"galcnn diagnose {model}" in capsys.readouterr().out
    assert not (tmp_path / "model.health.csv").exists(), "it lies in the model now"
    assert any((tmp_path / "board").iterdir())
    assert main(["diagnose", str(model), "--out", str(tmp_path / "look")]) == 0
    shown = capsys.readouterr().out
    assert "network/conv2_1" in shown
    assert "no vanishing, exploding" in shown
    assert (tmp_path / "look" / "health.png").stat().st_size > 20_000
    record = Table.read(model / "health.csv")
    assert sorted(set(record["update"])) == [0, 1, 4, 5, 8, 12]
    # The same experiment without it is the same experiment: nothing is repeated.
    assert main(["train", str(toy_experiment), "--out", str(model), "--quiet"]) == 0
    assert "was not trained again" in capsys.readouterr().out


def test_a_training_that_failed_says_why_and_can_be_read(toy_experiment, tmp_path, capsys):
    model = tmp_path / "model"
    wild = ["--learning-rate", "1e30", "--set", "health=50"]
    for setting in ("training.optimizer=sgd", "training.schedule=constant", "network.normalization=none"):
        wild += ["--set", setting]
    with pytest.warns(HealthWarning):
        assert main(["train", str(toy_experiment), "--out", str(model), "--quiet", *wild]) == 2
    said = capsys.readouterr().err
    assert "a finite loss" in said
    assert "Health: exploding at layer network/" in said
    assert not model.exists()
    assert main(["diagnose", str(model)]) == 0
    assert "[training] learning_rate = 1e+29" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--tensorboard", "board"], "Add --set health=50"),
        (["--set", "health=0"], "1 or more. Received: --set health=0."),
        (["--set", "health=50", "--set", "devices.strategy=mirrored"], "on one device, where the gradients"),
    ],
)
def test_what_cannot_be_looked_at_is_refused(toy_experiment, tmp_path, words, text, capsys):
    assert main(["train", str(toy_experiment), "--out", str(tmp_path / "m"), "--quiet", *words]) == 2
    assert text in capsys.readouterr().err
