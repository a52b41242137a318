"""Pages about galaxies in the network: feature maps, interpolations, gradients, linearity."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
from astropy.table import Table

from galcnn.cutout import Cutout
from galcnn.explain import (
    activations,
    backward_pass,
    filter_result,
    filters,
    first_order,
    layer_gradients,
    line_between,
    weight_gradients,
)
from galcnn.explain.network.filters import Filters
from galcnn.files.astrometry import wcs_cards
from galcnn.model import Target, planes_from
from galcnn.model.cells import cell_wcs
from galcnn.model.graph import network_layer
from galcnn.model.receptive import cell_grid_at
from galcnn.pipeline.atlas.page import Missing, Page, Sheet, write_arrays
from galcnn.pipeline.atlas.subject import AtlasSubject
from galcnn.viewers.plots.gradients import backward_figure, first_order_figure, gradient_figure, line_figure
from galcnn.viewers.plots.network import activation_figure, filter_result_figure

_RESULTS = 4
_LINES = 4
_THUMBNAILS = 7
#: Largest number of galaxies for the test of the first-order approximation.
_MOST_TRIED = 24


def galaxy_pages(subject: AtlasSubject) -> list[Page | Missing]:
    """List the pages about galaxies."""
    first = filters(subject.trained.network).get(subject.stages[0].convolution) if subject.stages else None
    result = Page("filter-result", "Output of a learned filter, band by band", _filter_result)
    backward = Page("backward-pass", "The backward pass is a convolution with the rotated filter", _backward)
    pages = [_of_first(first, result)]
    for turn, row in enumerate(subject.shown, start=1):
        title = f"Feature maps of {subject.ids[row]}"
        page = Page(f"activations-{turn}", title, partial(_activations, row=row))
        pages.append(_of_stages(subject, page))
    if len(subject.shown) > 1:
        pages.append(Page("lines", "From one galaxy to another", _lines))
    pages.append(_of_stages(subject, Page("gradients", "Gradients from layer to layer", _gradients)))
    pages.append(_of_first(first, backward))
    pages.append(
        Page("first-order", "Range of the first-order approximation of a saliency map", _first_order)
    )
    return pages


def _of_first(learned: Filters | None, page: Page) -> Page | Missing:
    """Return a page about the filters of the first convolution, if it is a plain one."""
    if learned is None:
        return Missing(page.title, "The network does not begin with a plain convolution.")
    return page


def _of_stages(subject: AtlasSubject, page: Page) -> Page | Missing:
    """Return a page about the outputs of convolutions, if there are any."""
    return page if subject.stages else Missing(page.title, "The network has no convolution.")


def _filter_result(subject: AtlasSubject) -> Sheet:
    network, row = subject.trained.network, subject.shown[0]
    layer = subject.stages[0].convolution
    learned = filters(network)[layer]
    images = subject.stretched[[row]]
    energy = np.abs(activations(network, images, layers=[layer])[layer]).max(axis=(0, 1, 2))
    chosen = np.sort(np.argsort(-energy, kind="stable")[:_RESULTS])
    results = {}
    for number in chosen.tolist():
        parts, total = filter_result(network, images, layer=layer, filter=number)
        results[number] = (parts[0], total[0])
    shown = [(f"parts {n}", parts, {"FILTER": n}) for n, (parts, _) in results.items()]
    shown += [(f"total {n}", total, {"FILTER": n}) for n, (_, total) in results.items()]
    return Sheet(
        filter_result_figure(subject.cutouts[row], learned, results, inputs=subject.inputs(layer)),
        f"The {len(results)} filters of {layer} that respond most strongly to this galaxy: their kernels, "
        "what each band adds as the network sees it, and the sum with the bias, which is what the "
        "convolution gives.",
        lambda path: write_arrays(path, shown),
    )


def _activations(subject: AtlasSubject, *, row: int) -> Sheet:
    network = subject.trained.network
    names = [stage.output for stage in subject.stages]
    maps = {
        name: found[0] for name, found in activations(network, subject.stretched[[row]], layers=names).items()
    }
    cutout = subject.cutouts[row]
    arrays = [
        (
            name,
            planes_from(values[np.newaxis])[0],
            {"NETLAYER": name, **_wcs_of(subject, cutout, name, values)},
        )
        for name, values in maps.items()
    ]
    return Sheet(
        activation_figure(cutout, maps, subject.heading(row)),
        "One row per network layer: the channels with the strongest activations, numbered; one colour "
        "scale per row. The FITS file holds all channels, each layer with the WCS of its own cells.",
        lambda path: write_arrays(path, arrays),
    )


def _wcs_of(
    subject: AtlasSubject, cutout: Cutout, name: str, values: npt.NDArray[np.float32]
) -> Mapping[str, Any]:
    if cutout.wcs is None:
        return {}
    network = subject.trained.network
    try:
        grid = cell_grid_at(network_layer(network, name))
    except ValueError:  # a layer whose geometry is not known
        return {}
    wcs = cell_wcs(cutout.wcs, grid, (values.shape[0], values.shape[1]))
    return {} if wcs is None else {card.keyword: card.value for card in wcs_cards(wcs).cards}


def _lines(subject: AtlasSubject) -> Sheet:
    shown, lines, tables, flips = subject.shown, [], [], 0
    for turn, (a, b) in enumerate(pairwise(shown[: _LINES + 1])):
        line = line_between(subject.trained.model, subject.images[a], subject.images[b])
        places = np.linspace(0, 1, _THUMBNAILS)
        mixed = [(1 - t) * subject.images[a] + t * subject.images[b] for t in places]
        planes = planes_from(np.array(mixed))
        like = subject.cutouts[a]
        cutouts = [
            Cutout(image, like.bands, survey=like.survey, unit=like.unit)
            if t not in (0, 1)
            else replace(subject.cutouts[a if t == 0 else b], wcs=None, position=None)
            for t, image in zip(places, planes, strict=True)
        ]
        lines.append(
            (
                f"{subject.ids[a]} ({subject.answer(a)}) to {subject.ids[b]} ({subject.answer(b)})",
                line,
                cutouts,
            )
        )
        flips += len(line.crossings)
        table = Table({"position": line.positions})
        for i, name in enumerate(subject.classes):
            table[f"logit_{name}"] = line.logits[:, i]
        tables.append((f"line {turn + 1}", table))
        crossings = [
            (c.position, subject.classes[c.before], subject.classes[c.after]) for c in line.crossings
        ]
        if crossings:
            flipped = Table(rows=crossings, names=("position", "before", "after"))
            tables.append((f"flips {turn + 1}", flipped))
    return Sheet(
        line_figure(lines, subject.classes),
        "Linear mixtures of the flux of two galaxies (mixed before the stretch), and their "
        f"logits. Dashed: where the predicted class changes; {flips} changes on {len(lines)} lines.",
        lambda path: write_arrays(path, [], tables=tables),
    )


def _gradients(subject: AtlasSubject) -> Sheet:
    network, rows = subject.trained.network, list(subject.shown)
    names = [stage.output for stage in subject.stages]
    images, targets = subject.stretched[rows], subject.targets()
    maps = activations(network, images, layers=names)
    slopes = layer_gradients(network, images, targets, layers=names)
    curves: dict[str, npt.NDArray[np.float64]] = {}
    for i, target in enumerate(targets):
        curve = np.array([_rms(slopes[name][i]) * _rms(maps[name][i]) for name in names])
        curves.setdefault(target.name, curve)
    own = weight_gradients(network, images, targets)
    sizes = {
        name: _rms(gradient) * _weight_rms(network, name)
        for name, gradient in own.items()
        if name.endswith("/kernel")
    }
    dead = {name: float(np.mean(maps[name] == 0)) for name in names}
    table = Table({"network_layer": names, "zero_activations": list(dead.values())})
    for name, curve in curves.items():
        table[f"size_{name}"] = curve
    arrays = [(f"gradient {name}", np.moveaxis(slopes[name], -1, 1), {"NETLAYER": name}) for name in names]
    quiet = max(dead, key=dead.__getitem__)
    return Sheet(
        gradient_figure(names, curves, sizes),
        "How the gradient of a logit travels back, of each answer for the first shown galaxy that has it: "
        "its RMS over a layer's "
        "cells times the RMS activation, that is by how much the logit moves when all cells change by "
        f"their own size in step; right, the same for the kernels. Of the activations of {quiet}, "
        f"{dead[quiet]:.0%} are zero.",
        lambda path: write_arrays(path, arrays, tables=[("sizes", table)]),
    )


def _backward(subject: AtlasSubject) -> Sheet:
    network, row = subject.trained.network, subject.shown[0]
    target, images = subject.targets()[0], subject.stretched[[row]]
    plain = filters(network)
    passes, refused = [], None
    for name in (stage.convolution for stage in subject.stages if stage.convolution in plain):
        try:
            passes.append(backward_pass(network, images, target, layer=name))
        except ValueError as error:  # dilated, or in groups
            refused = error
    if refused is not None and not passes:
        raise refused
    shown = passes[0]
    kernel = np.transpose(plain[shown.network_layer].kernels, (2, 3, 1, 0))
    table = Table({"network_layer": [p.network_layer for p in passes], "error": [p.error for p in passes]})
    worst = max(p.error for p in passes)
    arrays = [
        (name, np.moveaxis(array[0], -1, 0), {"NETLAYER": shown.network_layer})
        for name, array in (
            ("upstream", shown.upstream),
            ("automatic", shown.automatic),
            ("convolved", shown.convolved),
        )
    ]
    return Sheet(
        backward_figure(shown, kernel, names=subject.inputs(shown.network_layer)),
        "The gradient that arrives at a convolution's output, spread by its strides and convolved with its "
        "filters turned by 180 degrees, is the gradient that leaves at its input. Largest difference from "
        f"automatic differentiation over {len(passes)} convolutions: {worst:.1e} of the peak.",
        lambda path: write_arrays(path, arrays, tables=[("errors", table)]),
    )


def _first_order(subject: AtlasSubject) -> Sheet:
    rows = _spread(len(subject.ids), _MOST_TRIED)
    model = subject.trained.model
    targets = [Target.of_class(subject.answer(row), subject.classes) for row in rows]
    sigma = subject.sigma[rows] if subject.sigma.ndim == 4 else subject.sigma
    curves = [
        first_order(model, subject.images[rows], targets, sigma=sigma, direction=direction)
        for direction in ("noise", "gradient")
    ]
    table = Table({"id": [subject.ids[row] for row in rows], "score": curves[0].scores})
    table["intercept"] = curves[0].intercepts
    for curve in curves:
        table[f"error_{curve.direction}"] = curve.error
        table[f"reach_{curve.direction}"] = curve.reach()
    reach = [float(np.median(curve.reach())) for curve in curves]
    share = float(np.median(np.abs(curves[0].intercepts) / np.maximum(np.abs(curves[0].scores), 1e-6)))
    return Sheet(
        first_order_figure(curves, unit="sigma"),
        "Behind a saliency map w stands the line S = w.I + b. Its error for steps of noise and for steps "
        f"along the gradient, over what it predicts, for {len(rows)} galaxies (median and middle half); "
        f"sigma {subject.sigma_source}. The line is wrong by half at {reach[0]:.2g} sigma of noise and at "
        f"{reach[1]:.2g} sigma along the gradient (medians). |b| is {share:.2g} times |S|: how little w.I "
        "alone says of the logit.",
        lambda path: write_arrays(
            path, [("distances", curves[0].distances, {"BUNIT": ""})], tables=[("galaxies", table)]
        ),
    )


def _weight_rms(network: Any, name: str) -> float:
    layer, _, weight = name.rpartition("/")
    weights = network_layer(network, layer).layer.weights  # some belong to layers inside of the layer
    return _rms(np.asarray(next(variable for variable in weights if variable.name == weight)))


def _spread(n: int, most: int) -> list[int]:
    return [int(row) for row in np.unique(np.linspace(0, n - 1, min(n, most)).round())]


def _rms(values: npt.NDArray[np.floating[Any]]) -> float:
    return float(np.sqrt(np.mean(np.asarray(values, dtype=np.float64) ** 2)))
