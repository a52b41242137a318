"""Integrated gradients: contribution of each pixel relative to a baseline (Sundararajan et al. 2017)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, ClassVar, Literal

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from galcnn._runtime.progress import parts
from galcnn.errors import message
from galcnn.explain.baselines import Baseline, baseline_images, check_baseline
from galcnn.explain.explanation import Context, Kind
from galcnn.model import Target
from galcnn.model.forward import batches, compiled, images_per_batch
from galcnn.model.gradients import logits_of, summed_gradient, target_weights

Rule = Literal["gauss-legendre", "midpoint"]


@dataclass(frozen=True)
class IntegratedGradients:
    """Integrated gradients: (I - I0) times the mean of dS/dI on the line from a baseline I0 to I.

    arXiv:1703.01365, equation 1. The sum over pixels is S(I) - S(I0), up to the error of the
    quadrature, which is `Explanation.delta`.

    Attributes
    ----------
    n : int
        Number of steps.
    rule : {"gauss-legendre", "midpoint"}
        Quadrature rule. The error of Gauss-Legendre quadrature decreases much faster with `n` for
        smooth networks.
    baseline : {"sky", "zero", "blurred"}
        ``"sky"``: blank sky with the level and noise of the image's border. Its score is
        `Explanation.baseline_score`; some networks take a blank sky for one of their classes.
        ``"zero"``: zero flux. ``"blurred"``: the image convolved with a Gaussian.
    blur : float
        Standard deviation of the Gaussian in pixels.
    seed : int
        Seed of the noise of the sky.
    """

    n: int = 64
    rule: Rule = "gauss-legendre"
    baseline: Baseline = "sky"
    blur: float = 5.0
    seed: int = 0

    name: ClassVar[str] = "integrated_gradients"
    per_band: ClassVar[bool] = True
    kind: ClassVar[Kind] = "amount"

    def __post_init__(self) -> None:
        check_baseline(self.baseline, self.blur)
        if self.n < 1 or self.rule not in ("gauss-legendre", "midpoint"):
            raise ValueError(
                message(
                    "n of at least 1, and rule 'gauss-legendre' or 'midpoint'", "", n=self.n, rule=self.rule
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
        weights = target_weights(network, target, images)
        images = images.astype(weights.dtype, copy=False)
        start = self.baseline_images(images, context=context)
        way = images - start
        where, share = _quadrature(self.rule, self.n)
        # A batch is filled with the steps of one or several images: memory does not grow with n.
        room = images_per_batch(images.shape[1:])
        size = -(-self.n // -(-self.n // room))
        run = compiled(network, self.name, _build, (start, way, weights, where, share))
        total = np.zeros_like(images)
        groups, pieces = list(batches(len(images), max(1, room // size))), list(batches(self.n, size))
        with parts(self.name, len(groups) * len(pieces)) as step:
            for group, piece in product(groups, pieces):
                total[group] += run(
                    start[group], way[group], weights[group], where[piece], share[piece]
                ).numpy()
                step()
        total *= way
        return total

    def baseline_images(
        self, images: npt.NDArray[np.float32], *, context: Context | None = None
    ) -> npt.NDArray[np.float32]:
        return baseline_images(self.baseline, images, context=context, blur=self.blur, seed=self.seed)


def _quadrature(rule: Rule, n: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the nodes in (0, 1) and their weights."""
    if rule == "midpoint":
        return (np.arange(n) + 0.5) / n, np.full(n, 1 / n)
    nodes, shares = np.polynomial.legendre.leggauss(n)
    return (nodes + 1) / 2, shares / 2


def _build(network_of: Callable[[], keras.Model]) -> Callable[..., Any]:
    def run(start: Any, way: Any, weights: Any, where: Any, share: Any) -> Any:
        """Return the weighted sum of the gradients of the steps."""
        steps = tf.reshape(where, (1, -1, 1, 1, 1))
        points = start[:, tf.newaxis] + steps * way[:, tf.newaxis]
        flat = tf.reshape(points, (-1, *start.shape[1:]))
        shared = tf.reshape(weights[:, tf.newaxis] * share[:, tf.newaxis], (-1, weights.shape[1]))
        scores = tf.reduce_sum(logits_of(network_of(), flat) * shared, axis=1)
        return summed_gradient(scores, flat, tf.size(where))

    return run
