"""Perturbations that take from the galaxy as much light as they give."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

__all__ = ["conserved"]

_BISECTIONS = 40


def conserved(v: Any, normal: Any, low: Any, high: Any) -> Any:
    r"""Project onto the plane sum(q v) = 0 of each image and band, within bounds of every pixel.

    The nearest point is clip(v - lambda q, low, high), with the lambda at which the plane is
    reached; the sum falls with lambda, so that it is bisected.

    Parameters
    ----------
    v : tensor
        Shape (n, ny, nx, n_bands).
    normal : tensor
        q, not negative, of a shape that broadcasts to that of `v`.
    low, high : tensor or None
        Bounds with zero between them; None is no bound.

    Returns
    -------
    tensor
        Shape of `v`.
    """
    q = tf.broadcast_to(normal, tf.shape(v))
    across = {"axis": (1, 2), "keepdims": True}
    if low is None or high is None:
        return v - tf.math.divide_no_nan(tf.reduce_sum(q * v, **across), tf.reduce_sum(q * q, **across)) * q

    def moved(shift: Any) -> Any:
        return tf.clip_by_value(v - shift * q, low, high)

    ratio = tf.math.divide_no_nan(v, q)
    left, right = tf.reduce_min(ratio, **across), tf.reduce_max(ratio, **across)

    def halve(i: Any, left: Any, right: Any) -> tuple[Any, Any, Any]:
        middle = (left + right) / 2
        above = tf.reduce_sum(q * moved(middle), **across) > 0
        return i + 1, tf.where(above, middle, left), tf.where(above, right, middle)

    loop = (tf.constant(0), left, right)
    _, left, right = tf.while_loop(lambda i, *_: i < _BISECTIONS, halve, loop)
    found = moved((left + right) / 2)
    # What rounding has left goes to the pixels that are free.
    free = q * tf.cast((found > low) & (found < high), q.dtype)
    rest = tf.reduce_sum(q * found, **across)
    return found - tf.math.divide_no_nan(rest, tf.reduce_sum(free * free, **across)) * free
