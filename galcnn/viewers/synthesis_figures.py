"""Figures of images made for a target: filter visualisations and class models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import astropy.units as u
import numpy as np

from galcnn.cutout import Cutout
from galcnn.errors import message
from galcnn.photometry import parse_unit
from galcnn.transforms import display_rgb
from galcnn.viewers.panels import colour_limit
from galcnn.viewers.signed import draw_bar, draw_signed, label_row, title
from galcnn.viewers.style import RIGHT, WRONG

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from galcnn.explain.synthesis import Synthesis

__all__ = ["class_model_figure", "filter_image_figure"]

_MOST_BANDS = 5


def filter_image_figure(syntheses: Sequence[Synthesis], *, across: int = 8) -> Figure:
    """Draw what filters of one network layer want to see, band by band.

    Parameters
    ----------
    syntheses : sequence of galcnn.explain.Synthesis
        Of one layer.
    across : int
        Filters in a row.

    Returns
    -------
    matplotlib.figure.Figure
        A column a filter, cut to where the image is not empty; each with colours of its own.

    Raises
    ------
    ValueError
        None given.
    """
    from matplotlib.figure import Figure

    made = list(syntheses)
    if not made:
        raise ValueError(message("at least one synthesis", "", n=0))
    bands = made[0].bands[:_MOST_BANDS]
    blocks = -(-len(made) // across)
    n_rows, n_columns = blocks * len(bands), min(across, len(made))
    figure = Figure(
        figsize=(1.25 * n_columns + 0.5, 1.25 * n_rows + 0.5 * blocks + 0.4), layout="constrained"
    )
    grid = figure.subplots(n_rows, n_columns, squeeze=False)
    for axes in grid.ravel():
        axes.set_axis_off()
    window = _window(made)
    for i, synthesis in enumerate(made):
        block, column = divmod(i, across)
        planes = synthesis.image[: len(bands), window[0], window[1]]
        limit = colour_limit(planes.astype(np.float64))
        for j, (band, plane) in enumerate(zip(bands, planes, strict=True)):
            axes = grid[block * len(bands) + j, column]
            axes.set_axis_on()
            draw_signed(axes, plane, limit)
            if j == 0:
                title(
                    axes, f"{synthesis.target.name}\n{synthesis.start_score:.2g} → {synthesis.score:.3g}", 85
                )
            if j == len(bands) - 1:
                axes.set_xlabel(f"± {limit:.2g}", fontsize=6.5, labelpad=2)
            if column == 0:
                label_row(axes, band)
    return figure


def class_model_figure(rows: Mapping[str, Sequence[Synthesis]], classes: Sequence[str]) -> Figure:
    """Draw the images that the classes of a network like best.

    Parameters
    ----------
    rows : mapping of str to sequence of Synthesis
        How they were made -> one a target. Flux without negative values is drawn in colour, as
        a galaxy would be; everything else band by band in signed colours.
    classes : sequence of str
        Of the network.

    Returns
    -------
    matplotlib.figure.Figure
        Above each: the target, what an independent prediction says of the image (green where it
        agrees, else orange), and its probability.

    Raises
    ------
    ValueError
        None given.
    """
    from matplotlib.figure import Figure

    lines = [
        (name, made, band)
        for name, made in rows.items()
        for band in ([None] if _is_light(made) else range(min(len(made[0].bands), _MOST_BANDS)))
    ]
    if not lines:
        raise ValueError(message("at least one synthesis", "", n=0))
    n = max(len(made) for made in rows.values())
    height = sum(1.72 if band is not None else 1.95 for *_, band in lines) + 0.45 * len(rows)
    figure = Figure(figsize=(1.6 * n + 1.2, height), layout="constrained")
    grid = figure.subplots(len(lines), n, squeeze=False)
    previous = None
    for panels, (name, made, band) in zip(grid, lines, strict=True):
        limit = colour_limit(np.stack([s.image for s in made]).astype(np.float64))
        for axes, synthesis in zip(panels, made, strict=False):
            if band is None:
                axes.imshow(_light(synthesis), origin="lower", interpolation="nearest")
                axes.set_xticks([])
                axes.set_yticks([])
                axes.set_xlabel(f"peak {synthesis.image.max():.3g} {_unit(synthesis)}", fontsize=6.5)
            else:
                drawn = draw_signed(axes, synthesis.image[band], limit)
            if name != previous:
                title(axes, _answer(synthesis, classes), 112, color=RIGHT if synthesis.success else WRONG)
        label_row(panels[0], name if band is None else f"{name}\n{made[0].bands[band]}")
        if band is not None:
            draw_bar(figure, drawn, list(panels), _unit(made[0]) or "training sigma")
        previous = name
    return figure


def _is_light(made: Sequence[Synthesis]) -> bool:
    return all(s.wrt == "flux" and s.image.min() >= 0 for s in made)


def _light(synthesis: Synthesis) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    unit = parse_unit(synthesis.unit)
    top = float(synthesis.image.max())
    if not unit.is_equivalent(u.nJy) and top > 0:  # pictures are drawn as they are: use their range
        return display_rgb(Cutout(synthesis.image * (255 / top), synthesis.bands, unit=unit))
    return display_rgb(Cutout(synthesis.image, synthesis.bands, unit=unit))


def _unit(synthesis: Synthesis) -> str:
    if synthesis.wrt == "stretched":
        return ""
    return "of 255" if synthesis.unit == "display" else synthesis.unit


def _answer(synthesis: Synthesis, classes: Sequence[str]) -> str:
    logits = np.array(synthesis.logits)
    shares = np.exp(logits - logits.max())
    best = int(np.argmax(logits))
    mark = "✓" if synthesis.success else "✗"
    return f"for {synthesis.target.name}\n{mark} {classes[best]} {shares[best] / shares.sum():.2f}"


def _window(made: Sequence[Synthesis]) -> tuple[slice, slice]:
    """Where any of the images differs from its start by more than 2 % of its peak."""
    touched = np.zeros(made[0].image.shape[1:], dtype=bool)
    for synthesis in made:
        change = np.abs(synthesis.image).max(axis=0)
        touched |= change > 0.02 * change.max(initial=0)
    rows, columns = np.flatnonzero(touched.any(axis=1)), np.flatnonzero(touched.any(axis=0))
    if not len(rows):
        return slice(None), slice(None)
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
