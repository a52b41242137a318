"""The galaxies of a model's experiment: its columns, its classes, its split, and a catalog that is gone."""

from dataclasses import replace

import numpy as np
import pytest
from astropy.table import QTable
from PIL import Image

from galcnn.catalog import Catalog
from galcnn.dataset import split_catalog
from galcnn.experiment import galaxies_of, read_settings
from galcnn.experiment.data import data_of
from galcnn.model import Card, InputSpec

LABELS = ["round", "thin", "star", "disc"] * 20
DATA = {
    "catalog": "gone.csv",
    "image_column": "file",
    "label": "kind",
    "id": "name",
    "merge": {"flat": ["thin", "disc", "needle"]},
    "drop": ["star", "comet"],
    "split_by": "object",
    "fractions": [0.6, 0.2, 0.2],
}


@pytest.fixture
def card(trained):
    return replace(trained.card, settings={"data": DATA, "seed": 4})


@pytest.fixture
def table(tmp_path):
    ids = [f"g{i}" for i in range(80)]
    made = QTable({"name": ids, "kind": LABELS, "file": [f"{name}.fits" for name in ids]})
    made.write(tmp_path / "all.ecsv")
    return tmp_path / "all.ecsv"


def test_classes_are_merged_and_those_without_one_are_no_fault(card, table):
    found = galaxies_of(card, table)
    assert found.ids == [f"g{i}" for i in range(80)]
    assert found.labels.tolist() == ["round", "flat", "star", "flat"] * 20
    assert found.table["image"][3] == str(table.parent / "g3.fits")
    kept = galaxies_of(card, table, labelled=True)
    assert kept.labels.tolist() == ["round", "flat", "flat"] * 20
    assert galaxies_of(None, table, columns={"image": "file", "class": "kind"}).labels.tolist() == LABELS


def test_galaxies_without_a_class_are_left_out_and_counted(card, tmp_path):
    kinds = ["", *LABELS[1:5], "NaN", *LABELS[6:]]
    made = QTable({"name": [f"g{i}" for i in range(80)], "kind": kinds, "file": ["x.fits"] * 80})
    made.write(tmp_path / "gaps.ecsv")
    kept = galaxies_of(card, tmp_path / "gaps.ecsv", labelled=True)
    assert len(kept) == 58
    assert not {"g0", "g5"} & set(kept.ids)
    assert kept.table.meta["notes"] == ["Galaxies without a class were left out: 2."]
    assert len(galaxies_of(card, tmp_path / "gaps.ecsv")) == 80
    sides = [
        galaxies_of(card, tmp_path / "gaps.ecsv", split=side) for side in ("train", "validation", "test")
    ]
    assert sorted(name for side in sides for name in side.ids) == sorted(kept.ids)


def test_a_side_is_that_of_the_training(card, table):
    labels = np.array(["round", "flat", "star", "flat"] * 20)
    kept = np.flatnonzero(labels != "star")
    own = Catalog(QTable({"id": [f"g{i}" for i in kept], "class": labels[kept]}))
    split = np.asarray(split_catalog(own, by="object", fractions=(0.6, 0.2, 0.2), seed=4).table["split"])
    for side, n in (("train", 36), ("validation", 12), ("test", 12)):
        found = galaxies_of(card, table, split=side)
        assert found.ids == [name for name, one in zip(own.ids, split, strict=True) if one == side]
        assert len(found) == n
    with pytest.raises(ValueError, match="a split among"):
        galaxies_of(card, table, split="dev")


def test_more_galaxies_of_a_seed_hold_those_of_fewer(card, table):
    few, more = (galaxies_of(card, table, split="test", n=n, seed=1) for n in (3, 6))
    assert len(few) == 3
    assert more.ids[:3] == few.ids
    assert galaxies_of(card, table, split="test", n=3, seed=2).ids != few.ids


def test_columns_of_the_training_that_a_file_lacks_are_no_fault_but_those_asked_for_are(card, tmp_path):
    QTable({"id": ["a", "b"], "image": ["a.fits", "b.fits"]}).write(tmp_path / "bare.ecsv")
    assert galaxies_of(card, tmp_path / "bare.ecsv").ids == ["a", "b"]
    with pytest.raises(ValueError, match="a catalog with classes"):
        galaxies_of(card, tmp_path / "bare.ecsv", labelled=True)
    with pytest.raises(ValueError, match="how its catalog was split"):
        galaxies_of(card, tmp_path / "bare.ecsv", split="test")
    with pytest.raises(ValueError, match="a column 'path'"):
        galaxies_of(card, tmp_path / "bare.ecsv", columns={"image": "path"})
    QTable({"id": ["a"]}).write(tmp_path / "none.ecsv")
    with pytest.raises(ValueError, match="in a column 'image' or another"):
        galaxies_of(card, tmp_path / "none.ecsv")


def test_a_model_without_an_experiment_has_no_split(trained, table):
    with pytest.raises(ValueError, match="how its catalog was split"):
        galaxies_of(trained.card, table, columns={"image": "file", "class": "kind"}, split="test")
    with pytest.raises(ValueError, match="whose card names its catalog"):
        data_of(trained.card)


@pytest.mark.parametrize("opened", [galaxies_of, data_of])
def test_a_catalog_that_is_gone_is_said(card, opened):
    with pytest.raises(FileNotFoundError, match=r"gone\.csv.*--catalog"):
        opened(card)


def test_images_are_those_of_the_training_unless_others_are_named(card, table, tmp_path):
    folder = tmp_path / "cutouts"
    card.settings["data"] = DATA | {"catalog": str(table), "images": str(folder)}
    with pytest.raises(FileNotFoundError, match=r"trained on.*--images"):
        galaxies_of(card)
    folder.mkdir()
    found = galaxies_of(card, n=5)
    assert found.images == {name: (folder / f"{name}.fits",) for name in found.ids}
    assert galaxies_of(card, table).table["image"][3] == str(table.parent / "g3.fits")
    assert galaxies_of(card, folder=tmp_path).table["image"][3] == str(table.parent / "g3.fits")


def test_images_of_the_training_may_be_named_by_the_ids(card, tmp_path):
    QTable({"name": ["a", "b"], "kind": ["round", "thin"]}).write(tmp_path / "ids.ecsv")
    (tmp_path / "cutouts").mkdir()
    (tmp_path / "cutouts" / "b.png").touch()
    own = {"catalog": str(tmp_path / "ids.ecsv"), "images": str(tmp_path / "cutouts")}
    card.settings["data"] = DATA | own | {"image_column": "image"}
    expected = {"a": (tmp_path / "cutouts" / "a.fits",), "b": (tmp_path / "cutouts" / "b.png",)}
    assert galaxies_of(card).images == expected


def test_the_data_of_a_model_may_be_read_from_another_folder(toy_experiment, tmp_path):
    for path in toy_experiment.parent.glob("*.png"):
        Image.fromarray(255 - np.asarray(Image.open(path))).save(tmp_path / path.name)
    card = Card(("round", "thin"), InputSpec(("R", "G", "B"), "display", (16, 16)))
    card = replace(card, settings=read_settings(toy_experiment))
    here, there = data_of(card), data_of(card, folder=tmp_path)
    for side in ("train", "validation", "test"):
        np.testing.assert_array_equal(there.sides[side].images, 255 - here.sides[side].images)
