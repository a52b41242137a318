"""Catalogs are checked when they are made; every table format gives the same back."""

import astropy.units as u
import numpy as np
import pytest
from astropy.table import QTable, Table

from galcnn.catalog import FORMATS, Catalog, read_catalog, relabel, write_table


def table(**columns):
    base = {"id": ["a", "b", "c"], "class": ["spiral", "elliptical", "spiral"]}
    return QTable(base | columns)


def test_known_columns_are_converted_and_others_carried():
    catalog = Catalog(table(ra=[0.1, 0.2, 0.3] * u.hourangle, dec=[1, 2, 3], mag=[1.0, 2.0, 3.0]))
    assert catalog.positions[1].ra.deg == pytest.approx(3.0)
    assert catalog.positions[2].dec.deg == pytest.approx(3.0)
    assert catalog.classes == ("elliptical", "spiral")
    assert catalog.select([2, 0]).ids == ["c", "a"]
    assert catalog.select(np.array([True, False, True])).table["mag"].tolist() == [1.0, 3.0]


def test_the_users_table_is_not_touched():
    mine = table()
    catalog = Catalog(mine).with_column("split", ["train", "test", "train"])
    assert "split" not in mine.colnames
    assert catalog.table["split"][1] == "test"


@pytest.mark.parametrize(
    ("columns", "text"),
    [
        ({"id": ["a", "a", "b"]}, r"unique ids.*repeated=\['a'\]"),
        ({"id": ["a", "", "b"]}, "an id in every row"),
        ({"dec": [0.0, 91.0, 0.0]}, "Are ra and dec swapped"),
        ({"ra": [0.0, np.nan, 0.0]}, "finite degrees in 'ra'"),
        ({"split": ["train", "dev", "test"]}, r"split=\['dev'\]"),
        ({"class": ["x", "y\nz", "z"]}, "printable text in 'class'"),
    ],
)
def test_bad_columns_are_refused(columns, text):
    with pytest.raises(ValueError, match=text):
        Catalog(table(**columns))


def test_a_table_without_ids_is_refused():
    with pytest.raises(ValueError, match="a column 'id'"):
        Catalog(QTable({"name": ["a"]}))


@pytest.mark.parametrize("suffix", FORMATS)
def test_round_trip_in_every_format(tmp_path, suffix):
    path = tmp_path / f"t{suffix}"
    columns = {"id": ["588848901537202306", "ngc 1300"], "class": ["merger", "spiral"], "z": [0.1, 1e-12]}
    write_table(Table(columns), path)
    back = read_catalog(path)
    assert back.ids == columns["id"]
    assert back.labels.tolist() == columns["class"]
    assert back.table["z"].tolist() == columns["z"]
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_big_integers_stay_whole_and_paths_are_found_beside_the_file(tmp_path):
    path = tmp_path / "labels.csv"
    path.write_text("file,objid,kind\nimages/x.jpg,588848901537202306,spiral\n")
    catalog = read_catalog(path, columns={"id": "objid", "image": "file", "class": "kind"})
    assert catalog.ids == ["588848901537202306"]
    assert catalog.table["image"][0] == str(tmp_path / "images" / "x.jpg")
    assert read_catalog(path, columns={"image": "file"}).ids == ["588848901537202306"]


def test_ids_fall_back_to_the_images_stem(tmp_path):
    path = tmp_path / "labels.csv"
    path.write_text("file,kind\na/x.jpg,spiral\na/y.jpg,merger\n")
    assert read_catalog(path, columns={"image": "file"}).ids == ["x", "y"]


def test_unreadable_catalogs_say_why(tmp_path):
    with pytest.raises(FileNotFoundError, match="Expected a catalog file"):
        read_catalog(tmp_path / "no.csv")
    with pytest.raises(ValueError, match=r"a table file ending in .*\.ecsv"):
        read_catalog(tmp_path / "no.txt")
    (tmp_path / "bad.fits").write_text("<html>")
    with pytest.raises(ValueError, match="a readable fits table"):
        read_catalog(tmp_path / "bad.fits")
    (tmp_path / "empty.csv").write_text("id,class\n")
    with pytest.raises(ValueError, match="at least one row"):
        read_catalog(tmp_path / "empty.csv")
    (tmp_path / "ok.csv").write_text("id,kind\n1,x\n")
    with pytest.raises(ValueError, match=r"a column 'clas' in ok.csv.*columns=\['id', 'kind'\]"):
        read_catalog(tmp_path / "ok.csv", columns={"class": "clas"})


def test_relabel_merges_and_drops():
    catalog = Catalog(QTable({"id": list("abcde"), "class": ["cw", "acw", "e", "star", "cw"]}))
    new = relabel(catalog, merge={"spiral": ["cw", "acw"]}, drop=["star"])
    assert new.ids == ["a", "b", "c", "e"]
    assert new.labels.tolist() == ["spiral", "spiral", "e", "spiral"]
    with pytest.raises(ValueError, match=r"unknown=\['ccw'\]"):
        relabel(catalog, merge={"spiral": ["ccw"]})
    with pytest.raises(ValueError, match="merged or dropped once"):
        relabel(catalog, merge={"spiral": ["cw"]}, drop=["cw"])


def test_merging_into_a_name_that_exists_keeps_both():
    catalog = Catalog(QTable({"id": list("abc"), "class": ["spiral", "cw", "e"]}))
    assert relabel(catalog, merge={"spiral": ["cw"]}).labels.tolist() == ["spiral", "spiral", "e"]


def test_gaps_in_the_class_are_refused_where_classes_are_needed(tmp_path):
    """A table of answers has gaps, and is a catalog all the same."""
    for column in (np.ma.array(["x", "y", "z"], mask=[0, 1, 0]), np.array([0.0, np.nan, 1.0])):
        catalog = Catalog(table(**{"class": column}))
        assert catalog.table["class"][1] == ""
        with pytest.raises(ValueError, match=r"a class in every row.*missing=1"):
            _ = catalog.labels
    assert Catalog(table(**{"class": np.array([0.0, 2.0, 1.0])})).labels.tolist() == ["0", "2", "1"]


def test_text_in_csv_is_not_taken_for_numbers(tmp_path):
    path = tmp_path / "c.csv"
    path.write_text("id,kind,flux\n00042,1e3,1e3\n42,100E3,2\nNA,x,\n")
    catalog = read_catalog(path, columns={"class": "kind"})
    assert catalog.ids == ["00042", "42", "NA"]
    assert catalog.labels.tolist() == ["1e3", "100E3", "x"]
    assert catalog.table["flux"][0] == 1000.0


def test_letters_that_fits_does_not_have_become_escapes(tmp_path):
    write_table(Table({"id": ["gäl", "b"]}), tmp_path / "t.fits")
    assert read_catalog(tmp_path / "t.fits").ids == ["g\\xe4l", "b"]
    write_table(Table({"id": ["gäl", "b"]}), tmp_path / "t.ecsv")
    assert read_catalog(tmp_path / "t.ecsv").ids == ["gäl", "b"]
