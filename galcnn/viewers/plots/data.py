"""Figures of a data set: images before and after preprocessing, and suspicious cutouts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from galcnn.errors import message
from galcnn.photometry import DISPLAY
from galcnn.transforms import display_rgb
from galcnn.viewers.plots.panels import draw_image, drawable
from galcnn.viewers.plots.sheets import Entry, sheet_figure
from galcnn.viewers.plots.style import SMALL, finish, line, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from galcnn.cutout import Cutout


_PANEL = 1.35


_MOST_BANDS = 3


_MOST = 40


def preprocessing_figure(
    cutouts: Sequence[Cutout],
    before: npt.NDArray[np.float32],
    after: npt.NDArray[np.float32],
    *,
    pixels: Mapping[str, npt.NDArray[np.float32]],
    planes: Sequence[str],
) -> Figure:
    """Draw galaxies and pixel histograms before and after preprocessing.

    Images have shape (n, ny, nx, n_bands); `pixels` has ``"before"`` and ``"after"``, (n_pixels, n_bands).
    """
    n = len(cutouts)
    if not n or len(before) != n or len(after) != n:
        raise ValueError(
            message("as many images as cutouts", "", cutouts=n, before=len(before), after=len(after))
        )
    bands, shown = cutouts[0].bands, range(min(before.shape[-1], _MOST_BANDS))
    labels = ["for the eye"] + [f"{bands[b]}, before" for b in shown] + [f"{planes[b]}, after" for b in shown]
    stacks = [before[..., b] for b in shown] + [after[..., b] for b in shown]
    height = _PANEL * len(labels)
    figure = new_figure(max(_PANEL * n, 7), height + 2.6)
    halves: Any = figure.subfigures(2, 1, height_ratios=(height, 2.6))
    upper, lower = halves
    grid = upper.subplots(len(labels), n, squeeze=False)
    for row, (label, panels) in enumerate(zip(labels, grid, strict=True)):
        for i, axes in enumerate(panels):
            if row == 0:
                draw_image(axes, display_rgb(cutouts[i]))
            else:
                low, high = np.percentile(stacks[row - 1], (1, 99.5))
                draw_image(axes, stacks[row - 1][i], cmap="gray", vmin=low, vmax=high)
        panels[0].set_ylabel(drawable(label, 90), fontsize=SMALL, parse_math=False)
    left, right = lower.subplots(1, 2)
    unit = "display value" if cutouts[0].unit == DISPLAY else str(cutouts[0].unit)
    _histogram(left, pixels["before"], bands, f"before: {unit} in a pixel")
    _histogram(right, pixels["after"], planes, "after: what the network sees")
    return figure


def suspicious_figure(cutouts: Sequence[Cutout], titles: Sequence[str], *, total: int) -> Figure:
    """Draw suspicious cutouts with their reasons, at most 40."""
    shown = [Entry(cutout, title) for cutout, title in zip(cutouts, titles, strict=False)][:_MOST]
    some = f"{len(shown)} of {total}" if total > len(shown) else f"{total}"
    return sheet_figure(shown, heading=f"{some} suspicious cutouts")


def _histogram(axes: Axes, values: npt.NDArray[np.float32], names: Sequence[str], label: str) -> None:
    low, high = float(values.min()), float(values.max())
    edges = np.linspace(low, high if high > low else low + 1, 101).tolist()
    for i, name in enumerate(names):
        axes.hist(values[:, i], edges, histtype="step", log=True, label=drawable(name, 60), **line(i))
    finish(axes, label, "pixels")
    axes.legend(fontsize=SMALL, frameon=False)
