"""Keras optimizers by name, with learning rate schedule, gradient clipping and decoupled weight decay."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras

from galcnn.errors import message
from galcnn.training.schedules import learning_rate
from galcnn.training.settings import Schedule, TrainingSettings

#: Names that are not classes of Keras but settings of its SGD.
_WORDS: Mapping[str, Mapping[str, Any]] = {
    "momentum": {"class_name": "SGD", "config": {"momentum": 0.9}},
    "nesterov": {"class_name": "SGD", "config": {"momentum": 0.9, "nesterov": True}},
}

#: Names of weights to which weight decay does not apply.
NOT_DECAYED = ["bias", "gamma", "beta"]


def make_optimizer(
    settings: TrainingSettings, *, updates_per_epoch: int, chunks: int = 1
) -> keras.optimizers.Optimizer:
    """Make the optimizer of a training, with its schedule, clipping and weight decay.

    Parameters
    ----------
    settings : TrainingSettings
        Settings of the training. An optimizer that they hold as an object is copied, not changed.
    updates_per_epoch : int
        Number of updates per epoch, for the schedule.
    chunks : int
        Number of batches whose mean gradient makes one update.

    Returns
    -------
    keras.optimizers.Optimizer
        New optimizer.

    Raises
    ------
    ValueError
        If Keras has no such optimizer, or its configuration is invalid.

    Examples
    --------
    >>> made = make_optimizer(TrainingSettings(optimizer="nesterov"), updates_per_epoch=10)
    >>> type(made).__name__, made.momentum, made.nesterov
    ('SGD', 0.9, True)
    """
    given = settings.optimizer
    if isinstance(given, str):
        given = _WORDS.get(given.lower(), given)
    try:
        wanted = keras.optimizers.get(dict(given) if isinstance(given, Mapping) else given)
    except (TypeError, ValueError) as error:
        raise ValueError(
            message(
                f"an optimizer of Keras, or one of {tuple(_WORDS)}",
                "Check its name and configuration.",
                optimizer=given,
                error=str(error).splitlines()[0],
            )
        ) from error
    config = wanted.get_config()
    said = {"weight_decay": settings.weight_decay} if settings.weight_decay is not None else {}
    config |= settings.clipping | said
    if chunks > 1:
        config["gradient_accumulation_steps"] = chunks
    peak = settings.learning_rate if settings.learning_rate is not None else config["learning_rate"]
    if not isinstance(peak, dict):  # a dict is a schedule of the user
        assert isinstance(settings.schedule, Schedule)
        peak = learning_rate(
            settings.schedule, float(peak), epochs=settings.epochs, updates_per_epoch=updates_per_epoch
        )
    made = type(wanted).from_config(config | {"learning_rate": peak})
    made.exclude_from_weight_decay(var_names=NOT_DECAYED)
    return made
