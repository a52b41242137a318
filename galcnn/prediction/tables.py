"""A prediction as a table, and the bits of its column `flag`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from astropy.table import Table

from galcnn.prediction.prediction import Prediction

__all__ = [
    "BLANK",
    "MASKED",
    "MASKED_LIMIT",
    "NO_ANSWER",
    "OUTSIDE",
    "UNANSWERED",
    "UNFIT",
    "UNREADABLE",
    "flagged",
    "prediction_table",
]

#: Bits of the column `flag`.
UNREADABLE, UNFIT, MASKED, BLANK, OUTSIDE, UNANSWERED = 1, 2, 4, 8, 16, 32
#: Those of a galaxy without an answer.
NO_ANSWER = UNREADABLE | UNFIT | UNANSWERED
#: Share of masked pixels beyond which a galaxy is flagged `MASKED`.
MASKED_LIMIT = 0.1


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


def flagged(table: Table, flags: npt.NDArray[np.int16] | None, reasons: Sequence[str] | None) -> Table:
    """Add what went wrong to a table.

    Parameters
    ----------
    table : astropy.table.Table
        One row a galaxy; gains the columns.
    flags : numpy.ndarray or None
        Sum of `UNREADABLE` and the other bits for each galaxy; all 0 by default.
    reasons : sequence of str or None
        What the flag means here.

    Returns
    -------
    astropy.table.Table
        The same, with `flag` and `reason`.
    """
    table["flag"] = np.zeros(len(table), dtype=np.int16) if flags is None else flags
    table["flag"].description = (
        f"sum of {UNREADABLE} unreadable, {UNFIT} unfit for the model, {MASKED} over "
        f"{MASKED_LIMIT:.0%} masked, {BLANK} blank band, {OUTSIDE} unlike the training set, "
        f"{UNANSWERED} an answer that is no number"
    )
    table["reason"] = np.array([""] * len(table) if reasons is None else list(reasons), dtype=str)
    return table
