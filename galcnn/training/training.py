"""Fit a model with Keras' `fit`, with optimizer, batches, callbacks and checkpoints."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from galcnn.dataset import Dataset
from galcnn.errors import message
from galcnn.model.build import NETWORK
from galcnn.model.devices import loss_scaled, spread_over_workers
from galcnn.training.batches import Batches, training_batches, validation_batches
from galcnn.training.callbacks import FiniteLoss, LossTolerance, RateRecord
from galcnn.training.checkpoint import Checkpoint
from galcnn.training.fine_tuning import HeadFirst, freeze, layer_rates, layers_of, with_layer_rates
from galcnn.training.optimizers import make_optimizer
from galcnn.training.settings import Schedule, StartSettings, TrainingSettings
from galcnn.training.workers import fit_workers

Callbacks = Sequence[keras.callbacks.Callback]


def fit(
    model: keras.Model,
    training: Dataset,
    validation: Dataset,
    *,
    settings: TrainingSettings | None = None,
    start: StartSettings | None = None,
    seed: int = 0,
    callbacks: Callbacks = (),
) -> dict[str, list[float]]:
    """Fit a model in place and restore its best weights.

    Parameters
    ----------
    model : keras.Model
        Model from calibrated images to logits; it is compiled here.
    training : galcnn.dataset.Dataset
        Training set.
    validation : galcnn.dataset.Dataset
        Validation set. It decides when to stop and which weights are kept, so its score is biased;
        evaluate the model on a third set.
    settings : TrainingSettings, optional
        Settings of the training; ``TrainingSettings()`` by default.
    start : StartSettings, optional
        What is frozen, and at which rates the layers are trained, of a model that starts from another one.
    seed : int
        Seed of the order of the images and of the augmentation. Global seeds are not changed.
    callbacks : sequence of keras.callbacks.Callback
        Additional callbacks. With a `galcnn.training.checkpoint.Checkpoint`, an interrupted training
        with the same settings is resumed.

    Returns
    -------
    dict of str to list of float
        One value per epoch: `loss`, `accuracy`, `val_loss`, `val_accuracy` (no accuracy for votes);
        `learning_rate` at the end of the epoch; and, if the network has penalties, `cross_entropy` and
        `val_cross_entropy`, the losses without them.

    Raises
    ------
    ValueError
        If the classes of the two sets differ, a class has no training image, flips would mirror a
        chiral class, or the checkpoint belongs to other settings.
    FloatingPointError
        If the loss becomes NaN or infinite; raised at that update. The best weights so far, else the
        initial ones, are restored.
    """
    settings = settings or TrainingSettings()
    if (training.classes, training.votes) != (validation.classes, validation.votes):
        raise ValueError(message(f"validation classes {training.classes}", "", classes=validation.classes))
    identity: dict[str, Any] = {}
    if any(isinstance(callback, Checkpoint) for callback in callbacks):
        data = {"training": training.sha256(), "validation": validation.sha256()}
        identity = {"data_sha256": data, "seed": seed}
    return fit_batches(
        model,
        training_batches(training, settings, seed),
        validation_batches(training, validation, settings),
        settings=settings,
        start=start,
        callbacks=callbacks,
        identity=identity,
    )


def fit_batches(
    model: keras.Model,
    batches: Batches,
    validation: tf.data.Dataset,
    *,
    settings: TrainingSettings,
    start: StartSettings | None = None,
    callbacks: Callbacks = (),
    identity: Mapping[str, Any] | None = None,
) -> dict[str, list[float]]:
    """Fit a model in place to given batches.

    Parameters
    ----------
    model : keras.Model
        See `fit`.
    batches : galcnn.training.batches.Batches
        Batches of the training set.
    validation : tf.data.Dataset
        Validation batches of (images, targets, weights).
    settings : TrainingSettings
        Settings; epochs, optimizer, schedule, label smoothing and stopping rules are used.
    start : StartSettings, optional
        See `fit`.
    callbacks : sequence of keras.callbacks.Callback
        See `fit`.
    identity : mapping, optional
        Further values, beside settings and network, that must equal those of the checkpoint.

    Returns
    -------
    dict of str to list of float
        See `fit`.

    Raises
    ------
    ValueError, FloatingPointError
        See `fit`; also if a network with batch normalisation gets a full batch in chunks.
    """
    if start is not None:
        freeze(model.get_layer(NETWORK), start)
    compile_model(model, batches, settings, start)
    # A lower penalty does not mean that the network generalises better.
    watched = "val_cross_entropy" if model.losses else "val_loss"
    patience = settings.epochs if settings.patience is None else settings.patience
    best = keras.callbacks.EarlyStopping(watched, patience=patience, mode="min", restore_best_weights=True)
    rules = [
        best,
        *_rules(settings, watched),
        *_head_first(start, settings, best),
        *(c for c in callbacks if not isinstance(c, Checkpoint)),
    ]
    checkpoints = [callback for callback in callbacks if isinstance(callback, Checkpoint)]
    told = {"training": settings.to_dict(), "layers_sha256": _fingerprint(model), **(identity or {})}
    states = [checkpoint.begin(model, rules, told) for checkpoint in checkpoints]
    begun = next((state for state in states if state is not None), None)
    done, before = (begun.epoch, begun.history) if begun else (0, {})
    if begun and (begun.stopped or done == settings.epochs):  # interrupted after its last epoch
        checkpoints[0].on_train_begin()
        model.set_weights(best.best_weights)
        return dict(before)
    kept = checkpoints[0].path if checkpoints else None
    watching = [FiniteLoss(best, kept, rules), *rules, *checkpoints]
    if spread_over_workers():  # Keras' fit fails there
        history = fit_workers(model, batches, validation, settings=settings, callbacks=watching, done=done)
    else:
        history = model.fit(
            batches.beginning_at(done),
            epochs=settings.epochs,
            initial_epoch=done,
            steps_per_epoch=batches.per_epoch,
            validation_data=validation,
            callbacks=watching,
            shuffle=False,  # the batches shuffle themselves
            verbose=0,
        ).history
    return _joined(before, done, history)


def _joined(
    before: Mapping[str, Sequence[float]], done: int, after: Mapping[str, Sequence[float]]
) -> dict[str, list[float]]:
    """Join two histories, with NaN in the epochs in which a value was not recorded."""
    unknown = (np.nan,) * done, (np.nan,) * len(after.get("loss", ()))
    return {
        name: [*map(float, before.get(name, unknown[0])), *map(float, after.get(name, unknown[1]))]
        for name in {**before, **after}
    }


def compile_model(
    model: keras.Model, batches: Batches, settings: TrainingSettings, start: StartSettings | None = None
) -> None:
    """Compile a model with the optimizer, loss and metrics of the settings."""
    if batches.chunks > 1 and any(
        isinstance(layer, keras.layers.BatchNormalization) for layer in layers_of(model)
    ):
        raise ValueError(
            message(
                "a full batch in one chunk, or a network without batch normalisation",
                "Each chunk would be normalised by itself: the gradient is then not that of the mean loss. "
                "Choose another normalization (group, layer, none), or a chunk_size as large as the set.",
                chunks=batches.chunks,
            )
        )
    plain: list[keras.metrics.Metric] = []
    weighted: list[keras.metrics.Metric] = []
    smoothing = {"from_logits": True, "label_smoothing": settings.label_smoothing}
    if batches.loss is not None:
        loss, entropy = batches.loss, keras.metrics.MeanMetricWrapper(batches.loss.call, "cross_entropy")
    else:
        loss = keras.losses.CategoricalCrossentropy(**smoothing)
        entropy = keras.metrics.CategoricalCrossentropy("cross_entropy", **smoothing)
        if batches.chunks > 1:
            weighted.append(_Accuracy("accuracy"))
        else:
            plain.append(keras.metrics.CategoricalAccuracy("accuracy"))
    if model.losses:  # the entropy excludes the penalties
        weighted.append(entropy)
    optimizer = make_optimizer(settings, updates_per_epoch=batches.updates_per_epoch, chunks=batches.chunks)
    if start is not None:
        optimizer = with_layer_rates(optimizer, layer_rates(model.get_layer(NETWORK), start))
    model.compile(
        optimizer=loss_scaled(optimizer, model), loss=loss, metrics=plain, weighted_metrics=weighted
    )
    if start is not None:  # also of the weights that are frozen in the first epochs only
        model.optimizer.build(model.trainable_variables)


@keras.saving.register_keras_serializable(package="galcnn")
class _Accuracy(keras.metrics.CategoricalAccuracy):
    """Unweighted accuracy without the padding images of weight 0."""

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        super().update_state(y_true, y_pred, sample_weight=keras.ops.cast(sample_weight > 0, "float32"))


def _fingerprint(model: keras.Model) -> str:
    """Hash types and configurations of all layers, without names, which Keras numbers by creation."""
    described = [(type(layer).__name__, layer.get_config() | {"name": ""}) for layer in layers_of(model)]
    return hashlib.sha256(repr(described).encode()).hexdigest()[:16]


def _head_first(
    start: StartSettings | None, settings: TrainingSettings, best: keras.callbacks.EarlyStopping
) -> list[keras.callbacks.Callback]:
    if start is None or not start.head_epochs:
        return []
    if start.head_epochs >= settings.epochs or spread_over_workers():
        raise ValueError(
            message(
                f"fewer head_epochs than the {settings.epochs} epochs, on one machine",
                "To train the layer of the logits alone: --freeze all.",
                head_epochs=start.head_epochs,
            )
        )
    return [HeadFirst(start.head_epochs, best)]


def _rules(settings: TrainingSettings, watched: str) -> list[keras.callbacks.Callback]:
    rules: list[keras.callbacks.Callback] = [RateRecord()]
    schedule = settings.schedule
    if isinstance(schedule, Schedule) and schedule.name == "plateau":
        rules.append(
            keras.callbacks.ReduceLROnPlateau(
                watched, factor=schedule.factor, patience=schedule.patience, mode="min", min_delta=0.0
            )
        )
    if settings.tolerance is not None:
        rules.append(LossTolerance(settings.tolerance))
    return rules
