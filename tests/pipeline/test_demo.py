"""The demo in small: every promised thing is there, and the summary's figures are those of the files."""

import json

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from PIL import Image

from galcnn.catalog import read_catalog
from galcnn.files import load_cutout
from galcnn.layers import LayerStack
from galcnn.pipeline import DemoSettings, run_demo
from galcnn.prediction import predict


@pytest.fixture(scope="module")
def told():
    """What the demo says of the ready model."""
    return []


@pytest.fixture(scope="module")
def demo(tmp_path_factory, told):
    folder = tmp_path_factory.mktemp("demo") / "demo"
    settings = DemoSettings(number=60, new=12, explained=3, epochs=1, seed=3, jobs=1)
    return folder, run_demo(folder, settings=settings, ready=told.append)


def test_everything_lies_where_it_is_said_to_lie(demo):
    folder, summary = demo
    assert (folder / "summary.md").read_text() == summary
    assert len(read_catalog(folder / "catalog.ecsv")) == 60
    assert len(list((folder / "cutouts").glob("*.fits"))) == 60
    assert {"model.keras", "card.json"} <= {p.name for p in (folder / "model").iterdir()}
    layers = sorted((folder / "layers").glob("*layers*.fits"))
    assert len(layers) == 3
    with Image.open(folder / "galaxies.png") as picture:
        assert min(picture.size) > 500
        assert np.asarray(picture.convert("L")).std() > 20
    for path in layers:
        with fits.open(path, checksum=True) as hdus:
            hdus.verify("exception")


def test_the_summarys_figures_are_those_of_the_files(demo):
    folder, summary = demo
    card = json.loads((folder / "model" / "card.json").read_text())
    accuracy = card["metrics"]["test"]["accuracy"]
    assert f"accuracy {accuracy['value']:.3f} [{accuracy['low']:.3f}, {accuracy['high']:.3f}]" in summary
    results = Table.read(folder / "results.ecsv")
    share = np.mean(results["class"] == results["true_class"])
    assert f"12 new galaxies of another seed: accuracy {share:.3f}" in summary
    for path in (folder / "layers").glob("*.fits"):
        stack = LayerStack.read(path)
        row = results[results["id"] == stack.id][0]
        probability = stack.prediction.probabilities.max()
        assert row["class"] == stack.prediction.best[0]
        assert row[f"p_{row['class']}"] == pytest.approx(probability, rel=1e-4)
        assert f"| {stack.id} | {row['true_class']} | {row['class']} | {probability:.2f} |" in summary


def test_the_new_galaxies_are_new(demo):
    folder, _ = demo
    old = read_catalog(folder / "catalog.ecsv")
    new = read_catalog(folder / "new" / "catalog.ecsv")
    assert not set(old.ids) & set(new.ids)
    assert not set(np.round(old.table["mag_r"], 9)) & set(np.round(new.table["mag_r"], 9))


def test_a_second_run_goes_on_and_ends_the_same(demo):
    """Cutouts are kept; the model is trained again, on the same split from the same start."""
    folder, _ = demo
    stamps = {p.name: p.stat().st_mtime_ns for p in (folder / "cutouts").glob("*.fits")}
    card = json.loads((folder / "model" / "card.json").read_text())
    run_demo(folder, settings=DemoSettings(number=60, new=12, explained=3, epochs=1, seed=3, jobs=1))
    assert {p.name: p.stat().st_mtime_ns for p in (folder / "cutouts").glob("*.fits")} == stamps
    again = json.loads((folder / "model" / "card.json").read_text())
    assert again["data"]["sha256"] == card["data"]["sha256"]
    assert again["metrics"]["n_test"] == card["metrics"]["n_test"]


def test_the_model_that_ships_is_shown_on_the_new_galaxies_before(demo, told):
    folder, _ = demo
    (answers,) = told
    rows = [line.strip("| ").split(" | ") for line in answers.splitlines() if line.startswith("| sim")]
    assert len(rows) == 3
    new = read_catalog(folder / "new" / "catalog.ecsv")
    truth = dict(zip(new.ids, new.labels, strict=True))
    cutouts = [load_cutout(folder / "new" / "cutouts" / f"{row[0]}.fits") for row in rows]
    answers = predict("simulated", cutouts)
    for row, best, probabilities in zip(rows, answers.best, answers.probabilities, strict=True):
        assert row[1:] == [truth[row[0]], best, f"{probabilities.max():.2f}"]
    with Image.open(folder / "ready.png") as picture:
        assert min(picture.size) > 500
