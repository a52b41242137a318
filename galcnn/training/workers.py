"""Training on several machines, with a custom loop since Keras 3's `fit` fails there (keras#20585).

Each worker makes the same batches and processes its part of each. Gradients are summed, so an update
is that of the whole batch, as on a single device. The first worker sends the content of its checkpoint
to the others, so the file is needed on one machine only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from galcnn.errors import message
from galcnn.model.devices import is_chief
from galcnn.training.batches import Batches
from galcnn.training.settings import TrainingSettings


def fit_workers(
    model: keras.Model,
    batches: Batches,
    validation: tf.data.Dataset,
    *,
    settings: TrainingSettings,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    done: int = 0,
) -> dict[str, list[float]]:
    """Fit a compiled model on several workers; call it in the scope of their strategy."""
    if batches.chunks > 1:
        raise ValueError(
            message("mini-batches on several workers", "Give --batch-size.", chunks=batches.chunks)
        )
    strategy = tf.distribute.get_strategy()
    classes = batches.loss is None
    entropy = batches.loss or keras.losses.CategoricalCrossentropy(
        from_logits=True, label_smoothing=settings.label_smoothing
    )
    replicas = strategy.num_replicas_in_sync

    def figures(images: Any, targets: Any, weights: Any, whole: Any, training: bool) -> Any:
        """Return this worker's part of the mean loss, of its cross-entropy and of the accuracy."""
        logits = model(images, training=training)
        lost = tf.reduce_sum(entropy.call(targets, logits) * weights) / whole
        loss = lost + tf.add_n(model.losses) / replicas if model.losses else lost
        right = tf.cast(tf.argmax(logits, axis=1) == tf.argmax(targets, axis=1), tf.float32)
        return tf.stack([loss, lost, tf.reduce_sum(right) / whole])

    def update(images: Any, targets: Any, weights: Any, whole: Any) -> Any:
        with tf.GradientTape() as tape:
            found = figures(images, targets, weights, whole, training=True)
            scaled = model.optimizer.scale_loss(found[0])
        gradient = tape.gradient(scaled, model.trainable_variables)
        model.optimizer.apply(gradient, model.trainable_variables)  # sums the gradient over the workers
        return found

    def look(images: Any, targets: Any, weights: Any, whole: Any) -> Any:
        return figures(images, targets, weights, whole, training=False)

    @tf.function
    def step(function: Any, batch: Any) -> Any:
        return strategy.reduce(tf.distribute.ReduceOp.SUM, strategy.run(function, args=batch), axis=None)

    def passed(stream: Any, function: Any, prefix: str, n_batches: int | None = None) -> dict[str, float]:
        total, n = np.zeros(3), 0.0
        for number, batch in enumerate(stream, start=1):
            whole = float(strategy.experimental_local_results(batch[3])[0])
            total, n = total + whole * step(function, batch).numpy(), n + whole
            if number == n_batches:
                break
        names = ("loss", "cross_entropy" if model.losses else "", "accuracy" if classes else "")
        return {prefix + name: float(x) for name, x in zip(names, total / n, strict=True) if name}

    model.optimizer.build(model.trainable_variables)
    told = keras.callbacks.CallbackList(list(callbacks), add_history=True, model=model)
    model.stop_training = False
    stream = iter(_shared(strategy, batches.beginning_at(done)))
    told.on_train_begin()
    for epoch in range(done, settings.epochs):
        told.on_epoch_begin(epoch)
        logs = passed(stream, update, "", batches.per_epoch)
        logs |= passed(_shared(strategy, validation), look, "val_")
        told.on_epoch_end(epoch, logs)
        if model.stop_training:
            break
    told.on_train_end()
    return dict(model.history.history)


def _shared(strategy: tf.distribute.Strategy, whole: tf.data.Dataset) -> Any:
    """Return this worker's part of every batch, with the size of the whole batch."""

    def share(context: Any) -> tf.data.Dataset:
        part, parts = context.input_pipeline_id, context.num_input_pipelines

        def cut(*batch: Any) -> tuple[Any, ...]:
            n = tf.shape(batch[0])[0]
            enough = tf.debugging.assert_greater_equal(
                n, parts, "Expected batches of as many images as workers. Choose another batch_size."
            )
            with tf.control_dependencies([enough]):
                first, last = n * part // parts, n * (part + 1) // parts
            return (*(values[first:last] for values in batch), tf.cast(n, tf.float32))

        return whole.map(cut)

    return strategy.distribute_datasets_from_function(share)


def summed_over_workers(
    values: npt.NDArray[np.int32], strategy: tf.distribute.Strategy
) -> npt.NDArray[np.int32]:
    """Sum the values of all workers; each waits for the others."""

    @tf.function
    def total(own: tf.Tensor) -> Any:
        return strategy.reduce(tf.distribute.ReduceOp.SUM, strategy.run(tf.identity, args=(own,)), axis=None)

    return np.asarray(total(tf.constant(values, tf.int32)), np.int32)


def of_first_worker(content: bytes | None, strategy: tf.distribute.Strategy) -> bytes | None:
    """Send the content of the first worker to all workers."""
    own = np.frombuffer((is_chief(strategy) and content) or b"", np.uint8).astype(np.int32)
    sent = np.zeros(summed_over_workers(np.array([own.size], np.int32), strategy)[0], np.int32)
    sent[: own.size] = own
    return summed_over_workers(sent, strategy).astype(np.uint8).tobytes() if sent.size else None
