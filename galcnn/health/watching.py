"""A callback that looks at the gradients of a training, and changes nothing in it."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from astropy.table import Table

from galcnn.catalog import write_table
from galcnn.errors import message
from galcnn.explain.forward import forward
from galcnn.health.board import Board
from galcnn.health.kernels import KernelLayer, kernel_layers
from galcnn.health.signs import HealthLimits, Sign, diagnose

__all__ = ["GradientHealth", "HealthWarning"]

Logs = Mapping[str, float] | None
#: Beside every so many updates: what explodes does so in the first.
_EARLY = (1, 5, 20)
_MEASURED = ("weight_norm", "gradient_norm", "update_ratio", "dead", "signal", "nonfinite")


class HealthWarning(UserWarning):
    """A training shows a sign that it will not learn: see `galcnn.health.Sign`."""


class GradientHealth(keras.callbacks.Callback):
    """Record the health of each layer with a kernel every so many updates, and warn of its signs.

    Keras' callbacks see no gradients: those of one batch, always the same, are computed anew, as in
    training (batches normalised, dropout drawing), but without a trace: neither statistics nor
    random states nor weights change, and a training ends with the same bits with and without it.

    Parameters
    ----------
    batch : tuple
        Images, one-hot labels (or votes) and, if any, weights of the images: `galcnn.training.Batches`
        gives such.
    every : int
        Updates between two looks; at the start and after 1, 5 and 20 there is one in any case.
    log : path-like, optional
        Gets the record (``.csv``) after each epoch.
    tensorboard : path-like, optional
        Folder for TensorBoard; needs the extra ``galcnn[tensorboard]``.
    limits : HealthLimits, optional
        The defaults when not given.

    Raises
    ------
    ValueError
        `every` is below 1.
    ImportError
        TensorBoard is asked for and not installed.
    """

    def __init__(
        self,
        batch: Sequence[Any],
        *,
        every: int = 50,
        log: str | os.PathLike[str] | None = None,
        tensorboard: str | os.PathLike[str] | None = None,
        limits: HealthLimits | None = None,
    ) -> None:
        super().__init__()
        if every < 1:
            raise ValueError(message("a look every 1 or more updates", "", every=every))
        self.batch = [tf.convert_to_tensor(part) for part in batch]
        self.every, self.log, self.limits = every, log, limits
        self.board = None if tensorboard is None else Board(tensorboard)
        self.rows: list[dict[str, Any]] = []
        self.signs: list[Sign] = []

    def table(self) -> Table:
        """Give the record.

        Returns
        -------
        astropy.table.Table
            One row a look and layer: `update` (those done), `epoch` (from 1), `layer`; `loss` of
            the batch; `learning_rate`; `weight_norm` and `gradient_norm` of the kernel, `update_ratio`, the
            norm of the last update over that of the weights; `dead`, share of its ReLUs that no
            image of the batch moves (NaN without ReLUs); `signal`, standard deviation of its
            output over the images, root mean square over its units; `nonfinite`, number of NaN and
            infinities in weights and gradient; `activation`, `initializer`, and whether it is
            `normalized` (0 or 1).
        """
        return Table({name: [row[name] for row in self.rows] for name in self.rows[0]} if self.rows else {})

    def on_train_begin(self, logs: Logs = None) -> None:
        """Look at the layers, and at their start.

        Parameters
        ----------
        logs : mapping, optional
            Not used.
        """
        self.layers = kernel_layers(self.model)
        self.measure = tf.function(self._measure, autograph=False)
        self.updates = int(self.model.optimizer.iterations)
        self.chunks, self.chunk = self.model.optimizer.gradient_accumulation_steps or 1, 0
        self.before: list[Any] | None = None
        self.epoch = 0
        if self.updates == 0:
            self.look()

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

    def on_train_batch_begin(self, batch: int, logs: Logs = None) -> None:
        """Keep the weights before an update that will be looked at.

        Parameters
        ----------
        batch : int
            Not used.
        logs : mapping, optional
            Not used.
        """
        coming = self.updates + 1
        if self.chunk == 0 and (coming % self.every == 0 or coming in _EARLY):
            self.before = self._kernels()

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Count an update, and look.

        Parameters
        ----------
        batch : int
            Not used.
        logs : mapping, optional
            Not used.
        """
        self.chunk = (self.chunk + 1) % self.chunks
        if self.chunk == 0:
            self.updates += 1
            if self.before is not None:
                self.look()

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Write the record.

        Parameters
        ----------
        epoch : int
            Not used.
        logs : mapping, optional
            Not used.
        """
        self.write()

    def on_loss_lost(self) -> str:
        """Look at a model whose loss is not finite, before its good weights come back.

        Returns
        -------
        str
            What `galcnn.training.callbacks.FiniteLoss` adds to its message.
        """
        self.updates += self.before is not None
        known = len(self.signs)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the signs are in the message
            self.look()
        self.write()
        return " ".join(f"Health: {sign}" for sign in (self.signs[:known] or self.signs)[:1])

    def look(self) -> None:
        """Measure every layer now, and warn of signs that were not seen before."""
        before = self._kernels() if self.before is None else self.before
        loss, measured = self.measure(before)
        figures = np.asarray(measured, dtype=np.float64)
        if self.before is None:
            figures[:, _MEASURED.index("update_ratio")] = np.nan
        self.before = None
        shared = {
            "update": self.updates,
            "epoch": self.epoch,
            "loss": float(loss),
            "learning_rate": float(self.model.optimizer.learning_rate),
        }
        fresh = [
            shared
            | {"layer": found.name}
            | dict(zip(_MEASURED, map(float, row), strict=True))
            | _facts(found)
            for found, row in zip(self.layers, figures, strict=True)
        ]
        self.rows += fresh
        if self.board is not None:
            self.board.write(self.updates, fresh, ("loss",), _MEASURED)
        known = {(sign.kind, sign.symptom) for sign in self.signs}
        self.signs = diagnose(self.table(), self.limits)
        for sign in self.signs:
            if (sign.kind, sign.symptom) not in known:
                warnings.warn(str(sign), HealthWarning, stacklevel=2)

    def write(self) -> None:
        """Write the record where a log was asked for."""
        if self.log is not None:
            write_table(self.table(), self.log)

    def get_state(self) -> dict[str, Any]:
        """Give what a checkpoint keeps.

        Returns
        -------
        dict
            For `set_state`.
        """
        return {"rows": self.rows}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go on from a checkpoint.

        Parameters
        ----------
        state : mapping
            From `get_state`.
        """
        self.rows = [dict(row) for row in state["rows"]]
        self.signs = diagnose(self.table(), self.limits)

    def _kernels(self) -> list[Any]:
        return [tf.identity(found.kernel.value) for found in self.layers]

    def _measure(self, before: list[Any]) -> tuple[Any, Any]:
        images, targets, *weights = self.batch
        kernels = [found.kernel.value for found in self.layers]
        with tf.GradientTape() as tape:
            with keras.StatelessScope():  # statistics and random states are changed in it alone
                logits, seen = forward(self.model, images, training=True)
            loss = self.model.loss(targets, logits, *weights)
            total = tf.add_n([loss, *self.model.losses])
            scaled = self.model.optimizer.scale_loss(total)  # half precision would lose small gradients
        scale = self.model.optimizer.scale_loss(tf.ones(()))
        slopes = tape.gradient(scaled, kernels, unconnected_gradients="zero")
        gradients = [slope / scale for slope in slopes]
        rows = [
            _figures(found, now, then, gradient, seen)
            for found, now, then, gradient in zip(self.layers, kernels, before, gradients, strict=True)
        ]
        return loss, tf.stack(rows)


def _figures(found: KernelLayer, now: Any, then: Any, gradient: Any, seen: Mapping[str, Any]) -> Any:
    """In the order of `_MEASURED`."""
    weight, output = tf.norm(now), tf.cast(seen[found.name], tf.float32)
    dead = tf.constant(np.nan, tf.float32)
    if found.activation in ("relu", "relu6"):
        maps = seen[found.activated]
        dead = tf.reduce_mean(tf.cast(tf.reduce_max(maps, axis=range(maps.shape.rank - 1)) <= 0, tf.float32))
    lost = sum(tf.reduce_sum(tf.cast(~tf.math.is_finite(part), tf.float32)) for part in (now, gradient))
    signal = tf.sqrt(tf.reduce_mean(tf.math.reduce_variance(output, axis=0)))
    return tf.stack([weight, tf.norm(gradient), tf.norm(now - then) / tf.norm(then), dead, signal, lost])


def _facts(found: KernelLayer) -> dict[str, Any]:
    return {
        "activation": found.activation,
        "initializer": type(found.initializer).__name__,
        "normalized": int(found.normalized),
    }
