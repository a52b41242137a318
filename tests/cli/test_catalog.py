"""galcnn catalog and galcnn info on tables: thin doors to what the rooms do."""

import numpy as np
import pytest
from astropy.table import QTable

from galcnn.catalog import Catalog, read_catalog, write_catalog
from galcnn.cli.main import main


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    columns = {
        "objid": [2**60 + i for i in range(60)],
        "RA": rng.uniform(0, 20, 60),
        "DEC": rng.uniform(-9, 9, 60),
    }
    kinds = rng.choice(["a", "b"], 60)
    QTable(
        columns | {"kind": kinds, "z": np.ma.array(rng.uniform(0.1, 1, 60), mask=np.arange(60) < 5)}
    ).write("t.fits")
    known = Catalog(QTable({"id": ["x", "y"], "ra": columns["RA"][:2] + 1e-5, "dec": columns["DEC"][:2]}))
    write_catalog(known, "known.csv")
    return columns


NAMES = ["--id", "objid", "--ra", "RA", "--dec", "DEC", "--label", "kind", "--redshift", "z"]


def test_convert_and_info(files, capsys):
    assert main(["catalog", "convert", "t.fits", *NAMES, "--out", "t.parquet"]) == 0
    assert "wrote t.parquet: 60 galaxies" in capsys.readouterr().out
    back = read_catalog("t.parquet")
    assert back.ids == [str(2**60 + i) for i in range(60)]
    assert main(["info", "t.parquet"]) == 0
    said = capsys.readouterr().out
    assert "60 galaxies" in said
    assert "5 missing, 0 not above 0" in said
    assert f"dec {files['DEC'].min():+.4f} to {files['DEC'].max():+.4f} deg" in said
    assert "ra [deg]" in said


def test_the_class_column_is_the_label_of_train(files):
    words = ["catalog", "convert", "t.fits", "--id", "objid", "--label", "kind", "--out", "l.csv"]
    assert main(words) == 0
    assert read_catalog("l.csv").labels.tolist() == QTable.read("t.fits")["kind"].tolist()


def test_match(files, capsys):
    words = ["catalog", "match", "t.fits", "known.csv", *NAMES, "--radius", "0.5arcsec", "--out", "m.ecsv"]
    assert main(words) == 0
    assert "2 of 60 galaxies matched" in capsys.readouterr().out
    both = read_catalog("m.ecsv")
    assert both.table["id_other"].tolist() == ["x", "y"]
    assert both.table["separation"].to_value("arcsec") == pytest.approx(0.036, rel=0.02)


def test_what_is_guessed_is_said_and_inputs_stay(files, capsys):
    from astropy.io import fits

    columns = [fits.Column("ra", "D", array=[1.0]), fits.Column("dec", "D", array=[2.0])]
    tables = [fits.BinTableHDU.from_columns(columns, name=name) for name in ("OLD", "NEW")]
    fits.HDUList([fits.PrimaryHDU(), *tables]).writeto("two.fits")
    assert main(["catalog", "convert", "two.fits", "--out", "first.csv"]) == 0
    assert "catalog: HDU 1 of the tables 1: OLD, 2: NEW was read" in capsys.readouterr().err
    assert main(["catalog", "convert", "two.fits[NEW]", "--out", "second.csv"]) == 0
    assert capsys.readouterr().err == ""
    assert main(["catalog", "convert", "two.fits[NEW]", "--out", "two.fits", "--overwrite"]) == 2
    assert "another place than that of the input" in capsys.readouterr().err


def test_split(files, capsys):
    words = ["catalog", "split", "t.fits", *NAMES, "--by", "sky-region", "--nside", "32", "--seed", "3"]
    assert main([*words, "--neighbours", "2arcmin", "--out", "s.csv"]) == 0
    split = read_catalog("s.csv")
    sides = split.table["split"].tolist()
    said = capsys.readouterr().out
    counts = [f"{sides.count(side)} {side}" for side in ("train", "validation", "test")]
    assert ", ".join(counts) in said
    assert set(sides) == {"train", "validation", "test"}
    assert main(["catalog", "split", "s.csv", "--out", "again.csv"]) == 2
    assert "without a column 'split'" in capsys.readouterr().err


def test_bad_words_are_one_line(files, capsys):
    for words, text in (
        (["convert", "t.fits", "--ra", "nope", "--out", "x.csv"], "a column 'nope'"),
        (["convert", "t.fits", "--out", "x.doc"], "a table file ending in"),
        (["match", "t.fits", "known.csv", *NAMES, "--radius", "2kg", "--out", "x.csv"], "--radius"),
        (
            ["match", "t.fits", "known.csv", *NAMES, "--radius", "1e-9arcsec", "--out", "x.csv"],
            "at least one pair",
        ),
        (
            ["split", "t.fits", *NAMES, "--by", "sky-region", "--nside", "12", "--out", "x.csv"],
            "a power of 2",
        ),
    ):
        assert main(["catalog", *words]) == 2
        assert text in capsys.readouterr().err
