"""Smallest perturbations: PGD with a bisected epsilon, and bounded L-BFGS (Szegedy et al. 2013)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, ClassVar

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf
from scipy.optimize import minimize
from threadpoolctl import threadpool_limits

from galcnn.adversarial.margins import (
    UNITS,
    AttackTask,
    Floats,
    Unit,
    as_box,
    fast_logits,
    margin_gradient,
    margin_in_graph,
    margins,
    pixel_scale,
    sides_in_graph,
    task_of,
    wanted_weights,
)
from galcnn.adversarial.pgd import PGD, perturbed
from galcnn.errors import message
from galcnn.explain import Context
from galcnn.model import Target
from galcnn.model.forward import compiled, outputs
from galcnn.model.gradients import gradient_of, logits_of

#: Margin at which an attack counts as successful, as a fraction of the initial margin, so that the
#: success does not depend on rounding in another batch.
ENOUGH = 1e-4


#: Largest epsilon of the search, in units of the epsilon that a linear network would need.
_FARTHEST = 1e4


@dataclass(frozen=True)
class SmallestEpsilon:
    """Smallest epsilon with which `PGD` succeeds, in its norm and with its options.

    The epsilon of each image is bisected to the tolerance. For a linear network with margin m, gradient w
    and unit of change s it is ``|m| / |s w|_1`` in the norm ``"linf"`` and ``|m| / |s w|_2`` in
    ``"l2"``; in general it is an upper bound of the smallest epsilon.

    Attributes
    ----------
    pgd : PGD
        Attack whose epsilon is varied; its own epsilon is ignored. By default it starts from the image,
        since a random start uses up part of the epsilon.
    tolerance : float
        Relative tolerance of the epsilon, between 0 and 1.
    """

    pgd: PGD = field(default_factory=lambda: PGD(start="image"))
    tolerance: float = 0.01

    name: ClassVar[str] = "smallest"
    from_sky: ClassVar[bool] = False
    confidence: ClassVar[float] = 0.0

    def __post_init__(self) -> None:
        if not 0 < self.tolerance < 1:
            raise ValueError(message("a tolerance between 0 and 1", "", tolerance=self.tolerance))

    def __call__(
        self,
        network: keras.Model,
        images: npt.NDArray[np.float32],
        target: Target | Sequence[Target],
        *,
        context: Context | None = None,
    ) -> npt.NDArray[np.float32]:
        """Return the images; unchanged where the target holds already or no epsilon reaches it."""
        weights = wanted_weights(network, target, images)
        images = images.astype(weights.dtype, copy=False)
        slope, logits = margin_gradient(network, images, weights)
        first = margins(logits, weights)
        scaled = np.abs(slope * pixel_scale(network, images, context, self.pgd.unit)).astype(np.float64)
        if self.pgd.norm == "linf":
            steepness = scaled.sum(axis=(1, 2, 3))
        else:
            steepness = np.sqrt((scaled**2).sum(axis=(1, 2, 3)))
        tiny = np.finfo(np.float32).tiny
        epsilons = np.maximum(-first / np.maximum(steepness, tiny), tiny)
        made, low, high = images.copy(), np.zeros(len(images)), np.full(len(images), np.inf)
        farthest = epsilons * _FARTHEST
        open_ = first <= 0
        while open_.any():
            rows = np.flatnonzero(open_)
            tried = perturbed(
                self.pgd,
                network,
                images[rows],
                weights[rows],
                epsilons=epsilons[rows],
                context=selected(context, rows),
            )
            reached = margins(fast_logits(network, tried), weights[rows]) > ENOUGH * np.abs(first[rows])
            won, lost = rows[reached], rows[~reached]
            made[won], high[won] = tried[reached], epsilons[won]
            low[lost] = epsilons[lost]
            with np.errstate(invalid="ignore"):
                bracketed = np.sqrt(low * high)
            epsilons = np.where(np.isinf(high), 2 * low, np.where(low == 0, high / 2, bracketed))
            narrow = high <= low * (1 + self.tolerance)
            open_ &= ~narrow & (epsilons <= farthest) & (epsilons > tiny)
        return np.asarray(made)


def selected(context: Context | None, rows: npt.NDArray[np.int_]) -> Context | None:
    """Return the context of some of the images."""
    if context is None:
        return None
    own: dict[str, Any] = {}
    for one in fields(context):
        value = getattr(context, one.name)
        if value is None or one.name == "zero":
            continue
        own[one.name] = tuple(value[row] for row in rows) if one.name == "ids" else value[rows]
    if "ids" not in own:
        own["ids"] = tuple(str(row) for row in rows)
    return replace(context, **own)


#: Factor by which the weight c is changed until it is bracketed, and maximum number of such changes.
_STRIDE, _STRIDES = 8.0, 8


#: Maximum number of evaluations along a ray, and relative tolerance of the length.
_ALONG_RAY, _RAY_TOLERANCE = 20, 1e-5


@dataclass(frozen=True)
class MinimalPerturbation:
    """Smallest perturbation by bounded L-BFGS: ``argmin c |r|^2 - log P(wanted | x + r)``.

    The method is that of arXiv:1312.6199, section 4.1, with the squared norm and r in units of `unit`.
    The largest weight c with which the attack succeeds is found by bisection. Each minimisation is
    done by SciPy's L-BFGS-B, starting from the previous solution; successful perturbations are then
    scaled down to the decision boundary. For an affine network with two classes, margin m, gradient w and
    unit of change s, ``|r| = |m| / |s w|_2``.

    Attributes
    ----------
    unit : {"sigma", "image"}
        Unit of r: the standard deviation of the noise of each pixel, or the unit of the images.
    bisections : int
        Number of bisections of c.
    iterations : int
        Maximum number of iterations of each L-BFGS-B run.
    lower, upper : float or None
        Bounds of pixel values.
    """

    unit: Unit = "sigma"
    bisections: int = 8
    iterations: int = 60
    lower: float | None = None
    upper: float | None = None

    name: ClassVar[str] = "minimal"
    from_sky: ClassVar[bool] = False
    confidence: ClassVar[float] = 0.0

    def __post_init__(self) -> None:
        as_box(self.lower, self.upper)
        if self.unit not in UNITS or self.bisections < 0 or self.iterations < 1:
            raise ValueError(
                message(
                    f"unit among {UNITS}, bisections >= 0 and at least one iteration",
                    "",
                    unit=self.unit,
                    bisections=self.bisections,
                    iterations=self.iterations,
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
        """Return the images, searched one after the other; those without success are unchanged."""
        task = task_of(self, network, images, target, context)
        run = compiled(network, "wanted loss", _build, (task.images, task.weights))
        # The threads of BLAS would wait for each other on vectors of this length, and use up both cores.
        with threadpool_limits(limits=1, user_api="blas"):
            made = np.stack([_Search(run, task, row, self).nearest() for row in range(len(images))])
        moved = margins(outputs(network, made), task.weights) > 0
        return np.asarray(np.where(moved[:, np.newaxis, np.newaxis, np.newaxis], made, task.images))


class _Search:
    """Search for one image; `u` is the perturbation of unmasked pixels, in units of change."""

    def __init__(
        self, run: Callable[..., Any], task: AttackTask, row: int, settings: MinimalPerturbation
    ) -> None:
        self.run, self.settings, self.box = run, settings, task.box
        self.image: Floats = task.images[row]
        self.weight = task.weights[row : row + 1]
        self.free = task.scale[row] > 0
        self.scale = task.scale[row][self.free].astype(np.float64)
        room = [(end - self.image[self.free].astype(np.float64)) / self.scale for end in self.box]
        self.bounds = np.stack(room, axis=1) if np.isfinite(self.box).any() else None

    def nearest(self) -> Floats:
        zero = np.zeros(int(self.free.sum()))
        _, slope, first = self.evaluate(zero)
        if first > 0:
            return self.image
        self.first, self.enough = first, ENOUGH * abs(first)
        best, price = None, float(slope @ slope) / max(4 * abs(first), 1e-30)
        low, high, u = 0.0, np.inf, zero
        # With a large weight the perturbation is too small to succeed, with a small one larger than needed.
        for _ in range(_STRIDES + self.settings.bisections):
            if best is not None and np.isfinite(high) and high <= low * 1.01:
                break
            u = self.solved(price, u)
            if self.evaluate(u)[2] > self.enough:
                u = self.shortened(u)
                if best is None or np.linalg.norm(u) < np.linalg.norm(best):
                    best = u
                low = price
                price = price * _STRIDE if np.isinf(high) else np.sqrt(low * high)
            else:
                high = price
                price = price / _STRIDE if low == 0 else np.sqrt(low * high)
        return self.image if best is None else self.changed(best)

    def solved(self, price: float, start: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        def objective(u: npt.NDArray[np.float64]) -> tuple[float, npt.NDArray[np.float64]]:
            loss, slope, _ = self.evaluate(u)
            return loss + price * float(u @ u), slope + 2 * price * u

        options = {"maxiter": self.settings.iterations, "ftol": 1e-10, "gtol": 1e-9}
        found = minimize(objective, start, jac=True, method="L-BFGS-B", bounds=self.bounds, options=options)
        solution: npt.NDArray[np.float64] = found.x
        return solution

    def shortened(self, u: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return the shortest success between zero and a successful u: regula falsi (Illinois)."""
        inside, outside = 0.0, 1.0
        below, above = self.first - self.enough, self.evaluate(u)[2] - self.enough
        won = None
        for _ in range(_ALONG_RAY):
            if outside - inside <= _RAY_TOLERANCE * outside:
                break
            middle = (inside * above - outside * below) / (above - below)
            # At least a tolerance inside the bracket, so that both of its ends move.
            room = min(_RAY_TOLERANCE * outside / 2, (outside - inside) / 4)
            middle = min(max(middle, inside + room), outside - room)
            excess = self.evaluate(middle * u)[2] - self.enough
            if excess > 0:
                outside, above, below = middle, excess, below / 2 if won is True else below
            else:
                inside, below, above = middle, excess, above / 2 if won is False else above
            won = excess > 0
        return outside * u

    def changed(self, u: npt.NDArray[np.float64]) -> Floats:
        image = self.image.copy()
        image[self.free] = image[self.free] + u * self.scale
        moved: Floats = np.clip(image, *self.box)
        return moved

    def evaluate(self, u: npt.NDArray[np.float64]) -> tuple[float, npt.NDArray[np.float64], float]:
        """Return the loss, its gradient per unit of change, and the margin."""
        loss, slope, margin = self.run(self.changed(u)[np.newaxis], self.weight)
        return float(loss[0]), slope.numpy()[0][self.free].astype(np.float64) * self.scale, float(margin[0])


def _build(network_of: Callable[[], keras.Model]) -> Callable[..., Any]:
    def run(images: Any, weights: Any) -> tuple[Any, Any, Any]:
        logits = logits_of(network_of(), images)
        margin = margin_in_graph(logits, weights)
        logits, wanted, unwanted = sides_in_graph(logits, weights)
        nothing = tf.constant(-np.inf, logits.dtype)
        loss = tf.reduce_logsumexp(
            tf.where(wanted | unwanted, logits, nothing), axis=1
        ) - tf.reduce_logsumexp(tf.where(wanted, logits, nothing), axis=1)
        return loss, gradient_of(loss, images), margin

    return run
