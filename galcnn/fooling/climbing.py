"""Climbing the margin within a ball: the loop of FGSM and PGD, one graph for all its steps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from galcnn.explain.gradients import gradient_of, logits_of
from galcnn.explain.tracing import batches, compiled, images_per_batch
from galcnn.fooling.margins import margin_in_graph
from galcnn.fooling.projecting import conserved

__all__ = ["NORMS", "Limits", "Norm", "Walk", "climb"]

#: Largest change of a pixel, or root of the sum of the squares of all changes.
Norm = Literal["linf", "l2"]
NORMS: tuple[Norm, ...] = ("linf", "l2")

Images = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True, eq=False)
class Limits:
    """Where a perturbation may lie: d = P * (s v) in unmasked pixels, with v in a ball.

    Attributes
    ----------
    norm : {"linf", "l2"}
        Of d / s.
    scale : numpy.ndarray
        s, see `galcnn.fooling.attack.pixel_scale`; 0 where masked.
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
    budgets, lengths : numpy.ndarray
        Radius of the ball, and length of a step, of each image.
    steps : int
        At least one.
    start : numpy.ndarray or None
        v to begin with, as a share of the radius; zero by default.
    """

    budgets: npt.NDArray[np.float64]
    lengths: npt.NDArray[np.float64]
    steps: int
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
        Budgets, steps, start.

    Returns
    -------
    numpy.ndarray
        Shape of `images`: of each the best of the walk, or its end after a single step.
    """
    start = walk.start
    parts = [images, weights, limits.scale]
    parts += [np.asarray(part, dtype=images.dtype) for part in (walk.budgets, walk.lengths)]
    extras = {"start": start, "psf": limits.psf}
    named = {name: part.astype(images.dtype, copy=False) for name, part in extras.items() if part is not None}
    parts += named.values()
    count = np.array([walk.steps], dtype=np.int32)
    once = walk.steps == 1
    key = ("climb", limits.norm, limits.conserve, limits.box, tuple(named), once)
    build = _builder(limits.norm, limits.conserve, limits.box, tuple(named), once)
    run = compiled(network, key, build, (count, *parts))
    pieces = [
        run(count, *(part[piece] for part in parts)).numpy()
        for piece in batches(len(images), images_per_batch(images.shape[1:]))
    ]
    return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)


def _builder(
    norm: Norm, conserve: bool, box: tuple[float, float], extras: tuple[str, ...], once: bool
) -> Callable[[Callable[[], keras.Model]], Callable[..., Any]]:
    boxed = bool(np.isfinite(box).any())

    def build(network_of: Callable[[], keras.Model]) -> Callable[..., Any]:
        def run(
            count: Any, images: Any, weights: Any, scale: Any, budgets: Any, lengths: Any, *rest: Any
        ) -> Any:
            given = dict(zip(extras, rest, strict=True))
            psf = given.get("psf")
            budget, length = _wide(budgets), _wide(lengths)

            def light(v: Any) -> Any:
                seen = scale * v
                return seen if psf is None else _convolved(seen, psf) * tf.cast(scale > 0, seen.dtype)

            def image(v: Any) -> Any:
                changed = images + light(v)
                return tf.clip_by_value(changed, *box) if boxed and psf is not None else changed

            project = _projection(
                images, scale, budget, light, norm=norm, conserve=conserve, box=box, blurred=psf is not None
            )

            def slope(v: Any) -> tuple[Any, Any]:
                margin = margin_in_graph(logits_of(network_of(), image(v)), weights)
                return gradient_of(margin, v), margin

            def stepped(v: Any, gradient: Any) -> Any:
                if norm == "linf":
                    return project(v + length * tf.sign(gradient))
                size = tf.sqrt(tf.reduce_sum(gradient**2, axis=(1, 2, 3), keepdims=True))
                return project(v + length * tf.math.divide_no_nan(gradient, size))

            def body(i: Any, v: Any, best: Any, most: Any) -> tuple[Any, ...]:
                gradient, margin = slope(v)
                best, most = _better(v, margin, best, most)
                return i + 1, stepped(v, gradient), best, most

            v = tf.zeros_like(images)
            if "start" in given:
                v = project(given["start"] * budget * tf.cast(scale > 0, images.dtype))
            if once:
                v = stepped(v, slope(v)[0])
            else:
                most = tf.fill(tf.shape(budgets), tf.constant(-np.inf, images.dtype))
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
    budget: Any,
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
    used = tf.cast(scale > 0, images.dtype)
    low, high = (-budget, budget) if norm == "linf" else (None, None)
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
        sizes = tf.abs(tf.math.divide_no_nan(light(v), scale)) if blurred else tf.abs(v) * used
        if norm == "linf":
            size = tf.reduce_max(sizes, axis=(1, 2, 3), keepdims=True)
        else:
            size = tf.sqrt(tf.reduce_sum(sizes**2, axis=(1, 2, 3), keepdims=True))
        return v * tf.where(size > budget, tf.math.divide_no_nan(budget, size), 1)

    return project


def _better(v: Any, margin: Any, best: Any, most: Any) -> tuple[Any, Any]:
    better = margin > most
    return tf.where(_wide(better), v, best), tf.where(better, margin, most)


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


def _wide(values: Any) -> Any:
    return tf.reshape(values, (-1, 1, 1, 1))
