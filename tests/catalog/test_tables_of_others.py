"""Tables of other programs, in every format: the same values, units, missing values and 64-bit ids."""

from datetime import date, datetime
from decimal import Decimal

import astropy.units as u
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.io import fits
from astropy.table import MaskedColumn, QTable, Table

from galcnn.catalog import Catalog, read_catalog, read_table, write_catalog, write_table
from galcnn.catalog.formats import FORMATS

SUFFIXES = [".csv", ".ecsv", ".fits", ".vot", ".parquet"]
IDS = [2**60 + 1, 2**53 + 1, 2**63 - 1]


def parquet(path, **columns):
    """Write a table as a program other than astropy does."""
    pq.write_table(pa.table(columns), path)
    return path


# --- Parquet ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (pa.array([1, None, IDS[0]]), [1, None, IDS[0]]),
        (pa.array([1, None, 2**64 - 1], pa.uint64()), [1, None, 2**64 - 1]),
        (pa.array([1, None, -3], pa.int8()), [1, None, -3]),
        (pa.array([0.1, None, np.nan]), [0.1, None, "nan"]),
        (pa.array(np.array([0.5, 1.0, 2.0], np.float16)), [0.5, 1.0, 2.0]),
        (pa.array([0.1, 0.2, 0.3], pa.float32()), [np.float32(0.1), np.float32(0.2), np.float32(0.3)]),
        (pa.array([True, None, False]), [True, None, False]),
        (pa.array([None, None, None]), [None, None, None]),
        (pa.array(["a", None, "barred spiral"]), ["a", None, "barred spiral"]),
        (pa.array(["a", None, "ü銀"], pa.large_string()), ["a", None, "ü銀"]),
        (pa.array(["a", None, "b"], pa.string_view()), ["a", None, "b"]),
        (pa.array([b"a", None, "ü".encode()], pa.binary()), ["a", None, "ü"]),
        (pa.array([b"ab", None, b"cd"], pa.binary(2)), ["ab", None, "cd"]),
        (pa.array(["a", None, "a"]).dictionary_encode(), ["a", None, "a"]),
        (pa.array([IDS[0], None, 5]).dictionary_encode(), [IDS[0], None, 5]),
        (pa.array([Decimal(IDS[0]), None, Decimal(5)], pa.decimal128(20, 0)), [IDS[0], None, 5]),
        (pa.array([Decimal(2**70), None, Decimal(5)], pa.decimal128(30, 0)), [str(2**70), None, "5"]),
        (pa.array([Decimal("1.25"), None, Decimal("-2.5")]), [1.25, None, -2.5]),
        (pa.array([date(2020, 1, 2), None, date(2021, 1, 1)]), ["2020-01-02", None, "2021-01-01"]),
        (
            pa.array([datetime(2020, 1, 2, 3, 4, 5), None, datetime(2021, 1, 1)], pa.timestamp("ms")),
            ["2020-01-02 03:04:05.000", None, "2021-01-01 00:00:00.000"],
        ),
        (pa.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]), [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]),
        (pa.array([[1, 2], [3, 4], [5, 6]], pa.list_(pa.int32(), 2)), [[1, 2], [3, 4], [5, 6]]),
        (pa.array([["g", "r"], ["g", "i"], ["z", "y"]]), [["g", "r"], ["g", "i"], ["z", "y"]]),
    ],
)  # fmt: skip
def test_parquet_columns_of_every_kind(tmp_path, column, expected):
    table = read_catalog(parquet(tmp_path / "t.parquet", id=["a", "b", "c"], x=column)).table
    found = table["x"].tolist()
    assert ["nan" if isinstance(v, float) and np.isnan(v) else v for v in found] == expected
    for suffix in FORMATS:  # and it can be written again
        if len(np.shape(table["x"])) == 1:
            write_table(table, tmp_path / f"again{suffix}")
            again = read_table(tmp_path / f"again{suffix}")["x"]
            assert len(again) == 3
            if column.type == pa.int64() or isinstance(expected[0], str):
                given = [None if v in (None, "") else str(v) for v in again.tolist()]
                assert given == [None if v is None else str(v) for v in expected]


def test_units_of_parquet_columns(tmp_path):
    """In the metadata of each column, in a VOTable (VOParquet), or in the names."""
    ra, dec = pa.array([10.0, 1.0]), pa.array(np.radians([-30.0, 45.0]))
    schema = pa.schema(
        [
            pa.field("ra", pa.float64(), metadata={"unit": "hour"}),
            pa.field("dec", pa.float64(), metadata={"unit": "rad"}),
        ]
    )
    pq.write_table(pa.table([ra, dec], schema=schema), tmp_path / "columns.parquet")
    fields = '<FIELD name="ra" datatype="double" unit="h"/><FIELD name="dec" datatype="double" unit="rad"/>'
    told = {
        "IVOA.VOTable-Parquet.version": "1.0",
        "IVOA.VOTable-Parquet.content": votable(fields, "<TABLEDATA/>"),
    }
    pq.write_table(pa.table({"ra": ra, "dec": dec}).replace_schema_metadata(told), tmp_path / "vo.parquet")
    parquet(tmp_path / "names.parquet", **{"RA [hours]": ra, "DEC_rad": dec})
    columns = {"ra": "RA [hours]", "dec": "DEC_rad"}
    for name, named in (("columns", {}), ("vo", {}), ("names", columns)):
        table = read_catalog(tmp_path / f"{name}.parquet", columns=named).table
        np.testing.assert_allclose(table["ra"].value, [150.0, 15.0], rtol=1e-15)
        np.testing.assert_allclose(table["dec"].value, [-30.0, 45.0], rtol=1e-15)
    assert "dec was read in the unit rad" in table.meta["notes"][1]


def test_structures_become_columns_and_lists_arrays(tmp_path):
    flux = pa.array(
        [{"g": 1.0, "r": {"mean": 2.0}}, None],
        pa.struct({"g": pa.float64(), "r": pa.struct({"mean": pa.float64()})}),
    )
    light = pa.array([{"t": [1.0, 2.0], "mag": [20.0, 21.0]}, {"t": [3.0], "mag": [22.0]}])  # as LSDB nests
    table = read_catalog(parquet(tmp_path / "t.parquet", id=["a", "b"], flux=flux, light=light)).table
    assert table.colnames == ["id", "flux.g", "flux.r.mean", "light.t", "light.mag"]
    assert table["flux.r.mean"].tolist() == [2.0, None]
    assert [values.tolist() for values in table["light.mag"]] == [[20.0, 21.0], [22.0]]


@pytest.mark.parametrize("index", ["id", None])
def test_the_index_of_pandas_holds_the_ids(tmp_path, index):
    frame = pd.DataFrame({"ra": [1.0, 2.0], "dec": [3.0, 4.0], "class": pd.Categorical(["spiral", None])})
    frame.index = pd.Index(["x", "y"], name=index)
    frame.to_parquet(tmp_path / "t.parquet")
    frame.to_csv(tmp_path / "t.csv")
    for table in (tmp_path / "t.parquet", tmp_path / "t.csv", frame):
        catalog = read_catalog(table)
        assert catalog.ids == ["x", "y"]
        assert catalog.table["class"].tolist() == ["spiral", ""]
    assert read_catalog(frame.reset_index(drop=True)).ids == ["0", "1"]


def test_data_frames_in_memory(tmp_path):
    frame = pd.DataFrame({"id": ["a", "b"], "ra": ["10:00:00", "11:00:00"], "dec": [1, 2], 5: [2**60 + 1, 3]})
    table = read_catalog(frame.set_index("id", drop=False)).table
    assert table.colnames == ["id", "ra", "dec", "5"]
    assert table["ra"].value.round(9).tolist() == [150.0, 165.0]
    assert table["5"].tolist() == [2**60 + 1, 3]
    with pytest.raises(ValueError, match=r"names of columns that differ.*repeated=\['ra'\]"):
        read_catalog(pd.DataFrame([["a", 1, 2]], columns=["id", "ra", "ra"]))


def test_arrays_are_written_where_there_is_a_place_for_them(tmp_path):
    lists = pa.array([[1.0, 2.0], [3.0], None])
    catalog = read_catalog(parquet(tmp_path / "t.parquet", id=["a", "b", "c"], x=lists))
    for suffix in (".ecsv", ".fits", ".vot", ".parquet"):
        write_catalog(catalog, tmp_path / f"u{suffix}")
        again = read_catalog(tmp_path / f"u{suffix}").table["x"]
        assert [np.asarray(values).tolist() for values in again] == [[1.0, 2.0], [3.0], []]
    with pytest.raises(ValueError, match=r"one value per row, for CSV.*columns=\['x'\]"):
        write_catalog(catalog, tmp_path / "u.csv")


def test_columns_of_one_name_are_refused(tmp_path):
    cells = "<TABLEDATA><TR><TD>1</TD><TD>2</TD></TR></TABLEDATA>"
    fields = '<FIELD ID="c1" name="ra" datatype="int"/><FIELD ID="c2" name="{}" datatype="int"/>'
    (tmp_path / "t.vot").write_text(votable(fields.format("dec"), cells))
    assert read_table(tmp_path / "t.vot").colnames == ["ra", "dec"]  # not their ids
    (tmp_path / "t.vot").write_text(votable(fields.format("ra"), cells))
    with pytest.raises(ValueError, match=r"names of columns that differ.*repeated=\['ra'\]"):
        read_table(tmp_path / "t.vot")
    arrays, names = [pa.array(["a"]), pa.array([1.0]), pa.array([2.0])], ["id", "ra", "ra"]
    pq.write_table(pa.Table.from_arrays(arrays, names=names), tmp_path / "t.parquet")
    with pytest.raises(ValueError, match=r"names of columns that differ.*repeated=\['ra'\]"):
        read_catalog(tmp_path / "t.parquet")


def test_folders_of_a_parquet_file_are_no_columns(tmp_path):
    (tmp_path / "class=wrong").mkdir()
    file = parquet(tmp_path / "class=wrong" / "t.parquet", id=["a"], x=[1])
    assert read_catalog(file).table.colnames == ["id", "x"]


# --- FITS ---------------------------------------------------------------------------------------------------


def test_fits_columns_of_every_kind(tmp_path):
    columns = [
        fits.Column("ID", "K", null=-1, array=np.array(IDS)),
        fits.Column("n", "K", null=-1, array=np.array([IDS[0], -1, 5])),
        fits.Column(
            "unsigned", "I", bzero=32768, null=-32768, array=np.array([1, 40000, 0], dtype=np.uint16)
        ),
        fits.Column("byte", "B", null=255, array=np.array([1, 255, 3], dtype=np.uint8)),
        fits.Column("flag", "L", array=np.array([True, False, True])),
        fits.Column("class", "16A", array=np.array(["barred spiral   ", "", "nan"])),
        fits.Column("remark", "8A", array=np.array([b"a\xe9 ", b" b", b""])),
        fits.Column("spectrum", "PE()", array=np.array([[1.0, 2.0], [3.0], []], dtype=object)),
        fits.Column("pair", "2D", array=np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])),
    ]
    file = tmp_path / "t.fits"
    fits.BinTableHDU.from_columns(columns).writeto(file)
    content = file.read_bytes()
    file.write_bytes(content.replace(b"Tbarred", b"\0barred", 1))  # an undefined logical value
    catalog = read_catalog(file)
    assert catalog.ids == [str(i) for i in IDS]
    assert catalog.table["n"].tolist() == [IDS[0], None, 5]
    assert catalog.table["unsigned"].tolist() == [1, 40000, None]
    assert catalog.table["byte"].tolist() == [1, None, 3]
    assert catalog.table["flag"].tolist() == [None, False, True]
    assert catalog.table["class"].tolist() == ["barred spiral", "", ""]
    assert catalog.table["remark"].tolist() == ["aé", " b", None]
    assert [values.tolist() for values in catalog.table["spectrum"]] == [[1.0, 2.0], [3.0], []]
    assert catalog.table["pair"].tolist() == [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]


def test_missing_numbers_of_scaled_columns_and_ascii_tables(tmp_path):
    """TNULL is compared with the values in the file (FITS standard 4.0, section 7.3.2)."""
    stored = fits.Column("v", "J", array=np.array([100, -99, 300], dtype=np.int32))
    fits.BinTableHDU.from_columns([stored]).writeto(tmp_path / "scaled.fits")
    with fits.open(tmp_path / "scaled.fits", mode="update") as hdulist:
        hdulist[1].header.update({"TSCAL1": 0.01, "TZERO1": 5.0, "TNULL1": -99})
    assert read_table(tmp_path / "scaled.fits")["v"].tolist() == [6.0, None, 8.0]
    columns = [fits.Column("id", "A8", array=["a", "b"]), fits.Column("n", "I10", null="-99", array=[-99, 6])]
    fits.TableHDU.from_columns(columns).writeto(tmp_path / "ascii.fits")
    assert read_catalog(tmp_path / "ascii.fits").table["n"].tolist() == [None, 6]


@pytest.mark.parametrize(
    ("unit", "dec_unit", "ra", "dec"),
    [
        ("deg", "deg", [150.0, 15.0], [-30.0, 45.0]),
        ("degrees", "Degree", [150.0, 15.0], [-30.0, 45.0]),
        ("[deg]", "(deg)", [150.0, 15.0], [-30.0, 45.0]),
        ("DEG", "Degrees", [150.0, 15.0], [-30.0, 45.0]),
        ("hour", "deg", [10.0, 1.0], [-30.0, 45.0]),
        ("h", "deg", [10.0, 1.0], [-30.0, 45.0]),
        ("hours", "degrees", [10.0, 1.0], [-30.0, 45.0]),
        ("rad", "radians", np.radians([150.0, 15.0]), np.radians([-30.0, 45.0])),
        ("arcmin", "arcsec", [9000.0, 900.0], [-108000.0, 162000.0]),
        ("h:m:s", "d:m:s", ["10:00:00", "01 00 00"], ["-30:00:00", "+45 00 00.0"]),
        ("deg", "deg", ["150:00:00", "15:00:00.0"], ["-30:00:00", "45:00:00"]),
        (None, None, ["10h00m00s", "1h"], ["-30d00m00s", "45d"]),
        (None, None, ["150.0", "15.0"], ["-30", "+45"]),
    ],
)
@pytest.mark.parametrize("suffix", [".fits", ".csv", ".vot", ".ecsv"])
def test_positions_in_units_of_every_spelling(tmp_path, suffix, unit, dec_unit, ra, dec):
    file = tmp_path / f"t{suffix}"
    named = [("ra", unit, ra), ("dec", dec_unit, dec)]
    if suffix == ".fits":
        columns = [
            fits.Column(n, "D" if isinstance(v[0], float) else "16A", unit=w, array=np.array(v))
            for n, w, v in named
        ]
        hdu = fits.BinTableHDU.from_columns(columns)
        hdu.writeto(file)
    elif suffix == ".csv":
        names = [f"{n} [{w}]" if w else n for n, w, _ in named]
        lines = [",".join(names), *(f"{a!s},{b!s}" for a, b in zip(ra, dec, strict=True))]
        file.write_text("\n".join(lines))
    elif suffix == ".ecsv":
        kind = "float64" if isinstance(ra[0], float) else "string"
        lines = ["# %ECSV 1.0", "# ---", "# datatype:"]
        lines += [f"# - {{name: {n}, {f'unit: {w!r}, ' if w else ''}datatype: {kind}}}" for n, w, _ in named]
        lines += ["ra dec", *(f'"{a!s}" "{b!s}"' for a, b in zip(ra, dec, strict=True))]
        file.write_text("\n".join(lines))
    else:
        kind = 'datatype="double"' if isinstance(ra[0], float) else 'datatype="char" arraysize="*"'
        fields = "".join(f'<FIELD name="{n}" {kind} {f"""unit="{w}" """ if w else ""}/>' for n, w, _ in named)
        rows = "".join(f"<TR><TD>{a!s}</TD><TD>{b!s}</TD></TR>" for a, b in zip(ra, dec, strict=True))
        file.write_text(
            '<?xml version="1.0"?><VOTABLE version="1.4" xmlns="http://www.ivoa.net/xml/VOTable/v1.3"><RESOURCE>'
            f"<TABLE>{fields}<DATA><TABLEDATA>{rows}</TABLEDATA></DATA></TABLE></RESOURCE></VOTABLE>"
        )
    catalog = read_catalog(file)
    np.testing.assert_allclose(catalog.table["ra"].value, [150.0, 15.0], rtol=1e-15)
    np.testing.assert_allclose(catalog.table["dec"].value, [-30.0, 45.0], rtol=1e-15)
    assert catalog.table["ra"].unit == catalog.table["dec"].unit == u.deg


def ldac(path):
    """Write a catalog as SExtractor does: the header of the image in a table of its own, then the objects."""
    header = fits.Column("Field Header Card", "80A", array=np.array(["SIMPLE  = T"]))
    objects = [
        fits.Column("ra", "D", unit="deg", array=[1.0, 2.0]),
        fits.Column("dec", "D", array=[3.0, 4.0]),
    ]
    extra = [fits.Column("psf", "D", array=[9.0])]
    fits.HDUList(
        [
            fits.PrimaryHDU(),
            fits.BinTableHDU.from_columns([header], name="LDAC_IMHEAD"),
            fits.BinTableHDU.from_columns(objects, name="LDAC_OBJECTS"),
            fits.BinTableHDU.from_columns(extra, name="PSF"),
        ]
    ).writeto(path)
    return path


def test_a_table_among_several_is_recognised_or_named(tmp_path):
    file = ldac(tmp_path / "t.fits")
    catalog = read_catalog(file)
    assert catalog.table["ra"].value.tolist() == [1.0, 2.0]
    assert (
        "HDU 2 of the tables 1: LDAC_IMHEAD, 2: LDAC_OBJECTS, 3: PSF was read"
        in catalog.table.meta["notes"][0]
    )
    for name in ("LDAC_OBJECTS", "ldac_objects", "2"):
        assert len(read_catalog(f"{file}[{name}]")) == 2
    assert read_table(f"{file}[PSF]")["psf"].tolist() == [9.0]
    for suffix in (".cat", ".ldac"):  # as SExtractor's users name them
        assert len(read_catalog(file.rename(file.with_suffix(suffix)))) == 2
        assert len(read_catalog(f"{file.with_suffix(suffix)}[LDAC_OBJECTS]")) == 2
        file.with_suffix(suffix).rename(file)
    with pytest.raises(ValueError, match=r"a table 'STARS'.*LDAC_OBJECTS"):
        read_catalog(f"{file}[STARS]")
    with pytest.raises(FileNotFoundError):
        read_catalog(f"{tmp_path / 'none.fits'}[LDAC_OBJECTS]")
    (tmp_path / "u.fits[2]").mkdir()
    with pytest.raises(ValueError, match="a table file ending in"):  # a name as it is
        read_catalog(tmp_path / "u.fits[2]")


def test_the_table_with_positions_is_the_catalog(tmp_path):
    """A table of exposures before the one of galaxies."""
    first = fits.BinTableHDU.from_columns([fits.Column("EXPTIME", "D", array=[9.0])], name="EXPOSURES")
    second = fits.BinTableHDU.from_columns(
        [fits.Column("RA", "D", array=[1.0]), fits.Column("DEC", "D", array=[2.0])], name="GALAXIES"
    )
    fits.HDUList([fits.PrimaryHDU(), first, second]).writeto(tmp_path / "t.fits")
    catalog = read_catalog(tmp_path / "t.fits", columns={"ra": "RA", "dec": "DEC"})
    assert catalog.positions[0].ra.deg == 1.0
    assert "HDU 2" in catalog.table.meta["notes"][0]


# --- VOTable ------------------------------------------------------------------------------------------------


def votable(fields, data):
    """Return a VOTable of one table."""
    start = (
        '<?xml version="1.0"?><VOTABLE version="1.4" xmlns="http://www.ivoa.net/xml/VOTable/v1.3"><RESOURCE>'
    )
    return f"{start}<TABLE>{fields}<DATA>{data}</DATA></TABLE></RESOURCE></VOTABLE>"


def test_votable_columns_of_every_kind(tmp_path):
    fields = (
        '<FIELD name="id" datatype="long"><VALUES null="-1"/></FIELD>'
        '<FIELD name="n" datatype="long"><VALUES null="-999"/></FIELD>'
        '<FIELD name="flag" datatype="boolean"/><FIELD name="class" datatype="unicodeChar" arraysize="*"/>'
    )
    rows = [(IDS[0], IDS[0], "T", "barred spiral"), (IDS[1], "", "?", ""), (IDS[2], -999, "F", "NULL")]
    cells = "".join(f"<TR>{''.join(f'<TD>{v}</TD>' for v in row)}</TR>" for row in rows)
    (tmp_path / "t.vot").write_text(votable(fields, f"<TABLEDATA>{cells}</TABLEDATA>"))
    catalog = read_catalog(tmp_path / "t.vot")
    assert catalog.ids == [str(i) for i in IDS]
    assert catalog.table["n"].tolist() == [IDS[0], None, None]
    assert catalog.table["flag"].tolist() == [True, None, False]
    assert catalog.table["class"].tolist() == ["barred spiral", "", ""]


# --- Every format -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize(
    ("values", "mask"),
    [
        (IDS, [0, 0, 0]),
        (IDS, [0, 1, 0]),
        ([999999, 5, -(2**63)], [0, 1, 0]),  # numbers that stand for missing ones elsewhere
        (np.array([2**64 - 1, 1, 2**63], dtype=np.uint64), [0, 1, 0]),
        (np.array([2**64 - 1, 1, 2**63], dtype=np.uint64), [0, 0, 0]),
        (np.array([255, 63, 0], dtype=np.uint8), [0, 1, 0]),
        (np.array([65535, 63, 0], dtype=np.uint16), [0, 1, 0]),
        (np.array([2**32 - 1, 63, 0], dtype=np.uint32), [0, 1, 0]),
        (np.array([127, 63, -128], dtype=np.int8), [0, 1, 0]),
        (np.array([32767, 63, -32768], dtype=np.int16), [0, 1, 0]),
    ],
)
def test_every_whole_number_survives_every_format(tmp_path, suffix, values, mask):
    column = MaskedColumn(values, mask=mask) if any(mask) else np.array(values)
    write_catalog(Catalog(QTable({"id": ["a", "b", "c"], "n": column})), tmp_path / f"t{suffix}")
    found = read_catalog(tmp_path / f"t{suffix}").table["n"].tolist()
    wanted = [None if gap else int(value) for value, gap in zip(values, mask, strict=True)]
    assert [None if v in (None, "") else int(v) for v in found] == wanted


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("word", ["", "nan", "NULL", "N/A", "--"])
def test_words_for_missing_values_are_no_class(tmp_path, suffix, word):
    table = Table({"id": ["a", "b", "c"], "class": ["barred spiral", word, "merger"]})
    write_table(table, tmp_path / f"t{suffix}")
    catalog = read_catalog(tmp_path / f"t{suffix}")
    assert catalog.table["class"].tolist() == ["barred spiral", "", "merger"]
    assert catalog.classes == ("barred spiral", "merger")
    with pytest.raises(ValueError, match="missing=1"):
        _ = catalog.labels
