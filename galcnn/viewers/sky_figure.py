"""One galaxy, large, with its coordinates on the sky (WCSAxes): a map as contours and as signed overlay."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from galcnn.errors import message
from galcnn.transforms import display_rgb
from galcnn.viewers.orientation import draw_compass, draw_scale_bar
from galcnn.viewers.panels import (
    answer_title,
    colour_limit,
    draw_colour_bar,
    draw_contours,
    drawable,
    summed,
)
from galcnn.viewers.style import SIGNED, SMALL, TITLE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from galcnn.cutout import Cutout
    from galcnn.layers import LayerStack

__all__ = ["overlay", "sky_figure"]

_PANEL = 3.3
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
    from matplotlib.figure import Figure

    explanation = next((one for one in stack.explanations if one.method == method), None)
    if explanation is None:
        known = sorted({one.method for one in stack.explanations})
        raise ValueError(message(f"a method among {known}", "Explain with it first.", method=method))
    figure = Figure(figsize=(2 * _PANEL + 0.8, _PANEL + 1.0), layout="constrained")
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
    right.set_title(
        f"{drawable(explanation.method)}\nof {drawable(explanation.target.name)}",
        fontsize=TITLE,
        parse_math=False,
    )
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
