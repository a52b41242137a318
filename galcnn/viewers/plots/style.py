"""One look for all figures: colours, lines, markers, sizes of text, axes and legends; and saving them.

Colours are those of Okabe & Ito, told apart with every common colour blindness; what is told apart
by colour is told apart by a line style or a marker, too, so that a figure can be printed in grey.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from galcnn._runtime import atomic
from galcnn.errors import message

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")


MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*", "p")


STYLES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (1, 1)))


#: Of answers; a sign or a word says the same.
RIGHT, WRONG = "#007A5A", "#D55E00"


#: Of signed maps: red raises, blue lowers, white at zero; told apart with every common colour blindness.
SIGNED = "RdBu_r"


#: Grey where there is no value.
NO_DATA = "0.75"


#: Points: titles and labels of axes; numbers, legends and notes.
TITLE, SMALL = 8, 7


def new_figure(width: float, height: float) -> Figure:
    """Begin a figure of so many inches, without pyplot, which would keep it and ask for a screen."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def class_colour(i: int) -> str:
    """Give the colour of a class or curve; beyond seven they come again, with other markers."""
    return COLOURS[i % len(COLOURS)]


def class_look(i: int) -> dict[str, Any]:
    """Give the colour and marker of a class or curve."""
    return {"color": class_colour(i), "marker": MARKERS[i % len(MARKERS)]}


def line(i: int) -> dict[str, Any]:
    """Give the colour and line style of a curve of many points.

    Parameters
    ----------
    i : int
        From 0; 49 differ.

    Returns
    -------
    dict
        `color` and `linestyle`, as matplotlib takes them.

    Examples
    --------
    >>> len({(line(i)["color"], str(line(i)["linestyle"])) for i in range(49)})
    49
    """
    turn, place = divmod(i, len(COLOURS))
    return {"color": COLOURS[place], "linestyle": STYLES[(place + turn) % len(STYLES)]}


def marked(i: int) -> dict[str, Any]:
    """Give the colour, line style and marker of a curve of a few points."""
    return line(i) | {"marker": MARKERS[i % len(MARKERS)], "markersize": 4}


def finish(axes: Axes, x: str = "", y: str = "", *, grid: bool = True) -> None:
    """Label axes and give them the sizes and lines that all figures have."""
    if x:
        axes.set_xlabel(x, fontsize=TITLE, parse_math=False)
    if y:
        axes.set_ylabel(y, fontsize=TITLE, parse_math=False)
    axes.tick_params(labelsize=SMALL, which="both")
    axes.spines[["top", "right"]].set_visible(False)
    if grid:
        axes.grid(color="0.9", linewidth=0.6)
        axes.set_axisbelow(True)


def legend(
    figure: Figure, axes: Axes, *, loc: str = "outside lower center", columns: int = 4, heading: str = ""
) -> None:
    """Explain the curves of some axes once, beside all panels of a figure."""
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
    """Write a figure, whole or not at all; the same figure gives the same bytes.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        Any.
    path : path-like
        Ends in ``.png`` or ``.pdf``. An older file is replaced.
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
