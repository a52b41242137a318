"""PGD (Madry et al. 2017) with constraints of noise, PSF and flux; FGSM is its first step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from galcnn._runtime import seeding
from galcnn.adversarial.margins import (
    UNITS,
    Floats,
    Unit,
    as_box,
    check_within,
    margin_in_graph,
    pixel_scale,
    psf_stack,
    wanted_weights,
)
from galcnn.errors import message
from galcnn.explain import Context
from galcnn.explain.baselines import ids_of
from galcnn.model import Target
from galcnn.model.forward import batches, compiled, images_per_batch
from galcnn.model.gradients import gradient_of, logits_of

_BISECTIONS = 40


def conserved(v: Any, normal: Any, low: Any, high: Any) -> Any:
    """Project v onto the plane sum(q v) = 0 of each image and band, within bounds of pixel values.

    The nearest point is clip(v - shift q, low, high). Its sum decreases with the shift, which is found by
    bisection.
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
    # The remaining rounding error is distributed over pixels that are not at a bound.
    free = q * tf.cast((found > low) & (found < high), q.dtype)
    rest = tf.reduce_sum(q * found, **across)
    return found - tf.math.divide_no_nan(rest, tf.reduce_sum(free * free, **across)) * free


#: Norm of a perturbation: largest change of a pixel, or square root of the sum of squares.
Norm = Literal["linf", "l2"]


NORMS: tuple[Norm, ...] = ("linf", "l2")


def _builder(
    norm: Norm, conserve: bool, box: tuple[float, float], extras: tuple[str, ...], once: bool
) -> Callable[[Callable[[], keras.Model]], Callable[..., Any]]:
    boxed = bool(np.isfinite(box).any())

    def build(network_of: Callable[[], keras.Model]) -> Callable[..., Any]:
        def run(count: Any, length: Any, images: Any, weights: Any, scale: Any, *rest: Any) -> Any:
            given = dict(zip(extras, rest, strict=True))
            psf = given.get("psf")
            pace = length[0]  # a number: one axis of unknown length hides a last axis of 1, a single band

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
                if norm == "l2" or psf is not None:  # otherwise only signs are used, which are equal
                    (gradient,) = tf.gradients(seen, v, gradient)
                return gradient, margin

            def stepped(v: Any, gradient: Any) -> Any:
                if norm == "linf":
                    return project(v + pace * tf.sign(gradient))
                return project(v + pace * tf.math.divide_no_nan(gradient, _length(gradient)))

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
    """Return the projection of v: into the pixel bounds, to zero total flux, then scaled into the ball.

    All constraints are convex and satisfied by v = 0, so scaling down does not violate any.
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
    # Select copies whole images; `tf.where` broadcasts its condition and takes eight times as long.
    return tf.raw_ops.Select(condition=better, x=v, y=best), tf.where(better, margin, most)


def _convolved(images: Any, psf: Any) -> Any:
    """Convolve each band of each image with its PSF, with zeros beyond the edge."""
    n, bands = tf.shape(images)[0], images.shape[3]
    side_by_side = tf.reshape(
        tf.transpose(images, (1, 2, 0, 3)), (1, images.shape[1], images.shape[2], n * bands)
    )
    kernel = tf.reverse(psf, axis=(1, 2))  # TensorFlow computes a correlation
    kernels = tf.reshape(tf.transpose(kernel, (1, 2, 0, 3)), (psf.shape[1], psf.shape[2], n * bands, 1))
    blurred = tf.nn.depthwise_conv2d(side_by_side, kernels, strides=(1, 1, 1, 1), padding="SAME")
    apart = tf.reshape(blurred, (images.shape[1], images.shape[2], n, bands))
    return tf.transpose(apart, (2, 0, 1, 3))


_LIGHTS, _FLUXES, _STARTS = ("pixels", "psf"), ("free", "conserved"), ("random", "image")


@dataclass(frozen=True)
class PGD:
    """Projected gradient ascent on the margin, in a ball around the image.

    The method is that of arXiv:1706.06083, applied to the margin between the largest wanted and the
    largest unwanted logit. The result is the point of largest margin on the path. One step from the image
    is FGSM. Masked pixels are not changed.

    The options can be combined: an epsilon in units of the pixel noise (``unit="sigma"``), a perturbation
    convolved with the PSF (``light="psf"``), and zero total flux of the perturbation in each band
    (``flux="conserved"``).

    Attributes
    ----------
    epsilon : float
        Radius of the ball.
    norm : {"linf", "l2"}
        Norm of the perturbation: largest change of a pixel, or square root of the sum of squares.
    unit : {"sigma", "image"}
        Unit of changes: the standard deviation of the noise of each pixel, or the unit of the images.
    light : {"pixels", "psf"}
        Perturbation of independent pixels, or a pattern convolved with the PSF.
    flux : {"free", "conserved"}
        If ``"conserved"``, the perturbation sums to zero in each band.
    steps : int
        Number of steps. Each has a length of 2.5 / steps of the epsilon, at most the epsilon.
    start : {"random", "image"}
        Starting point: random in the ball, or its centre.
    seed : int
        Seed of the starting point, combined with the ids.
    lower, upper : float or None
        Bounds of pixel values. With ``light="psf"`` the convolved perturbation is clipped there, as by
        saturation.
    """

    epsilon: float = 1.0
    norm: Norm = "linf"
    unit: Unit = "sigma"
    light: Literal["pixels", "psf"] = "pixels"
    flux: Literal["free", "conserved"] = "free"
    steps: int = 25
    start: Literal["random", "image"] = "random"
    seed: int = 0
    lower: float | None = None
    upper: float | None = None

    name: ClassVar[str] = "pgd"
    from_sky: ClassVar[bool] = False
    confidence: ClassVar[float] = 0.0

    def __post_init__(self) -> None:
        words = {
            "norm": NORMS,
            "unit": UNITS,
            "light": _LIGHTS,
            "flux": _FLUXES,
            "start": _STARTS,
        }
        for name, known in words.items():
            if getattr(self, name) not in known:
                raise ValueError(message(f"{name} among {known}", "", **{name: getattr(self, name)}))
        if not (0 < self.epsilon < np.inf) or self.steps < 1:
            raise ValueError(
                message(
                    "a positive epsilon and at least one step", "", epsilon=self.epsilon, steps=self.steps
                )
            )
        box = as_box(self.lower, self.upper)
        if self.light == "psf" and self.flux == "conserved" and np.isfinite(box).any():
            raise ValueError(
                message(
                    "conserved flux, a PSF or bounds, but not all three",
                    "Clipping at a bound does not conserve flux: leave one of them out.",
                    lower=self.lower,
                    upper=self.upper,
                )
            )

    def __call__(
        self,
        network: keras.Model,
        images: npt.NDArray[np.float32],
        target: Target | Sequence[Target],
        *,
        context: Context | None = None,
    ) -> npt.NDArray[np.float32]:
        weights = wanted_weights(network, target, images)
        epsilons = np.full(len(images), float(self.epsilon))
        return perturbed(self, network, images, weights, epsilons=epsilons, context=context)


def perturbed(
    attack: PGD,
    network: keras.Model,
    images: Floats,
    weights: Floats,
    *,
    epsilons: npt.NDArray[np.float64],
    context: Context | None,
) -> npt.NDArray[np.float32]:
    """Run PGD with one epsilon per image; return the best point of each path, or the end after one step.

    The perturbation is d = P * (s v) in unmasked pixels, where * is the convolution, P the PSF, s the
    epsilon times the unit of change of each pixel, and v a point of the unit ball of the norm.
    """
    box = as_box(attack.lower, attack.upper)
    images = images.astype(weights.dtype, copy=False)
    check_within(images, box)
    scale = pixel_scale(images, context, attack.unit) * epsilons.reshape(-1, 1, 1, 1).astype(images.dtype)
    extras: dict[str, Floats] = {}
    if attack.light == "psf":
        extras["psf"] = psf_stack(context, len(images)).astype(images.dtype, copy=False)
    if attack.start == "random":
        extras["start"] = _start(attack, images, context)
    count = np.array([attack.steps], dtype=np.int32)
    length = np.array([min(2.5 / attack.steps, 1.0)], dtype=images.dtype)
    kind = (attack.norm, attack.flux == "conserved", box, tuple(extras), attack.steps == 1)
    parts = (images, weights, scale, *extras.values())
    run = compiled(network, ("pgd", *kind), _builder(*kind), (count, length, *parts))
    return np.concatenate(
        [
            run(count, length, *(part[piece] for part in parts)).numpy()
            for piece in batches(len(images), images_per_batch(images.shape[1:]))
        ]
    )


def _start(attack: PGD, images: Floats, context: Context | None) -> Floats:
    """Draw a uniform point of the unit ball for each image, keyed by its id."""
    points = np.empty_like(images)
    for point, name in zip(points, ids_of(images, context or Context()), strict=True):
        stream = seeding.generator(attack.seed, "pgd", name)
        if attack.norm == "linf":
            point[...] = stream.uniform(-1, 1, point.shape)
        else:
            direction = stream.normal(size=point.shape)
            radius = stream.uniform() ** (1 / direction.size)
            point[...] = radius * direction / np.linalg.norm(direction)
    return points


@dataclass(frozen=True)
class FGSM:
    """Fast gradient sign method, x + epsilon s sign(dm/dx): the first step of `PGD` in the norm ``"linf"``.

    The method is that of arXiv:1412.6572, section 4, with the margin m between the largest wanted and the
    largest unwanted logit in place of the cross-entropy, whose gradient underflows for a confident
    network. s is the unit of change of each pixel. For a linear network with gradient w the margin changes
    by exactly epsilon |s w|_1.

    Attributes
    ----------
    epsilon : float
        Change of each pixel, in units of `unit`.
    unit : {"sigma", "image"}
        Unit of changes: the standard deviation of the noise of each pixel, or the unit of the images.
    lower, upper : float or None
        Bounds of pixel values.
    """

    epsilon: float = 1.0
    unit: Unit = "sigma"
    lower: float | None = None
    upper: float | None = None

    name: ClassVar[str] = "fgsm"
    from_sky: ClassVar[bool] = False
    confidence: ClassVar[float] = 0.0

    def __post_init__(self) -> None:
        self._step()

    def __call__(
        self,
        network: keras.Model,
        images: npt.NDArray[np.float32],
        target: Target | Sequence[Target],
        *,
        context: Context | None = None,
    ) -> npt.NDArray[np.float32]:
        return self._step()(network, images, target, context=context)

    def _step(self) -> PGD:
        return PGD(
            self.epsilon, "linf", self.unit, steps=1, start="image", lower=self.lower, upper=self.upper
        )
