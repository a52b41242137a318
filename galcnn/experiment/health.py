"""Read what was recorded of a training's health."""

from __future__ import annotations

import os
from pathlib import Path

from astropy.table import Table

from galcnn.errors import message
from galcnn.experiment.run import health_log_of

__all__ = ["read_health"]


def read_health(model: str | os.PathLike[str]) -> Table:
    """Read the record of a training's health, also of one that goes on or has failed.

    Parameters
    ----------
    model : path-like
        Folder of the model; or of the model to be, beside which the record then lies.

    Returns
    -------
    astropy.table.Table
        See `galcnn.health.GradientHealth.table`.

    Raises
    ------
    FileNotFoundError
        There is none.
    """
    for path in (Path(model) / "health.csv", health_log_of(model)):
        if path.is_file():
            return Table.read(path, format="ascii.csv")
    raise FileNotFoundError(
        message("a model that was trained with --health", "Train it so.", model=os.fspath(model))
    )
