"""The galaxies that maps are tested on, as a network sees them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from galcnn._runtime import seeding
from galcnn._runtime.progress import Progress, silent
from galcnn.catalog import Catalog
from galcnn.cutout import Cutout
from galcnn.dataset import InputFiles
from galcnn.errors import message
from galcnn.evaluation import Regions, segmented
from galcnn.explain import Context, Explainer
from galcnn.explain.attribution import Prepared
from galcnn.explain.baselines import ids_of
from galcnn.model import Target, TrainedModel

_Array = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class Galaxies:
    """Whose maps are tested.

    Attributes
    ----------
    cutouts : tuple of galcnn.cutout.Cutout
        In the bands, unit and shape of the model.
    ids : tuple of str
        One a cutout.
    """

    cutouts: tuple[Cutout, ...]
    ids: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.cutouts or len(self.cutouts) != len(self.ids) or len(set(self.ids)) < len(self.ids):
            raise ValueError(
                message("galaxies, each with an id of its own", "", n=len(self.cutouts), n_ids=len(self.ids))
            )


@dataclass(frozen=True, eq=False)
class Sample:
    """Images and what is asked of each.

    Attributes
    ----------
    images : numpy.ndarray
        float32, shape (n, ny, nx, n_bands), behind the preprocessing.
    targets : tuple of Target
        One a galaxy.
    context : galcnn.explain.Context
        Noise, mask, ids and the image of no flux, in the unit of `images`.
    regions : tuple of Regions or None
        Where each galaxy lies; None where no source was found.
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
        """Give the same galaxies with other images.

        Parameters
        ----------
        images : numpy.ndarray
            Of the same shape.

        Returns
        -------
        Sample
            Noise, mask and targets stay.
        """
        return replace(self, images=images)


def sample_of(
    trained: TrainedModel, cutouts: Sequence[Cutout], *, ids: Sequence[str], target: str | None = None
) -> Sample:
    """Bring cutouts to what the checks work on."""
    seen, classes = Prepared.of(trained, cutouts, ids=ids), trained.classes
    if target is not None:
        targets = (Target.parse(target, classes),) * len(cutouts)
    else:
        targets = tuple(Target.of_class(classes[i], classes) for i in np.argmax(seen.logits, axis=1))
    regions = tuple(_segmented(cutout) for cutout in cutouts)
    return Sample(seen.stretched, targets, seen.stretched_context, regions)


def read_sample(
    trained: TrainedModel, catalog: Catalog, *, fit: bool = False, progress: Progress = silent
) -> Galaxies:
    """Load the images of a catalog for a model.

    Parameters
    ----------
    trained : galcnn.model.TrainedModel
        The model.
    catalog : galcnn.catalog.Catalog
        With a column `image`.
    fit : bool
        Whether the pixel grid may be changed, see `galcnn.model.prepare`.
    progress : galcnn._runtime.progress.Progress
        Shows the files.

    Returns
    -------
    Galaxies
        In the order of the catalog.

    Raises
    ------
    galcnn.errors.UnreadableImageError, FileNotFoundError, ValueError
        An image cannot be read or does not fit; the text names it.
    """
    files = InputFiles.of(catalog, fit=fit)
    cutouts = files.all_prepared(trained.card.inputs, progress=progress)
    return Galaxies(tuple(cutouts), tuple(catalog.ids))


def drawn(
    images: npt.NDArray[np.floating],
    context: Context,
    draw: Callable[[np.random.Generator], _Array],
    *key: Any,
) -> _Array:
    """Draw something for each image, from a stream of the key and its id."""
    return np.stack([draw(seeding.generator(*key, name)) for name in ids_of(images, context)])


def moved(
    sample: Sample,
    sigma: npt.NDArray[np.floating],
    draw: Callable[[np.random.Generator, tuple[int, ...]], _Array],
    *key: Any,
) -> Sample:
    """Move every pixel by its sigma times what is drawn, from a stream of the key and the galaxy's id."""
    images = sample.images
    moves = drawn(images, sample.context, lambda stream: draw(stream, images.shape[1:]), *key)
    return replace(sample, images=(images + sigma * moves).astype(images.dtype))


def maps_of(network: keras.Model, explainer: Explainer, sample: Sample) -> npt.NDArray[np.float32]:
    """Make the maps of a sample: zero where the network does not look, and where a map has no value."""
    maps = explainer(network, sample.images, sample.targets, context=sample.context)
    return np.where(np.isnan(maps), np.float32(0), maps)


def _segmented(cutout: Cutout) -> Regions | None:
    try:
        return segmented(cutout)
    except ValueError:
        return None
