"""Figures of loss surfaces: contours in a plane, and slices through the solution."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from galcnn.errors import message
from galcnn.viewers.plots.panels import drawable
from galcnn.viewers.plots.style import COLOURS, NO_DATA, SMALL, TITLE, finish, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from galcnn.diagnostics.surface import Surface


_PANEL = 2.7


#: Colour map with uniform steps of lightness, readable in grey and by colour-blind readers.
_MAP = "cividis"


_LEVELS = 18


#: Losses below this value have the same colour.
_FLOOR = 1e-3


_AXES = {
    "random": ("alpha, in sizes of each filter", "beta, in sizes of each filter"),
    "trajectory": ("alpha, along component 1", "beta, along component 2"),
    "between": ("alpha, from one solution (0) to the other (1)", ""),
}


def landscape_figure(surfaces: Mapping[str, Surface]) -> Figure:
    """Draw loss surfaces side by side, with a common colour scale and loss axis.

    Parameters
    ----------
    surfaces : mapping of str to galcnn.diagnostics.surface.Surface
        One or more surfaces by heading.

    Returns
    -------
    matplotlib.figure.Figure
        One column per surface. For planes, above: contours at equal logarithmic steps, the solution as a
        cross, and the path of the training if known; below: the loss along alpha and beta through the
        solution. For lines: loss and fraction of wrong predictions. Infinite losses are grey in planes
        and omitted in curves.

    Raises
    ------
    ValueError
        If there is no surface, if lines and planes are mixed, or if no loss is finite.
    """
    from matplotlib.colors import LogNorm

    shown = list(surfaces.items())
    if not shown or len({surface.is_line for _, surface in shown}) != 1:
        raise ValueError(message("surfaces that are all planes, or all lines", "", surfaces=list(surfaces)))
    finite = np.concatenate([s.loss[np.isfinite(s.loss)] for _, s in shown])
    if not len(finite):
        raise ValueError(message("a finite loss anywhere", "Lower the reach.", surfaces=list(surfaces)))
    high = max(float(finite.max()), 1e-9)
    low = min(max(float(finite.min()), _FLOOR), high / 1.01)
    line = shown[0][1].is_line
    figure = new_figure(_PANEL * len(shown) + 1.1, _PANEL * (1.0 if line else 1.9) + 0.4)
    panels = figure.subplots(1 if line else 2, len(shown), squeeze=False, sharey="row" if line else False)
    drawn: Any = None
    for column, (heading, surface) in enumerate(shown):
        figures = f"roughness {surface.roughness:.3f}, variation {surface.variation:.2f}"
        if np.isfinite(surface.barrier):
            figures = f"barrier {surface.barrier:.3f} nat"
        panels[0, column].set_title(f"{drawable(heading, 190)}\n{figures}", fontsize=TITLE, parse_math=False)
        if not line:
            drawn = _draw_plane(panels[0, column], surface, LogNorm(low, high))
        below = panels[-1, column]
        _draw_slices(below, surface)
        if not line:
            below.set_yscale("log")
            below.set_ylim(low / 1.2, high * 1.2)
        if column == 0:
            finish(below, y="cross-entropy (nat)")
            below.legend(fontsize=SMALL, frameon=False)
    if drawn is not None:
        bar = figure.colorbar(drawn, ax=list(panels[0]), shrink=0.9)
        bar.set_label("cross-entropy (nat)", fontsize=SMALL)
        bar.ax.tick_params(which="both", labelsize=SMALL)
    return figure


def _draw_plane(axes: Axes, surface: Surface, norm: Any) -> Any:
    from matplotlib import colormaps

    loss = np.where(np.isfinite(surface.loss), np.maximum(surface.loss, norm.vmin), np.nan)
    axes.set_facecolor(NO_DATA)
    drawn = axes.pcolormesh(
        surface.alpha, surface.beta, loss, cmap=colormaps[_MAP], norm=norm, shading="nearest", rasterized=True
    )
    levels = np.geomspace(norm.vmin, norm.vmax, _LEVELS)
    axes.contour(surface.alpha, surface.beta, loss, levels=levels, colors="white", linewidths=0.5, alpha=0.8)
    if len(surface.path):
        axes.plot(*surface.path.T, "o-", color="white", mec="black", mew=0.6, ms=3.2, lw=1.0)
    axes.plot(0, 0, "+", color=COLOURS[1], ms=9, mew=1.8)
    axes.set_xlim(surface.alpha[0], surface.alpha[-1])
    axes.set_ylim(surface.beta[0], surface.beta[-1])
    texts = list(_AXES[surface.plane])
    for i in range(2):
        share = surface.facts.get(f"explained_{i + 1}")
        texts[i] += f" ({float(share):.0%} of the variance)" if share is not None else ""
    axes.set_xlabel(texts[0], fontsize=SMALL)
    axes.set_ylabel(texts[1], fontsize=SMALL)
    axes.tick_params(labelsize=SMALL)
    return drawn


def _draw_slices(axes: Axes, surface: Surface) -> None:
    row, column = int(np.argmin(np.abs(surface.beta))), int(np.argmin(np.abs(surface.alpha)))
    series = [("along alpha", surface.alpha, surface.loss[row], "-")]
    if surface.is_line:
        series = [
            ("loss", surface.alpha, surface.loss[0], "-"),
            ("share wrong", surface.alpha, surface.error[0], "--"),
        ]
    else:
        series.append(("along beta", surface.beta, surface.loss[:, column], "--"))
    for number, (name, places, values, style) in enumerate(series):
        seen = np.where(np.isfinite(values) & (values > 0), values, np.nan)
        axes.plot(places, seen, style, color=COLOURS[number], lw=1.3, label=name)
    finish(axes, _AXES[surface.plane][0] if surface.is_line else "alpha, or beta")
