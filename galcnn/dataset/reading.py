"""Catalog with an image column -> Dataset."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from galcnn.catalog import Catalog
from galcnn.cutout import Cutout
from galcnn.dataset.dataset import Dataset
from galcnn.errors import UnreadableImageError, message
from galcnn.files import load_cutout
from galcnn.inputs import InputSpec, check_render, images_from, prepare
from galcnn.progress import Progress, silent

__all__ = ["read_dataset"]


def read_dataset(
    catalog: Catalog,
    *,
    bands: tuple[str, ...] | None = None,
    size: int | None = None,
    render: str | None = None,
    progress: Progress = silent,
) -> Dataset:
    """Read the image of every galaxy of a catalog.

    The first image settles bands, unit, shape and pixel scale; one that differs is refused by
    its name, since a network would learn the difference.

    Parameters
    ----------
    catalog : galcnn.catalog.Catalog
        With columns `image` and `class`.
    bands : tuple of str, optional
        Which bands to take; all of the first image by default.
    size : int, optional
        Bring each image to size x size pixels: a centre crop (or padding) at its own pixel scale,
        or the whole field resampled where there is no WCS.
    render : str, optional
        Recorded as the step by which calibrated cutouts become such pictures.
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
    if "image" not in catalog.table.colnames:
        raise ValueError(
            message("a column with the path of each image", "Name it.", columns=catalog.table.colnames)
        )
    classes = catalog.classes
    if len(classes) < 2:
        raise ValueError(
            message("at least two classes to tell apart", "Check the label column.", classes=classes)
        )
    images, masked = None, 0.0
    spec: InputSpec | None = None
    with progress("read images", len(catalog)) as step:
        for row, (name, path) in enumerate(zip(catalog.ids, catalog.table["image"], strict=True)):
            try:
                cutout = load_cutout(str(path), bands=bands)
                if spec is None:
                    spec = _first_spec(cutout, bands, size, render)
                fitting = prepare(cutout, spec, fit=size is not None)
                image = images_from([fitting])
            except (UnreadableImageError, FileNotFoundError, ValueError) as error:
                raise type(error)(f"Galaxy {name} ({path}): {error}") from error
            if images is None:
                images = np.empty((len(catalog), *spec.image_shape), dtype=np.float32)
            images[row] = image[0]
            masked += fitting.masked_fraction / len(catalog)
            step()
    if images is None or spec is None:
        raise ValueError(message("a catalog with at least one galaxy", "", n=len(catalog)))
    labels = np.searchsorted(np.array(classes), catalog.labels).astype(np.int32)
    return Dataset(tuple(catalog.ids), images, labels, classes, spec, masked)


def _first_spec(
    cutout: Cutout, bands: tuple[str, ...] | None, size: int | None, render: str | None
) -> InputSpec:
    if render is not None:
        check_render(render, str(cutout.unit))
    spec = InputSpec.of(cutout, render=render)
    if bands is not None:
        spec = replace(spec, bands=bands)
    return spec if size is None else replace(spec, shape=(size, size))
