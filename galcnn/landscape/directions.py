"""Directions in the space of a network's weights: random by filter, along a training, to a solution."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import keras
import numpy as np
import numpy.typing as npt

from galcnn import seeding
from galcnn.errors import message

__all__ = ["PrincipalPlane", "Weights", "between", "principal_plane", "random_direction", "weights_of"]

#: One array for each variable of a network, in the order of `weights_of`.
Weights = list[npt.NDArray[np.float64]]
#: Axes of a kernel that make up one filter, by the class of the layer and the name of the weight.
_FILTERS: dict[tuple[type, str], tuple[int, ...]] = {
    (keras.layers.Dense, "kernel"): (0,),  # (inputs, units): what leads into a unit
    (keras.layers.Conv1D, "kernel"): (0, 1),  # (..., inputs, filters)
    (keras.layers.Conv2D, "kernel"): (0, 1, 2),
    (keras.layers.Conv3D, "kernel"): (0, 1, 2, 3),
    (keras.layers.Conv2DTranspose, "kernel"): (0, 1, 3),  # (ky, kx, filters, inputs)
    (keras.layers.DepthwiseConv2D, "kernel"): (0, 1),  # (ky, kx, inputs, multiplier): each plane apart
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
    """The plane in which a training moved most.

    Attributes
    ----------
    directions : tuple of list of numpy.ndarray
        Two, of unit length over all weights together and at right angles.
    path : numpy.ndarray
        Where the snapshots lie in it, from the origin, shape (n, 2).
    explained : tuple of float
        Share of the variance of the snapshots along each.
    """

    directions: tuple[Weights, Weights]
    path: npt.NDArray[np.float64]
    explained: tuple[float, float]


def weights_of(network: keras.Model) -> Weights:
    """Copy all weights of a network, those that are not trained included.

    Parameters
    ----------
    network : keras.Model
        Any.

    Returns
    -------
    list of numpy.ndarray
        float64, as `network.weights`: without the states of random numbers.
    """
    return [np.array(keras.ops.convert_to_numpy(w), dtype=np.float64) for w in network.weights]


def random_direction(network: keras.Model, *, seed: int, number: int = 1) -> Weights:
    """Draw a direction that is normal in every weight, and scale it filter by filter (Li et al. 2018).

    ``d_ij <- d_ij / |d_ij| * |w_ij|`` for each filter j of layer i: a step of 1 then changes each
    filter by as much as it is large, and a network whose filters are scaled, as batch
    normalisation allows without a change of its answers, has the same surface.

    Parameters
    ----------
    network : keras.Model
        With dense layers and convolutions, plain, depthwise, separable or transposed.
    seed : int
        Of the draw; each weight has a stream of its own by its place.
    number : int
        1 and 2 are the two directions of a plane.

    Returns
    -------
    list of numpy.ndarray
        Like `weights_of`. Zero for biases, normalisations, weights that are not trained, and
        filters of zeros.

    Raises
    ------
    ValueError
        A layer has weights of which it is not known what a filter is.

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
    """Give the straight way from one solution to another.

    Parameters
    ----------
    first, second : keras.Model
        Built alike.

    Returns
    -------
    list of numpy.ndarray
        Like `weights_of`: second less first, the statistics of batch normalisation included.

    Raises
    ------
    ValueError
        Their weights differ in shape.
    """
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
    """Find the plane in which a training moved most: PCA of its snapshots (Li et al. 2018, section 7).

    Parameters
    ----------
    snapshots : sequence of sequence of numpy.ndarray
        Weights after each epoch, in order; at least three.
    origin : sequence of numpy.ndarray
        Weights at alpha = beta = 0.
    trained : sequence of bool
        Which weights are trained: the others (statistics of batch normalisation) stay where they
        are.

    Returns
    -------
    PrincipalPlane
        Each direction points from the first to the last snapshot.

    Raises
    ------
    ValueError
        Fewer than three snapshots, other shapes, or snapshots that lie on a line.
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
    """Each variable of each layer with the axes of a filter; None where a direction has no part in it."""
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
