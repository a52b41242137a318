"""Remove and retrain (ROAR; Hooker et al. 2019, arXiv:1806.10758).

Images with deleted pixels are unlike those in training, and the score of a network may fall for this
reason alone. In ROAR, the pixels that a map ranks highest are removed from all images, including those
of the training set, and a new network is trained on them. If these pixels held information on the
class, its accuracy is lower than that of a network from whose images as many random pixels were
removed. The test is about the *data*, not one network, and needs one training for each method, share
and seed.
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
    """Settings of `galcnn.faithfulness.retrain`.

    Attributes
    ----------
    shares : tuple of float
        Fractions of the pixels in the model's field of view that are removed, between 0 and 1.
    seeds : tuple of int
        Random seeds; there is one training for each method, share and seed.
    epochs : int or None
        Number of epochs of each training; if None, that of the experiment.
    """

    shares: tuple[float, ...] = (0.05, 0.2)
    seeds: tuple[int, ...] = (0, 1)
    epochs: int | None = None

    def __post_init__(self) -> None:
        if not self.shares or not self.seeds or not all(0 < share < 1 for share in self.shares):
            raise ValueError(
                message(
                    "fractions between 0 and 1 and at least one seed",
                    "",
                    shares=self.shares,
                    seeds=self.seeds,
                )
            )

    def n_trainings(self, n_methods: int) -> int:
        """Return the number of trainings for some methods, and for random and the brightest pixels."""
        return (n_methods + 2) * len(self.shares) * len(self.seeds)


def retrain(
    trained: TrainedModel,
    prepared: ExperimentData,
    out: str | os.PathLike[str],
    *,
    explainers: Sequence[Explainer],
    settings: RetrainingSettings | None = None,
    progress: Progress = silent,
    overwrite: bool = False,
) -> QTable:
    """Remove the pixels that maps rank highest from all images, retrain, and score (ROAR).

    Parameters
    ----------
    trained : galcnn.model.TrainedModel
        Model whose maps, for its predicted classes, rank the pixels.
    prepared : galcnn.experiment.data.ExperimentData
        Experiment and data of the model, see `galcnn.experiment.read_data`.
    out : path-like
        Output folder: ``runs/`` (one file per training) and ``retraining.ecsv``. An interrupted run is
        resumed.
    explainers : sequence of Explainer
        The attribution methods. Random pixels and the brightest pixels are removed for comparison.
    settings : RetrainingSettings, optional
        Settings of the trainings; the defaults if None.
    progress : galcnn._runtime.progress.Progress
        Progress bar over trainings.
    overwrite : bool
        If True, delete earlier results in the folder and start again.

    Returns
    -------
    astropy.table.QTable
        One row per method and share: test accuracy, averaged over seeds, and the accuracy lost
        relative to random pixels, with a 95 % bootstrap interval over galaxies and seeds.

    Raises
    ------
    ValueError
        If the folder holds results for another model, other data or settings.
    """
    folder, chosen = Path(out), settings or RetrainingSettings()
    told = repr((trained.card.model_sha256, trained.orientations, prepared.dataset.sha256(), chosen))
    claim = atomic.claim(
        folder,
        told,
        what="one with the same model, data and settings",
        own=("retraining.ecsv", "runs"),
        overwrite=overwrite,
    )
    methods: dict[str, Explainer] = {"random": Noise(), "light": Light()}
    methods |= {explainer.name: explainer for explainer in explainers}
    right: dict[tuple[str, float], npt.NDArray[np.float64]] = {}
    with progress("retrain", chosen.n_trainings(len(methods) - 2)) as step:
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
    write_table(table, folder / "retraining.ecsv")
    return table


def _orders(trained: TrainedModel, side: Dataset, explainer: Explainer) -> npt.NDArray[np.intp]:
    """Rank the pixels of each image by the map of the predicted class."""
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
    """Replace a share of the pixels of each image by sky of the same level and noise."""
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
        start=prepared.experiment.start,
        seed=seed,
    )
    test = own["test"]
    return {"right": (outputs(model, test.images).argmax(axis=1) == test.labels).astype(int).tolist()}


def _table(right: dict[tuple[str, float], npt.NDArray[np.float64]]) -> QTable:
    rows = []
    for (name, share), own in right.items():
        lost = right["random", share] - own  # trainings with the same seed use the same order of galaxies
        low, high = _interval(lost)
        rows.append((name, share, float(own.mean()), float(lost.mean()), low, high, *own.shape))
    names = ("method", "share", "accuracy", "below_random", "low", "high", "n_seeds", "n_galaxies")
    return QTable(rows=rows, names=names)


def _interval(lost: npt.NDArray[np.float64]) -> tuple[float, float]:
    """Return the 95 % bootstrap interval of the mean over seeds and galaxies."""
    # `galcnn.evaluation.estimate` needs two seeds for an interval. A bootstrap gives one over galaxies even
    # with a single training of each method, which may be all that is affordable.
    n_seeds, n_galaxies = lost.shape

    def measure(rows: npt.NDArray[np.int_]) -> npt.NDArray[np.float64]:
        return np.array([lost[rows[:n_seeds]][:, rows[n_seeds:] - n_seeds].mean()])

    _, low, high = bootstrap(measure, np.repeat([0, 1], [n_seeds, n_galaxies]))
    return float(low[0]), float(high[0])


#: Difference between a model and a retrained one: the seed only, or also shuffled labels.
Differing = Literal["seeds", "labels"]


def retrained_models(
    trained: TrainedModel,
    prepared: ExperimentData,
    folder: str | os.PathLike[str],
    *,
    differing: Differing,
    n: int,
    progress: Progress = silent,
    overwrite: bool = False,
) -> tuple[TrainedModel, ...]:
    """Train a model again on the same data and split with other seeds, on true or on shuffled labels."""
    if differing not in get_args(Differing) or n < 1:
        raise ValueError(
            message(
                f"one retrained model or more, differing in one of {get_args(Differing)}",
                "",
                differing=differing,
                n=n,
            )
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
                model = _retrained_model(trained, prepared, differing, number)
                claim.mark()
                save_model(model, claim.folder / name)
            made.append(load_model(claim.folder / name))
            step(name)
    return tuple(made)


def _retrained_model(
    trained: TrainedModel, prepared: ExperimentData, differing: Differing, number: int
) -> TrainedModel:
    experiment = prepared.experiment
    seed = experiment.seed + number
    own = replace(prepared, sides=prepared.sides if differing == "seeds" else _shuffled(prepared, seed))
    model = own.new_model(seed)
    fit(
        model,
        own.sides["train"],
        own.sides["validation"],
        settings=experiment.training,
        start=experiment.start,
        seed=seed,
    )
    if own.network_settings() != own.network_settings(averaged=True):
        model = own.averaged(model)
    data = replace(experiment.data, split_seed=experiment.split_seed)
    told = replace(experiment, data=data, seed=seed)
    return TrainedModel(model, replace(trained.card, metrics={}, settings=told.to_dict()))


def _shuffled(prepared: ExperimentData, seed: int) -> dict[str, Dataset]:
    def shuffle(name: str, side: Dataset) -> Dataset:
        stream = seeding.generator(seed, "shuffled labels", name)
        return side if name == "test" else replace(side, labels=stream.permutation(side.labels, axis=0))

    return {name: shuffle(name, side) for name, side in prepared.sides.items()}
