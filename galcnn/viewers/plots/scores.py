"""Figures of scores: confusion matrix, reliability, ROC, precision-recall, and scores by column."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from galcnn.catalog import write_table
from galcnn.errors import message
from galcnn.evaluation import confusion_matrix, rankings
from galcnn.evaluation.ranking import GRID, ranking_table
from galcnn.prediction import Prediction
from galcnn.uncertainty import reliability
from galcnn.viewers.plots.panels import drawable
from galcnn.viewers.plots.style import COLOURS, SMALL, TITLE, finish, legend, marked, new_figure, save_figure

if TYPE_CHECKING:
    from astropy.table import Table
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from galcnn.evaluation.ranking import Curve, Ranking


#: Panels per row of ranking curves.
_ACROSS = 4


#: Scores that are drawn, with their labels.
_SCORES = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "calibration_error": "calibration error",
}


def reliability_figure(bins: Table) -> Figure:
    """Draw the fraction of correct predictions against their probability."""
    figure = new_figure(3.4, 3.9)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
    upper.plot([0, 1], [0, 1], color="0.6", linewidth=0.8, linestyle="--")
    confidence, accuracy = np.array(bins["confidence"]), np.array(bins["accuracy"])
    errors = np.clip([accuracy - bins["low"], bins["high"] - accuracy], 0, None)
    upper.errorbar(
        confidence, accuracy, yerr=errors, color="black", marker="o", markersize=4, capsize=2, linewidth=1
    )
    upper.annotate(
        "too sure", (0.95, 0.04), xycoords="axes fraction", ha="right", fontsize=SMALL, color="0.4"
    )
    upper.annotate("too cautious", (0.05, 0.92), xycoords="axes fraction", fontsize=SMALL, color="0.4")
    upper.set(xlim=(0, 1), ylim=(0, 1.03))
    finish(upper, y="fraction of correct predictions")
    edges = np.array(bins["low_edge"])
    width = np.array(bins["high_edge"]) - edges
    lower.bar(edges, bins["n"], width=width, align="edge", color="0.75", edgecolor="white")
    finish(lower, "probability of the predicted class", "galaxies", grid=False)
    return figure


def scores_figure(scores: Table) -> Figure:
    """Draw scores against the columns by which they are split."""
    columns = list(dict.fromkeys(str(name) for name in scores["by"] if name != "all"))
    if not columns:
        raise ValueError(message("scores that are split by a column", "Name one: --by redshift.", by=()))
    figure = new_figure(3.4 * len(columns), 3.1)
    panels = figure.subplots(1, len(columns), squeeze=False, sharey=True)[0]
    for axes, column in zip(panels, columns, strict=True):
        for number, (name, label) in enumerate(_SCORES.items()):
            rows = scores[(scores["by"] == column) & (scores["score"] == name)]
            value = np.array(rows["value"])
            errors = np.clip([value - rows["low"], rows["high"] - value], 0, None)
            axes.errorbar(
                rows["median"],
                value,
                yerr=np.nan_to_num(errors),
                capsize=2,
                linewidth=1,
                label=label,
                **marked(number),
            )
        finish(axes, column)
        axes.set_ylim(0, 1.03)
    legend(figure, panels[0])
    return figure


def roc_figure(ranked: Sequence[Ranking]) -> Figure:
    """Draw the ROC curve of each class against the rest.

    Parameters
    ----------
    ranked : sequence of galcnn.evaluation.ranking.Ranking
        Ranking curves, from `galcnn.evaluation.rankings`.

    Returns
    -------
    matplotlib.figure.Figure
        One panel per class: true positive rate (completeness) against false positive rate, with the 95 %
        bootstrap band, the diagonal of a random classifier, and the area with its interval.

    Raises
    ------
    ValueError
        If there is no class.
    """
    figure, panels = _class_panels(ranked, "true positive rate (completeness)")
    for axes, one in zip(panels, ranked, strict=True):
        axes.plot([0, 1], [0, 1], color="0.6", linewidth=0.8, linestyle="--")
        _draw_curve(axes, one.roc, one, "area")
        finish(axes, "false positive rate")
    return figure


def precision_recall_figure(ranked: Sequence[Ranking]) -> Figure:
    """Draw precision against recall for each class."""
    figure, panels = _class_panels(ranked, "precision (purity)")
    for axes, one in zip(panels, ranked, strict=True):
        axes.axhline(one.n / (one.n + one.n_others), color="0.6", linewidth=0.8, linestyle="--")
        _draw_curve(axes, one.precision_recall, one, "average precision")
        finish(axes, "recall (completeness)")
    return figure


def _class_panels(ranked: Sequence[Ranking], label: str) -> tuple[Figure, list[Axes]]:
    n = len(ranked)
    if not n:
        raise ValueError(message("a class with galaxies, beside others", "", n_classes=0))
    rows = -(-n // _ACROSS)
    across = -(-n // rows)
    figure = new_figure(1.9 * across + 0.5, 2.5 * rows + 0.1)
    panels = figure.subplots(rows, across, squeeze=False, sharey=True).ravel()
    for axes in panels[n:]:
        axes.set_axis_off()
    for row in range(rows):
        panels[row * across].set_ylabel(label, fontsize=TITLE)
    return figure, list(panels[:n])


def _draw_curve(axes: Axes, curve: Curve, one: Ranking, name: str) -> None:
    axes.fill_between(GRID, curve.low, curve.high, color=COLOURS[0], alpha=0.2, linewidth=0)
    stepped = "steps-pre" if name == "average precision" else "default"
    axes.plot(curve.x, curve.y, color=COLOURS[0], linewidth=1.2, drawstyle=stepped)
    axes.set(xlim=(-0.01, 1.01), ylim=(0, 1.02), box_aspect=1)
    axes.set_xticks([0, 0.5, 1])
    area = f"{name} {curve.area}"
    axes.set_title(f"{drawable(one.name, 120)} (n = {one.n})\n{area}", fontsize=SMALL, parse_math=False)


#: Width in points of a class name.
_CLASS_WIDTH = 110


def confusion_figure(matrix: npt.ArrayLike, classes: Sequence[str]) -> Figure:
    """Draw a confusion matrix.

    Parameters
    ----------
    matrix : array-like
        Numbers of galaxies, shape (n_classes, n_classes); rows are true, columns predicted classes.
    classes : sequence of str
        Class names, in the order of rows and columns.

    Returns
    -------
    matplotlib.figure.Figure
        Matrix with the fraction of the true class as colour and percentage, and the number below.

    Raises
    ------
    ValueError
        If the matrix has another shape, is empty, or has values that are no counts.

    Examples
    --------
    >>> figure = confusion_figure([[8, 2], [0, 5]], ("elliptical", "spiral"))
    >>> [text.get_text() for text in figure.axes[0].texts]
    ['80%\\n8', '20%\\n2', '0%\\n0', '100%\\n5']
    """
    counts, n = np.asarray(matrix), len(classes)
    if (
        counts.shape != (n, n)
        or n == 0
        or not np.issubdtype(counts.dtype, np.number)
        or not np.all(counts >= 0)
    ):
        raise ValueError(
            message(
                f"numbers of galaxies, shape {(n, n)} (true, predicted)",
                "",
                matrix=counts.tolist(),
                classes=classes,
            )
        )
    totals = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, totals, out=np.full((n, n), np.nan), where=totals > 0)
    side = 1.6 + 0.62 * n
    figure = new_figure(side + 0.8, side)
    axes = figure.subplots()
    drawn = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (row, column), share in np.ndenumerate(shares):
        text = f"{share:.0%}\n{counts[row, column]:g}" if np.isfinite(share) else "-"
        axes.text(
            column,
            row,
            text,
            ha="center",
            va="center",
            fontsize=TITLE,
            color="white" if share > 0.55 else "black",
        )
    names = [drawable(name, _CLASS_WIDTH) for name in classes]
    axes.set_xticks(
        range(n), names, rotation=35, ha="right", rotation_mode="anchor", fontsize=TITLE, parse_math=False
    )
    axes.set_yticks(range(n), names, fontsize=TITLE, parse_math=False)
    axes.set_xlabel("predicted class", fontsize=TITLE)
    axes.set_ylabel("true class", fontsize=TITLE)
    bar = figure.colorbar(drawn, ax=axes, shrink=0.85)
    bar.set_label("share of the true class", fontsize=SMALL)
    bar.ax.tick_params(labelsize=SMALL)
    return figure


def draw_scores(prediction: Prediction, labels: Sequence[str], folder: Path, *, seed: int = 0) -> list[Path]:
    """Draw all figures of predictions with known classes, and write the tables of their numbers."""
    bins, ranked = reliability(prediction, labels), rankings(prediction, labels, seed=seed)
    figures = {
        "confusion.png": confusion_figure(confusion_matrix(prediction, labels), prediction.classes),
        "reliability.png": reliability_figure(bins),
    }
    tables = {"reliability.ecsv": bins}
    if ranked:
        figures |= {"roc.png": roc_figure(ranked), "precision_recall.png": precision_recall_figure(ranked)}
        tables["ranking.ecsv"] = ranking_table(ranked)
    for name, figure in figures.items():
        save_figure(figure, folder / name)
    for name, table in tables.items():
        write_table(table, folder / name)
    return [folder / name for name in (*figures, *tables)]
