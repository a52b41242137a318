"""Columns of a catalog: whatever a table format gives becomes text, numbers or degrees, or is refused."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
import numpy.typing as npt

from galcnn.errors import message

__all__ = ["as_degrees", "as_numbers", "as_text", "check_ids", "check_redshifts", "image_paths"]

#: From here on a float no longer tells whole numbers apart.
_EXACT = 2**53


def as_text(column: Any, name: str) -> npt.NDArray[np.str_]:
    """Write any column as text; a missing value is empty, and what is empty is refused where it matters.

    Parameters
    ----------
    column : array-like
        Of text, bytes or numbers; whole numbers of 64 bits keep every digit.
    name : str
        For the error.

    Returns
    -------
    numpy.ndarray
        str, stripped.

    Raises
    ------
    ValueError
        A text cannot be printed, or a float is too large to be an exact whole number.
    """
    texts = [_text(value, name) for value in column]
    if odd := [text for text in texts if not text.isprintable()]:
        raise ValueError(message(f"printable text in {name!r}", "Rename it.", received=odd[0]))
    return np.array(texts, dtype=str)


def as_numbers(column: Any, name: str) -> npt.NDArray[np.float64]:
    """Give any numeric column as plain numbers.

    Parameters
    ----------
    column : array-like
        Masked or not, with or without a unit.
    name : str
        For the error.

    Returns
    -------
    numpy.ndarray
        float64 in the column's own unit; NaN where masked.

    Raises
    ------
    ValueError
        It holds no numbers.

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
            message(f"numbers in {name!r}", "Convert it, or name another column.", error=str(error))
        ) from error
    values[np.broadcast_to(mask, values.shape)] = np.nan
    return values


def as_degrees(column: Any, name: str) -> u.Quantity:
    """Give an angle of every row in degrees.

    Parameters
    ----------
    column : array-like
        Numbers; degrees where there is no unit.
    name : str
        For the error.

    Returns
    -------
    astropy.units.Quantity
        In degrees.

    Raises
    ------
    ValueError
        No angle, or one that is missing or not finite.
    """
    unit = getattr(column, "unit", None) or u.deg
    try:
        degrees = u.Quantity(as_numbers(column, name), unit).to(u.deg)
    except u.UnitConversionError as error:
        raise ValueError(message(f"an angle in {name!r}", "Name another column.", unit=str(unit))) from error
    if not np.all(np.isfinite(degrees.value)):
        raise ValueError(message(f"finite degrees in {name!r}", "Drop the rows without a position."))
    return degrees


def image_paths(text: str | os.PathLike[str], folder: str | os.PathLike[str] = "") -> tuple[Path, ...]:
    """Tell apart the files of one galaxy that a text names, such as ``g.fits,r.fits``.

    Parameters
    ----------
    text : path-like
        One file, or several separated by commas. A file whose name holds a comma is one file; those
        after the first may be named from the folder of the first.
    folder : path-like
        In which relative paths are; the current one by default.

    Returns
    -------
    tuple of pathlib.Path
        At least one.

    Examples
    --------
    >>> [path.as_posix() for path in image_paths("folder/g.fits,r.fits")]
    ['folder/g.fits', 'folder/r.fits']
    """
    whole = Path(folder, text)
    parts = [part.strip() for part in os.fspath(text).split(",") if part.strip()]
    if "," not in os.fspath(text) or not parts or whole.exists():
        return (whole,)
    first, *others = (Path(folder, part) for part in parts)
    beside = (first.parent / part for part in parts[1:])
    return (first, *(one if one.exists() else two for one, two in zip(others, beside, strict=True)))


def check_ids(column: Any) -> None:
    """Refuse ids that are empty or repeated.

    Parameters
    ----------
    column : array-like
        Of text.

    Raises
    ------
    ValueError
        The text names the repeated ones.
    """
    names, counts = np.unique(np.asarray(column, dtype=str), return_counts=True)
    if np.any(counts > 1):
        raise ValueError(
            message("unique ids", "Remove the repeated rows.", repeated=names[counts > 1][:5].tolist())
        )
    if "" in names:
        raise ValueError(message("an id in every row", "", id=""))


def check_redshifts(column: Any) -> None:
    """Refuse a column that holds no redshifts; missing and unphysical ones are kept as they are.

    Parameters
    ----------
    column : array-like
        Numbers without a unit.

    Raises
    ------
    ValueError
        Text, or numbers with a unit such as km/s.
    """
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
        # FITS and pandas make floats of integers with gaps.
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
