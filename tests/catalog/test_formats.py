"""Columns with one value a row, for those who want no more of a table."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.table import Table

from galcnn.catalog import read_table
from galcnn.catalog.formats import FORMATS, read_scalars


def test_embeddings_stay_on_the_disk_and_gaps_are_kept(tmp_path):
    features = pa.FixedSizeListArray.from_arrays(pa.array(np.arange(6, dtype=np.float32)), 2)
    columns = {
        "id": pa.array(["00042", "b", "c"]),
        "embedding": features,
        "p_spiral": pa.array([0.25, None, 1.0], pa.float64()),
        "flag": pa.array([0, 2, 0], pa.int16()),
        "n": pa.array([1, None, 3], pa.int64()),
    }
    pq.write_table(pa.table(columns), tmp_path / "table.parquet")
    read = read_scalars(tmp_path / "table.parquet")
    assert read.colnames == ["id", "p_spiral", "flag", "n"]
    assert list(read["id"]) == ["00042", "b", "c"]
    np.testing.assert_array_equal(read["p_spiral"], [0.25, np.nan, 1.0])
    assert list(read["n"]) == [1, None, 3]
    assert read["flag"].dtype.kind == "i"


def test_other_formats_are_read_as_ever(tmp_path):
    Table({"id": ["00042"], "p_spiral": [0.25]}).write(tmp_path / "table.csv", format="ascii.csv")
    (row,) = read_scalars(tmp_path / "table.csv", texts=["id"])
    assert (row["id"], row["p_spiral"]) == ("00042", 0.25)


def test_a_broken_file_and_none_are_refused(tmp_path):
    (tmp_path / "table.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(ValueError, match="Expected a readable parquet table"):
        read_scalars(tmp_path / "table.parquet")
    with pytest.raises(FileNotFoundError):
        read_scalars(tmp_path / "none.parquet")


SECRET = "hunter2hunter2"
_VOTABLE = (
    '<VOTABLE version="1.3"><RESOURCE><TABLE><FIELD name="a" datatype="{}"/><DATA><TABLEDATA>'
    "<TR><TD>{}</TD></TR></TABLEDATA></DATA></TABLE></RESOURCE></VOTABLE>"
)
_ECSV = "# %ECSV 1.0\n# ---\n# datatype:\n# - {{name: a, datatype: {}}}\n{}\na\n{}\n"


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.ecsv", _ECSV.format("int64", "#", SECRET), "ValueError"),
        ("a.csv", _ECSV.format(SECRET, "#", 1), "readable ascii.csv"),
        ("a.ecsv", _ECSV.format("int64", f"# {SECRET}: [", 1), "readable ascii.ecsv"),
        ("a.vot", _VOTABLE.format(SECRET, 1), "line 1 column"),
        ("a.vot", _VOTABLE.format("int", SECRET), "line 1 column"),
        ("a.vot", f"<{SECRET}", "VOTable"),
        ("a.vot", f'<!DOCTYPE a [<!ENTITY {SECRET} "b">]><a/>', "entit"),
        ("a.fits", f"SIMPLE  =                    T {SECRET}".ljust(2880), "FITS"),
        ("a.parquet", f"PAR1{SECRET}PAR1", "readable parquet"),
        *((f"a{suffix}", f"token={SECRET}\n", "Expected") for suffix in FORMATS),
        ("a.csv", f"id,ra,dec\ng1,1,2,{SECRET}\n", "line=2"),
        ("a.csv", f'id,ra,dec\ng1,"{SECRET}"x,2\n', "both quotes"),
    ],
)
def test_no_error_quotes_what_a_library_read(tmp_path, name, text, said):
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=said) as caught:
        read_table(tmp_path / name)
    assert SECRET not in str(caught.value)
