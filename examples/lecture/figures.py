"""Figure of tested claims: intervals in comparison with the smallest effect that matters."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from galcnn.errors import message
from galcnn.viewers.plots.panels import drawable
from galcnn.viewers.plots.style import COLOURS, SMALL, finish

if TYPE_CHECKING:
    from astropy.table import Table
    from matplotlib.figure import Figure

__all__ = ["claims_figure"]

#: Colour and marker of each verdict.
_LOOKS = {"passes": (COLOURS[0], "o"), "fails": (COLOURS[1], "X"), "undecided": (COLOURS[6], "s")}


def claims_figure(table: Table) -> Figure:
    """Draw the effect of each part of each claim with its interval.

    Parameters
    ----------
    table : astropy.table.Table
        Table from `lecture.claims.claims_table`.

    Returns
    -------
    matplotlib.figure.Figure
        Figure with one row per part, in units of the smallest effect that matters (dashed line at 1).
        The axis is linear from -1 to 1 and logarithmic beyond.

    Raises
    ------
    ValueError
        If the table is empty.
    """
    from matplotlib.figure import Figure

    if not len(table):
        raise ValueError(message("a table with a claim", "", rows=0))
    figure = Figure(figsize=(8.2, 0.27 * len(table) + 1.1), layout="constrained")
    axes = figure.subplots()
    labels = []
    for number, row in enumerate(table):
        colour, marker = _LOOKS[row["part_verdict"]]
        low, middle, high = (row[name] / row["delta"] for name in ("low", "mean", "high"))
        axes.plot([low, high], [number, number], color=colour, lw=1.6)
        axes.plot(middle, number, marker, color=colour, ms=5)
        first = number == 0 or table["key"][number - 1] != row["key"]
        labels.append(drawable(f"{row['claim']}: {row['part']}" if first else f"{row['part']}", 330))
    axes.axvline(0, color="0.6", lw=0.8)
    axes.axvline(1, color="0.3", lw=1.0, ls="--")
    axes.set_xscale("symlog", linthresh=1.0, linscale=0.8)
    axes.set_ylim(len(table) - 0.4, -0.6)
    axes.set_yticks(np.arange(len(table)), labels, fontsize=SMALL, parse_math=False)
    finish(axes, "effect, in units of the smallest that matters (95 % intervals)")
    for name, (colour, marker) in _LOOKS.items():
        axes.plot([], [], marker, color=colour, ms=5, ls="-", label=name)
    figure.legend(
        *axes.get_legend_handles_labels(), loc="outside upper right", ncols=3, fontsize=SMALL, frameon=False
    )
    return figure
