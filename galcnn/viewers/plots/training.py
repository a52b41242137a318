"""Figures of trainings: learning curves, learning rates, optimizers, initialisation and gradient health."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from galcnn.errors import message
from galcnn.viewers.plots.style import (
    COLOURS,
    SMALL,
    class_colour,
    class_look,
    finish,
    legend,
    line,
    logarithmic,
    marked,
    new_figure,
)

if TYPE_CHECKING:
    from astropy.table import Table
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from galcnn.diagnostics.gradients import Sign


Series = npt.NDArray[np.float64]


#: Updates, seconds and loss of one run, one value per epoch.
Curve = tuple[Series, Series, Series]


#: Columns of a history and the labels of their axes; ``val_`` precedes those of the validation set.
_PANELS = {
    "cross_entropy": "cross-entropy",
    "loss": "loss",
    "accuracy": "accuracy",
    "learning_rate": "learning rate",
}


def best_epoch(history: Table) -> int:
    """Return the epoch whose weights were kept: the one with the lowest validation loss.

    Parameters
    ----------
    history : astropy.table.Table
        Content of ``history.csv`` in a model folder.

    Returns
    -------
    int
        Epoch, counted from 1; the first of equal ones. If the model has penalties, the loss without them
        is used, as in training.

    Raises
    ------
    ValueError
        If there is no such column, or no finite value in it.

    Examples
    --------
    >>> from astropy.table import Table
    >>> best_epoch(Table({"epoch": [1, 2, 3], "loss": [3, 2, 1], "val_loss": [3.0, 2.5, 2.75]}))
    2
    """
    watched = next((name for name in ("val_cross_entropy", "val_loss") if name in history.colnames), None)
    values = np.ma.filled(np.ma.asarray(history[watched], dtype=float), np.nan) if watched else np.array([])
    if not np.isfinite(values).any():
        raise ValueError(message("a history with the loss on a validation set", "", columns=history.colnames))
    return int(history["epoch"][int(np.nanargmin(np.where(np.isfinite(values), values, np.nan)))])


def learning_figure(history: Table) -> Figure:
    """Draw learning curves by epoch.

    Parameters
    ----------
    history : astropy.table.Table
        Content of ``history.csv`` in a model folder: `epoch`, `loss`, `val_loss` and optionally
        `cross_entropy` (loss without penalties), `accuracy` and `learning_rate`.

    Returns
    -------
    matplotlib.figure.Figure
        One panel per quantity: training solid, validation dashed, epoch of the kept weights dotted.

    Raises
    ------
    ValueError
        If the history has no finite validation loss.
    """
    from matplotlib.ticker import MaxNLocator

    best = best_epoch(history)
    shown = {name: label for name, label in _PANELS.items() if name in history.colnames}
    if "cross_entropy" in shown:
        shown["loss"] = "loss with penalties"
    figure = new_figure(2.6 * len(shown), 2.7)
    panels = figure.subplots(1, len(shown), squeeze=False)[0]
    epochs = np.asarray(history["epoch"])
    for axes, (name, label) in zip(panels, shown.items(), strict=True):
        for number, (column, side) in enumerate(((name, "training"), (f"val_{name}", "validation"))):
            if column in history.colnames:
                many = len(epochs) > 12
                axes.plot(epochs, history[column], label=side, linewidth=1.2, markevery=5 if many else 1,
                          **marked(number))  # fmt: skip
        if name == "learning_rate":
            logarithmic(axes)  # a cosine schedule ends at zero: in one epoch there is nothing else
        axes.axvline(best, color="0.4", linestyle=":", linewidth=1, label=f"weights kept: epoch {best}")
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        finish(axes, "epoch", label)
    legend(figure, panels[0])
    return figure


def learning_rate_figure(rates: Series, losses: Series, means: Series, suggestion: float | None) -> Figure:
    """Draw the loss of a learning rate range test, with the suggested rate."""
    figure = new_figure(4.6, 3.2)
    axes = figure.add_subplot()
    axes.semilogx(rates, losses, ".", color="0.65", markersize=3, label="batch")
    axes.semilogx(rates, means, color=COLOURS[0], label="smoothed")
    if suggestion is not None:
        axes.axvline(suggestion, color=COLOURS[1], linestyle="--", label=f"suggested rate {suggestion:.1e}")
    low, high = means.min(), means[0]
    axes.set_ylim(low - 0.2 * (high - low) - 0.02, high + 0.6 * (high - low) + 0.02)
    finish(axes, "learning rate", "training loss")
    axes.legend(fontsize=SMALL, frameon=False)
    return figure


def comparison_figure(curves: Mapping[str, Sequence[Curve]], *, loss: str = "training loss") -> Figure:
    """Draw the loss of several optimizers against updates and time: median and range of the seeds."""
    if not curves or any(len({len(run[2]) for run in runs}) != 1 for runs in curves.values()):
        lengths = {name: [len(run[2]) for run in runs] for name, runs in curves.items()}
        raise ValueError(message("runs of one length for each name", "", epochs=lengths))
    figure = new_figure(7.6, 3.6)
    panels = figure.subplots(1, 2, sharey=True)
    for axes, which, label in zip(panels, (0, 1), ("updates", "time of training (s)"), strict=True):
        for number, (name, runs) in enumerate(curves.items()):
            _draw_band(axes, runs, which, name, number)
        axes.set_xscale("log")
        finish(axes, label)
    finish(panels[0], y=loss)
    legend(figure, panels[0], columns=6)
    return figure


def _draw_band(axes: Axes, runs: Sequence[Curve], which: int, name: str, number: int) -> None:
    x = np.median([run[which] for run in runs], axis=0)
    y = np.array([run[2] for run in runs])
    shown = x > 0  # a logarithmic axis has no zero
    look = line(number)
    axes.plot(x[shown], np.median(y, axis=0)[shown], label=name, linewidth=1.4, **look)
    if len(runs) > 1:
        low, high = y.min(axis=0), y.max(axis=0)
        axes.fill_between(x[shown], low[shown], high[shown], color=look["color"], alpha=0.18, linewidth=0)


#: Smaller variances are drawn at this value, so that they do not stretch the axis.
_LEAST = 1e-16


def initialisation_figure(tables: Mapping[str, Table]) -> Figure:
    """Draw the variance of activations and gradients by layer, with the theory."""
    from matplotlib.lines import Line2D

    if not tables:
        raise ValueError(message("at least one table", "", tables=list(tables)))
    figure = new_figure(7.8, 3.6)
    panels = figure.subplots(1, 2)
    drawn = [("variance", "variance of the output"), ("gradient", "variance of the gradient")]
    for axes, (column, label) in zip(panels, drawn, strict=True):
        for number, (name, table) in enumerate(tables.items()):
            x = np.arange(1, len(table) + 1)
            theory, measured = (np.asarray(table[c], dtype=float) for c in (f"{column}_theory", column))
            axes.plot(x, np.maximum(theory, _LEAST), color=class_colour(number), linewidth=1.2)
            look = class_look(number) | {"linestyle": "", "markersize": 3.5}
            axes.plot(x, np.maximum(measured, _LEAST), label=name, **look)
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
    """Draw the gradient health of each layer during training.

    Parameters
    ----------
    record : astropy.table.Table
        Record from `galcnn.diagnostics.GradientHealth.table`.
    signs : sequence of galcnn.diagnostics.gradients.Sign
        Warning signs, marked at their update.

    Returns
    -------
    matplotlib.figure.Figure
        Against updates: gradient norm, relative size of updates, weight norm relative to the start,
        standard deviation of the output over images, fraction of dead ReLUs, and the loss. One line per
        layer, from violet (at the input) to yellow.

    Raises
    ------
    ValueError
        If the record is empty.
    """
    from matplotlib import colormaps

    if not len(record):
        raise ValueError(message("a record with at least one measurement", "", rows=0))
    layers = list(dict.fromkeys(map(str, record["layer"])))
    colours = colormaps["viridis"](np.linspace(0, 0.95, len(layers)))
    figure = new_figure(9.6, 5.2)
    panels = figure.subplots(2, 3, sharex=True).ravel()
    drawn = {
        "gradient_norm": "norm of the gradient",
        "update_ratio": "update, as a share of the weights",
        "weight_norm": "norm of the weights / at the start",
        "signal": "standard deviation of the output over images",
        "dead": "share of ReLUs never active",
    }
    for axes, (column, label) in zip(panels, drawn.items(), strict=False):
        for layer, colour in zip(layers, colours, strict=True):
            rows = record[record["layer"] == layer]
            values = np.asarray(rows[column], dtype=float)
            values = values / values[0] if column == "weight_norm" and values[0] else values
            axes.plot(rows["update"], values, ".-", color=colour, markersize=3, linewidth=1, label=layer)
        if column != "dead":
            logarithmic(axes)
        finish(axes, y=label)
    panels[4].set_ylim(-0.03, 1.03)
    first = record[record["layer"] == layers[0]]
    panels[5].plot(first["update"], first["loss"], ".-", color="black", markersize=3, linewidth=1)
    finish(panels[5], y="loss of the measured batch")
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
