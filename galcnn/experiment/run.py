"""Run an experiment from its catalog to a saved, scored model."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
from astropy.table import Table

from galcnn.catalog import SPLITS, Catalog, read_catalog, relabel, write_table
from galcnn.dataset import Dataset, read_dataset, split_catalog
from galcnn.errors import message
from galcnn.evaluation import Score, evaluate
from galcnn.experiment.settings import DataSettings, Experiment
from galcnn.model import (
    Card,
    TrainedModel,
    assemble,
    build_network,
    refuse_foreign_folder,
    save_model,
)
from galcnn.photometry import DISPLAY
from galcnn.prediction import Prediction, predict_images, prediction_table
from galcnn.preprocessing import fit_preprocessing
from galcnn.progress import Progress, silent
from galcnn.training import Epochs, class_frequency, train, trained_prior

__all__ = ["run_experiment"]

#: Pictures of Galaxy Zoo are scaled to their galaxy and some four Petrosian radii wide: the outer third of
#: their side shows neighbours and sky.
_PICTURE_FIELD = 2 / 3


def run_experiment(
    experiment: Experiment, out: str | os.PathLike[str], *, progress: Progress = silent
) -> TrainedModel:
    """Train a model, score it once on its test set, and save it.

    Parameters
    ----------
    experiment : Experiment
        What to do.
    out : path-like
        Model folder: ``model.keras``, ``card.json``, ``history.csv`` (one row an epoch) and
        ``test.ecsv`` (the prediction of each test galaxy beside its true class).
    progress : galcnn.progress.Progress
        Shows reading and epochs.

    Returns
    -------
    galcnn.model.TrainedModel
        As saved; its card holds the scores.

    Raises
    ------
    OSError, ValueError
        Bad input, said before anything is trained; nothing is left behind.
    """
    refuse_foreign_folder(out)
    data, seed = experiment.data, experiment.seed
    catalog = split_catalog(_catalog(data), by=data.split_by, fractions=data.fractions, seed=seed)
    experiment.training.augmentation.mirror_of(catalog.classes)  # refuse before reading
    dataset = read_dataset(catalog, bands=data.bands, size=data.size, render=data.render, progress=progress)
    sides = {name: dataset.select(np.asarray(catalog.table["split"]) == name) for name in SPLITS}
    _check_sides(sides)
    training = sides["train"]
    network = experiment.network
    if network.field is None and dataset.inputs.unit == DISPLAY.name and dataset.inputs.pixel_scale is None:
        network = replace(network, field=_PICTURE_FIELD)
    model = assemble(
        fit_preprocessing(training.images, stretch=data.stretch, scaling=data.scaling, per=data.per),
        build_network(dataset.inputs.image_shape, len(dataset.classes), settings=network, seed=seed),
    )
    with progress("train", experiment.training.epochs) as step:
        history = train(
            model,
            training,
            sides["validation"],
            settings=experiment.training,
            seed=seed,
            callbacks=[Epochs(step)],
        )
    test = sides["test"]
    prediction = Prediction(test.ids, predict_images(model, test.images), dataset.classes)
    labels = [dataset.classes[i] for i in test.labels]
    balance = experiment.training.balance
    mirror = experiment.training.augmentation.mirror_of(dataset.classes)
    card = Card(
        classes=dataset.classes,
        inputs=dataset.inputs,
        data=_describe(catalog, dataset, sides, data),
        class_prior=class_frequency(training),
        trained_prior=trained_prior(training, balance, mirror),
        settings=experiment.to_dict(),
        metrics=_metrics(evaluate(prediction, labels, seed=seed), len(test), len(history["loss"])),
        versions=_versions(),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    scored = prediction_table(prediction)
    scored.add_column(labels, name="true_class", index=1)
    return save_model(
        TrainedModel(model, card),
        out,
        extra={
            "history.csv": lambda path: write_table(_history(history), path),
            "test.ecsv": lambda path: write_table(scored, path),
        },
    )


def _catalog(data: DataSettings) -> Catalog:
    columns = {"image": data.image_column, "class": data.label} | ({"id": data.id} if data.id else {})
    catalog = read_catalog(data.catalog, columns=columns)
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
                    "Merge or drop the rare class, or mend the column 'split'.",
                    classes_without=empty,
                )
            )


def _describe(
    catalog: Catalog, dataset: Dataset, sides: Mapping[str, Dataset], data: DataSettings
) -> dict[str, Any]:
    content: dict[str, Any] = {
        "survey": data.survey,
        "licence": data.licence,
        "sha256": dataset.sha256(),
        "split_by": data.split_by,
        "masked_fraction": round(dataset.masked_fraction, 6),
        "counts": {name: side.counts for name, side in sides.items()},
    }
    training = catalog.select(np.asarray(catalog.table["split"]) == "train").table
    for column in ("redshift", "mag_r"):
        if column in training.colnames:
            values = np.asarray(training[column], dtype=float)
            if np.isfinite(values).any():
                content[f"{column}_range"] = [float(np.nanmin(values)), float(np.nanmax(values))]
    return content


def _metrics(scores: Mapping[str, Score], n_test: int, epochs: int) -> dict[str, Any]:
    """NaN has no word in JSON: an undefined figure is null."""

    def plain(value: float) -> float | None:
        return round(value, 6) if np.isfinite(value) else None

    figures = {
        name: {"value": plain(s.value), "low": plain(s.low), "high": plain(s.high), "n": s.n}
        for name, s in scores.items()
    }
    return {
        "n_test": n_test,
        "epochs": epochs,
        "interval": "95 % bootstrap, stratified by class; Wilson for a share of 0 or 1",
        "test": figures,
    }


def _history(history: Mapping[str, Sequence[float]]) -> Table:
    epochs = np.arange(1, len(history["loss"]) + 1)
    return Table({"epoch": epochs} | {name: list(values) for name, values in history.items()})


def _versions() -> dict[str, str]:
    packages = ("galcnn", "tensorflow", "keras", "numpy", "astropy")
    return {name: importlib.metadata.version(name) for name in packages} | {
        "python": platform.python_version()
    }
