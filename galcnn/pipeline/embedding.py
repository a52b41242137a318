"""Embeddings of the galaxies of a catalog by any encoder, in a table for neighbours and labels."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from galcnn._runtime import atomic, seeding
from galcnn._runtime.progress import Progress, silent
from galcnn.catalog.formats import Galaxies, as_catalog
from galcnn.dataset import Dataset, InputFiles
from galcnn.errors import message
from galcnn.experiment import Experiment
from galcnn.experiment.settings import DataSettings
from galcnn.experiment.starting import inputs_of, preprocessing_of
from galcnn.model import InputSpec, assemble, images_from
from galcnn.model.build import LOGITS, NETWORK, PREPROCESSING
from galcnn.model.encoders import ImageScaling
from galcnn.model.pretrained import Bands, Parent, resolve, started
from galcnn.photometry import DISPLAY
from galcnn.pipeline.neighbours import ENCODER, encoder_of
from galcnn.pipeline.runs import catalog_sha256, chunked
from galcnn.prediction.logits import BATCH, fitted
from galcnn.training import StartSettings

#: Number of galaxies read at once, and to which a preprocessing is fitted that the encoder does not bring.
_CHUNK, _SAMPLE = 512, 512


def embed_catalog(
    encoder: str | os.PathLike[str],
    catalog: Galaxies,
    out: str | os.PathLike[str],
    *,
    images: str | os.PathLike[str] | None = None,
    size: int | None = None,
    render: str | None = None,
    scaling: ImageScaling | None = None,
    reading: Mapping[str, Any] | None = None,
    overwrite: bool = False,
    progress: Progress = silent,
) -> None:
    """Compute the features of an encoder for the galaxies of a catalog, and write them to a table.

    Parameters
    ----------
    encoder : path-like or str
        Network, named as the start of a training: a model folder or name, a Keras file,
        ``keras.applications:NAME:imagenet``, an encoder in the format of timm, or ``hf://owner/name``. If it
        has no preprocessing of its own, that of a training is fitted to at most 512 of the galaxies.
    catalog : path-like, Catalog, Table or DataFrame
        Catalog with a column `image`, or with ids that name files in `images`.
    out : path-like
        Parquet table with the columns `id`, `embedding`, `flag` and `reason`, which `read_embedded` reads. A
        table of the same encoder, catalog and settings is kept.
    images : path-like, optional
        Folder of the images.
    size : int, optional
        Side in pixels to which images are resampled; that of the first image by default.
    render : str, optional
        Render step that makes pictures of calibrated images, see `galcnn.transforms.render`; with `size`.
    scaling : {"0-1", "mean-std"}, optional
        Scaling of the pictures of an encoder in the format of timm, unless it is a known one.
    reading : mapping of str to Any, optional
        Parameters of `galcnn.dataset.InputFiles`, such as `bands`.
    overwrite : bool
        If True, an existing table is replaced.
    progress : galcnn._runtime.progress.Progress
        Progress display.

    Raises
    ------
    FileExistsError
        If `out` is another table, or of another encoder, catalog or settings.
    ValueError
        If there is no such encoder, the images do not fit it, or none can be read.
    OSError
        If a file is not found.
    """
    path = Path(out)
    if path.suffix.lower() != ".parquet":
        raise ValueError(message("a table ending in .parquet", "", out=os.fspath(out)))
    found = as_catalog(catalog)
    parent = resolve(encoder, scaling=scaling)
    settings = {
        "size": size,
        "render": render,
        "images": None if images is None else os.path.realpath(images),
    }
    described = {
        "encoder": parent.name,
        "sha256": parent.sha256,
        "catalog_sha256": catalog_sha256(found),
        **settings,
        "scaling": scaling,
        "reading": str(sorted((reading or {}).items(), key=str)),
    }
    if path.exists() and not overwrite:
        if encoder_of(path) == described:
            return
        raise FileExistsError(
            f"{path} exists and holds other embeddings. Name another table, or replace it: --overwrite."
        )
    files = InputFiles.of(found, images, size=size, **dict(reading or {}))
    spec = _spec(parent, files, size=size, render=render)
    fit = size is not None
    model = _features(parent, files, spec)
    features = np.full((len(files), model.output_shape[-1]), np.nan, dtype=np.float32)
    flags, reasons = np.zeros(len(files), dtype=np.int16), [""] * len(files)
    with progress("embed", len(files)) as step:
        for rows in chunked(len(files), _CHUNK):
            read = fitted(files.read(rows), spec, fit=fit)
            if len(read.rows):
                values = model.predict(read.images, batch_size=BATCH, verbose=0)
                features[read.rows + rows.start] = values
            flags[rows.start : rows.stop] = read.flags
            reasons[rows.start : rows.stop] = read.reasons
            step(n=len(rows))
    if not np.isfinite(features).all(axis=1).any():
        raise ValueError(f"None of {len(files)} images could be used. {reasons[0]}")
    embedding = pa.FixedSizeListArray.from_arrays(pa.array(features.ravel()), features.shape[1])
    table = pa.table({"id": list(files.ids), "embedding": embedding, "flag": flags, "reason": reasons})
    with atomic.writing(path) as temporary:
        pq.write_table(table.replace_schema_metadata({ENCODER: json.dumps(described)}), temporary)


def _spec(parent: Parent, files: InputFiles, *, size: int | None, render: str | None) -> InputSpec:
    """Return the images that an encoder reads: those of its card, rendered pictures, or the files'."""
    known = inputs_of(parent, DataSettings("", render=render))
    if known is not None:
        if size is not None and known.shape != (size, size):
            raise ValueError(
                message(
                    f"images of the encoder's size, {known.shape[0]} x {known.shape[1]} pixels", "", size=size
                )
            )
        return known
    if render is None:
        return files.spec
    if size is None:
        raise ValueError(message("a number of pixels of rendered images", "Give it: --size.", render=render))
    return InputSpec(("R", "G", "B"), DISPLAY.name, (size, size), None, render)


def _features(parent: Parent, files: InputFiles, spec: InputSpec) -> keras.Model:
    """Return the model from images to the features of an encoder, with its preprocessing."""
    experiment = Experiment(DataSettings(""), start=StartSettings(parent.name))
    order = seeding.generator(0, "embed").permutation(len(files))[:_SAMPLE]
    drawn = [one for _, one in files.each_prepared([files.ids[row] for row in np.sort(order)], spec)]
    sample = [one for one in drawn if not isinstance(one, Exception)]
    if not sample:
        raise next(one for one in drawn if isinstance(one, Exception))
    ids = tuple(str(row) for row in range(len(sample)))
    some = Dataset(ids, images_from(sample), np.zeros(len(sample), np.int32), ("a", "b"), spec)
    old = None if parent.card is None else parent.card.inputs.bands
    network, _ = started(parent, spec.image_shape, 2, Bands(old, spec.bands), head=False)
    whole = assemble(preprocessing_of(parent, experiment, some)[0], network)
    last = whole.get_layer(NETWORK)
    features = keras.Model(last.inputs, last.get_layer(LOGITS).input)
    inputs = whole.inputs[0]
    return keras.Model(inputs, features(whole.get_layer(PREPROCESSING)(inputs)))
