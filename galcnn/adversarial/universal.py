"""Universal perturbations, one for many images (Moosavi-Dezfooli et al. 2017)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import keras
import numpy as np
import numpy.typing as npt

from galcnn._runtime import seeding
from galcnn.adversarial.margins import (
    UNITS,
    Floats,
    Unit,
    as_box,
    fast_logits,
    margin_gradient,
    margins,
    task_of,
)
from galcnn.adversarial.pgd import NORMS, Norm
from galcnn.errors import message
from galcnn.explain import Context
from galcnn.model import Target

#: Fraction by which each linear step goes beyond the decision boundary.
_OVERSHOOT = 0.02


@dataclass(frozen=True, eq=False)
class FixedPerturbation:
    """Attack that adds the same perturbation to every image; network and target are not used.

    Attributes
    ----------
    pattern : numpy.ndarray
        Perturbation, in the unit of the images, shape (ny, nx, n_bands).
    name : str
        Name of the method that made the perturbation.
    lower, upper : float or None
        Bounds of pixel values.
    """

    pattern: npt.NDArray[np.float32]
    name: str = "fixed"
    lower: float | None = None
    upper: float | None = None

    from_sky: ClassVar[bool] = False
    confidence: ClassVar[float] = 0.0

    def __call__(
        self,
        network: keras.Model,
        images: npt.NDArray[np.float32],
        target: Target | Sequence[Target],
        *,
        context: Context | None = None,
    ) -> npt.NDArray[np.float32]:
        del network, target
        made: npt.NDArray[np.float32] = _added(images, self.pattern, context, as_box(self.lower, self.upper))
        return made


@dataclass(frozen=True)
class UniversalPerturbation:
    """One perturbation within the epsilon that succeeds for as many images as possible.

    The method is algorithm 1 of arXiv:1610.08401. In each pass, in random order, the pattern is changed
    for each image that does not yet reach its target, by the linear steps of DeepFool (arXiv:1511.04599),
    and projected back into the ball. The pattern with the most successes after a pass is kept.

    Attributes
    ----------
    epsilon : float
        Radius of the ball.
    norm : {"linf", "l2"}
        Norm of the perturbation, see `PGD`.
    unit : {"sigma", "image"}
        Unit of changes: the noise of each pixel, as median over the images, or the unit of the images.
    passes : int
        Maximum number of passes over the images.
    share : float
        Fraction of successes at which the search stops.
    steps : int
        Maximum number of linear steps per image and pass.
    seed : int
        Seed of the order of the images.
    lower, upper : float or None
        Bounds of pixel values.
    """

    epsilon: float = 1.0
    norm: Norm = "linf"
    unit: Unit = "sigma"
    passes: int = 5
    share: float = 0.8
    steps: int = 10
    seed: int = 0
    lower: float | None = None
    upper: float | None = None

    name: ClassVar[str] = "universal"
    from_sky: ClassVar[bool] = False
    confidence: ClassVar[float] = 0.0

    def __post_init__(self) -> None:
        as_box(self.lower, self.upper)
        known = self.norm in NORMS and self.unit in UNITS
        if not known or not 0 < self.epsilon < np.inf or self.passes < 1 or self.steps < 1:
            raise ValueError(
                message(
                    f"norm among {NORMS}, unit among {UNITS}, a positive epsilon, passes and steps",
                    "",
                    norm=self.norm,
                    unit=self.unit,
                    epsilon=self.epsilon,
                    passes=self.passes,
                    steps=self.steps,
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
        """Fit the pattern to these images, and add it to them."""
        return self.fitted(network, images, target, context=context)(network, images, target, context=context)

    def fitted(
        self,
        network: keras.Model,
        images: npt.NDArray[np.float32],
        target: Target | Sequence[Target],
        *,
        context: Context | None = None,
    ) -> FixedPerturbation:
        """Fit the pattern to images and return it as an attack on other images.

        Parameters
        ----------
        network : keras.Model
            Model that returns logits.
        images : numpy.ndarray
            Images, shape (n, ny, nx, n_bands).
        target : Target or sequence of Target
            One target for all images, or one per image.
        context : Context, optional
            Sigma and mask of the images.

        Returns
        -------
        FixedPerturbation
            Attack that adds the pattern.
        """
        task = task_of(self, network, images, target, context)
        images, weights = task.images, task.weights
        scale = np.median(task.scale, axis=0).astype(np.float64)
        mask = None if context is None else context.mask
        pattern = np.zeros(images.shape[1:])
        best, most = pattern, -1.0
        stream = seeding.generator(self.seed, "universal")
        for _ in range(self.passes):
            for row in stream.permutation(len(images)):
                one = slice(row, row + 1)
                pattern = self._turned(
                    network,
                    images[one],
                    weights[one],
                    pattern,
                    scale=scale,
                    box=task.box,
                    context=None if mask is None else Context(mask=mask[one]),
                )
            made = _added(images, (scale * pattern).astype(images.dtype), context, task.box)
            turned = float(np.mean(margins(fast_logits(network, made), weights) > 0))
            if turned > most:
                best, most = pattern, turned
            if most >= self.share:
                break
        return FixedPerturbation((scale * best).astype(np.float32), self.name, self.lower, self.upper)

    def _turned(
        self,
        network: keras.Model,
        image: Floats,
        weights: Floats,
        pattern: npt.NDArray[np.float64],
        *,
        scale: npt.NDArray[np.float64],
        box: tuple[float, float],
        context: Context | None,
    ) -> npt.NDArray[np.float64]:
        """Change the pattern until one image reaches its target, then project it into the ball."""
        moved = pattern
        for _ in range(self.steps):
            seen = _added(image, (scale * moved).astype(image.dtype), context, box)
            slope, logits = margin_gradient(network, seen, weights)
            short = -margins(logits, weights)[0]
            steep = slope[0].astype(np.float64) * scale
            if context is not None and context.mask is not None:
                steep = np.where(context.mask[0], 0, steep)
            size = np.abs(steep).sum() if self.norm == "linf" else float(np.sum(steep**2))
            if short < 0 or size == 0:
                break
            way = np.sign(steep) if self.norm == "linf" else steep
            moved = moved + (1 + _OVERSHOOT) * short / size * way
        return self._within(moved)

    def _within(self, pattern: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        if self.norm == "linf":
            return np.clip(pattern, -self.epsilon, self.epsilon)
        size = float(np.linalg.norm(pattern))
        return pattern * min(1.0, self.epsilon / size) if size else pattern


def _added(images: Floats, pattern: Floats, context: Context | None, box: tuple[float, float]) -> Any:
    changed = np.clip(images + pattern, *box).astype(images.dtype)
    if context is None or context.mask is None:
        return changed
    return np.where(context.mask, images, changed)
