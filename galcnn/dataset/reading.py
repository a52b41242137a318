"""Catalog with an image column, and classes or votes -> Dataset."""

from __future__ import annotations

import os

import numpy as np
import numpy.typing as npt

from galcnn.catalog import Catalog
from galcnn.dataset.dataset import Dataset
from galcnn.dataset.packed import PackedImages, pack_images
from galcnn.dataset.reader import CutoutReader
from galcnn.errors import message
from galcnn.inputs import images_from
from galcnn.progress import Progress, silent
from galcnn.votes import Votes, read_votes

__all__ = ["read_dataset", "read_vote_dataset"]


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
    images, masked = _images(reader, shards, progress)
    return Dataset(tuple(reader.ids), images, labels, classes, reader.spec, masked)


def read_vote_dataset(
    reader: CutoutReader,
    votes: Votes,
    *,
    shards: str | os.PathLike[str] | None = None,
    progress: Progress = silent,
) -> Dataset:
    """Read the image of every galaxy of a catalog, and what people voted.

    Parameters
    ----------
    reader : CutoutReader
        Of a catalog with a column `image`, and one for each answer.
    votes : galcnn.votes.Votes
        What people were asked.
    shards : path-like, optional
        See `read_dataset`.
    progress : galcnn.progress.Progress
        Shows the reading.

    Returns
    -------
    Dataset
        In the order of the catalog.

    Raises
    ------
    galcnn.errors.UnreadableImageError, FileNotFoundError, ValueError
        See `read_dataset` and `galcnn.votes.read_votes`.
    """
    observed = read_votes(reader.catalog, votes)  # refused before reading images
    images, masked = _images(reader, shards, progress)
    return Dataset(tuple(reader.ids), images, observed, votes.answers, reader.spec, masked, votes=votes)


def _images(
    reader: CutoutReader, shards: str | os.PathLike[str] | None, progress: Progress
) -> tuple[npt.NDArray[np.float32] | PackedImages, float]:
    """All images, and the share of their pixels that are masked."""
    if shards is not None:
        packed = pack_images(reader, shards, progress=progress)
        return packed.images, packed.masked_fraction
    images, masked = np.empty((0,), dtype=np.float32), 0.0
    with progress("read images", len(reader)) as step:
        for row in range(len(reader)):
            cutout = reader.read(row)
            if row == 0:
                images = np.empty((len(reader), *reader.spec.image_shape), dtype=np.float32)
            images[row] = images_from([cutout])[0]
            masked += cutout.masked_fraction / len(reader)
            step()
    return images, masked
