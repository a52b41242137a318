"""Strongest activations of feature maps, projected to pixels by a deconvnet (Zeiler & Fergus 2013)."""

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
    """Images with the strongest activations of one feature map, and their projections to pixels.

    Attributes
    ----------
    network_layer : str
        Name of the network layer.
    feature : int
        Index of the feature map.
    images : numpy.ndarray
        Indices of the images in order of decreasing activation, without repetition, shape (n,).
    values : numpy.ndarray
        Largest activation in each image, shape (n,).
    cells : numpy.ndarray
        Cell of the feature map with this activation, (y, x), shape (n, 2).
    maps : numpy.ndarray
        Deconvnet map of this activation, started from its value, shape (n, ny, nx, n_bands).
    boxes : tuple of tuple of slice
        Receptive field of this activation: rows and columns of the image.
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
            Images that were searched, shape (n_images, ny, nx, n_bands).

        Returns
        -------
        list of numpy.ndarray
            One crop per activation, shape (rows, columns, n_bands); smaller at the edge of the image.
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
    """Find the images with the strongest activations of feature maps and project these to pixels.

    arXiv:1311.2901, figure 2: all activations of the layer except one are set to zero, and the signal
    is propagated back through the deconvnet. For a layer that sees several orientations of the
    images, only the original orientation is searched.

    Parameters
    ----------
    network : keras.Model
        Functional or sequential model whose rectifiers up to the layer are all ReLUs.
    images : numpy.ndarray
        Images to search, shape (n_images, ny, nx, n_bands).
    network_layer : str
        Name of a network layer with feature maps.
    features : sequence of int, optional
        Indices of the feature maps; all by default.
    n : int
        Largest number of images per feature map. Each image is counted once.

    Returns
    -------
    list of StrongestActivations
        One record per feature map.

    Raises
    ------
    ValueError
        If the layer or a feature map does not exist, or the network has other rectifiers than ReLU.
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
            """Return the largest value of each feature map, its row and its column."""
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
            """Project one activation of each image to pixels; `seeds` are (row, column, feature)."""
            with rectified("deconvnet"):
                features = _features(network_of(), images, layer)
            refuse_other_rectifiers(features, images)
            activation = tf.gather_nd(features, seeds, batch_dims=1)
            # The gradient of half the square is the activation itself, from which the paper starts.
            return (gradient_of(activation**2 / 2, images),)

        return run

    return build
