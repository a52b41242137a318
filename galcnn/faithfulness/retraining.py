"""ROAR: remove and retrain (Hooker et al. 2019, arXiv:1806.10758).

Deleting pixels shows a network images that it has never seen, and its score may fall for that
alone. Here the pixels that a map ranks first are taken from every image, of the training too, and a
new network is trained on what is left: where they held the information, its accuracy falls below
that of a network from whose images as many pixels were taken at random. It asks what of the *data*
a map points at, and costs a training for every method, share and seed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
from astropy.table import QTable

from galcnn._runtime import atomic, seeding
from galcnn._runtime.progress import Progress, silent
from galcnn.catalog import write_table
from galcnn.dataset import Dataset
from galcnn.errors import message
from galcnn.evaluation import bootstrap
from galcnn.experiment.data import ExperimentData
from galcnn.explain import Context, Explainer
from galcnn.explain.baselines import baseline_images
from galcnn.faithfulness.controls import Light, Noise
from galcnn.faithfulness.deletion_insertion import in_field, order_of
from galcnn.faithfulness.sample import Sample, maps_of
from galcnn.model import Target, TrainedModel, load_model, save_model
from galcnn.model.forward import outputs
from galcnn.training import fit

_PIECE = 256


@dataclass(frozen=True)
class RetrainingSettings:
    """What is trained anew.

    Attributes
    ----------
    shares : tuple of float
        Of the pixels that the model looks at, between 0 and 1: so many are taken.
    seeds : tuple of int
        Of the trainings: each share and method is trained once with each.
    epochs : int or None
        Of each training; those of the experiment by default.
    """

    shares: tuple[float, ...] = (0.05, 0.2)
    seeds: tuple[int, ...] = (0, 1)
    epochs: int | None = None

    def __post_init__(self) -> None:
        if not self.shares or not self.seeds or not all(0 < share < 1 for share in self.shares):
            raise ValueError(
                message("shares between 0 and 1, and a seed", "", shares=self.shares, seeds=self.seeds)
            )


def roar(
    trained: TrainedModel,
    prepared: ExperimentData,
    out: str | os.PathLike[str],
    *,
    explainers: Sequence[Explainer],
    settings: RetrainingSettings | None = None,
    progress: Progress = silent,
    overwrite: bool = False,
) -> QTable:
    """Take pixels from all images in the order of a model's maps, train anew, and score.

    Parameters
    ----------
    trained : galcnn.model.TrainedModel
        Whose maps, of its predicted classes, say what is taken.
    prepared : galcnn.experiment.data.ExperimentData
        Its experiment and data, see `galcnn.experiment.read_data`.
    out : path-like
        Folder: ``runs/`` (one file a training) and ``roar.ecsv``. A run that was stopped goes on.
    explainers : sequence of Explainer
        The methods; pixels at random and the brightest ones are taken beside them.
    settings : RetrainingSettings, optional
        The defaults when not given.
    progress : galcnn._runtime.progress.Progress
        Shows trainings.
    overwrite : bool
        Begin anew, whatever the folder holds.

    Returns
    -------
    astropy.table.QTable
        A row a method and share: test accuracy, mean over seeds, and how far it is below that of
        random pixels, pair by pair, with a 95 % bootstrap interval over galaxies and seeds.

    Raises
    ------
    ValueError
        The folder is of another model, data or settings.
    """
    folder, chosen = Path(out), settings or RetrainingSettings()
    told = repr((trained.card.model_sha256, prepared.dataset.sha256(), chosen))
    claim = atomic.claim(
        folder,
        told,
        what="one with the same model, data and settings",
        own=("roar.ecsv", "runs"),
        overwrite=overwrite,
    )
    methods: dict[str, Explainer] = {"random": Noise(), "light": Light()}
    methods |= {explainer.name: explainer for explainer in explainers}
    right: dict[tuple[str, float], npt.NDArray[np.float64]] = {}
    with progress("retrain", len(methods) * len(chosen.shares) * len(chosen.seeds)) as step:
        for name, explainer in methods.items():
            sides = None
            for share in chosen.shares:
                rows = []
                for seed in chosen.seeds:
                    step(f"{name} {share:g}")
                    file = f"runs/{name}-{share:g}-seed{seed}.json"
                    if not claim.written(file):
                        sides = sides or {
                            side: (own, _orders(trained, own, explainer))
                            for side, own in prepared.sides.items()
                        }
                        claim.mark()
                        made = _retrained(prepared, sides, share, seed, chosen.epochs)
                        atomic.write_json(folder / file, made)
                    rows.append(json.loads((folder / file).read_text(encoding="utf-8"))["right"])
                right[name, share] = np.array(rows, dtype=np.float64)
    table = _table(right)
    write_table(table, folder / "roar.ecsv")
    return table


def _orders(trained: TrainedModel, side: Dataset, explainer: Explainer) -> npt.NDArray[np.intp]:
    """Pixels of each image, those that the map ranks first first."""
    found = []
    for start in range(0, len(side), _PIECE):
        piece = slice(start, start + _PIECE)
        images = np.asarray(trained.preprocessing(side.images[piece], training=False))
        best = np.argmax(outputs(trained.network, images), axis=1)
        targets = tuple(Target.of_class(trained.classes[i], trained.classes) for i in best)
        zero = np.asarray(trained.preprocessing(np.zeros_like(side.images[:1]), training=False))[0]
        sample = Sample(images, targets, Context(ids=side.ids[piece], zero=zero))
        order = order_of(maps_of(trained.network, explainer, sample), explainer.kind)
        found.append(in_field(trained.network, sample, order))
    return np.concatenate(found)


def _without(side: Dataset, order: npt.NDArray[np.intp], share: float) -> Dataset:
    """The images with a share of their pixels turned into sky of their own level and noise."""
    n, ny, nx, _ = side.images.shape
    taken = np.zeros((n, ny * nx), dtype=bool)
    np.put_along_axis(taken, order[:, : round(share * order.shape[1])], True, axis=1)
    images = np.array(side.images[:])
    sky = baseline_images("sky", images, context=Context(ids=side.ids), blur=1.0, seed=0)
    return replace(side, images=np.where(taken.reshape(n, ny, nx, 1), sky, images))


def _retrained(
    prepared: ExperimentData,
    sides: dict[str, tuple[Dataset, npt.NDArray[np.intp]]],
    share: float,
    seed: int,
    epochs: int | None,
) -> dict[str, Any]:
    own = {name: _without(side, order, share) for name, (side, order) in sides.items()}
    settings = prepared.experiment.training
    model = replace(prepared, sides=own).new_model(seed)
    fit(
        model,
        own["train"],
        own["validation"],
        settings=settings if epochs is None else replace(settings, epochs=epochs),
        seed=seed,
    )
    test = own["test"]
    return {"right": (outputs(model, test.images).argmax(axis=1) == test.labels).astype(int).tolist()}


def _table(right: dict[tuple[str, float], npt.NDArray[np.float64]]) -> QTable:
    rows = []
    for (name, share), own in right.items():
        lost = right["random", share] - own  # trainings of one seed see the same galaxies in one order
        low, high = _interval(lost)
        rows.append((name, share, float(own.mean()), float(lost.mean()), low, high, *own.shape))
    names = ("method", "share", "accuracy", "below_random", "low", "high", "n_seeds", "n_galaxies")
    return QTable(rows=rows, names=names)


def _interval(lost: npt.NDArray[np.float64]) -> tuple[float, float]:
    """The 95 % interval of the mean where galaxies, and the seeds of the trainings, are drawn anew."""
    # Not `galcnn.evaluation.estimate`: that asks for two seeds, and gives an interval of Student's t. One
    # training of each method, which is what many can afford, still has an interval over galaxies here.
    n_seeds, n_galaxies = lost.shape

    def measure(rows: npt.NDArray[np.int_]) -> npt.NDArray[np.float64]:
        return np.array([lost[rows[:n_seeds]][:, rows[n_seeds:] - n_seeds].mean()])

    _, low, high = bootstrap(measure, np.repeat([0, 1], [n_seeds, n_galaxies]))
    return float(low[0]), float(high[0])


#: In what siblings differ from the model.
Differing = Literal["seeds", "labels"]


def siblings(
    trained: TrainedModel,
    prepared: ExperimentData,
    folder: str | os.PathLike[str],
    *,
    differing: Differing,
    n: int,
    progress: Progress = silent,
    overwrite: bool = False,
) -> tuple[TrainedModel, ...]:
    """Train a model anew on the same data and split, with other seeds or each on labels shuffled anew."""
    if differing not in get_args(Differing) or n < 1:
        raise ValueError(
            message(f"one sibling or more that differ in {get_args(Differing)}", "", differing=differing, n=n)
        )
    told = repr((trained.card.model_sha256, prepared.dataset.sha256()))
    claim = atomic.claim(
        folder,
        told,
        what="one with the same model and data",
        own=(f"{differing}-*",),
        overwrite=overwrite,
    )
    made = []
    with progress(f"train ({differing})", n) as step:
        for number in range(1, n + 1):
            name = f"{differing}-{number}"
            if not claim.written(name):
                sibling = _sibling(trained, prepared, differing, number)
                claim.mark()
                save_model(sibling, claim.folder / name)
            made.append(load_model(claim.folder / name))
            step(name)
    return tuple(made)


def _sibling(
    trained: TrainedModel, prepared: ExperimentData, differing: Differing, number: int
) -> TrainedModel:
    experiment = prepared.experiment
    seed = experiment.seed + number
    own = replace(prepared, sides=prepared.sides if differing == "seeds" else _shuffled(prepared, seed))
    model = own.new_model(seed)
    fit(model, own.sides["train"], own.sides["validation"], settings=experiment.training, seed=seed)
    if experiment.network.averaging == "prediction":
        model = own.averaged(model)
    data = replace(experiment.data, split_seed=experiment.split_seed)
    told = replace(experiment, data=data, seed=seed)
    return TrainedModel(model, replace(trained.card, metrics={}, settings=told.to_dict()))


def _shuffled(prepared: ExperimentData, seed: int) -> dict[str, Dataset]:
    def shuffle(name: str, side: Dataset) -> Dataset:
        stream = seeding.generator(seed, "shuffled labels", name)
        return side if name == "test" else replace(side, labels=stream.permutation(side.labels, axis=0))

    return {name: shuffle(name, side) for name, side in prepared.sides.items()}
