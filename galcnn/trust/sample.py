"""The galaxies that maps are tested on, as a network sees them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import keras
import numpy as np
import numpy.typing as npt

from galcnn import seeding
from galcnn.catalog import Catalog, relabel
from galcnn.cutout import Cutout
from galcnn.dataset import InputFiles
from galcnn.errors import message
from galcnn.evaluation.segmentation import Regions, segmented
from galcnn.experiment import Experiment
from galcnn.experiment.prepare import split_as
from galcnn.explain import Context, Explainer, Target
from galcnn.explain.attribution import Prepared
from galcnn.model import TrainedModel
from galcnn.progress import Progress, silent

__all__ = ["Galaxies", "Sample", "draw_galaxies", "held_out", "maps_of", "read_sample", "sample_of"]


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
    """Bring cutouts to what the checks work on.

    Parameters
    ----------
    trained : galcnn.model.TrainedModel
        The model.
    cutouts : sequence of galcnn.cutout.Cutout
        In its bands, unit and shape.
    ids : sequence of str
        One a cutout.
    target : str, optional
        See `galcnn.explain.Target.parse`; the class that the model finds most probable for each
        by default.

    Returns
    -------
    Sample
        With the segmentation of each galaxy.
    """
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
        Whether the pixel grid may be changed, see `galcnn.inputs.prepare`.
    progress : galcnn.progress.Progress
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


def maps_of(network: keras.Model, explainer: Explainer, sample: Sample) -> npt.NDArray[np.float32]:
    """Make the maps of a sample.

    Parameters
    ----------
    network : keras.Model
        Ends in logits.
    explainer : Explainer
        The method.
    sample : Sample
        The galaxies.

    Returns
    -------
    numpy.ndarray
        Shape of the images; zero where the network does not look and a map of features has no
        value.
    """
    maps = explainer(network, sample.images, sample.targets, context=sample.context)
    return np.where(np.isnan(maps), np.float32(0), maps)


def held_out(catalog: Catalog, trained: TrainedModel) -> Catalog:
    """Pick the galaxies that a model was not trained on.

    Parameters
    ----------
    catalog : galcnn.catalog.Catalog
        The one of the training, with its merged classes; see `galcnn.studies.atlas.read_galaxies`.
    trained : galcnn.model.TrainedModel
        Its card knows how the catalog was split.

    Returns
    -------
    galcnn.catalog.Catalog
        The test set.

    Raises
    ------
    ValueError
        The card does not say, or there are no classes.
    """
    settings = trained.card.settings
    if "data" not in settings or "class" not in catalog.table.colnames:
        raise ValueError(
            message(
                "a model whose card says how its catalog was split, and a catalog with classes",
                "Ask for all galaxies: --split all.",
                model=trained.card.name,
                columns=catalog.table.colnames,
            )
        )
    experiment = Experiment.from_dict(settings)
    dropped = [name for name in experiment.data.drop if name in catalog.classes]
    dealt = split_as(experiment, relabel(catalog, drop=dropped) if dropped else catalog)
    return dealt.select(np.flatnonzero(np.asarray(dealt.table["split"]) == "test"))


def draw_galaxies(catalog: Catalog, n: int, *, seed: int = 0) -> Catalog:
    """Draw galaxies, whatever their order in the catalog.

    Parameters
    ----------
    catalog : galcnn.catalog.Catalog
        Any.
    n : int
        At most so many.
    seed : int
        Of the draw.

    Returns
    -------
    galcnn.catalog.Catalog
        More galaxies with the same seed hold those of fewer.
    """
    dice = [seeding.uniform(seed, "trust", name) for name in catalog.ids]
    return catalog.select(sorted(range(len(catalog)), key=dice.__getitem__)[:n])


def _segmented(cutout: Cutout) -> Regions | None:
    try:
        return segmented(cutout)
    except ValueError:
        return None
