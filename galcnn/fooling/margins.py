"""How far a network is from the answer that a target wants."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf
from scipy.special import logsumexp

from galcnn.errors import message
from galcnn.explain.forward import compiled, run_in_batches
from galcnn.explain.gradients import gradient_of, logits_of, target_weights
from galcnn.explain.target import Target

__all__ = ["fast_logits", "log_odds", "margin_gradient", "margin_in_graph", "margins", "wanted_weights"]

Floats = npt.NDArray[np.floating[Any]]


def wanted_weights(
    network: keras.Model, target: Target | Sequence[Target], images: Floats
) -> npt.NDArray[np.floating[Any]]:
    """Lay targets out as `galcnn.explain.gradients.target_weights` does, and refuse those that want nothing.

    Parameters
    ----------
    network : keras.Model
        Ends in logits.
    target : Target or sequence of Target
        One for all, or one an image.
    images : numpy.ndarray
        Shape (n, ny, nx, n_bands).

    Returns
    -------
    numpy.ndarray
        Shape (n, n_classes).

    Raises
    ------
    ValueError
        Targets or images do not fit, or a target weighs all classes alike.
    """
    weights = target_weights(network, target, images)
    if np.any(weights.min(axis=1) == weights.max(axis=1)):
        raise ValueError(
            message(
                "targets that weigh one class more than another",
                "Name the class that is wanted.",
                weights=weights[weights.min(axis=1) == weights.max(axis=1)][0].tolist(),
            )
        )
    return weights


def margins(logits: Floats, weights: Floats) -> npt.NDArray[np.float64]:
    """Give the best wanted logit minus the best unwanted one.

    Parameters
    ----------
    logits, weights : numpy.ndarray
        Shape (n, n_classes).

    Returns
    -------
    numpy.ndarray
        Shape (n,); above zero where the target is reached.

    Examples
    --------
    >>> margins(np.array([[1.0, 3.0, 2.5]]), np.array([[1.0, 0.0, 0.0]])).tolist()
    [-2.0]
    """
    wanted, unwanted = _sides(weights)
    return np.asarray(
        np.where(wanted, logits, -np.inf).max(axis=1) - np.where(unwanted, logits, -np.inf).max(axis=1),
        dtype=np.float64,
    )


def log_odds(logits: Floats, weights: Floats) -> npt.NDArray[np.float64]:
    """Give the logarithm of the probability that is wanted over that which is unwanted.

    Parameters
    ----------
    logits, weights : numpy.ndarray
        Shape (n, n_classes).

    Returns
    -------
    numpy.ndarray
        Shape (n,).
    """
    wanted, unwanted = _sides(weights)
    with np.errstate(divide="ignore"):
        return np.asarray(
            logsumexp(logits.astype(np.float64), axis=1, b=wanted)
            - logsumexp(logits.astype(np.float64), axis=1, b=unwanted)
        )


def margin_in_graph(logits: Any, weights: Any) -> Any:
    """Do what `margins` does, in a graph that is being traced.

    Parameters
    ----------
    logits, weights : tensor
        Shape (n, n_classes).

    Returns
    -------
    tensor
        Shape (n,).
    """
    nothing = tf.constant(-np.inf, logits.dtype)
    wanted = weights >= tf.reduce_max(weights, axis=1, keepdims=True)
    unwanted = weights <= tf.reduce_min(weights, axis=1, keepdims=True)
    return tf.reduce_max(tf.where(wanted, logits, nothing), axis=1) - tf.reduce_max(
        tf.where(unwanted, logits, nothing), axis=1
    )


def fast_logits(network: keras.Model, images: Floats) -> Floats:
    """Run a network as one compiled graph: for searches. What they find is checked by another way.

    Parameters
    ----------
    network : keras.Model
        Ends in logits.
    images : numpy.ndarray
        Shape (n, ny, nx, n_bands).

    Returns
    -------
    numpy.ndarray
        Shape (n, n_classes).
    """

    def build(network_of: Callable[[], keras.Model]) -> Callable[..., Any]:
        return lambda images: (logits_of(network_of(), images),)

    return run_in_batches(compiled(network, "logits", build, (images,)), images)[0]


def margin_gradient(network: keras.Model, images: Floats, weights: Floats) -> tuple[Floats, Floats]:
    """Differentiate the margin with respect to every pixel.

    Parameters
    ----------
    network : keras.Model
        Ends in logits; left as it is.
    images : numpy.ndarray
        Shape (n, ny, nx, n_bands).
    weights : numpy.ndarray
        Shape (n, n_classes).

    Returns
    -------
    gradient : numpy.ndarray
        Shape of `images`.
    logits : numpy.ndarray
        Shape (n, n_classes).
    """

    def build(network_of: Callable[[], keras.Model]) -> Callable[..., Any]:
        def run(images: Any, weights: Any) -> tuple[Any, Any]:
            logits = logits_of(network_of(), images)
            return gradient_of(margin_in_graph(logits, weights), images), logits

        return run

    run = compiled(network, "margin gradient", build, (images, weights))
    gradient, logits = run_in_batches(run, images, weights)
    return gradient, logits


def _sides(weights: Floats) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    return (
        weights >= weights.max(axis=1, keepdims=True),
        weights <= weights.min(axis=1, keepdims=True),
    )
