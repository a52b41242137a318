"""Catalog with an image column -> Dataset."""

from __future__ import annotations

import os

import numpy as np

from galcnn.catalog import Catalog
from galcnn.dataset.dataset import Dataset
from galcnn.dataset.packed import pack_images
from galcnn.dataset.reader import CutoutReader
from galcnn.errors import message
from galcnn.inputs import images_from
from galcnn.progress import Progress, silent

__all__ = ["read_dataset"]


def read_dataset(
    catalog: Catalog,
    *,
    bands: tuple[str, ...] | None = None,
    size: int | None = None,
    render: str | None = None,
    shards: str | os.PathLike[str] | None = None,
    progress: Progress = silent,
) -> Dataset:
    """Read the image of every galaxy of a catalog.

    Parameters
    ----------
    catalog : galcnn.catalog.Catalog
        With columns `image` and `class`.
    bands : tuple of str, optional
        See `CutoutReader`.
    size : int, optional
        See `CutoutReader`.
    render : str, optional
        See `CutoutReader`.
    shards : path-like, optional
        Folder into which the images are packed, or from which they are taken if they have been;
        they then stay on disk. See `galcnn.dataset.pack_images`.
    progress : galcnn.progress.Progress
        Shows the reading.

    Returns
    -------
    Dataset
        In the order of the catalog.

    Raises
    ------
    galcnn.errors.UnreadableImageError, FileNotFoundError, ValueError
        An image cannot be read or differs from the first; the text names the galaxy.
    """
    reader = CutoutReader(catalog, bands=bands, size=size, render=render)
    classes = catalog.classes
    if len(classes) < 2:
        raise ValueError(
            message("at least two classes to tell apart", "Check the label column.", classes=classes)
        )
    labels = np.searchsorted(np.array(classes), catalog.labels).astype(np.int32)
    ids = tuple(reader.ids)
    if shards is not None:
        packed = pack_images(reader, shards, progress=progress)
        return Dataset(ids, packed.images, labels, classes, packed.inputs, packed.masked_fraction)
    images, masked = np.empty((0,), dtype=np.float32), 0.0
    with progress("read images", len(catalog)) as step:
        for row in range(len(reader)):
            cutout = reader.read(row)
            if row == 0:
                images = np.empty((len(reader), *reader.spec.image_shape), dtype=np.float32)
            images[row] = images_from([cutout])[0]
            masked += cutout.masked_fraction / len(reader)
            step()
    return Dataset(ids, images, labels, classes, reader.spec, masked)
