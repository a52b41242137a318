"""Fit a model: optimizer, schedule, batches, early stopping on the validation set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import keras
import numpy as np
import tensorflow as tf

from galcnn import seeding
from galcnn.dataset import Dataset
from galcnn.errors import message
from galcnn.progress import Progress, Step, silent
from galcnn.training.augmentation import Augmentation
from galcnn.training.imbalance import Balance, class_weights, resample, trained_prior

__all__ = ["TrainingSettings", "train"]


@dataclass(frozen=True)
class TrainingSettings:
    """How a model is fitted.

    Attributes
    ----------
    epochs : int
        At most.
    batch_size : int
        Images for one update.
    optimizer : str, mapping or keras.optimizers.Optimizer
        Keras identifier, configuration (``{"class_name": ..., "config": {...}}``) or object. A
        decoupled weight decay acts on kernels alone, not on biases and normalisations.
    learning_rate : float or None
        Of the optimizer at its peak; None keeps what the optimizer has.
    schedule : {"constant", "cosine"}
        Cosine: warm-up over 5 % of the updates, then down to zero at the last epoch (Loshchilov
        & Hutter 2017).
    label_smoothing : float
        Share of each label that is spread over all classes: it forgives wrong labels, and makes
        the probabilities more cautious.
    patience : int or None
        Epochs without a lower validation loss before training stops; None: never. The weights
        with the lowest validation loss are kept in any case.
    balance : {"none", "weights", "sqrt-weights", "sampling"}
        How rare classes are treated.
    augmentation : galcnn.training.Augmentation
        Of the training images.
    """

    epochs: int = 30
    batch_size: int = 64
    optimizer: str | Mapping[str, Any] | keras.optimizers.Optimizer = field(
        default_factory=lambda: {
            "class_name": "AdamW",
            "config": {"learning_rate": 3e-3, "weight_decay": 0.02},
        }
    )
    learning_rate: float | None = None
    schedule: Literal["constant", "cosine"] = "cosine"
    label_smoothing: float = 0.05
    patience: int | None = 10
    balance: Balance = "none"
    augmentation: Augmentation = field(default_factory=Augmentation)

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch_size < 1 or (self.patience is not None and self.patience < 1):
            raise ValueError(
                message(
                    "epochs, batch_size and patience of at least 1",
                    "",
                    epochs=self.epochs,
                    batch_size=self.batch_size,
                    patience=self.patience,
                )
            )
        if not 0 <= self.label_smoothing < 1:
            raise ValueError(message("label smoothing in [0, 1)", "", label_smoothing=self.label_smoothing))
        if self.schedule not in ("constant", "cosine"):
            raise ValueError(message("schedule among ('constant', 'cosine')", "", schedule=self.schedule))
        if self.learning_rate is not None and not 0 < self.learning_rate < np.inf:
            raise ValueError(message("a positive learning rate", "", learning_rate=self.learning_rate))


def train(
    model: keras.Model,
    training: Dataset,
    validation: Dataset,
    *,
    settings: TrainingSettings | None = None,
    seed: int = 0,
    progress: Progress = silent,
) -> dict[str, list[float]]:
    """Fit a model in place and leave it with its best weights.

    Parameters
    ----------
    model : keras.Model
        From calibrated images to logits; compiled here.
    training : galcnn.dataset.Dataset
        What it learns from.
    validation : galcnn.dataset.Dataset
        What decides when to stop and which weights are kept: its score is biased, so score
        another set.
    settings : TrainingSettings, optional
        The defaults when not given.
    seed : int
        Of the order of the images and of the augmentation; no global seed is touched.
    progress : galcnn.progress.Progress
        Shows epochs.

    Returns
    -------
    dict of str to list of float
        One value an epoch: `loss`, `accuracy`, `val_loss`, `val_accuracy`.

    Raises
    ------
    ValueError
        Classes of the two sets differ, a class has no training image, or flips would mirror a
        chiral class.
    FloatingPointError
        The loss became NaN or infinite.
    """
    settings = settings or TrainingSettings()
    if training.classes != validation.classes:
        raise ValueError(message(f"validation classes {training.classes}", "", classes=validation.classes))
    batches = training_batches(training, settings, seed)
    model.compile(
        optimizer=optimizer(settings, updates_per_epoch=int(batches.cardinality())),
        loss=keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=settings.label_smoothing),
        metrics=[keras.metrics.CategoricalAccuracy(name="accuracy")],
    )
    patience = settings.epochs if settings.patience is None else settings.patience
    keep = keras.callbacks.EarlyStopping("val_loss", patience=patience, restore_best_weights=True)
    with progress("train", settings.epochs) as step:
        history = model.fit(
            batches,
            epochs=settings.epochs,
            validation_data=validation_batches(training, validation, settings),
            callbacks=[keep, _Epochs(step)],
            shuffle=False,  # the batches shuffle themselves
            verbose=0,
        ).history
    return {name: [float(value) for value in values] for name, values in history.items()}


def optimizer(settings: TrainingSettings, *, updates_per_epoch: int) -> keras.optimizers.Optimizer:
    """Make the optimizer with its schedule; one that is passed as an object stays as it is.

    Parameters
    ----------
    settings : TrainingSettings
        Names, configures or holds the optimizer.
    updates_per_epoch : int
        Length of an epoch, for the schedule.

    Returns
    -------
    keras.optimizers.Optimizer
        A new one.
    """
    given = settings.optimizer
    wanted = keras.optimizers.get(dict(given) if isinstance(given, Mapping) else given)
    config = wanted.get_config()
    peak = settings.learning_rate if settings.learning_rate is not None else config["learning_rate"]
    if isinstance(peak, dict):  # a schedule of the user's own
        return type(wanted).from_config(config)
    if settings.schedule == "cosine":
        updates = settings.epochs * updates_per_epoch
        warm_up = max(updates // 20, 1)
        peak = keras.optimizers.schedules.CosineDecay(
            initial_learning_rate=float(peak) / 100,
            decay_steps=max(updates - warm_up, 1),
            warmup_target=float(peak),
            warmup_steps=warm_up,
        )
    made = type(wanted).from_config(config | {"learning_rate": peak})
    made.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return made


def training_batches(dataset: Dataset, settings: TrainingSettings, seed: int) -> tf.data.Dataset:
    """Give shuffled, augmented batches, another draw in each epoch.

    Parameters
    ----------
    dataset : galcnn.dataset.Dataset
        The training set.
    settings : TrainingSettings
        Batch size, balance, augmentation.
    seed : int
        The same seed gives the same batches.

    Returns
    -------
    tf.data.Dataset
        Of (images, one-hot labels, weights).
    """
    augmentation = settings.augmentation
    augmentation.check(dataset.inputs.shape)
    mirror = tf.constant(augmentation.mirror_of(dataset.classes))
    images, labels = tf.constant(dataset.images), tf.constant(dataset.labels)
    weights = tf.constant(class_weights(dataset, settings.balance, augmentation.mirror_of(dataset.classes)))
    rows = resample(dataset, seed) if settings.balance == "sampling" else np.arange(len(dataset))
    n_classes = len(dataset.classes)

    def batch(chosen: Any, draw: Any) -> tuple[Any, Any, Any]:
        turned, kinds = augmentation.apply(tf.gather(images, chosen), tf.gather(labels, chosen), mirror, draw)
        return turned, tf.one_hot(kinds, n_classes), tf.gather(weights, kinds)

    order = tf.data.Dataset.from_tensor_slices(rows).shuffle(len(rows), seed=seeding.integer(seed, "shuffle"))
    draws = tf.data.Dataset.random(seeding.integer(seed, "augment"), rerandomize_each_iteration=True).batch(2)
    batches = order.batch(settings.batch_size)
    joined = tf.data.Dataset.zip((batches, draws)).map(batch, num_parallel_calls=tf.data.AUTOTUNE)
    # zip with an endless stream hides the length that a schedule and a progress bar need.
    return joined.apply(tf.data.experimental.assert_cardinality(int(batches.cardinality()))).prefetch(2)


def validation_batches(training: Dataset, validation: Dataset, settings: TrainingSettings) -> tf.data.Dataset:
    """Give the validation set in order, weighted as the loss weighs the training set.

    Parameters
    ----------
    training, validation : galcnn.dataset.Dataset
        The two sets.
    settings : TrainingSettings
        Batch size and balance.

    Returns
    -------
    tf.data.Dataset
        Of (images, one-hot labels, weights).
    """
    frequency = np.bincount(training.labels, minlength=len(training.classes)) / len(training)
    mirror = settings.augmentation.mirror_of(training.classes)
    prior = np.array(list(trained_prior(training, settings.balance, mirror).values()))
    weights = (prior / frequency).astype(np.float32)[validation.labels]
    targets = np.eye(len(training.classes), dtype=np.float32)[validation.labels]
    return tf.data.Dataset.from_tensor_slices((validation.images, targets, weights)).batch(256)


class _Epochs(keras.callbacks.Callback):
    """Show each epoch, and stop with a clear word where the loss is lost."""

    def __init__(self, step: Step) -> None:
        super().__init__()
        self.step = step

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        values = logs or {}
        if not np.isfinite([values["loss"], values["val_loss"]]).all():
            raise FloatingPointError(
                message(
                    "a finite loss",
                    "Lower the learning rate, or clip the gradient in the optimizer's configuration.",
                    epoch=epoch + 1,
                    loss=values["loss"],
                    validation_loss=values["val_loss"],
                )
            )
        self.step(
            f"loss {values['loss']:.3f}, validation {values['val_loss']:.3f}, "
            f"accuracy {values['val_accuracy']:.3f}"
        )
