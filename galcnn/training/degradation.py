"""Changes that another night, another telescope or another pointing would make to an image.

All of them act on calibrated images, before the stretch, where flux adds up. Masked pixels hold
the fill (zero) by then: nothing of what they held can be spread.
"""

from __future__ import annotations

import math
from typing import Any

import tensorflow as tf

from galcnn.inputs import FILL

__all__ = ["add_noise", "blur", "drop_bands", "shift"]


def shift(images: Any, most: int, seed: Any) -> Any:
    """Move each image by whole pixels, which keeps every value exact.

    Parameters
    ----------
    images : tensor
        Shape (n, ny, nx, n_bands).
    most : int
        Pixels along each axis, uniform in [-most, most]; mirrored pixels come in at the edge.
    seed : tensor
        Two integers; the same seed gives the same draw.

    Returns
    -------
    tensor
        Of the same shape.
    """
    moves = tf.random.stateless_uniform((2, tf.shape(images)[0]), seed, -most, most + 1, dtype=tf.int32)
    for axis in (1, 2):
        side = images.shape[axis]
        place = tf.range(side)[tf.newaxis] - moves[axis - 1][:, tf.newaxis]
        place = tf.where(place < 0, -1 - place, place)
        place = tf.where(place >= side, 2 * side - 1 - place, place)
        images = tf.gather(images, place, axis=axis, batch_dims=1)
    return images


def blur(images: Any, widest: float, seed: Any) -> Any:
    """Blur each image by a Gaussian point spread function, which conserves its flux.

    Parameters
    ----------
    images : tensor
        Shape (n, ny, nx, n_bands).
    widest : float
        Standard deviation in pixels, uniform in [0, widest], the same for all bands.
    seed : tensor
        See `shift`.

    Returns
    -------
    tensor
        Of the same shape. Light that leaves at an edge comes back mirrored.
    """
    width = tf.random.stateless_uniform((tf.shape(images)[0], 1), seed, 1e-3, widest)
    radius = math.ceil(3 * widest)
    offsets = tf.range(-radius, radius + 1, dtype=tf.float32)[tf.newaxis]
    weights = tf.nn.softmax(-0.5 * (offsets / width) ** 2, axis=1)
    for axis in (1, 2):
        side = images.shape[axis]
        frame = [[0, 0], [0, 0], [0, 0], [0, 0]]
        frame[axis] = [radius, radius]
        wide = tf.pad(images, frame, "SYMMETRIC")
        parts = [
            weights[:, k, tf.newaxis, tf.newaxis, tf.newaxis]
            * (wide[:, k : k + side] if axis == 1 else wide[:, :, k : k + side])
            for k in range(2 * radius + 1)
        ]
        images = tf.add_n(parts)
    return images


def add_noise(images: Any, most: float, sky: Any, seed: Any) -> Any:
    """Add Gaussian noise to each image, but not where it holds the fill of masked pixels.

    Parameters
    ----------
    images : tensor
        Shape (n, ny, nx, n_bands).
    most : float
        Standard deviation over the sky noise, uniform in [0, most] for each image.
    sky : tensor
        Sky noise of each band, in the unit of the images.
    seed : tensor
        See `shift`.

    Returns
    -------
    tensor
        Of the same shape.
    """
    share = tf.random.stateless_uniform((tf.shape(images)[0], 1, 1, 1), seed, 0.0, most)
    noise = tf.random.stateless_normal(tf.shape(images), seed + 1)
    return tf.where(images == FILL, images, images + share * sky * noise)


def drop_bands(images: Any, rate: float, seed: Any) -> Any:
    """Fill whole bands, as if they were masked, but never all of an image.

    Parameters
    ----------
    images : tensor
        Shape (n, ny, nx, n_bands).
    rate : float
        Probability of each band; where all would be dropped, one of them stays.
    seed : tensor
        See `shift`.

    Returns
    -------
    tensor
        Of the same shape.
    """
    n, bands = tf.shape(images)[0], images.shape[-1]
    draw = tf.random.stateless_uniform((n, bands), seed)
    stays = (draw >= rate) | (draw >= tf.reduce_max(draw, axis=1, keepdims=True))
    return tf.where(stays[:, tf.newaxis, tf.newaxis], images, FILL)
