"""Keras callbacks of a training: the loss is watched, and where to stop is decided."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from galcnn.errors import message
from galcnn.progress import Step

__all__ = ["Epochs", "FiniteLoss", "LossTolerance", "RateRecord"]

Logs = Mapping[str, float] | None


class FiniteLoss(keras.callbacks.Callback):
    """Stop at the batch where the loss is lost, with the last good weights in the model.

    Good are the best weights so far, or those of the start. This callback comes before all
    others, so that none of them keeps anything of such an epoch.

    Parameters
    ----------
    best : keras.callbacks.EarlyStopping
        Keeps the best weights.
    kept : path-like, optional
        Checkpoint, which holds the last good weights too once there is one.
    others : sequence of keras.callbacks.Callback
        Those that have ``on_loss_lost() -> str`` are called while the lost weights are still in
        the model; what they say goes into the message.
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
        """Keep the weights of the start.

        Parameters
        ----------
        logs : mapping, optional
            Not used.
        """
        self.start = self.model.get_weights()

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        """Note its number.

        Parameters
        ----------
        epoch : int
            From 0.
        logs : mapping, optional
            Not used.
        """
        self.epoch = epoch + 1

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Check the mean loss of the epoch so far.

        Parameters
        ----------
        batch : int
            From 0.
        logs : mapping, optional
            Its figures.

        Raises
        ------
        FloatingPointError
            It is NaN or infinite.
        """
        self._check(logs, batch=batch + 1)

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Check the losses of an epoch.

        Parameters
        ----------
        epoch : int
            From 0.
        logs : mapping, optional
            Its figures.

        Raises
        ------
        FloatingPointError
            One is NaN or infinite.
        """
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
    """Put the learning rate at the end of each epoch beside its losses; it comes before what changes it."""

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Record the rate.

        Parameters
        ----------
        epoch : int
            From 0.
        logs : dict, optional
            Gets `learning_rate`.
        """
        if logs is not None:
            logs["learning_rate"] = float(self.model.optimizer.learning_rate)


class LossTolerance(keras.callbacks.Callback):
    """Stop when the training loss hardly changes any more.

    Parameters
    ----------
    tolerance : float
        Least difference between two epochs.
    """

    def __init__(self, tolerance: float) -> None:
        super().__init__()
        self.tolerance = tolerance
        self.last: float | None = None

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Compare the loss with that of the epoch before.

        Parameters
        ----------
        epoch : int
            From 0.
        logs : mapping, optional
            Its figures.
        """
        loss = float((logs or {})["loss"])
        if self.last is not None and abs(loss - self.last) < self.tolerance:
            self.model.stop_training = True
        self.last = loss

    def get_state(self) -> dict[str, Any]:
        """Give what a checkpoint keeps.

        Returns
        -------
        dict
            For `set_state`.
        """
        return {"last": self.last}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go on from a checkpoint.

        Parameters
        ----------
        state : mapping
            From `get_state`.
        """
        self.last = state["last"]


class Epochs(keras.callbacks.Callback):
    """Show each epoch; those that were done before a training went on count at once.

    Parameters
    ----------
    step : galcnn.progress.Step
        Advances what is shown.
    """

    def __init__(self, step: Step) -> None:
        super().__init__()
        self.step = step
        self.shown = 0

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Show its figures.

        Parameters
        ----------
        epoch : int
            From 0.
        logs : mapping, optional
            Its figures.
        """
        values = logs or {}
        for _ in range(self.shown, epoch):
            self.step()
        self.shown = epoch + 1
        right = f", accuracy {values['val_accuracy']:.3f}" if "val_accuracy" in values else ""
        self.step(f"loss {values['loss']:.3f}, validation {values['val_loss']:.3f}{right}")
