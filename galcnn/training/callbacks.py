"""Keras callbacks: checks of the loss, early stopping and records of a training."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from galcnn._runtime.progress import Progress, Step, parts
from galcnn.dataset import Dataset
from galcnn.errors import message
from galcnn.model.preprocessing.statistics import ImageStack
from galcnn.training.checkpoint import Checkpoint, epochs_done

Logs = Mapping[str, float] | None


class FiniteLoss(keras.callbacks.Callback):
    """Keras callback that stops when the loss is NaN or infinite, and restores the best or initial weights.

    It comes before all other callbacks, so that none of them records such an epoch. Callbacks with
    ``on_loss_lost() -> str`` are called before the weights are restored; their text is added to the error.
    """

    def __init__(
        self,
        best: keras.callbacks.EarlyStopping,
        kept: str | os.PathLike[str] | None = None,
        others: Sequence[keras.callbacks.Callback] = (),
    ) -> None:
        super().__init__()
        self.best, self.kept = best, kept
        self.others = [callback for callback in others if hasattr(callback, "on_loss_lost")]

    def on_train_begin(self, logs: Logs = None) -> None:
        self.start = self.model.get_weights()

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        self.epoch = epoch + 1

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        self._check(logs, batch=batch + 1)

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        self._check(logs)

    def _check(self, logs: Logs, **where: int) -> None:
        losses = {name: value for name, value in (logs or {}).items() if name in ("loss", "val_loss")}
        if np.isfinite(list(losses.values())).all():
            return
        said = "".join(f" {callback.on_loss_lost()}" for callback in self.others)
        good = self.best.best_weights
        self.model.set_weights(self.start if good is None else good)
        kept = f" and in {self.kept}" if self.kept is not None and Path(self.kept).exists() else ""
        raise FloatingPointError(
            message(
                "a finite loss",
                "Lower the learning rate, or clip the gradient (global_clipnorm). The last good weights are "
                f"in the model{kept}.{said}",
                epoch=self.epoch,
                **where,
                **losses,
            )
        )


class RateRecord(keras.callbacks.Callback):
    """Keras callback that logs the learning rate of each epoch; it comes before those that change it."""

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        if logs is not None:
            logs["learning_rate"] = float(self.model.optimizer.learning_rate)


class LossTolerance(keras.callbacks.Callback):
    """Keras callback that stops when the training loss changes by less than a tolerance between epochs."""

    def __init__(self, tolerance: float) -> None:
        super().__init__()
        self.tolerance = tolerance
        self.last: float | None = None

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        loss = float((logs or {})["loss"])
        if self.last is not None and abs(loss - self.last) < self.tolerance:
            self.model.stop_training = True
        self.last = loss

    def get_state(self) -> dict[str, Any]:
        return {"last": self.last}

    def set_state(self, state: Mapping[str, Any]) -> None:
        self.last = state["last"]


class Epochs(keras.callbacks.Callback):
    """Keras callback that shows the progress of a training: epochs, and batches within an epoch."""

    def __init__(self, step: Step, n_images: int, done: int = 0) -> None:
        super().__init__()
        self.step, self.n_images, self.shown = step, n_images, done
        self.batches = contextlib.ExitStack()

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        if epoch > self.shown:  # other workers than the first do not see the checkpoint
            self.step(n=epoch - self.shown)
        self.n_batches = int((self.params or {}).get("steps") or 0)
        self.part = self.batches.enter_context(parts("batch", self.n_batches)) if self.n_batches else None
        self.begun, self.rate = time.perf_counter(), ""

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        if self.part is not None:
            self._measure((batch + 1) / self.n_batches)
            self.part(f"loss {(logs or {})['loss']:.3f}, {self.rate}")

    def on_test_begin(self, logs: Logs = None) -> None:
        # Called when validation begins, after the training part of the epoch.
        self._measure(1.0)

    def _measure(self, share: float) -> None:
        seconds = max(time.perf_counter() - self.begun, 1e-9)
        self.rate = f"{self.n_images * share / seconds:.3g} images/s"

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        values = logs or {}
        self.batches.close()
        if not self.rate:
            self._measure(1.0)
        self.shown = epoch + 1
        right = f", accuracy {values['val_accuracy']:.3f}" if "val_accuracy" in values else ""
        said = f"loss {values['loss']:.3f}, validation {values['val_loss']:.3f}{right}, {self.rate}"
        self.step(said, log=True)


@contextlib.contextmanager
def epochs_shown(
    progress: Progress, description: str, epochs: int, *, n_images: int, checkpoint: Checkpoint
) -> Iterator[Epochs]:
    """Yield the callback that shows a training; an interruption gets a note where it continues."""
    done = epochs_done(checkpoint.path)
    try:
        with progress(description, epochs, done=done) as step:
            yield Epochs(step, n_images, done)
    except KeyboardInterrupt as stopped:
        if done := epochs_done(checkpoint.path):
            stopped.add_note(f"The same command continues after epoch {done}.")
        raise


_CHUNK = 256


class LossRecord(keras.callbacks.Callback):
    """Keras callback that records the loss of whole sets after each epoch, and the time of training alone.

    Keras averages the loss of an epoch while the weights change. Here the cross-entropy is computed with the
    weights at the end of the epoch, without penalties, augmentation or label smoothing.
    """

    def __init__(self, training: Dataset, validation: Dataset) -> None:
        super().__init__()
        self.sides = {"loss": training, "val_loss": validation}
        self.columns: dict[str, list[float]] = {
            name: [] for name in ("updates", "seconds", "traced", *self.sides)
        }

    def curves(self) -> dict[str, list[float]]:
        """Return the record from epoch 0 on; epochs with tracing get the median time of the others."""
        times = np.array(self.columns["seconds"])
        traced = np.array(self.columns["traced"], dtype=bool)
        traced[:1] = False  # epoch 0 took no time
        if not traced[1:].all():
            times[traced] = np.median(times[1:][~traced[1:]])
        kept = {name: list(values) for name, values in self.columns.items() if name != "traced"}
        return kept | {"seconds": np.cumsum(times).tolist()}

    def on_train_begin(self, logs: Logs = None) -> None:
        self.fresh = True
        if not self.columns["loss"]:
            self._add(0.0)

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        self.begun: float | None = time.perf_counter()

    def on_test_begin(self, logs: Logs = None) -> None:
        # Called when validation begins, after the training part of the epoch.
        if self.begun is not None:
            self.seconds, self.begun = time.perf_counter() - self.begun, None

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        self._add(self.seconds)
        self.fresh = False

    def _add(self, seconds: float) -> None:
        self.columns["updates"].append(float(self.model.optimizer.iterations))
        self.columns["seconds"].append(seconds)
        self.columns["traced"].append(float(self.fresh))
        for name, side in self.sides.items():
            self.columns[name].append(_cross_entropy(self.model, side))

    def get_state(self) -> dict[str, Any]:
        return {"columns": self.columns}

    def set_state(self, state: Mapping[str, Any]) -> None:
        self.columns = {name: list(values) for name, values in state["columns"].items()}


def eager_logits(model: keras.Model, images: ImageStack) -> npt.NDArray[np.float32]:
    """Run a model in chunks without tracing, which is faster for many models on few images."""
    chunks = range(0, len(images), _CHUNK)
    return np.concatenate([np.asarray(model(images[k : k + _CHUNK], training=False)) for k in chunks])


def _cross_entropy(model: keras.Model, side: Dataset) -> float:
    logits = eager_logits(model, side.images)
    losses = keras.losses.sparse_categorical_crossentropy(side.labels, logits, from_logits=True)
    return float(keras.ops.mean(losses))
