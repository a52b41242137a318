"""What a training costs and brings: losses of whole sets, updates and time, epoch by epoch."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from galcnn.dataset import Dataset
from galcnn.preprocessing.statistics import ImageStack

__all__ = ["LossRecord", "eager_logits"]

_CHUNK = 256


class LossRecord(keras.callbacks.Callback):
    """Record the cross-entropy of whole sets after each epoch, and the time of training alone.

    The loss that Keras reports of an epoch is a mean while the weights move; this one is of the
    weights as they stand, without penalties, augmentation or smoothed labels. Measuring and
    validating do not count as time.

    Parameters
    ----------
    training, validation : galcnn.dataset.Dataset
        The two sets.
    """

    def __init__(self, training: Dataset, validation: Dataset) -> None:
        super().__init__()
        self.sides = {"loss": training, "val_loss": validation}
        self.columns: dict[str, list[float]] = {
            name: [] for name in ("updates", "seconds", "traced", *self.sides)
        }

    def curves(self) -> dict[str, list[float]]:
        """Give the record, from the start (epoch 0) on.

        Returns
        -------
        dict of str to list of float
            `updates`, `seconds` (both from the start), `loss` and `val_loss`. An epoch in which
            TensorFlow traced its functions counts as long as the median of the others.
        """
        times = np.array(self.columns["seconds"])
        traced = np.array(self.columns["traced"], dtype=bool)
        traced[:1] = False  # the start, which took no time
        if not traced[1:].all():
            times[traced] = np.median(times[1:][~traced[1:]])
        kept = {name: list(values) for name, values in self.columns.items() if name != "traced"}
        return kept | {"seconds": np.cumsum(times).tolist()}

    def on_train_begin(self, logs: Mapping[str, float] | None = None) -> None:
        """Record the start.

        Parameters
        ----------
        logs : mapping, optional
            Not used.
        """
        self.fresh = True
        if not self.columns["loss"]:
            self._add(0.0)

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Start the clock.

        Parameters
        ----------
        epoch : int
            From 0.
        logs : mapping, optional
            Not used.
        """
        self.begun: float | None = time.perf_counter()

    def on_test_begin(self, logs: Mapping[str, float] | None = None) -> None:
        """Stop the clock: validation begins, and the training of this epoch has ended.

        Parameters
        ----------
        logs : mapping, optional
            Not used.
        """
        if self.begun is not None:
            self.seconds, self.begun = time.perf_counter() - self.begun, None

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Record the epoch.

        Parameters
        ----------
        epoch : int
            From 0.
        logs : mapping, optional
            Not used.
        """
        self._add(self.seconds)
        self.fresh = False

    def _add(self, seconds: float) -> None:
        self.columns["updates"].append(float(self.model.optimizer.iterations))
        self.columns["seconds"].append(seconds)
        self.columns["traced"].append(float(self.fresh))
        for name, side in self.sides.items():
            self.columns[name].append(_cross_entropy(self.model, side))

    def get_state(self) -> dict[str, Any]:
        """Give what a checkpoint keeps.

        Returns
        -------
        dict
            For `set_state`.
        """
        return {"columns": self.columns}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go on from a checkpoint.

        Parameters
        ----------
        state : mapping
            From `get_state`.
        """
        self.columns = {name: list(values) for name, values in state["columns"].items()}


def eager_logits(model: keras.Model, images: ImageStack) -> npt.NDArray[np.float32]:
    """Run a model chunk by chunk, without a traced function.

    Where many models run once on few images, tracing each takes longer than running it.

    Parameters
    ----------
    model : keras.Model
        From calibrated images to logits.
    images : numpy.ndarray or galcnn.preprocessing.statistics.ImageStack
        Shape (n, ny, nx, n_bands).

    Returns
    -------
    numpy.ndarray
        Logits, float32, shape (n, n_classes).
    """
    chunks = range(0, len(images), _CHUNK)
    return np.concatenate([np.asarray(model(images[k : k + _CHUNK], training=False)) for k in chunks])


def _cross_entropy(model: keras.Model, side: Dataset) -> float:
    logits = eager_logits(model, side.images)
    losses = keras.losses.sparse_categorical_crossentropy(side.labels, logits, from_logits=True)
    return float(keras.ops.mean(losses))
