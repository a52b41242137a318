"""The model and the galaxies of an atlas."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest

import keras
import numpy as np
import numpy.typing as npt

from galcnn._runtime import seeding
from galcnn._runtime.progress import Progress, silent
from galcnn._runtime.version import __version__
from galcnn.catalog import Catalog
from galcnn.cutout import Cutout
from galcnn.dataset import InputFiles
from galcnn.dataset.reader import MAX_UNREADABLE
from galcnn.errors import message
from galcnn.explain.attribution import Prepared
from galcnn.model import Target, TrainedModel, network_layers
from galcnn.model.graph import Stage, convolution_stages
from galcnn.model.preprocessing.statistics import sky_noise


@dataclass(frozen=True)
class AtlasSettings:
    """Size of an atlas.

    Attributes
    ----------
    galaxies : int
        Largest number of galaxies for the statistics, drawn from all classes in equal numbers if
        possible.
    shown : int
        Number of galaxies with pages of their own: in turn from each class, those with the largest
        probability of that class.
    filters : int
        Number of filters that are visualised per convolution: those with the strongest activations in
        the shown galaxies.
    stages : int
        Largest number of convolutions with pages; evenly spaced if the network has more.
    steps : int
        Number of steps of each gradient ascent.
    blur : float
        Standard deviation, in pixels, of the Gaussian that smooths filter images and class models, see
        `galcnn.explain.AscentSettings`.
    seed : int
        Seed of all random numbers.
    """

    galaxies: int = 240
    shown: int = 6
    filters: int = 16
    stages: int = 10
    steps: int = 100
    blur: float = 1.5
    seed: int = 0

    def __post_init__(self) -> None:
        smallest = {"galaxies": 3, "shown": 1, "filters": 1, "stages": 1, "steps": 1}
        low = {name: getattr(self, name) for name, least in smallest.items() if getattr(self, name) < least}
        if low or self.blur < 0:
            raise ValueError(
                message(f"at least {smallest}, and blur of at least 0", "", blur=self.blur, **low)
            )


def sample(catalog: Catalog, classes: Sequence[str], settings: AtlasSettings) -> Catalog:
    """Draw galaxies from all classes in turn, independently of the order of the rows."""
    labels = labels_of(catalog)
    dice = [seeding.uniform(settings.seed, "atlas", name) for name in catalog.ids]
    known = sorted(set(labels) & set(classes))
    queues = [
        sorted((row for row in range(len(catalog)) if not known or labels[row] == name), key=dice.__getitem__)
        for name in known or [""]
    ]
    turns = in_turn(queues)
    if len(turns) < 3:
        raise ValueError(message("at least three galaxies", "", n_galaxies=len(turns)))
    return catalog.select(turns[: settings.galaxies])


def in_turn(queues: Sequence[Sequence[int]]) -> list[int]:
    """Interleave sequences: the first element of each, then the second of each, and so on."""
    return [row for turn in zip_longest(*queues) for row in turn if row is not None]


def labels_of(catalog: Catalog) -> list[str]:
    """Return the classes of a catalog; empty strings if it has none."""
    if "class" not in catalog.table.colnames:
        return [""] * len(catalog)
    return [str(name) for name in catalog.labels]


#: Layers after which each band still has a plane of its own.
_PASSING = (
    keras.layers.Cropping2D,
    keras.layers.Identity,
    keras.layers.Normalization,
    keras.layers.Rescaling,
    keras.layers.ZeroPadding2D,
)


@dataclass(frozen=True, eq=False)
class AtlasSubject:
    """A model and the galaxies of its atlas.

    Attributes
    ----------
    trained : galcnn.model.TrainedModel
        The model.
    settings : AtlasSettings
        Settings of the atlas.
    ids : tuple of str
        Ids of the galaxies.
    cutouts : tuple of galcnn.cutout.Cutout
        Cutouts prepared for the model.
    labels : tuple of str
        Classes in the catalog; empty if missing or unknown to the model.
    images, stretched : numpy.ndarray
        Images before and after the preprocessing, shape (n, ny, nx, n_bands).
    logits : numpy.ndarray
        Logits, shape (n, n_classes).
    shown : tuple of int
        Rows of the galaxies with pages of their own.
    sigma : numpy.ndarray
        Noise of the pixels; can be broadcast to the shape of `images`.
    sigma_source : str
        Origin of the noise, in words.
    stages : tuple of Stage
        Convolutions with pages.
    key : str
        Hash of model, settings and images. Pages with the same key are not made again.
    """

    trained: TrainedModel
    settings: AtlasSettings
    ids: tuple[str, ...]
    cutouts: tuple[Cutout, ...]
    labels: tuple[str, ...]
    images: npt.NDArray[np.float32]
    stretched: npt.NDArray[np.float32]
    logits: npt.NDArray[np.float32]
    shown: tuple[int, ...]
    sigma: npt.NDArray[np.float32]
    sigma_source: str
    stages: tuple[Stage, ...] = field(default=())
    key: str = ""
    left_out: Mapping[str, str] = field(default_factory=dict)

    @property
    def classes(self) -> tuple[str, ...]:
        """Classes of the model."""
        return self.trained.classes

    def answer(self, row: int) -> str:
        """Return the predicted class of a galaxy."""
        return self.classes[int(np.argmax(self.logits[row]))]

    def heading(self, row: int) -> str:
        """Return a heading with id, predicted class and label of a galaxy."""
        shares = np.exp(self.logits[row] - self.logits[row].max())
        said = f"{self.answer(row)} {shares.max() / shares.sum():.2f}"
        return f"{self.ids[row]}\n{said}" + (f"\ntrue: {self.labels[row]}" if self.labels[row] else "")

    def inputs(self, convolution: str) -> tuple[str, ...]:
        """Return names of the inputs of a convolution: the bands, if it reads the (cropped) images."""
        layers = network_layers(self.trained.network)
        source = layers[convolution].sources[0]
        while source != "input" and isinstance(layers[source].layer, _PASSING):
            source = layers[source].sources[0]
        if source == "input":
            return self.trained.card.inputs.bands
        return tuple(f"input {i}" for i in range(layers[source].shape[-1] or 0))

    def targets(self) -> list[Target]:
        """Return the predicted class of each shown galaxy as a target."""
        return [Target.of_class(self.answer(row), self.classes) for row in self.shown]


def subject_of(
    trained: TrainedModel,
    catalog: Catalog,
    files: InputFiles,
    *,
    settings: AtlasSettings,
    max_unreadable: float = MAX_UNREADABLE,
    progress: Progress = silent,
) -> AtlasSubject:
    """Load the galaxies of an atlas and compute their logits."""
    found = files.readable(trained.card.inputs, max_unreadable=max_unreadable, progress=progress)
    catalog, cutouts = catalog.select([name in found.ids for name in catalog.ids]), found.cutouts
    seen = Prepared.of(trained, cutouts, ids=catalog.ids)
    labels = tuple(name if name in trained.classes else "" for name in labels_of(catalog))
    sigma, source = _noise(cutouts, seen.images)
    stages = convolution_stages(trained.network)
    if len(stages) > settings.stages:
        chosen = np.unique(np.linspace(0, len(stages) - 1, settings.stages).round().astype(int))
        stages = [stages[i] for i in chosen]
    described = (__version__, trained.card.model_sha256, settings, tuple(catalog.ids), labels)
    digest = hashlib.sha256(repr(described).encode() + seen.images.tobytes())
    return AtlasSubject(
        trained,
        settings,
        tuple(catalog.ids),
        seen.cutouts,
        labels,
        seen.images,
        seen.stretched,
        seen.logits,
        _shown(seen.logits, labels, trained.classes, settings.shown),
        sigma,
        source,
        tuple(stages),
        digest.hexdigest(),
        found.left_out,
    )


def _shown(
    logits: npt.NDArray[np.float32], labels: Sequence[str], classes: Sequence[str], n: int
) -> tuple[int, ...]:
    """Return rows from each class in turn, by decreasing probability of that class."""
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    answers = np.argmax(logits, axis=1)
    queues = []
    for i, name in enumerate(classes):
        own = [row for row, label in enumerate(labels) if (label or classes[answers[row]]) == name]
        queues.append(sorted(own, key=lambda row, i=i: -shares[row, i]))  # type: ignore[misc]
    return tuple(in_turn(queues)[:n])


def _noise(cutouts: Sequence[Cutout], images: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.float32], str]:
    known = [cutout.sigma for cutout in cutouts if cutout.sigma is not None]
    if len(known) == len(cutouts):
        sigma = np.moveaxis(np.stack(known), 1, -1)
        middle = np.nanmedian(sigma)
        return np.where(np.isfinite(sigma), sigma, middle).astype(np.float32), "of the files"
    return sky_noise(images).astype(np.float32), "measured on the frames of the images"
