"""Tables of answers and a catalog -> the columns of a report, one value a galaxy."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from astropy.table import Table

from galcnn.catalog import read_catalog
from galcnn.errors import message
from galcnn.report.sources import Answers

__all__ = ["Column", "Kind", "Known", "Rows", "known_of", "merge"]

Kind = Literal["id", "class", "text", "number", "probability", "flag"]
#: Seen first; between the two stand the probabilities.
_FIRST = ("id", "class", "true_class")
_NEXT = ("entropy", "set", "distance", "flag", "reason", "ra", "dec", "redshift")
#: Of use to machines only.
_UNSEEN = ("_healpix_29", "image", "layers", "split")
#: Of columns with vote fractions, and with fractions that people gave.
_SHARES = ("f_", "true_")
_LARGEST_EXACT = 2**53


@dataclass(frozen=True)
class Column:
    """One column of the report.

    Attributes
    ----------
    name : str
        In the tables.
    kind : {"id", "class", "text", "number", "probability", "flag"}
        How it is shown and sorted.
    values : tuple
        Texts, or numbers with None where there is none.
    unit : str
        Of numbers.
    """

    name: str
    kind: Kind
    values: tuple[Any, ...]
    unit: str = ""


@dataclass(frozen=True)
class Rows:
    """What is known of the galaxies.

    Attributes
    ----------
    ids : tuple of str
        One a galaxy, unique.
    columns : tuple of Column
        `id` first.
    classes : tuple of str
        Those that have probabilities, in columns ``p_<class>``.
    """

    ids: tuple[str, ...]
    columns: tuple[Column, ...]
    classes: tuple[str, ...] = ()

    def __getitem__(self, name: str) -> Column | None:
        return next((column for column in self.columns if column.name == name), None)


@dataclass(frozen=True)
class Known:
    """What is known of the galaxies beside the answers, and where their images are.

    Attributes
    ----------
    catalog : path-like or None
        A table; its columns `image`, `ra`, `dec` and `redshift` are used.
    label : str or None
        Its column with the true class.
    id : str or None
        Its column with the identifier, see `galcnn.catalog.read_catalog`.
    image_column : str or None
        Its column with the paths, if that is not `image`.
    images : path-like or None
        Folder of images that are named as the galaxies are.
    """

    catalog: str | os.PathLike[str] | None = None
    label: str | None = None
    id: str | None = None
    image_column: str | None = None
    images: str | os.PathLike[str] | None = None


def known_of(known: Known) -> tuple[Answers, dict[str, tuple[Path, ...]]]:
    """Read what a catalog knows of galaxies beside what a model answers.

    Parameters
    ----------
    known : Known
        With a catalog.

    Returns
    -------
    known : Answers
        `true_class`, `ra`, `dec` and `redshift`, those that there are.
    images : dict of str to tuple of pathlib.Path
        Id -> image files; empty without a column `image`.
    """
    columns = {"id": known.id, "class": known.label, "image": known.image_column}
    catalog = read_catalog(
        os.fspath(known.catalog or ""), columns={name: given for name, given in columns.items() if given}
    )
    table = Table({"id": catalog.ids})
    if known.label:
        table["true_class"] = [str(name) for name in catalog.table["class"]]
    for name in ("ra", "dec", "redshift"):
        if name in catalog.table.colnames:
            table[name] = catalog.table[name]
    images = catalog.images if "image" in catalog.table.colnames else {}
    return Answers(os.fspath(known.catalog or ""), table), images


def merge(answers: Sequence[Answers], known: Answers | None = None) -> Rows:
    """Put tables side by side, galaxy by galaxy.

    Parameters
    ----------
    answers : sequence of Answers
        A row of the report for each galaxy of any of them; where several have a value, the first
        counts.
    known : Answers, optional
        Of a catalog: fills in, and adds no galaxy.

    Returns
    -------
    Rows
        In the order of the tables.

    Raises
    ------
    ValueError
        A table names a galaxy twice, or no true class is among the classes.
    """
    places: dict[str, int] = {}
    for one in answers:
        names = _texts(one.table["id"])
        if len(set(names)) != len(names):
            raise ValueError(message("a row for each galaxy", "Make the ids unique.", table=one.name))
        for name in names:
            places.setdefault(name, len(places))
    columns: dict[str, Column] = {}
    classes = tuple(dict.fromkeys(name for one in answers for name in one.classes))
    for one in [*answers, *([known] if known else [])]:
        rows = [places.get(name) for name in _texts(one.table["id"])]
        for name in one.table.colnames:
            if name not in _UNSEEN and np.ndim(one.table[name]) == 1:
                _fill(columns, _column(name, one.table[name], classes), rows, len(places))
    merged = Rows(tuple(places), tuple(columns[name] for name in _ordered(columns, classes)), classes)
    _check_truth(merged)
    return merged


def _fill(columns: dict[str, Column], new: Column, rows: Sequence[int | None], n: int) -> None:
    old = columns.get(new.name)
    empty = None if new.kind in ("number", "probability", "flag") else ""
    if old is not None and (old.kind != new.kind or (old.unit and new.unit and old.unit != new.unit)):
        raise ValueError(
            message(
                f"the same kind of column {new.name!r} in all tables",
                "Rename it in one of them.",
                kinds=(old.kind, new.kind),
                units=(old.unit, new.unit),
            )
        )
    values = [empty] * n if old is None else list(old.values)
    for row, value in zip(rows, new.values, strict=True):
        if row is not None and values[row] in (None, ""):
            values[row] = value
    unit = new.unit if old is None else old.unit or new.unit  # Parquet keeps none
    columns[new.name] = Column(new.name, new.kind, tuple(values), unit)


def _column(name: str, values: Any, classes: Sequence[str]) -> Column:
    plain = values.value if hasattr(values, "unit") and hasattr(values, "value") else values
    unit = str(values.unit) if getattr(values, "unit", None) else ""
    masked = np.broadcast_to(getattr(plain, "mask", False), len(plain))
    kind = _kind(name, np.asarray(plain), classes)
    if kind in ("id", "class", "text"):
        texts = ("" if gone or value is None else str(value) for value, gone in _pairs(plain, masked))
        return Column(name, kind, tuple(texts))
    numbers = (None if gone else _number(value) for value, gone in _pairs(plain, masked))
    return Column(name, kind, tuple(numbers), unit)


def _pairs(values: Any, masked: Any) -> Iterable[tuple[Any, bool]]:
    return zip(np.asarray(values).tolist(), masked.tolist(), strict=True)


def _kind(name: str, values: Any, classes: Sequence[str]) -> Kind:
    if name == "id":
        return "id"
    if name in ("class", "true_class"):
        return "class"
    if values.dtype.kind not in "iufb" or (
        values.dtype.kind in "iu" and np.any(np.abs(values.astype(float)) > _LARGEST_EXACT)
    ):
        return "text"
    if name == "flag":
        return "flag"
    return "probability" if name.startswith(_SHARES) or name in _chances(classes) else "number"


def _number(value: Any) -> float | int | None:
    if value is None or not np.isfinite(value):
        return None
    return int(value) if isinstance(value, bool | int) else float(value)


def _texts(values: Any) -> list[str]:
    return [str(value) for value in np.asarray(values).tolist()]


def _chances(classes: Sequence[str]) -> list[str]:
    return [f"p_{name}" for name in classes]


def _ordered(columns: Iterable[str], classes: Sequence[str]) -> list[str]:
    names = list(columns)
    first = [name for name in _FIRST if name in names]
    first += [name for name in _chances(classes) if name in names]
    first += [name for name in names if name.startswith(_SHARES) and name not in first]
    first += [name for name in _NEXT if name in names]
    return first + [name for name in names if name not in first]


def _check_truth(rows: Rows) -> None:
    truth = rows["true_class"]
    if truth is None or not rows.classes:
        return
    found = set(truth.values) - {""}
    if found and not found & set(rows.classes):
        raise ValueError(
            message(
                f"true classes among {rows.classes}",
                "Give the column that has the model's classes.",
                true_class=sorted(found)[:10],
            )
        )
