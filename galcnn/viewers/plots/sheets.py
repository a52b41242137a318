"""Contact sheets: many galaxies side by side, each with what the network says of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from galcnn.errors import message
from galcnn.transforms import display_rgb
from galcnn.viewers.plots.panels import answer_title, draw_image, draw_scale_bar, drawable
from galcnn.viewers.plots.style import NO_DATA, SMALL, TITLE, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from galcnn.cutout import Cutout
    from galcnn.prediction import Prediction


MOST_ENTRIES = 200


_PANEL = 1.3


#: 1/72 inch: the widest line over a panel.
_WIDTH = 100


@dataclass(frozen=True, eq=False)
class Entry:
    """A galaxy on a sheet.

    Attributes
    ----------
    cutout : galcnn.cutout.Cutout
        Its image.
    text : str
        Lines above it.
    colour : str
        Of the text; both as `galcnn.viewers.plots.panels.answer_title` gives them, or others.
    """

    cutout: Cutout
    text: str
    colour: str = "black"

    @classmethod
    def answered(cls, cutout: Cutout, prediction: Prediction, true: str | None = None) -> Entry:
        """Make the entry of a galaxy that a network has answered.

        Parameters
        ----------
        cutout : galcnn.cutout.Cutout
            Its image.
        prediction : galcnn.prediction.Prediction
            Of this galaxy.
        true : str, optional
            Its class, where known.

        Returns
        -------
        Entry
            Id, class with its probability, and whether that is right, by sign, word and colour.

        Examples
        --------
        >>> from galcnn.cutout import Cutout
        >>> from galcnn.prediction import Prediction
        >>> answer = Prediction(("a",), np.log([[0.25, 0.75]]), ("merger", "spiral"))
        >>> Entry.answered(Cutout(np.ones((1, 4, 4)), ("r",)), answer, "merger").text
        'a\\nspiral 0.75\\n✗ true: merger'
        """
        return cls(cutout, *answer_title(prediction.ids[0], prediction, true, points=_WIDTH))


def sheet_figure(entries: Sequence[Entry], *, heading: str = "", across: int = 8) -> Figure:
    """Draw many galaxies side by side.

    Parameters
    ----------
    entries : sequence of Entry
        1 to 200.
    heading : str
        Above all.
    across : int
        Galaxies in a row.

    Returns
    -------
    matplotlib.figure.Figure
        In colour (`galcnn.transforms.display_rgb`), pixels masked in all bands grey, with a scale
        bar where there is a WCS.

    Raises
    ------
    ValueError
        No or too many entries, or no galaxy in a row.
    """
    n = len(entries)
    if not 1 <= n <= MOST_ENTRIES or across < 1:
        raise ValueError(
            message(f"1 to {MOST_ENTRIES} galaxies, at least one in a row", "", n_galaxies=n, across=across)
        )
    across = min(across, n)
    rows = -(-n // across)
    lines = max(entry.text.count("\n") + 1 for entry in entries)
    height = (_PANEL + 0.11 * lines + 0.06) * rows + (0.3 if heading else 0.05)
    figure = new_figure(_PANEL * across + 0.1, height)
    if heading:
        figure.suptitle(drawable(heading, 72 * _PANEL * across), fontsize=TITLE + 1, parse_math=False)
    panels = figure.subplots(rows, across, squeeze=False).ravel()
    for axes in panels:
        axes.set_axis_off()
    for axes, entry in zip(panels, entries, strict=False):
        picture = display_rgb(entry.cutout).astype(np.float32) / 255
        picture[entry.cutout.mask.all(axis=0)] = float(NO_DATA)
        draw_image(axes, picture)
        if entry.cutout.wcs is not None:
            draw_scale_bar(axes, entry.cutout)
        text = "\n".join(drawable(one, _WIDTH) for one in entry.text.splitlines())
        axes.set_title(text, fontsize=SMALL - 1, color=entry.colour, parse_math=False, pad=2)
    return figure
