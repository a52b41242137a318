"""Snapshots: the weights of a network after every epoch, one file per epoch."""

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
from galcnn.errors import message, without_content

_NAME = re.compile(r"epoch-(\d{4,})\.npz")


@dataclass(frozen=True, eq=False)
class Snapshot:
    """Weights of a network after an epoch.

    Attributes
    ----------
    epoch : int
        Number of completed epochs; 0 is the initial state.
    weights : list of numpy.ndarray
        Weights in the order of `keras.Model.get_weights`.
    """

    epoch: int
    weights: list[npt.NDArray[Any]]


class Snapshots(keras.callbacks.Callback):
    """Keras callback that saves the initial weights and those after every epoch.

    A resumed training continues its snapshots. Snapshots of another training are not overwritten
    unless `overwrite` is True.

    Parameters
    ----------
    folder : path-like
        Output folder of ``epoch-0000.npz`` (initial weights), ``epoch-0001.npz`` ...
    overwrite : bool
        If True, replace snapshots of another training, and accept a folder with other files.
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
        # Save the initial weights; on resume, check that they equal those of the last snapshot.
        if self.begun:
            return
        self.begun = True
        there = _files(self.folder)
        anew = self.overwrite and epoch == 0
        own = not anew and epoch in there and _same(_read(there[epoch]), self.model.get_weights())
        if there and not (anew or own):
            raise ValueError(
                message(
                    f"an empty folder, or snapshots of this training up to epoch {epoch}",
                    "Choose another folder, or replace them: overwrite=True.",
                    folder=str(self.folder),
                )
            )
        for later in (path for number, path in there.items() if number > epoch):
            later.unlink(missing_ok=True)  # these epochs are repeated
        self._write(epoch)

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        self._write(epoch + 1)

    def get_state(self) -> dict[str, Any]:
        """Return an empty state; it makes a checkpoint require this callback on resume.

        Returns
        -------
        dict
            Empty, since the snapshots are in their files.
        """
        return {}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Do nothing, since the snapshots are in their files.

        Parameters
        ----------
        state : mapping
            State from `get_state`.
        """

    def _write(self, epoch: int) -> None:
        arrays = {f"{i:05d}": weights for i, weights in enumerate(self.model.get_weights())}
        path = self.folder / f"epoch-{epoch:04d}.npz"
        with atomic.writing(path) as temporary, temporary.open("wb") as file:
            np.savez(file, **arrays)


def read_snapshots(folder: str | os.PathLike[str]) -> list[Snapshot]:
    """Read the snapshots of a training from a folder.

    Parameters
    ----------
    folder : path-like
        Folder written by `Snapshots`.

    Returns
    -------
    list of Snapshot
        Snapshots in the order of the epochs.

    Raises
    ------
    FileNotFoundError
        If the folder holds no snapshots.
    ValueError
        If a file is damaged.
    """
    files = _files(Path(folder))
    if not files:
        raise FileNotFoundError(
            message("a folder of snapshots", "Write them: galcnn train --snapshots DIR.", folder=str(folder))
        )
    return [Snapshot(epoch, _read(files[epoch])) for epoch in sorted(files)]


def _files(folder: Path) -> dict[int, Path]:
    """Return the snapshot files of a folder by epoch."""
    return {int(m[1]): file for file in folder.glob("epoch-*.npz") if (m := _NAME.fullmatch(file.name))}


def _read(path: Path) -> list[npt.NDArray[Any]]:
    try:
        with open(path, "rb") as handle, np.load(handle, allow_pickle=False) as file:
            return [file[name] for name in sorted(file.files)]
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(
            message("a snapshot of a training", "Remove it.", path=str(path), error=without_content(error))
        ) from error


def _same(one: list[npt.NDArray[Any]], other: list[npt.NDArray[Any]]) -> bool:
    return len(one) == len(other) and all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))
