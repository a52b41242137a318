"""Preflight checks of an experiment: data, network and a short training."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
from astropy.table import Table

from galcnn._runtime import seeding
from galcnn._runtime.progress import Progress, silent
from galcnn.diagnostics import preflight
from galcnn.diagnostics.initialisation import initialisation_table
from galcnn.errors import message
from galcnn.experiment.data import ExperimentData, read_data
from galcnn.experiment.settings import Experiment
from galcnn.experiment.training import health_log_of
from galcnn.model import NetworkSettings, assemble, build_network
from galcnn.model.build import PREPROCESSING
from galcnn.training import training_batches
from galcnn.training.rate_search import learning_rate_range_test, smoothed
from galcnn.viewers import save_figure
from galcnn.viewers.plots.training import learning_rate_figure

_IMAGES = 256  # number of images of checks that do not need all
_PENALTY = 1e-3  # L2 penalty for the check, if the experiment has none


def check_experiment(experiment: Experiment, *, progress: Progress = silent) -> list[preflight.Check]:
    """Run all preflight checks of an experiment; nothing is saved, except shards if they are set.

    Parameters
    ----------
    experiment : Experiment
        Settings of the experiment.
    progress : galcnn._runtime.progress.Progress
        Progress display.

    Returns
    -------
    list of galcnn.diagnostics.preflight.Check
        Result of each check.

    Raises
    ------
    OSError, ValueError
        If the input is invalid, or the experiment is of votes.
    """
    return check_prepared(read_data(experiment, progress=progress), progress=progress)


def check_prepared(prepared: ExperimentData, *, progress: Progress = silent) -> list[preflight.Check]:
    """Run all preflight checks of an experiment whose data have been read."""
    if prepared.dataset.votes is not None:
        raise ValueError(
            message(
                "an experiment with classes",
                "The checks need classes: give a label column instead of votes.",
                votes=prepared.dataset.classes,
            )
        )
    planned = list(_planned(prepared))
    found = []
    with progress("check", len(planned)) as step:
        for check in planned:
            found.append(check())
            step(found[-1].name)
    return found


def _planned(prepared: ExperimentData) -> Iterator[Callable[[], preflight.Check]]:
    experiment, sides = prepared.experiment, prepared.sides
    training, seed = sides["train"], experiment.seed
    order = seeding.generator(seed, "check").permutation(len(training))
    some = training.select(order[:_IMAGES])
    model = prepared.new_model()
    preprocessing, given = model.get_layer(PREPROCESSING), prepared.network_settings()
    plain = replace(given, dropout=0.0, spatial_dropout=0.0, l1=0.0, l2=0.0, regularizer=None, max_norm=None)
    penalised = given if given.l1 or given.l2 or given.regularizer else replace(given, l2=_PENALTY)

    def build(network: NetworkSettings = plain) -> keras.Model:
        made = build_network(
            prepared.dataset.inputs.image_shape, len(prepared.dataset.classes), settings=network, seed=seed
        )
        return assemble(preprocessing, made)

    without = replace(penalised, l1=0.0, l2=0.0, regularizer=None)
    how = experiment.training
    yield lambda: preflight.check_shared(sides)
    yield lambda: preflight.check_duplicates(sides)
    yield lambda: preflight.check_loss_at_start(model, some)
    yield lambda: preflight.check_bands(model, some)
    yield lambda: preflight.check_regularization(build(without), build(penalised), some)
    yield lambda: preflight.check_overfitting(build, training, settings=how, seed=seed)
    yield lambda: preflight.check_shuffled_labels(
        build, training, sides["validation"], settings=how, seed=seed
    )


def experiment_signals(experiment: Experiment, *, progress: Progress = silent) -> Table:
    """Measure the signals of the untrained network for the first batch of an experiment."""
    prepared = read_data(experiment, progress=progress)
    batches = training_batches(prepared.sides["train"], experiment.training, experiment.seed)
    images = next(iter(batches.beginning_at(0)))[0]
    return initialisation_table(prepared.new_model(), np.asarray(images), seed=experiment.seed)


def find_learning_rate(
    experiment: Experiment, figure: str | os.PathLike[str], *, progress: Progress = silent
) -> float | None:
    """Run a learning rate range test on the training set, plot it, and return the suggested rate."""
    prepared = read_data(experiment, progress=progress)
    test = learning_rate_range_test(
        prepared.new_model(),
        prepared.sides["train"],
        settings=experiment.training,
        seed=experiment.seed,
        progress=progress,
    )
    save_figure(learning_rate_figure(test.rates, test.losses, smoothed(test.losses), test.suggestion), figure)
    return test.suggestion


def read_health(model: str | os.PathLike[str]) -> Table:
    """Read the health record of a training, which may be running or have failed."""
    for path in (Path(model) / "health.csv", health_log_of(model)):
        if path.is_file():
            return Table.read(path, format="ascii.csv")
    raise FileNotFoundError(
        message("a model that was trained with --set health=50", "", model=os.fspath(model))
    )
