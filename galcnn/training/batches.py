"""Training and validation batches; their order and augmentation depend on (seed, epoch) alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from galcnn._runtime import seeding
from galcnn.dataset import Dataset
from galcnn.dataset.shards import PackedImages
from galcnn.errors import message
from galcnn.model.preprocessing.statistics import sky_noise
from galcnn.training.class_weights import balanced_rows, class_weights, trained_prior
from galcnn.training.redshifts import RedshiftedImages
from galcnn.training.settings import TrainingSettings
from galcnn.training.vote_losses import check_vote_settings, loss_of_votes, vote_targets


@dataclass(frozen=True)
class Batches:
    """Training batches of all epochs.

    Attributes
    ----------
    beginning_at : callable
        Function of an epoch number that returns a `tf.data.Dataset` of (images, targets, weights),
        from that epoch to the last. The batches of an epoch must depend on its number and a seed
        alone; otherwise a resumed training differs from an uninterrupted one.
    per_epoch : int
        Number of batches per epoch.
    chunks : int
        Number of batches whose mean gradient makes one update.
    loss : keras.losses.Loss or None
        Loss of targets and logits. If None, targets are one-hot labels and the loss is the
        cross-entropy.
    """

    beginning_at: Callable[[int], tf.data.Dataset]
    per_epoch: int
    chunks: int = 1
    loss: keras.losses.Loss | None = None

    @property
    def updates_per_epoch(self) -> int:
        """Number of updates per epoch."""
        return self.per_epoch // self.chunks


def training_batches(dataset: Dataset, settings: TrainingSettings, seed: int) -> Batches:
    """Make shuffled, augmented batches, drawn again in each epoch.

    With ``batch_size="all"`` an epoch is split into chunks of equal size; the last is padded with
    images of weight 0, and the weights are scaled so that the mean gradient of the chunks is the
    gradient of the mean loss over all images.

    Parameters
    ----------
    dataset : galcnn.dataset.Dataset
        The training set.
    settings : TrainingSettings
        Settings; epochs, batch size, balance and augmentation are used.
    seed : int
        Seed of order and augmentation; the same seed gives the same batches.

    Returns
    -------
    Batches
        Batches of all epochs.

    Raises
    ------
    ValueError
        If a class has no image, the augmentation does not fit the classes, the shape or the images, or
        settings for classes are used with votes.
    """
    votes = dataset.votes
    if votes is not None:
        check_vote_settings(settings)
    augmentation = settings.augmentation
    augmentation.check(dataset.inputs.shape)
    mirror = augmentation.mirror_of(dataset.classes)
    images = _gatherer(dataset.images)
    labels = tf.constant(dataset.labels if votes is None else vote_targets(dataset.labels, votes))
    moved = _redshifted(dataset, settings, seed)
    weights = None if votes is not None else tf.constant(class_weights(dataset, settings.balance, mirror))
    rows = balanced_rows(dataset, seed) if settings.balance == "sampling" else np.arange(len(dataset))
    size, number, chunks = _sizes(len(rows), settings)
    filled = number * size - len(rows) if chunks > 1 else 0
    scale = np.float32(number * size / len(rows) if filled else 1.0)
    sky = tf.constant(_sky(dataset) if augmentation.noise else 0.0)
    shuffle, augment = seeding.integer(seed, "shuffle"), seeding.integer(seed, "augment")

    def order(epoch: Any) -> tf.data.Dataset:
        shuffled = tf.random.experimental.stateless_shuffle(rows, [shuffle, tf.cast(epoch, tf.int32)])
        shares = tf.concat([tf.fill([len(rows)], scale), tf.zeros([filled])], 0)
        padded = tf.concat([shuffled, tf.fill([filled], tf.constant(rows[0]))], 0)
        batches = tf.data.Dataset.from_tensor_slices((padded, shares)).batch(size)
        return tf.data.Dataset.zip((batches, tf.data.Dataset.range(epoch * number, (epoch + 1) * number)))

    def batch(chosen: tuple[Any, Any], draw: Any) -> tuple[Any, Any, Any]:
        key = tf.stack([tf.constant(augment, tf.int64), draw])
        found = images(chosen[0]) if moved is None else moved(draw // number, chosen[0])
        turned, kinds = augmentation.apply(
            found, tf.gather(labels, chosen[0]), tf.constant(mirror), key, sky=sky
        )
        if votes is not None:
            return turned, kinds, chosen[1]
        return turned, tf.one_hot(kinds, len(dataset.classes)), chosen[1] * tf.gather(weights, kinds)

    def beginning_at(epoch: int) -> tf.data.Dataset:
        orders = tf.data.Dataset.range(epoch, settings.epochs).flat_map(order)
        return orders.map(batch, num_parallel_calls=tf.data.AUTOTUNE).prefetch(2)

    return Batches(beginning_at, number, chunks, None if votes is None else loss_of_votes(votes))


def _redshifted(dataset: Dataset, settings: TrainingSettings, seed: int) -> Callable[[Any, Any], Any] | None:
    """Return a function of (epoch, rows) that gives images at the redshifts of that epoch."""
    draws = settings.augmentation.redshift
    if draws is None:
        return None
    source = RedshiftedImages(dataset, draws, seeding.integer(seed, "redshift"))

    def read(epoch: Any, rows: Any) -> Any:
        found = tf.numpy_function(source.images, [epoch, rows], tf.float32)
        return tf.ensure_shape(found, (None, *dataset.inputs.image_shape))

    return read


def _sky(dataset: Dataset) -> npt.NDArray[np.float32]:
    noise = sky_noise(dataset.images)
    if not np.all(noise > 0):
        raise ValueError(
            message(
                "images with sky noise in every band, to add noise in units of it",
                "Set noise to 0.",
                sky_noise=noise.tolist(),
            )
        )
    return noise.astype(np.float32)


def _sizes(n: int, settings: TrainingSettings) -> tuple[int, int, int]:
    """Return the batch size, the batches per epoch and the batches per update."""
    if settings.batch_size != "all":
        return settings.batch_size, -(-n // settings.batch_size), 1
    chunks = -(-n // settings.chunk_size)
    return -(-n // chunks), chunks, chunks


def validation_batches(training: Dataset, validation: Dataset, settings: TrainingSettings) -> tf.data.Dataset:
    """Make batches of the validation set, in order, with the class weights of the training loss."""
    if validation.votes is not None:
        targets = vote_targets(validation.labels, validation.votes)
        weights = np.ones(len(validation), dtype=np.float32)
    else:
        frequency = np.bincount(training.labels, minlength=len(training.classes)) / len(training)
        mirror = settings.augmentation.mirror_of(training.classes)
        prior = np.array(list(trained_prior(training, settings.balance, mirror).values()))
        weights = (prior / frequency).astype(np.float32)[validation.labels]
        targets = np.eye(len(training.classes), dtype=np.float32)[validation.labels]
    images, rows = _gatherer(validation.images), np.arange(len(validation))
    batches = tf.data.Dataset.from_tensor_slices((rows, targets, weights)).batch(256)
    return batches.map(lambda chosen, *known: (images(chosen), *known)).prefetch(1)


def _gatherer(images: npt.NDArray[np.float32] | PackedImages) -> Callable[[Any], Any]:
    """Return a function of row numbers that gives images, from memory or from shards."""
    if not isinstance(images, PackedImages):
        held = tf.constant(images)
        return lambda rows: tf.gather(held, rows)

    def read(rows: Any) -> Any:
        found = tf.numpy_function(lambda chosen: images[chosen], [rows], tf.float32)
        return tf.ensure_shape(found, (None, *images.shape[1:]))

    return read
