"""Figures of a network's health: signals at initialisation, layer by layer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from galcnn.errors import message
from galcnn.viewers.curves import COLOURS, STYLES

if TYPE_CHECKING:
    from astropy.table import Table
    from matplotlib.figure import Figure

__all__ = ["initialisation_figure"]

_LABEL = 8
#: What vanishes beyond it is drawn at the edge: the axis would else show nothing but the worst.
_LEAST = 1e-16


def initialisation_figure(tables: Mapping[str, Table]) -> Figure:
    """Draw the variance of activations and gradients in each layer, beside the theory.

    Parameters
    ----------
    tables : mapping of str to astropy.table.Table
        Name -> from `galcnn.health.stack_table` or `galcnn.health.initialisation_table`.

    Returns
    -------
    matplotlib.figure.Figure
        Two panels, both logarithmic: points as measured, lines by theory.

    Raises
    ------
    ValueError
        No table.
    """
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    if not tables:
        raise ValueError(message("at least one table", "", tables=list(tables)))
    figure = Figure(figsize=(7.8, 3.6), layout="constrained")
    panels = figure.subplots(1, 2)
    drawn = [("variance", "variance of the output"), ("gradient", "variance of the gradient")]
    for axes, (column, label) in zip(panels, drawn, strict=True):
        for number, (name, table) in enumerate(tables.items()):
            colour, style = COLOURS[number % len(COLOURS)], STYLES[number // len(COLOURS) % len(STYLES)]
            x = np.arange(1, len(table) + 1)
            theory, measured = (np.asarray(table[c], dtype=float) for c in (f"{column}_theory", column))
            axes.plot(x, np.maximum(theory, _LEAST), color=colour, linestyle=style, linewidth=1.2)
            axes.plot(x, np.maximum(measured, _LEAST), ".", color=colour, markersize=5, label=name)
        axes.set_yscale("log")
        axes.set_xlabel("layer, from the input", fontsize=_LABEL)
        axes.set_ylabel(label, fontsize=_LABEL)
        axes.tick_params(labelsize=_LABEL - 1, which="both")
        axes.grid(color="0.9", linewidth=0.6)
        first = next(iter(tables.values()))
        if first["layer"].dtype.kind == "U":
            names = [str(name).rpartition("/")[2] for name in first["layer"]]
            axes.set_xticks(range(1, len(names) + 1), names, rotation=90)
    handles, labels = panels[0].get_legend_handles_labels()
    handles.append(Line2D([], [], color="0.4", linewidth=1.2))
    figure.legend(
        handles,
        [*labels, "theory"],
        loc="outside upper center",
        ncols=min(len(handles), 5),
        fontsize=_LABEL,
        frameon=False,
    )
    return figure
