"""The examples run as the reader is told to run them, one after the other in an empty folder."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from astropy.table import Table

from galcnn.cli.main import main
from galcnn.layers import LayerStack

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"


@pytest.mark.full
def test_the_numbered_examples_run_in_order(tmp_path):
    for script in sorted(EXAMPLES.glob("[0-9]*.py")):
        done = subprocess.run(
            [sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True, timeout=600
        )
        assert done.returncode == 0, f"{script.name}: {done.stderr[-2000:]}"
    stack = LayerStack.read(tmp_path / "sim7-000003-layers.fits")
    assert {e.method for e in stack.explanations} == {"saliency", "cam"}
    assert (tmp_path / "spiral.png").exists()
    assert (tmp_path / "all-methods.png").exists()


def test_the_experiment_files_are_valid():
    from galcnn.experiment import Experiment
    from galcnn.experiment.settings import read_settings
    from galcnn.shift.experiment import read_shift
    from galcnn.studies.compare import comparison_from

    comparison = EXAMPLES / "compare.toml"
    shifts = set(EXAMPLES.glob("shift_*.toml"))
    for path in shifts:
        assert read_shift(path).seeds >= 5, "fewer give no verdict"
    for path in set(EXAMPLES.glob("*.toml")) - shifts - {comparison}:
        assert Experiment.from_file(path).data.catalog.endswith("labels.csv")
    names = ("batch", "stochastic", "mini-batch", "momentum", "nesterov", "adam")
    assert tuple(comparison_from(read_settings(comparison)).experiments) == names


@pytest.mark.full
def test_the_questions_to_a_galaxy_zoo_network_are_answered(real_data, tmp_path):
    """Of a network that has seen a hundred galaxies: the questions run, their answers mean nothing."""
    table = Table.read(real_data / "gz1" / "labels.csv")
    names = ("edge_on", "elliptical", "spiral_cw", "spiral_acw", "dont_know")
    rows = [row for name in names for row in np.flatnonzero(table["class_name"] == name)[:45]]
    few = table[rows]
    few["file"] = [str(real_data / "gz1" / file) for file in few["file"]]
    few.write(tmp_path / "labels.csv")
    words = ["train", str(EXAMPLES / "galaxy_zoo.toml"), "--catalog", str(tmp_path / "labels.csv")]
    assert main([*words, "--out", str(tmp_path / "model"), "--epochs", "1", "--quiet"]) == 0
    for script, last in (("where", "occlusion"), ("clues", "of the other class")):
        command = [sys.executable, str(EXAMPLES / f"galaxy_zoo_{script}.py"), "model", "labels.csv", "6"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, done.stderr[-2000:]
        assert re.search(rf"{last} +-?\d+\.\d+ \[-?\d+\.\d+, -?\d+\.\d+\]", done.stdout), done.stdout
