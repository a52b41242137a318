"""Slices through the loss: computed row by row, so that what was interrupted goes on."""

from __future__ import annotations

import hashlib
import os
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from galcnn import atomic
from galcnn.errors import message
from galcnn.landscape.directions import Weights, between, principal_plane, random_direction
from galcnn.landscape.objective import Objective
from galcnn.landscape.surface import Plane, Surface
from galcnn.progress import Progress, silent

__all__ = ["Grid", "random_slice", "slice_between", "trajectory_slice"]

Array = npt.NDArray[np.float64]
File = str | os.PathLike[str] | None
#: A trajectory's plane reaches so much further than its path, on each side.
_MARGIN = 0.25


@dataclass(frozen=True)
class Grid:
    """Where the loss is computed.

    Attributes
    ----------
    points : int
        Along each direction: odd, so that the solution is one of them.
    reach : float
        Of random directions: from ``-reach`` to ``reach``; 1 changes each filter by its own size.
    dimensions : {1, 2}
        A line, or a plane.
    """

    points: int = 25
    reach: float = 1.0
    dimensions: int = 2

    def __post_init__(self) -> None:
        if self.points < 3 or self.points % 2 == 0 or not 0 < self.reach < np.inf:
            raise ValueError(
                message(
                    "an odd number of points, at least 3, and a positive reach",
                    "",
                    points=self.points,
                    reach=self.reach,
                )
            )
        if self.dimensions not in (1, 2):
            raise ValueError(message("1 or 2 dimensions", "", dimensions=self.dimensions))


def random_slice(
    objective: Objective,
    *,
    grid: Grid | None = None,
    seed: int = 0,
    kept: File = None,
    progress: Progress = silent,
) -> Surface:
    """Compute the loss along random directions, normalised filter by filter (Li et al. 2018).

    Parameters
    ----------
    objective : galcnn.landscape.objective.Objective
        Of the solution.
    grid : Grid, optional
        The defaults when not given.
    seed : int
        Of the directions.
    kept : path-like, optional
        File, ``.npz``, that keeps rows as they are done: the same call goes on from it, and has
        nothing left to do where all are there.
    progress : galcnn.progress.Progress
        Shows rows.

    Returns
    -------
    galcnn.landscape.surface.Surface
        With the solution in the middle.

    Raises
    ------
    ValueError
        A layer whose filters are not known, or `kept` is of another surface.
    """
    grid = grid or Grid()
    directions = [
        random_direction(objective.network, seed=seed, number=number)
        for number in range(1, grid.dimensions + 1)
    ]
    steps = np.linspace(-grid.reach, grid.reach, grid.points)
    steps[grid.points // 2] = 0.0
    beta = steps if grid.dimensions == 2 else np.zeros(1)
    work = _Work(objective, directions, steps, beta)
    return work.surface("random", {"seed": seed}, kept, progress)


def trajectory_slice(
    objective: Objective,
    snapshots: Mapping[int, Weights],
    *,
    points: int = 25,
    kept: File = None,
    progress: Progress = silent,
) -> Surface:
    """Compute the loss in the plane in which the training moved most.

    Parameters
    ----------
    objective : galcnn.landscape.objective.Objective
        Of the solution, which is the origin.
    snapshots : mapping of int to list of numpy.ndarray
        Epoch -> weights of the network.
    points : int
        Along each direction.
    kept : path-like, optional
        See `random_slice`.
    progress : galcnn.progress.Progress
        Shows rows.

    Returns
    -------
    galcnn.landscape.surface.Surface
        With the path of the training; alpha and beta are lengths in the space of the weights,
        and statistics of batch normalisation, where stored, those of the solution.

    Raises
    ------
    ValueError
        Fewer than three snapshots or those of another network, or see `random_slice`.
    """
    trained = {id(variable) for variable in objective.network.trainable_variables}
    moves = [id(variable) in trained for variable in objective.network.weights]
    plane = principal_plane(list(snapshots.values()), objective.origin, moves)
    axes = []
    for places in plane.path.T:
        low, high = min(places.min(), 0.0), max(places.max(), 0.0)
        axes.append(np.linspace(low - _MARGIN * (high - low), high + _MARGIN * (high - low), points))
    work = _Work(objective, plane.directions, axes[0], axes[1], plane.path)
    explained = {"explained_1": plane.explained[0], "explained_2": plane.explained[1]}
    return work.surface("trajectory", explained | {"snapshots": len(snapshots)}, kept, progress)


def slice_between(
    objective: Objective,
    other: keras.Model,
    *,
    points: int = 25,
    kept: File = None,
    progress: Progress = silent,
) -> Surface:
    """Compute the loss on the straight line from one solution to another.

    Parameters
    ----------
    objective : galcnn.landscape.objective.Objective
        Of the first, at alpha 0. With stored statistics those of batch normalisation are on the
        line between both solutions', too.
    other : keras.Model
        The second, at alpha 1, built alike.
    points : int
        From 0 to 1.
    kept : path-like, optional
        See `random_slice`.
    progress : galcnn.progress.Progress
        Shows points.

    Returns
    -------
    galcnn.landscape.surface.Surface
        A line, with its `barrier`.

    Raises
    ------
    ValueError
        The two are not built alike, or see `random_slice`.
    """
    way = between(objective.network, other)
    work = _Work(objective, [way], np.linspace(0.0, 1.0, points), np.zeros(1))
    return work.surface("between", {}, kept, progress)


@dataclass(frozen=True, eq=False)
class _Work:
    """A surface that is to be computed."""

    objective: Objective
    directions: Sequence[Weights]
    alpha: Array
    beta: Array
    path: Array | None = None

    def sha256(self) -> str:
        digest = hashlib.sha256(self.objective.sha256().encode())
        for array in (self.alpha, self.beta, *(w for direction in self.directions for w in direction)):
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()

    def surface(
        self, plane: Plane, facts: Mapping[str, str | int | float], kept: File, progress: Progress
    ) -> Surface:
        identity = self.sha256()
        done = _rows(kept, identity)
        with progress("landscape", self.alpha.size * self.beta.size) as step:
            for _ in range(len(done) * self.alpha.size):
                step()
            while len(done) < len(self.beta):
                row = []
                for alpha in self.alpha:
                    row.append(self.objective(self._weights(alpha, self.beta[len(done)])))
                    step(f"loss {row[-1][0]:.3g}")
                done.append(row)
                if kept is not None:
                    _keep(kept, identity, done)
        values = np.array(done)
        told = {
            "identity": identity,
            "images": len(self.objective.labels),
            "statistics": self.objective.statistics,
            **facts,
        }
        path = np.empty((0, 2)) if self.path is None else self.path
        return Surface(self.alpha, self.beta, values[..., 0], values[..., 1], plane, told, path)

    def _weights(self, *steps: float) -> Weights:
        weights = [w.copy() for w in self.objective.origin]
        for step, direction in zip(steps, self.directions, strict=False):  # a line has one direction
            for total, part in zip(weights, direction, strict=True):
                total += step * part
        return weights


def _keep(path: str | os.PathLike[str], identity: str, done: list[Any]) -> None:
    with atomic.writing(path) as temporary, temporary.open("wb") as file:
        np.savez(file, identity=np.array(identity), rows=np.array(done))


def _rows(path: File, identity: str) -> list[Any]:
    """Rows that are done."""
    if path is None or not Path(path).exists():
        return []
    try:
        with open(path, "rb") as handle, np.load(handle, allow_pickle=False) as file:
            found, rows = str(file["identity"]), file["rows"]
    except (ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(message("rows of a surface", "Remove it.", path=str(path))) from error
    if found != identity:
        raise ValueError(
            message(
                "rows of this very surface: the same model, images, grid and directions",
                "Choose another folder, or begin anew: --overwrite (in Python: overwrite=True).",
                path=str(path),
            )
        )
    return [[tuple(point) for point in row] for row in rows]
