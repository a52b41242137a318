"""Pages about the network: weights, filters, strongest activations, class models, decision regions."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
from astropy.table import Table

from galcnn.explain import (
    AscentSettings,
    ClassModels,
    FilterImages,
    activations,
    decision_plane,
    filters,
    strongest_activations,
    weight_table,
)
from galcnn.explain.network.filters import filter_statistics
from galcnn.layers import write_syntheses
from galcnn.model import Target, looked_at, planes_from
from galcnn.model.graph import Stage, network_layer
from galcnn.model.receptive import cell_grid_at
from galcnn.pipeline.atlas.page import Missing, Page, Sheet, write_arrays
from galcnn.pipeline.atlas.subject import AtlasSubject
from galcnn.viewers.plots.gradients import plane_figure
from galcnn.viewers.plots.network import (
    class_model_figure,
    filter_image_figure,
    kernel_figure,
    strongest_figure,
    weight_figure,
)

#: Largest pixel value of an 8-bit picture.
_WHITE = 255.0
#: Number of feature maps per layer on the pages of strongest activations, and of activations of each.
_MOST_FEATURES, _STRONGEST = 4, 9


def network_pages(subject: AtlasSubject) -> list[Page | Missing]:
    """List the pages about the network."""
    plain = filters(subject.trained.network)
    pages: list[Page | Missing] = [Page("weights", "Weights by network layer", _weights)]
    for stage in subject.stages:
        title = f"Filters of {stage.convolution}"
        if stage.convolution in plain:
            pages.append(Page(f"filters-{_plain(stage.convolution)}", title, partial(_filters, stage=stage)))
        else:
            pages.append(Missing(title, "Its kernels are not those of a plain convolution."))
    for stage in subject.stages:
        title = f"Images that maximise the filters of {stage.convolution}"
        pages.append(
            Page(f"filter-images-{_plain(stage.convolution)}", title, partial(_filter_images, stage=stage))
        )
    for stage in subject.stages:
        title = f"Galaxies that activate the filters of {stage.convolution} most"
        pages.append(Page(f"strongest-{_plain(stage.convolution)}", title, partial(_strongest, stage=stage)))
    pages.append(Page("class-models", "Class models of the stretched image", _class_models))
    pages.append(Page("class-models-light", "Class models in flux", _class_models_light))
    pages.append(Page("decision-plane", "Decision regions", _plane))
    return pages


def _weights(subject: AtlasSubject) -> Sheet:
    table = weight_table(subject.trained.network)
    return Sheet(
        weight_figure(table),
        f"{int(np.sum(table['n']))} weights in {len(table)} arrays. For each the median, the range of 5 to "
        "95 % (thick) and the whole range (thin). The table WEIGHTS holds the figures.",
        lambda path: write_arrays(path, [], tables=[("weights", table)]),
    )


def _filters(subject: AtlasSubject, *, stage: Stage) -> Sheet:
    network = subject.trained.network
    learned = filters(network)[stage.convolution]
    table = filter_statistics(learned)
    flat, even, odd = (float(np.nanmedian(table[name])) for name in ("flat", "even", "odd"))
    return Sheet(
        kernel_figure(learned, table, subject.inputs(stage.convolution)),
        "Each column is a filter, each row an input; red raises the filter's sum, blue lowers it. Below: "
        "what share of a filter's power is flat (a blur), even under a turn by 180 degrees (spots, bars, "
        f"rings) and odd (edges); medians {flat:.2f}, {even:.2f}, {odd:.2f}. KERNELS has the axes (filter, "
        "input, y, x).",
        lambda path: write_arrays(
            path,
            [("kernels", learned.kernels, {"NETLAYER": stage.convolution}), ("bias", learned.bias, {})],
            tables=[("statistics", table)],
        ),
    )


def _filter_images(subject: AtlasSubject, *, stage: Stage) -> Sheet:
    trained = subject.trained
    contrast = _rms(subject.stretched) * _share_seen(subject, stage)
    method = FilterImages(
        stage.linear,
        ascent=AscentSettings(subject.settings.steps, contrast=contrast, blur=subject.settings.blur),
        seed=subject.settings.seed,
    )
    made = method(trained, _most_excited(subject, stage, subject.settings.filters))
    confirmed = sum(s.success for s in made)
    return Sheet(
        filter_image_figure(made),
        f"Gradient ascent on the cell at the centre of {stage.linear}, for the {len(made)} filters that the "
        "shown galaxies excite most, at the RMS of a typical galaxy within the receptive field, smoothed by "
        f"{subject.settings.blur:g} pixels (sigma). In the colours of the bands, as the network sees them: "
        "grey is zero, each filter has a scale of its own, ending at the value below it; cut to what the "
        "filter sees. With one or two bands, band by band. Above each: activation at the start and "
        f"at the end; {confirmed} of {len(made)} confirmed by an independent pass.",
        lambda path: write_syntheses(path, made, provenance=_provenance(subject)),
    )


def _strongest(subject: AtlasSubject, *, stage: Stage) -> Sheet:
    found = strongest_activations(
        subject.trained.network,
        subject.stretched,
        network_layer=stage.output,
        features=_most_excited(subject, stage, min(subject.settings.filters, _MOST_FEATURES)),
        n=_STRONGEST,
    )
    rows = [
        (one.feature, rank, subject.ids[row], float(value), *map(int, cell), y.start, y.stop, x.start, x.stop)
        for one in found
        for rank, (row, value, cell, (y, x)) in enumerate(
            zip(one.images, one.values, one.cells, one.boxes, strict=True), start=1
        )
    ]
    names = ("feature", "rank", "id", "value", "cell_y", "cell_x", "y_start", "y_stop", "x_start", "x_stop")
    cards = {"NETLAYER": stage.output}
    arrays = [
        (f"deconvnet {one.feature}", planes_from(one.maps), cards | {"FEATURE": one.feature}) for one in found
    ]
    return Sheet(
        strongest_figure(found, subject.cutouts, subject.ids),
        f"The galaxies, of {len(subject.ids)}, with the strongest activations of {len(found)} feature maps "
        f"of {stage.output} (those with the strongest activations in the shown galaxies), each galaxy once, "
        "cropped to the receptive field of the activation, with its value. Below: the activation passed back "
        "through a deconvnet with all others set to zero (Zeiler & Fergus 2013), summed over bands, with a "
        "colour scale of its own, symmetric about zero (white).",
        lambda path: write_arrays(path, arrays, tables=[("activations", Table(rows=rows, names=names))]),
    )


def _most_excited(subject: AtlasSubject, stage: Stage, n: int) -> list[int]:
    """Return the feature maps with the largest activations in the shown galaxies, by increasing number."""
    images = subject.stretched[list(subject.shown)]
    found = activations(subject.trained.network, images, layers=[stage.output])[stage.output]
    peaks = found.max(axis=tuple(range(found.ndim - 1)))
    return [int(i) for i in np.sort(np.argsort(-peaks, kind="stable")[:n])]


def _class_models(subject: AtlasSubject) -> Sheet:
    settings = subject.settings
    ascent = AscentSettings(settings.steps, contrast=_rms(subject.stretched), blur=settings.blur)
    rows = {
        f"from {start}": ClassModels(start=start, ascent=ascent, seed=subject.settings.seed)(
            subject.trained, _class_targets(subject)
        )
        for start in ("zero", "noise")
    }
    made = [synthesis for row in rows.values() for synthesis in row]
    return Sheet(
        class_model_figure(rows, subject.classes, field=_field(subject)),
        "Simonyan's class models: the image that raises a class logit most for its RMS, here that of a "
        f"galaxy ({ascent.contrast:.2f}), by gradient ascent on the logit minus lambda |I|^2 from zero and "
        f"from noise, smoothed by {settings.blur:g} pixels (sigma) and cropped to the network's field of "
        "view. In the colours of the bands, in standard deviations of the training set: grey is zero. The "
        "title gives the class from an independent prediction; it is the wanted one for "
        f"{sum(s.success for s in made)} of {len(made)}.",
        lambda path: write_syntheses(path, made, provenance=_provenance(subject)),
    )


def _class_models_light(subject: AtlasSubject) -> Sheet:
    unit = subject.trained.card.inputs.unit
    top = _WHITE if unit == "display" else None
    rows, smooth = {}, subject.settings.blur
    for name, blur in {f"smoothed by {smooth:g} px": smooth, "any image": 0.0}.items():
        ascent = AscentSettings(subject.settings.steps, contrast=_rms(subject.images), upper=top, blur=blur)
        method = ClassModels(wrt="flux", nonnegative=True, ascent=ascent)
        rows[name] = method(subject.trained, _class_targets(subject))
    made = [synthesis for row in rows.values() for synthesis in row]
    return Sheet(
        class_model_figure(rows, subject.classes, field=_field(subject)),
        f"The same before the stretch, in {unit}, with no pixel below zero: light alone, from a blank sky. "
        f"Upper row: none sharper than a PSF of sigma {smooth:g} pixels; lower row: any image. In colour "
        f"like a galaxy. {sum(s.success for s in made)} of {len(made)} are predicted to be of the wanted "
        "class.",
        lambda path: write_syntheses(path, made, provenance=_provenance(subject)),
    )


def _plane(subject: AtlasSubject) -> Sheet:
    network = subject.trained.network
    plane = decision_plane(network, subject.stretched)
    labels = [subject.labels[row] or subject.answer(row) for row in range(len(subject.ids))]
    table = Table(
        {"id": list(subject.ids), "class": labels, "answer": [subject.answer(r) for r in range(len(labels))]}
    )
    table["x"], table["y"] = plane.positions.T
    cards = {"CTYPE1": "PC1", "CRPIX1": 1.0, "CRVAL1": plane.x[0], "CDELT1": plane.x[1] - plane.x[0]}
    cards |= {"CTYPE2": "PC2", "CRPIX2": 1.0, "CRVAL2": plane.y[0], "CDELT2": plane.y[1] - plane.y[0]}
    return Sheet(
        plane_figure(plane, subject.classes, labels),
        f"The features of {plane.network_layer}, from which the logits are a linear sum, cut by the plane "
        f"of their first two principal components through the mean of {len(labels)} galaxies. Pale: the "
        "class of each point of the plane; markers: galaxies in the colour of their class. "
        f"{plane.agreement:.0%} of the galaxies lie in the region of their predicted class; the class of the "
        "others depends on directions out of the plane.",
        lambda path: write_arrays(
            path,
            [
                ("logits", np.moveaxis(plane.logits, -1, 0), cards),
                ("regions", plane.regions.astype("int16"), cards),
            ],
            tables=[("galaxies", table)],
        ),
    )


def _class_targets(subject: AtlasSubject) -> list[Target]:
    return [Target.of_class(name, subject.classes) for name in subject.classes]


def _field(subject: AtlasSubject) -> tuple[int, int, int, int]:
    """Return the network's field of view, see `galcnn.explain.Explanation`."""
    seen = looked_at(subject.trained.network, subject.stretched.shape[1:3])
    y, x = (np.flatnonzero(seen.any(axis=axis)) for axis in (1, 0))
    return int(y[0]), int(y[-1]) + 1, int(x[0]), int(x[-1]) + 1


def _share_seen(subject: AtlasSubject, stage: Stage) -> float:
    """Return the square root of the fraction of the image that is in the receptive field of a cell."""
    network = subject.trained.network
    try:
        field = cell_grid_at(network_layer(network, stage.linear)).field
    except ValueError:  # a geometry that is not known
        return 1.0
    shares = [min(f / n, 1.0) for f, n in zip(field, subject.stretched.shape[1:3], strict=True)]
    return math.sqrt(math.prod(shares))


def _rms(images: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> float:
    """Return the median RMS of the images."""
    return float(np.median(np.sqrt(np.mean(images.astype(np.float64) ** 2, axis=(1, 2, 3)))))


def _provenance(subject: AtlasSubject) -> dict[str, str]:
    card = subject.trained.card
    return {"model": card.name, "model_sha256": card.model_sha256}


def _plain(name: str) -> str:
    return name.replace("/", "-")
