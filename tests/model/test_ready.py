"""Models by name: which ship, what their cards say, and that a name stands for its folder everywhere."""

import json
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from astropy.table import Table
from PIL import Image

from galcnn import load_model, save_model
from galcnn.cli.main import main
from galcnn.cutout import Cutout
from galcnn.experiment import calibrate
from galcnn.files import save_cutout
from galcnn.model import model_folder, read_card, ready_models
from galcnn.model.pretrained import resolve
from galcnn.pipeline import known_models
from galcnn.uncertainty import UncertaintyRecord

READY = ready_models()


@pytest.fixture(scope="module")
def picture(tmp_path_factory):
    """A picture of a red blob, as large as those of Galaxy Zoo here."""
    y, x = np.indices((96, 96)) - 47.5
    blob = 220 * np.exp(-(x**2 + 2 * y**2) / 200)
    pixels = np.stack([blob, 0.8 * blob, 0.5 * blob], axis=-1) + np.random.default_rng(0).uniform(
        0, 12, (96, 96, 3)
    )
    path = tmp_path_factory.mktemp("pictures") / "blob.png"
    Image.fromarray(pixels.astype(np.uint8)).save(path)
    return path


def test_all_that_ships_is_small():
    """At most 4 MB, and nothing but a network, its card and its uncertainty: no image, no table."""
    files = [file for folder in READY.values() for file in folder.iterdir()]
    assert {file.name for file in files} <= {"model.keras", "card.json", "uncertainty.json"}
    assert sum(file.stat().st_size for file in files) <= 4_000_000


@pytest.mark.parametrize("name", READY)
def test_a_card_says_what_the_model_is(name):
    card = read_card(name)
    assert card.name == name
    for key in ("survey", "pixels", "labels", "licence", "cite", "not_for", "counts", "sha256"):
        assert card.data[key], key
    scores = list(card.metrics["test"].values())
    assert scores
    assert all({"value", "low", "high", "n"} <= set(score) for score in scores)
    assert (READY[name] / "uncertainty.json").exists() == (card.votes is None)


@pytest.mark.parametrize("name", READY)
def test_no_file_holds_a_path_of_a_machine_or_the_state_of_an_optimizer(name):
    for file in READY[name].iterdir():
        assert not re.findall(rb"/(?:home|root|tmp|work|mnt|Users)/[\w./-]+", file.read_bytes()), file
    model = load_model(name).model
    weights = sum(int(np.prod(one.shape)) for one in model.weights)
    assert (READY[name] / "model.keras").stat().st_size < 4 * weights + 250_000


def test_a_name_is_the_folder_everywhere(picture, tmp_path, capsys):
    """The answers by name and by folder are equal, from Python and from the command line."""
    image = str(picture)
    for model, out in (("gz1", "name.csv"), (str(READY["gz1"]), "folder.csv")):
        assert main(["classify", model, image, "--out", str(tmp_path / out), "--quiet"]) == 0
    named, by_folder = (Table.read(tmp_path / out) for out in ("name.csv", "folder.csv"))
    assert named["class"][0] == by_folder["class"][0]
    assert named["entropy"][0] == by_folder["entropy"][0]
    assert {"set", "distance"} <= set(named.colnames), "with its uncertainty record"
    assert resolve("gz1").sha256 == read_card("gz1").model_sha256
    capsys.readouterr()
    assert main(["info", "gz1"]) == 0
    told = capsys.readouterr().out
    assert "cite" in told
    assert "not for       mergers" in told
    assert main(["profile", "gz1"]) == 0
    assert main(["classify", "gz1", image, "--quiet"]) == 0
    told = capsys.readouterr().out
    assert named["class"][0] in told, "without --out, on the screen"
    assert "wrote" not in told


def test_a_folder_of_that_name_comes_first(trained, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "gz1").mkdir()
    assert model_folder("gz1") == READY["gz1"], "a folder of data is no model"
    save_model(trained, "gz1")
    assert load_model("gz1").card.classes == ("round", "thin")


def test_what_ships_is_not_changed(tmp_path):
    before = {file: file.read_bytes() for file in READY["gz1"].iterdir()}
    with pytest.raises(ValueError, match=r"a model of your own.*ships with galcnn"):
        calibrate("gz1", catalog=tmp_path / "labels.csv")
    assert {file: file.read_bytes() for file in READY["gz1"].iterdir()} == before


def test_a_name_that_is_no_model_is_told_the_names():
    with pytest.raises(FileNotFoundError, match=r"Model folder not found: gz9\. .*gz1"):
        load_model("gz9")
    with pytest.raises(FileNotFoundError, match="gz1"):
        resolve("gz9")


def test_models_are_listed_and_judged_by_an_image(picture, trained, tmp_path, capsys):
    save_model(trained, tmp_path / "mine")
    mine = str(tmp_path / "mine")
    of_picture = {one.name: one for one in known_models(tmp_path, image=[picture])}
    assert of_picture.keys() == {*READY, mine}
    assert (of_picture["gz1"].fits, of_picture["gz1"].needs, of_picture["gz1"].ships) == (True, "", True)
    assert (of_picture[mine].fits, of_picture[mine].ships) == (False, False)
    assert "holds no flux" in of_picture[mine].reason
    Image.open(picture).resize((200, 200)).save(tmp_path / "large.png")
    large = {one.name: one for one in known_models(tmp_path, image=[tmp_path / "large.png"])}["gz1"]
    assert (large.fits, large.needs) == (True, "--fit")
    assert "an image of (96, 96) pixels" in large.reason
    save_cutout(Cutout(np.ones((2, 20, 20)), ("g", "r")), tmp_path / "gr.fits")
    of_fits = {one.name: one for one in known_models(tmp_path, image=[tmp_path / "gr.fits"])}
    assert of_fits["gz1"].fits is False
    assert (of_fits[mine].fits, of_fits[mine].needs) == (True, "--fit")
    assert main(["--json", "models", str(tmp_path), "--for", str(picture)]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)["result"]["models"]}
    assert (rows["gz1"]["fits"], rows[mine]["fits"]) == (True, False)
    with pytest.raises(NotADirectoryError):
        known_models(tmp_path / "none")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "card.json").write_text("{}")
    broken = {one.name: one for one in known_models(tmp_path)}[str(tmp_path / "broken")]
    assert broken.card is None
    assert "a model card" in broken.reason


def test_a_record_of_another_model_is_refused(tmp_path):
    """The record that ships belongs to the network that ships."""
    record = UncertaintyRecord.read(READY["gz1"], read_card("gz1").model_sha256)
    assert record is not None
    shutil.copytree(READY["gz1"], tmp_path / "copy")
    assert load_model(tmp_path / "copy").card == read_card("gz1")


def test_a_picture_of_galaxy_zoo_is_classified(real_data, tmp_path, capsys):
    labels = Table.read(real_data / "gz1" / "labels.csv")
    rows = np.flatnonzero(np.isin(labels["class_name"], ["elliptical", "edge_on"]))[:20]
    files = [str(real_data / "gz1" / labels["file"][row]) for row in rows]
    out = tmp_path / "classes.csv"
    assert main(["classify", "gz1", *files, "--out", str(out), "--quiet"]) == 0
    answers = Table.read(out)["class"]
    assert np.mean(answers == labels["class_name"][rows]) > 0.6


@pytest.mark.full
def test_a_wheel_holds_the_models_and_the_label_page(tmp_path):
    """What pip installs, built from the checkout as it is, with setuptools of this environment."""
    root = Path(__file__).resolve().parents[2]
    shutil.copytree(
        root / "galcnn", tmp_path / "source" / "galcnn", ignore=shutil.ignore_patterns("__pycache__")
    )
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(root / name, tmp_path / "source")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    done = subprocess.run(
        [*command, "--wheel-dir", str(tmp_path), str(tmp_path / "source")], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        held = {name: archive.getinfo(name).file_size for name in archive.namelist()}
    for name, folder in READY.items():
        for file in folder.iterdir():
            assert held[f"galcnn/model/shipped/{name}/{file.name}"] == file.stat().st_size
    assert "galcnn/pipeline/label_page.html" in held
    assert not [name for name in held if name.endswith((".jpg", ".jpeg", ".csv"))], "no image, no label table"
