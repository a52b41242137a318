"""Figures of gradients: their size from layer to layer, their way back, and how far they tell the truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from galcnn.viewers.panels import colour_limit, drawable
from galcnn.viewers.signed import draw_bar, draw_signed, title
from galcnn.viewers.style import MARKERS, SMALL, TITLE, class_colour, finish

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from galcnn.explain.network_maps import BackwardPass
    from galcnn.explain.taylor import FirstOrder

__all__ = ["backward_figure", "first_order_figure", "gradient_figure"]


def gradient_figure(
    layers: Sequence[str],
    gradients: Mapping[str, npt.NDArray[np.float64]],
    weights: Mapping[str, float],
) -> Figure:
    """Draw the size of a target's gradient from layer to layer.

    Parameters
    ----------
    layers : sequence of str
        Network layers, in the order of the pass.
    gradients : mapping of str to numpy.ndarray
        Curve -> RMS of the gradient with respect to the activations, in units of 1 over the RMS
        activation, one a layer.
    weights : mapping of str to float
        Weight array -> RMS of the gradient with respect to it times its own RMS.

    Returns
    -------
    matplotlib.figure.Figure
        Both on logarithmic scales.
    """
    from matplotlib.figure import Figure

    width = max(8.2, 0.3 * (len(layers) + len(weights)) + 3)
    figure = Figure(figsize=(width, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=[max(len(layers), 3), max(len(weights), 3)])
    for i, (name, curve) in enumerate(gradients.items()):
        left.plot(
            curve, color=class_colour(i), marker=MARKERS[i % len(MARKERS)], ms=4, lw=1.2, label=drawable(name)
        )
    _ticks(left, layers)
    left.set_ylabel("RMS of gradient x RMS of activation [logit]", fontsize=SMALL)
    left.set_title("with respect to the activations", fontsize=TITLE)
    handles, names = left.get_legend_handles_labels()
    legend = {"fontsize": SMALL, "frameon": False, "title": "target", "title_fontsize": SMALL}
    figure.legend(handles, names, loc="outside right upper", **legend)
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
    """Draw that the backward pass of a convolution is a convolution with the rotated filter.

    Parameters
    ----------
    shown : galcnn.explain.network_maps.BackwardPass
        Of one image.
    kernel : numpy.ndarray
        Of the convolution, shape (ky, kx, n_inputs, n_filters).
    names : sequence of str
        Of the inputs.

    Returns
    -------
    matplotlib.figure.Figure
        The filter with the largest gradient and the input that takes most of it: kernel, kernel
        turned by 180 degrees, the gradient that arrives, the gradient that leaves by automatic
        differentiation and by convolution (both over all filters), and their difference.
    """
    from matplotlib.figure import Figure

    upstream, automatic, convolved = shown.upstream[0], shown.automatic[0], shown.convolved[0]
    filter_ = int(np.argmax(np.abs(upstream).sum(axis=(0, 1))))
    source = int(np.argmax(np.abs(automatic).sum(axis=(0, 1))))
    part = kernel[:, :, source, filter_]
    figure = Figure(figsize=(11.5, 2.6), layout="constrained")
    panels = figure.subplots(1, 6, width_ratios=[0.6, 0.6, 1, 1, 1, 1])
    weight = colour_limit(kernel.astype(np.float64))
    draw_signed(panels[0], part, weight)
    title(panels[0], f"filter {filter_}\non {names[source]}", 80)
    bar = draw_signed(panels[1], part[::-1, ::-1], weight)
    title(panels[1], "turned by\n180 degrees", 80)
    draw_bar(figure, bar, [panels[1]], "weight")
    draw_bar(figure, draw_signed(panels[2], upstream[..., filter_]), [panels[2]], "logit per activation")
    title(panels[2], f"gradient that arrives\nat filter {filter_} of {shown.network_layer}")
    limit = colour_limit(automatic[..., source].astype(np.float64))
    draw_signed(panels[3], automatic[..., source], limit)
    title(panels[3], f"that leaves to {names[source]}:\nautomatic differentiation")
    bar = draw_signed(panels[4], convolved[..., source], limit)
    title(panels[4], "the same:\nconvolution, filters turned")
    draw_bar(figure, bar, [panels[4]], "logit per input")
    difference = convolved[..., source] - automatic[..., source]
    draw_bar(figure, draw_signed(panels[5], difference), [panels[5]], "logit per input")
    title(panels[5], f"difference: {shown.error:.1e}\nof the peak at most")
    return figure


def first_order_figure(curves: Sequence[FirstOrder], *, unit: str) -> Figure:
    """Draw how far the first-order picture S = w.I + b holds.

    Parameters
    ----------
    curves : sequence of galcnn.explain.taylor.FirstOrder
        One a direction.
    unit : str
        What a distance of 1 is.

    Returns
    -------
    matplotlib.figure.Figure
        Left: error against distance, median over galaxies and the middle half of them. Right:
        what the line says against what happens, at the distance nearest to 1.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.2, 3.9), layout="constrained")
    left, right = figure.subplots(1, 2)
    words = {"noise": "random noise", "gradient": "along the gradient"}
    for i, curve in enumerate(curves):
        low, middle, high = np.nanpercentile(curve.error, (25, 50, 75), axis=0)
        style = {"color": class_colour(i), "label": words[curve.direction]}
        left.fill_between(curve.distances, low, high, color=class_colour(i), alpha=0.2, lw=0)
        left.plot(curve.distances, middle, marker=MARKERS[i], ms=4, lw=1.3, **style)
        near = int(np.argmin(np.abs(np.log(curve.distances))))
        right.plot(
            curve.linear[:, near].ravel(),
            curve.actual[:, near].ravel(),
            MARKERS[i],
            ms=3.5,
            alpha=0.7,
            **style,
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
