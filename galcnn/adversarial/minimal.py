"""The smallest change of the answer: PGD of a bisected budget; L-BFGS in bounds (Szegedy et al. 2013)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, ClassVar

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf
from scipy.optimize import minimize

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

#: A margin counts as passed when it lies this share of the first margin beyond zero: rounding in
#: another batch must not take the success back.
ENOUGH = 1e-4


#: The search begins at what a linear network would need, and gives up at this many times that.
_FARTHEST = 1e4


@dataclass(frozen=True)
class SmallestBudget:
    """The nearest adversarial image that `PGD` finds, in its norm and under its options.

    The budget of each image is bisected until it is known to the tolerance. On a linear network
    it is \\|m\\| / \\|s w\\|_1 in the largest-change norm and \\|m\\| / \\|s w\\|_2 in the other; in general
    it is an upper bound of the smallest.

    Attributes
    ----------
    pgd : PGD
        How it is searched; its own budget does not matter. From the image by default: a random
        start wastes a part of the budget.
    tolerance : float
        Relative.
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
        """An image that answers as wanted already, or for which no budget was enough, comes back as it is."""
        weights = wanted_weights(network, target, images)
        images = images.astype(weights.dtype, copy=False)
        slope, logits = margin_gradient(network, images, weights)
        first = margins(logits, weights)
        scaled = np.abs(slope * pixel_scale(images, context, self.pgd.unit)).astype(np.float64)
        if self.pgd.norm == "linf":
            steepness = scaled.sum(axis=(1, 2, 3))
        else:
            steepness = np.sqrt((scaled**2).sum(axis=(1, 2, 3)))
        tiny = np.finfo(np.float32).tiny
        budgets = np.maximum(-first / np.maximum(steepness, tiny), tiny)
        made, low, high = images.copy(), np.zeros(len(images)), np.full(len(images), np.inf)
        farthest = budgets * _FARTHEST
        open_ = first <= 0
        while open_.any():
            rows = np.flatnonzero(open_)
            tried = perturbed(
                self.pgd,
                network,
                images[rows],
                weights[rows],
                budgets=budgets[rows],
                context=selected(context, rows),
            )
            reached = margins(fast_logits(network, tried), weights[rows]) > ENOUGH * np.abs(first[rows])
            won, lost = rows[reached], rows[~reached]
            made[won], high[won] = tried[reached], budgets[won]
            low[lost] = budgets[lost]
            with np.errstate(invalid="ignore"):
                bracketed = np.sqrt(low * high)
            budgets = np.where(np.isinf(high), 2 * low, np.where(low == 0, high / 2, bracketed))
            narrow = high <= low * (1 + self.tolerance)
            open_ &= ~narrow & (budgets <= farthest) & (budgets > tiny)
        return np.asarray(made)


def selected(context: Context | None, rows: npt.NDArray[np.int_]) -> Context | None:
    """Give the context of some of the images."""
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


#: The price c of a perturbation is multiplied or divided by this until it is bracketed.
_STRIDE, _STRIDES = 8.0, 8


_ALONG_RAY = 20


@dataclass(frozen=True)
class MinimalPerturbation:
    """argmin c |r|^2 - log P(wanted | x + r) within bounds, for the largest c that still succeeds.

    arXiv:1312.6199, section 4.1, with r in the unit (so that |r| is counted in sigmas where the
    noise is known) and the squared norm. The price c is bisected; each problem is solved by
    SciPy's L-BFGS-B from the solution of the one before; the best r is then shortened along its
    own ray to the boundary. On an affine network with two classes |r| = \\|m\\| / \\|s w\\|_2.

    Attributes
    ----------
    unit : {"sigma", "image"}
        Of the norm.
    bisections : int
        Of c.
    iterations : int
        Of each L-BFGS-B.
    lower, upper : float or None
        Bounds of every pixel.
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
        """One after the other: each has a path of its own. Where nothing is found it comes back as it is."""
        task = task_of(self, network, images, target, context)
        run = compiled(network, "wanted loss", _build, (task.images, task.weights))
        made = np.stack([_Search(run, task, row, self).nearest() for row in range(len(images))])
        moved = margins(outputs(network, made), task.weights) > 0
        return np.asarray(np.where(moved[:, np.newaxis, np.newaxis, np.newaxis], made, task.images))


class _Search:
    """Of one image; `u` is the perturbation in the unit, of the pixels that may move."""

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
        self.enough = ENOUGH * abs(first)
        best, price = None, float(slope @ slope) / max(4 * abs(first), 1e-30)
        low, high, u = 0.0, np.inf, zero
        # A dear perturbation stays too small, a cheap one is larger than it must be.
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
        inside, outside = 0.0, 1.0
        for _ in range(_ALONG_RAY):
            middle = (inside + outside) / 2
            if self.evaluate(middle * u)[2] > self.enough:
                outside = middle
            else:
                inside = middle
        return outside * u

    def changed(self, u: npt.NDArray[np.float64]) -> Floats:
        image = self.image.copy()
        image[self.free] = image[self.free] + u * self.scale
        moved: Floats = np.clip(image, *self.box)
        return moved

    def evaluate(self, u: npt.NDArray[np.float64]) -> tuple[float, npt.NDArray[np.float64], float]:
        """Loss, its slope in the unit, and the margin."""
        loss, slope, margin = self.run(self.changed(u)[np.newaxis], self.weight)
        return float(loss[0]), slope.numpy()[0][self.free].astype(np.float64) * self.scale, float(margin[0])


def _build(network_of: Callable[[], keras.Model]) -> Callable[..., Any]:
    def run(images: Any, weights: Any) -> tuple[Any, Any, Any]:
        logits = logits_of(network_of(), images)
        wanted, unwanted = sides_in_graph(weights)
        nothing = tf.constant(-np.inf, logits.dtype)
        loss = tf.reduce_logsumexp(
            tf.where(wanted | unwanted, logits, nothing), axis=1
        ) - tf.reduce_logsumexp(tf.where(wanted, logits, nothing), axis=1)
        return loss, gradient_of(loss, images), margin_in_graph(logits, weights)

    return run
