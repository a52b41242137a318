"""Snapshots: the weights of a network after every epoch, each in a file, whole or not at all."""

from __future__ import annotations

import os
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from galcnn._runtime import atomic
from galcnn.errors import message

_NAME = re.compile(r"epoch-(\d{4,})\.npz")


@dataclass(frozen=True, eq=False)
class Snapshot:
    """The weights of a network after an epoch.

    Attributes
    ----------
    epoch : int
        Epochs done; 0 is the start.
    weights : list of numpy.ndarray
        As `keras.Model.get_weights` gives them.
    """

    epoch: int
    weights: list[npt.NDArray[Any]]


class Snapshots(keras.callbacks.Callback):
    """Keep the weights at the start and after every epoch.

    A training that goes on after an interruption goes on with its snapshots; those of another
    training are not overwritten.

    Parameters
    ----------
    folder : path-like
        Gets ``epoch-0000.npz`` (the start), ``epoch-0001.npz`` ...
    overwrite : bool
        Whether to replace snapshots of another training, and to write beside other files.
    """

    def __init__(self, folder: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        super().__init__()
        self.folder, self.overwrite = Path(folder), overwrite
        atomic.check_writable(
            self.folder, folder=True, own=("epoch-*.npz",), what="snapshots", overwrite=overwrite
        )
        self.begun = False

    def on_train_begin(self, logs: Mapping[str, float] | None = None) -> None:
        self.begun = False

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        # Keep the weights with which the training begins, or see that they are those it ended with.
        if self.begun:
            return
        self.begun = True
        there = _files(self.folder)
        anew = self.overwrite and epoch == 0
        own = not anew and epoch in there and _same(_read(there[epoch]), self.model.get_weights())
        if there and not (anew or own):
            raise ValueError(
                message(
                    f"an empty folder, or snapshots of this very training up to epoch {epoch}",
                    "Choose another folder, or replace them: --overwrite (in Python: overwrite=True).",
                    folder=str(self.folder),
                )
            )
        for later in (path for number, path in there.items() if number > epoch):
            later.unlink(missing_ok=True)  # these epochs come again
        self._write(epoch)

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        self._write(epoch + 1)

    def get_state(self) -> dict[str, Any]:
        """Say to a checkpoint that snapshots are kept: a training that goes on must go on with them.

        Returns
        -------
        dict
            Empty: the snapshots are in their files.
        """
        return {}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go on from a checkpoint.

        Parameters
        ----------
        state : mapping
            From `get_state`.
        """

    def _write(self, epoch: int) -> None:
        arrays = {f"{i:05d}": weights for i, weights in enumerate(self.model.get_weights())}
        path = self.folder / f"epoch-{epoch:04d}.npz"
        with atomic.writing(path) as temporary, temporary.open("wb") as file:
            np.savez(file, **arrays)


def read_snapshots(folder: str | os.PathLike[str]) -> list[Snapshot]:
    """Read the snapshots of a training.

    Parameters
    ----------
    folder : path-like
        Of `Snapshots`.

    Returns
    -------
    list of Snapshot
        In the order of the epochs.

    Raises
    ------
    FileNotFoundError
        The folder holds none.
    ValueError
        A file is damaged.
    """
    files = _files(Path(folder))
    if not files:
        raise FileNotFoundError(
            message("a folder of snapshots", "Train with --snapshots DIR.", folder=str(folder))
        )
    return [Snapshot(epoch, _read(files[epoch])) for epoch in sorted(files)]


def _files(folder: Path) -> dict[int, Path]:
    """By epoch."""
    return {int(m[1]): file for file in folder.glob("epoch-*.npz") if (m := _NAME.fullmatch(file.name))}


def _read(path: Path) -> list[npt.NDArray[Any]]:
    try:
        with open(path, "rb") as handle, np.load(handle, allow_pickle=False) as file:
            return [file[name] for name in sorted(file.files)]
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(
            message("a snapshot of a training", "Remove it.", path=str(path), error=str(error))
        ) from error


def _same(one: list[npt.NDArray[Any]], other: list[npt.NDArray[Any]]) -> bool:
    return len(one) == len(other) and all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))
