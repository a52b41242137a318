"""What a feature map answers to: its strongest activations through a deconvnet (Zeiler & Fergus 2013)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from galcnn.errors import message
from galcnn.explain.methods.rectifiers import rectified, refuse_other_rectifiers
from galcnn.model import graph
from galcnn.model.forward import check_images, compiled, forward, run_in_batches, upright
from galcnn.model.gradients import gradient_of
from galcnn.model.receptive import cell_grid_at


@dataclass(frozen=True, eq=False)
class StrongestActivations:
    """The images in which one feature map is strongest, and what of each image made it so.

    Attributes
    ----------
    network_layer : str
        Name of the layer.
    feature : int
        Which of its feature maps.
    images : numpy.ndarray
        Indices of the images, the strongest first, each once, shape (n,).
    values : numpy.ndarray
        Greatest activation in each, shape (n,).
    cells : numpy.ndarray
        Where it stands in the feature map, (y, x), shape (n, 2).
    maps : numpy.ndarray
        Deconvnet maps of this one activation, seeded with its value, shape (n, ny, nx, n_bands).
    boxes : tuple of tuple of slice
        Rows and columns of the image that the activation looks at: its receptive field.
    """

    network_layer: str
    feature: int
    images: npt.NDArray[np.int64]
    values: npt.NDArray[np.floating[Any]]
    cells: npt.NDArray[np.int64]
    maps: npt.NDArray[np.floating[Any]]
    boxes: tuple[tuple[slice, slice], ...]

    def crops(self, images: npt.NDArray[np.floating[Any]]) -> list[npt.NDArray[np.floating[Any]]]:
        """Cut the receptive fields out of the images.

        Parameters
        ----------
        images : numpy.ndarray
            Those that were searched, shape (n, ny, nx, n_bands).

        Returns
        -------
        list of numpy.ndarray
            One an activation, shape (rows, columns, n_bands); smaller at the edge of the image.
        """
        return [images[i][box] for i, box in zip(self.images, self.boxes, strict=True)]


def strongest_activations(
    network: keras.Model,
    images: npt.NDArray[np.float32],
    *,
    network_layer: str,
    features: Sequence[int] | None = None,
    n: int = 9,
) -> list[StrongestActivations]:
    """Find the images that feature maps answer to most, and project each activation back to pixels.

    arXiv:1311.2901, figure 2: all other activations of the layer are set to zero, the one keeps
    its value, and the signal goes back through the deconvnet. Of a layer that sees the images in
    several orientations, the images as they stand are searched.

    Parameters
    ----------
    network : keras.Model
        Functional or sequential; all its rectifiers up to the layer are ReLUs.
    images : numpy.ndarray
        To search, shape (n_images, ny, nx, n_bands).
    network_layer : str
        Name of a layer with feature maps.
    features : sequence of int, optional
        Which feature maps; all by default.
    n : int
        Images for each, fewer where there are not so many. An image counts once.

    Returns
    -------
    list of StrongestActivations
        One a feature map.

    Raises
    ------
    ValueError
        No such layer or feature, or a network that a deconvnet cannot go back through.
    """
    check_images(network, images)
    layer = graph.network_layer(network, network_layer)
    shape = layer.tensors[-1][1].shape
    chosen = range(shape[-1] or 0) if features is None else [int(feature) for feature in features]
    if len(shape) != 4 or n < 1 or not all(0 <= feature < shape[-1] for feature in chosen):
        raise ValueError(
            message(
                "a layer with feature maps of shape (n, ny, nx, n_features), features of it, and n >= 1",
                "",
                network_layer=layer.name,
                shape=shape,
                features=features,
                n=n,
            )
        )
    name, like = layer.name, np.zeros((1, 3), dtype=np.int32)
    search = compiled(network, ("strongest", name), _searcher(name), (images,))
    project = compiled(network, ("project", name), _projector(name), (images, like))
    values, rows, columns = run_in_batches(search, images)  # each (n_images, n_features)
    grid, sides = cell_grid_at(layer), (images.shape[1], images.shape[2])
    found = []
    for feature in chosen:
        which = np.argsort(-values[:, feature], kind="stable")[:n]
        cells = np.stack([rows[which, feature], columns[which, feature]], axis=1)
        seeds = np.insert(cells, 2, feature, axis=1).astype(np.int32)
        (maps,) = run_in_batches(project, images[which], seeds)
        boxes = tuple(grid.box((int(y), int(x)), sides) for y, x in cells)
        found.append(StrongestActivations(name, feature, which, values[which, feature], cells, maps, boxes))
    return found


def _features(network: keras.Model, images: Any, layer: str) -> Any:
    with keras.StatelessScope():
        return upright(forward(network, images)[1][layer], images)


def _searcher(layer: str) -> Callable[[Callable[[], keras.Model]], Callable[..., Any]]:
    def build(network_of: Callable[[], keras.Model]) -> Callable[..., Any]:
        def run(images: Any) -> tuple[Any, Any, Any]:
            """Give the greatest value of each feature map, and its row and column."""
            features = _features(network_of(), images, layer)
            shape = tf.shape(features)
            flat = tf.reshape(features, (shape[0], shape[1] * shape[2], features.shape[3]))
            place = tf.argmax(flat, axis=1, output_type=tf.int32)
            return tf.cast(tf.reduce_max(flat, axis=1), images.dtype), place // shape[2], place % shape[2]

        return run

    return build


def _projector(layer: str) -> Callable[[Callable[[], keras.Model]], Callable[..., Any]]:
    def build(network_of: Callable[[], keras.Model]) -> Callable[..., Any]:
        def run(images: Any, seeds: Any) -> tuple[Any]:
            """Go back from one activation of each image, given as (row, column, feature)."""
            with rectified("deconvnet"):
                features = _features(network_of(), images, layer)
            refuse_other_rectifiers(features, images)
            activation = tf.gather_nd(features, seeds, batch_dims=1)
            # Half a square has the value itself as its slope: the seed of the paper.
            return (gradient_of(activation**2 / 2, images),)

        return run

    return build
