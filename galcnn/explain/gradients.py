"""The gradient of a target with respect to the images, compiled once for each network."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from galcnn.errors import message
from galcnn.explain.explanation import Target

__all__ = ["check_ends_in_logits", "target_gradient", "target_weights"]

_BATCH = 64

# The functions close over a weak reference: one that held its network would keep the key alive.
_COMPILED: weakref.WeakKeyDictionary[Any, Callable[..., Any]] = weakref.WeakKeyDictionary()


def target_gradient(
    network: keras.Model, images: npt.NDArray[np.float32], target: Target | Sequence[Target]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Differentiate a target with respect to every pixel.

    Parameters
    ----------
    network : keras.Model
        Ends in logits; run in inference mode and left as it is.
    images : numpy.ndarray
        Shape (n, ny, nx, n_bands).
    target : Target or sequence of Target
        One for all, or one an image.

    Returns
    -------
    gradient : numpy.ndarray
        float32, shape of `images`.
    scores : numpy.ndarray
        float32, shape (n,): the value of the target.

    Raises
    ------
    ValueError
        The network does not end in logits, or a target does not fit it.
    """
    weights = target_weights(network, target, len(images))
    run = _compiled(network)
    gradient = np.empty(images.shape, dtype=np.float32)
    scores = np.empty(len(images), dtype=np.float32)
    for start in range(0, len(images), _BATCH):
        piece = slice(start, start + _BATCH)
        slope, value = run(
            tf.convert_to_tensor(images[piece], tf.float32), tf.convert_to_tensor(weights[piece])
        )
        gradient[piece], scores[piece] = slope.numpy(), value.numpy()
    return gradient, scores


def target_weights(
    network: keras.Model, target: Target | Sequence[Target], n: int
) -> npt.NDArray[np.float32]:
    """Lay targets out as weights of logits, after checking that the network has such.

    Parameters
    ----------
    network : keras.Model
        Ends in logits.
    target : Target or sequence of Target
        One for all, or one an image.
    n : int
        Number of images.

    Returns
    -------
    numpy.ndarray
        float32, shape (n, n_classes).
    """
    check_ends_in_logits(network)
    targets = [target] * n if isinstance(target, Target) else list(target)
    n_classes = int(network.output_shape[-1])
    wrong = [t for t in targets if len(t.weights) != n_classes]
    if len(targets) != n or wrong:
        raise ValueError(
            message(
                f"one target, or one for each of {n} images, with {n_classes} weights",
                "",
                n_targets=len(targets),
                wrong=wrong[:1],
            )
        )
    return np.array([t.weights for t in targets], dtype=np.float32).reshape(n, n_classes)


def check_ends_in_logits(network: keras.Model) -> None:
    """Refuse a network whose output is squashed: gradients of a saturated softmax vanish.

    Parameters
    ----------
    network : keras.Model
        Any.

    Raises
    ------
    ValueError
        The last layer applies a softmax, a sigmoid or the like.
    """
    last = network
    while isinstance(last, keras.Model):
        last = last.layers[-1]
    activation = getattr(last, "activation", None)
    squashed = isinstance(last, keras.layers.Softmax) or (
        activation is not None and activation is not keras.activations.linear
    )
    if squashed:
        raise ValueError(
            message(
                "a network that ends in logits",
                "Rebuild its last layer without an activation.",
                last_layer=last.name,
                activation=getattr(activation, "__name__", type(last).__name__),
            )
        )


def _compiled(network: keras.Model) -> Callable[..., Any]:
    run = _COMPILED.get(network)
    if run is None:
        run = _COMPILED[network] = _compile(
            weakref.ref(network), network.input_shape[1:], network.output_shape[-1]
        )
    return run


def _compile(
    network: Callable[[], keras.Model], image_shape: tuple[int, ...], n_classes: int
) -> Callable[..., Any]:
    signature = [
        tf.TensorSpec((None, *image_shape), tf.float32),
        tf.TensorSpec((None, n_classes), tf.float32),
    ]

    def run(images: Any, weights: Any) -> tuple[Any, Any]:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(images)
            scores = tf.reduce_sum(tf.cast(network()(images, training=False), tf.float32) * weights, axis=1)
        return tape.gradient(scores, images), scores

    compiled: Callable[..., Any] = tf.function(run, input_signature=signature)
    return compiled
