"""Checkpoints: the state of a training after an epoch, in one file that is written atomically.

Keras' own files omit the random state of dropout and the state of callbacks. Here every variable of
model and optimizer and the state of callbacks are saved, so that a resumed training gives the same
result as an uninterrupted one.
"""

from __future__ import annotations

import io
import json
import os
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from galcnn._runtime import atomic
from galcnn.errors import message, without_content
from galcnn.model.devices import is_chief, spread_over_workers
from galcnn.training.workers import of_first_worker

_FORMAT = 1
#: Attributes that hold the state of Keras' own callbacks, which have no `get_state`.
_ATTRIBUTES: Mapping[type, tuple[str, ...]] = {
    keras.callbacks.EarlyStopping: ("wait", "stopped_epoch", "best", "best_epoch", "best_weights"),
    keras.callbacks.ReduceLROnPlateau: ("wait", "best", "cooldown_counter"),
}
Arrays = list[npt.NDArray[Any]]


@dataclass(frozen=True)
class TrainingState:
    """State of a training after an epoch.

    Attributes
    ----------
    epoch : int
        Number of completed epochs.
    history : mapping of str to list of float
        Name of a metric -> its value in each completed epoch.
    identity : mapping
        Settings, data hashes and seed of the training.
    stopped : bool
        If True, the training was stopped before its last epoch.
    callbacks : list
        State of each callback that has one.
    model, optimizer : list of numpy.ndarray
        Values of all variables.
    """

    epoch: int
    history: Mapping[str, list[float]]
    identity: Mapping[str, Any]
    stopped: bool
    callbacks: Sequence[Mapping[str, Any]]
    model: Arrays = field(repr=False)
    optimizer: Arrays = field(repr=False)

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write the state atomically."""
        arrays: dict[str, npt.NDArray[Any]] = {}

        def kept(name: str, value: Any) -> Any:
            """Store arrays in the file by name; keep everything else as a plain value."""
            if isinstance(value, list) and value and isinstance(value[0], np.ndarray):
                arrays.update({f"{name}/{i:05d}": array for i, array in enumerate(value)})
                return {"arrays": name}
            return value.item() if isinstance(value, np.generic) else value

        plain = {
            "format": _FORMAT,
            "epoch": self.epoch,
            "history": self.history,
            "identity": self.identity,
            "stopped": self.stopped,
            "callbacks": [
                {key: kept(f"callback{i}/{key}", value) for key, value in state.items()}
                for i, state in enumerate(self.callbacks)
            ],
            "model": kept("model", self.model),
            "optimizer": kept("optimizer", self.optimizer),
        }
        with atomic.writing(path) as temporary, temporary.open("wb") as file:
            np.savez(file, state=np.array(json.dumps(plain)), **arrays)  # type: ignore[arg-type]


def read_state(path: str | os.PathLike[str]) -> TrainingState:
    """Read the state of a training from a checkpoint."""
    return _parsed(Path(path).read_bytes(), path)


def epochs_done(path: str | os.PathLike[str]) -> int:
    """Return the number of completed epochs in a checkpoint; 0 if it cannot be read."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return int(json.loads(str(file["state"]))["epoch"])
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return 0


def _parsed(content: bytes, path: str | os.PathLike[str]) -> TrainingState:
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            plain = json.loads(str(file["state"]))
            arrays = {name: file[name] for name in file.files if name != "state"}
        if plain.pop("format") != _FORMAT:
            raise ValueError("another format")

        def found(value: Any) -> Any:
            if isinstance(value, dict) and set(value) == {"arrays"}:
                return [arrays[name] for name in sorted(arrays) if name.startswith(f"{value['arrays']}/")]
            return value

        plain["callbacks"] = [{k: found(v) for k, v in state.items()} for state in plain["callbacks"]]
        return TrainingState(**plain | {name: found(plain[name]) for name in ("model", "optimizer")})
    except (ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(
            message(
                "the checkpoint of a training",
                "Remove it to start again.",
                path=str(path),
                error=without_content(error),
            )
        ) from error


def restore_best(model: keras.Model, path: str | os.PathLike[str]) -> int:
    """Set the weights of a model to the best ones of a checkpoint; return their epoch."""
    state = read_state(path)
    best = next(s for s in state.callbacks if "best_weights" in s)
    try:
        model.set_weights(best["best_weights"])
    except ValueError as error:
        raise ValueError(
            message("the checkpoint of this model", "Build the same model.", path=str(path))
        ) from error
    return int(best["best_epoch"]) + 1


class Checkpoint(keras.callbacks.Callback):
    """Keras callback that writes the state of a training after each epoch, to resume from."""

    def __init__(self, path: str | os.PathLike[str], identity: Mapping[str, Any] | None = None) -> None:
        super().__init__()
        self.path = Path(path)
        self.identity = dict(identity or {})
        self.callbacks: Sequence[keras.callbacks.Callback] = ()
        self.state: TrainingState | None = None
        self.history: dict[str, list[float]] = {}

    def begin(
        self,
        model: keras.Model,
        callbacks: Sequence[keras.callbacks.Callback],
        identity: Mapping[str, Any],
    ) -> TrainingState | None:
        """Restore model and optimizer from the file, if it exists.

        The state of Keras' own callbacks (`_ATTRIBUTES`) and of callbacks with `get_state` and
        `set_state` is restored too, when the training begins.
        """
        self.callbacks = [callback for callback in callbacks if _has_state(callback)]
        kinds = [type(callback).__name__ for callback in self.callbacks]
        told = self.identity | dict(identity) | {"callbacks": kinds}
        self.identity = json.loads(json.dumps(told))
        self.state, self.history = None, {}
        content = self.path.read_bytes() if self.path.exists() else None
        if spread_over_workers():
            content = of_first_worker(content, tf.distribute.get_strategy())
        if content is None:
            return None
        state = _parsed(content, self.path)
        if changed := changed_keys(state.identity, self.identity):
            raise ValueError(
                message(
                    "the settings with which this training started",
                    "Use the same settings, choose another --out, or start again: --overwrite.",
                    changed=changed,
                    checkpoint=str(self.path),
                )
            )
        model.optimizer.build(model.trainable_variables)
        _assign(model.variables, state.model)
        _assign(model.optimizer.variables, state.optimizer)
        self.state, self.history = state, {name: list(values) for name, values in state.history.items()}
        return state

    def on_train_begin(self, logs: Mapping[str, float] | None = None) -> None:
        # The callbacks have reset themselves before this one is called.
        if self.state is not None:
            for callback, state in zip(self.callbacks, self.state.callbacks, strict=True):
                _set_state(callback, state)

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(float(value))
        if not is_chief(tf.distribute.get_strategy()):
            return  # only the first worker writes
        TrainingState(
            epoch=epoch + 1,
            history=self.history,
            identity=self.identity,
            stopped=bool(self.model.stop_training),
            callbacks=[_get_state(callback) for callback in self.callbacks],
            model=[np.asarray(v) for v in self.model.variables],
            optimizer=[np.asarray(v) for v in self.model.optimizer.variables],
        ).write(self.path)


def changed_keys(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """Describe the differences between two settings.

    Parameters
    ----------
    old, new : mapping
        Old and new settings; mappings may be nested.

    Returns
    -------
    str
        ``"training.epochs: 3 -> 5; seed: 0 -> 1"``; empty if nothing differs.

    Examples
    --------
    >>> changed_keys({"a": {"b": 1, "c": 2}}, {"a": {"b": 3, "c": 2}})
    'a.b: 1 -> 3'
    """
    flat_old, flat_new = _flat(old), _flat(new)
    keys = [*flat_old, *(key for key in flat_new if key not in flat_old)]
    return "; ".join(
        f"{key}: {flat_old.get(key)!r} -> {flat_new.get(key)!r}"
        for key in keys
        if flat_old.get(key) != flat_new.get(key)
    )


def _flat(content: Mapping[str, Any], where: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in content.items():
        flat |= _flat(value, f"{where}{key}.") if isinstance(value, Mapping) else {f"{where}{key}": value}
    return flat


def _assign(variables: Sequence[keras.Variable], values: Arrays) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def _has_state(callback: keras.callbacks.Callback) -> bool:
    return isinstance(callback, tuple(_ATTRIBUTES)) or hasattr(callback, "get_state")


def _get_state(callback: keras.callbacks.Callback) -> dict[str, Any]:
    for kind, names in _ATTRIBUTES.items():
        if isinstance(callback, kind):
            return {name: getattr(callback, name) for name in names}
    return dict(callback.get_state())


def _set_state(callback: keras.callbacks.Callback, state: Mapping[str, Any]) -> None:
    if isinstance(callback, tuple(_ATTRIBUTES)):
        for name, value in state.items():
            setattr(callback, name, value)
    else:
        callback.set_state(state)
