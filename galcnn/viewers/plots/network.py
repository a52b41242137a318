"""Figures of a network: weights, filters, feature maps, strongest activations, images made for a target."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import astropy.units as u
import numpy as np
import numpy.typing as npt

from galcnn.cutout import Cutout
from galcnn.errors import message
from galcnn.photometry import parse_unit
from galcnn.transforms import display_rgb
from galcnn.transforms.rgb import signed_rgb
from galcnn.viewers.plots.panels import (
    colour_limit,
    draw_bar,
    draw_cutout,
    draw_image,
    draw_signed,
    label_row,
    likeliest,
    synthesis_unit,
    title,
)
from galcnn.viewers.plots.style import COLOURS, RIGHT, SMALL, TITLE, WRONG, new_figure

if TYPE_CHECKING:
    from astropy.table import Table
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from galcnn.explain import Synthesis
    from galcnn.explain.network.filters import Filters
    from galcnn.explain.network.strongest import StrongestActivations


#: Maximum number of filters and inputs of a layer in one figure.
_MOST_FILTERS, _MOST_INPUTS = 64, 32


def weight_figure(weights: Table) -> Figure:
    """Draw the distribution of the weights of each layer: range, 5th to 95th percentile and median."""
    n = len(weights)
    figure = new_figure(8.2, 1.2 + 0.17 * n)
    axes = figure.subplots()
    kinds = {name: COLOURS[i % len(COLOURS)] for i, name in enumerate(dict.fromkeys(weights["weight"]))}
    rows = np.arange(n)[::-1]
    for kind, colour in kinds.items():
        own = np.asarray(weights["weight"]) == kind
        part = weights[own]
        axes.hlines(rows[own], part["minimum"], part["maximum"], color=colour, lw=0.8)
        axes.hlines(rows[own], part["p05"], part["p95"], color=colour, lw=3)
        axes.plot(part["p50"], rows[own], "o", color=colour, ms=4, mec="white", mew=0.6, label=kind)
    axes.set_yticks(
        rows,
        [f"{row['network_layer']}/{row['weight']}  ({row['n']})" for row in weights],
        fontsize=SMALL,
        parse_math=False,
    )
    axes.set_xscale("symlog", linthresh=0.1)
    axes.axvline(0, color="0.6", lw=0.6, zorder=0)
    axes.tick_params(axis="x", labelsize=SMALL)
    axes.set_xlabel("weight (linear between -0.1 and 0.1)", fontsize=TITLE)
    axes.set_ylim(-0.7, n - 0.3)
    axes.legend(fontsize=SMALL, frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    axes.set_title("Weights by network layer (number of them)", fontsize=TITLE + 1)
    return figure


def kernel_figure(learned: Filters, statistics: Table, inputs: Sequence[str]) -> Figure:
    """Draw the filters of one convolution, with norm and flat, even and odd parts of their weights."""
    kernels = learned.kernels.astype(np.float64)
    n_filters, n_inputs, ky, kx = kernels.shape
    shown = _strongest(np.asarray(statistics["norm"]), _MOST_FILTERS)
    rows = _strongest(np.sqrt(np.sum(kernels**2, axis=(0, 2, 3))), _MOST_INPUTS)
    mosaic = np.full((len(rows) * (ky + 1) + 1, len(shown) * (kx + 1) + 1), np.nan)
    for i, row in enumerate(rows):
        for j, column in enumerate(shown):
            y, x = (len(rows) - 1 - i) * (ky + 1) + 1, j * (kx + 1) + 1
            mosaic[y : y + ky, x : x + kx] = kernels[column, row]
    width = float(np.clip(0.26 * len(shown) + 1.6, 5.5, 13.0))
    cell = (width - 1.6) / mosaic.shape[1]
    upper = max(cell * mosaic.shape[0], 0.8)
    figure = new_figure(width, upper + 2.2)
    top, bottom = figure.subplots(2, 1, height_ratios=[upper, 1.3])
    drawn = draw_signed(top, mosaic, colour_limit(kernels))
    names = [inputs[row] for row in rows]
    every = 1 if len(rows) <= 16 else 4
    top.set_yticks(
        [(len(rows) - 1 - i) * (ky + 1) + (ky + 1) / 2 for i in range(0, len(rows), every)],
        names[::every],
        fontsize=SMALL,
        parse_math=False,
    )
    top.tick_params(length=0)
    some = "" if (len(shown), len(rows)) == (n_filters, n_inputs) else f", shown {len(shown)} x {len(rows)}"
    top.set_title(
        f"{learned.network_layer}: {n_filters} filters of {ky} x {kx} on {n_inputs} inputs{some}",
        fontsize=TITLE + 1,
        parse_math=False,
    )
    draw_bar(figure, drawn, [top], "weight")
    _draw_parts(bottom, statistics, shown)
    return figure


def filter_result_figure(
    cutout: Cutout,
    learned: Filters,
    results: Mapping[int, tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]],
    *,
    inputs: Sequence[str],
) -> Figure:
    """Draw the effect of filters of a first convolution on a galaxy, band by band."""
    n = len(inputs)
    figure = new_figure(1.45 * (n + 2) + 0.7 * n + 0.8, 1.6 * len(results) + 0.5)
    ratios = [1.0, *[0.42] * n, *[1.0] * (n + 1)]
    grid = figure.subplots(len(results), 2 * n + 2, squeeze=False, width_ratios=ratios)
    for turn, (panels, (number, (parts, total))) in enumerate(zip(grid, results.items(), strict=True)):
        panels[0].set_axis_off()
        if turn == 0:
            draw_cutout(panels[0], cutout)
            title(panels[0], "galaxy")
        label_row(panels[1], f"filter {number}")
        kernel = learned.kernels[number]
        weight = colour_limit(kernel.astype(np.float64))
        for axes, plane, name in zip(panels[1 : n + 1], kernel, inputs, strict=True):
            draw_signed(axes, plane, weight)
            if turn == 0:
                title(axes, f"kernel\n{name}", 60)
        limit = colour_limit(np.concatenate([parts, total[np.newaxis]]).astype(np.float64))
        names = [f"adds through\n{name}" for name in inputs]
        for axes, plane, name in zip(
            panels[n + 1 :], [*parts, total], [*names, "sum, with bias"], strict=True
        ):
            drawn = draw_signed(axes, plane, limit)
            if turn == 0:
                title(axes, name)
        draw_bar(figure, drawn, list(panels), "before normalisation")
    return figure


def activation_figure(
    cutout: Cutout, maps: Mapping[str, npt.NDArray[np.float32]], heading: str, *, most: int = 8
) -> Figure:
    """Draw the strongest feature maps of network layers for one galaxy."""
    if not maps:
        raise ValueError(message("at least one network layer with feature maps", "", n=0))
    figure = new_figure(1.15 * (most + 1) + 1.2, 1.3 * len(maps) + 0.5)
    grid = figure.subplots(len(maps), most + 1, squeeze=False)
    for turn, (panels, (name, values)) in enumerate(zip(grid, maps.items(), strict=True)):
        for axes in panels:
            axes.set_axis_off()
        if turn == 0:
            draw_cutout(panels[0], cutout)
            title(panels[0], heading, 86)
        y, x, channels = values.shape
        label_row(panels[1], f"{name}\n{x} x {y}, {channels} channels")
        strongest = np.argsort(-np.abs(values).max(axis=(0, 1)), kind="stable")[:most]
        drawn = None
        for axes, channel in zip(panels[1:], strongest, strict=False):
            drawn = _draw_activation(axes, values[..., channel], values)
            title(axes, f"{channel}", 60)
        draw_bar(figure, drawn, list(panels), "activation")
    return figure


def _draw_activation(axes: Axes, values: npt.NDArray[np.float32], layer: npt.NDArray[np.float32]) -> Any:
    axes.set_axis_on()
    if layer.min() < 0:
        return draw_signed(axes, values, colour_limit(layer.astype(np.float64)))
    top = float(np.percentile(layer, 99.9)) or float(layer.max()) or 1.0
    return draw_image(axes, values, cmap="viridis", vmin=0, vmax=top)


def _draw_parts(axes: Axes, statistics: Table, shown: npt.NDArray[np.intp]) -> None:
    place = np.arange(len(shown))
    base = np.zeros(len(shown))
    for name, colour in (("flat", "0.75"), ("even", COLOURS[0]), ("odd", COLOURS[5])):
        share = np.nan_to_num(np.asarray(statistics[name])[shown])  # parts of a zero filter are undefined
        axes.bar(place, share, bottom=base, color=colour, width=0.8, label=name)
        base += share
    axes.set_ylim(0, 1)
    axes.set_xlim(-0.6, len(shown) - 0.4)
    axes.set_ylabel("share of |K|²", fontsize=SMALL)
    every = 1 if len(shown) <= 32 else 4
    axes.set_xticks(place[::every], [str(i) for i in shown[::every]], fontsize=SMALL)
    axes.tick_params(labelsize=SMALL)
    axes.set_xlabel("filter", fontsize=SMALL)
    norm = axes.twinx()
    norm.plot(place, np.asarray(statistics["norm"])[shown], "k.", ms=4, label="norm |K|")
    norm.set_ylim(bottom=0)
    norm.set_ylabel("norm |K|  (dots)", fontsize=SMALL)
    norm.tick_params(labelsize=SMALL)
    axes.legend(fontsize=SMALL, ncols=3, loc="lower center", bbox_to_anchor=(0.5, 1.0), frameon=False)


def _strongest(sizes: npt.NDArray[np.float64], most: int) -> npt.NDArray[np.intp]:
    """Return the indices of the largest values, in ascending order."""
    return np.sort(np.argsort(-sizes, kind="stable")[:most])


def strongest_figure(
    found: Sequence[StrongestActivations], cutouts: Sequence[Cutout], ids: Sequence[str]
) -> Figure:
    """Draw the images that activate feature maps most, as in Zeiler & Fergus (2013, figure 2)."""
    if not found:
        raise ValueError(message("at least one feature map", "", n=0))
    across = max(len(one.images) for one in found)
    figure = new_figure(1.15 * across + 0.6, 2.55 * len(found) + 0.2)
    grid = figure.subplots(2 * len(found), across, squeeze=False)
    for axes in grid.ravel():
        axes.set_axis_off()
    for block, one in enumerate(found):
        for column, (row, box) in enumerate(zip(one.images, one.boxes, strict=True)):
            upper, lower = grid[2 * block, column], grid[2 * block + 1, column]
            upper.set_axis_on()
            lower.set_axis_on()
            draw_image(upper, display_rgb(cutouts[row])[box])
            title(upper, f"{ids[row]}\n{one.values[column]:.3g}", 76)
            crop = one.maps[column].sum(axis=-1)[box].astype(np.float64)
            draw_signed(lower, crop, colour_limit(crop))
        label_row(grid[2 * block, 0], f"feature {one.feature}")
        label_row(grid[2 * block + 1, 0], "deconvnet")
    return figure


def filter_image_figure(syntheses: Sequence[Synthesis], *, across: int = 8) -> Figure:
    """Draw the images that maximise filters of a layer: in colour, with few bands each by itself."""
    made = list(syntheses)
    if not made:
        raise ValueError(message("at least one synthesis", "", n=0))
    bands = _drawn_bands(made[0])
    blocks = -(-len(made) // across)
    n_rows, n_columns = blocks * len(bands), min(across, len(made))
    figure = new_figure(1.25 * n_columns + 0.5, 1.25 * n_rows + 0.5 * blocks + 0.4)
    grid = figure.subplots(n_rows, n_columns, squeeze=False)
    for axes in grid.ravel():
        axes.set_axis_off()
    window = _window(made)
    for i, synthesis in enumerate(made):
        block, column = divmod(i, across)
        planes = synthesis.image[:, window[0], window[1]]
        limit = colour_limit(planes.astype(np.float64))
        for j, band in enumerate(bands):
            axes = grid[block * len(bands) + j, column]
            axes.set_axis_on()
            _draw_plane(axes, planes, synthesis, band, limit)
            if j == 0:
                title(
                    axes, f"{synthesis.target.name}\n{synthesis.start_score:.2g} → {synthesis.score:.3g}", 85
                )
            if j == len(bands) - 1:
                axes.set_xlabel(f"± {limit:.2g}", fontsize=6.5, labelpad=2)
            if column == 0 and band is not None:
                label_row(axes, synthesis.bands[band])
    return figure


def class_model_figure(
    rows: Mapping[str, Sequence[Synthesis]],
    classes: Sequence[str] | None = None,
    *,
    field: tuple[int, int, int, int] | None = None,
) -> Figure:
    """Draw the images that maximise the classes of a network: in colour, with few bands each by itself.

    Without `classes`, titles state scores; `field` is the part that is drawn, see
    `galcnn.explain.Explanation`.
    """
    lines = [(name, made, band) for name, made in rows.items() for band in _drawn_bands(made[0])]
    if not lines:
        raise ValueError(message("at least one synthesis", "", n=0))
    n = max(len(made) for made in rows.values())
    figure = new_figure(1.6 * n + 1.2, 1.95 * len(lines) + 0.45 * len(rows))
    grid = figure.subplots(len(lines), n, squeeze=False)
    for axes in grid.ravel():
        axes.set_axis_off()
    y0, y1, x0, x1 = field or (0, None, 0, None)
    previous = None
    for panels, (name, made, band) in zip(grid, lines, strict=True):
        limit = colour_limit(np.stack([s.image for s in made]).astype(np.float64))
        for axes, synthesis in zip(panels, made, strict=False):
            axes.set_axis_on()
            if _is_light(made):
                draw_image(axes, _light(synthesis)[y0:y1, x0:x1])
                axes.set_xlabel(f"peak {synthesis.image.max():.3g} {_unit(synthesis)}", fontsize=6.5)
            else:
                drawn = _draw_plane(axes, synthesis.image[:, y0:y1, x0:x1], synthesis, band, limit)
                if band is None:
                    axes.set_xlabel(f"± {limit:.2g} {_unit(synthesis) or 'training sigma'}", fontsize=6.5)
            if name != previous:
                title(axes, _answer(synthesis, classes), 112, color=RIGHT if synthesis.success else WRONG)
        label_row(panels[0], name if band is None else f"{name}\n{made[0].bands[band]}")
        if band is not None:
            draw_bar(figure, drawn, list(panels), _unit(made[0]) or "training sigma")
        previous = name
    return figure


def _drawn_bands(synthesis: Synthesis) -> list[int] | list[None]:
    """Return the bands that are drawn one by one; [None] if they are drawn in colour."""
    if len(synthesis.bands) > 2 or _is_light([synthesis]):
        return [None]
    return list(range(len(synthesis.bands)))


def _draw_plane(
    axes: Axes, planes: npt.NDArray[np.float32], synthesis: Synthesis, band: int | None, limit: float
) -> Any:
    """Draw one band in signed colours, or all in colour, grey at zero."""
    if band is None:
        return draw_image(axes, signed_rgb(planes, synthesis.bands, limit))
    return draw_signed(axes, planes[band], limit)


def _is_light(made: Sequence[Synthesis]) -> bool:
    return all(s.wrt == "flux" and s.image.min() >= 0 for s in made)


def _light(synthesis: Synthesis) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    unit = parse_unit(synthesis.unit)
    top = float(synthesis.image.max())
    if not unit.is_equivalent(u.nJy) and top > 0:  # scale to the range of display values
        return display_rgb(Cutout(synthesis.image * (255 / top), synthesis.bands, unit=unit))
    return display_rgb(Cutout(synthesis.image, synthesis.bands, unit=unit))


def _unit(synthesis: Synthesis) -> str:
    return "" if synthesis.wrt == "stretched" else synthesis_unit(synthesis)


def _answer(synthesis: Synthesis, classes: Sequence[str] | None) -> str:
    if classes is None:
        return f"for {synthesis.target.name}\n{synthesis.start_score:.2g} → {synthesis.score:.3g}"
    best, sure = likeliest(synthesis.logits, classes)
    return f"for {synthesis.target.name}\n{'✓' if synthesis.success else '✗'} {best} {sure:.2f}"


def _window(made: Sequence[Synthesis]) -> tuple[slice, slice]:
    """Return the part of the grid where any image exceeds 2 % of its largest absolute value."""
    touched = np.zeros(made[0].image.shape[1:], dtype=bool)
    for synthesis in made:
        change = np.abs(synthesis.image).max(axis=0)
        touched |= change > 0.02 * change.max(initial=0)
    rows, columns = np.flatnonzero(touched.any(axis=1)), np.flatnonzero(touched.any(axis=0))
    if not len(rows):
        return slice(None), slice(None)
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
