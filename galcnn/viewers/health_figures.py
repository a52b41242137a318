"""Figures of a network's health: signals at initialisation; gradients while it trains."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from galcnn.errors import message
from galcnn.viewers.style import COLOURS, MARKERS, SMALL, class_colour, finish

if TYPE_CHECKING:
    from astropy.table import Table
    from matplotlib.figure import Figure

    from galcnn.health.gradients import Sign

__all__ = ["health_figure", "initialisation_figure"]

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
            colour, marker = class_colour(number), MARKERS[number % len(MARKERS)]
            x = np.arange(1, len(table) + 1)
            theory, measured = (np.asarray(table[c], dtype=float) for c in (f"{column}_theory", column))
            axes.plot(x, np.maximum(theory, _LEAST), color=colour, linewidth=1.2)
            axes.plot(x, np.maximum(measured, _LEAST), marker, color=colour, markersize=3.5, label=name)
        axes.set_yscale("log")
        finish(axes, "layer, from the input", label)
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
        fontsize=SMALL,
        frameon=False,
    )
    return figure


def health_figure(record: Table, signs: Sequence[Sign] = ()) -> Figure:
    """Draw what was recorded of each layer while a network was trained.

    Parameters
    ----------
    record : astropy.table.Table
        See `galcnn.health.GradientHealth.table`.
    signs : sequence of galcnn.health.Sign
        Marked at their update.

    Returns
    -------
    matplotlib.figure.Figure
        Norm of the gradient, share of the weights that an update changes, norm of the weights in
        units of that at the start, scatter of the output over images, share of dead ReLUs, and the
        loss, against updates. One line a layer, from violet (at the input) to yellow.

    Raises
    ------
    ValueError
        The record is empty.
    """
    from matplotlib import colormaps
    from matplotlib.figure import Figure

    if not len(record):
        raise ValueError(message("a record with at least one look", "", rows=0))
    layers = list(dict.fromkeys(map(str, record["layer"])))
    colours = colormaps["viridis"](np.linspace(0, 0.95, len(layers)))
    figure = Figure(figsize=(9.6, 5.2), layout="constrained")
    panels = figure.subplots(2, 3, sharex=True).ravel()
    drawn = {
        "gradient_norm": "norm of the gradient",
        "update_ratio": "update, as a share of the weights",
        "weight_norm": "norm of the weights / at the start",
        "signal": "scatter of the output over images",
        "dead": "share of ReLUs never active",
    }
    for axes, (column, label) in zip(panels, drawn.items(), strict=False):
        for layer, colour in zip(layers, colours, strict=True):
            rows = record[record["layer"] == layer]
            values = np.asarray(rows[column], dtype=float)
            values = values / values[0] if column == "weight_norm" and values[0] else values
            axes.plot(rows["update"], values, ".-", color=colour, markersize=3, linewidth=1, label=layer)
        if column != "dead":
            axes.set_yscale("log", nonpositive="mask")
        finish(axes, y=label)
    panels[4].set_ylim(-0.03, 1.03)
    first = record[record["layer"] == layers[0]]
    panels[5].plot(first["update"], first["loss"], ".-", color="black", markersize=3, linewidth=1)
    finish(panels[5], y="loss of the batch looked at")
    for axes in panels:
        for sign in signs:
            axes.axvline(sign.update, color=COLOURS[1], linestyle="--", linewidth=0.8)
        axes.set_xscale("symlog", linthresh=1)
        axes.set_xlim(left=0)
    for axes in panels[3:]:
        finish(axes, "updates")
    handles, labels = panels[0].get_legend_handles_labels()
    shown = sorted({0, len(labels) // 2, len(labels) - 1})
    figure.legend(
        [handles[k] for k in shown],
        [labels[k] for k in shown],
        loc="outside upper center",
        ncols=3,
        fontsize=SMALL,
        frameon=False,
    )
    return figure
