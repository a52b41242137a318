"""Start of a training from a parent model: images, preprocessing, network, and what the card says of it."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

import astropy.units as u
import keras
import numpy as np

from galcnn._runtime.progress import Progress, silent
from galcnn.catalog import Catalog
from galcnn.dataset import Dataset, InputFiles, pack_images
from galcnn.dataset.leakage import near_duplicates
from galcnn.errors import message
from galcnn.experiment.galaxies import galaxies_of
from galcnn.experiment.settings import DataSettings, Experiment
from galcnn.model import InputSpec, assemble, fit_preprocessing
from galcnn.model.orientations import orientations_of, with_orientations
from galcnn.model.preprocessing.fitting import linear_scaling
from galcnn.model.preprocessing.stretch import AsinhStretch, LuptonStretch
from galcnn.model.pretrained import Bands, Parent, started
from galcnn.model.weights import give_weights
from galcnn.photometry import DISPLAY
from galcnn.training.fine_tuning import layers_of

#: Galaxies closer than this are the same.
_SAME = 1 * u.arcsec
_PREPROCESSING = ("stretch", "scaling", "per")


def check_parent(parent: Parent, data: DataSettings) -> None:
    """Raise if settings of the data contradict those of a parent."""
    if parent.card is None:
        return
    spec = parent.card.inputs
    if data.size is not None and spec.shape != (data.size, data.size):
        raise ValueError(
            message(
                f"images of the parent's size, {spec.shape[0]} x {spec.shape[1]} pixels",
                "Give this --size to resample images of another pixel scale, or leave it out.",
                size=data.size,
            )
        )


def inputs_of(parent: Parent, data: DataSettings) -> InputSpec | None:
    """Return the images that a parent reads, in the bands of the child; None if they are not known."""
    if parent.card is None:
        return None
    spec = parent.card.inputs
    return replace(spec, bands=data.bands or spec.bands, render=data.render or spec.render)


def start_from(
    parent: Parent,
    experiment: Experiment,
    training: Dataset,
    *,
    seed: int | None = None,
    synchronized: bool = False,
    orientations: int = 1,
) -> tuple[keras.Model, dict[str, str]]:
    """Return a model that starts from a parent, and what was done with bands, preprocessing and head.

    It averages as many orientations as the parent, but at most `orientations`.
    """
    assert experiment.start is not None
    card = parent.card
    same = (
        card is not None
        and card.votes == training.votes
        and (card.votes is not None or card.classes == training.classes)
    )
    old = None if card is None else card.inputs.bands
    bands = Bands(old, training.inputs.bands, experiment.start.bands)
    network, said = started(
        parent,
        training.inputs.image_shape,
        len(training.classes),
        bands,
        head=same,
        seed=experiment.seed if seed is None else seed,
    )
    if orientations_of(network) > orientations:
        network = with_orientations(network, orientations)
    for layer in layers_of(network):
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.synchronized = synchronized
    preprocessing, how = preprocessing_of(parent, experiment, training)
    head = "the parent's, whose classes are the same" if same else "new"
    return assemble(preprocessing, network), {"bands": said, "preprocessing": how, "head": head}


def preprocessing_of(parent: Parent, experiment: Experiment, training: Dataset) -> tuple[keras.Model, str]:
    """Return the preprocessing of a parent, or a new one fitted to the training images."""
    data, start = experiment.data, experiment.start
    given = {name: getattr(data, name) for name in _PREPROCESSING}
    default = {f.name: f.default for f in fields(DataSettings) if f.name in _PREPROCESSING}
    trained = parent.trained
    if parent.levels is not None:
        return _encoder_levels(parent.levels, training.inputs, given, default)
    if (
        trained is not None
        and trained.card.inputs.bands == training.inputs.bands
        and not (start and start.refit)
    ):
        if given != default:
            raise ValueError(
                message(
                    "the preprocessing of the parent",
                    "Leave these settings out, or fit them to the new images: --set start.refit=true.",
                    **{name: value for name, value in given.items() if value != default[name]},
                )
            )
        copy = keras.models.clone_model(trained.preprocessing)
        give_weights(copy, trained.preprocessing)
        return copy, "the parent's"
    if trained is not None and given == default:
        settings = trained.card.settings.get("data", {})
        given = {name: settings.get(name, value) for name, value in given.items()}
        given["stretch"] = _stretch_of(trained.preprocessing)
    words = ", ".join(f"{name} {value}" for name, value in given.items())
    fitted = fit_preprocessing(training.images, **given, unit=training.inputs.unit)
    return fitted, f"fitted to the new images: {words}"


def _encoder_levels(
    levels: tuple[tuple[float, ...], tuple[float, ...]],
    inputs: InputSpec,
    given: Mapping[str, Any],
    default: Mapping[str, Any],
) -> tuple[keras.Model, str]:
    """Return the scaling with which an encoder of others was trained, which is that of pictures."""
    if inputs.unit != DISPLAY.name:
        raise ValueError(
            message(
                "pictures with values from 0 to 255, on which the encoder was trained",
                "Render calibrated images as pictures: --render sdss.",
                unit=inputs.unit,
            )
        )
    if given != default:
        raise ValueError(
            message("the scaling of the encoder", "Leave stretch, scaling and per out.", **given)
        )
    n = len(inputs.bands)
    mean, deviation = (v if len(v) == n else (float(np.mean(v)),) * n for v in levels)
    words = ", ".join(f"(x - {m:.4g}) / {d:.4g}" for m, d in dict.fromkeys(zip(mean, deviation, strict=True)))
    return linear_scaling(inputs.image_shape, mean, deviation), f"the encoder's: {words}"


def _stretch_of(preprocessing: keras.Model) -> str:
    for layer in layers_of(preprocessing):
        for kind, name in ((AsinhStretch, "asinh"), (LuptonStretch, "lupton")):
            if isinstance(layer, kind):
                return name
    return "linear"


def parent_record(
    parent: Parent | None,
    experiment: Experiment,
    catalog: Catalog,
    sides: Mapping[str, Dataset],
    n_frozen: int,
    *,
    progress: Progress = silent,
) -> dict[str, Any]:
    """Return what the card of a child says of its parent."""
    start = experiment.start
    if parent is None or start is None:
        return {}
    card, training = parent.card, sides["train"]
    spec = training.inputs
    data: Mapping[str, Any] = {} if card is None else card.data
    images = "as the child's; those of the parent are not known"
    if card is not None:
        scale = "any scale" if spec.pixel_scale is None else f"{spec.pixel_scale:g} arcsec"
        done = "brought to" if experiment.data.size is not None else "of"
        images = f"{done} {spec.shape[1]} x {spec.shape[0]} pixels, {scale}, {spec.unit}, like the parent's"
    _, done_with = start_from(parent, experiment, training)
    return {
        "name": parent.name,
        "sha256": parent.sha256,
        "licence": parent.licence,
        "data": {name: data[name] for name in ("survey", "sha256", "counts", "imported") if name in data},
        "images": images,
        **done_with,
        "freeze": start.freeze,
        "n_frozen": n_frozen,
        "head_epochs": start.head_epochs,
        "batch_norm": start.batch_norm,
        "notes": list(parent.notes),
        "shared_galaxies": shared_galaxies(catalog, parent, sides["test"], progress=progress),
    }


def shared_galaxies(catalog: Catalog, parent: Parent, images: Dataset, *, progress: Progress = silent) -> str:
    """Say how many test galaxies the parent was trained on, if its catalog and images are there.

    They are recognised by id, by position, or by images that are the same but for a rotation or reflection.
    """
    test = catalog.select(np.flatnonzero(np.asarray(catalog.table["split"]) == "test"))
    try:
        theirs = galaxies_of(parent.card, split="train")
    except (ValueError, OSError) as error:
        return f"not known: {str(error).splitlines()[0]}"
    same = np.isin(test.ids, theirs.ids)
    mine, others = test.positions, theirs.positions
    where = "by id"
    if mine is not None and others is not None:
        _, distance, _ = mine.match_to_catalog_sky(others)
        same |= distance < _SAME
        where = "by id or position"
    try:
        copies = _copies(images, theirs, parent, progress=progress)
    except (ValueError, OSError) as error:
        looked = f"; images are not compared: {str(error).splitlines()[0]}"
    else:
        same |= np.isin(test.ids, list(copies))
        where += " or image"
        first = next((f", such as {one} and {other}" for one, other in copies.items()), "")
        looked = f"; {len(copies)} have a copy{first}" if copies else ""
    if not same.any():
        return f"none of {len(test)} test galaxies, {where}{looked}"
    return f"{int(same.sum())} of {len(test)} test galaxies, {where}{looked}: their scores are too good"


def _copies(test: Dataset, theirs: Catalog, parent: Parent, *, progress: Progress) -> dict[str, str]:
    """Return test galaxies whose images the parent was trained on, and the ids that they have there."""
    assert parent.card is not None  # its catalog was found
    spec, size = parent.card.inputs, parent.card.settings.get("data", {}).get("size")
    files = InputFiles.of(theirs, size=size, spec=spec)
    with tempfile.TemporaryDirectory(prefix="galcnn-parent-") as scratch:
        packed = pack_images(files, scratch, complete=False, progress=progress)
        labels = np.zeros(len(files), dtype=np.int32)
        side = Dataset(tuple(files.ids), packed.images, labels, ("a", "b"), spec)
        pairs = near_duplicates({"test": test, "parent": side})
    return {pair.id: pair.other_id for pair in reversed(pairs)}
