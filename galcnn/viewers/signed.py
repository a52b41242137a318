"""Signed maps in rows under one colour bar, with titles that fit: what figures of many panels share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from galcnn.viewers.panels import colour_limit, drawable
from galcnn.viewers.style import NO_DATA, SIGNED, SMALL, TITLE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["draw_bar", "draw_signed", "label_row", "title"]


def draw_signed(axes: Axes, values: npt.NDArray[Any], limit: float | None = None) -> Any:
    """Draw a map in signed colours, white at zero, grey where there is no value.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
        Empty.
    values : numpy.ndarray
        Shape (ny, nx).
    limit : float, optional
        At both ends of the colours; see `galcnn.viewers.panels.colour_limit`.

    Returns
    -------
    matplotlib.image.AxesImage
        For a colour bar.
    """
    from matplotlib import colormaps

    end = colour_limit(np.asarray(values, dtype=np.float64)) if limit is None else limit
    colours = colormaps[SIGNED].with_extremes(bad=NO_DATA)
    drawn = axes.imshow(values, origin="lower", interpolation="nearest", cmap=colours, vmin=-end, vmax=end)
    axes.set_xticks([])
    axes.set_yticks([])
    return drawn


def draw_bar(figure: Figure, drawn: Any, axes: Sequence[Axes], label: str) -> None:
    """Draw one colour bar to the right of a row of panels.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        With the panels.
    drawn : matplotlib.image.AxesImage
        One of them.
    axes : sequence of matplotlib.axes.Axes
        The row.
    label : str
        What the colours mean, with the unit.
    """
    bar = figure.colorbar(drawn, ax=list(axes), shrink=0.8, aspect=14, pad=0.008)
    bar.set_label(label, fontsize=SMALL, parse_math=False)
    bar.ax.tick_params(labelsize=SMALL)
    bar.ax.yaxis.get_offset_text().set_fontsize(SMALL)


def title(axes: Axes, text: str, points: float = 155.0, *, color: str = "black") -> None:
    """Write a title of 8 points, line by line drawable.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
        Any.
    text : str
        Lines.
    points : float
        The widest line, in 1/72 inch.
    color : str
        Of the text.
    """
    lines = "\n".join(drawable(line, points) for line in text.split("\n"))
    axes.set_title(lines, fontsize=TITLE, parse_math=False, color=color)


def label_row(axes: Axes, text: str) -> None:
    """Write what a row shows to the left of its first panel.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
        Of the first panel.
    text : str
        Lines.
    """
    axes.text(
        -0.08,
        0.5,
        text,
        transform=axes.transAxes,
        rotation=90,
        ha="right",
        va="center",
        fontsize=SMALL,
        parse_math=False,
    )
