"""Climbing the margin within a ball: the loop of FGSM and PGD, one graph for all its steps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from galcnn.explain.forward import batches, compiled, images_per_batch
from galcnn.explain.gradients import gradient_of, logits_of
from galcnn.fooling.margins import margin_in_graph
from galcnn.fooling.projecting import conserved

__all__ = ["NORMS", "Limits", "Norm", "Walk", "climb"]

#: Largest change of a pixel, or root of the sum of the squares of all changes.
Norm = Literal["linf", "l2"]
NORMS: tuple[Norm, ...] = ("linf", "l2")

Images = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True, eq=False)
class Limits:
    """Where a perturbation may lie: d = P * (s v) in unmasked pixels, with v in the unit ball.

    Attributes
    ----------
    norm : {"linf", "l2"}
        Of d / s.
    scale : numpy.ndarray
        s, the budget of each image times `galcnn.fooling.attack.pixel_scale`; 0 where masked.
    psf : numpy.ndarray or None
        P, shape (n, py, px, n_bands).
    conserve : bool
        Whether d adds up to zero in each band.
    box : tuple of float
        Lowest and highest value of a pixel of the image.
    """

    norm: Norm
    scale: Images
    psf: npt.NDArray[np.float32] | None = None
    conserve: bool = False
    box: tuple[float, float] = (-np.inf, np.inf)


@dataclass(frozen=True, eq=False)
class Walk:
    """How the ball is walked through.

    Attributes
    ----------
    steps : int
        At least one.
    length : float
        Of a step, as a share of the radius.
    start : numpy.ndarray or None
        v to begin with; zero by default.
    """

    steps: int
    length: float
    start: Images | None = None


def climb(network: keras.Model, images: Images, weights: Images, *, limits: Limits, walk: Walk) -> Images:
    """Raise the margin within the limits by projected gradient ascent, many images at once.

    Parameters
    ----------
    network : keras.Model
        Ends in logits; left as it is.
    images : numpy.ndarray
        Shape (n, ny, nx, n_bands), in the precision of `weights`.
    weights : numpy.ndarray
        Shape (n, n_classes), see `galcnn.fooling.margins`.
    limits : Limits
        Of the perturbation.
    walk : Walk
        Steps and start.

    Returns
    -------
    numpy.ndarray
        Shape of `images`: of each the best of the walk, or its end after a single step.
    """
    extras = {"start": walk.start, "psf": limits.psf}
    named = {name: part.astype(images.dtype, copy=False) for name, part in extras.items() if part is not None}
    parts = [images, weights, limits.scale, *named.values()]
    count, length = np.array([walk.steps], dtype=np.int32), np.array([walk.length], dtype=images.dtype)
    once = walk.steps == 1
    key = ("climb", limits.norm, limits.conserve, limits.box, tuple(named), once)
    build = _builder(limits.norm, limits.conserve, limits.box, tuple(named), once)
    run = compiled(network, key, build, (count, length, *parts))
    pieces = [
        run(count, length, *(part[piece] for part in parts)).numpy()
        for piece in batches(len(images), images_per_batch(images.shape[1:]))
    ]
    return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)


def _builder(
    norm: Norm, conserve: bool, box: tuple[float, float], extras: tuple[str, ...], once: bool
) -> Callable[[Callable[[], keras.Model]], Callable[..., Any]]:
    boxed = bool(np.isfinite(box).any())

    def build(network_of: Callable[[], keras.Model]) -> Callable[..., Any]:
        def run(count: Any, length: Any, images: Any, weights: Any, scale: Any, *rest: Any) -> Any:
            given = dict(zip(extras, rest, strict=True))
            psf = given.get("psf")

            def light(v: Any) -> Any:
                seen = scale * v
                return seen if psf is None else _convolved(seen, psf) * tf.cast(scale > 0, seen.dtype)

            def image(v: Any) -> Any:
                changed = images + light(v)
                return tf.clip_by_value(changed, *box) if boxed and psf is not None else changed

            project = _projection(
                images, scale, light, norm=norm, conserve=conserve, box=box, blurred=psf is not None
            )

            def slope(v: Any) -> tuple[Any, Any]:
                seen = image(v)
                margin = margin_in_graph(logits_of(network_of(), seen), weights)
                gradient = gradient_of(margin, seen)
                if norm == "l2" or psf is not None:  # else its signs count alone: they are the same
                    (gradient,) = tf.gradients(seen, v, gradient)
                return gradient, margin

            def stepped(v: Any, gradient: Any) -> Any:
                if norm == "linf":
                    return project(v + length * tf.sign(gradient))
                return project(v + length * tf.math.divide_no_nan(gradient, _length(gradient)))

            def body(i: Any, v: Any, best: Any, most: Any) -> tuple[Any, ...]:
                gradient, margin = slope(v)
                best, most = _better(v, margin, best, most)
                return i + 1, stepped(v, gradient), best, most

            v = tf.zeros_like(images)
            if "start" in given:
                v = project(given["start"] * tf.cast(scale > 0, images.dtype))
            if once:
                v = stepped(v, slope(v)[0])
            else:
                most = tf.fill(tf.shape(images)[:1], tf.constant(-np.inf, images.dtype))
                loop = (tf.constant(0), v, v, most)
                _, v, best, most = tf.while_loop(lambda i, *_: i < count[0], body, loop)
                margin = margin_in_graph(logits_of(network_of(), image(v)), weights)
                v, _ = _better(v, margin, best, most)
            changed = image(v)
            return tf.clip_by_value(changed, *box) if boxed else changed

        return run

    return build


def _projection(
    images: Any,
    scale: Any,
    light: Callable[[Any], Any],
    *,
    norm: Norm,
    conserve: bool,
    box: tuple[float, float],
    blurred: bool,
) -> Callable[[Any], Any]:
    """Bring v back: into the bounds of each pixel, to no flux in total, then shrunk into the ball.

    The image itself lies within all limits, and they are convex, so shrinking leaves none of them.
    """
    size = _largest if norm == "linf" else _length
    low, high = (-1.0, 1.0) if norm == "linf" else (None, None)
    if np.isfinite(box).any() and not blurred:
        ends = [tf.math.divide_no_nan(end - images, scale) for end in box]
        low = ends[0] if low is None else tf.maximum(low, ends[0])
        high = ends[1] if high is None else tf.minimum(high, ends[1])
    if conserve:
        probe = tf.zeros_like(images)
        normal = tf.gradients(tf.reduce_sum(light(probe)), probe)[0]

    def project(v: Any) -> Any:
        if conserve:
            v = conserved(v, normal, low, high)
        elif low is not None:
            v = tf.clip_by_value(v, low, high)
        if norm == "linf" and not blurred:
            return v
        shares = tf.math.divide_no_nan(light(v), scale) if blurred else v * tf.cast(scale > 0, v.dtype)
        return v / tf.maximum(size(shares), 1)

    return project


def _length(values: Any) -> Any:
    return tf.sqrt(tf.reduce_sum(values**2, axis=(1, 2, 3), keepdims=True))


def _largest(values: Any) -> Any:
    return tf.reduce_max(tf.abs(values), axis=(1, 2, 3), keepdims=True)


def _better(v: Any, margin: Any, best: Any, most: Any) -> tuple[Any, Any]:
    better = margin > most
    # Whole rows are copied: `tf.where` broadcasts its condition, which takes eight times as long.
    return tf.raw_ops.Select(condition=better, x=v, y=best), tf.where(better, margin, most)


def _convolved(images: Any, psf: Any) -> Any:
    """Convolve each band of each image with a PSF of its own; light that leaves the image is lost."""
    n, bands = tf.shape(images)[0], images.shape[3]
    side_by_side = tf.reshape(
        tf.transpose(images, (1, 2, 0, 3)), (1, images.shape[1], images.shape[2], n * bands)
    )
    kernel = tf.reverse(psf, axis=(1, 2))  # TensorFlow correlates
    kernels = tf.reshape(tf.transpose(kernel, (1, 2, 0, 3)), (psf.shape[1], psf.shape[2], n * bands, 1))
    blurred = tf.nn.depthwise_conv2d(side_by_side, kernels, strides=(1, 1, 1, 1), padding="SAME")
    apart = tf.reshape(blurred, (images.shape[1], images.shape[2], n, bands))
    return tf.transpose(apart, (2, 0, 1, 3))
