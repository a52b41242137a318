"""Figures of scores: reliability of probabilities, and scores along a column of the catalog."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from galcnn.errors import message

if TYPE_CHECKING:
    from astropy.table import Table
    from matplotlib.figure import Figure

__all__ = ["reliability_figure", "scores_figure"]

_LABEL = 8
#: Okabe & Ito's colours, told apart with every common colour blindness, and markers for print.
_LOOKS = {
    "accuracy": ("#000000", "o", "accuracy"),
    "balanced_accuracy": ("#0072B2", "s", "balanced accuracy"),
    "calibration_error": ("#D55E00", "^", "calibration error"),
}


def reliability_figure(bins: Table) -> Figure:
    """Draw how often answers of each confidence are right.

    Parameters
    ----------
    bins : astropy.table.Table
        From `galcnn.doubt.reliability`.

    Returns
    -------
    matplotlib.figure.Figure
        Accuracy with its 95 % interval against confidence, the diagonal of right probabilities,
        and the number of galaxies in each bin below.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3.4, 3.9), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
    upper.plot([0, 1], [0, 1], color="0.6", linewidth=0.8, linestyle="--")
    confidence, accuracy = np.array(bins["confidence"]), np.array(bins["accuracy"])
    errors = np.clip([accuracy - bins["low"], bins["high"] - accuracy], 0, None)
    upper.errorbar(confidence, accuracy, yerr=errors, color="black", marker="o", markersize=4, capsize=2)
    upper.annotate(
        "too sure", (0.95, 0.04), xycoords="axes fraction", ha="right", fontsize=_LABEL, color="0.4"
    )
    upper.annotate("too cautious", (0.05, 0.92), xycoords="axes fraction", fontsize=_LABEL, color="0.4")
    upper.set(xlim=(0, 1), ylim=(0, 1.03))
    upper.set_ylabel("share of right answers", fontsize=_LABEL)
    edges = np.array(bins["low_edge"])
    width = np.array(bins["high_edge"]) - edges
    lower.bar(edges, bins["n"], width=width, align="edge", color="0.75", edgecolor="white")
    lower.set_ylabel("galaxies", fontsize=_LABEL)
    lower.set_xlabel("probability of the answer", fontsize=_LABEL)
    for axes in (upper, lower):
        axes.tick_params(labelsize=_LABEL)
    return figure


def scores_figure(scores: Table) -> Figure:
    """Draw scores against what they are split by.

    Parameters
    ----------
    scores : astropy.table.Table
        From `galcnn.pipeline.evaluating.score_table`, split by at least one column.

    Returns
    -------
    matplotlib.figure.Figure
        A panel for each column: accuracy, balanced accuracy and calibration error of each bin with
        95 % intervals, at the median of the bin.

    Raises
    ------
    ValueError
        The scores are split by nothing.
    """
    from matplotlib.figure import Figure

    columns = list(dict.fromkeys(str(name) for name in scores["by"] if name != "all"))
    if not columns:
        raise ValueError(message("scores that are split by a column", "Name one: --by redshift.", by=()))
    figure = Figure(figsize=(3.4 * len(columns), 3.1), layout="constrained")
    panels = figure.subplots(1, len(columns), squeeze=False, sharey=True)[0]
    for axes, column in zip(panels, columns, strict=True):
        for name, (colour, marker, label) in _LOOKS.items():
            rows = scores[(scores["by"] == column) & (scores["score"] == name)]
            value = np.array(rows["value"])
            errors = np.clip([value - rows["low"], rows["high"] - value], 0, None)
            axes.errorbar(
                rows["median"],
                value,
                yerr=np.nan_to_num(errors),
                color=colour,
                marker=marker,
                markersize=4,
                capsize=2,
                linewidth=1,
                label=label,
            )
        axes.set_xlabel(column, fontsize=_LABEL, parse_math=False)
        axes.tick_params(labelsize=_LABEL)
        axes.set_ylim(0, 1.03)
    figure.legend(
        *panels[0].get_legend_handles_labels(),
        loc="outside lower center",
        ncols=3,
        fontsize=_LABEL,
        frameon=False,
    )
    return figure
