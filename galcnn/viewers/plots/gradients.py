"""Figures of gradients, decision regions in a plane, and lines between galaxies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from galcnn.viewers.plots.panels import colour_limit, draw_bar, draw_cutout, draw_signed, drawable, title
from galcnn.viewers.plots.style import SMALL, TITLE, class_colour, class_look, finish, legend, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from galcnn.cutout import Cutout
    from galcnn.explain.network.activations import BackwardPass
    from galcnn.explain.network.boundaries import DecisionPlane, Line
    from galcnn.explain.network.first_order import FirstOrder


def gradient_figure(
    layers: Sequence[str],
    gradients: Mapping[str, npt.NDArray[np.float64]],
    weights: Mapping[str, float],
) -> Figure:
    """Draw the size of a target's gradient by network layer.

    `gradients` are RMS gradient x RMS activation, one value per layer; `weights` likewise, one per array.
    """
    width = max(8.2, 0.3 * (len(layers) + len(weights)) + 3)
    figure = new_figure(width, 4.2)
    left, right = figure.subplots(1, 2, width_ratios=[max(len(layers), 3), max(len(weights), 3)])
    for i, (name, curve) in enumerate(gradients.items()):
        left.plot(curve, ms=4, lw=1.2, label=drawable(name), **class_look(i))
    _ticks(left, layers)
    left.set_ylabel("RMS of gradient x RMS of activation [logit]", fontsize=SMALL)
    left.set_title("with respect to the activations", fontsize=TITLE)
    legend(figure, left, loc="outside right upper", columns=1, heading="target")
    right.bar(range(len(weights)), list(weights.values()), color="0.55", width=0.7)
    _ticks(right, list(weights))
    right.set_ylabel("RMS of gradient x RMS of weight [logit]", fontsize=SMALL)
    right.set_title("with respect to the weights", fontsize=TITLE)
    for axes in (left, right):
        if any(line > 0 for line in axes.dataLim.get_points().ravel()):
            axes.set_yscale("log")
        finish(axes)
    return figure


def backward_figure(shown: BackwardPass, kernel: npt.NDArray[np.float32], *, names: Sequence[str]) -> Figure:
    """Show that the backward pass of a convolution is a convolution with the rotated filters."""
    upstream, automatic, convolved = shown.upstream[0], shown.automatic[0], shown.convolved[0]
    filter_ = int(np.argmax(np.abs(upstream).sum(axis=(0, 1))))
    source = int(np.argmax(np.abs(automatic).sum(axis=(0, 1))))
    part = kernel[:, :, source, filter_]
    figure = new_figure(11.5, 2.6)
    panels = figure.subplots(1, 6, width_ratios=[0.6, 0.6, 1, 1, 1, 1])
    weight = colour_limit(kernel.astype(np.float64))
    draw_signed(panels[0], part, weight)
    title(panels[0], f"filter {filter_}\non {names[source]}", 80)
    bar = draw_signed(panels[1], part[::-1, ::-1], weight)
    title(panels[1], "rotated by\n180 degrees", 80)
    draw_bar(figure, bar, [panels[1]], "weight")
    draw_bar(figure, draw_signed(panels[2], upstream[..., filter_]), [panels[2]], "logit per activation")
    title(panels[2], f"gradient that arrives\nat filter {filter_} of {shown.network_layer}")
    limit = colour_limit(automatic[..., source].astype(np.float64))
    draw_signed(panels[3], automatic[..., source], limit)
    title(panels[3], f"that leaves to {names[source]}:\nautomatic differentiation")
    bar = draw_signed(panels[4], convolved[..., source], limit)
    title(panels[4], "the same:\nconvolution, filters rotated")
    draw_bar(figure, bar, [panels[4]], "logit per input")
    difference = convolved[..., source] - automatic[..., source]
    draw_bar(figure, draw_signed(panels[5], difference), [panels[5]], "logit per input")
    title(panels[5], f"difference: {shown.error:.1e}\nof the peak at most")
    return figure


def first_order_figure(curves: Sequence[FirstOrder], *, unit: str) -> Figure:
    """Draw the error of the first-order model S = w.I + b: median and middle half of the galaxies."""
    figure = new_figure(8.2, 3.9)
    left, right = figure.subplots(1, 2)
    words = {"noise": "random noise", "gradient": "along the gradient"}
    for i, curve in enumerate(curves):
        low, middle, high = np.nanpercentile(curve.error, (25, 50, 75), axis=0)
        look = class_look(i) | {"label": words[curve.direction]}
        left.fill_between(curve.distances, low, high, color=class_colour(i), alpha=0.2, lw=0)
        left.plot(curve.distances, middle, ms=4, lw=1.3, **look)
        near = int(np.argmin(np.abs(np.log(curve.distances))))
        right.plot(
            curve.linear[:, near].ravel(),
            curve.actual[:, near].ravel(),
            ls="",
            ms=3.5,
            alpha=0.7,
            **look,
        )
        right.set_title(f"steps of {curve.distances[near]:g} {unit}", fontsize=TITLE)
    left.axhline(1, color="0.4", lw=0.7, ls="--")
    left.text(
        curves[0].distances[0],
        1.04,
        "wrong by all that it predicts",
        fontsize=SMALL,
        va="bottom",
        color="0.3",
    )
    left.set_xscale("log")
    left.set_yscale("log")
    finish(left, f"RMS step of a pixel [{unit}]", "error of the line / its prediction (RMS)")
    left.legend(fontsize=SMALL, frameon=False, loc="upper left", bbox_to_anchor=(0, 0.9))
    reach = (*right.get_xlim(), *right.get_ylim())
    ends = (min(reach), max(reach))
    steps = np.linspace(*ends, 401)
    right.plot(steps, steps, color="0.4", lw=0.8, ls="--", zorder=0)
    right.set_xscale("symlog", linthresh=1)
    right.set_yscale("symlog", linthresh=1)
    finish(right, "change of the target, by the line w.d [logit]", "change of the target [logit]")
    return figure


def _ticks(axes: Axes, names: Sequence[str]) -> None:
    axes.set_xticks(
        range(len(names)),
        names,
        rotation=60,
        ha="right",
        rotation_mode="anchor",
        fontsize=SMALL,
        parse_math=False,
    )


#: Maximum number of classes with a curve: those closest to being predicted.
_MOST_CURVES = 6


def plane_figure(plane: DecisionPlane, classes: Sequence[str], labels: Sequence[str]) -> Figure:
    """Draw the decision regions and the galaxies in the plane of two principal components."""
    from matplotlib.colors import to_rgb

    figure = new_figure(7.2, 5.2)
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
                ms=5,
                mec="white",
                mew=0.5,
                ls="",
                label=drawable(name, 110),
                **class_look(i),
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
    along, across = (
        f"principal component {number} of {plane.network_layer} ({share:.0%} of the variance)"
        for number, share in enumerate(plane.explained, 1)
    )
    axes.set_xlabel(along, fontsize=TITLE, parse_math=False)
    axes.set_ylabel(across, fontsize=TITLE, parse_math=False)
    axes.tick_params(labelsize=SMALL)
    axes.set_title(
        f"Decision regions in a plane; {plane.agreement:.0%} of {len(plane.positions)} galaxies "
        "lie in the region of their predicted class",
        fontsize=TITLE + 1,
    )
    legend(figure, axes, loc="outside right upper", columns=1)
    return figure


def line_figure(lines: Sequence[tuple[str, Line, Sequence[Cutout]]], classes: Sequence[str]) -> Figure:
    """Draw the logits along a line between two galaxies, with cutouts at equal distances."""
    figure = new_figure(8.2, 2.9 * len(lines))
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
                markevery=8,
                ms=4,
                lw=1.3,
                label=drawable(classes[i], 110),
                **class_look(i),
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
