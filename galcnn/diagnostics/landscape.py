"""Slices through the loss landscape: directions in weight space, and the loss on a grid along them."""

from __future__ import annotations

import hashlib
import os
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from galcnn._runtime import atomic, seeding
from galcnn._runtime.progress import Progress, silent
from galcnn.diagnostics.surface import Plane, Surface
from galcnn.errors import message
from galcnn.model.weights import give_weights

#: One array for each variable of a network, in the order of `weights_of`.
Weights = list[npt.NDArray[np.float64]]


#: Axes of a kernel over which one filter extends, by layer class and name of the weight.
_FILTERS: dict[tuple[type, str], tuple[int, ...]] = {
    (keras.layers.Dense, "kernel"): (0,),  # (inputs, units): the weights of one unit
    (keras.layers.Conv1D, "kernel"): (0, 1),  # (..., inputs, filters)
    (keras.layers.Conv2D, "kernel"): (0, 1, 2),
    (keras.layers.Conv3D, "kernel"): (0, 1, 2, 3),
    (keras.layers.Conv2DTranspose, "kernel"): (0, 1, 3),  # (ky, kx, filters, inputs)
    (keras.layers.DepthwiseConv2D, "kernel"): (0, 1),  # (ky, kx, inputs, multiplier)
    (keras.layers.SeparableConv2D, "depthwise_kernel"): (0, 1),
    (keras.layers.SeparableConv2D, "pointwise_kernel"): (0, 1, 2),
}


_NORMALIZATIONS = (
    keras.layers.BatchNormalization,
    keras.layers.GroupNormalization,
    keras.layers.LayerNormalization,
    keras.layers.RMSNormalization,
)


_TINY = 1e-30


@dataclass(frozen=True, eq=False)
class PrincipalPlane:
    """Plane of the first two principal components of a training's snapshots.

    Attributes
    ----------
    directions : tuple of list of numpy.ndarray
        Two orthonormal directions; norms are over all weights together.
    path : numpy.ndarray
        Coordinates of the snapshots in the plane, relative to the origin, shape (n, 2).
    explained : tuple of float
        Fraction of the variance of the snapshots along each direction.
    """

    directions: tuple[Weights, Weights]
    path: npt.NDArray[np.float64]
    explained: tuple[float, float]


def weights_of(network: keras.Model) -> Weights:
    """Copy all weights of a network, including untrained ones, without random states."""
    return [np.array(keras.ops.convert_to_numpy(w), dtype=np.float64) for w in network.weights]


def random_direction(network: keras.Model, *, seed: int, number: int = 1) -> Weights:
    """Draw a Gaussian random direction with filter normalisation (Li et al. 2018).

    For each filter j of layer i, ``d_ij <- d_ij / |d_ij| * |w_ij|``: a step of 1 changes each filter by
    its own norm. The surface is then independent of the scale of the filters, which has no effect in
    networks with batch normalisation.

    Parameters
    ----------
    network : keras.Model
        Network of dense layers and convolutions (plain, depthwise, separable or transposed).
    seed : int
        Seed of the draw; each weight has its own random stream.
    number : int
        Number of the direction: 1 and 2 span a plane.

    Returns
    -------
    list of numpy.ndarray
        Direction, in the order of `weights_of`. It is zero for biases, normalisation weights, untrained
        weights and filters of zeros.

    Raises
    ------
    ValueError
        If the filters of a layer are not known.

    Examples
    --------
    >>> from galcnn.model import NetworkSettings, build_network
    >>> network = build_network((16, 16, 1), 2, settings=NetworkSettings(widths=(4,), depth=1, stem=0))
    >>> step, kernel = random_direction(network, seed=0)[0], weights_of(network)[0]
    >>> bool(np.allclose((step**2).sum(axis=(0, 1, 2)), (kernel**2).sum(axis=(0, 1, 2))))
    True
    """
    axes = {id(variable): found for variable, found in _filters(network)}
    trained = {id(variable) for variable in network.trainable_variables}
    direction = []
    for place, (variable, values) in enumerate(zip(network.weights, weights_of(network), strict=True)):
        if id(variable) not in trained or axes.get(id(variable)) is None:
            direction.append(np.zeros_like(values))
            continue
        step = seeding.generator(seed, "landscape", number, place).standard_normal(values.shape)
        sizes, steps = (np.sqrt(np.sum(a**2, axis=axes[id(variable)], keepdims=True)) for a in (values, step))
        direction.append(step * sizes / np.maximum(steps, _TINY))
    return direction


def between(first: keras.Model, second: keras.Model) -> Weights:
    """Return the difference of the weights of two networks, second minus first."""
    start, end = weights_of(first), weights_of(second)
    if [w.shape for w in start] != [w.shape for w in end]:
        raise ValueError(
            message(
                "two networks that are built alike",
                "Train both with the same settings of [network].",
                first=sum(w.size for w in start),
                second=sum(w.size for w in end),
            )
        )
    return [b - a for a, b in zip(start, end, strict=True)]


def principal_plane(
    snapshots: Sequence[Sequence[npt.NDArray[np.floating]]],
    origin: Sequence[npt.NDArray[np.floating]],
    trained: Sequence[bool],
) -> PrincipalPlane:
    """Find the plane of largest variance of a training by PCA of its snapshots (Li et al. 2018, section 7).

    Directions are zero for weights that are not `trained` (such as batch statistics). Their signs are
    chosen such that the path goes from the first to the last snapshot in the positive direction.
    """
    shapes = [w.shape for w in origin]
    if len(snapshots) < 3 or any([w.shape for w in weights] != shapes for weights in snapshots):
        raise ValueError(
            message(
                "at least three snapshots of this network",
                "Train it again with --snapshots.",
                snapshots=len(snapshots),
            )
        )
    rows = np.array([_flat([a - b for a, b in zip(w, origin, strict=True)], trained) for w in snapshots])
    centred = rows - rows.mean(axis=0)
    _, sizes, axes = np.linalg.svd(centred, full_matrices=False)
    if sizes[1] <= 1e-6 * sizes[0]:
        raise ValueError(
            message("snapshots that span a plane", "Keep more epochs.", singular_values=sizes[:2].tolist())
        )
    way = axes[:2] @ (rows[-1] - rows[0])
    axes = axes[:2] * np.where(way < 0, -1.0, 1.0)[:, np.newaxis]
    shares = sizes**2 / np.sum(sizes**2)
    directions = tuple(_unflat(axis, shapes, trained) for axis in axes)
    return PrincipalPlane((directions[0], directions[1]), rows @ axes.T, (float(shares[0]), float(shares[1])))


def _filters(network: keras.Model) -> Iterator[tuple[keras.Variable, tuple[int, ...] | None]]:
    """Yield each variable with the axes of its filters; None for variables that stay constant."""
    for layer in _leaves(network):
        for variable in layer.trainable_variables:
            axes = _FILTERS.get((type(layer), variable.name))
            still = isinstance(layer, _NORMALIZATIONS) or len(variable.shape) <= 1
            if axes is None and not still:
                raise ValueError(
                    message(
                        "dense layers and convolutions, whose filters are known",
                        "Freeze the layer (trainable = False) to leave it as it is.",
                        layer=layer.name,
                        kind=type(layer).__name__,
                        weight=variable.name,
                    )
                )
            yield variable, None if still else axes


def _leaves(network: keras.Model) -> Iterator[keras.layers.Layer]:
    for layer in network.layers:
        if isinstance(layer, keras.Model):
            yield from _leaves(layer)
        else:
            yield layer


def _flat(weights: Sequence[npt.NDArray[np.floating]], trained: Sequence[bool]) -> npt.NDArray[np.float64]:
    kept = [w.ravel() for w, moves in zip(weights, trained, strict=True) if moves]
    return np.concatenate(kept).astype(np.float64)


def _unflat(
    values: npt.NDArray[np.float64], shapes: Sequence[tuple[int, ...]], trained: Sequence[bool]
) -> Weights:
    found, place = [], 0
    for shape, moves in zip(shapes, trained, strict=True):
        size = int(np.prod(shape)) if moves else 0
        found.append(values[place : place + size].reshape(shape) if moves else np.zeros(shape))
        place += size
    return found


#: Mean and variance of batch normalisation: recomputed, or stored in the network.
Statistics = Literal["recompute", "stored"]


_STATISTICS = ("recompute", "stored")


_CHUNK = 256


class Objective:
    """Mean cross-entropy and error rate of a network on some images, as a function of the weights.

    Penalties are not included, and dropout is off. The network is copied; its own weights are never
    changed.

    Parameters
    ----------
    network : keras.Model
        Functional or sequential network that returns logits.
    images : numpy.ndarray
        Inputs of the network, shape (n, ...).
    labels : numpy.ndarray
        Class indices, int, shape (n,).
    statistics : {"recompute", "stored"}
        Mean and variance of batch normalisation. ``"recompute"`` computes them at every point, over all
        images as one batch, as in training. ``"stored"`` uses the values among the weights (Li et al.
        2018), which were measured at the solution. Frozen layers always use their stored values.
    """

    def __init__(
        self,
        network: keras.Model,
        images: npt.NDArray[np.float32],
        labels: npt.NDArray[np.integer],
        *,
        statistics: Statistics = "recompute",
    ) -> None:
        if statistics not in _STATISTICS:
            raise ValueError(message(f"statistics among {_STATISTICS}", "", statistics=statistics))
        if len(images) < 1 or labels.shape != (len(images),):
            raise ValueError(
                message("images, and as many labels", "", images=len(images), labels=labels.shape)
            )
        self.network, self.statistics = network, statistics
        self.images, self.labels = np.asarray(images), np.asarray(labels, dtype=np.int32)
        self.origin = weights_of(network)
        self._copy, recomputed = _copied(network, statistics)
        chunk = len(images) if recomputed else _CHUNK  # recomputed statistics need all images in one batch
        self._pieces = [
            (tf.constant(self.images[k : k + chunk]), tf.constant(self.labels[k : k + chunk]))
            for k in range(0, len(images), chunk)
        ]
        copy = self._copy

        @tf.function(reduce_retracing=True)
        def sums(seen: Any, labels: Any) -> Any:
            logits = tf.cast(copy(seen, training=False), tf.float32)
            losses = keras.losses.sparse_categorical_crossentropy(labels, logits, from_logits=True)
            wrong = tf.argmax(logits, axis=1, output_type=tf.int32) != labels
            return tf.reduce_sum(tf.cast(losses, tf.float64)), tf.reduce_sum(tf.cast(wrong, tf.float64))

        self._sums = sums

    def __call__(self, weights: Weights) -> tuple[float, float]:
        """Return loss and error rate for given weights.

        Parameters
        ----------
        weights : list of numpy.ndarray
            Weights in the order of `galcnn.diagnostics.landscape.weights_of`.

        Returns
        -------
        loss : float
            Mean cross-entropy, nat; infinite if it is not finite.
        error : float
            Fraction of wrong answers.
        """
        for variable, values in zip(self._copy.weights, weights, strict=True):
            variable.assign(values.astype(variable.dtype))
        loss, wrong = np.sum([[float(x) for x in self._sums(*piece)] for piece in self._pieces], axis=0)
        n = len(self.labels)
        return (float(loss / n) if np.isfinite(loss) else float("inf")), float(wrong / n)

    def sha256(self) -> str:
        """Hash statistics, images, labels and the network's weights.

        Returns
        -------
        str
            SHA-256, hexadecimal.
        """
        digest = hashlib.sha256(repr((self.statistics, self.images.shape)).encode())
        for array in (self.images, self.labels, *self.origin):
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()


class _OwnBatch(keras.layers.BatchNormalization):
    """Batch normalisation that always uses the statistics of the present batch."""

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        del training
        return super().call(inputs, training=True, mask=mask)


def _copied(network: keras.Model, statistics: Statistics) -> tuple[keras.Model, bool]:
    """Return a copy of a network, and True if it recomputes batch statistics."""
    measured = []

    def copied(layer: keras.layers.Layer) -> keras.layers.Layer:
        config = layer.get_config()
        if type(layer) is keras.layers.BatchNormalization and layer.trainable and statistics == "recompute":
            measured.append(layer.name)
            return _OwnBatch.from_config(config)
        return type(layer).from_config(config)

    try:
        copy = keras.models.clone_model(network, clone_function=copied, recursive=True)
    except (ValueError, TypeError) as error:
        raise ValueError(
            message(
                "a functional or sequential network",
                "Build it with keras.Input and keras.Model.",
                network=network.name,
                kind=type(network).__name__,
            )
        ) from error
    give_weights(copy, network)
    return copy, bool(measured)


Array = npt.NDArray[np.float64]


File = str | os.PathLike[str] | None


#: Margin of a trajectory's plane on each side, as a fraction of the extent of the path.
_MARGIN = 0.25


@dataclass(frozen=True)
class Grid:
    """Grid of points at which the loss is computed.

    Attributes
    ----------
    points : int
        Number of points along each direction; odd, so that the solution is one of them.
    reach : float
        Extent of the grid, from ``-reach`` to ``reach``; 1 changes each filter by its own norm.
    dimensions : {1, 2}
        Number of directions: a line or a plane.
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
    """Compute the loss along random, filter-normalised directions (Li et al. 2018).

    Parameters
    ----------
    objective : galcnn.diagnostics.Objective
        Objective of the solution.
    grid : Grid, optional
        Grid of points; ``Grid()`` by default.
    seed : int
        Seed of the directions.
    kept : path-like, optional
        File, ``.npz``, to which completed rows are saved. If it exists, the same call resumes from it.
    progress : galcnn._runtime.progress.Progress
        Progress display.

    Returns
    -------
    galcnn.diagnostics.surface.Surface
        Surface with the solution in the centre.

    Raises
    ------
    ValueError
        If the filters of a layer are not known, or `kept` belongs to another surface.
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
    """Compute the loss in the plane of the first two principal components of the training.

    Parameters
    ----------
    objective : galcnn.diagnostics.Objective
        Objective of the solution, which is the origin.
    snapshots : mapping of int to list of numpy.ndarray
        Epoch -> weights of the network.
    points : int
        Number of points along each direction.
    kept : path-like, optional
        See `random_slice`.
    progress : galcnn._runtime.progress.Progress
        Progress display.

    Returns
    -------
    galcnn.diagnostics.surface.Surface
        Surface with the path of the training. Alpha and beta are Euclidean lengths in weight space.
        Stored statistics of batch normalisation are those of the solution.

    Raises
    ------
    ValueError
        If there are fewer than three snapshots, they do not span a plane or belong to another network,
        or `kept` belongs to another surface.
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
    """Compute the loss on the straight line between two solutions.

    Parameters
    ----------
    objective : galcnn.diagnostics.Objective
        Objective of the first solution, at alpha 0. With ``statistics="stored"``, batch statistics are
        interpolated like the other weights.
    other : keras.Model
        Second solution, at alpha 1, of the same architecture.
    points : int
        Number of points from 0 to 1.
    kept : path-like, optional
        See `random_slice`.
    progress : galcnn._runtime.progress.Progress
        Progress display.

    Returns
    -------
    galcnn.diagnostics.surface.Surface
        Surface of one dimension, with a `barrier`.

    Raises
    ------
    ValueError
        If the architectures differ, or `kept` belongs to another surface.
    """
    way = between(objective.network, other)
    work = _Work(objective, [way], np.linspace(0.0, 1.0, points), np.zeros(1))
    return work.surface("between", {}, kept, progress)


@dataclass(frozen=True, eq=False)
class _Work:
    """Computation of a surface."""

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
        n_points = self.alpha.size * self.beta.size
        with progress("landscape", n_points, done=len(done) * self.alpha.size) as step:
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
    """Read the completed rows of a surface."""
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
                "rows of the same model, images, grid and directions",
                "Choose another folder, or start again: overwrite=True.",
                path=str(path),
            )
        )
    return [[tuple(point) for point in row] for row in rows]
