"""A weighted sum of a network layer's channels, and its gradient: what filter visualisations climb."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from galcnn.explain.forward import compiled, forward, upright
from galcnn.explain.gradients import gradient_of
from galcnn.explain.graph import network_layer
from galcnn.explain.network_maps import activations

__all__ = ["PLACES", "Place", "channel_gradient", "channel_score"]

Place = Literal["centre", "mean"]
PLACES: tuple[Place, ...] = ("centre", "mean")
Images = npt.NDArray[np.float32]


def channel_gradient(
    network: keras.Model, images: Images, weights: npt.NDArray[np.float32], *, layer: str, place: Place
) -> tuple[npt.NDArray[np.float32], Images]:
    """Differentiate a weighted sum of a layer's channels with respect to the images.

    Parameters
    ----------
    network : keras.Model
        Run in inference mode and left as it is.
    images : numpy.ndarray
        Shape (n, ny, nx, n_bands).
    weights : numpy.ndarray
        Of the channels, shape (n, channels).
    layer : str
        A network layer.
    place : {"centre", "mean"}
        Of a feature map: the cell at its centre, or the mean of all.

    Returns
    -------
    scores : numpy.ndarray
        float32, shape (n,).
    gradient : numpy.ndarray
        float32, shape of `images`.
    """

    name = network_layer(network, layer).name

    def build(of: Callable[[], keras.Model]) -> Callable[..., Any]:
        def run(images: Any, weights: Any) -> tuple[Any, Any]:
            _, seen = forward(of(), images)
            units = _units(tf.cast(upright(seen[name], images), tf.float32), place)
            scores = tf.reduce_sum(units * weights, axis=1)
            return scores, gradient_of(scores, images)

        return run

    signature = [
        tf.TensorSpec((None, *network.input_shape[1:]), tf.float32),
        tf.TensorSpec((None, weights.shape[1]), tf.float32),
    ]
    run = compiled(network, ("channel gradient", name, place), build, signature=signature)
    scores, gradient = run(
        tf.convert_to_tensor(images, tf.float32), tf.convert_to_tensor(weights, tf.float32)
    )
    return scores.numpy(), gradient.numpy()


def channel_score(
    network: keras.Model, images: Images, weights: npt.NDArray[np.float32], *, layer: str, place: Place
) -> npt.NDArray[np.float64]:
    """Compute a weighted sum of a layer's channels from its activations.

    Parameters
    ----------
    network : keras.Model
        Run in inference mode and left as it is.
    images : numpy.ndarray
        Shape (n, ny, nx, n_bands).
    weights : numpy.ndarray
        Of the channels, shape (n, channels).
    layer : str
        A network layer.
    place : {"centre", "mean"}
        See `channel_gradient`.

    Returns
    -------
    numpy.ndarray
        float64, shape (n,).
    """
    units = _units(activations(network, images, layers=[layer])[layer].astype(np.float64), place)
    scores: npt.NDArray[np.float64] = np.sum(units * weights, axis=1)
    return scores


def _units(values: Any, place: Place) -> Any:
    """Feature maps (n, y, x, channels) -> (n, channels); a vector stays as it is."""
    if len(values.shape) == 2:
        return values
    if place == "centre":
        return values[:, values.shape[1] // 2, values.shape[2] // 2]
    return values.mean(axis=(1, 2)) if isinstance(values, np.ndarray) else tf.reduce_mean(values, axis=(1, 2))
