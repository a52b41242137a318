"""Health of the gradients during training: a Keras callback, diagnosis of problems, and TensorBoard."""

from __future__ import annotations

import importlib.util
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf
from astropy.table import Table

from galcnn.catalog import write_table
from galcnn.diagnostics.initialisation import KernelLayer, kernel_layers
from galcnn.errors import message
from galcnn.model.forward import forward

Kind = Literal["vanishing", "exploding", "stagnation", "dead"]


#: Keys of an experiment, such as ``network.initializer``, with the recommended values.
Remedy = Mapping[str, Any]


Floats = npt.NDArray[np.float64]


_GROWTH = "norm of the weights, in units of that at the start,"


_UPDATED = "share of the weights that one update changes"


_RELU = ("relu", "relu6", "leaky_relu", "elu", "gelu", "silu", "swish")


_SATURATING = ("sigmoid", "hard_sigmoid")


_WANTED = dict.fromkeys(_RELU, "he_normal") | {"tanh": "glorot_normal"}


#: Initializers of Keras that preserve the variance of the signal, by activation.
_FITTING = dict.fromkeys(_RELU, ("HeNormal", "HeUniform")) | {
    "tanh": ("GlorotNormal", "GlorotUniform", "LecunNormal", "LecunUniform", "Orthogonal")
}


@dataclass(frozen=True)
class HealthLimits:
    """Limits beyond which a problem is reported.

    The last of several layers starts near zero: `ratio`, `weights` and `update` are of those before it.

    Attributes
    ----------
    ratio : float
        Largest ratio between layers of the signal or the relative gradient. Beyond it, a decrease is
        reported as vanishing and an increase as exploding.
    weights : float
        Largest factor by which the weight norm of a layer may grow or shrink since the start.
    update : float
        Largest norm of an update, relative to the norm of the layer's weights.
    loss : float
        Largest loss, in units of the initial loss.
    dead : float
        Largest fraction of a layer's ReLUs that no image of the batch activates.
    answers : float
        Smallest standard deviation of the output; below it, all images get the same answer.
    still : float
        Smallest norm of an update, relative to the norm of the layer's weights.
    patience : int
        Number of updates after which `answers` and `still` are tested.
    """

    ratio: float = 1e3
    weights: float = 20.0
    update: float = 0.5
    loss: float = 10.0
    dead: float = 0.9
    answers: float = 0.02
    still: float = 1e-6
    patience: int = 200


@dataclass(frozen=True)
class Sign:
    """Problem of a training, at the layer and update of its first occurrence.

    Attributes
    ----------
    kind : {"vanishing", "exploding", "stagnation", "dead"}
        Kind of problem.
    symptom : str
        Quantity in which it was found.
    layer : str
        Name of the layer in which it begins.
    update : int
        Number of updates at its first occurrence; 0 is before the first update.
    value, limit : float
        Value of the quantity, and its limit.
    remedies : tuple of mapping
        Changes of the experiment, most promising first; each is a remedy by itself.
    """

    kind: Kind
    symptom: str
    layer: str
    update: int
    value: float
    limit: float
    remedies: tuple[Remedy, ...]

    def __str__(self) -> str:
        said = "; or ".join(remedy_text(remedy) for remedy in self.remedies)
        return (
            f"{self.kind} at layer {self.layer}, update {self.update}: {self.symptom} {self.value:.3g} "
            f"(limit {self.limit:.3g}). Try {said}."
        )


@dataclass(frozen=True, eq=False)
class _Look:
    """Rows of one update, in layer order from the input, and the highest learning rate until then."""

    update: int
    peak: float
    columns: Mapping[str, npt.NDArray[Any]]

    def __getitem__(self, name: str) -> Floats:
        return np.asarray(self.columns[name], dtype=np.float64)


def diagnose(record: Table, limits: HealthLimits | None = None) -> list[Sign]:
    """Find problems in the record of a training.

    Parameters
    ----------
    record : astropy.table.Table
        Record from `galcnn.diagnostics.GradientHealth.table`.
    limits : HealthLimits, optional
        Limits; ``HealthLimits()`` by default.

    Returns
    -------
    list of Sign
        First occurrence of each kind and symptom, in the order of the updates.
    """
    limits = limits or HealthLimits()
    found: dict[tuple[str, str], Sign] = {}
    if len(record) == 0:
        return []
    updates = np.asarray(record["update"])
    looks: list[_Look] = []
    for update in np.unique(updates):
        columns = {name: np.asarray(record[name])[updates == update] for name in record.colnames}
        peak = max(float(columns["learning_rate"][0]), looks[-1].peak if looks else 0.0)
        looks.append(_Look(int(update), peak, columns))
    for look in looks:
        for sign in _signs(look, looks[0], limits):
            found.setdefault((sign.kind, sign.symptom), sign)
    return list(found.values())


def remedy_text(remedy: Remedy) -> str:
    """Format a remedy as settings of an experiment.

    Parameters
    ----------
    remedy : mapping
        Remedy of a `Sign`.

    Returns
    -------
    str
        Sections, keys and values, on one line.

    Examples
    --------
    >>> remedy_text({"network.initializer": "he_normal"})
    '[network] initializer = "he_normal"'
    """
    words = []
    for key, value in remedy.items():
        section, _, name = key.rpartition(".")
        shown = f'"{value}"' if isinstance(value, str) else str(value).lower()
        words.append(f"[{section}] {name} = {shown}")
    return " with ".join(words)


def _signs(look: _Look, first: _Look, limits: HealthLimits) -> Iterator[Sign]:
    lost = (look["nonfinite"] > 0) | ~np.isfinite(look["weight_norm"]) | ~np.isfinite(look["gradient_norm"])
    if lost.any() or not np.isfinite(look["loss"][0]):
        # The first layer with a non-finite value; the last one if only the loss is not finite.
        at = int(np.argmax(lost)) if lost.any() else len(lost) - 1
        yield _sign("exploding", "values that are not finite", look, at, look["nonfinite"][at], 0)
        return
    dead = look["dead"] > limits.dead
    for at in np.flatnonzero(dead)[:1]:
        yield _sign("dead", "share of ReLUs never active", look, at, look["dead"][at], limits.dead)
    if not dead.any():  # layers after a dead one have no signal
        yield from _between_layers(look, limits)
    inner = _inner(look)
    with np.errstate(divide="ignore", invalid="ignore"):
        growth = (look["weight_norm"] / first["weight_norm"])[inner]
    for at in np.flatnonzero(growth > limits.weights)[:1]:
        yield _sign("exploding", _GROWTH, look, at, growth[at], limits.weights)
    for at in np.flatnonzero(growth < 1 / limits.weights)[:1]:
        yield _sign("vanishing", _GROWTH, look, at, growth[at], 1 / limits.weights)
    for at in np.flatnonzero(look["update_ratio"][inner] > limits.update)[:1]:
        yield _sign("exploding", _UPDATED, look, at, look["update_ratio"][at], limits.update)
    loss, highest = float(look["loss"][0]), limits.loss * float(first["loss"][0])
    if loss > highest:
        yield _sign("exploding", "loss", look, int(np.argmax(growth)), loss, highest)
    if look.update >= limits.patience:
        yield from _standing_still(look, limits)


def _inner(look: _Look) -> slice:
    """Return the layers before the last, whose kernel starts near zero and changes by large factors."""
    return slice(None, max(1, len(look["signal"]) - 1))


def _standing_still(look: _Look, limits: HealthLimits) -> Iterator[Sign]:
    last = len(look["signal"]) - 1
    if (same := look["signal"][last]) < limits.answers:
        yield _sign(
            "stagnation", "standard deviation of the logits over images", look, last, same, limits.answers
        )
    # Updates at the end of a schedule may be small.
    at = int(np.argmax(look["update_ratio"]))
    if look["learning_rate"][0] > 0.1 * look.peak and look["update_ratio"][at] < limits.still:
        yield _sign("stagnation", _UPDATED, look, at, look["update_ratio"][at], limits.still)


def _between_layers(look: _Look, limits: HealthLimits) -> Iterator[Sign]:
    """Yield problems of the forward signal and of the backward gradient between layers."""
    low, high, tiny = 1 / limits.ratio, limits.ratio, np.finfo(float).tiny
    inner = _inner(look)
    grown = look["signal"] / max(look["signal"][0], tiny)
    for at in np.flatnonzero(grown > high)[:1]:
        yield _sign("exploding", "signal, in units of the first layer's,", look, at, grown[at], high)
    with np.errstate(divide="ignore", invalid="ignore"):
        moved = (look["gradient_norm"] / look["weight_norm"])[inner]  # relative gradient
    moved = np.where(np.isfinite(moved), moved, 0.0)
    share = moved[:-1] / np.maximum.accumulate(np.maximum(moved, tiny)[::-1])[::-1][1:]
    symptom = "relative gradient, as a share of the largest behind it,"
    for at in np.flatnonzero(share > high)[-1:]:
        yield _sign("exploding", symptom, look, at, share[at], high)
    # Exploding first: relative to an exploding layer, all others look vanishing.
    signal = look["signal"][inner]
    kept = signal[1:] / np.maximum.accumulate(np.maximum(signal, tiny))[:-1]
    for at in np.flatnonzero(kept < low)[:1]:
        yield _sign("vanishing", "signal, as a share of the largest before it,", look, at + 1, kept[at], low)
    for at in np.flatnonzero(share < low)[-1:]:
        yield _sign("vanishing", symptom, look, at, share[at], low)


def _sign(kind: Kind, symptom: str, look: _Look, at: int, value: float, limit: float) -> Sign:
    layer = {name: column[at] for name, column in look.columns.items()}
    return Sign(
        kind, symptom, str(layer["layer"]), look.update, float(value), float(limit),
        tuple(_remedies(kind, symptom, layer, look.peak)),
    )  # fmt: skip


def _remedies(kind: Kind, symptom: str, layer: Mapping[str, Any], rate: float) -> Iterator[Remedy]:
    slower, faster = ({"training.learning_rate": float(f"{rate * by:.3g}")} for by in (0.1, 10))
    if kind == "vanishing" and symptom == _GROWTH:
        yield {"network.l1": 0.0, "network.l2": 0.0, "training.weight_decay": 0.0}
        yield slower
        return
    if kind == "exploding" and layer["update"] > 0:
        yield slower
        yield {"training.global_clipnorm": 1.0}
    elif kind == "dead" and layer["update"] > 0:
        yield slower
        yield {"network.activation": "leaky_relu"}
    else:
        yield from _better_start(str(layer["activation"]), str(layer["initializer"]))
    if not layer["normalized"]:
        yield {"network.normalization": "batch"}
    elif kind != "stagnation":
        yield {"network.residual": True}
    if kind == "stagnation":
        yield faster


def _better_start(activation: str, initializer: str) -> Iterator[Remedy]:
    if activation in _SATURATING:
        yield {"network.activation": "relu", "network.initializer": "he_normal"}
    elif activation in _WANTED and initializer not in _FITTING[activation]:
        yield {"network.initializer": _WANTED[activation]}


class Board:
    """Writer of scalars for TensorBoard."""

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        if importlib.util.find_spec("tensorboard") is None:
            raise ImportError(
                message("TensorBoard", "pip install 'galcnn[tensorboard]'.", tensorboard=os.fspath(folder))
            )
        self.writer = tf.summary.create_file_writer(os.fspath(folder))

    def write(
        self,
        update: int,
        rows: Sequence[Mapping[str, Any]],
        shared: Sequence[str],
        columns: Sequence[str],
    ) -> None:
        """Write the values of one update."""
        with self.writer.as_default():
            for name in shared:
                tf.summary.scalar(f"health/{name}", rows[0][name], step=update)
            for row in rows:
                for name in columns:
                    tf.summary.scalar(f"{name}/{row['layer']}", row[name], step=update)
        self.writer.flush()


Logs = Mapping[str, float] | None


#: Updates that are always measured, since training mostly diverges early.
_EARLY = (1, 5, 20)


_MEASURED = ("weight_norm", "gradient_norm", "update_ratio", "dead", "signal", "nonfinite")


class HealthWarning(UserWarning):
    """Warning of a problem in training, see `galcnn.diagnostics.gradients.Sign`."""


class GradientHealth(keras.callbacks.Callback):
    """Keras callback that records weights, gradients and signals of each layer, and warns of problems.

    Keras' callbacks have no access to gradients, so those of one fixed batch are computed, in training
    mode (batch normalisation and dropout as in training). Weights, batch statistics and random states
    are not changed: the result of the training is bit for bit the same with and without this callback.

    Parameters
    ----------
    batch : tuple
        Images, one-hot labels (or vote targets) and optionally weights of the images, as in
        `galcnn.training.batches.Batches`.
    every : int
        Number of updates between two measurements. In addition, the initial state and updates 1, 5
        and 20 are measured.
    log : path-like, optional
        Output table (``.csv``) of the record, written after each epoch.
    tensorboard : path-like, optional
        Output folder for TensorBoard; needs the extra ``galcnn[tensorboard]``.
    limits : HealthLimits, optional
        Limits beyond which a problem is reported; ``HealthLimits()`` by default.

    Raises
    ------
    ValueError
        If `every` is below 1.
    ImportError
        If `tensorboard` is given and TensorBoard is not installed.
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
            raise ValueError(
                message("a number of updates between two measurements, 1 or more", "", every=every)
            )
        self.batch = [tf.convert_to_tensor(part) for part in batch]
        self.every, self.log, self.limits = every, log, limits
        self.board = None if tensorboard is None else Board(tensorboard)
        self.rows: list[dict[str, Any]] = []
        self.signs: list[Sign] = []

    def table(self) -> Table:
        """Return the record of the training.

        Returns
        -------
        astropy.table.Table
            One row per measured update and layer, with columns: `update`, number of completed updates;
            `epoch`, from 1 (0 for the initial state); `loss` of the batch; `learning_rate`; `layer`;
            `weight_norm` and `gradient_norm` of the kernel; `update_ratio`, norm of the last update over
            that of the weights before it; `dead`, fraction of ReLUs that no image of the batch activates
            (NaN without ReLUs); `signal`, standard deviation of the output over the images, as root mean
            square over units; `nonfinite`, number of NaN and infinities in weights and gradient;
            `activation`; `initializer`; `normalized`, 1 if a normalisation follows and 0 otherwise.
        """
        return Table({name: [row[name] for row in self.rows] for name in self.rows[0]} if self.rows else {})

    def on_train_begin(self, logs: Logs = None) -> None:
        self.layers = kernel_layers(self.model)
        self.measure = tf.function(self._measure, autograph=False)
        self.updates = int(self.model.optimizer.iterations)
        self.chunks, self.chunk = self.model.optimizer.gradient_accumulation_steps or 1, 0
        self.before: list[Any] | None = None
        self.epoch = 0
        if self.updates == 0:
            self.look()

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        self.epoch = epoch + 1

    def on_train_batch_begin(self, batch: int, logs: Logs = None) -> None:
        coming = self.updates + 1
        if self.chunk == 0 and (coming % self.every == 0 or coming in _EARLY):
            self.before = self._kernels()

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        self.chunk = (self.chunk + 1) % self.chunks
        if self.chunk == 0:
            self.updates += 1
            if self.before is not None:
                self.look()

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        self.write()

    def on_loss_lost(self) -> str:
        """Measure the model when its loss is not finite, before its weights are restored.

        Returns
        -------
        str
            Text that `galcnn.training.callbacks.FiniteLoss` adds to its error message.
        """
        self.updates += self.before is not None
        known = len(self.signs)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the signs are in the message
            self.look()
        self.write()
        return " ".join(f"Health: {sign}" for sign in (self.signs[:known] or self.signs)[:1])

    def look(self) -> None:
        """Measure every layer now, and warn of new problems."""
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
        """Write the record to `log`, if given."""
        if self.log is not None:
            write_table(self.table(), self.log)

    def get_state(self) -> dict[str, Any]:
        """Return the state for a checkpoint.

        Returns
        -------
        dict
            State for `set_state`.
        """
        return {"rows": self.rows}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Restore the state from a checkpoint.

        Parameters
        ----------
        state : mapping
            State from `get_state`.
        """
        self.rows = [dict(row) for row in state["rows"]]
        self.signs = diagnose(self.table(), self.limits)

    def _kernels(self) -> list[Any]:
        return [tf.identity(found.kernel.value) for found in self.layers]

    def _measure(self, before: list[Any]) -> tuple[Any, Any]:
        images, targets, *weights = self.batch
        kernels = [found.kernel.value for found in self.layers]
        with tf.GradientTape() as tape:
            with keras.StatelessScope():  # changes of statistics and random states are discarded
                logits, seen = forward(self.model, images, training=True)
            loss = self.model.loss(targets, logits, *weights)
            total = tf.add_n([loss, *self.model.losses])
            scaled = self.model.optimizer.scale_loss(total)  # small gradients underflow in half precision
        scale = self.model.optimizer.scale_loss(tf.ones(()))
        slopes = tape.gradient(scaled, kernels, unconnected_gradients="zero")
        gradients = [slope / scale for slope in slopes]
        rows = [
            _figures(found, now, then, gradient, seen)
            for found, now, then, gradient in zip(self.layers, kernels, before, gradients, strict=True)
        ]
        return loss, tf.stack(rows)


def _figures(found: KernelLayer, now: Any, then: Any, gradient: Any, seen: Mapping[str, Any]) -> Any:
    """Return the values of one layer, in the order of `_MEASURED`."""
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
