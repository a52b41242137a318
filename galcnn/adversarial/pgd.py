"""PGD (Madry et al. 2017) with constraints of noise, PSF and flux; FGSM is its first step."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
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


def _crossing(positive: Callable[[Any], Any], left: Any, right: Any) -> Any:
    """Bisect the number at which a decreasing function is no longer positive, for each image and band."""

    def halve(i: Any, left: Any, right: Any) -> tuple[Any, Any, Any]:
        middle = (left + right) / 2
        above = positive(middle)
        return i + 1, tf.where(above, middle, left), tf.where(above, right, middle)

    _, left, right = tf.while_loop(lambda i, *_: i < _BISECTIONS, halve, (tf.constant(0), left, right))
    return (left + right) / 2


_ACROSS: dict[str, Any] = {"axis": (1, 2), "keepdims": True}


def conserved(v: Any, normal: Any, low: Any, high: Any) -> Any:
    """Project v onto the plane sum(q v) = 0 of each image and band, within bounds of pixel values.

    The nearest point is clip(v - shift q, low, high). Its sum decreases with the shift, which is found by
    bisection.
    """
    q = tf.broadcast_to(normal, tf.shape(v))
    if low is None or high is None:
        return v - tf.math.divide_no_nan(tf.reduce_sum(q * v, **_ACROSS), tf.reduce_sum(q * q, **_ACROSS)) * q

    def moved(shift: Any) -> Any:
        return tf.clip_by_value(v - shift * q, low, high)

    ratio = tf.math.divide_no_nan(v, q)
    found = moved(
        _crossing(
            lambda shift: tf.reduce_sum(q * moved(shift), **_ACROSS) > 0,
            tf.reduce_min(ratio, **_ACROSS),
            tf.reduce_max(ratio, **_ACROSS),
        )
    )
    # The remaining rounding error is distributed over pixels that are not at a bound.
    free = q * tf.cast((found > low) & (found < high), q.dtype)
    rest = tf.reduce_sum(q * found, **_ACROSS)
    return found - tf.math.divide_no_nan(rest, tf.reduce_sum(free * free, **_ACROSS)) * free


def along_plane(gradient: Any, normal: Any, low: Any, high: Any) -> Any:
    """Subtract from a gradient g the multiple of q that leaves the best direction with sum(q v) = 0.

    Without bounds this is the projection of g. Within bounds, the best v of a linear function is at the
    upper bound where g - level q > 0 and at the lower one elsewhere; the level is the median of g / q,
    weighted with q times the distance of the bounds.
    """
    q = tf.broadcast_to(normal, tf.shape(gradient))
    if low is None or high is None:
        return conserved(gradient, normal, None, None)
    low, high = tf.cast(low, q.dtype), tf.cast(high, q.dtype)
    ratio = tf.math.divide_no_nan(gradient, q)
    level = _crossing(
        lambda level: tf.reduce_sum(q * tf.where(gradient > level * q, high, low), **_ACROSS) > 0,
        tf.reduce_min(ratio, **_ACROSS),
        tf.reduce_max(ratio, **_ACROSS),
    )
    return tf.where(tf.equal(q, 0), gradient, gradient - level * q)


#: Norm of a perturbation: largest change of a pixel, or square root of the sum of squares.
Norm = Literal["linf", "l2"]


NORMS: tuple[Norm, ...] = ("linf", "l2")


@dataclass(frozen=True)
class _Kind:
    """What decides the graphs of PGD, beside the shapes: limits, and the names of optional arrays."""

    norm: Norm
    conserve: bool
    box: tuple[float, float]
    extras: tuple[str, ...]


class _Path:
    """Parts of the graphs of PGD: the image at a point v of the unit ball, its margin, and the next point."""

    def __init__(
        self,
        kind: _Kind,
        network_of: Callable[[], keras.Model],
        images: Any,
        weights: Any,
        scale: Any,
        *extras: Any,
    ) -> None:
        self.kind, self.network_of = kind, network_of
        self.images, self.weights, self.scale = images, weights, scale
        self.given = dict(zip(kind.extras, extras, strict=True))
        self.psf = self.given.get("psf")
        self.boxed = bool(np.isfinite(kind.box).any())
        self.project, self.along = _projection(
            images,
            scale,
            self.light,
            norm=kind.norm,
            conserve=kind.conserve,
            box=kind.box,
            blurred=self.psf is not None,
        )

    def light(self, v: Any) -> Any:
        seen = self.scale * v
        return seen if self.psf is None else _convolved(seen, self.psf) * tf.cast(self.scale > 0, seen.dtype)

    def image(self, v: Any) -> Any:
        changed = self.images + self.light(v)
        return tf.clip_by_value(changed, *self.kind.box) if self.boxed and self.psf is not None else changed

    def start(self) -> Any:
        if "start" not in self.given:
            return tf.zeros_like(self.images)
        return self.project(self.given["start"] * tf.cast(self.scale > 0, self.images.dtype))

    def margin(self, seen: Any) -> Any:
        return margin_in_graph(logits_of(self.network_of(), seen), self.weights)

    def step(self, v: Any, pace: Any) -> tuple[Any, Any]:
        """Return the next point, and the margin at this one."""
        seen = self.image(v)
        margin = self.margin(seen)
        gradient = gradient_of(margin, seen)
        if self.kind.norm == "l2" or self.kind.conserve or self.psf is not None:
            (gradient,) = tf.gradients(seen, v, gradient)  # otherwise only signs are used, which are equal
        gradient = self.along(gradient)
        if self.kind.norm == "linf":
            return self.project(v + pace * tf.sign(gradient)), margin
        return self.project(v + pace * tf.math.divide_no_nan(gradient, _length(gradient))), margin

    def end(self, v: Any) -> Any:
        changed = self.image(v)
        return tf.clip_by_value(changed, *self.kind.box) if self.boxed else changed


def _single(kind: _Kind) -> Callable[[Callable[[], keras.Model]], Callable[..., Any]]:
    def build(network_of: Callable[[], keras.Model]) -> Callable[..., Any]:
        def run(pace: Any, *parts: Any) -> Any:
            path = _Path(kind, network_of, *parts)
            return path.end(path.step(path.start(), pace[0])[0])

        return run

    return build


def _start(kind: _Kind) -> Callable[[Callable[[], keras.Model]], Callable[..., Any]]:
    def build(network_of: Callable[[], keras.Model]) -> Callable[..., Any]:
        return lambda *parts: _Path(kind, network_of, *parts).start()

    return build


def _step(kind: _Kind) -> Callable[[Callable[[], keras.Model]], Callable[..., Any]]:
    def build(network_of: Callable[[], keras.Model]) -> Callable[..., Any]:
        def run(pace: Any, v: Any, best: Any, most: Any, *parts: Any) -> tuple[Any, Any, Any]:
            # `pace` holds one number: an axis of unknown length would hide a last axis of 1, a single band.
            after, margin = _Path(kind, network_of, *parts).step(v, pace[0])
            return after, *_better(v, margin, best, most)

        return run

    return build


def _end(kind: _Kind) -> Callable[[Callable[[], keras.Model]], Callable[..., Any]]:
    def build(network_of: Callable[[], keras.Model]) -> Callable[..., Any]:
        def run(v: Any, best: Any, most: Any, *parts: Any) -> Any:
            path = _Path(kind, network_of, *parts)
            return path.end(_better(v, path.margin(path.image(v)), best, most)[0])

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
) -> tuple[Callable[[Any], Any], Callable[[Any], Any]]:
    """Return the projection of v: into the pixel bounds, to zero total flux, then scaled into the ball.

    The second function is that of gradients, onto the directions that keep the total flux.

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

    def along(gradient: Any) -> Any:
        if not conserve:
            return gradient
        return along_plane(gradient, normal, *((low, high) if norm == "linf" else (None, None)))

    return project, along


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
    scale = pixel_scale(network, images, context, attack.unit)
    scale = scale * epsilons.reshape(-1, 1, 1, 1).astype(images.dtype)
    extras: dict[str, Floats] = {}
    if attack.light == "psf":
        extras["psf"] = psf_stack(context, len(images)).astype(images.dtype, copy=False)
    if attack.start == "random":
        extras["start"] = _random_points(attack, images, context)
    pace = np.array([min(2.5 / attack.steps, 1.0)], dtype=images.dtype)
    kind = _Kind(attack.norm, attack.flux == "conserved", box, tuple(extras))
    parts = (images, weights, scale, *extras.values())
    if attack.steps == 1:
        run = compiled(network, ("pgd", kind), _single(kind), (pace, *parts))
        return np.concatenate(
            [run(pace, *(part[piece] for part in parts)).numpy() for piece in _pieces(images)]
        )
    # The steps are not a loop of the graph: in one, TensorFlow separates oneDNN's max-pooling from its
    # gradient, which then takes twenty times as long.
    most = np.full(len(images), -np.inf, dtype=images.dtype)
    point = (images, images, most)
    start = compiled(network, ("pgd start", kind), _start(kind), parts)
    step = compiled(network, ("pgd step", kind), _step(kind), (pace, *point, *parts))
    end = compiled(network, ("pgd end", kind), _end(kind), (*point, *parts))
    made = []
    for piece in _pieces(images):
        own = [tf.constant(part[piece]) for part in parts]
        v = start(*own)
        state = (v, v, tf.constant(most[piece]))
        for _ in range(attack.steps):
            state = step(tf.constant(pace), *state, *own)
        made.append(end(*state, *own).numpy())
    return np.concatenate(made)


def _pieces(images: Floats) -> Iterator[slice]:
    return batches(len(images), images_per_batch(images.shape[1:]))


def _random_points(attack: PGD, images: Floats, context: Context | None) -> Floats:
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
    by exactly ``epsilon |s w|_1``.

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
