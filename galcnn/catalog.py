"""Catalog: what is known of each galaxy (id, position, redshift, class, split, image)."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import astropy.units as u
import numpy as np
import numpy.typing as npt
from astropy.table import QTable

from galcnn import atomic
from galcnn.errors import message

if TYPE_CHECKING:
    from astropy.coordinates import SkyCoord
    from astropy.table import Table

__all__ = ["FORMATS", "SPLITS", "Catalog", "read_catalog", "relabel", "write_table"]

SPLITS = ("train", "validation", "test")

#: Table formats by suffix, in astropy's names.
FORMATS: Mapping[str, str] = {
    ".ecsv": "ascii.ecsv",
    ".csv": "ascii.csv",
    ".fits": "fits",
    ".vot": "votable",
    ".xml": "votable",
    ".parquet": "parquet",
}

_TEXT_COLUMNS = ("id", "class", "split", "image")
#: Taken for the id, in this order, where no column is named.
_ID_COLUMNS = ("objid", "objID", "ID", "name")


@dataclass(frozen=True, eq=False)
class Catalog:
    """A table with one row a galaxy, whose known columns are checked.

    Attributes
    ----------
    table : astropy.table.QTable
        `id` (text, unique) is required. Known and checked where present: `ra`, `dec` (deg,
        ICRS), `redshift`, `class` (text), `split` (train, validation or test), `image` (path).
        Other columns are carried along.

    Raises
    ------
    ValueError
        A known column does not hold what it must.

    Examples
    --------
    >>> from astropy.table import QTable
    >>> catalog = Catalog(QTable({"id": ["a", "b"], "class": ["spiral", "elliptical"]}))
    >>> len(catalog), catalog.classes
    (2, ('elliptical', 'spiral'))
    """

    table: QTable

    def __post_init__(self) -> None:
        table = QTable(self.table, copy=True)
        if "id" not in table.colnames:
            raise ValueError(
                message("a column 'id'", "Name the column that holds it.", columns=table.colnames)
            )
        for name in _TEXT_COLUMNS:
            if name in table.colnames:
                table[name] = _as_text(table[name], name)
        _check_ids(table["id"])
        for name in ("ra", "dec"):
            if name in table.colnames:
                table[name] = _as_degrees(table[name], name)
        if "dec" in table.colnames and np.any(np.abs(table["dec"].value) > 90):
            raise ValueError(message("declinations within +-90 deg", "Are ra and dec swapped?"))
        if "split" in table.colnames:
            wrong = sorted({str(name) for name in table["split"]} - set(SPLITS))
            if wrong:
                raise ValueError(message(f"splits among {SPLITS}", "", split=wrong))
        object.__setattr__(self, "table", table)

    def __len__(self) -> int:
        return len(self.table)

    @property
    def ids(self) -> list[str]:
        """Identifiers, in row order."""
        return [str(name) for name in self.table["id"]]

    @property
    def labels(self) -> npt.NDArray[np.str_]:
        """Class of each galaxy; raises `ValueError` without a column `class`, or with gaps in it."""
        if "class" not in self.table.colnames:
            raise ValueError(
                message("a column 'class'", "Name the column that holds it.", columns=self.table.colnames)
            )
        labels = np.asarray(self.table["class"], dtype=str)
        if missing := int(np.sum(labels == "")):
            raise ValueError(message("a class in every row", "Drop the rows without one.", missing=missing))
        return labels

    @property
    def classes(self) -> tuple[str, ...]:
        """Distinct classes, sorted."""
        return tuple(str(name) for name in np.unique(self.labels))

    @property
    def positions(self) -> SkyCoord | None:
        """Sky positions (ICRS), or None without `ra` and `dec`."""
        if not {"ra", "dec"} <= set(self.table.colnames):
            return None
        from astropy.coordinates import SkyCoord

        return SkyCoord(self.table["ra"], self.table["dec"], frame="icrs")

    def select(self, rows: npt.NDArray[Any] | Sequence[int]) -> Catalog:
        """Give some of the rows.

        Parameters
        ----------
        rows : array of bool or int
            A boolean for each row, or row numbers in the wanted order.

        Returns
        -------
        Catalog
            With these rows alone.
        """
        return Catalog(self.table[np.asarray(rows)])

    def with_column(self, name: str, values: object) -> Catalog:
        """Give the same catalog with one column added or replaced.

        Parameters
        ----------
        name : str
            The column.
        values : array-like
            One value a row.

        Returns
        -------
        Catalog
            A new one; this one stays as it is.
        """
        table = self.table.copy()
        table[name] = values
        return Catalog(table)


def read_catalog(path: str | os.PathLike[str], *, columns: Mapping[str, str] | None = None) -> Catalog:
    """Read a table and check it.

    Parameters
    ----------
    path : path-like
        ECSV, CSV, FITS, VOTable or Parquet, told apart by suffix.
    columns : mapping of str to str, optional
        The file's names of the known columns, e.g. ``{"id": "objid", "class": "morphology"}``.
        Without an entry for `id`, a column `id`, `objid`, `objID`, `ID` or `name` is taken, else
        the stem of the `image` column, else the row number.

    Returns
    -------
    Catalog
        Relative paths in `image` are resolved against the file's folder.

    Raises
    ------
    FileNotFoundError
        No such file.
    ValueError
        It cannot be read, or a named column is not there.
    """
    file = Path(path)
    table = _read_table(file, (columns or {}).values())
    for known, actual in (columns or {}).items():
        if actual not in table.colnames:
            raise ValueError(
                message(f"a column {actual!r} in {file.name}", "Check its spelling.", columns=table.colnames)
            )
        if known != actual:
            # Copied, not renamed: one column may serve twice (an image's name as its id).
            table[known] = table[actual]
    if "image" in table.colnames:
        folder = file.resolve().parent
        table["image"] = [str(folder / str(name)) for name in table["image"]]
    if "id" not in table.colnames:
        table["id"] = _default_ids(table)
    return Catalog(table)


def write_table(table: Table, path: str | os.PathLike[str]) -> None:
    """Write a table whole or not at all, in the format of its suffix.

    Parameters
    ----------
    table : astropy.table.Table
        What to write.
    path : path-like
        Ends in .ecsv, .csv, .fits, .vot, .xml or .parquet.

    Raises
    ------
    ValueError
        Another suffix.
    OSError
        The folder cannot be written.
    """
    form = table_format(path)
    if form == "fits":
        table = _ascii(table)
    with atomic.writing(path) as temporary:
        table.write(temporary, format=form, overwrite=True)


def _ascii(table: Table) -> Table:
    """FITS tables hold ASCII alone: other letters become backslash escapes."""
    table = table.copy()
    for name in table.colnames:
        if table[name].dtype.kind == "U":
            table[name] = np.char.encode(np.asarray(table[name], dtype=str), "ascii", "backslashreplace")
    return table


def table_format(path: str | os.PathLike[str]) -> str:
    """Give astropy's name of a table file's format.

    Parameters
    ----------
    path : path-like
        The file.

    Returns
    -------
    str
        See `FORMATS`.

    Raises
    ------
    ValueError
        A suffix that is not known.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in FORMATS:
        raise ValueError(message(f"a table file ending in {', '.join(FORMATS)}", "", path=str(path)))
    return FORMATS[suffix]


def relabel(
    catalog: Catalog, *, merge: Mapping[str, Sequence[str]] | None = None, drop: Sequence[str] = ()
) -> Catalog:
    """Merge classes into one and drop others.

    Parameters
    ----------
    catalog : Catalog
        With a column `class`.
    merge : mapping of str to sequence of str, optional
        New class -> the old ones that it takes in.
    drop : sequence of str, optional
        Classes whose galaxies are left out.

    Returns
    -------
    Catalog
        With the new classes.

    Raises
    ------
    ValueError
        A class is not there, or is merged twice.

    Examples
    --------
    >>> from astropy.table import QTable
    >>> catalog = Catalog(QTable({"id": ["1", "2", "3"], "class": ["cw", "acw", "star"]}))
    >>> relabel(catalog, merge={"spiral": ["cw", "acw"]}, drop=["star"]).labels.tolist()
    ['spiral', 'spiral']
    """
    labels = catalog.labels.astype(object)
    known = set(catalog.classes)
    named = [old for olds in (merge or {}).values() for old in olds] + list(drop)
    if unknown := sorted(set(named) - known):
        raise ValueError(message(f"classes among {sorted(known)}", "Check the spelling.", unknown=unknown))
    if len(set(named)) != len(named):
        raise ValueError(message("each class merged or dropped once", "", classes=named))
    for new, olds in (merge or {}).items():
        labels[np.isin(catalog.labels, list(olds))] = new
    kept = ~np.isin(catalog.labels, list(drop))
    return catalog.with_column("class", labels.astype(str)).select(kept)


def _read_table(file: Path, texts: Iterable[str]) -> QTable:
    form = table_format(file)
    if not file.is_file():
        raise FileNotFoundError(message("a catalog file", "Check the path.", path=str(file)))
    try:
        table = _read_csv(file, texts) if form == "ascii.csv" else QTable.read(file, format=form)
    except Exception as error:  # astropy's readers raise many kinds on a broken file
        raise ValueError(
            message(f"a readable {form} table", "Is the file whole?", path=str(file), error=str(error))
        ) from error
    if len(table) == 0:
        raise ValueError(message("a catalog with at least one row", "", path=str(file)))
    return table


def _read_csv(file: Path, texts: Iterable[str]) -> QTable:
    """CSV knows no types: ids such as 00042 and 100E3 must not be taken for numbers."""
    import pandas as pd

    kept = dict.fromkeys({*texts, *_TEXT_COLUMNS, *_ID_COLUMNS}, str)
    return QTable.from_pandas(pd.read_csv(file, dtype=kept, keep_default_na=False, na_values=[""]))


def _default_ids(table: QTable) -> list[str]:
    for name in _ID_COLUMNS:
        if name in table.colnames:
            return [str(value) for value in table[name]]
    if "image" in table.colnames:
        return [Path(str(name)).stem for name in table["image"]]
    return [str(i) for i in range(len(table))]


def _as_text(column: Any, name: str) -> npt.NDArray[np.str_]:
    """Text of any column; a missing value is empty, and what is empty is refused where it matters."""
    texts = [_text(value) for value in column]
    if odd := [text for text in texts if not text.isprintable()]:
        raise ValueError(message(f"printable text in {name!r}", "Rename it.", received=odd[0]))
    return np.array(texts, dtype=str)


def _text(value: Any) -> str:
    if value is np.ma.masked or (isinstance(value, float | np.floating) and not np.isfinite(value)):
        return ""
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))  # FITS and pandas make floats of integers with gaps
    return value.decode().strip() if isinstance(value, bytes) else str(value).strip()


def _check_ids(column: Any) -> None:
    names, counts = np.unique(np.asarray(column, dtype=str), return_counts=True)
    if np.any(counts > 1):
        raise ValueError(
            message("unique ids", "Remove the repeated rows.", repeated=names[counts > 1][:5].tolist())
        )
    if "" in names:
        raise ValueError(message("an id in every row", "", id=""))


def _as_degrees(column: Any, name: str) -> u.Quantity:
    unit = getattr(column, "unit", None)
    quantity = u.Quantity(column, unit=unit or u.deg).to(u.deg)
    if not np.all(np.isfinite(quantity.value)):
        raise ValueError(message(f"finite degrees in {name!r}", "Drop the rows without a position."))
    return quantity
