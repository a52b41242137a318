"""Figures of galaxies beside their maps, and of one map with sky coordinates (WCSAxes)."""

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
    draw_meaning,
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


#: Width of a panel in inches, three fill a printed page, and its height with its text over the width.
_PANEL, _TEXT = 2.3, 1.75
#: The same of compact figures, of which eight panels fill a page.
_SMALL_PANEL, _SMALL_TEXT = 1.35, 1.2


MOST_GALAXIES = 50
#: Width of a title in points.
_TITLE_POINTS = 155.0
#: Number of maps of a galaxy in one row, and in one row of a compact figure.
_MOST_MAPS, _MOST_SMALL_MAPS = 4, 7


def explanation_figure(
    stacks: Sequence[LayerStack],
    *,
    truth: Sequence[str | None] | None = None,
    contours: str | None = None,
    across: int = 1,
    compact: bool = False,
) -> Figure:
    """Draw galaxies beside their explanations.

    Parameters
    ----------
    stacks : sequence of galcnn.layers.LayerStack
        Stacks of 1 to 50 galaxies.
    truth : sequence of str or None, optional
        True class of each galaxy, None if unknown. Wrong predictions are marked by text and colour.
    contours : str, optional
        Method whose map is also drawn over the cutout, as contours at 1/4, 1/2 and 3/4 of its largest
        absolute value, dashed where negative. Suitable for smooth maps such as ``cam``.
    across : int
        Number of galaxies per row.
    compact : bool
        If True, draw small panels for comparing many methods: up to seven maps in a row, each titled by its
        method only, without colour bar, unit, meaning and labels. The target stands below the cutout.

    Returns
    -------
    matplotlib.figure.Figure
        Per galaxy: the cutout in colour with scale bar and compass, then one panel per explanation, in
        several rows if there are more than four: the map summed over its bands, isophotes of the galaxy
        at 5 and 25 % of its light above the sky, and the outline of the network's field of view; pixels
        outside of it are hatched. Red raises the target, blue lowers it, white is zero, grey is NaN. The
        colour scale ends at the 99.5th percentile of the absolute value on both sides of zero; a map of zeros
        says so. Below each
        map stand its unit, a sentence on its meaning, its `wrt`, and how its bands were combined.

    Raises
    ------
    ValueError
        If there are no or too many stacks, `truth` has another length, or no map has the method `contours`.
    """
    rows = list(stacks)
    if not 1 <= len(rows) <= MOST_GALAXIES:
        raise ValueError(
            message(f"1 to {MOST_GALAXIES} galaxies", "Make several figures.", n_galaxies=len(rows))
        )
    known = [None] * len(rows) if truth is None else list(truth)
    if len(known) != len(rows):
        raise ValueError(
            message("one true class or None per galaxy", "", n_galaxies=len(rows), n_truth=len(known))
        )
    methods = {explanation.method for stack in rows for explanation in stack.explanations}
    if contours is not None and contours not in methods:
        raise ValueError(
            message(f"a method among {sorted(methods)}", "Explain with it first.", contours=contours)
        )
    if across < 1:
        raise ValueError(message("at least one galaxy in a row", "", across=across))
    most = max(len(stack.explanations) for stack in rows)
    n_lines = max(-(-most // (_MOST_SMALL_MAPS if compact else _MOST_MAPS)), 1)
    n_columns = 1 + -(-most // n_lines)
    n_rows = -(-len(rows) // across)
    width, text_share = (_SMALL_PANEL, _SMALL_TEXT) if compact else (_PANEL, _TEXT)
    figure = new_figure(width * n_columns * across, width * text_share * n_lines * n_rows)
    grid = figure.subplots(n_lines * n_rows, n_columns * across, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
        axes.set_anchor("N")  # the space of the text is below
    for place, (stack, true) in enumerate(zip(rows, known, strict=True)):
        row, column = n_lines * (place // across), n_columns * (place % across)
        block = grid[row : row + n_lines, column : column + n_columns]
        panels = [block[0, 0], *block[:, 1:].flat]
        draw_cutout(panels[0], stack.cutout)
        for explanation in stack.explanations:
            if explanation.method == contours:
                draw_contours(panels[0], explanation)
        # Titles are measured at their usual size.
        points = 72 * width * TITLE / SMALL if compact else _TITLE_POINTS
        text, colour = answer_title(stack.id, stack.prediction, true, points=points)
        panels[0].set_title(text, fontsize=SMALL if compact else TITLE, color=colour, parse_math=False)
        if compact and stack.explanations:
            _tell_targets(panels[0], stack, points, below=n_lines > 1)
        for axes, explanation in zip(panels[1:], stack.explanations, strict=False):
            axes.set_axis_on()
            drawn = draw_map(axes, explanation, stack.cutout, labelled=not compact)
            if compact:
                axes.set_title(drawable(explanation.method, points), fontsize=SMALL, parse_math=False)
                continue
            axes.set_title(_map_title(explanation), fontsize=TITLE, parse_math=False)
            draw_colour_bar(axes, drawn, explanation)
            draw_meaning(axes, explanation)
    return figure


def _tell_targets(axes: Axes, stack: LayerStack, points: float, *, below: bool) -> None:
    """Write below the cutout of a compact figure what its maps explain; there is room in a row `below`."""
    names = dict.fromkeys(explanation.target.name for explanation in stack.explanations)
    lines = ["maps of", *(drawable(name, points) for name in names)]
    told = axes.text(
        0.5,
        -0.04,
        "\n".join(lines),
        transform=axes.transAxes,
        ha="center",
        va="top",
        fontsize=SMALL,
        parse_math=False,
    )
    told.set_in_layout(not below)


def _map_title(explanation: Explanation) -> str:
    return f"{drawable(explanation.method)}\nof {drawable(explanation.target.name, 140)}"


_SKY_PANEL = 3.3


#: Fraction of the colour limit at which a map is opaque.
_OPAQUE = 0.6


def sky_figure(stack: LayerStack, method: str, *, true: str | None = None) -> Figure:
    """Draw one galaxy and one of its maps with right ascension and declination.

    Parameters
    ----------
    stack : galcnn.layers.LayerStack
        Stack of the galaxy.
    method : str
        Method of the map; the first map of this method is drawn.
    true : str, optional
        True class of the galaxy, if known.

    Returns
    -------
    matplotlib.figure.Figure
        Left, the galaxy in colour with contours of the map, solid where it raises the target and dashed
        where it lowers it. Right, the map in signed colours over the galaxy in grey, more transparent
        towards zero, with a symmetric colour bar. With a WCS, both have its coordinates, a scale bar and
        a compass; without, pixel coordinates.

    Raises
    ------
    ValueError
        If there is no map of this method.
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
    """Return a signed map drawn over a galaxy in grey.

    Parameters
    ----------
    picture : numpy.ndarray
        Image of the galaxy, uint8, shape (ny, nx, 3).
    values : numpy.ndarray
        Map, shape (ny, nx). NaN pixels show the galaxy only.
    limit : float
        Value at the ends of the colour scale. The map is opaque from 0.6 of it and transparent at zero.

    Returns
    -------
    numpy.ndarray
        RGB image, shape (ny, nx, 3), values from 0 to 1.

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
    from astropy.wcs.utils import wcs_to_celestial_frame

    frame = wcs_to_celestial_frame(cutout.wcs)
    on_sky: Any = figure.add_subplot(1, 2, place, projection=cutout.wcs)
    for coordinate, default in zip(on_sky.coords, ("RA", "Dec"), strict=True):
        coordinate.set_ticks(number=4)
        coordinate.set_ticklabel(size=SMALL, exclude_overlapping=True)
        coordinate.set_ticks_position("bl")
        name = coordinate.coord_type
        label = {"longitude": "RA", "latitude": "Dec"}.get(name, default)
        if cutout.wcs.wcs.lngtyp not in ("RA", ""):
            label = {"RA": cutout.wcs.wcs.lngtyp.strip(), "Dec": cutout.wcs.wcs.lattyp.strip()}[label]
        elif frame.name != "icrs":
            label = f"{label} ({frame.name.upper()} {frame.equinox.value})"
        coordinate.set_axislabel(label, size=TITLE)
    if place == 2:
        on_sky.coords[1].set_axislabel("")
    axes_: Axes = on_sky
    return axes_
