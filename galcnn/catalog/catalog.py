"""Catalog: a table of galaxies with checked columns (id, position, redshift, class, split, image)."""

from __future__ import annotations

import re
import warnings
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


#: What tables write for a missing text: the words of pandas and of astropy; NA and None may be names, too.
MISSING = frozenset(
    ["", "nan", "NaN", "-nan", "-NaN", "NULL", "null", "N/A", "n/a", "<NA>", "#N/A", "#N/A N/A", "#NA", "--"]
)

#: What tables write for a missing class, split or path.
_MISSING_CLASSES = MISSING | {"NA", "None"}

#: What tables write for a missing number.
MISSING_NUMBERS = _MISSING_CLASSES | {"none", "-", "NAN", "Null", "1.#QNAN", "-1.#IND"}

#: The minus sign of typesetting, which tables copied from papers have.
MINUS = "\N{MINUS SIGN}"

#: Key of a table's meta: what was guessed when it was read.
NOTES = "notes"

#: Columns that may hold the id, in this order, if no column is named.
ID_COLUMNS = ("objid", "objID", "ID", "name")


def as_text(column: Any, name: str) -> npt.NDArray[np.str_]:
    """Convert a column to text; missing values, and words for them but in ids, become empty strings."""
    if getattr(column, "ndim", 1) > 1:
        return np.array([as_text(row, name) for row in column])
    missing = {""} if name == "id" else _MISSING_CLASSES  # a galaxy may be called "nan"
    texts = ["" if text in missing else text for text in (_text(value, name) for value in column)]
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
    data = np.asarray(getattr(plain, "value", np.ma.getdata(plain)))
    mask = np.broadcast_to(mask, data.shape)
    if data.dtype.kind in "OSU":
        mask = mask | np.reshape([_text(value, name) in MISSING_NUMBERS for value in data.flat], data.shape)
        data = np.where(mask, np.array(np.nan, dtype=object), data.astype(object))
    try:
        values = np.array(data, dtype=np.float64)
    except (TypeError, ValueError) as error:
        row = next(i for i, value in enumerate(data) if not _is_number(value))
        raise ValueError(
            message(
                f"numbers in {name!r}",
                "Convert it to numbers, or name another column.",
                row=row + 1,
                received=data[row],
            )
        ) from error
    values[mask] = np.nan
    return values


def _is_number(value: Any) -> bool:
    try:
        np.array(value, dtype=np.float64)
    except (TypeError, ValueError):
        return False
    return True


def as_degrees(column: Any, name: str) -> u.Quantity:
    """Convert a column of angles to degrees, from its unit.

    Without a unit, numbers are degrees; sexagesimal text is hours in `ra`, and degrees in others.
    """
    unit = read_unit(getattr(column, "unit", None))
    if unit == u.hour and name == "ra":
        unit = u.hourangle
    if unit is None or unit == u.dimensionless_unscaled:
        unit = u.hourangle if name == "ra" and is_sexagesimal(column, name) else u.deg
    if not unit.is_equivalent(u.deg):
        raise ValueError(message(f"an angle in {name!r}", "Name another column.", unit=str(unit)))
    if is_sexagesimal(column, name):
        degrees = sexagesimal_degrees(column, name, unit)
    else:
        degrees = u.Quantity(as_numbers(column, name), unit).to(u.deg)
    wrong = np.flatnonzero(~np.isfinite(degrees.value))
    if len(wrong):
        remedy = "Remove the rows without a position."
        row, n = int(wrong[0]) + 1, len(wrong)
        raise ValueError(message(f"finite degrees in {name!r}", remedy, row=row, n_without=n))
    return degrees


def is_sexagesimal(column: Any, name: str) -> bool:
    """Return True for a column of text with angles of several parts, or with their units."""
    data = np.ma.getdata(getattr(column, "unmasked", column))
    if np.asarray(data).dtype.kind not in "OSU":
        return False
    return any(_PARTS.search(text) for text in as_text(column, name).ravel())


def sexagesimal_degrees(column: Any, name: str, unit: u.UnitBase) -> u.Quantity:
    """Convert a column of sexagesimal text to degrees; `unit` is that of the first part."""
    from astropy.coordinates import Angle, IllegalSecondWarning

    texts = as_text(column, name).tolist()
    numbers = [_is_number(text) for text in texts]
    degrees = np.full(len(texts), np.nan)
    for row in sorted(range(len(texts)), key=numbers.__getitem__):  # numbers last: they are odd only here
        if texts[row] in MISSING_NUMBERS:
            continue
        try:
            if numbers[row]:
                raise ValueError("a number among sexagesimal angles")
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", IllegalSecondWarning)  # 59.96 s may be written as 60.0 s
                degrees[row] = Angle(texts[row].replace(MINUS, "-"), unit).deg
        except ValueError as error:
            remedy = "Write all angles of the column alike, as 10:02:33.1 or 10h02m33.1s, or in degrees."
            raise ValueError(
                message(f"sexagesimal angles in {name!r}", remedy, row=row + 1, received=texts[row])
            ) from error
    return degrees * u.deg


#: An angle of several parts, or with its unit.
_PARTS = re.compile(r"\d\s*(:|[hd\u00b0\u02b0]|\s\d)")

#: Names of units as catalogs write them, in small letters, beside those of astropy.
_UNITS = {
    u.deg: "deg degree degrees degs degr decimaldegrees d:m:s dms dd:mm:ss",
    u.hour: "hour hours hr hrs h:m:s hms hh:mm:ss hourangle hour_angle",
    u.rad: "rad radian radians rads",
    u.arcmin: "arcmin arcmins arcminute arcminutes amin",
    u.arcsec: "arcsec arcsecs arcsecond arcseconds asec",
    u.mag: "mag mags magnitude magnitudes",
}
_UNIT_OF = {word: unit for unit, words in _UNITS.items() for word in words.split()}


def read_unit(given: Any) -> u.UnitBase | None:
    """Return the unit of a text, also as others write it (``[deg]``, ``Degrees``), or None for None."""
    if given is None:
        return None
    text = str(given).strip()
    inner = re.sub(r"^[\[({\"']+(.*?)[\])}\"']+$", r"\1", text).strip()
    known = _UNIT_OF.get(re.sub(r"\s", "", inner).lower())
    if known is not None:  # for VOTable, astropy makes new units of these words
        return known
    if isinstance(given, u.UnitBase | u.function.core.FunctionUnitBase) and not isinstance(
        given, u.UnrecognizedUnit
    ):
        return given
    for word in (text, inner, inner.lower()):
        try:
            return u.Unit(word)
        except (ValueError, TypeError):
            continue
    return u.Unit(text, parse_strict="silent")


def check_ids(column: Any) -> None:
    """Raise an error if ids are empty or repeated."""
    names, counts = np.unique(np.asarray(column, dtype=str), return_counts=True)
    if np.any(counts > 1):
        raise ValueError(
            message("unique ids", "Remove the repeated rows.", repeated=names[counts > 1][:5].tolist())
        )
    if "" in names:
        raise ValueError(message("an id in every row", "Fill it in, or name another column: --id.", id=""))


def _check_range(table: QTable, name: str, low: float, high: float, remedy: str) -> None:
    """Raise an error if an angle is outside of its range."""
    if name not in table.colnames:
        return
    degrees = table[name].value
    wrong = np.flatnonzero((degrees < low) | (degrees > high))
    if len(wrong):
        between = f"within +-{high} deg" if low == -high else f"from {low} to {high} deg"
        what = {"ra": "right ascensions", "dec": "declinations"}[name]
        row = int(wrong[0])
        raise ValueError(message(f"{what} {between}", remedy, row=row + 1, received=float(degrees[row])))


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
            raise _rounded(float(value))
        return str(int(value))
    if (
        name == "id"
        and isinstance(value, str)
        and "." in value
        and _ROUNDED.fullmatch(value)
        and abs(float(value)) > _EXACT
    ):
        raise _rounded(str(value))
    return as_str(value).strip() if isinstance(value, bytes) else str(value).strip()


def as_str(value: bytes) -> str:
    """Decode text of a file that tells no encoding."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


#: A number in the notation of spreadsheets, which round whole numbers to 15 digits.
_ROUNDED = re.compile(r"[+-]?\d+\.\d+[eE]\+?\d+")


def _rounded(value: object) -> ValueError:
    return ValueError(
        message(
            "ids as text or 64-bit integers",
            "A float of this size has lost its last digits: read the ids from their source.",
            id=value,
        )
    )


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
        _check_range(table, "ra", -180, 360, "Is it in another unit? Write the unit into the table.")
        _check_range(table, "dec", -90, 90, "Are ra and dec swapped?")
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
        """Distinct classes, sorted; a missing value is none."""
        return tuple(str(name) for name in np.unique(self._column("class")) if name)

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

    def labelled(self) -> Catalog:
        """Return the galaxies with a class, and note how many have none.

        Returns
        -------
        Catalog
            This catalog if all galaxies have a class, else one without the others.

        Raises
        ------
        ValueError
            If there is no column `class`.
        """
        known = np.asarray(self._column("class"), dtype=str) != ""
        if known.all():
            return self
        kept = self.select(known)
        note = f"Galaxies without a class were left out: {int(np.sum(~known))}."
        kept.table.meta[NOTES] = [*self.table.meta.get(NOTES, ()), note]
        return kept

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
