"""PGD: many small steps within a ball, and what physics asks of them (Madry et al. 2017)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import keras
import numpy as np
import numpy.typing as npt

from galcnn import seeding
from galcnn.errors import message
from galcnn.explain.baselines import ids_of
from galcnn.explain.explanation import Context
from galcnn.explain.target import Target
from galcnn.fooling.attack import UNITS, Unit, as_box, check_within, pixel_scale, psf_stack
from galcnn.fooling.climbing import NORMS, Limits, Norm, Walk, climb
from galcnn.fooling.margins import wanted_weights

__all__ = ["PGD", "perturbed"]

Images = npt.NDArray[np.floating[Any]]

_LIGHTS, _FLUXES, _STARTS = ("pixels", "psf"), ("free", "conserved"), ("random", "image")


@dataclass(frozen=True)
class PGD:
    """Projected gradient ascent on the margin, in a ball around the image.

    arXiv:1706.06083, with the margin between the best wanted and the best unwanted logit as what
    grows. Of each image the best point of the walk is taken. One step from the image is FGSM.

    The options compose: a budget of k sigma in every pixel (``unit="sigma"``), masked pixels
    frozen, light that has come through the telescope (``light="psf"``: the perturbation is a
    pattern convolved with the PSF), and no light from nowhere (``flux="conserved"``: it adds up to
    zero in each band).

    Attributes
    ----------
    budget : float
        Radius of the ball.
    norm : {"linf", "l2"}
        Of the perturbation in the unit: largest change of a pixel, or root of the sum of squares.
    unit : {"sigma", "image"}
        Standard deviations of the noise of each pixel, or the unit of the images.
    light : {"pixels", "psf"}
        Whether every pixel moves by itself.
    flux : {"free", "conserved"}
        Whether a band may gain or lose light.
    steps : int
        Of 2.5 / steps of the budget each, but none longer than the budget.
    start : {"random", "image"}
        Somewhere in the ball, or its middle.
    seed : int
        Of the start, with the ids.
    lower, upper : float or None
        Bounds of every pixel. Convolved light is cut there, as a detector saturates.
    """

    budget: float = 1.0
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
        if not (0 < self.budget < np.inf) or self.steps < 1:
            raise ValueError(
                message("a positive budget and at least one step", "", budget=self.budget, steps=self.steps)
            )
        box = as_box(self.lower, self.upper)
        if self.light == "psf" and self.flux == "conserved" and np.isfinite(box).any():
            raise ValueError(
                message(
                    "conserved flux, a PSF or bounds, but not all three",
                    "Where convolved light is cut at a bound, flux is lost: leave one out.",
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
        """Make the images.

        Parameters
        ----------
        network : keras.Model
            Ends in logits.
        images : numpy.ndarray
            Shape (n, ny, nx, n_bands).
        target : Target or sequence of Target
            One for all, or one an image.
        context : Context, optional
            Sigma, mask, PSF and ids, as the options need them.

        Returns
        -------
        numpy.ndarray
            Shape of `images`.

        Raises
        ------
        ValueError
            Something that an option needs is not known, or images lie outside the bounds.
        """
        weights = wanted_weights(network, target, images)
        budgets = np.full(len(images), float(self.budget))
        return perturbed(self, network, images, weights, budgets=budgets, context=context)


def perturbed(
    attack: PGD,
    network: keras.Model,
    images: Images,
    weights: Images,
    *,
    budgets: npt.NDArray[np.float64],
    context: Context | None,
) -> npt.NDArray[np.float32]:
    """Run PGD with a budget for each image.

    Parameters
    ----------
    attack : PGD
        All but the budget.
    network : keras.Model
        Ends in logits.
    images, weights : numpy.ndarray
        Shape (n, ny, nx, n_bands) and (n, n_classes).
    budgets : numpy.ndarray
        Shape (n,).
    context : Context or None
        As for the attack.

    Returns
    -------
    numpy.ndarray
        Shape of `images`.
    """
    box = as_box(attack.lower, attack.upper)
    images = images.astype(weights.dtype, copy=False)
    check_within(images, box)
    limits = Limits(
        attack.norm,
        pixel_scale(images, context, attack.unit) * budgets.reshape(-1, 1, 1, 1).astype(images.dtype),
        psf_stack(context, len(images)) if attack.light == "psf" else None,
        attack.flux == "conserved",
        box,
    )
    walk = Walk(attack.steps, min(2.5 / attack.steps, 1.0), _start(attack, images, context))
    made: npt.NDArray[np.float32] = climb(network, images, weights, limits=limits, walk=walk)
    return made


def _start(attack: PGD, images: Images, context: Context | None) -> Images | None:
    """Points evenly spread over the unit ball of each image, keyed by its id."""
    if attack.start == "image":
        return None
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
