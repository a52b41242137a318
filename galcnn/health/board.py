"""The record of a training's health for TensorBoard."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf

from galcnn.errors import message

__all__ = ["Board"]


class Board:
    """Writes figures for TensorBoard.

    Parameters
    ----------
    folder : path-like
        Where the events go.

    Raises
    ------
    ImportError
        TensorBoard is not installed.
    """

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
        """Write one look.

        Parameters
        ----------
        update : int
            Updates done.
        rows : sequence of mapping
            One a layer.
        shared, columns : sequence of str
            Figures of the look as a whole, and of each layer.
        """
        with self.writer.as_default():
            for name in shared:
                tf.summary.scalar(f"health/{name}", rows[0][name], step=update)
            for row in rows:
                for name in columns:
                    tf.summary.scalar(f"{name}/{row['layer']}", row[name], step=update)
        self.writer.flush()
