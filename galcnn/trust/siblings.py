"""Models trained like another, but with other seeds, or on labels that were shuffled."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Literal, get_args

from galcnn import atomic, seeding
from galcnn.dataset import Dataset
from galcnn.errors import message
from galcnn.experiment import Experiment, Prepared, prepare
from galcnn.model import TrainedModel, load_model, save_model
from galcnn.progress import Progress, silent
from galcnn.training import train

__all__ = ["Differing", "prepared_as", "siblings"]

#: In what siblings differ from the model.
Differing = Literal["seeds", "labels"]


def prepared_as(
    trained: TrainedModel, catalog: str | os.PathLike[str] | None = None, *, progress: Progress = silent
) -> Prepared:
    """Read the data that a model was trained on, as its card tells.

    Parameters
    ----------
    trained : galcnn.model.TrainedModel
        Made by `galcnn.run_experiment`.
    catalog : path-like, optional
        Where its catalog lies now; by default where it was.
    progress : galcnn.progress.Progress
        Shows reading.

    Returns
    -------
    galcnn.experiment.Prepared
        In the split of the training.
    """
    experiment = Experiment.from_dict(trained.card.settings)
    if catalog is not None:
        experiment = replace(experiment, data=replace(experiment.data, catalog=os.fspath(catalog)))
    return prepare(experiment, progress=progress)


def siblings(
    trained: TrainedModel,
    prepared: Prepared,
    folder: str | os.PathLike[str],
    *,
    differing: Differing,
    n: int,
    progress: Progress = silent,
) -> tuple[TrainedModel, ...]:
    """Train a model anew, for the scatter of its maps.

    Same data, split and settings; the weights, the order of the galaxies and their augmentation are
    drawn anew. Of shuffled labels, each model learns a shuffling of its own, of training and
    validation set: it sees galaxies, and nothing true about their classes.

    Parameters
    ----------
    trained : galcnn.model.TrainedModel
        The model; its card goes with its siblings.
    prepared : galcnn.experiment.Prepared
        Its experiment and data.
    folder : path-like
        Gets ``seeds-1`` or ``labels-1`` and so on, each a model; those that are there are loaded.
    differing : {"seeds", "labels"}
        In what.
    n : int
        How many.
    progress : galcnn.progress.Progress
        Shows trainings.

    Returns
    -------
    tuple of galcnn.model.TrainedModel
        In order.

    Raises
    ------
    ValueError
        An unknown word, or the folder is of another model or data.
    """
    if differing not in get_args(Differing) or n < 1:
        raise ValueError(
            message(f"one sibling or more that differ in {get_args(Differing)}", "", differing=differing, n=n)
        )
    told = repr((trained.card.model_sha256, prepared.dataset.sha256()))
    mark = atomic.claim(Path(folder), ".siblings", told, what="the same model and data")
    made = []
    with progress(f"train ({differing})", n) as step:
        for number in range(1, n + 1):
            out = Path(folder) / f"{differing}-{number}"
            if not out.exists():
                sibling = _sibling(trained, prepared, differing, number)
                mark()
                save_model(sibling, out)
            made.append(load_model(out))
            step(out.name)
    return tuple(made)


def _sibling(trained: TrainedModel, prepared: Prepared, differing: Differing, number: int) -> TrainedModel:
    experiment = prepared.experiment
    seed = experiment.seed + number
    own = replace(prepared, sides=prepared.sides if differing == "seeds" else _shuffled(prepared, seed))
    model = own.new_model(seed)
    train(model, own.sides["train"], own.sides["validation"], settings=experiment.training, seed=seed)
    if experiment.network.averaging == "prediction":
        model = own.averaged(model)
    data = replace(experiment.data, split_seed=experiment.split_seed)
    told = replace(experiment, data=data, seed=seed)
    return TrainedModel(model, replace(trained.card, metrics={}, settings=told.to_dict()))


def _shuffled(prepared: Prepared, seed: int) -> dict[str, Dataset]:
    def shuffle(name: str, side: Dataset) -> Dataset:
        stream = seeding.generator(seed, "shuffled labels", name)
        return side if name == "test" else replace(side, labels=stream.permutation(side.labels, axis=0))

    return {name: shuffle(name, side) for name, side in prepared.sides.items()}
