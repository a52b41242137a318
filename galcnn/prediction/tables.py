"""A prediction as a table, and the bits of its column `flag`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import takewhile

import numpy as np
import numpy.typing as npt
from astropy.table import Table

from galcnn.prediction.prediction import Prediction

#: Bits of the column `flag`.
UNREADABLE, UNFIT, MASKED, BLANK, OUTSIDE, UNANSWERED = 1, 2, 4, 8, 16, 32
#: Those of a galaxy without an answer.
NO_ANSWER = UNREADABLE | UNFIT | UNANSWERED
#: Share of masked pixels beyond which a galaxy is flagged `MASKED`.
MASKED_LIMIT = 0.1
#: Tables hold rounded probabilities.
_ROUNDING = 0.01


def prediction_table(
    prediction: Prediction,
    *,
    flags: npt.NDArray[np.int16] | None = None,
    reasons: Sequence[str] | None = None,
) -> Table:
    """Lay a prediction out as a table.

    Parameters
    ----------
    prediction : Prediction
        Of any number of galaxies.
    flags : numpy.ndarray, optional
        Sum of `UNREADABLE` and the other bits for each galaxy.
    reasons : sequence of str, optional
        What the flag means here.

    Returns
    -------
    astropy.table.Table
        Columns `id`, `class`, ``p_<class>`` for each class, `entropy` (nats), `flag`, `reason`.
        A galaxy without a prediction has an empty class and NaN.
    """
    table = Table()
    table["id"] = np.array(prediction.ids, dtype=str)
    table["class"] = np.array(prediction.best, dtype=str)
    for name, column in zip(prediction.classes, prediction.probabilities.T, strict=True):
        table[f"p_{name}"] = column
        table[f"p_{name}"].description = f"probability of class {name}"
    table["entropy"] = prediction.entropy
    table["entropy"].description = "Shannon entropy of the probabilities, nats"
    return flagged(table, flags, reasons)


def prediction_of(ids: Iterable[str], probabilities: npt.ArrayLike, classes: Sequence[str]) -> Prediction:
    """Make a prediction of probabilities alone: their logarithms are logits whose softmax gives them back."""
    with np.errstate(invalid="ignore"):
        logits = np.log(np.maximum(probabilities, np.finfo(np.float32).tiny))
    return Prediction(tuple(map(str, ids)), logits, tuple(classes))


def flagged(table: Table, flags: npt.NDArray[np.int16] | None, reasons: Sequence[str] | None) -> Table:
    """Add the columns `flag` and `reason` to a table."""
    table["flag"] = np.zeros(len(table), dtype=np.int16) if flags is None else flags
    table["flag"].description = (
        f"sum of {UNREADABLE} unreadable, {UNFIT} unfit for the model, {MASKED} over "
        f"{MASKED_LIMIT:.0%} masked, {BLANK} blank band, {OUTSIDE} unlike the training set, "
        f"{UNANSWERED} an answer that is no number"
    )
    table["reason"] = np.array([""] * len(table) if reasons is None else list(reasons), dtype=str)
    return table


def classes_of(table: Table) -> tuple[str, ...]:
    """Give the classes of whose probabilities a table tells; a column ``p_value`` alone makes none.

    Parameters
    ----------
    table : astropy.table.Table
        Perhaps from `prediction_table`, whose columns say what they are. Files that keep no
        descriptions (CSV, Parquet) are told by their values: columns ``p_<class>`` side by side
        that sum to 1 in every row.

    Returns
    -------
    tuple of str
        In the order of the columns; empty without probabilities.

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
    """Give the answers of whose vote fractions a table tells, in columns ``f_<answer>``; see `classes_of`."""
    names = [name for name in table.colnames if name.startswith("f_")]
    said = {name: f"share of all people who answer {name[2:]} to " for name in names}
    told = [name for name in names if str(table[name].description).startswith(said[name])]
    if not told and (first := _summing_to_one(table, "f_")):  # the answers to the first question
        behind = table.colnames[table.colnames.index(first[0]) :]
        told = list(takewhile(lambda name: name.startswith("f_"), behind))
    return tuple(name[2:] for name in told)


def _summing_to_one(table: Table, start: str) -> list[str]:
    """The longest run of neighbouring columns of such a name whose rows sum to 1, but for rounding."""
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
