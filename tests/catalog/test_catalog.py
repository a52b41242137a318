"""Catalogs are checked when they are made; every table format gives the same back."""

import astropy.units as u
import numpy as np
import pytest
from astropy.table import QTable, Table
from astropy.utils.masked import Masked

from galcnn.catalog import Catalog, read_catalog, write_catalog, write_table
from galcnn.catalog.formats import FORMATS


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
        ({"ra": np.ma.array([1.0, 2.0, 3.0], mask=[0, 1, 0])}, "finite degrees in 'ra'"),
        ({"ra": Masked([1.0, 2.0, 3.0] * u.deg, mask=[0, 1, 0])}, "finite degrees in 'ra'"),
        ({"ra": [1.0, 2.0, 3.0] * u.km}, "an angle in 'ra'.*unit='km'"),
        ({"ra": ["12:30:00", "1", "2"]}, "sexagesimal angles in 'ra'.*row=2, received='1'"),
        ({"ra": ["1", "2", "x"]}, "numbers in 'ra'.*row=3, received='x'"),
        ({"ra": [1.0, 361.0, 2.0]}, r"right ascensions from -180 to 360 deg.*row=2, received=361.0"),
        ({"redshift": ["near", "0.1", "0.2"]}, "numbers in 'redshift'"),
        ({"redshift": [100.0, 200.0, 300.0] * u.km / u.s}, "Divide velocities by the speed of light"),
        ({"id": [588848901537202306.0, 1.0, 2.0]}, "A float of this size has lost its last digits"),
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
    with pytest.raises(FileNotFoundError, match=r"File not found: .*\."):
        read_catalog(tmp_path / "no.csv")
    with pytest.raises(ValueError, match=r"a table file ending in .*\.ecsv"):
        read_catalog(tmp_path / "no.doc")
    (tmp_path / "bad.fits").write_text("<html>")
    with pytest.raises(ValueError, match="a readable fits table"):
        read_catalog(tmp_path / "bad.fits")
    (tmp_path / "empty.csv").write_text("id,class\n")
    with pytest.raises(ValueError, match="at least one row"):
        read_catalog(tmp_path / "empty.csv")
    (tmp_path / "ok.csv").write_text("id,kind\n1,x\n")
    with pytest.raises(ValueError, match=r"a column 'clas' in ok.csv.*columns=\['id', 'kind'\]"):
        read_catalog(tmp_path / "ok.csv", columns={"class": "clas"})


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


def test_odd_redshifts_are_kept_and_refused_where_a_redshift_is_needed():
    """Andromeda comes nearer; 0 and a gap are what tables write for "unknown"."""
    odd = np.ma.array([-0.001, 0.0, 0.02], mask=[0, 0, 1])
    catalog = Catalog(table(redshift=odd))
    assert catalog.table["redshift"].tolist() == [-0.001, 0.0, None]
    with pytest.raises(
        ValueError, match=r"a redshift above 0 in every row.*n_without=3, ids=\['a', 'b', 'c'\]"
    ):
        _ = catalog.redshifts
    assert Catalog(table(redshift=[0.1, 2.0, 1e-4])).redshifts.tolist() == [0.1, 2.0, 1e-4]
    with pytest.raises(ValueError, match="a column 'redshift'"):
        _ = Catalog(table()).redshifts


def everything():
    """What a table of galaxies can hold, with gaps in each kind of column."""
    return QTable(
        {
            "id": ["588848901537202306", "ngc 1300 ü銀", "back\\slash \\xe9"],
            "ra": [1.0, 2.0, 359.9999999999999] * u.deg,
            "dec": [-90.0, 0.1 + 0.2, 90.0] * u.deg,
            "majax": Masked([1.5, 2.5, 3.5] * u.arcmin, mask=[0, 1, 0]),
            "mag": np.ma.array([1.0, 2.0, 1 / 3], mask=[1, 0, 0]),
            "n": np.ma.array([1, 2, 2**60 + 1], mask=[0, 1, 0]),
            "flag": np.ma.array([True, False, True], mask=[0, 1, 0]),
            "remark": np.ma.array(["aé", "b", "c"], mask=[0, 1, 0]),
            "big": np.array([2**62 + 1, 5, -6]),
        }
    )


@pytest.mark.parametrize("suffix", FORMATS)
def test_units_gaps_letters_and_every_digit_survive_every_format(tmp_path, suffix):
    catalog = Catalog(everything())
    write_catalog(catalog, tmp_path / f"t{suffix}")
    back = read_catalog(tmp_path / f"t{suffix}")
    assert back.ids == catalog.ids
    assert back.table.colnames == catalog.table.colnames
    for name in ("ra", "dec"):
        assert np.array_equal(back.table[name].to_value(u.deg), catalog.table[name].to_value(u.deg))
    assert back.table["majax"].unit == u.arcmin
    for name, plain in (
        ("majax", [1.5, None, 3.5]),
        ("mag", [None, 2.0, 1 / 3]),
        ("n", [1, None, 2**60 + 1]),
    ):
        column = back.table[name]
        values = getattr(column, "value", column)
        assert np.asarray(column.mask).tolist() == [value is None for value in plain]
        unmasked = getattr(values, "unmasked", np.ma.getdata(values))
        assert [v for v, p in zip(np.asarray(unmasked), plain, strict=True) if p is not None] == [
            p for p in plain if p is not None
        ]
    assert np.asarray(back.table["flag"].mask).tolist() == [False, True, False]
    assert [bool(back.table["flag"][i]) for i in (0, 2)] == [True, True]
    texts = ["" if text is np.ma.masked else str(text) for text in back.table["remark"]]
    assert texts == ["aé", "", "c"]  # a missing text is an empty one
    assert back.table["big"].tolist() == [2**62 + 1, 5, -6]


@pytest.mark.parametrize("suffix", FORMATS)
def test_integer_ids_become_text_by_value(tmp_path, suffix):
    ids = [588848901537202306, 588848901537202307, 2**63 - 1]
    write_table(Table({"objid": np.array(ids)}), tmp_path / f"t{suffix}")
    assert read_catalog(tmp_path / f"t{suffix}").ids == [str(i) for i in ids]


def test_tables_of_others_are_read(tmp_path):
    """Pandas' Parquet with gaps, FITS with backslashes in its text, CSV with remarks in brackets."""
    import pandas as pd

    frame = pd.DataFrame(
        {"id": pd.array([2**60 + 1, 7], dtype="Int64"), "n": pd.array([1, None], dtype="Int64")}
    )
    frame.to_parquet(tmp_path / "p.parquet")
    catalog = read_catalog(tmp_path / "p.parquet")
    assert catalog.ids == [str(2**60 + 1), "7"]
    assert catalog.table["n"].tolist() == [1, None]
    Table({"id": [r"a\x41", "b"]}).write(tmp_path / "theirs.fits")
    assert read_catalog(tmp_path / "theirs.fits").ids == [r"a\x41", "b"]
    (tmp_path / "c.csv").write_text("id,size [arcmin],mag [see note],w [m]\nx,1.5,20,big\n")
    table = read_catalog(tmp_path / "c.csv").table
    assert table.colnames == ["id", "size", "mag [see note]", "w [m]"]
    assert table["size"][0] == 1.5 * u.arcmin


def test_images_move_with_their_catalog(tmp_path):
    (tmp_path / "a").mkdir()
    mine = Catalog(
        table(image=[str(tmp_path / "a" / "x.fits"), "/elsewhere/y.fits", str(tmp_path / "z.fits")])
    )
    write_catalog(mine, tmp_path / "a" / "c.csv")
    (tmp_path / "a").rename(tmp_path / "b")
    images = read_catalog(tmp_path / "b" / "c.csv").table["image"].tolist()
    assert images == [str(tmp_path / "b" / "x.fits"), "/elsewhere/y.fits", str(tmp_path / "z.fits")]
