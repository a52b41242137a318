"""What each network layer makes of images, and how a target's gradient travels back through it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from galcnn.errors import message
from galcnn.explain.explanation import Target
from galcnn.explain.forward import compiled, forward, upright
from galcnn.explain.gradients import gradients_of, target_weights
from galcnn.explain.graph import network_layer, network_layers, refuse_squashed
from galcnn.files.text import unique_name

__all__ = ["activations", "layer_gradients", "weight_gradients"]

_BATCH = 64

Maps = dict[str, npt.NDArray[np.float32]]


def activations(
    network: keras.Model, images: npt.NDArray[np.float32], *, layers: Sequence[str] | None = None
) -> Maps:
    """Compute what network layers give for some images.

    Parameters
    ----------
    network : keras.Model
        Run in inference mode and left as it is.
    images : numpy.ndarray
        Shape (n, ny, nx, n_bands).
    layers : sequence of str, optional
        Names, see `galcnn.explain.graph.network_layer`; all by default.

    Returns
    -------
    dict of str to numpy.ndarray
        By these names, float32, shape (n, cells_y, cells_x, channels) or (n, units); all in the
        order of the pass. Of a layer that sees the images in several orientations, as they stand.

    Raises
    ------
    ValueError
        No network layer of such a name.
    """
    known = _known(network, layers)
    names = tuple(known.values())

    def build(of: Callable[[], keras.Model]) -> Callable[..., Any]:
        def run(images: Any) -> list[Any]:
            _, seen = forward(of(), images)
            return [tf.cast(upright(seen[name], images), tf.float32) for name in names]

        return run

    run = compiled(network, ("activations", names), build, signature=[_images(network)])
    return _batched(lambda piece: run(_tensor(images[piece])), len(images), list(known))


def layer_gradients(
    network: keras.Model,
    images: npt.NDArray[np.float32],
    target: Target | Sequence[Target],
    *,
    layers: Sequence[str] | None = None,
) -> Maps:
    """Differentiate a target with respect to what each network layer gives.

    Parameters
    ----------
    network : keras.Model
        Ends in logits.
    images : numpy.ndarray
        Shape (n, ny, nx, n_bands).
    target : Target or sequence of Target
        One for all, or one an image.
    layers : sequence of str, optional
        Names; all by default.

    Returns
    -------
    dict of str to numpy.ndarray
        float32, the shapes of `activations`: the target grows by this much when a cell grows by
        one. Zero where nothing flows back.

    Raises
    ------
    ValueError
        No such network layer, no logits, or a target that does not fit.
    """
    known, weights = _known(network, layers), target_weights(network, target, images)
    names = tuple(known.values())

    def build(of: Callable[[], keras.Model]) -> Callable[..., Any]:
        def run(images: Any, weights: Any) -> list[Any]:
            outputs, seen = forward(of(), images)
            refuse_squashed(outputs)
            scores = tf.reduce_sum(tf.cast(outputs, tf.float32) * weights, axis=1)
            maps = [seen[name] for name in names]
            return [
                upright(tf.zeros_like(values, tf.float32) if gradient is None else gradient, images)
                for values, gradient in zip(maps, gradients_of(scores, maps), strict=True)
            ]

        return run

    signature = [_images(network), tf.TensorSpec((None, weights.shape[1]), tf.float32)]
    run = compiled(network, ("layer gradients", names), build, signature=signature)
    return _batched(
        lambda piece: run(_tensor(images[piece]), _tensor(weights[piece])), len(images), list(known)
    )


def weight_gradients(
    network: keras.Model, images: npt.NDArray[np.float32], target: Target | Sequence[Target]
) -> Maps:
    """Differentiate the mean of a target over images with respect to the trainable weights.

    Parameters
    ----------
    network : keras.Model
        Ends in logits.
    images : numpy.ndarray
        Shape (n, ny, nx, n_bands).
    target : Target or sequence of Target
        One for all, or one an image.

    Returns
    -------
    dict of str to numpy.ndarray
        float32, by network layer and weight (``conv1_1/kernel``), in the shape of the weight.

    Raises
    ------
    ValueError
        No logits, or a target that does not fit.
    """
    weights, names = target_weights(network, target, images), tuple(_trainable(network))

    def build(of: Callable[[], keras.Model]) -> Callable[..., Any]:
        def run(images: Any, weights: Any) -> list[Any]:
            variables = _trainable(of())
            values = [variables[name].value for name in names]
            outputs = of()(images, training=False)
            refuse_squashed(outputs)
            scores = tf.reduce_sum(tf.cast(outputs, tf.float32) * weights, axis=1)
            return [
                tf.zeros(value.shape) if gradient is None else gradient
                for value, gradient in zip(values, gradients_of(scores, values), strict=True)
            ]

        return run

    signature = [_images(network), tf.TensorSpec((None, weights.shape[1]), tf.float32)]
    run = compiled(network, ("weight gradients", names), build, signature=signature)
    total = [np.zeros(variable.shape) for variable in _trainable(network).values()]
    for start in range(0, len(images), _BATCH):
        piece = slice(start, start + _BATCH)
        for sum_, gradient in zip(total, run(_tensor(images[piece]), _tensor(weights[piece])), strict=True):
            sum_ += gradient.numpy()
    return {name: (sum_ / len(images)).astype(np.float32) for name, sum_ in zip(names, total, strict=True)}


def _trainable(network: keras.Model) -> dict[str, Any]:
    """The trainable variables, named after their network layers; a shared one counts once."""
    found: dict[str, Any] = {}
    taken: set[int] = set()
    for name, step in network_layers(network).items():
        own = [] if isinstance(step.layer, keras.Model) else getattr(step.layer, "trainable_weights", [])
        for variable in own:
            if id(variable) not in taken:
                taken.add(id(variable))
                found[unique_name(f"{name}/{variable.name}", found)] = variable
    return found


def _known(network: keras.Model, layers: Sequence[str] | None) -> dict[str, str]:
    """Names as they were asked for -> names of network layers."""
    names = list(network_layers(network) if layers is None else layers)
    if not names:
        raise ValueError(message("at least one network layer", "", layers=names))
    return {name: network_layer(network, name).name for name in names}


def _images(network: keras.Model) -> tf.TensorSpec:
    return tf.TensorSpec((None, *network.input_shape[1:]), tf.float32)


def _tensor(array: npt.NDArray[np.float32]) -> Any:
    return tf.convert_to_tensor(array, tf.float32)


def _batched(run: Callable[[slice], list[Any]], n: int, names: Sequence[str]) -> Maps:
    pieces = [[found.numpy() for found in run(slice(start, start + _BATCH))] for start in range(0, n, _BATCH)]
    return {name: np.concatenate(parts) for name, parts in zip(names, zip(*pieces, strict=True), strict=True)}
