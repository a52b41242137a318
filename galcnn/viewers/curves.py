"""Curves of trainings: the loss against learning rate, updates and time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from galcnn.errors import message

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["COLOURS", "STYLES", "Curve", "comparison_figure", "learning_rate_figure"]

Series = npt.NDArray[np.float64]
#: (updates, seconds, loss) of one run, one value an epoch.
Curve = tuple[Series, Series, Series]

#: Okabe & Ito's colours, told apart with every common colour blindness, and as many line styles.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
STYLES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (1, 1)))
_LABEL = 8


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
    axes.set_xlabel("learning rate", fontsize=_LABEL)
    axes.set_ylabel("training loss", fontsize=_LABEL)
    axes.tick_params(labelsize=_LABEL - 1)
    axes.legend(fontsize=_LABEL - 1, frameon=False)
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
        axes.set_xlabel(label, fontsize=_LABEL)
        axes.tick_params(labelsize=_LABEL - 1)
        axes.grid(color="0.9", linewidth=0.6)
    panels[0].set_ylabel(loss, fontsize=_LABEL)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside upper center", ncols=min(len(labels), 6), fontsize=_LABEL, frameon=False
    )
    return figure


def _draw_band(axes: Axes, runs: Sequence[Curve], which: int, name: str, number: int) -> None:
    x = np.median([run[which] for run in runs], axis=0)
    y = np.array([run[2] for run in runs])
    shown = x > 0  # the start has no place on a logarithmic axis
    colour, style = COLOURS[number % len(COLOURS)], STYLES[number % len(STYLES)]
    axes.plot(x[shown], np.median(y, axis=0)[shown], color=colour, linestyle=style, label=name, linewidth=1.4)
    if len(runs) > 1:
        low, high = y.min(axis=0), y.max(axis=0)
        axes.fill_between(x[shown], low[shown], high[shown], color=colour, alpha=0.18, linewidth=0)
