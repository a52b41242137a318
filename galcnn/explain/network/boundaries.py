"""Where a network changes its mind: in the space of its last features, and between two galaxies."""

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
from galcnn.model.gradients import check_ends_in_logits

#: Halvings of the interval in which the answer flips: 2^-30 of the line.
_BISECTIONS = 30


@dataclass(frozen=True, eq=False)
class DecisionPlane:
    """The plane through the penultimate features in which a sample spreads most, and its regions.

    Attributes
    ----------
    positions : numpy.ndarray
        float64, shape (n, 2): the sample in the plane.
    explained : tuple of float
        Share of the sample's variance along both axes.
    x, y : numpy.ndarray
        float64: coordinates of the grid's columns and rows.
    logits : numpy.ndarray
        float32, shape (len(y), len(x), n_classes), of the points of the plane.
    answers : numpy.ndarray
        int, shape (n,): the class of each image by the whole network.
    agreement : float
        Share of the sample whose answer is that of the region where it lies; the rest owes its
        class to directions out of the plane.
    network_layer : str
        Whose features these are.
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
        """The class of each point of the grid, shape (len(y), len(x))."""
        return np.asarray(np.argmax(self.logits, axis=-1))


def decision_plane(
    network: keras.Model, images: npt.NDArray[np.float32], *, points: int = 240, margin: float = 0.15
) -> DecisionPlane:
    """Cut the decision regions by the plane of the first two principal components.

    The features that enter the last Dense layer are linear in the logits, so that each region of
    the plane is a convex polygon. The plane goes through the mean of the sample.

    Parameters
    ----------
    network : keras.Model
        Ends in a linear Dense layer.
    images : numpy.ndarray
        Shape (n, ny, nx, n_bands), at least three.
    points : int
        Of the grid along each axis.
    margin : float
        Of the grid beyond the sample, as a share of its range.

    Returns
    -------
    DecisionPlane
        Signs of the axes: the largest component of each is positive.

    Raises
    ------
    ValueError
        Another end of the network, or features that do not spread in two directions.
    """
    check_ends_in_logits(network)
    name, dense = _head(network)
    layers = network_layers(network)
    (source,) = layers[name].sources
    while isinstance(layers[source].layer, keras.layers.Dropout):  # it lets all pass in inference
        (source,) = layers[source].sources
    found = activations(network, images, layers=[source, name])
    features, logits = found[source].astype(np.float64), found[name]
    mean = features.mean(axis=0)
    _, values, axes = np.linalg.svd(features - mean, full_matrices=False)
    if len(values) < 2 or values[1] <= 1e-9 * max(values[0], np.finfo(float).tiny):
        raise ValueError(
            message(
                "features that spread in two directions", "Use more galaxies.", spread=values[:2].tolist()
            )
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
    """A point of a line where the answer changes.

    Attributes
    ----------
    position : float
        From 0 at the first image to 1 at the second.
    before, after : int
        Classes on both sides.
    """

    position: float
    before: int
    after: int


@dataclass(frozen=True, eq=False)
class Line:
    """The straight line from one image to another, as the network sees it.

    Attributes
    ----------
    positions : numpy.ndarray
        float64, shape (n,), from 0 to 1.
    logits : numpy.ndarray
        float32, shape (n, n_classes).
    crossings : tuple of Crossing
        In order. Regions narrower than the distance of two points may be passed over.
    """

    positions: npt.NDArray[np.float64]
    logits: npt.NDArray[np.float32]
    crossings: tuple[Crossing, ...]

    def margin(self, name: int, other: int) -> npt.NDArray[np.float32]:
        """Give the logit of one class minus that of another along the line."""
        return self.logits[:, name] - self.logits[:, other]


def line_between(
    network: keras.Model,
    first: npt.NDArray[np.float32],
    second: npt.NDArray[np.float32],
    *,
    points: int = 65,
) -> Line:
    """Follow the logits from one galaxy to another and find where the answer flips.

    Parameters
    ----------
    network : keras.Model
        Ends in logits.
    first, second : numpy.ndarray
        Images, shape (ny, nx, n_bands).
    points : int
        Along the line, at least two.

    Returns
    -------
    Line
        Crossings are bisected to 1e-9 of the line.

    Raises
    ------
    ValueError
        Images of different shapes, or too few points.
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
    """The last step that is no model: it must be Dense on a vector."""
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
