"""Galaxies beside their maps, and one galaxy, large, with its coordinates on the sky (WCSAxes)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from galcnn.errors import message
from galcnn.transforms import display_rgb
from galcnn.viewers.plots.panels import (
    answer_title,
    colour_limit,
    draw_colour_bar,
    draw_compass,
    draw_contours,
    draw_cutout,
    draw_map,
    draw_scale_bar,
    drawable,
    summed,
)
from galcnn.viewers.plots.style import SIGNED, SMALL, TITLE, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from galcnn.cutout import Cutout
    from galcnn.explain import Explanation
    from galcnn.layers import LayerStack


#: Inches of a panel: three fill the width of a printed page.
_PANEL = 2.3


MOST_GALAXIES = 50


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
    figure = new_figure(_PANEL * n_columns * across, _PANEL * 1.42 * n_rows)
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


def _map_title(explanation: Explanation) -> str:
    return f"{drawable(explanation.method)}\nof {drawable(explanation.target.name, 140)}"


_SKY_PANEL = 3.3


#: Share of the colour limit at which a map hides the galaxy below.
_OPAQUE = 0.6


def sky_figure(stack: LayerStack, method: str, *, true: str | None = None) -> Figure:
    """Draw one galaxy and one of its maps, with right ascension and declination.

    Parameters
    ----------
    stack : galcnn.layers.LayerStack
        Of the galaxy.
    method : str
        Of the map; the first of this method is drawn.
    true : str, optional
        The class of the galaxy, where known.

    Returns
    -------
    matplotlib.figure.Figure
        Left the galaxy in colour under the map's contours, solid where it raises the target,
        dashed where it lowers it; right the galaxy in grey under the map in signed colours, the
        fainter the nearer to zero, with a colour bar that is symmetric about zero. Both have
        compass, scale bar, and the grid of the cutout's WCS; pixels where it has none.

    Raises
    ------
    ValueError
        No map of this method.
    """
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    explanation = next((one for one in stack.explanations if one.method == method), None)
    if explanation is None:
        known = sorted({one.method for one in stack.explanations})
        raise ValueError(message(f"a method among {known}", "Explain with it first.", method=method))
    figure = new_figure(2 * _SKY_PANEL + 0.8, _SKY_PANEL + 1.0)
    left, right = (_axes(figure, place, stack.cutout) for place in (1, 2))
    picture = display_rgb(stack.cutout)
    left.imshow(picture, origin="lower", interpolation="nearest")
    draw_contours(left, explanation)
    values = summed(explanation)
    limit = colour_limit(values)
    right.imshow(overlay(picture, values, limit), origin="lower", interpolation="nearest")
    drawn = ScalarMappable(Normalize(-limit, limit), colormaps[SIGNED])
    draw_colour_bar(right, drawn, explanation, below=0.2)
    text, colour = answer_title(stack.id, stack.prediction, true)
    left.set_title(text, fontsize=TITLE, color=colour, parse_math=False)
    right.set_title(_map_title(explanation), fontsize=TITLE, parse_math=False)
    for axes in (left, right):
        if stack.cutout.wcs is not None:
            draw_scale_bar(axes, stack.cutout)
            draw_compass(axes, stack.cutout)
    return figure


def overlay(
    picture: npt.NDArray[np.uint8], values: npt.NDArray[np.float64], limit: float
) -> npt.NDArray[np.float64]:
    """Lay a signed map over the grey image of a galaxy.

    Parameters
    ----------
    picture : numpy.ndarray
        uint8, shape (ny, nx, 3).
    values : numpy.ndarray
        The map, shape (ny, nx); nothing is laid where it has no value.
    limit : float
        At the ends of the colours. The map is opaque at 0.6 of it and clear at zero.

    Returns
    -------
    numpy.ndarray
        Shape (ny, nx, 3), from 0 to 1.

    Examples
    --------
    >>> grey = np.full((1, 3, 3), 102, dtype=np.uint8)
    >>> shown = overlay(grey, np.array([[-1.0, 0.0, np.nan]]), 1.0)
    >>> shown[0, 1:].round(2).tolist()  # zero, and no value: the galaxy alone
    [[0.4, 0.4, 0.4], [0.4, 0.4, 0.4]]
    >>> bool(shown[0, 0, 2] > shown[0, 0, 0])  # lowers the target: blue
    True
    """
    from matplotlib import colormaps

    grey = (picture.mean(axis=2, keepdims=True) / 255).repeat(3, axis=2)
    known = np.where(np.isfinite(values), values, 0.0) / limit
    colours = colormaps[SIGNED]((np.clip(known, -1, 1) + 1) / 2)[..., :3]
    share = np.clip(np.abs(known) / _OPAQUE, 0, 1)[..., np.newaxis]
    laid: npt.NDArray[np.float64] = share * colours + (1 - share) * grey
    return laid


def _axes(figure: Figure, place: int, cutout: Cutout) -> Axes:
    if cutout.wcs is None:
        axes = figure.add_subplot(1, 2, place)
        axes.tick_params(labelsize=SMALL)
        axes.set_xlabel("x [pixel]", fontsize=TITLE)
        axes.set_ylabel("y [pixel]" if place == 1 else "", fontsize=TITLE)
        return axes
    on_sky: Any = figure.add_subplot(1, 2, place, projection=cutout.wcs)
    for coordinate, default in zip(on_sky.coords, ("RA", "Dec"), strict=True):
        coordinate.set_ticks(number=4)
        coordinate.set_ticklabel(size=SMALL, exclude_overlapping=True)
        coordinate.set_ticks_position("bl")
        name = coordinate.coord_type
        label = {"longitude": "RA", "latitude": "Dec"}.get(name, default)
        if cutout.wcs.wcs.lngtyp not in ("RA", ""):
            label = {"RA": cutout.wcs.wcs.lngtyp.strip(), "Dec": cutout.wcs.wcs.lattyp.strip()}[label]
        coordinate.set_axislabel(label, size=TITLE)
    if place == 2:
        on_sky.coords[1].set_axislabel("")
    axes_: Axes = on_sky
    return axes_
