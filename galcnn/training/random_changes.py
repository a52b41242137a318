"""Random changes of a batch of images, in TensorFlow; the same seed gives the same changes."""

from __future__ import annotations

import math
from typing import Any

import tensorflow as tf

from galcnn.model.inputs import FILL


def mirror(
    images: Any, labels: Any, partners: Any, seed: Any, *, flips: bool, quarter_turns: bool
) -> tuple[Any, Any]:
    """Mirror images along x and y, or rotate them by quarter turns, or both; `partners` as `mirror_of`."""
    draws = tf.random.stateless_uniform((3, tf.shape(images)[0]), seed) < 0.5
    left, up, across = draws[0], draws[1], draws[2]
    if not quarter_turns:
        across = tf.zeros_like(left)
    if not flips:
        # An even number of reflections is a rotation, which keeps the sense of winding.
        left = tf.math.logical_xor(up, across)
    images = _where(left, tf.reverse(images, [2]), images)
    images = _where(up, tf.reverse(images, [1]), images)
    images = _where(across, tf.transpose(images, (0, 2, 1, 3)), images)
    odd = tf.math.logical_xor(tf.math.logical_xor(left, up), across)
    if len(labels.shape) == 1:
        labels = tf.where(odd, tf.gather(partners, labels), labels)
    else:
        labels = tf.where(odd[:, tf.newaxis], tf.gather(labels, partners, axis=1), labels)
    return images, labels


def _where(mask: Any, yes: Any, no: Any) -> Any:
    # Select copies whole images; `tf.where` broadcasts its condition and is many times slower.
    return tf.raw_ops.Select(condition=mask, x=yes, y=no)


def turn(images: Any, seed: Any, zoom: float) -> Any:
    """Rotate half of the images about the centre by up to 45 degrees, and zoom them."""
    n = tf.shape(images)[0]
    exact = tf.random.stateless_uniform((n,), seed + 2) < 0.5
    side = tf.cast(tf.shape(images)[1] - 1, tf.float32)
    angle = tf.random.stateless_uniform((n,), seed, -math.pi / 4, math.pi / 4)
    scale = tf.random.stateless_uniform((n,), seed + 1, 1 - zoom, 1 + zoom)
    cosine, sine = tf.cos(angle) / scale, tf.sin(angle) / scale
    offset_x = side / 2 * (1 - cosine + sine)
    offset_y = side / 2 * (1 - sine - cosine)
    zero = tf.zeros_like(angle)
    transform = tf.stack([cosine, -sine, offset_x, sine, cosine, offset_y, zero, zero], axis=1)
    chosen = tf.where(~exact)  # interpolation is slow: only these are
    turned = tf.raw_ops.ImageProjectiveTransformV3(
        images=tf.gather_nd(images, chosen),
        transforms=tf.gather_nd(transform, chosen),
        output_shape=tf.shape(images)[1:3],
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="REFLECT",
    )
    return tf.tensor_scatter_nd_update(images, chosen, turned)


def shift(images: Any, most: int, seed: Any) -> Any:
    """Shift each image by whole pixels, without interpolation."""
    moves = tf.random.stateless_uniform((2, tf.shape(images)[0]), seed, -most, most + 1, dtype=tf.int32)
    for axis in (1, 2):
        side = images.shape[axis]
        place = tf.range(side)[tf.newaxis] - moves[axis - 1][:, tf.newaxis]
        place = tf.where(place < 0, -1 - place, place)
        place = tf.where(place >= side, 2 * side - 1 - place, place)
        images = tf.gather(images, place, axis=axis, batch_dims=1)
    return images


def blur(images: Any, widest: float, seed: Any) -> Any:
    """Convolve each image with a normalised Gaussian."""
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
    """Add Gaussian noise to each image, except where pixels have the fill value."""
    share = tf.random.stateless_uniform((tf.shape(images)[0], 1, 1, 1), seed, 0.0, most)
    noise = tf.random.stateless_normal(tf.shape(images), seed + 1)
    return tf.where(images == FILL, images, images + share * sky * noise)


def drop_bands(images: Any, rate: float, seed: Any) -> Any:
    """Replace whole bands by the fill value, but never all bands of an image."""
    n, bands = tf.shape(images)[0], images.shape[-1]
    draw = tf.random.stateless_uniform((n, bands), seed)
    stays = (draw >= rate) | (draw >= tf.reduce_max(draw, axis=1, keepdims=True))
    return tf.where(stays[:, tf.newaxis, tf.newaxis], images, FILL)
