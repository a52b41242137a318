"""The examples run as the reader is told to run them, one after the other in an empty folder."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from astropy.table import Table
from PIL import Image

from galcnn.cli.main import main
from galcnn.layers import LayerStack
from galcnn.model import Card

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"


@pytest.mark.full
def test_the_numbered_examples_run_in_order(tmp_path):
    for script in sorted(EXAMPLES.glob("[0-9]*.py")):
        done = subprocess.run(
            [sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True, timeout=600
        )
        assert done.returncode == 0, f"{script.name}: {done.stderr[-2000:]}"
    stack = LayerStack.read(tmp_path / "sim7-000003-layers.fits")
    assert {e.method for e in stack.explanations} == {"occlusion", "integrated_gradients", "cam"}
    assert (tmp_path / "spiral.png").exists()
    assert (tmp_path / "all-methods.png").exists()
    assert (tmp_path / "model" / "figures" / "worst.png").exists()
    assert (tmp_path / "sim7-000003-cam.png").exists()
    assert (tmp_path / "least-certain.png").exists()


def test_the_readme_names_every_example():
    told = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    names = [path.name for path in EXAMPLES.iterdir() if path.suffix in (".py", ".toml")]
    assert [name for name in names if f"`{name}`" not in told] == []


def test_the_experiment_files_are_valid():
    from galcnn.covariate_shift import read_shift
    from galcnn.experiment import Experiment, read_settings
    from galcnn.experiment.comparison import comparison_from

    comparison = EXAMPLES / "compare.toml"
    shifts = set(EXAMPLES.glob("shift_*.toml"))
    for path in shifts:
        assert read_shift(path).repeats >= 5, "fewer give no verdict"
    for path in set(EXAMPLES.glob("*.toml")) - shifts - {comparison}:
        assert Experiment.from_dict(read_settings(path)).data.catalog.endswith("labels.csv")
    names = ("batch", "stochastic", "mini-batch", "momentum", "nesterov", "adam")
    assert tuple(comparison_from(read_settings(comparison)).experiments) == names


@pytest.fixture(scope="module")
def zoo(real_data, tmp_path_factory):
    """A folder with labels.csv of 45 galaxies of each of five classes."""
    table = Table.read(real_data / "gz1" / "labels.csv")
    names = ("edge_on", "elliptical", "spiral_cw", "spiral_acw", "dont_know")
    rows = [row for name in names for row in np.flatnonzero(table["class_name"] == name)[:45]]
    few = table[rows]
    few["file"] = [str(real_data / "gz1" / file) for file in few["file"]]
    folder = tmp_path_factory.mktemp("zoo")
    few.write(folder / "labels.csv")
    return folder


def said(script, folder, *words):
    command = [sys.executable, str(script), *words]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.mark.full
def test_the_questions_to_a_galaxy_zoo_network_are_answered(zoo):
    """Of a network that has seen a hundred galaxies: the questions run, their answers mean nothing."""
    words = ["train", str(EXAMPLES / "galaxy_zoo.toml"), "--catalog", str(zoo / "labels.csv")]
    assert main([*words, "--out", str(zoo / "model"), "--epochs", "1", "--quiet"]) == 0
    for script, last in (("where", "occlusion"), ("clues", "of the other class")):
        told = said(EXAMPLES / f"galaxy_zoo_{script}.py", zoo, "model", "labels.csv", "6")
        assert re.search(rf"{last} +-?\d+\.\d+ \[-?\d+\.\d+, -?\d+\.\d+\]", told), told
    told = said(EXAMPLES / "all_methods.py", zoo, "model", "labels.csv", "all.png", "test")
    assert re.search(r"wrote all\.png: 6 galaxies, 1\d methods", told), told
    with Image.open(zoo / "all.png") as picture:
        assert np.asarray(picture.convert("L")).std() > 5


@pytest.mark.full
def test_the_recipe_tells_what_its_runs_scored(zoo):
    """One epoch each: a run that stands is not repeated, and the table is that of their test galaxies."""
    (zoo / "recipe").mkdir()
    script = shutil.copy(EXAMPLES / "galaxy_zoo_recipe.py", zoo / "recipe")
    short = (EXAMPLES / "galaxy_zoo.toml").read_text().replace("[training]", "[training]\nepochs = 1")
    (zoo / "recipe" / "galaxy_zoo.toml").write_text(short)
    for name in ("seed-0", "seed-1", "without dropout, seed-1", "seed-1"):
        assert said(script, zoo, "labels.csv", "runs", "--only", name) == ""
    cards = {
        name: Card.read(zoo / "runs" / name / "card.json") for name in ("seed-1", "without-dropout-seed-1")
    }
    assert [card.settings["network"]["dropout"] > 0 for card in cards.values()] == [True, False]
    told = said(script, zoo, "labels.csv", "runs", "--finished")
    right = {}
    for name in ("seed-0", "seed-1", "without dropout, seed-1"):
        table = Table.read(zoo / "runs" / name.replace(", ", "-").replace(" ", "-") / "test.ecsv")
        right[name] = np.mean(table["true_class"] == table["class"])
        assert re.search(rf"^{name} +{right[name]:.3f} ", told, re.MULTILINE), told
    mean = (right["seed-0"] + right["seed-1"]) / 2
    assert re.search(rf"^--prior catalog +{mean:.3f} \[", told[told.index("mean of 2 seeds") :], re.MULTILINE)
    less = right["without dropout, seed-1"] - right["seed-1"]
    minus = told[told.index("minus the same seeds") :]
    assert re.search(rf"^without dropout +{less:.3f} \[", minus, re.MULTILINE), told
