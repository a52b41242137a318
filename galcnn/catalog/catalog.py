"""Catalog: a table of galaxies with checked columns (id, position, redshift, class, split, image)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import astropy.units as u
import numpy as np
import numpy.typing as npt
from astropy.table import QTable, Table

from galcnn._runtime.representation import names, summary
from galcnn.errors import message, wrong_type

if TYPE_CHECKING:
    from astropy.coordinates import SkyCoord


#: Above this, floats cannot represent every whole number.
_EXACT = 2**53


def as_text(column: Any, name: str) -> npt.NDArray[np.str_]:
    """Convert a column to text; missing values become empty strings."""
    if getattr(column, "ndim", 1) > 1:
        return np.array([as_text(row, name) for row in column])
    texts = [_text(value, name) for value in column]
    if odd := [text for text in texts if not text.isprintable()]:
        raise ValueError(
            message(f"printable text in {name!r}", "Remove line breaks and the like.", received=odd[0])
        )
    return np.array(texts, dtype=str)


def as_numbers(column: Any, name: str) -> npt.NDArray[np.float64]:
    """Convert a numeric column to plain numbers.

    Parameters
    ----------
    column : array-like
        Column, with or without mask and unit.
    name : str
        Name of the column, for the error text.

    Returns
    -------
    numpy.ndarray
        float64, in the unit of the column; NaN where masked.

    Raises
    ------
    ValueError
        If the column does not hold numbers.

    Examples
    --------
    >>> as_numbers(np.ma.array([1, 2], mask=[0, 1]), "n").tolist()
    [1.0, nan]
    """
    mask = np.asarray(getattr(column, "mask", False))
    plain = getattr(column, "unmasked", column)
    try:
        values = np.array(getattr(plain, "value", np.ma.getdata(plain)), dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(
            message(
                f"numbers in {name!r}", "Convert it to numbers, or name another column.", error=str(error)
            )
        ) from error
    values[np.broadcast_to(mask, values.shape)] = np.nan
    return values


def as_degrees(column: Any, name: str) -> u.Quantity:
    """Convert a column of angles to degrees; without a unit it is taken to be in degrees."""
    unit = getattr(column, "unit", None) or u.deg
    try:
        degrees = u.Quantity(as_numbers(column, name), unit).to(u.deg)
    except u.UnitConversionError as error:
        raise ValueError(message(f"an angle in {name!r}", "Name another column.", unit=str(unit))) from error
    if not np.all(np.isfinite(degrees.value)):
        raise ValueError(message(f"finite degrees in {name!r}", "Remove the rows without a position."))
    return degrees


def check_ids(column: Any) -> None:
    """Raise an error if ids are empty or repeated."""
    names, counts = np.unique(np.asarray(column, dtype=str), return_counts=True)
    if np.any(counts > 1):
        raise ValueError(
            message("unique ids", "Remove the repeated rows.", repeated=names[counts > 1][:5].tolist())
        )
    if "" in names:
        raise ValueError(message("an id in every row", "Fill it in, or name another column: --id.", id=""))


def check_redshifts(column: Any) -> None:
    """Raise an error if a column does not hold redshifts; missing and unphysical values are allowed."""
    unit = getattr(column, "unit", None)
    if unit is not None and u.Unit(unit) != u.dimensionless_unscaled:
        raise ValueError(
            message("redshifts without a unit", "Divide velocities by the speed of light.", unit=str(unit))
        )
    as_numbers(column, "redshift")


def _text(value: Any, name: str) -> str:
    if value is np.ma.masked or (isinstance(value, float | np.floating) and not np.isfinite(value)):
        return ""
    if isinstance(value, float | np.floating) and float(value).is_integer():
        # FITS and pandas turn integers with missing values into floats.
        if name == "id" and abs(float(value)) > _EXACT:
            raise ValueError(
                message(
                    "ids as text or 64-bit integers",
                    "A float of this size has lost its last digits: read the ids from their source.",
                    id=float(value),
                )
            )
        return str(int(value))
    return value.decode().strip() if isinstance(value, bytes) else str(value).strip()


def _named_by(name: str) -> str:
    """Return how the column of a known quantity is named."""
    return f"Name the column: {COLUMN_OPTIONS[name]}." if name in COLUMN_OPTIONS else ""


#: Options of the command line for columns of other names.
COLUMN_OPTIONS = {
    "id": "--id",
    "class": "--label",
    "image": "--image-column",
    "ra": "--ra",
    "dec": "--dec",
}

SPLITS = ("train", "validation", "test")


#: Column of the spatial index of HATS: the nested HEALPix cell at order 29.
HEALPIX = "_healpix_29"

#: Known columns that are read as text.
TEXT_COLUMNS = ("id", "class", "split", "image")


@dataclass(frozen=True, eq=False)
class Catalog:
    """A table with one row per galaxy, whose known columns are checked.

    Attributes
    ----------
    table : astropy.table.QTable
        Table with a column `id` (text, unique). These columns are checked if present: `ra`, `dec` (deg,
        ICRS), `redshift` (numbers; missing and unphysical values are allowed), `class` (text), `split`
        (train, validation or test) and `image` (path, or, with shape (n, n_files), the paths of several
        files of each galaxy, one per band; empty text for no file). Other columns are kept.

    Raises
    ------
    ValueError
        If a known column is missing or has invalid values.

    Examples
    --------
    >>> from astropy.table import QTable
    >>> catalog = Catalog(QTable({"id": ["a", "b"], "class": ["spiral", "elliptical"]}))
    >>> len(catalog), catalog.classes
    (2, ('elliptical', 'spiral'))
    """

    table: QTable

    def __post_init__(self) -> None:
        if not isinstance(self.table, Table):
            raise wrong_type(
                "an astropy Table", "Read paths and pandas DataFrames with read_catalog.", table=self.table
            )
        table = QTable(self.table, copy=True)
        if "id" not in table.colnames:
            raise ValueError(
                message("a column 'id'", "Name the column of the ids: --id.", columns=table.colnames)
            )
        for name in TEXT_COLUMNS:
            if name in table.colnames:
                table[name] = as_text(table[name], name)
        check_ids(table["id"])
        for name in ("ra", "dec"):
            if name in table.colnames:
                table[name] = as_degrees(table[name], name)
        if "dec" in table.colnames and np.any(np.abs(table["dec"].value) > 90):
            raise ValueError(message("declinations within +-90 deg", "Are ra and dec swapped?"))
        if "redshift" in table.colnames:
            check_redshifts(table["redshift"])
        if "split" in table.colnames:
            wrong = sorted({str(name) for name in table["split"]} - set(SPLITS))
            if wrong:
                raise ValueError(
                    message(f"splits among {SPLITS}", "Correct the column of the splits.", split=wrong)
                )
        object.__setattr__(self, "table", table)

    def __len__(self) -> int:
        return len(self.table)

    def __repr__(self) -> str:
        counted = []
        for name in ("class", "split"):
            if name in self.table.colnames:
                values, numbers = np.unique(np.asarray(self.table[name], dtype=str), return_counts=True)
                told = [f"{value or 'none'} {n}" for value, n in zip(values, numbers, strict=True)]
                counted.append(f"{name}: {names(told)}")
        return summary("Catalog", f"of {len(self)} galaxies, columns {names(self.table.colnames)}", *counted)

    @property
    def ids(self) -> list[str]:
        """Ids, in row order."""
        return [str(name) for name in self.table["id"]]

    @property
    def labels(self) -> npt.NDArray[np.str_]:
        """Class of each galaxy; raises `ValueError` if there is no column `class` or a value is missing."""
        labels = np.asarray(self._column("class"), dtype=str)
        if missing := int(np.sum(labels == "")):
            raise ValueError(
                message(
                    "a class in every row",
                    "Remove these rows, or name another column: --label.",
                    missing=missing,
                )
            )
        return labels

    @property
    def classes(self) -> tuple[str, ...]:
        """Distinct classes, sorted."""
        return tuple(str(name) for name in np.unique(self.labels))

    @property
    def images(self) -> dict[str, tuple[Path, ...]]:
        """Image files of each galaxy, by id; raises `ValueError` if there is no column `image`."""
        named = [[str(name) for name in np.atleast_1d(cell)] for cell in self._column("image")]
        paths = [tuple(Path(name) for name in names if name) or (Path(),) for names in named]
        return dict(zip(self.ids, paths, strict=True))

    @property
    def positions(self) -> SkyCoord | None:
        """Sky positions (ICRS), or None without `ra` and `dec`."""
        if not {"ra", "dec"} <= set(self.table.colnames):
            return None
        from astropy.coordinates import SkyCoord

        return SkyCoord(self.table["ra"], self.table["dec"], frame="icrs")

    @property
    def redshifts(self) -> npt.NDArray[np.float64]:
        """Redshift of each galaxy; raises `ValueError` if one is missing or not above 0."""
        redshifts = as_numbers(self._column("redshift"), "redshift")
        wrong = ~(np.isfinite(redshifts) & (redshifts > 0))
        if wrong.any():
            raise ValueError(
                message(
                    "a redshift above 0 in every row",
                    "Remove these rows.",
                    n_without=int(wrong.sum()),
                    ids=[name for name, bad in zip(self.ids, wrong, strict=True) if bad][:5],
                )
            )
        return redshifts

    def select(self, rows: npt.NDArray[Any] | Sequence[int]) -> Catalog:
        """Return a catalog of selected rows.

        Parameters
        ----------
        rows : array of bool or int
            Boolean mask, or row numbers in the wanted order.

        Returns
        -------
        Catalog
            Catalog of these rows.
        """
        chosen = np.asarray(rows)
        return Catalog(self.table[chosen if chosen.dtype == np.bool_ else chosen.astype(np.intp)])

    def with_column(self, name: str, values: object) -> Catalog:
        """Return a catalog with one column added or replaced.

        Parameters
        ----------
        name : str
            Name of the column.
        values : array-like
            One value per row.

        Returns
        -------
        Catalog
            New catalog; this one is unchanged.
        """
        table = self.table.copy()
        table[name] = values
        return Catalog(table)

    def _column(self, name: str) -> Any:
        if name not in self.table.colnames:
            raise ValueError(message(f"a column {name!r}", _named_by(name), columns=self.table.colnames))
        return self.table[name]
