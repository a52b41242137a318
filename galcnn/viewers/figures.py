"""Figures for eyes and print, with matplotlib's `Figure` alone: no window, no global state."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from galcnn import atomic
from galcnn.errors import message
from galcnn.viewers.panels import (
    answer_title,
    draw_colour_bar,
    draw_contours,
    draw_cutout,
    draw_map,
    drawable,
)
from galcnn.viewers.style import SMALL, TITLE

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from galcnn.explain.explanation import Explanation
    from galcnn.layers import LayerStack

__all__ = ["MOST_GALAXIES", "confusion_figure", "explanation_figure", "save_figure"]

#: Inches of a panel: three fill the width of a printed page.
_PANEL = 2.3
MOST_GALAXIES = 50
_FORMATS = (".png", ".pdf")
#: 1/72 inch: a class.
_CLASS_WIDTH = 110


def explanation_figure(
    stacks: Sequence[LayerStack],
    *,
    truth: Sequence[str | None] | None = None,
    contours: str | None = None,
    across: int = 1,
) -> Figure:
    """Draw galaxies beside what moved their logits.

    Parameters
    ----------
    stacks : sequence of galcnn.layers.LayerStack
        1 to 50.
    truth : sequence of str or None, optional
        The true class of each, where known: a wrong answer is marked by word and colour.
    contours : str, optional
        A method whose map is drawn over the cutout too, as contours at 1/4, 1/2 and 3/4 of its
        greatest absolute value, dashed where negative. Smooth maps such as ``cam`` suit this.
    across : int
        Galaxies in a row.

    Returns
    -------
    matplotlib.figure.Figure
        The colour cutout with scale bar and compass (North, East), then a panel for each
        explanation: the map summed over its bands, red where more raises the target, blue where
        more lowers it, white at zero, grey where there is no value, under isophotes of the
        galaxy. Colours end at the 99.5th percentile of the absolute value, on both sides of zero.

    Raises
    ------
    ValueError
        None or too many stacks, `truth` of another length, or no map of the method `contours`.
    """
    from matplotlib.figure import Figure

    rows = list(stacks)
    if not 1 <= len(rows) <= MOST_GALAXIES:
        raise ValueError(
            message(f"1 to {MOST_GALAXIES} galaxies", "Make several figures.", n_galaxies=len(rows))
        )
    known = [None] * len(rows) if truth is None else list(truth)
    if len(known) != len(rows):
        raise ValueError(
            message("one true class or None a galaxy", "", n_galaxies=len(rows), n_truth=len(known))
        )
    methods = {explanation.method for stack in rows for explanation in stack.explanations}
    if contours is not None and contours not in methods:
        raise ValueError(
            message(f"a method among {sorted(methods)}", "Explain with it first.", contours=contours)
        )
    if across < 1:
        raise ValueError(message("at least one galaxy in a row", "", across=across))
    n_columns = 1 + max(len(stack.explanations) for stack in rows)
    n_rows = -(-len(rows) // across)
    figure = Figure(figsize=(_PANEL * n_columns * across, _PANEL * 1.42 * n_rows), layout="constrained")
    grid = figure.subplots(n_rows, n_columns * across, squeeze=False).reshape(-1, n_columns)
    for panels in grid[len(rows) :]:
        for axes in panels:
            axes.set_axis_off()
    for panels, stack, true in zip(grid, rows, known, strict=False):
        draw_cutout(panels[0], stack.cutout)
        for explanation in stack.explanations:
            if explanation.method == contours:
                draw_contours(panels[0], explanation)
        text, colour = answer_title(stack.id, stack.prediction, true)
        panels[0].set_title(text, fontsize=TITLE, color=colour, parse_math=False)
        for axes, explanation in zip(panels[1:], stack.explanations, strict=False):
            drawn = draw_map(axes, explanation, stack.cutout)
            axes.set_title(_map_title(explanation), fontsize=TITLE, parse_math=False)
            draw_colour_bar(axes, drawn, explanation)
        for axes in panels[1 + len(stack.explanations) :]:
            axes.set_axis_off()
    return figure


def confusion_figure(matrix: npt.ArrayLike, classes: Sequence[str]) -> Figure:
    """Draw a confusion matrix.

    Parameters
    ----------
    matrix : array-like
        Numbers of galaxies, shape (n_classes, n_classes): row = true class, column = predicted.
    classes : sequence of str
        In the order of both.

    Returns
    -------
    matplotlib.figure.Figure
        Colour and percentage: share of the true class; below it the number.

    Raises
    ------
    ValueError
        Not such a matrix.

    Examples
    --------
    >>> figure = confusion_figure([[8, 2], [0, 5]], ("elliptical", "spiral"))
    >>> [text.get_text() for text in figure.axes[0].texts]
    ['80%\\n8', '20%\\n2', '0%\\n0', '100%\\n5']
    """
    from matplotlib.figure import Figure

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
    figure = Figure(figsize=(side + 0.8, side), layout="constrained")
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


def save_figure(figure: Figure, path: str | os.PathLike[str], *, dpi: int = 200) -> None:
    """Write a figure, whole or not at all; the same figure gives the same bytes.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        Any.
    path : path-like
        Ends in ``.png`` or ``.pdf``.
    dpi : int
        Pixels per inch.

    Raises
    ------
    ValueError
        Another ending.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in _FORMATS:
        raise ValueError(message(f"a file name that ends in one of {_FORMATS}", "", path=str(path)))
    metadata = {"CreationDate": None} if suffix == ".pdf" else None
    with atomic.writing(path) as temporary:
        figure.savefig(temporary, format=suffix[1:], dpi=dpi, metadata=metadata)


def _map_title(explanation: Explanation) -> str:
    return f"{drawable(explanation.method)}\nof {drawable(explanation.target.name, 140)}"
