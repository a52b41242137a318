"""Figures of where a network changes its mind: regions of a plane, and lines between galaxies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from galcnn.viewers.panels import draw_cutout, drawable
from galcnn.viewers.style import MARKERS, SMALL, TITLE, class_colour, finish

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from galcnn.cutout import Cutout
    from galcnn.explain.boundaries import DecisionPlane, Line

__all__ = ["line_figure", "plane_figure"]

#: Classes of a line that get a curve: those that come nearest to winning.
_MOST_CURVES = 6


def plane_figure(plane: DecisionPlane, classes: Sequence[str], labels: Sequence[str]) -> Figure:
    """Draw the decision regions in the plane of two principal components, and the galaxies in it.

    Parameters
    ----------
    plane : galcnn.explain.boundaries.DecisionPlane
        Of the sample.
    classes : sequence of str
        Of the network.
    labels : sequence of str
        One a galaxy: its class in the catalog, where known, else the network's answer.

    Returns
    -------
    matplotlib.figure.Figure
        Regions in pale colours, galaxies in strong ones with a marker for each class.
    """
    from matplotlib.colors import to_rgb
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 5.2), layout="constrained")
    axes = figure.subplots()
    regions = plane.regions
    pale = np.array([[1 - 0.28 * (1 - c) for c in to_rgb(class_colour(i))] for i in range(len(classes))])
    edges = (plane.x[0], plane.x[-1], plane.y[0], plane.y[-1])
    axes.imshow(pale[regions], origin="lower", extent=edges, aspect="auto", interpolation="nearest")
    for i in np.unique(regions):
        axes.contour(plane.x, plane.y, regions == i, levels=[0.5], colors="0.4", linewidths=0.7)
    for i, name in enumerate(classes):
        own = np.asarray(labels) == name
        if own.any():
            axes.plot(
                *plane.positions[own].T,
                MARKERS[i % len(MARKERS)],
                color=class_colour(i),
                ms=5,
                mec="white",
                mew=0.5,
                ls="",
                label=drawable(name, 110),
            )
    for i in np.unique(regions):
        rows, columns = np.nonzero(regions == i)
        middle = np.argmin((rows - rows.mean()) ** 2 + (columns - columns.mean()) ** 2)
        if len(rows) > 0.01 * regions.size:
            axes.text(
                plane.x[columns[middle]],
                plane.y[rows[middle]],
                drawable(classes[i], 110),
                fontsize=TITLE,
                ha="center",
                va="center",
                parse_math=False,
                bbox={"facecolor": "white", "alpha": 0.75, "lw": 0, "pad": 1.5},
            )
    for which, share in zip("xy", plane.explained, strict=True):
        number = {"x": 1, "y": 2}[which]
        getattr(axes, f"set_{which}label")(
            f"principal component {number} of {plane.network_layer} ({share:.0%} of the variance)",
            fontsize=TITLE,
            parse_math=False,
        )
    axes.tick_params(labelsize=SMALL)
    axes.set_title(
        f"Decision regions in a plane; {plane.agreement:.0%} of {len(plane.positions)} galaxies "
        "lie in the region of their answer",
        fontsize=TITLE + 1,
    )
    figure.legend(*axes.get_legend_handles_labels(), fontsize=SMALL, loc="outside right upper", frameon=False)
    return figure


def line_figure(lines: Sequence[tuple[str, Line, Sequence[Cutout]]], classes: Sequence[str]) -> Figure:
    """Draw how the logits change from one galaxy to another, and where the answer flips.

    Parameters
    ----------
    lines : sequence of (str, Line, sequence of Cutout)
        Heading, line, and cutouts at equal distances on it.
    classes : sequence of str
        Of the network.

    Returns
    -------
    matplotlib.figure.Figure
        For each line its images above the logits; flips are dashed.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.2, 2.9 * len(lines)), layout="constrained")
    parts = figure.subfigures(len(lines), 1, squeeze=False)[:, 0]
    for part, (heading, line, cutouts) in zip(parts, lines, strict=True):
        part.suptitle(drawable(heading, 520), fontsize=TITLE + 1, parse_math=False)
        upper, lower = part.subfigures(2, 1, height_ratios=[1, 1.6])
        for axes, cutout in zip(upper.subplots(1, len(cutouts)), cutouts, strict=True):
            draw_cutout(axes, cutout)
        axes = lower.subplots()
        margin = line.logits - line.logits.max(axis=1, keepdims=True)
        chosen = np.argsort(-margin.max(axis=0), kind="stable")[:_MOST_CURVES]
        for i in np.sort(chosen):
            axes.plot(
                line.positions,
                line.logits[:, i],
                color=class_colour(i),
                marker=MARKERS[i % len(MARKERS)],
                markevery=8,
                ms=4,
                lw=1.3,
                label=drawable(classes[i], 110),
            )
        for crossing in line.crossings:
            axes.axvline(crossing.position, color="0.3", lw=0.8, ls="--")
            axes.annotate(
                f"{crossing.position:.3f}",
                (crossing.position, 1),
                xytext=(2, -3),
                xycoords=("data", "axes fraction"),
                textcoords="offset points",
                va="top",
                fontsize=SMALL,
            )
        axes.set_xlim(0, 1)
        finish(axes, "from the first galaxy (0) to the second (1)", "logit")
        axes.legend(fontsize=SMALL, loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
    return figure
