"""Settings of a training, as in section [training] of an experiment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

import keras
import numpy as np

from galcnn.errors import message
from galcnn.training.augmentation import Augmentation
from galcnn.training.class_weights import BALANCES, Balance
from galcnn.training.schedules import Schedule


@dataclass(frozen=True)
class TrainingSettings:
    """Settings of a training.

    Attributes
    ----------
    epochs : int
        Maximum number of epochs.
    batch_size : int or "all"
        Number of images per update: 1 is stochastic gradient descent, ``"all"`` is full-batch
        gradient descent, with one update per epoch by the gradient of the mean loss.
    chunk_size : int
        Maximum number of images whose gradient is computed at once with ``batch_size="all"``. It
        limits the memory and does not change the result.
    optimizer : str, mapping or keras.optimizers.Optimizer
        Keras identifier (sgd, rmsprop, adagrad, adam, adamw ...), configuration
        (``{"class_name": ..., "config": {...}}``) or object; or ``"momentum"`` and ``"nesterov"``
        for SGD with a momentum of 0.9.
    learning_rate : float or None
        Peak learning rate. None keeps that of the optimizer.
    schedule : str or Schedule
        Name of a schedule, or a schedule with its figures.
    weight_decay : float or None
        Decoupled weight decay: each update subtracts ``learning_rate * weight_decay * w`` from the
        kernels, but not from biases and normalisation weights (Loshchilov & Hutter 2019). None keeps
        that of the optimizer. An L2 penalty of the loss is set by `l2` of the network instead.
    clipvalue, clipnorm, global_clipnorm : float or None
        Maximum absolute value of the gradient's elements, maximum norm per variable, and maximum
        norm over all variables. At most one of the three may be set, as in Keras.
    label_smoothing : float
        Fraction of each label that is spread evenly over all classes. It reduces the effect of wrong
        labels and makes the probabilities less extreme.
    patience : int or None
        Epochs without a lower validation loss before training stops; None for never. The weights
        with the lowest validation loss are kept in any case.
    tolerance : float or None
        Training stops when the training loss changes by less than this from one epoch to the next;
        None for never.
    balance : {"none", "weights", "sqrt-weights", "sampling"}
        Method by which classes are balanced: class weights in the loss (inverse frequency, or its
        square root), or sampling of as many images of each class.
    augmentation : galcnn.training.Augmentation
        Random changes of the training images.
    """

    epochs: int = 30
    batch_size: int | Literal["all"] = 64
    chunk_size: int = 256
    optimizer: str | Mapping[str, Any] | keras.optimizers.Optimizer = field(
        default_factory=lambda: {
            "class_name": "AdamW",
            "config": {"learning_rate": 3e-3, "weight_decay": 0.02},
        }
    )
    learning_rate: float | None = None
    schedule: str | Schedule = field(default_factory=Schedule)
    weight_decay: float | None = None
    clipvalue: float | None = None
    clipnorm: float | None = None
    global_clipnorm: float | None = None
    label_smoothing: float = 0.05
    patience: int | None = 10
    tolerance: float | None = None
    balance: Balance = "none"
    augmentation: Augmentation = field(default_factory=Augmentation)

    def __post_init__(self) -> None:
        if isinstance(self.schedule, str):
            object.__setattr__(self, "schedule", Schedule(self.schedule))  # type: ignore[arg-type]
        sizes = {"epochs": self.epochs, "chunk_size": self.chunk_size, "patience": self.patience}
        sizes |= {} if self.batch_size == "all" else {"batch_size": self.batch_size}
        if any(size is not None and (not isinstance(size, int) or size < 1) for size in sizes.values()):
            raise ValueError(
                message("epochs, batch_size, chunk_size and patience of at least 1", "", **sizes)
            )
        if not 0 <= self.label_smoothing < 1:
            raise ValueError(message("label smoothing in [0, 1)", "", label_smoothing=self.label_smoothing))
        if self.learning_rate is not None and not 0 < self.learning_rate < np.inf:
            raise ValueError(message("a positive learning rate", "", learning_rate=self.learning_rate))
        for name in ("weight_decay", "tolerance", *self.clipping):
            value = getattr(self, name)
            if value is not None and not 0 <= value < np.inf:
                raise ValueError(message(f"a {name} of 0 or more", "", **{name: value}))
        if len(self.clipping) > 1:
            raise ValueError(message("at most one way to clip", "Keep one.", **self.clipping))
        if self.balance not in BALANCES:
            raise ValueError(message(f"balance among {tuple(BALANCES)}", "", balance=self.balance))

    @property
    def clipping(self) -> dict[str, float]:
        """Gradient clipping that is set, Keras' argument -> value; empty or one item."""
        names = ("clipvalue", "clipnorm", "global_clipnorm")
        return {name: value for name in names if (value := getattr(self, name)) is not None}

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as plain values, as stored in cards and checkpoints.

        Returns
        -------
        dict
            Settings; an optimizer object is replaced by its configuration.
        """
        if isinstance(self.optimizer, keras.optimizers.Optimizer):
            return replace(self, optimizer=keras.optimizers.serialize(self.optimizer)).to_dict()
        return asdict(self)
