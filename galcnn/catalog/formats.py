"""Read and write tables so that values, units, missing values and text survive in every format.

CSV has no units: they are written into the name of the column, ``majax [arcmin]``. FITS has ASCII text
only: other letters are written as backslash escapes and restored on reading (card ESCAPED). FITS has no
booleans with missing values: they are written as 1 and 0. Missing text is read as empty text.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Union

import astropy.units as u
import numpy as np
from astropy.table import MaskedColumn, QTable, Table

from galcnn._runtime import atomic
from galcnn.catalog.catalog import COLUMN_OPTIONS, TEXT_COLUMNS, Catalog, as_text
from galcnn.catalog.names import image_stem
from galcnn.catalog.votable import parse_votable
from galcnn.errors import did_you_mean, message, wrong_type

if TYPE_CHECKING:
    import pandas as pd

#: Table formats by file suffix; the values are astropy's names.
FORMATS: Mapping[str, str] = {
    ".ecsv": "ascii.ecsv",
    ".csv": "ascii.csv",
    ".fits": "fits",
    ".vot": "votable",
    ".xml": "votable",
    ".parquet": "parquet",
    ".pq": "parquet",
}


_ESCAPED = "ESCAPED"


_WITH_UNIT = re.compile(r"(.+) \[(.+)\]")


def table_format(path: str | os.PathLike[str]) -> str:
    """Return astropy's name of the format of a table file."""
    suffix = Path(path).suffix.lower()
    if suffix not in FORMATS:
        raise ValueError(message(f"a table file ending in {', '.join(FORMATS)}", "", path=str(path)))
    return FORMATS[suffix]


def write_table(table: Table, path: str | os.PathLike[str]) -> None:
    """Write a table atomically, in the format of its suffix.

    Parameters
    ----------
    table : astropy.table.Table
        Table to write.
    path : path-like
        File ending in .ecsv, .csv, .fits, .vot, .xml, .parquet or .pq. An existing file is replaced.

    Raises
    ------
    ValueError
        If the suffix is another one.
    OSError
        If the file cannot be written.
    """
    form = table_format(path)
    if form == "fits":
        table = _for_fits(table)
    elif form == "ascii.csv":
        table = _for_csv(table)
    with atomic.writing(path) as temporary:
        table.write(temporary, format=form, overwrite=True)


def read_table(path: str | os.PathLike[str], *, texts: Iterable[str] = ()) -> QTable:
    """Read a table in the format of its suffix.

    Parameters
    ----------
    path : path-like
        Table file, written by `write_table` or any other program.
    texts : iterable of str
        Columns of a CSV file to read as text, so that 00042 and 100E3 do not become numbers.

    Returns
    -------
    astropy.table.QTable
        Table with units and masked values.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the table cannot be read or has no rows.
    """
    file, form = Path(path), table_format(path)
    if not file.is_file():
        if file.is_dir():
            raise IsADirectoryError(f"{file} is a folder; give a table.")
        raise FileNotFoundError(f"File not found: {file}.")
    try:
        if form == "ascii.csv":
            table = _read_csv(file, set(texts))
        elif form == "votable":
            table = QTable.read(parse_votable(file.read_bytes()), format=form)
        else:
            table = QTable.read(file, format=form)
        if table.meta.pop(_ESCAPED, False):
            _unescape(table)
    except UnicodeDecodeError as error:
        raise ValueError(
            message("a table in UTF-8", "Save it in this encoding.", path=str(file), error=str(error))
        ) from error
    except Exception as error:  # astropy's readers raise many exceptions for broken files
        raise _unreadable(file, form, error) from error
    if len(table) == 0:
        raise ValueError(message("a catalog with at least one row", "The file is empty.", path=str(file)))
    only = table.colnames[0]
    if form == "ascii.csv" and len(table.colnames) == 1 and re.search(r"[;\t|]", only):
        raise ValueError(
            message("columns separated by commas", "Save the table with commas.", path=str(file), column=only)
        )
    return table


def read_scalars(path: str | os.PathLike[str], *, texts: Iterable[str] = ()) -> Table:
    """Read a table; from a Parquet file, only the columns with one value per row (no embeddings)."""
    file = Path(path)
    if table_format(file) != "parquet" or not file.is_file():
        return Table(read_table(file, texts=texts))
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        names = [column.name for column in pq.read_schema(file) if not pa.types.is_nested(column.type)]
        read = pq.read_table(file, columns=names)
    except pa.ArrowException as error:
        raise _unreadable(file, "parquet", error) from error
    return Table({name: np.array(read[name].to_pylist(), dtype=_dtype(read[name])) for name in names})


def _dtype(column: Any) -> Any:
    """Return the dtype of a column; missing values are NaN in float columns and None in others."""
    import pyarrow as pa

    if pa.types.is_floating(column.type):
        return column.type.to_pandas_dtype()
    return object if column.null_count or not pa.types.is_integer(column.type) else None


def _unreadable(file: Path, form: str, error: Exception) -> ValueError:
    return ValueError(
        message(f"a readable {form} table", "Is the file complete?", path=str(file), error=str(error))
    )


def _read_csv(file: Path, texts: set[str]) -> QTable:
    import pandas as pd

    frame = pd.read_csv(
        file,
        dtype=dict.fromkeys(texts, str),
        keep_default_na=False,
        na_values=[""],
        dtype_backend="numpy_nullable",  # whole numbers with missing values stay whole numbers
    )
    table = Table.from_pandas(frame)
    for name in table.colnames:
        found = _WITH_UNIT.fullmatch(name)
        if (
            found is None
            or name in texts
            or found[1] in table.colnames
            or table[name].dtype.kind not in "iuf"
        ):
            continue
        try:
            unit = u.Unit(found[2])
        except ValueError:  # the brackets do not hold a unit
            continue
        table.rename_column(name, found[1])
        table[found[1]].unit = unit
    return QTable(table)


def _for_csv(table: Table) -> Table:
    """Append units to the names of columns, except degrees of `ra` and `dec`, which galcnn assumes."""
    plain = table.copy()
    for name in table.colnames:
        unit = getattr(table[name], "unit", None)
        if unit is None or unit == u.dimensionless_unscaled or (name in ("ra", "dec") and unit == u.deg):
            continue
        plain.rename_column(name, f"{name} [{unit.to_string()}]")
    return plain


def _for_fits(table: Table) -> Table:
    table = table.copy()
    for name in table.colnames:
        column = table[name]
        if column.dtype.kind == "U":
            table[name] = _each(column, lambda text: text.encode("unicode_escape"))
            table.meta[_ESCAPED] = True
        elif column.dtype.kind == "b" and np.any(getattr(column, "mask", False)):
            table[name] = MaskedColumn(np.asarray(column.data, dtype=np.int16), mask=column.mask)
    return table


def _unescape(table: QTable) -> None:
    for name in table.colnames:
        if table[name].dtype.kind == "S":
            table[name] = _each(table[name], lambda text: text.decode("unicode_escape"))


def _each(column: Any, change: Any) -> Any:
    mask = getattr(column, "mask", None)
    changed = np.array([change(value) for value in np.asarray(column).tolist()])
    return changed if mask is None else MaskedColumn(changed, mask=mask)


#: Columns used as the id, in this order, if no column is named.
_ID_COLUMNS = ("objid", "objID", "ID", "name")


#: Known column -> its name in a file, or the names of several columns with image paths.
Columns = Mapping[str, str | Sequence[str]]

#: Key of a table's meta: names of the columns that `image` was read from.
_IMAGE_COLUMNS = "image_columns"

#: What is accepted as a catalog.
Galaxies = Union[Catalog, Table, "pd.DataFrame", str, os.PathLike[str]]


def read_catalog(table: Galaxies, *, columns: Columns | None = None) -> Catalog:
    """Read a catalog from a table or a table file, and check it.

    Parameters
    ----------
    table : path-like, astropy.table.Table, pandas.DataFrame or Catalog
        ECSV, CSV, FITS, VOTable or Parquet file, whose suffix gives the format; or a table in memory.
    columns : mapping of str to str, optional
        Known columns and their names in the table, e.g. ``{"id": "objid", "class": "morphology"}``. For
        `image`, several names may be given: columns with the files of a galaxy, one per band, e.g.
        ``{"image": ("image_g", "image_r")}``.
        Without an entry for `id`, the column `id`, `objid`, `objID`, `ID` or `name` is used, else
        the file name without suffix in `image`, else the row number.

    Returns
    -------
    Catalog
        Catalog. Relative paths in `image` are resolved against the folder of the file, or the current
        folder for a table in memory.

    Raises
    ------
    TypeError
        If `table` is none of these.
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file cannot be read, a named column is missing, or a known column has invalid values.
    """
    named, folder, where = dict(columns or {}), Path.cwd(), "the table"
    if isinstance(table, Catalog):
        found = table.table.copy()
    elif isinstance(table, Table):
        found = QTable(table, copy=True)
    elif isinstance(table, str | os.PathLike):
        file = Path(table)
        found = read_table(file, texts={*_actual_texts(named), *TEXT_COLUMNS, *_ID_COLUMNS})
        folder, where = file.resolve().parent, file.name
    elif _is_frame(table):
        # Columns with missing whole numbers or text become masked columns.
        found = QTable(Table.from_pandas(table))
    else:
        raise wrong_type(_ACCEPTED, table=table)
    for known, names in named.items():
        actual = column_names(names)
        for name in actual:
            if name not in found.colnames:
                raise _no_column(name, known, where, found.colnames)
        if len(actual) > 1:
            found[known] = np.column_stack([as_text(found[name], name) for name in actual])
            found.meta[_IMAGE_COLUMNS] = list(actual)
        elif known != actual[0]:
            # Copied, not renamed: one column may be used twice (an image's name as its id).
            found[known] = found[actual[0]]
    if "image" in found.colnames:
        texts = as_text(found["image"], "image")
        whole = [str(folder / text) if text else "" for text in texts.ravel()]
        found["image"] = np.array(whole, dtype=str).reshape(texts.shape)
    if "id" not in found.colnames:
        found["id"] = _default_ids(found)
    return Catalog(found)


def _no_column(name: str, known: str, where: str, columns: list[str]) -> ValueError:
    option = COLUMN_OPTIONS.get(known, "")
    other = f"Name another column: {option}." if option else ""
    hint = did_you_mean(name, columns, other)
    remedy = f"{hint} ({option})" if option and hint != other else hint
    return ValueError(message(f"a column {name!r} in {where}", remedy, columns=columns))


def as_catalog(table: Galaxies) -> Catalog:
    """Return a catalog as it is; read anything else that `read_catalog` accepts."""
    return table if isinstance(table, Catalog) else read_catalog(table)


_ACCEPTED = "a catalog: a path to a table, an astropy Table, a pandas DataFrame or a Catalog"


def _is_frame(table: object) -> bool:
    pandas = sys.modules.get("pandas")  # whoever holds a DataFrame has imported it
    return pandas is not None and isinstance(table, pandas.DataFrame)


def write_catalog(catalog: Catalog, path: str | os.PathLike[str]) -> None:
    """Write a catalog atomically; `read_catalog` reads it back.

    Parameters
    ----------
    catalog : Catalog
        Catalog to write.
    path : path-like
        File ending in .ecsv, .csv, .fits, .vot, .xml, .parquet or .pq. An existing file is replaced.
        Paths in `image` below its folder are written relative to it, so that both can be moved together.
        Several files of a galaxy are written to the columns that they were read from, else ``image_1``,
        ``image_2`` and so on.

    Raises
    ------
    ValueError
        If the suffix is another one.
    OSError
        If the file cannot be written.
    """
    table = catalog.table
    if "image" in table.colnames:
        folder, table = Path(path).resolve().parent, table.copy()
        texts = np.asarray(table["image"], dtype=str)
        below = np.array([_below(text, folder) for text in texts.ravel()], dtype=str).reshape(texts.shape)
        names = image_columns(table)
        table.meta.pop(_IMAGE_COLUMNS, None)
        if below.ndim == 1:
            table["image"] = below
        else:
            table.remove_column("image")
            for name, column in zip(names, below.T, strict=True):
                table[name] = column
    write_table(table, path)


def image_columns(table: Table) -> list[str]:
    """Return the columns to which the column `image` is written; one for each file of a galaxy."""
    shape = table["image"].shape
    if len(shape) == 1:
        return ["image"]
    names = list(table.meta.get(_IMAGE_COLUMNS, ()))
    return names if len(names) == shape[1] else [f"image_{i + 1}" for i in range(shape[1])]


def _below(text: str, folder: Path) -> str:
    path = Path(text)
    return path.relative_to(folder).as_posix() if text and path.is_relative_to(folder) else text


def column_names(named: str | Sequence[str]) -> tuple[str, ...]:
    """Return one name, or several, as a tuple."""
    return (named,) if isinstance(named, str) else tuple(named)


def _actual_texts(named: Columns) -> list[str]:
    return [name for known, names in named.items() if known in TEXT_COLUMNS for name in column_names(names)]


def _default_ids(table: QTable) -> Any:
    for name in _ID_COLUMNS:
        if name in table.colnames:
            return table[name]
    if "image" in table.colnames:
        return [image_stem(str(np.atleast_1d(names)[0])) for names in table["image"]]
    return [str(i) for i in range(len(table))]
