"""`galcnn report --figures`: from tables of answers and histories to pictures, without a network."""

import json
from dataclasses import replace

import numpy as np
import pytest
from astropy.table import Table
from PIL import Image

from galcnn.catalog import write_table
from galcnn.cli.main import main
from galcnn.evaluation import rankings
from galcnn.pipeline import images_of_table
from galcnn.prediction import Prediction
from galcnn.report import Known, draw_run
from galcnn.report.figures import answers_of
from tests.viewers.test_score_figures import history

CLASSES = ("elliptical", "spiral")
SCORES = {"confusion.png", "reliability.png", "roc.png", "precision_recall.png"}
TABLES = {"reliability.ecsv", "ranking.ecsv"}


def answers(n=40, seed=0):
    rng = np.random.default_rng(seed)
    truth = rng.integers(2, size=n)
    logits = rng.normal(size=(n, 2)) + 1.5 * np.eye(2)[truth]
    logits[0] = np.nan
    return Prediction(tuple(f"g{i}" for i in range(n)), logits, CLASSES), [CLASSES[k] for k in truth]


@pytest.fixture
def folder(tmp_path):
    """As `galcnn train` leaves it, with pictures that tell which galaxy they are of."""
    prediction, labels = answers()
    table = prediction.to_table()
    table.add_column(labels, name="true_class", index=1)
    (tmp_path / "model").mkdir()
    write_table(table, tmp_path / "model" / "test.ecsv")
    history().write(tmp_path / "model" / "history.csv")
    (tmp_path / "images").mkdir()
    for i in range(1, 30):
        shades = np.full((12, 12, 3), 5 * i, dtype=np.uint8)
        Image.fromarray(shades).save(tmp_path / "images" / f"g{i}.png")
    (tmp_path / "images" / "g3.png").write_bytes(b"no picture")
    return tmp_path


def words(folder):
    return ["report", str(folder / "model"), "--figures", "--out", str(folder / "model" / "figures")]


def test_true_classes_may_come_from_a_catalog(folder):
    prediction, labels = answers()
    write_table(prediction.to_table(), folder / "classes.csv")
    Table({"id": [f"g{i}" for i in range(30)], "kind": labels[:30]}).write(folder / "labels.csv")
    asked = ["report", str(folder / "classes.csv"), "--figures", "--out", str(folder / "out")]
    asked += ["--catalog", str(folder / "labels.csv"), "--label", "kind", "--images", str(folder / "images")]
    assert main([*asked, "--quiet"]) == 0
    table = Table.read(folder / "out" / "ranking.ecsv")
    expected = rankings(prediction.select(range(1, 30)), labels[1:30])
    np.testing.assert_allclose(table["roc_area"], [one.roc.area.value for one in expected])
    assert (folder / "out" / "worst.png").exists()


def test_answers_come_back_from_the_table(folder):
    prediction, labels = answers()
    read, read_labels = answers_of(folder / "model" / "test.ecsv")
    assert read.ids == prediction.ids
    assert read_labels == labels
    np.testing.assert_allclose(read.probabilities, prediction.probabilities, rtol=1e-6)
    assert np.isnan(read.probabilities[0]).all()


def test_everything_is_drawn(folder, capsys):
    assert main([*words(folder), "--images", str(folder / "images"), "--quiet"]) == 0
    made = {path.name for path in (folder / "model" / "figures").glob("[!.]*")}
    assert made == SCORES | TABLES | {"learning.png", "confident.png", "uncertain.png", "worst.png"}
    assert capsys.readouterr().out.count("wrote ") == len(made)
    table = Table.read(folder / "model" / "figures" / "ranking.ecsv")
    prediction, labels = answers()
    expected = rankings(prediction.select(range(1, 40)), labels[1:])
    np.testing.assert_allclose(table["roc_area"], [one.roc.area.value for one in expected])
    np.testing.assert_allclose(table["roc_area_low"], [one.roc.area.low for one in expected])


def test_without_images_or_truth_less_is_drawn(folder):
    written, trouble = draw_run(folder / "model", folder / "out")
    assert "does not say where the images are" in trouble
    assert {path.name for path in written} == SCORES | TABLES | {"learning.png"}
    prediction, _ = answers()
    write_table(prediction.to_table(), folder / "classes.csv")
    written, trouble = draw_run(
        folder / "classes.csv", folder / "figures", known=Known(images=folder / "images")
    )
    assert {path.name for path in written} == {"confident.png", "uncertain.png"}
    assert trouble == ""


def test_images_are_found_by_the_card_and_a_catalog(folder):
    Table({"objid": ["g1", "g2"], "file": ["images/g1.png", "images/g2.png"]}).write(folder / "labels.csv")
    columns = {"image": "file", "id": "objid"}
    table = folder / "model" / "test.ecsv"
    files, _ = images_of_table(table, ["g1"], catalog=folder / "labels.csv", columns=columns)
    assert files.paths == {name: (folder / "images" / f"{name}.png",) for name in ("g1", "g2")}
    with pytest.raises(ValueError, match="does not say where the images are"):
        images_of_table(table, ["g1"])
    with pytest.raises(ValueError, match="a column 'image'"):
        images_of_table(table, ["g1"], catalog=folder / "labels.csv")


def test_a_folder_with_nothing_to_draw_is_refused(tmp_path, capsys):
    asked = ["report", str(tmp_path), "--figures", "--out", str(tmp_path / "out")]
    assert main(asked) == 2
    assert "a folder with history.csv" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
    (tmp_path / "a.json").write_text(json.dumps({}))
    assert main([*asked, "--images", str(tmp_path), "--catalog", "x.csv"]) == 2
    assert main([*asked, str(tmp_path)]) == 2


def test_a_catalog_of_the_training_that_is_gone_is_said(folder, trained, capsys):
    settings = {"data": {"catalog": str(folder / "gone.ecsv")}}
    replace(trained.card, settings=settings).write(folder / "model" / "card.json")
    with pytest.raises(FileNotFoundError, match="the catalog that the model was trained on"):
        images_of_table(folder / "model" / "test.ecsv", ["g1"])
    assert main([*words(folder), "--quiet"]) == 0
    said = capsys.readouterr()
    assert "no contact sheets: " in said.err
    assert "gone.ecsv" in said.err
    assert said.out.count("wrote ") == len(SCORES | TABLES) + 1
    assert main([*words(folder), "--catalog", str(folder / "gone.ecsv"), "--quiet"]) == 2
