"""Read and write tables so that values, units, missing values and text survive in every format.

CSV has no units: they are written into the name of the column, ``majax [arcmin]``. FITS has ASCII text
only: other letters are written as backslash escapes and restored on reading (card ESCAPED). FITS has no
booleans with missing values: they are written as 1 and 0. Missing text is read as empty text.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Union

import astropy.units as u
import numpy as np
import numpy.typing as npt
from astropy.io import fits
from astropy.table import Column, MaskedColumn, QTable, Table
from astropy.utils.exceptions import AstropyWarning

from galcnn._runtime import atomic
from galcnn._runtime.fits_blocks import units_of
from galcnn.catalog.arrow import from_arrow
from galcnn.catalog.catalog import (
    COLUMN_OPTIONS,
    ID_COLUMNS,
    NOTES,
    TEXT_COLUMNS,
    Catalog,
    as_str,
    as_text,
    is_sexagesimal,
    read_unit,
    sexagesimal_degrees,
)
from galcnn.catalog.delimited import read_delimited
from galcnn.catalog.names import image_stem
from galcnn.catalog.votable import parse_votable
from galcnn.errors import Message, did_you_mean, message, without_content, wrong_type

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

#: Table formats by file suffix; the values are astropy's names.
FORMATS: dict[str, str] = {
    ".ecsv": "ascii.ecsv",
    ".csv": "ascii.csv",
    ".fits": "fits",
    ".vot": "votable",
    ".xml": "votable",
    ".parquet": "parquet",
    ".pq": "parquet",
}


_ESCAPED = "ESCAPED"


_WITH_UNIT = re.compile(r"(.+?) ?[\[(](.+)[\])]")


#: Other suffixes of tables that are read.
_READ_ONLY = {
    ".tsv": "ascii.csv",
    ".txt": "ascii.csv",
    ".dat": "ascii.csv",
    ".cat": "ascii.csv",  # of SExtractor: text or FITS
    ".ldac": "fits",
    ".fit": "fits",
    ".fts": "fits",
}

#: Suffixes of FITS files, which may hold images, too.
FITS_SUFFIXES = (".fits", ".fit", ".fts")

#: A file and, in brackets, the table in it, as CFITSIO writes it.
_EXTENDED = re.compile(r"(.+\.(?:fits?|fts|cat|ldac|vot|xml))\[([^\[\]]+)\]", re.IGNORECASE)


#: The name of a position that ends in its unit.
_UNIT_AT_END = re.compile(r"(.+)_(deg|degrees?|rad|radians?|h|hrs?|hours?|hms|dms)", re.IGNORECASE)


def table_format(path: str | os.PathLike[str]) -> str:
    """Return astropy's name of the format of a table file."""
    suffix = Path(path).suffix.lower()
    if suffix not in FORMATS:
        raise ValueError(message(f"a table file ending in {', '.join(FORMATS)}", "", path=str(path)))
    return FORMATS[suffix]


def table_file(path: str | os.PathLike[str]) -> tuple[Path, str | None]:
    """Return the file of a table and the name or number of its HDU, ``survey.fits[OBJECTS]``, or None."""
    found = _EXTENDED.fullmatch(os.fspath(path))
    if found is None or Path(path).exists():
        return Path(path), None
    return Path(found[1]), found[2].strip()


def is_table(path: str | os.PathLike[str]) -> bool:
    """Return True if a name is that of a table that can be read."""
    return table_file(path)[0].suffix.lower() in FORMATS | _READ_ONLY


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
    elif form == "votable":
        table = _for_votable(table)
    elif form == "ascii.csv":
        table = _for_csv(table)
    if NOTES in table.meta:  # they are about the file that was read
        table = table.copy(copy_data=False)
        del table.meta[NOTES]
    with atomic.writing(path) as temporary:
        table.write(temporary, format=form, overwrite=True)


def read_table(path: str | os.PathLike[str], *, texts: Iterable[str] = ()) -> QTable:
    """Read a table in the format of its suffix.

    Parameters
    ----------
    path : path-like
        Table file, written by `write_table` or any other program. A table of a FITS file or VOTable with
        several is chosen by name or number: ``survey.fits[LDAC_OBJECTS]``.
    texts : iterable of str
        Columns of a CSV file to read as text, so that 00042 and 100E3 do not become numbers.

    Returns
    -------
    astropy.table.QTable
        Table with units and masked values; ``meta["notes"]`` lists what was guessed, if anything was.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the table cannot be read or has no rows.
    """
    file, hdu = table_file(path)
    form = _READ_ONLY.get(file.suffix.lower()) or table_format(file)
    if not file.is_file():
        if file.is_dir():
            raise IsADirectoryError(f"{file} is a folder; give a table.")
        raise FileNotFoundError(f"File not found: {file}.")
    notes: list[str] = []
    try:
        with warnings.catch_warnings():
            # Units that astropy does not know are read below, and the table that is read is noted.
            warnings.simplefilter("ignore", AstropyWarning)
            table = _read(file, _format_of(file, form), hdu, set(texts), notes)
            if table.meta.pop(_ESCAPED, False):
                _unescape(table)
            _read_units(table)
            table = QTable(table, copy=False)
    except UnicodeDecodeError as error:
        raise ValueError(
            message(
                "a table in UTF-8", "Save it in this encoding.", path=str(file), error=without_content(error)
            )
        ) from error
    except Exception as error:  # astropy's readers raise many exceptions for broken files
        if isinstance(error, ValueError) and error.args and isinstance(error.args[0], Message):
            raise
        raise _unreadable(file, form, error) from error
    if len(table) == 0:
        raise ValueError(message("a catalog with at least one row", "The file is empty.", path=str(file)))
    if notes:
        table.meta[NOTES] = notes
    return table


def read_scalars(path: str | os.PathLike[str], *, texts: Iterable[str] = ()) -> Table:
    """Read a table; from a Parquet file, only the columns with one value per row (no embeddings)."""
    file = Path(path)
    if FORMATS.get(file.suffix.lower()) != "parquet" or not file.is_file():
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
        message(
            f"a readable {form} table", "Is the file complete?", path=str(file), error=without_content(error)
        )
    )


#: First bytes of files of text that are not CSV; SExtractor's catalogs number their columns.
_STARTS = {
    "fits": re.compile(rb"SIMPLE  ="),
    "ascii.ecsv": re.compile(rb"# %ECSV"),
    "ascii.sextractor": re.compile(rb"#\s+1\s+\w+\s"),
}


def _format_of(file: Path, form: str) -> str:
    """Return the format of a file of text by its first bytes, which decide over the suffix."""
    if form != "ascii.csv":
        return form
    with file.open("rb") as stream:
        start = stream.read(80)
    return next((kind for kind, pattern in _STARTS.items() if pattern.match(start)), form)


def _read(file: Path, form: str, hdu: str | None, texts: set[str], notes: list[str]) -> Table:
    """Read a table in a format; append what was guessed to the notes."""
    if form == "ascii.csv":
        return _read_text(file, texts, notes)
    if form == "parquet":
        return _read_parquet(file)
    if form == "fits":
        return _read_fits(file, hdu, notes)
    if form == "votable":
        return _read_votable(file, hdu, notes)
    return Table.read(file, format=form)


def _read_text(file: Path, texts: set[str], notes: list[str]) -> Table:
    """Read CSV and the like; units are in the names of columns."""
    read, found = read_delimited(file, texts)
    notes += found
    table = from_arrow(read)
    for name in table.colnames:
        found_unit = _WITH_UNIT.fullmatch(name)
        if found_unit is None or name in texts or found_unit[1] in table.colnames:
            continue
        unit = read_unit(found_unit[2])
        angle = unit is not None and unit in (u.deg, u.hour, u.rad)
        # Sexagesimal angles are text; round brackets hold remarks, too.
        if isinstance(unit, u.UnrecognizedUnit) or not (
            angle or (table[name].dtype.kind in "iuf" and name.endswith("]"))
        ):
            continue
        table.rename_column(name, found_unit[1])
        table[found_unit[1]].unit = unit
    return table


#: Key of the VOTable without rows in the metadata of a Parquet file (IVOA VOParquet 1.0).
_VOPARQUET = b"IVOA.VOTable-Parquet.content"


def _read_parquet(file: Path) -> Table:
    """Read Parquet; a file that astropy wrote has units, masks and times in its metadata."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(file) as parquet:  # read_table would take folders such as class=spiral for columns
        if b"table_meta_yaml" in (parquet.schema_arrow.metadata or {}):
            with contextlib.suppress(Exception):  # rewritten by another program, which kept the metadata
                return Table.read(file, format="parquet")
        read = parquet.read()
        table = from_arrow(read)
        _set_units(table, read.schema)
        return table


def _set_units(table: Table, schema: pa.Schema) -> None:
    """Set the units that the metadata of a Parquet file tell: of each column, or a VOTable (VOParquet)."""
    units = {field.name: (field.metadata or {}).get(b"unit") for field in schema}
    if content := (schema.metadata or {}).get(_VOPARQUET):
        units |= {field.name: field.unit for field in parse_votable(content).get_first_table().fields}
    for name, unit in units.items():
        if unit and name in table.colnames and isinstance(table[name], Column):
            table[name].unit = read_unit(unit.decode() if isinstance(unit, bytes) else unit)


def _read_fits(file: Path, hdu: str | None, notes: list[str]) -> Table:
    """Read a table of a FITS file: the named one, the objects of LDAC, or the first."""
    with file.open("rb") as stream:
        if stream.read(6) == b"SIMPLE":  # not packed; its sizes fit into the file, or it is refused
            units_of(stream, file.stat().st_size, sys.maxsize)
    with fits.open(file, memmap=False, character_as_bytes=True, logical_as_bytes=True) as hdulist:
        chosen = _fits_table(file, hdulist, hdu, notes)
        flags = [column.name for column in chosen.columns if "L" in str(column.format)]
        nulls = {column.name: _null(column) for column in chosen.columns}
        nulls = {name: null for name, null in nulls.items() if null is not None}
        for name in nulls:
            chosen.columns[name].null = None
        table = Table.read(chosen, format="fits")
        for name, value in nulls.items():
            values = np.asarray(table[name])
            table[name] = MaskedColumn(values, mask=values == values.dtype.type(value), unit=table[name].unit)
    for name in table.colnames:
        column = table[name]
        if name in flags and column.dtype.kind == "S":
            values = np.asarray(column)
            table[name] = (
                MaskedColumn(values == b"T", mask=values == b"") if b"" in values else values == b"T"
            )
        elif column.dtype.kind == "S" and _ESCAPED not in table.meta:
            table[name] = _each(column, lambda text: as_str(text).rstrip())
            table[name].unit = column.unit
    return table


def _null(column: fits.Column) -> float | None:
    """Return the value that TNULL stands for, where astropy takes another one or fails; else None."""
    null, scale, zero = column.null, column.bscale or 1, column.bzero or 0
    if isinstance(null, int) and (scale, zero) != (1, 0):
        value: float = null * scale + zero
        return value
    if isinstance(null, str) and null.strip().lstrip("-").isdigit():  # of an ASCII table
        return int(null)
    return None


def _fits_table(file: Path, hdulist: fits.HDUList, name: str | None, notes: list[str]) -> Any:
    """Return the HDU of a table."""
    tables = [one for one in hdulist if isinstance(one, fits.BinTableHDU | fits.TableHDU)]
    tables = [one for one in tables if not isinstance(one, fits.CompImageHDU)]
    listed = [f"{hdulist.index_of(one)}: {one.name or 'no name'}" for one in tables]
    if name is not None:
        for one in tables:
            if name.lower() in (one.name.lower(), str(hdulist.index_of(one))):
                return one
        raise ValueError(
            message(f"a table {name!r}", "Give its name or number.", path=str(file), tables=listed)
        )
    if not tables:
        raise ValueError("the file has no table")
    if len(tables) == 1:
        return tables[0]
    objects = [one for one in tables if one.name == _LDAC]
    useful = [one for one in tables if _is_catalog(one.columns.names)]
    chosen = (objects or useful or tables)[0]
    notes.append(
        f"HDU {hdulist.index_of(chosen)} of the tables {', '.join(listed)} was read; choose another one by "
        f"{file.name}[NAME]."
    )
    return chosen


#: The HDU with the objects of SExtractor's FITS_LDAC catalogs, after one with the header of their image.
_LDAC = "LDAC_OBJECTS"


def _is_catalog(names: Iterable[str]) -> bool:
    """Return True for names of the columns of a catalog."""
    lower = {name.lower() for name in names}
    return {"ra", "dec"} <= lower or not lower.isdisjoint(name.lower() for name in ("id", *ID_COLUMNS))


def _read_votable(file: Path, hdu: str | None, notes: list[str]) -> Table:
    """Read a table of a VOTable: the named one, or the first."""
    tables = list(parse_votable(file.read_bytes()).iter_tables())
    listed = [f"{i}: {one.name or one.ID or 'no name'}" for i, one in enumerate(tables)]
    if hdu is not None:
        tables = [one for i, one in enumerate(tables) if hdu in (one.name, one.ID, str(i))]
    if not tables:
        raise ValueError(message(f"a table {hdu or ''}".rstrip(), "", path=str(file), tables=listed))
    if hdu is None and len(tables) > 1:
        notes.append(f"The first of the tables {', '.join(listed)} was read; choose by {file.name}[NAME].")
    names = [field.name for field in tables[0].fields]
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        remedy = "Rename one of them."
        raise ValueError(message("names of columns that differ", remedy, path=str(file), repeated=repeated))
    return tables[0].to_table(use_names_over_ids=True)  # ids may be col1, col2 ...


def _read_units(table: Table) -> None:
    """Read units as other programs write them; text has none, and becomes degrees if it holds angles."""
    for name in table.colnames:
        column = table[name]
        unit = read_unit(getattr(column, "unit", None))
        if unit is None:
            continue
        if column.dtype.kind not in "OSU":
            column.unit = unit
            continue
        column.unit = None
        unit = u.hourangle if unit == u.hour else unit
        if unit.is_equivalent(u.deg) and is_sexagesimal(column, name):
            table[name] = sexagesimal_degrees(column, name, unit)


def _for_csv(table: Table) -> Table:
    """Append units to the names of columns, except degrees of `ra` and `dec`, which galcnn assumes."""
    if several := [name for name in table.colnames if _has_arrays(table[name])]:
        remedy = "Write another format: .ecsv, .fits or .parquet."
        raise ValueError(message("columns of one value per row, for CSV", remedy, columns=several))
    plain = table.copy()
    for name in table.colnames:
        unit = getattr(table[name], "unit", None)
        if unit is None or unit == u.dimensionless_unscaled or (name in ("ra", "dec") and unit == u.deg):
            continue
        plain.rename_column(name, f"{name} [{unit.to_string()}]")
    return plain


def _has_arrays(column: Any) -> bool:
    """Return True for a column with an array in a row."""
    objects = isinstance(column, Column) and column.dtype.kind == "O"
    return len(column.shape) > 1 or (objects and any(isinstance(value, np.ndarray) for value in column))


def _for_fits(table: Table) -> Table:
    table = table.copy()
    for name in table.colnames:
        column = table[name]
        if column.dtype.kind == "U":
            table[name] = _each(column, lambda text: text.encode("unicode_escape"))
            table.meta[_ESCAPED] = True
        elif column.dtype.kind in "biu" and np.any(getattr(column, "mask", False)):
            table[name] = _with_null(column)
    return table


def _with_null(column: Any) -> MaskedColumn:
    """Return a column of whole numbers with a TNULL that is none of its values."""
    mask, unit = np.asarray(column.mask), getattr(column, "unit", None)
    values = _signed(np.asarray(np.ma.getdata(column)))
    if values.dtype.kind == "U":
        return MaskedColumn(values.astype(bytes), mask=mask)
    used = set(values[~mask].tolist())
    null = next(value for value in range(int(np.iinfo(values.dtype).min), 0) if value not in used)
    return MaskedColumn(values, mask=mask, fill_value=null, unit=unit)


def _for_votable(table: Table) -> Table:
    table = table.copy()
    for name in table.colnames:
        column = table[name]
        if column.dtype.kind in "iu" and column.dtype not in (np.uint8, np.int16, np.int32, np.int64):
            values, mask = _signed(np.asarray(np.ma.getdata(column))), getattr(column, "mask", False)
            table[name] = MaskedColumn(values, mask=mask, unit=column.unit)
    return table


def _signed(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Convert to signed integers, as FITS and VOTable have them, or to text if a number is too large."""
    if values.dtype == np.uint64:
        return values.astype(np.int64 if values.max(initial=0) <= np.iinfo(np.int64).max else str)
    return values.astype(np.promote_types(values.dtype, np.int16))


def _unescape(table: QTable) -> None:
    for name in table.colnames:
        if table[name].dtype.kind == "S":
            table[name] = _each(table[name], lambda text: text.decode("unicode_escape"))


def _each(column: Any, change: Any) -> Any:
    mask = getattr(column, "mask", None)
    values = np.asarray(column)
    changed = np.array([change(value) for value in values.ravel().tolist()]).reshape(values.shape)
    return changed if mask is None else MaskedColumn(changed, mask=mask)


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
        file = table_file(table)[0]
        found = read_table(table, texts={*_actual_texts(named), *TEXT_COLUMNS, *ID_COLUMNS})
        folder, where = file.resolve().parent, file.name
    elif _is_frame(table):
        found = QTable(_from_pandas(table))
    else:
        raise wrong_type(_ACCEPTED, table=table)
    for known, names in named.items():
        actual = tuple(_without_unit(name, found.colnames) for name in column_names(names))
        for name in actual:
            if name not in found.colnames:
                raise _no_column(name, known, where, found.colnames)
        if len(actual) > 1:
            found[known] = np.column_stack([as_text(found[name], name) for name in actual])
            found.meta[_IMAGE_COLUMNS] = list(actual)
        elif known != actual[0]:
            # Copied, not renamed: one column may be used twice (an image's name as its id).
            found[known] = found[actual[0]]
            if known in ("ra", "dec"):
                _read_named_unit(found, known, actual[0])
    if "image" in found.colnames:
        texts = as_text(found["image"], "image")
        whole = [str(folder / text) if text else "" for text in texts.ravel()]
        found["image"] = np.array(whole, dtype=str).reshape(texts.shape)
    if "id" not in found.colnames:
        found["id"] = _default_ids(found)
    return Catalog(found)


def _read_named_unit(table: QTable, known: str, name: str) -> None:
    """Read the unit of a position from the name of its column, if nothing else tells it: ``ra_rad``."""
    said = _WITH_UNIT.fullmatch(name) or _UNIT_AT_END.fullmatch(name)
    unit = None if said is None else read_unit(said[2])
    if unit not in (u.deg, u.hour, u.rad, u.arcmin, u.arcsec) or getattr(table[known], "unit", None):
        return
    one = Table({known: table[known]})
    one[known].unit = unit
    _read_units(one)
    table[known] = QTable(one)[known]
    table.meta[NOTES] = [
        *table.meta.get(NOTES, ()),
        f"{known} was read in the unit {unit}, which the name of its column tells.",
    ]


def _without_unit(name: str, columns: Sequence[str]) -> str:
    """Return the name of a column, of which a unit may have been taken off on reading."""
    unit = _WITH_UNIT.fullmatch(name)
    return unit[1] if unit and name not in columns and unit[1] in columns else name


#: The index of a pandas DataFrame, if it has no name, in CSV, in Parquet and in memory.
_INDEX = ("Unnamed: 0", "__index_level_0__", "index")


def _from_pandas(frame: pd.DataFrame) -> Table:
    """Convert a DataFrame, and its index unless it counts the rows."""
    if any(frame.index.names) or frame.index.dtype.kind not in "iu":
        frame = frame.reset_index(drop=not set(frame.columns).isdisjoint(frame.index.names))
    frame = frame.rename(columns=str)
    if frame.columns.has_duplicates:
        repeated = sorted(set(frame.columns[frame.columns.duplicated()]))
        raise ValueError(message("names of columns that differ", "Rename one of them.", repeated=repeated))
    # Columns with missing whole numbers or text become masked columns.
    return Table.from_pandas(frame)


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
    for name in ID_COLUMNS:
        if name in table.colnames:
            return table[name]
    for name in _INDEX:
        if name in table.colnames and table[name].dtype.kind in "UO":
            return table[name]
    if "image" in table.colnames:
        return [image_stem(str(np.atleast_1d(names)[0])) for names in table["image"]]
    return [str(i) for i in range(len(table))]
