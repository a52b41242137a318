"""How a model is fitted: one record, from one section of an experiment."""

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
    """How a model is fitted.

    Attributes
    ----------
    epochs : int
        At most.
    batch_size : int or "all"
        Images for one update: 1 is stochastic gradient descent, ``"all"`` is full-batch gradient
        descent, with exactly one update an epoch by the gradient of the mean loss.
    chunk_size : int
        Images of which ``batch_size="all"`` takes the gradient at once, so that memory does not
        grow with the data; it changes nothing else.
    optimizer : str, mapping or keras.optimizers.Optimizer
        Keras identifier (sgd, rmsprop, adagrad, adam, adamw ...), configuration
        (``{"class_name": ..., "config": {...}}``) or object; or ``"momentum"`` and ``"nesterov"``
        for SGD with a momentum of 0.9.
    learning_rate : float or None
        Of the optimizer at its peak; None keeps what the optimizer has.
    schedule : str or Schedule
        Name of a schedule, or a schedule with its figures.
    weight_decay : float or None
        Decoupled from the gradient: each update also takes ``learning_rate * weight_decay * w``
        off the kernels, but not off biases and normalisations (Loshchilov & Hutter 2019). None
        keeps what the optimizer has. The penalty in the loss is `l2` of the network.
    clipvalue, clipnorm, global_clipnorm : float or None
        Largest element of the gradient, largest norm of the gradient of each variable, and of
        all together; at most one of the three, as in Keras.
    label_smoothing : float
        Share of each label that is spread over all classes: it forgives wrong labels, and makes
        the probabilities more cautious.
    patience : int or None
        Epochs without a lower validation loss before training stops; None: never. The weights
        with the lowest validation loss are kept in any case.
    tolerance : float or None
        Training stops when the training loss of an epoch (with ``batch_size="all"``: of an
        update) differs by less from that of the epoch before; None: never.
    balance : {"none", "weights", "sqrt-weights", "sampling"}
        How rare classes are treated.
    augmentation : galcnn.training.Augmentation
        Of the training images.
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
        """The way in which gradients are clipped, by Keras' name; at most one."""
        names = ("clipvalue", "clipnorm", "global_clipnorm")
        return {name: value for name in names if (value := getattr(self, name)) is not None}

    def to_dict(self) -> dict[str, Any]:
        """Give plain values, as a card and a checkpoint keep them.

        Returns
        -------
        dict
            An optimizer that was an object is its configuration.
        """
        if isinstance(self.optimizer, keras.optimizers.Optimizer):
            return replace(self, optimizer=keras.optimizers.serialize(self.optimizer)).to_dict()
        return asdict(self)
