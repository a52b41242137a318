"""Figures of changed galaxies (attacks, deep dreams) before and after, and accuracy against epsilon."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from galcnn.adversarial import visibility
from galcnn.adversarial.visible import Visibility
from galcnn.cutout import Cutout
from galcnn.errors import message
from galcnn.photometry import DISPLAY, parse_unit
from galcnn.viewers.plots.panels import (
    colour_limit,
    draw_cutout,
    draw_signed,
    likeliest,
    synthesis_unit,
    title,
)
from galcnn.viewers.plots.style import RIGHT, SMALL, WRONG, class_look, finish, new_figure

if TYPE_CHECKING:
    from astropy.table import Table
    from matplotlib.figure import Figure

    from galcnn.explain import Synthesis


MOST_ROWS = 20


def adversarial_figure(
    made: Mapping[str, Sequence[Synthesis]], classes: Sequence[str] | None = None
) -> Figure:
    """Draw galaxies before and after attacks or deep dreams, with the difference once and tenfold.

    Parameters
    ----------
    made : mapping of str to sequence of Synthesis
        Attacks or dreams by id of the galaxy; at most `MOST_ROWS` rows in total.
    classes : sequence of str, optional
        Class names of the network. Without them, titles state the scores of the target.

    Returns
    -------
    matplotlib.figure.Figure
        One row per attack: the galaxy, the result, ten times the difference, and the difference, both
        summed over the bands and on one colour scale, in sigma if the noise is known. Titles are green if
        an independent prediction confirms the result, else orange.

    Raises
    ------
    ValueError
        If there are no rows or too many.
    """
    rows = [(name, one) for name, several in made.items() for one in several]
    if not 1 <= len(rows) <= MOST_ROWS:
        raise ValueError(message(f"1 to {MOST_ROWS} rows", "Make several figures.", n_rows=len(rows)))
    figure = new_figure(8.2, 2.25 * len(rows))
    grid = figure.subplots(len(rows), 4, squeeze=False)
    for panels, (name, one) in zip(grid, rows, strict=True):
        seen = visibility(one)
        for axes, planes in zip(panels, (one.start, one.image), strict=False):
            draw_cutout(axes, _cutout(one, planes))
        in_sigma = one.perturbation_in_sigma
        change = (one.perturbation if in_sigma is None else in_sigma).astype(np.float64)
        summed = np.where(np.isfinite(change).any(axis=0), np.nansum(change, axis=0), np.nan)
        limit = colour_limit(10 * summed)
        for axes, factor in zip(panels[2:], (10, 1), strict=True):
            drawn = draw_signed(axes, factor * summed, limit)
        bar = figure.colorbar(drawn, ax=panels[3], shrink=0.85, aspect=14, pad=0.02)
        bar.ax.tick_params(labelsize=SMALL - 1)
        unit = synthesis_unit(one)
        bar.set_label(f"{unit if in_sigma is None else 'sigma'}, summed over bands", fontsize=SMALL - 1)
        colour = RIGHT if one.success else WRONG
        title(panels[0], f"{name}\n{_said(one.start_logits, one.start_score, one, classes)}", 130)
        title(panels[1], f"{one.method}\n{_said(one.logits, one.score, one, classes)}", 130, color=colour)
        title(panels[2], "10 x difference", 130)
        title(panels[3], f"difference: {_size(seen, unit)}", 165)
    return figure


def robustness_figure(curves: Mapping[str, Table], *, unit: str) -> Figure:
    """Draw accuracy against the epsilon (epsilon) of an attack, with that of random changes."""
    if not curves:
        raise ValueError(message("at least one curve", "", n=0))
    figure = new_figure(4.8, 3.4)
    axes = figure.add_subplot()
    for i, (name, table) in enumerate(curves.items()):
        epsilon = np.asarray(table["epsilon"])
        look = class_look(i) | {"markersize": 4}
        axes.fill_between(epsilon, table["low"], table["high"], color=look["color"], alpha=0.2, linewidth=0)
        axes.plot(epsilon, table["accuracy"], label=name, **look)
        axes.plot(epsilon, table["random_accuracy"], linestyle="--", linewidth=1, mfc="white", **look)
    axes.plot([], [], color="0.3", linestyle="--", linewidth=1, label="random change of the same size")
    smallest = min(float(table["epsilon"][1]) for table in curves.values())
    axes.set_xscale("symlog", linthresh=smallest)
    axes.set_xlim(left=0)
    axes.set_ylim(-0.02, 1.02)
    finish(axes, f"epsilon [{unit}]", "accuracy")
    axes.legend(fontsize=SMALL, frameon=False)
    return figure


def _cutout(one: Synthesis, planes: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> Cutout:
    unit = parse_unit(one.unit)
    shown = np.clip(planes, 0, 255) if one.unit == str(DISPLAY) else planes
    return Cutout(shown, one.bands, unit=unit)


def _said(logits: Sequence[float], score: float, one: Synthesis, classes: Sequence[str] | None) -> str:
    """Return the class of an image and its probability, or the value of the target."""
    if classes is not None and len(logits) == len(classes) and not one.network_layer:
        best, sure = likeliest(logits, classes)
        return f"{best} {sure:.3f}"
    if one.network_layer:
        return f"{score:.3g} at {one.network_layer}"
    return f"{one.target.name}: {score:.3g}"


def _size(seen: Visibility, unit: str) -> str:
    if np.isfinite(seen.chi_square):
        words = "visible" if seen.visible else "not visible"
        first = f"max {seen.largest_sigma:.2g}, rms {seen.rms_sigma:.2g} sigma"
        return f"{first}\nχ²/dof {seen.chi_square:.2g}: {words}"
    return f"max {seen.largest:.2g} {unit}\nrms {seen.rms:.2g}"
