"""Common style of all figures: colours, lines, markers, font sizes, axes and legends; and saving.

Colours are those of Okabe & Ito, which are safe for colour-blind readers. Curves that differ in colour
also differ in line style or marker, so that figures can be printed in grey.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from galcnn._runtime import atomic
from galcnn.errors import message

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")


MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*", "p")


STYLES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (1, 1)))


#: Colours of right and wrong predictions; a sign or text says the same.
RIGHT, WRONG = "#007A5A", "#D55E00"


#: Colour map of signed maps: red raises, blue lowers, white is zero; safe for colour-blind readers.
SIGNED = "RdBu_r"


#: Grey level of pixels without a value.
NO_DATA = "0.75"


#: Font sizes in points: titles and axis labels; numbers, legends and notes.
TITLE, SMALL = 8, 7


def new_figure(width: float, height: float) -> Figure:
    """Return a figure of a size in inches, without pyplot, which would keep it and need a display."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def class_colour(i: int) -> str:
    """Return the colour of a class or curve; after seven they repeat, with other markers."""
    return COLOURS[i % len(COLOURS)]


def class_look(i: int) -> dict[str, Any]:
    """Return colour and marker of a class or curve."""
    return {"color": class_colour(i), "marker": MARKERS[i % len(MARKERS)]}


def line(i: int) -> dict[str, Any]:
    """Return colour and line style of a curve of many points.

    Parameters
    ----------
    i : int
        Number of the curve, from 0; the first 49 differ.

    Returns
    -------
    dict
        Values of `color` and `linestyle` for matplotlib.

    Examples
    --------
    >>> len({(line(i)["color"], str(line(i)["linestyle"])) for i in range(49)})
    49
    """
    turn, place = divmod(i, len(COLOURS))
    return {"color": COLOURS[place], "linestyle": STYLES[(place + turn) % len(STYLES)]}


def marked(i: int) -> dict[str, Any]:
    """Return colour, line style and marker of a curve of a few points."""
    return line(i) | {"marker": MARKERS[i % len(MARKERS)], "markersize": 4}


def finish(axes: Axes, x: str = "", y: str = "", *, grid: bool = True) -> None:
    """Set the labels of axes and the common style of ticks, spines and grid."""
    if x:
        axes.set_xlabel(x, fontsize=TITLE, parse_math=False)
    if y:
        axes.set_ylabel(y, fontsize=TITLE, parse_math=False)
    axes.tick_params(labelsize=SMALL, which="both")
    axes.spines[["top", "right"]].set_visible(False)
    if grid:
        axes.grid(color="0.9", linewidth=0.6)
        axes.set_axisbelow(True)


def logarithmic(axes: Axes) -> None:
    """Make the y axis logarithmic where a curve has a positive value; of others matplotlib warns."""
    if any(np.any(np.asarray(drawn.get_ydata(), dtype=float) > 0) for drawn in axes.lines):
        axes.set_yscale("log", nonpositive="mask")


def legend(
    figure: Figure, axes: Axes, *, loc: str = "outside lower center", columns: int = 4, heading: str = ""
) -> None:
    """Draw one legend for all panels of a figure, from the curves of some axes."""
    handles, labels = axes.get_legend_handles_labels()
    if not handles:
        return
    shown = figure.legend(
        handles,
        labels,
        loc=loc,
        ncols=min(len(handles), columns),
        fontsize=SMALL,
        frameon=False,
        title=heading or None,
        title_fontsize=SMALL,
    )
    for text in shown.get_texts():
        text.set_parse_math(False)


_FORMATS = (".png", ".pdf")


def save_figure(figure: Figure, path: str | os.PathLike[str], *, dpi: int = 200) -> None:
    """Save a figure atomically; the same figure gives the same bytes.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        Figure to save.
    path : path-like
        Output file, ending in ``.png`` or ``.pdf``. An existing file is replaced.
    dpi : int
        Resolution in pixels per inch.

    Raises
    ------
    ValueError
        If the file name has another ending.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in _FORMATS:
        raise ValueError(message(f"a file name that ends in one of {_FORMATS}", "", path=str(path)))
    metadata = {"CreationDate": None} if suffix == ".pdf" else None
    with atomic.writing(path) as temporary:
        figure.savefig(temporary, format=suffix[1:], dpi=dpi, metadata=metadata)
