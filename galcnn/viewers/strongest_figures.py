"""Figures of what feature maps answer to: their strongest activations, each with its deconvnet map."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from galcnn.errors import message
from galcnn.transforms import display_rgb
from galcnn.viewers.panels import colour_limit
from galcnn.viewers.signed import draw_signed, label_row, title

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from galcnn.cutout import Cutout
    from galcnn.explain.strongest import StrongestActivations

__all__ = ["strongest_figure"]


def strongest_figure(
    found: Sequence[StrongestActivations], cutouts: Sequence[Cutout], ids: Sequence[str]
) -> Figure:
    """Draw what feature maps answer to most, as Zeiler & Fergus (2013, figure 2) do.

    Parameters
    ----------
    found : sequence of StrongestActivations
        Of one network layer.
    cutouts : sequence of galcnn.cutout.Cutout
        Those that were searched.
    ids : sequence of str
        Of the cutouts.

    Returns
    -------
    matplotlib.figure.Figure
        Two rows a feature map: receptive fields in colour, the strongest first, and beneath each
        the deconvnet map of its one activation, summed over the bands, in colours of its own.

    Raises
    ------
    ValueError
        None given.
    """
    from matplotlib.figure import Figure

    if not found:
        raise ValueError(message("at least one feature map", "", n=0))
    across = max(len(one.images) for one in found)
    figure = Figure(figsize=(1.15 * across + 0.6, 2.55 * len(found) + 0.2), layout="constrained")
    grid = figure.subplots(2 * len(found), across, squeeze=False)
    for axes in grid.ravel():
        axes.set_axis_off()
    for block, one in enumerate(found):
        for column, (row, box) in enumerate(zip(one.images, one.boxes, strict=True)):
            upper, lower = grid[2 * block, column], grid[2 * block + 1, column]
            upper.set_axis_on()
            lower.set_axis_on()
            upper.imshow(display_rgb(cutouts[row])[box], origin="lower", interpolation="nearest")
            _without_ticks(upper)
            title(upper, f"{ids[row]}\n{one.values[column]:.3g}", 76)
            crop = one.maps[column].sum(axis=-1)[box].astype(np.float64)
            draw_signed(lower, crop, colour_limit(crop))
        label_row(grid[2 * block, 0], f"feature {one.feature}")
        label_row(grid[2 * block + 1, 0], "deconvnet")
    return figure


def _without_ticks(axes: Axes) -> None:
    axes.set_xticks([])
    axes.set_yticks([])
