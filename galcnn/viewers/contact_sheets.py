"""Many galaxies on one sheet."""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.figure import Figure

from galcnn.cutout import Cutout
from galcnn.errors import message
from galcnn.rendering import display_rgb
from galcnn.viewers.panels import drawable

__all__ = ["contact_sheet"]

#: Inches of a picture, and points of its title.
_SIDE, _TITLE = 1.3, 6
_LONGEST = 40
_MOST = 400


def contact_sheet(
    cutouts: Sequence[Cutout | Exception], titles: Sequence[str], *, columns: int = 6
) -> Figure:
    """Draw galaxies side by side, row by row.

    Parameters
    ----------
    cutouts : sequence of galcnn.cutout.Cutout or Exception
        One that could not be had is an empty frame.
    titles : sequence of str
        One a galaxy.
    columns : int
        Galaxies of a row.

    Returns
    -------
    matplotlib.figure.Figure
        Save it with `galcnn.viewers.figures.save_figure`.

    Raises
    ------
    ValueError
        None, more than 400, or another number of titles.
    """
    if not 0 < len(cutouts) <= _MOST or len(titles) != len(cutouts) or columns < 1:
        raise ValueError(
            message(f"1 to {_MOST} galaxies and as many titles", "", n=len(cutouts), n_titles=len(titles))
        )
    rows = math.ceil(len(cutouts) / columns)
    figure = Figure(figsize=(columns * _SIDE, rows * (_SIDE + 0.25)), layout="constrained")
    for number, (cutout, title) in enumerate(zip(cutouts, titles, strict=True), start=1):
        axes = figure.add_subplot(rows, columns, number)
        axes.set_xticks([])
        axes.set_yticks([])
        axes.set_title("\n".join(drawable(line) for line in title[:_LONGEST].split("\n")), fontsize=_TITLE)
        if isinstance(cutout, Cutout):
            axes.imshow(display_rgb(cutout), origin="lower", interpolation="nearest")
    return figure
