"""The galaxies on which maps are tested, in the preprocessing of a network."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from galcnn._runtime import seeding
from galcnn._runtime.progress import Progress, silent
from galcnn.catalog import Catalog
from galcnn.cutout import Cutout
from galcnn.dataset import InputFiles
from galcnn.dataset.reader import MAX_UNREADABLE
from galcnn.errors import message
from galcnn.evaluation import Regions, segmented
from galcnn.explain import Context, Explainer
from galcnn.explain.attribution import Prepared
from galcnn.explain.baselines import ids_of
from galcnn.model import Target, TrainedModel

_Array = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class Galaxies:
    """Galaxies whose maps are tested.

    Attributes
    ----------
    cutouts : tuple of galcnn.cutout.Cutout
        Cutouts in the bands, unit and shape of the model.
    ids : tuple of str
        Unique id of each cutout.
    left_out : mapping of str to str
        Ids of galaxies without a usable image, with the reason.
    """

    cutouts: tuple[Cutout, ...]
    ids: tuple[str, ...]
    left_out: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.cutouts or len(self.cutouts) != len(self.ids) or len(set(self.ids)) < len(self.ids):
            raise ValueError(
                message("galaxies, each with an id of its own", "", n=len(self.cutouts), n_ids=len(self.ids))
            )


@dataclass(frozen=True, eq=False)
class Sample:
    """Preprocessed images with the target of their maps.

    Attributes
    ----------
    images : numpy.ndarray
        Preprocessed images, float32, shape (n, ny, nx, n_bands).
    targets : tuple of Target
        Target of each galaxy.
    context : galcnn.explain.Context
        Noise, mask, ids and the image of zero flux, in the unit of `images`.
    regions : tuple of Regions or None
        Segmentation of each galaxy; None if no source was found.
    """

    images: npt.NDArray[np.float32]
    targets: tuple[Target, ...]
    context: Context
    regions: tuple[Regions | None, ...] = ()

    def __post_init__(self) -> None:
        regions = self.regions or (None,) * len(self.images)
        if self.images.ndim != 4 or not len(self.images) == len(self.targets) == len(regions):
            raise ValueError(
                message(
                    "images of shape (n, ny, nx, n_bands), with a target and a region each",
                    "",
                    images=self.images.shape,
                    n_targets=len(self.targets),
                    n_regions=len(regions),
                )
            )
        object.__setattr__(self, "regions", regions)

    def with_images(self, images: npt.NDArray[np.float32]) -> Sample:
        """Return a sample with other images of the same galaxies.

        Parameters
        ----------
        images : numpy.ndarray
            Images, same shape as before.

        Returns
        -------
        Sample
            Sample with these images, and the same targets, context and regions.
        """
        return replace(self, images=images)


def sample_of(
    trained: TrainedModel, cutouts: Sequence[Cutout], *, ids: Sequence[str], target: str | None = None
) -> Sample:
    """Return the sample of some cutouts, by default with the margins of their predictions as targets."""
    seen, classes = Prepared.of(trained, cutouts, ids=ids), trained.classes
    if target is not None:
        targets = (Target.parse(target, classes),) * len(cutouts)
    else:
        targets = tuple(Target.of_prediction(row, classes) for row in seen.logits)
    regions = tuple(_segmented(cutout) for cutout in cutouts)
    return Sample(seen.stretched, targets, seen.stretched_context, regions)


def read_sample(
    trained: TrainedModel,
    catalog: Catalog,
    *,
    images: str | os.PathLike[str] | None = None,
    reading: Mapping[str, Any] | None = None,
    max_unreadable: float = MAX_UNREADABLE,
    progress: Progress = silent,
) -> Galaxies:
    """Load the images of a catalog for a model.

    Parameters
    ----------
    trained : galcnn.model.TrainedModel
        The model.
    catalog : galcnn.catalog.Catalog
        Catalog with a column ``image``, or with ids that name files in `images`.
    images : path-like, optional
        Folder of the images, see `galcnn.dataset.InputFiles.of`.
    reading : mapping of str to Any, optional
        Parameters of `galcnn.dataset.InputFiles`, such as `fit`, `bands` and `width`.
    max_unreadable : float
        Largest fraction of galaxies that are left out since their image cannot be read or does not fit.
    progress : galcnn._runtime.progress.Progress
        Progress bar over files.

    Returns
    -------
    Galaxies
        Galaxies in the order of the catalog.

    Raises
    ------
    galcnn.errors.UnreadableImageError, FileNotFoundError, ValueError
        If more images cannot be used; the error names the first.
    """
    files = InputFiles.of(catalog, images, **dict(reading or {}))
    found = files.readable(trained.card.inputs, max_unreadable=max_unreadable, progress=progress)
    return Galaxies(found.cutouts, found.ids, found.left_out)


def drawn(
    images: npt.NDArray[np.floating],
    context: Context,
    draw: Callable[[np.random.Generator], _Array],
    *key: Any,
) -> _Array:
    """Draw random numbers for each image, from a generator seeded by the key and the image's id."""
    return np.stack([draw(seeding.generator(*key, name)) for name in ids_of(images, context)])


def moved(
    sample: Sample,
    sigma: npt.NDArray[np.floating],
    draw: Callable[[np.random.Generator, tuple[int, ...]], _Array],
    *key: Any,
) -> Sample:
    """Change every pixel by its sigma times a random number, see `drawn`."""
    images = sample.images
    moves = drawn(images, sample.context, lambda stream: draw(stream, images.shape[1:]), *key)
    return replace(sample, images=(images + sigma * moves).astype(images.dtype))


def maps_of(network: keras.Model, explainer: Explainer, sample: Sample) -> npt.NDArray[np.float32]:
    """Compute the maps of a sample, with NaN replaced by zero; shape (n, ny, nx, n_bands)."""
    maps = explainer(network, sample.images, sample.targets, context=sample.context)
    return np.where(np.isnan(maps), np.float32(0), maps)


def _segmented(cutout: Cutout) -> Regions | None:
    try:
        return segmented(cutout)
    except ValueError:
        return None
