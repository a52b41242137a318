"""Bits of the column `flag` in tables of predictions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from astropy.table import Table

#: Bits of the column `flag`.
UNREADABLE, UNFIT, MASKED, BLANK, OUTSIDE, UNANSWERED, CHANGED = 1, 2, 4, 8, 16, 32, 64
#: Flags of galaxies without a prediction.
NO_ANSWER = UNREADABLE | UNFIT | UNANSWERED
#: Fraction of masked pixels above which a galaxy is flagged `MASKED`.
MASKED_LIMIT = 0.1


def flagged(table: Table, flags: npt.NDArray[np.int16] | None, reasons: Sequence[str] | None) -> Table:
    """Add the columns `flag` and `reason` to a table."""
    table["flag"] = np.zeros(len(table), dtype=np.int16) if flags is None else flags
    table["flag"].description = (
        f"sum of {UNREADABLE} unreadable, {UNFIT} unfit for the model, {MASKED} over "
        f"{MASKED_LIMIT:.0%} masked, {BLANK} blank band, {OUTSIDE} unlike the training set, "
        f"{UNANSWERED} an answer that is no number, {CHANGED} a checksum that does not match"
    )
    table["reason"] = np.array([""] * len(table) if reasons is None else list(reasons), dtype=str)
    return table


def counts_of(flags: npt.NDArray[np.integer[Any]]) -> dict[str, int]:
    """Count the galaxies without a prediction, and those with any flag, the former included."""
    return {"failed": int(np.sum((flags & NO_ANSWER) > 0)), "flagged": int(np.sum(flags > 0))}
