"""galcnn health: signals at initialisation."""

import numpy as np
import pytest
from astropy.table import Table

from galcnn.cli.main import main


def test_plain_stacks_are_summed_up_drawn_and_written(tmp_path, capsys):
    words = ["--activation", "relu", "--initializer", "he_normal", "--initializer", "glorot_normal"]
    out = tmp_path / "signals"
    words += ["--depth", "12", "--width", "64", "--draws", "3", "--out", str(out)]
    assert main(["health", "--init", *words]) == 0
    shown = capsys.readouterr().out
    assert "kept" in shown
    assert "vanishes" in shown
    assert (out / "initialisation.png").stat().st_size > 10_000
    table = Table.read(out / "relu-glorot_normal-12.ecsv")
    np.testing.assert_allclose(table["variance_theory"], 0.5 ** np.arange(12))


def test_an_experiment_is_measured_layer_by_layer(toy_experiment, tmp_path, capsys):
    out = tmp_path / "signals"
    assert (
        main(["health", str(toy_experiment), "--init", "--initializer", "lecun_normal", "--out", str(out)])
        == 0
    )
    assert "network/conv1_1" in capsys.readouterr().out
    table = Table.read(out / "experiment.ecsv")
    assert set(table["initializer"]) == {"LecunNormal"}
    np.testing.assert_allclose(table["weight_theory"], 1 / table["fan_in"])


@pytest.mark.parametrize("words", [[], ["--init", "nothing.toml"], ["--init", "--initializer", "he_norml"]])
def test_what_it_cannot_do_is_said(words, capsys):
    assert main(["health", *words]) == 2
    assert "Expected" in capsys.readouterr().err
