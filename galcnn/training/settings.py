"""Settings of a training, as in section [training] of an experiment. Does not import Keras."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from galcnn.errors import message
from galcnn.training.augmentation import Augmentation
from galcnn.training.class_weights import BALANCES, Balance

if TYPE_CHECKING:
    from keras.optimizers import Optimizer
else:  # the hint is read to check settings; Keras is imported by those who train
    Optimizer = Any

ScheduleName = Literal["constant", "step", "exponential", "cosine", "plateau"]
SCHEDULES: tuple[str, ...] = get_args(ScheduleName)


@dataclass(frozen=True)
class Schedule:
    """Learning rate schedule of a training.

    Attributes
    ----------
    name : {"constant", "step", "exponential", "cosine", "plateau"}
        Name of the schedule. ``"step"`` multiplies the rate by `factor` every `every` epochs;
        ``"exponential"`` does so continuously. ``"cosine"`` decreases it to zero at the last epoch
        (Loshchilov & Hutter 2017). ``"plateau"`` multiplies it by `factor` when the validation loss
        has not fallen for `patience` epochs.
    warm_up : float or None
        Fraction of all updates in which the rate first rises linearly to its peak. It starts from a
        hundredth of the peak. None means 0.05 for ``"cosine"`` and 0 for the others.
    factor : float
        Factor of ``"step"``, ``"exponential"`` and ``"plateau"``, in (0, 1).
    every : float
        Interval of ``"step"`` and ``"exponential"``, in epochs.
    patience : int
        Epochs without a lower validation loss before ``"plateau"`` reduces the rate.
    """

    name: ScheduleName = "cosine"
    warm_up: float | None = None
    factor: float = 0.1
    every: float = 10.0
    patience: int = 5

    def __post_init__(self) -> None:
        if self.name not in SCHEDULES:
            raise ValueError(message(f"schedule among {SCHEDULES}", "", schedule=self.name))
        if not 0 <= (self.warm_up or 0) < 1:
            raise ValueError(message("a warm-up in [0, 1)", "", warm_up=self.warm_up))
        if self.name == "plateau" and self.warm_up:
            raise ValueError(
                message(
                    "no warm-up before a plateau",
                    "The rate is then moved by the validation loss alone.",
                    warm_up=self.warm_up,
                )
            )
        if not 0 < self.factor < 1 or not self.every > 0 or self.patience < 1:
            raise ValueError(
                message(
                    "a factor in (0, 1), a positive number of epochs, a patience of at least 1",
                    "",
                    factor=self.factor,
                    every=self.every,
                    patience=self.patience,
                )
            )


@dataclass(frozen=True)
class StartSettings:
    """Settings of a training that starts from a trained model.

    Attributes
    ----------
    model : str
        Parent model: a folder, a file, or the name of a model that ships with galcnn. Also
        ``keras.applications:NAME:imagenet``, ``keras_hub:PRESET`` or ``hf://owner/name@revision``.
        Folders hold a model of galcnn or an encoder in the format of timm. See
        `galcnn.model.pretrained.resolve`.
    freeze : {"none", "body", "all"} or int
        Layers of the parent that are not trained. ``"body"``: up to the last feature maps. ``"all"``: all
        but the layer of the logits. A number: the first layers with weights. Frozen batch
        normalisations keep their statistics.
    head_epochs : int
        Number of first epochs in which only the layer of the logits is trained.
    body_rate : float
        Learning rate of the parent's layers, as a fraction of that of the logits.
    rate_decay : float
        Factor on the learning rate from each layer with weights to the one below it, in (0, 1].
        The logits have the rate r, the layer below them r body_rate, the next r body_rate rate_decay, and so
        on. Weight decay is reduced by the same factors.
    batch_norm : {"keep", "adapt"}
        Whether batch normalisations of the parent are trained. ``"keep"``: their statistics, scale and
        offset are kept. ``"adapt"``: they are trained in the layers that are not frozen.
    bands : {"order", "average", "copy", "new"} or None
        How the first convolution is adapted to the bands. ``"order"``: kernels are kept in their
        order. ``"average"``: each band gets the mean of the parent's kernels; with N bands in place of M
        it is multiplied by M / N, so that the response to an image that is the same in all bands is
        unchanged. ``"copy"``: bands of the parent keep their kernels, by name, and other bands get the mean;
        all are multiplied by M / N. ``"new"``: new kernels. None: copy if the bands are the same in
        another order, order if their number is the same, else average.
    refit : bool
        If true, the preprocessing is fitted to the new images; otherwise that of the parent is kept. It
        is always fitted if the bands differ or the parent has none.
    scaling : {"0-1", "mean-std"} or None
        Scaling of the pictures of an encoder of others, which is needed unless the encoder is a known one.
        See `galcnn.model.encoders.load_encoder`.
    """

    model: str
    freeze: Literal["none", "body", "all"] | int = "none"
    head_epochs: int = 0
    body_rate: float = 0.1
    rate_decay: float = 1.0
    batch_norm: Literal["keep", "adapt"] = "keep"
    bands: Literal["order", "average", "copy", "new"] | None = None
    refit: bool = False
    scaling: Literal["0-1", "mean-std"] | None = None

    def __post_init__(self) -> None:
        number = isinstance(self.freeze, int) and not isinstance(self.freeze, bool) and self.freeze >= 0
        if not number and self.freeze not in FREEZES:
            raise ValueError(
                message(f"freeze among {FREEZES}, or a number of layers", "", freeze=self.freeze)
            )
        if self.head_epochs < 0:
            raise ValueError(message("head_epochs of 0 or more", "", head_epochs=self.head_epochs))
        for name in ("body_rate", "rate_decay"):
            if not 0 < getattr(self, name) <= 1:
                raise ValueError(message(f"a {name} in (0, 1]", "", **{name: getattr(self, name)}))
        for name, words in (("batch_norm", BATCH_NORMS), ("bands", (*BAND_CHANGES, None))):
            if getattr(self, name) not in words:
                raise ValueError(message(f"{name} among {words}", "", **{name: getattr(self, name)}))


FREEZES = ("none", "body", "all")
BATCH_NORMS = ("keep", "adapt")
BAND_CHANGES = ("order", "average", "copy", "new")


@dataclass(frozen=True)
class TrainingSettings:
    """Settings of a training.

    Attributes
    ----------
    epochs : int
        Maximum number of epochs.
    batch_size : int or "all"
        Number of images per update; ``all`` for full-batch gradient descent. 1 is stochastic gradient
        descent; ``"all"`` makes one update per epoch, by the gradient of the mean loss.
    chunk_size : int
        Images whose gradient is computed at once in full-batch gradient descent. It
        limits the memory and does not change the result.
    optimizer : str, mapping or keras.optimizers.Optimizer
        Optimizer: ``sgd``, ``momentum``, ``nesterov``, ``adam``, ``adamw`` or another one of Keras. It
        is given by a Keras identifier, a configuration (``{"class_name": ..., "config": {...}}``) or
        an object; ``"momentum"`` and ``"nesterov"`` are SGD with a momentum of 0.9.
    learning_rate : float or None
        Peak learning rate; none: that of the optimizer.
    schedule : str or Schedule
        Learning rate schedule. In Python, also a `Schedule` with its parameters.
    weight_decay : float or None
        Decoupled weight decay: each update subtracts ``learning_rate * weight_decay * w``. It applies to
        kernels, but not to biases and normalisation weights (Loshchilov & Hutter 2019). None keeps
        that of the optimizer. An L2 penalty of the loss is set by `l2` of the network instead.
    clipvalue : float or None
        Largest absolute value of an element of the gradient.
    clipnorm : float or None
        Largest norm of the gradient of one variable.
    global_clipnorm : float or None
        Largest norm of the whole gradient. At most one of the three may be set, as in Keras.
    label_smoothing : float
        Fraction of each label that is spread evenly over all classes, in [0, 1). It reduces the effect
        of wrong labels and makes the probabilities less extreme.
    patience : int or None
        Epochs without a lower validation loss before training stops; none: never. The weights
        with the lowest validation loss are kept in any case. With a cosine schedule, whose last epochs are
        the best ones, a small number stops too early.
    tolerance : float or None
        Training stops if its loss changes by less than this from one epoch to the next.
    balance : {"none", "weights", "sqrt-weights", "sampling"}
        Treatment of rare classes: class weights in the loss, or sampling. Class weights are the inverse
        frequency or its square root; sampling draws as many images of each class.
    augmentation : galcnn.training.Augmentation
        Random changes of the training images.
    """

    epochs: int = 60
    batch_size: int | Literal["all"] = 64
    chunk_size: int = 256
    optimizer: str | Mapping[str, Any] | Optimizer = field(
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
    patience: int | None = None
    tolerance: float | None = None
    balance: Balance = "none"
    augmentation: Augmentation = field(default_factory=Augmentation)

    def __post_init__(self) -> None:
        if isinstance(self.schedule, str):
            object.__setattr__(self, "schedule", Schedule(self.schedule))  # type: ignore[arg-type]
        if not isinstance(self.optimizer, str | Mapping) and not hasattr(self.optimizer, "get_config"):
            raise ValueError(message("an optimizer of Keras, or its name", "", optimizer=self.optimizer))
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
            raise ValueError(
                message(
                    "at most one of clipvalue, clipnorm and global_clipnorm", "Keep one.", **self.clipping
                )
            )
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
        if not isinstance(self.optimizer, str | Mapping):
            import keras

            return replace(self, optimizer=keras.optimizers.serialize(self.optimizer)).to_dict()
        return asdict(self)
