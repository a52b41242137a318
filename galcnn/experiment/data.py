"""Data of an experiment: catalog, dataset and splits, and untrained models that fit them."""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import keras
import numpy as np

from galcnn._runtime.progress import Progress, silent
from galcnn.catalog import Catalog, read_catalog, relabel
from galcnn.catalog.catalog import SPLITS
from galcnn.catalog.formats import Columns, Galaxies
from galcnn.dataset import Dataset, InputFiles, read_dataset, read_vote_dataset, split_catalog
from galcnn.dataset.reader import HeldCutouts
from galcnn.errors import message
from galcnn.experiment.galaxies import training_catalog
from galcnn.experiment.settings import DataSettings, Experiment
from galcnn.experiment.starting import check_parent, inputs_of, start_from
from galcnn.model import Card, InputSpec, NetworkSettings, assemble, build_network, fit_preprocessing
from galcnn.model.pretrained import Parent, resolve
from galcnn.model.weights import give_weights
from galcnn.photometry import DISPLAY
from galcnn.training import make_optimizer
from galcnn.training.augmentation import is_chiral
from galcnn.training.vote_losses import check_vote_settings

#: Default field of pictures without WCS. Those of Galaxy Zoo are scaled to some four Petrosian radii; the
#: outer third of their side shows neighbours and sky.
_PICTURE_FIELD = 2 / 3


@dataclass(frozen=True, eq=False)
class ExperimentData:
    """Data of an experiment.

    Attributes
    ----------
    experiment : Experiment
        Settings of the experiment.
    catalog : galcnn.catalog.Catalog
        Catalog of all galaxies whose images can be read, with a column `split`.
    dataset : galcnn.dataset.Dataset
        Images and labels of these galaxies.
    sides : mapping of str to galcnn.dataset.Dataset
        Datasets of ``train``, ``validation`` and ``test``.
    """

    experiment: Experiment
    catalog: Catalog
    dataset: Dataset
    sides: Mapping[str, Dataset]

    @functools.cached_property
    def parent(self) -> Parent | None:
        """Network from which the training starts, read when it is asked for; None if its weights are new."""
        start = self.experiment.start
        return None if start is None else resolve(start.model, scaling=start.scaling)

    def network_settings(self, *, averaged: bool = False) -> NetworkSettings:
        """Return the settings of the network, with its default field and orientations filled in.

        If the experiment averages orientations in prediction only, they are averaged only if `averaged`.
        """
        network, inputs = self.experiment.network, self.dataset.inputs
        if network.averaging == "prediction" and not averaged:
            network = replace(network, orientations=1)
        elif network.orientations is None:
            network = replace(network, orientations=self._default_orientations())
        if network.field is None and inputs.unit == DISPLAY.name and inputs.pixel_scale is None:
            return replace(network, field=_PICTURE_FIELD)
        return network

    def _default_orientations(self) -> Literal[1, 4, 8]:
        if self.dataset.inputs.shape[0] != self.dataset.inputs.shape[1]:
            return 1
        return 4 if _unlike_mirrored(self.experiment, self.dataset.classes) else 8

    def new_model(
        self, seed: int | None = None, *, synchronized: bool = False, averaged: bool = False
    ) -> keras.Model:
        """Build an untrained model, with preprocessing fitted to the training set.

        If `synchronized`, batch statistics are computed over all devices. With a parent, the network has its
        weights, and averages its orientations if `averaged`.
        """
        if self.parent is not None:
            most = 4 if _unlike_mirrored(self.experiment, self.dataset.classes) else 8
            return start_from(
                self.parent,
                self.experiment,
                self.sides["train"],
                seed=seed,
                synchronized=synchronized,
                orientations=most if averaged else 1,
            )[0]
        data, inputs = self.experiment.data, self.dataset.inputs
        network = replace(self.network_settings(averaged=averaged), synchronized=synchronized)
        return assemble(
            fit_preprocessing(
                self.sides["train"].images,
                stretch=data.stretch,
                scaling=data.scaling,
                per=data.per,
                unit=inputs.unit,
            ),
            build_network(
                inputs.image_shape,
                len(self.dataset.classes),
                settings=network,
                seed=self.experiment.seed if seed is None else seed,
            ),
        )

    def averaged(self, model: keras.Model) -> keras.Model:
        """Return a trained model for prediction: of a single device, averaging all its orientations."""
        made = self.new_model(averaged=True)
        give_weights(made, model)
        return made


def read_data(
    experiment: Experiment,
    *,
    catalog: Galaxies | None = None,
    inputs: InputSpec | None = None,
    progress: Progress = silent,
) -> ExperimentData:
    """Read and split the data of an experiment.

    Parameters
    ----------
    experiment : Experiment
        Settings of the experiment.
    catalog : path-like, Catalog, Table or DataFrame, optional
        Catalog to read instead of the file that the settings name.
    inputs : galcnn.model.InputSpec, optional
        Images that a network reads; by default those of the parent, or like the first image.
    progress : galcnn._runtime.progress.Progress
        Progress display.

    Returns
    -------
    ExperimentData
        Data with every class in each split.

    Raises
    ------
    OSError, ValueError
        If the input is invalid. Settings are checked before images are read.
    """
    data = experiment.data
    make_optimizer(experiment.training, updates_per_epoch=1)  # checks the settings before reading
    if data.votes is not None:
        check_vote_settings(experiment.training)
    catalog = split_catalog(
        _catalog_of(data, catalog), by=data.split_by, fractions=data.fractions, seed=experiment.split_seed
    )
    classes = catalog.classes if data.votes is None else data.votes.answers
    orientations = experiment.network.orientations
    if (chiral := _unlike_mirrored(experiment, classes)) and orientations == 8:
        raise ValueError(
            message(
                "classes that mirroring does not change, for a network of 8 orientations",
                "It cannot distinguish them: use 4 orientations, or merge the classes.",
                classes=chiral,
            )
        )
    start = experiment.start
    if start is not None and inputs is None:
        parent = resolve(start.model, scaling=start.scaling)
        check_parent(parent, data)
        inputs = inputs_of(parent, data)
    read = read_dataset if data.votes is None else partial(read_vote_dataset, votes=data.votes)
    dataset = read(
        catalog,
        images=data.images,
        bands=data.bands,
        size=data.size,
        render=data.render,
        shards=data.shards,
        max_unreadable=data.max_unreadable,
        inputs=inputs,
        progress=progress,
    )
    if orientations in (4, 8) and dataset.inputs.shape[0] != dataset.inputs.shape[1]:
        raise ValueError(
            message(
                f"square images for {orientations} orientations",
                "Crop them (--size), or leave out network.orientations.",
                shape=dataset.inputs.shape,
            )
        )
    catalog = catalog.select([name not in dataset.left_out for name in catalog.ids])
    dataset = dataset.cached(data.cache_megabytes)
    if experiment.training.augmentation.redshift is not None:
        files = InputFiles.of(catalog, data.images, bands=dataset.inputs.bands)
        dataset = replace(dataset, cutouts=HeldCutouts(files, megabytes=data.cache_megabytes))
    sides = {name: dataset.select(np.asarray(catalog.table["split"]) == name) for name in SPLITS}
    _check_sides(sides)
    return ExperimentData(experiment, catalog, dataset, sides)


def data_of(
    card: Card,
    catalog: Galaxies | None = None,
    *,
    folder: str | os.PathLike[str] | None = None,
    same: bool = False,
    scratch: str | os.PathLike[str] | None = None,
    progress: Progress = silent,
) -> ExperimentData:
    """Read the data of the experiment in a model's card, from another folder of images if one is given.

    With `same`, their hash is checked. With `scratch`, a folder, the images are packed there unless the
    experiment has shards, and are not kept in memory.
    """
    given = training_catalog(card) if catalog is None else catalog
    experiment = Experiment.from_dict(card.settings)
    if isinstance(given, str | os.PathLike):
        experiment = replace(experiment, data=replace(experiment.data, catalog=os.fspath(given)))
    if folder is not None:
        experiment = replace(experiment, data=replace(experiment.data, images=os.fspath(folder)))
    if scratch is not None:
        shards = experiment.data.shards or os.fspath(scratch)
        experiment = replace(experiment, data=replace(experiment.data, shards=shards, cache_megabytes=0.0))
    # A child keeps the images of its parent, which need not be there any more.
    inputs = card.inputs if experiment.start is not None else None
    found = read_data(experiment, catalog=given, inputs=inputs, progress=progress)
    if same and (sha256 := found.dataset.sha256()) != card.data.get("sha256"):
        raise ValueError(
            message(
                "the data that the model was trained on, for its validation and test sets",
                "Give the catalog of the training: --catalog.",
                sha256=f"{sha256[:12]}...",
                card=f"{str(card.data.get('sha256'))[:12]}...",
            )
        )
    return found


def data_of_network(
    card: Card,
    catalog: Galaxies,
    *,
    columns: Columns | None = None,
    folder: str | os.PathLike[str] | None = None,
    fit: bool = False,
    scratch: str | os.PathLike[str] | None = None,
    progress: Progress = silent,
) -> ExperimentData:
    """Read and split a catalog with classes for a network that was trained elsewhere.

    With `scratch`, a folder, the images are packed there and are not kept in memory.
    """
    found = read_catalog(catalog, columns=columns).labelled()
    found = split_catalog(found, by=DataSettings("").split_by, fractions=DataSettings("").fractions, seed=0)
    dataset = read_dataset(
        found,
        images=folder,
        inputs=card.inputs,
        fit=fit,
        classes=card.classes,
        shards=scratch,
        progress=progress,
    )
    found = found.select([name not in dataset.left_out for name in found.ids])
    sides = {name: dataset.select(np.asarray(found.table["split"]) == name) for name in SPLITS}
    _check_sides(sides)
    return ExperimentData(Experiment(DataSettings(str(catalog))), found, dataset, sides)


def _unlike_mirrored(experiment: Experiment, classes: tuple[str, ...]) -> tuple[str, ...]:
    """Return the classes whose mirrored galaxies have another class; all of them if only some are known."""
    mirror = experiment.training.augmentation.mirror_of(classes)
    chiral = tuple(name for name in classes if is_chiral(name))
    return chiral or (classes if np.any(mirror != np.arange(len(mirror))) else ())


def _catalog_of(data: DataSettings, given: Galaxies | None) -> Catalog:
    """Read the catalog of an experiment, and merge and drop classes, which must exist."""
    table = data.catalog if given is None else given
    columns = {"image": data.image_column} | ({"id": data.id} if data.id else {})
    if data.images is not None and data.image_column == "image":
        del columns["image"]  # without this column, files are found by the ids
    if data.votes is not None:
        return read_catalog(table, columns=columns)
    catalog = read_catalog(table, columns=columns | {"class": data.label}).labelled()
    if data.merge or data.drop:
        catalog = relabel(catalog, merge=data.merge, drop=data.drop)
    if len(catalog) == 0 or len(catalog.classes) < 2:
        raise ValueError(
            message(
                "at least two classes to tell apart",
                "Check --label, --merge and --drop.",
                classes=catalog.classes if len(catalog) else (),
                label=data.label,
            )
        )
    return catalog


def _check_sides(sides: Mapping[str, Dataset]) -> None:
    for name, side in sides.items():
        empty = [kind for kind, n in side.counts.items() if n == 0]
        if empty:
            raise ValueError(
                message(
                    f"galaxies of every class in the split {name!r}",
                    "Merge it with another class (--merge), drop it (--drop), or correct the column 'split'.",
                    classes_without=empty,
                )
            )
