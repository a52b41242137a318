"""Tables of text as people write them: the right values, or an error that names the line."""

import csv
import re

import numpy as np
import pandas as pd
import pytest

from galcnn.catalog import read_catalog, read_table, write_catalog

#: The same two galaxies in every file.
IDS, RA, DEC = ["g1", "g2"], [150.1, 150.2], [2.2, -2.3]


def written(tmp_path, text, name="t.csv", encoding="utf-8"):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode(encoding))
    return path


ROWS = "g1,150.1,2.2,17.5\ng2,150.2,-2.3,18.5\n"


@pytest.mark.parametrize(
    "text",
    [
        "id,ra,dec,mag\n" + ROWS,
        "id,ra,dec,mag,\n" + ROWS.replace("\n", ",\n"),  # a separator at the end of every line
        "id,ra,dec,mag\n" + ROWS.replace("\n", ",\n"),  # of every line of values
        "id,ra,dec,mag\n" + ROWS.replace("\n", ",,,\n"),
        "id,ra,dec,mag,,\n" + ROWS,  # of the header only
        "# my sample, of 2020\nid,ra,dec,mag\n" + ROWS,
        "// my sample\n\n# and more\nid,ra,dec,mag\n" + ROWS,
        "id,ra,dec,mag\n" + ROWS.replace("g2", "# a, remark, between, lines\n#g3,1,1,1\ng2"),
        "#Table1\nid,ra,dec,mag\n" + ROWS,  # SkyServer
        "#id,ra,dec,mag\n" + ROWS,  # the header is a remark
        "# by hand\n# id, ra, dec, mag\n" + ROWS,
        "Galaxies by hand\nSecond version\n\nid,ra,dec,mag\n" + ROWS,
        "Galaxies, by hand\nid,ra,dec,mag\n" + ROWS,
        "Galaxies, by hand, in 2020, for all\nid,ra,dec,mag\n" + ROWS,
        (
            '#Title: a catalog of VizieR\nid\tra\tdec\tmag\n\t"h:m:s"\t"d:m:s"\tmag\n--\t---\t---\t---\n'
            "g1\t10 00 24\t+02 12 00\t17.5\ng2\t10 00 48\t-02 18 00\t18.5\n"
        ),
        "| id | ra | dec | mag |\n|----|:--:|-----|-----|\n|g1 |150.1 |2.2| 17.5 |\n| g2 |150.2 |-2.3 |18.5|",
        " id | ra | dec | mag\n----+----+-----+-----\n g1 | 150.1 | 2.2 | 17.5\n g2 | 150.2 | -2.3 | 18.5\n",
        (
            "id;ra;dec;mag\n;rad;rad;mag\n---;---;---;---\n"
            "g1;2.619739207;.0383972435;17.5\ng2;2.621484536;-.0401425728;18.5\n"
        ),
        (
            "# %ECSV 1.0\n# ---\n# datatype:\n# - {name: id, datatype: string}\n"
            "# - {name: ra, unit: rad, datatype: float64}\n# - {name: dec, unit: arcmin, datatype: float64}\n"
            "# - {name: mag, unit: mag, datatype: float64}\nid ra dec mag\n"
            "g1 2.619739207 132 17.5\ng2 2.621484536 -138 18.5\n"
        ),
        (
            "#   1 name   Name\n#   2 ra   Right ascension   [deg]\n#   3 dec   Declination   [deg]\n"
            "#   4 mag   Magnitude  [mag]\n  g1 150.1 2.2 17.5\n  g2 150.2 -2.3 18.5\n"
        ),
        "id,ra,dec,mag\n" + ROWS.replace("-", "\N{MINUS SIGN}"),
        "id,ra,dec,mag\ng1,10:00:24,2:12:00,17.5\ng2,10:00:48,\N{MINUS SIGN}2:18:00,18.5\n",
        "sep=;\nid;ra;dec;mag\n" + ROWS.replace(",", ";"),
        "id, ra ,dec, mag\ng1 , 150.1, 2.2,17.5\n g2, 150.2 ,-2.3 , 18.5\n",
        '"id" , "ra","dec","mag"\n"g1" , "150.1","2.2",17.5\n"g2", 150.2, "-2.3",18.5\n',
        "id,ra,dec,mag\n" + ROWS.replace("2.2", "+2.2").replace("150.1", "1.501D+02"),
        "\ufeffid,ra,dec,mag\n" + ROWS,
        "\ufeff\ufeffid,ra,dec,mag\n" + ROWS,
        "id,ra,dec,mag\r\n" + ROWS.replace("\n", "\r\n"),
        "id,ra,dec,mag\r" + ROWS.replace("\n", "\r"),
        "id;ra;dec;mag\n" + ROWS.replace(",", ";"),
        "id;ra;dec;mag\n" + ROWS.replace(",", ";").replace(".", ","),  # decimal commas
        "id\tra\tdec\tmag\n" + ROWS.replace(",", "\t"),
        "id\tra\tdec\tmag\n" + ROWS.replace(",", "\t").replace(".", ","),
        "id|ra|dec|mag\n" + ROWS.replace(",", "|"),
        " id | ra | dec | mag\n " + ROWS.replace(",", " | "),
        "id ra dec mag\n" + ROWS.replace(",", " "),
        "  id   ra\tdec    mag  \n" + ROWS.replace(",", "  \t "),
        "# id ra dec mag\n" + ROWS.replace(",", " "),
        "#id,ra,dec,mag\n#deg\n" + "id,ra,dec,mag\n" + ROWS,
        '"id","ra","dec","mag"\n' + ROWS.replace("g1", '"g1"'),
        ",id,ra,dec,mag\n0,g1,150.1,2.2,17.5\n1,g2,150.2,-2.3,18.5\n",  # pandas' index
        ",Unnamed: 0,id,ra,dec,mag\n0,0,g1,150.1,2.2,17.5\n1,1,g2,150.2,-2.3,18.5\n",
        ",ra,dec,mag\ng1,150.1,2.2,17.5\ng2,150.2,-2.3,18.5\n",  # pandas' index of names
        "id,ra,dec,mag,ra\ng1,150.1,2.2,17.5,150.1\ng2,150.2,-2.3,18.5,150.2\n",
        'id,ra,dec,mag,note\ng1,150.1,2.2,17.5,"two\nlines, and ""more"""\ng2,150.2,-2.3,18.5,\n',
        "id,ra [deg],dec [degrees],mag\n" + ROWS,
        "id,ra (deg),dec (deg),mag\n" + ROWS,
        "id,ra [hours],dec [rad],mag\ng1,10.006666667,.0383972435,17.5\ng2,10.01333333,-.0401425728,18.5\n",
        "id,ra [arcmin],dec [arcsec],mag\ng1,9006,7920,17.5\ng2,9012,-8280,18.5\n",
        "id,ra,dec,mag\ng1,10:00:24.0,+02:12:00,17.5\ng2,10:00:48,-02:18:00.0,18.5\n",
        "id,ra,dec,mag\ng1,10h00m24.0s,+02d12m00s,17.5\ng2,10h00m48s,-02d18m,18.5\n",
        "id,ra,dec,mag\ng1,10 00 24.0,+02 12 00,17.5\ng2,10 00 48,-02 18 00,18.5\n",
        "id,ra [deg],dec [deg],mag\ng1,150:06:00,2:12:00,17.5\ng2,150:12:00,-2:18:00,18.5\n",
        "id,ra [h:m:s],dec [d:m:s],mag\ng1,10:00:24,2:12:00,17.5\ng2,10:00:48,-2:18:00,18.5\n",
        "id,ra,dec,mag\ng1,150d06m00s,2°12'00\",17.5\ng2,150d12m,-2°18'00\",18.5\n",
    ],
)
@pytest.mark.parametrize("fast", [True, False])
def test_values_stay_in_their_columns(tmp_path, monkeypatch, text, fast):
    if not fast:  # as in files with quotes or remarks
        monkeypatch.setattr("galcnn.catalog.delimited._plain_columns", lambda *_: None)
    catalog = read_catalog(written(tmp_path, text))
    assert catalog.ids == IDS
    np.testing.assert_allclose(catalog.table["ra"].value, RA, rtol=0, atol=1e-7)
    np.testing.assert_allclose(catalog.table["dec"].value, DEC, rtol=0, atol=1e-7)
    mags = catalog.table["mag"]
    assert np.asarray(getattr(mags, "value", mags)).tolist() == [17.5, 18.5]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252"])
def test_letters_of_every_encoding(tmp_path, encoding):
    text = "id,ra,dec,class\r\nÀlpha – β1,150.1,2.2,irrégulière\r\nb,150.2,-2.3,spirale barrée\r\n"
    text = text.replace("β", "") if encoding == "cp1252" else text
    catalog = read_catalog(written(tmp_path, text, encoding=encoding))
    assert catalog.labels.tolist() == ["irrégulière", "spirale barrée"]
    assert catalog.ids[0].startswith("Àlpha – ")
    told = " ".join(catalog.table.meta.get("notes", []))
    assert ("Windows-1252" in told) == (encoding == "cp1252")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "id,ra,dec\nArp 3, NGC 5,3.0,4.0\nArp 4, NGC 6,5.0,6.0\n",
            "3 values in every line.*line=2, n_values=4",
        ),
        ("id,ra,dec\na,3.0,4.0\nNGC 5, the other,3.0,4.0\n", "line=3, n_values=4"),
        ("id,ra,dec,mag\ng1,1,2,3,\ng2,1,2,3\n", "line=3, n_values=4. End all lines with a separator"),
        ("id,class,image\nNGC 1, Arp 2,spiral,\na,spiral,x.fits\n", "line=3, n_values=3"),
        ("id,ra,dec\ng1,1,2\ng2,1\n", "line=3, n_values=2"),
        ('id,ra,note\ng1,1,"a\nb"\n\n# c\ng2,1\n', "line=6, n_values=2"),
        ("ra,dec\nNGC 1,1,2\nNGC 2,3,4\n", "2 values in every line.*line=2, n_values=3"),
        ("id,ra,dec\n" + "g{},1,2\n" * 300 + "g,1,2,3\n", "line=302, n_values=4"),
        ("id;ra;dec\ng1;1;2\ng2;1;2;3\n", "line=3, n_values=4"),
        ("id ra dec\nNGC 1 1 2\nNGC 2 3 4\n", "line=2, n_values=4"),
        ("g1,150.1,2.2\ng2,150.2,2.3\n", "a line of column names"),
        ("g1 150.1 2.2\ng2 150.2 2.3\n", "a line of column names"),
        ("588848901537202306\n588848901537202307\n", "a line of column names"),
        ("id,ra,dec,ra\ng1,1,2,3\n", "names of columns that differ.*repeated='ra'"),
        ('id,ra,class\na,1,"spiral\nb,2,elliptical\n', "values with both quotes.*line"),
        ('id,ra,note\na,1,"x\nb,2,y\nc,3,"z"\n', "values with both quotes.*line"),
        ('id,ra,dec\ng1,"1,234.5",2\ng2,3,4\n', "numbers in 'ra'.*row=1, received='1,234.5'"),
        ("id,ra,dec\ng1,1,2\ng2,3 deg?,4\n", "angles in 'ra'.*row=2, received='3 deg[?]'"),
        ("id;ra;dec\ng1;150,123;2,234\n", "numbers in 'ra'.*row=1"),  # thousands, or decimals?
        ("id,ra,dec\ng1,10:00:24,2\ng2,150.1,4\n", "sexagesimal angles in 'ra'.*row=2"),
        ("id,ra,dec\ng1,150:06:00,2\n", "sexagesimal angles in 'ra'.*row=1"),
        ("id,ra,dec\ng1,10:00:24,95:00:00\n", "declinations within .*row=1"),
        ("id,ra,dec\ng1,-999,2\n", "right ascensions from"),
        ("id,ra [km],dec\ng1,1,2\n", "an angle in 'ra'"),
        ("id,ra,dec [hour]\ng1,1,2\n", "an angle in 'dec'"),
        ("id,ra,dec\ng1,1,2\ng2,,4\ng3,NaN,4\n", "finite degrees in 'ra'.*row=2, n_without=2"),
        ("objid,ra,dec\n1.23766829659875E+18,1,2\n", "lost its last digits"),  # a spreadsheet
        ("id,ra\ng1,1\n,2\n", "an id in every row"),
        ("id,ra\nnan,1\nnan,2\n", "unique ids"),
        ("<!DOCTYPE html>\n<p>Error, please, wait\n", "a line of column names"),
        ("# only\n# remarks\n", "a line of column names"),
        ("", "a line of column names"),
    ],
)
def test_what_may_have_moved_is_refused(tmp_path, text, expected):
    if "{}" in text:
        text = "".join(
            line.format(i) if "{}" in line else line for i, line in enumerate(text.splitlines(True))
        )
    with pytest.raises(ValueError, match=re.compile(expected, re.DOTALL)):
        read_catalog(written(tmp_path, text))


MISSING = ["", "nan", "NaN", "NULL", "null", "--", "N/A", "n/a", "<NA>", "NA", "None"]


@pytest.mark.parametrize("word", MISSING)
def test_missing_values_are_no_class_and_no_number(tmp_path, word):
    text = f"id,class,n,big,x,flag,remark\na,barred spiral,1,{2**60 + 1},0.5,True,u\n"
    text += f"b,{word},{word},{word},{word},{word},{word}\nc,merger,-999,{2**64 - 1},-999,false,{word}x\n"
    catalog = read_catalog(written(tmp_path, text))
    assert catalog.table["class"].tolist() == ["barred spiral", "", "merger"]
    assert catalog.classes == ("barred spiral", "merger")
    assert catalog.table["n"].tolist() == [1, None, -999]
    assert catalog.table["big"].tolist() == [2**60 + 1, None, 2**64 - 1]
    assert catalog.table["x"].tolist() == [0.5, None, -999.0]
    assert catalog.table["flag"].tolist() == [True, None, False]
    remark = None if word not in ("NA", "None") else word
    assert catalog.table["remark"].tolist() == ["u", remark, f"{word}x"]


def test_numbers_are_kept_as_they_are(tmp_path):
    """Whole numbers too long for 64 bits, hexadecimal ones and numbers among text stay text."""
    text = "id,long,hex,mixed,zeros,tiny,thousand\na,123456789012345678901,0x1F,1,007,1e-300,1.234\n"
    text += "b,1,0x2F,1a,010,0.1,5\n"
    table = read_catalog(written(tmp_path, text)).table
    assert table["long"].tolist() == ["123456789012345678901", "1"]
    assert table["hex"].tolist() == ["0x1F", "0x2F"]
    assert table["mixed"].tolist() == ["1", "1a"]
    assert table["zeros"].tolist() == [7, 10]
    assert table["tiny"].tolist() == [1e-300, 0.1]
    assert table["thousand"].tolist() == [1.234, 5.0]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC])
@pytest.mark.parametrize(
    ("separator", "point"), [(",", "."), (";", ","), (";", "."), ("\t", ","), ("|", ".")]
)
def test_what_pandas_writes_is_read_back(tmp_path, separator, point, quoting, encoding):
    words = [
        "x, y",
        'q"q',
        "é",
        "line\nbreak",
        "#no",
        "E/S0",
        "12a",
        "- x",
        "//w",
        "a;b",
        "t\tb",
        "p|q",
        None,
    ]
    dice = np.random.default_rng(len(encoding) + quoting)
    frame = pd.DataFrame(
        {
            "id": [f"g{i}" for i in range(len(words))],
            "text": words,
            "n": pd.array([None, 2**63 - 1, -(2**63), *dice.integers(-9, 9, len(words) - 3)], dtype="Int64"),
            "x": [np.nan, 1e-300, 1 / 3, *dice.normal(size=len(words) - 3)],
            "flag": dice.random(len(words)) < 0.5,
        }
    )
    text = frame.to_csv(sep=separator, decimal=point, quoting=quoting, na_rep="NaN", index=False)
    table = read_table(written(tmp_path, text, encoding=encoding), texts={"id"})
    assert table["id"].tolist() == frame["id"].tolist()
    assert table["text"].tolist() == words
    assert table["n"].tolist() == [None, *frame["n"][1:]]
    assert table["x"].tolist() == [None, *frame["x"][1:]]
    assert table["flag"].tolist() == frame["flag"].tolist()


def test_commas_in_text_and_text_for_spreadsheets(tmp_path):
    text = 'id,pair,ra\n"=""1237668296598749281""","1,25",5\n"=""00042""","3,7",6\n'
    catalog = read_catalog(written(tmp_path, text))
    assert catalog.ids == ["1237668296598749281", "00042"]
    assert catalog.table["pair"].tolist() == ["1,25", "3,7"]
    assert catalog.table["ra"].value.tolist() == [5.0, 6.0]
    digits = "id;x;n\na;0,3333333333333333;12345678901234567890123\nb;-1,7976931348623157e+308;1,5\n"
    table = read_table(written(tmp_path, digits))
    assert table["x"].tolist() == [1 / 3, -1.7976931348623157e308]
    assert table["n"].tolist() == ["12345678901234567890123", "1,5"]
    table = read_table(written(tmp_path, "id;n;x\na;1,234;5.5\nb;1,25;6\n"))  # points for decimals
    assert table["n"].tolist() == ["1,234", "1,25"]


def test_names_that_look_like_remarks_or_numbers(tmp_path):
    assert read_catalog(written(tmp_path, "id,ra\n#1,5\n#2,6\n")).ids == ["#1", "#2"]
    assert read_catalog(written(tmp_path, "id,3.6,4.5\na,5,6\n")).table.colnames == ["id", "3.6", "4.5"]
    assert read_table(written(tmp_path, ",0,1\n0,5,6\n")).colnames == ["Unnamed: 0", "0", "1"]
    assert read_catalog(
        written(tmp_path, "galaxy name\nNGC 1\nNGC 2\n"), columns={"id": "galaxy name"}
    ).ids == [
        "NGC 1",
        "NGC 2",
    ]
    one = read_catalog(written(tmp_path, "RA (hours),dec,name\n10,5,a\n"), columns={"ra": "RA (hours)"})
    assert one.table["ra"].value.round(12).tolist() == [150.0]


def test_what_is_guessed_is_noted_but_not_written(tmp_path):
    text = "Galaxies\n# by hand\nid;ra;dec\ng1;150,1;2,2\n#g2;1;1\n"
    catalog = read_catalog(written(tmp_path, text))
    assert catalog.table.meta["notes"] == [
        "Lines of text before the names of the columns were left out: 1.",
        "The columns were separated at semicolons.",
        "Lines of remarks (#, //) among the values were left out: 1.",
        "Numbers with a decimal comma: ra, dec.",
    ]
    write_catalog(catalog, tmp_path / "t.ecsv")
    assert "notes" not in read_table(tmp_path / "t.ecsv").meta


@pytest.mark.parametrize("name", ["t.tsv", "t.txt", "t.dat"])
def test_other_suffixes_of_text(tmp_path, name):
    assert read_catalog(written(tmp_path, "id\tra\tdec\ng1\t1\t2\n", name)).ids == ["g1"]
