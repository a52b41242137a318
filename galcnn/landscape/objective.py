"""The loss as a function of the weights: of a copy, so that the network itself is never touched."""

from __future__ import annotations

import hashlib
from typing import Any, Literal

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from galcnn.errors import message
from galcnn.landscape.directions import Weights, weights_of

__all__ = ["Objective", "Statistics"]

#: Where batch normalisation takes mean and variance from.
Statistics = Literal["recompute", "stored"]
_STATISTICS = ("recompute", "stored")
_CHUNK = 256


class Objective:
    """Mean cross-entropy and share of wrong answers of a network on some images, for any weights.

    Penalties are left out, and dropout is off. The network is copied: whatever happens to a
    computation, its weights stay as they are, bit by bit.

    Parameters
    ----------
    network : keras.Model
        Functional or sequential, from what it sees to logits.
    images : numpy.ndarray
        What it sees, shape (n, ...).
    labels : numpy.ndarray
        Class of each, int, shape (n,).
    statistics : {"recompute", "stored"}
        Mean and variance of batch normalisation: recompute measures them anew at every point, over
        all these images as one batch, as training sees the loss; those of the solution belong to
        other weights. Stored takes those that go with the weights (Li et al. 2018). Frozen layers
        keep theirs in any case.
    """

    def __init__(
        self,
        network: keras.Model,
        images: npt.NDArray[np.float32],
        labels: npt.NDArray[np.integer],
        *,
        statistics: Statistics = "recompute",
    ) -> None:
        if statistics not in _STATISTICS:
            raise ValueError(message(f"statistics among {_STATISTICS}", "", statistics=statistics))
        if len(images) < 1 or labels.shape != (len(images),):
            raise ValueError(
                message("images, and as many labels", "", images=len(images), labels=labels.shape)
            )
        self.network, self.statistics = network, statistics
        self.images, self.labels = np.asarray(images), np.asarray(labels, dtype=np.int32)
        self.origin = weights_of(network)
        self._copy, recomputed = _copied(network, statistics)
        chunk = len(images) if recomputed else _CHUNK  # one batch has one mean
        self._pieces = [
            (tf.constant(self.images[k : k + chunk]), tf.constant(self.labels[k : k + chunk]))
            for k in range(0, len(images), chunk)
        ]
        copy = self._copy

        @tf.function(reduce_retracing=True)
        def sums(seen: Any, labels: Any) -> Any:
            logits = tf.cast(copy(seen, training=False), tf.float32)
            losses = keras.losses.sparse_categorical_crossentropy(labels, logits, from_logits=True)
            wrong = tf.argmax(logits, axis=1, output_type=tf.int32) != labels
            return tf.reduce_sum(tf.cast(losses, tf.float64)), tf.reduce_sum(tf.cast(wrong, tf.float64))

        self._sums = sums

    def __call__(self, weights: Weights) -> tuple[float, float]:
        """Give the loss for other weights.

        Parameters
        ----------
        weights : list of numpy.ndarray
            As `galcnn.landscape.directions.weights_of` orders them.

        Returns
        -------
        loss : float
            Mean cross-entropy, nat; infinite where it overflows.
        error : float
            Share of wrong answers.
        """
        for variable, values in zip(self._copy.weights, weights, strict=True):
            variable.assign(values.astype(variable.dtype))
        loss, wrong = np.sum([[float(x) for x in self._sums(*piece)] for piece in self._pieces], axis=0)
        n = len(self.labels)
        return (float(loss / n) if np.isfinite(loss) else float("inf")), float(wrong / n)

    def sha256(self) -> str:
        """Hash all that decides the loss at a point but the point.

        Returns
        -------
        str
            Hexadecimal.
        """
        digest = hashlib.sha256(repr((self.statistics, self.images.shape)).encode())
        for array in (self.images, self.labels, *self.origin):
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()


class _OwnBatch(keras.layers.BatchNormalization):
    """Normalises by the batch that it sees, whatever is asked for."""

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        del training
        return super().call(inputs, training=True, mask=mask)


def _copied(network: keras.Model, statistics: Statistics) -> tuple[keras.Model, bool]:
    """A copy of a network, and whether it measures the statistics of what it sees."""
    measured = []

    def copied(layer: keras.layers.Layer) -> keras.layers.Layer:
        config = layer.get_config()
        if type(layer) is keras.layers.BatchNormalization and layer.trainable and statistics == "recompute":
            measured.append(layer.name)
            return _OwnBatch.from_config(config)
        return type(layer).from_config(config)

    try:
        copy = keras.models.clone_model(network, clone_function=copied, recursive=True)
    except (ValueError, TypeError) as error:
        raise ValueError(
            message(
                "a functional or sequential network",
                "Build it with keras.Input and keras.Model.",
                network=network.name,
                kind=type(network).__name__,
            )
        ) from error
    return copy, bool(measured)
