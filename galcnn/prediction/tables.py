"""Tables of predictions, and predictions from tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import takewhile

import numpy as np
import numpy.typing as npt
from astropy.table import Table

from galcnn.prediction.prediction import Prediction

#: Tolerance of the sum of probabilities, which may be rounded in tables.
_ROUNDING = 0.01


def prediction_of(ids: Iterable[str], probabilities: npt.ArrayLike, classes: Sequence[str]) -> Prediction:
    """Create a prediction from probabilities, with their logarithms as logits."""
    with np.errstate(invalid="ignore"):
        logits = np.log(np.maximum(probabilities, np.finfo(np.float32).tiny))
    return Prediction(tuple(map(str, ids)), logits, tuple(classes))


def classes_of(table: Table) -> tuple[str, ...]:
    """Return the classes whose probabilities are columns of a table.

    Parameters
    ----------
    table : astropy.table.Table
        Any table. Columns of `Prediction.to_table` are recognised by their descriptions. In tables without
        descriptions (from CSV or Parquet), adjacent columns ``p_<class>`` that sum to 1 in every row are
        taken; a column such as ``p_value`` is not.

    Returns
    -------
    tuple of str
        Classes, in the order of the columns; empty without probabilities.

    Examples
    --------
    >>> table = Table({"id": ["x"], "p_a": [0.25], "p_b": [0.75], "p_value": [0.01]})
    >>> classes_of(table)
    ('a', 'b')
    """
    names = [name for name in table.colnames if name.startswith("p_")]
    told = [name for name in names if table[name].description == f"probability of class {name[2:]}"]
    return tuple(name[2:] for name in told or _summing_to_one(table, "p_"))


def answers_of(table: Table) -> tuple[str, ...]:
    """Return the answers whose vote fractions are columns ``f_<answer>`` of a table; see `classes_of`."""
    names = [name for name in table.colnames if name.startswith("f_")]
    said = {name: f"share of all people who answer {name[2:]} to " for name in names}
    told = [name for name in names if str(table[name].description).startswith(said[name])]
    if not told and (first := _summing_to_one(table, "f_")):  # the answers to the first question
        behind = table.colnames[table.colnames.index(first[0]) :]
        told = list(takewhile(lambda name: name.startswith("f_"), behind))
    return tuple(name[2:] for name in told)


def _summing_to_one(table: Table, start: str) -> list[str]:
    """Return the longest run of adjacent columns with this prefix whose rows sum to 1."""
    columns = [_numbers(table[name]) if name.startswith(start) else None for name in table.colnames]
    best: list[str] = []
    for first in range(len(columns)):
        total = np.zeros(len(table))
        for last in range(first, len(columns)):
            column = columns[last]
            if column is None:
                break
            total = total + column
            known = total[np.isfinite(total)]
            if last - first >= len(best) and len(known) and np.abs(known - 1).max() < _ROUNDING:
                best = table.colnames[first : last + 1]
    return best


def _numbers(column: npt.ArrayLike) -> npt.NDArray[np.float64] | None:
    try:
        values: npt.NDArray[np.float64] = np.ma.filled(np.ma.asarray(column, dtype=float), np.nan)
    except (TypeError, ValueError):
        return None
    return values


def prediction_in(table: Table) -> Prediction | None:
    """Return the prediction of a table with the columns ``p_<class>``; None without them. Masked is NaN."""
    classes = classes_of(table)
    if not classes:
        return None
    shares: list[npt.NDArray[np.float64]] = [
        np.ma.filled(np.ma.asarray(table[f"p_{name}"], dtype=float), np.nan) for name in classes
    ]
    return prediction_of(table["id"], np.stack(shares, axis=1), classes)
