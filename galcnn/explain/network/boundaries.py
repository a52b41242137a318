"""Decision boundaries: in the space of the last features, and on the line between two images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import keras
import numpy as np
import numpy.typing as npt

from galcnn.errors import message
from galcnn.explain.network.activations import activations
from galcnn.model import network_layers
from galcnn.model.forward import outputs
from galcnn.model.logits import check_ends_in_logits

#: Number of bisections of the interval in which the prediction changes.
_BISECTIONS = 30


@dataclass(frozen=True, eq=False)
class DecisionPlane:
    """Plane of the first two principal components of the penultimate features, and its decision regions.

    Attributes
    ----------
    positions : numpy.ndarray
        Projection of the images on the plane, float64, shape (n, 2).
    explained : tuple of float
        Fraction of the variance along each of the two axes.
    x, y : numpy.ndarray
        Coordinates of the columns and rows of the grid, float64.
    logits : numpy.ndarray
        Logits of the grid points, float32, shape (len(y), len(x), n_classes).
    answers : numpy.ndarray
        Index of the predicted class of each image, from all features, int, shape (n,).
    agreement : float
        Fraction of images whose predicted class is that of the region of the plane at their
        position. The class of the others depends on directions out of the plane.
    network_layer : str
        Network layer that outputs the features.
    """

    positions: npt.NDArray[np.float64]
    explained: tuple[float, float]
    x: npt.NDArray[np.float64]
    y: npt.NDArray[np.float64]
    logits: npt.NDArray[np.float32]
    answers: npt.NDArray[np.intp]
    agreement: float
    network_layer: str

    @property
    def regions(self) -> npt.NDArray[np.intp]:
        """Index of the predicted class of each grid point, shape (len(y), len(x))."""
        return np.asarray(np.argmax(self.logits, axis=-1))


def decision_plane(
    network: keras.Model, images: npt.NDArray[np.float32], *, points: int = 240, margin: float = 0.15
) -> DecisionPlane:
    """Compute the decision regions in the plane of the first two principal components of the features.

    The logits are linear functions of the features that enter the last Dense layer, so that each
    region is a convex polygon. The plane contains the mean of the features.

    Parameters
    ----------
    network : keras.Model
        Network that ends in a linear Dense layer.
    images : numpy.ndarray
        At least three images, shape (n, ny, nx, n_bands).
    points : int
        Number of grid points along each axis.
    margin : float
        Margin of the grid around the images, as a fraction of their range.

    Returns
    -------
    DecisionPlane
        Plane and regions. The largest component of each axis is positive.

    Raises
    ------
    ValueError
        If the network does not end in a Dense layer, or the features vary in fewer than two
        directions.
    """
    check_ends_in_logits(network)
    name, dense = _head(network)
    layers = network_layers(network)
    (source,) = layers[name].sources
    while isinstance(layers[source].layer, keras.layers.Dropout):  # the identity in inference
        (source,) = layers[source].sources
    found = activations(network, images, layers=[source, name])
    features, logits = found[source].astype(np.float64), found[name]
    mean = features.mean(axis=0)
    _, values, axes = np.linalg.svd(features - mean, full_matrices=False)
    if len(values) < 2 or values[1] <= 1e-9 * max(values[0], np.finfo(float).tiny):
        raise ValueError(
            message("features that vary in two directions", "Use more galaxies.", spread=values[:2].tolist())
        )
    axes = axes[:2]
    signs = np.sign(axes[np.arange(2), np.argmax(np.abs(axes), axis=1)])
    axes = axes * signs[:, np.newaxis]
    positions = (features - mean) @ axes.T
    low, high = positions.min(axis=0), positions.max(axis=0)
    reach = margin * (high - low)
    x, y = (np.linspace(low[i] - reach[i], high[i] + reach[i], points) for i in range(2))
    kernel = keras.ops.convert_to_numpy(dense.kernel).astype(np.float64)
    bias = keras.ops.convert_to_numpy(dense.bias).astype(np.float64) if dense.use_bias else 0.0
    offset, slopes = mean @ kernel + bias, axes @ kernel
    grid = offset + y[:, np.newaxis, np.newaxis] * slopes[1] + x[np.newaxis, :, np.newaxis] * slopes[0]
    answers = np.argmax(logits, axis=1)
    inside = np.argmax(offset + positions @ slopes, axis=1)
    variance = values**2 / np.sum(values**2)
    return DecisionPlane(
        positions,
        (float(variance[0]), float(variance[1])),
        x,
        y,
        grid.astype(np.float32),
        answers,
        float(np.mean(inside == answers)),
        source,
    )


@dataclass(frozen=True)
class Crossing:
    """Point on a line at which the predicted class changes.

    Attributes
    ----------
    position : float
        Position between 0 (first image) and 1 (second image).
    before, after : int
        Index of the class on both sides.
    """

    position: float
    before: int
    after: int


@dataclass(frozen=True, eq=False)
class Line:
    """Logits along the straight line from one image to another.

    Attributes
    ----------
    positions : numpy.ndarray
        Positions of the points, from 0 to 1, float64, shape (n,).
    logits : numpy.ndarray
        Logits, float32, shape (n, n_classes).
    crossings : tuple of Crossing
        Changes of the predicted class, in order. Regions narrower than the distance between two points
        may be missed.
    """

    positions: npt.NDArray[np.float64]
    logits: npt.NDArray[np.float32]
    crossings: tuple[Crossing, ...]

    def margin(self, name: int, other: int) -> npt.NDArray[np.float32]:
        """Return the logit of class `name` minus that of class `other` along the line, shape (n,)."""
        return self.logits[:, name] - self.logits[:, other]


def line_between(
    network: keras.Model,
    first: npt.NDArray[np.float32],
    second: npt.NDArray[np.float32],
    *,
    points: int = 65,
) -> Line:
    """Compute the logits on the line between two images and find where the predicted class changes.

    Parameters
    ----------
    network : keras.Model
        Network that ends in logits.
    first, second : numpy.ndarray
        Images, shape (ny, nx, n_bands).
    points : int
        Number of points on the line, at least two.

    Returns
    -------
    Line
        Logits and crossings; the positions of crossings are bisected to 1e-9.

    Raises
    ------
    ValueError
        If the shapes of the images differ, or there are fewer than two points.
    """
    check_ends_in_logits(network)
    if first.shape != second.shape or points < 2:
        raise ValueError(
            message(
                "two images of one shape and at least two points",
                "",
                shapes=(first.shape, second.shape),
                points=points,
            )
        )
    positions = np.linspace(0, 1, points)

    def along(where: Sequence[float] | npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
        share = np.asarray(where, dtype=np.float64)[:, np.newaxis, np.newaxis, np.newaxis]
        return outputs(network, ((1 - share) * first + share * second).astype(np.float32))

    logits = along(positions)
    answers = np.argmax(logits, axis=1)
    flips = np.flatnonzero(answers[1:] != answers[:-1])
    low, high = positions[flips], positions[flips + 1]
    before, after = answers[flips], answers[flips + 1]
    for _ in range(_BISECTIONS if len(flips) else 0):
        middle = (low + high) / 2
        found = along(middle)
        rows = np.arange(len(flips))
        still = found[rows, before] >= found[rows, after]
        low, high = np.where(still, middle, low), np.where(still, high, middle)
    crossings = tuple(
        Crossing(float(position), int(a), int(b))
        for position, a, b in zip((low + high) / 2, before, after, strict=True)
    )
    return Line(positions, logits, crossings)


def _head(network: keras.Model) -> tuple[str, keras.layers.Dense]:
    """Return the last layer, which must be Dense."""
    steps = [step for step in network_layers(network).values() if not isinstance(step.layer, keras.Model)]
    last = steps[-1]
    if not isinstance(last.layer, keras.layers.Dense) or len(last.sources) != 1 or last.sources == ("input",):
        raise ValueError(
            message(
                "a network that ends in a Dense layer behind another layer",
                "",
                network=network.name,
                last=last.name,
                kind=last.kind,
            )
        )
    return last.name, last.layer
