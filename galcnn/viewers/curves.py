"""Curves of trainings: the loss against epochs, learning rate, updates and time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from galcnn.errors import message
from galcnn.viewers.style import COLOURS, SMALL, finish, legend, line, marked

if TYPE_CHECKING:
    from astropy.table import Table
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["Curve", "best_epoch", "comparison_figure", "learning_figure", "learning_rate_figure"]

Series = npt.NDArray[np.float64]
#: (updates, seconds, loss) of one run, one value an epoch.
Curve = tuple[Series, Series, Series]

#: Columns of a history -> label of their axis; ``val_`` stands before those of the validation set.
_PANELS = {
    "cross_entropy": "cross-entropy",
    "loss": "loss",
    "accuracy": "accuracy",
    "learning_rate": "learning rate",
}


def best_epoch(history: Table) -> int:
    """Give the epoch whose weights were kept: of the least loss on the validation set.

    Parameters
    ----------
    history : astropy.table.Table
        ``history.csv`` of a model folder.

    Returns
    -------
    int
        From 1; the first of equals. Of a network with penalties the loss without them decides, as
        in training.

    Raises
    ------
    ValueError
        No such column, or no finite value in it.

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
    """Draw how a training went, epoch by epoch.

    Parameters
    ----------
    history : astropy.table.Table
        ``history.csv`` of a model folder: `epoch`, `loss`, `val_loss`, and what else there is of
        `cross_entropy` (the loss without penalties), `accuracy` and `learning_rate`.

    Returns
    -------
    matplotlib.figure.Figure
        A panel each: training solid, validation dashed, the epoch whose weights were kept dotted.

    Raises
    ------
    ValueError
        See `best_epoch`.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    best = best_epoch(history)
    shown = {name: label for name, label in _PANELS.items() if name in history.colnames}
    if "cross_entropy" in shown:
        shown["loss"] = "loss with penalties"
    figure = Figure(figsize=(2.6 * len(shown), 2.7), layout="constrained")
    panels = figure.subplots(1, len(shown), squeeze=False)[0]
    epochs = np.asarray(history["epoch"])
    for axes, (name, label) in zip(panels, shown.items(), strict=True):
        for number, (column, side) in enumerate(((name, "training"), (f"val_{name}", "validation"))):
            if column in history.colnames:
                many = len(epochs) > 12
                axes.plot(epochs, history[column], label=side, linewidth=1.2, markevery=5 if many else 1,
                          **marked(number))  # fmt: skip
        axes.axvline(best, color="0.4", linestyle=":", linewidth=1, label=f"weights kept: epoch {best}")
        if name == "learning_rate":
            axes.set_yscale("log", nonpositive="mask")  # a cosine ends at zero
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        finish(axes, "epoch", label)
    legend(figure, panels[0])
    return figure


def learning_rate_figure(rates: Series, losses: Series, means: Series, suggestion: float | None) -> Figure:
    """Draw a range test.

    Parameters
    ----------
    rates, losses, means : numpy.ndarray
        Learning rate, loss and smoothed loss of each update.
    suggestion : float or None
        Marked.

    Returns
    -------
    matplotlib.figure.Figure
        Points, their smoothed curve, and the suggestion.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.6, 3.2), layout="constrained")
    axes = figure.add_subplot()
    axes.semilogx(rates, losses, ".", color="0.65", markersize=3, label="batch")
    axes.semilogx(rates, means, color=COLOURS[0], label="smoothed")
    if suggestion is not None:
        axes.axvline(suggestion, color=COLOURS[1], linestyle="--", label=f"suggestion {suggestion:.1e}")
    low, high = means.min(), means[0]
    axes.set_ylim(low - 0.2 * (high - low) - 0.02, high + 0.6 * (high - low) + 0.02)
    finish(axes, "learning rate", "training loss")
    axes.legend(fontsize=SMALL, frameon=False)
    return figure


def comparison_figure(curves: Mapping[str, Sequence[Curve]], *, loss: str = "training loss") -> Figure:
    """Draw the loss of several optimizers against updates and against time.

    Parameters
    ----------
    curves : mapping of str to sequence of Curve
        Name -> runs of several seeds, of the same epochs.
    loss : str
        What the loss is, for the axis.

    Returns
    -------
    matplotlib.figure.Figure
        Two panels; a line is the median over seeds, its band reaches from the least to the
        greatest. A curve of one seed has no band.

    Raises
    ------
    ValueError
        No curve, or runs of one name that differ in length.
    """
    from matplotlib.figure import Figure

    if not curves or any(len({len(run[2]) for run in runs}) != 1 for runs in curves.values()):
        lengths = {name: [len(run[2]) for run in runs] for name, runs in curves.items()}
        raise ValueError(message("runs of one length for each name", "", epochs=lengths))
    figure = Figure(figsize=(7.6, 3.6), layout="constrained")
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
    shown = x > 0  # the start has no place on a logarithmic axis
    look = line(number)
    axes.plot(x[shown], np.median(y, axis=0)[shown], label=name, linewidth=1.4, **look)
    if len(runs) > 1:
        low, high = y.min(axis=0), y.max(axis=0)
        axes.fill_between(x[shown], low[shown], high[shown], color=look["color"], alpha=0.18, linewidth=0)
