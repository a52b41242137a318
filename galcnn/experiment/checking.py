"""Check an experiment before it is trained: its data, its network, and that the two can learn."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import keras

from galcnn import seeding
from galcnn.errors import message
from galcnn.experiment.prepare import Prepared, prepare
from galcnn.experiment.settings import Experiment
from galcnn.health import checks
from galcnn.model import NetworkSettings, assemble, build_network
from galcnn.model.network import PREPROCESSING
from galcnn.progress import Progress, silent

__all__ = ["check_experiment", "check_prepared"]

_IMAGES = 256  # for the checks that need no more
_PENALTY = 1e-3  # switched on where the experiment has none


def check_experiment(experiment: Experiment, *, progress: Progress = silent) -> list[checks.Check]:
    """Run all checks on an experiment; nothing is trained for good and nothing is written.

    Parameters
    ----------
    experiment : Experiment
        What will be done.
    progress : galcnn.progress.Progress
        Shows reading and checks.

    Returns
    -------
    list of galcnn.health.checks.Check
        One a check, passed or not.

    Raises
    ------
    OSError, ValueError
        Bad input.
    """
    return check_prepared(prepare(experiment, progress=progress), progress=progress)


def check_prepared(prepared: Prepared, *, progress: Progress = silent) -> list[checks.Check]:
    """Run all checks on an experiment whose data have been read.

    Parameters
    ----------
    prepared : Prepared
        With its three splits.
    progress : galcnn.progress.Progress
        Shows checks.

    Returns
    -------
    list of galcnn.health.checks.Check
        One a check, passed or not.

    Raises
    ------
    ValueError
        The experiment's targets are votes.
    """
    if prepared.dataset.votes is not None:
        raise ValueError(
            message(
                "an experiment with classes",
                "Checks of the loss and of shuffled labels are of classes: check it with a label column.",
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


def _planned(prepared: Prepared) -> Iterator[Callable[[], checks.Check]]:
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
    yield lambda: checks.check_shared(sides)
    yield lambda: checks.check_duplicates(sides)
    yield lambda: checks.check_loss_at_start(model, some)
    yield lambda: checks.check_bands(model, some)
    yield lambda: checks.check_regularization(build(without), build(penalised), some)
    yield lambda: checks.check_overfitting(build, training, settings=how, seed=seed)
    yield lambda: checks.check_shuffled_labels(build, training, sides["validation"], settings=how, seed=seed)
