"""Contact sheets: many galaxies side by side with their predictions."""

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


#: Maximum width in points of a line above a panel.
_WIDTH = 100


@dataclass(frozen=True, eq=False)
class Entry:
    """Galaxy on a contact sheet.

    Attributes
    ----------
    cutout : galcnn.cutout.Cutout
        Image of the galaxy.
    text : str
        Lines of text above the image.
    colour : str
        Colour of the text, for example from `galcnn.viewers.plots.panels.answer_title`.
    """

    cutout: Cutout
    text: str
    colour: str = "black"

    @classmethod
    def answered(cls, cutout: Cutout, prediction: Prediction, true: str | None = None) -> Entry:
        """Return the entry of a galaxy with its prediction.

        Parameters
        ----------
        cutout : galcnn.cutout.Cutout
            Image of the galaxy.
        prediction : galcnn.prediction.Prediction
            Prediction of this galaxy only.
        true : str, optional
            True class of the galaxy, if known.

        Returns
        -------
        Entry
            Entry with id, class and probability; if the true class is known, also whether it is correct.

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
        1 to 200 galaxies.
    heading : str
        Heading of the sheet.
    across : int
        Number of galaxies per row.

    Returns
    -------
    matplotlib.figure.Figure
        Images in colour (`galcnn.transforms.display_rgb`), with a scale bar if they have a WCS. Pixels that
        are masked in all bands are grey.

    Raises
    ------
    ValueError
        If there are no or too many entries, or `across` is less than 1.
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
