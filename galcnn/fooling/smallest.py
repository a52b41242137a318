"""How small a budget is enough: PGD, with the radius of its ball bisected for each image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, ClassVar

import keras
import numpy as np
import numpy.typing as npt

from galcnn.errors import message
from galcnn.explain.explanation import Context
from galcnn.explain.target import Target
from galcnn.fooling.attack import pixel_scale
from galcnn.fooling.margins import fast_logits, margin_gradient, margins, wanted_weights
from galcnn.fooling.pgd import PGD, perturbed

__all__ = ["ENOUGH", "SmallestBudget", "selected"]

#: A margin counts as passed when it lies this share of the first margin beyond zero: rounding in
#: another batch must not take the success back.
ENOUGH = 1e-4
#: The search begins at what a linear network would need, and gives up at this many times that.
_FARTHEST = 1e4

Images = npt.NDArray[np.floating[Any]]


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
            As for `PGD`.

        Returns
        -------
        numpy.ndarray
            Shape of `images`; an image that answers as wanted already, and one that no budget
            was enough for, come back as they are.
        """
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
        made, low, high, farthest = images.copy(), np.zeros(len(images)), np.full(len(images), np.inf), None
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
    """Give the context of some of the images.

    Parameters
    ----------
    context : Context or None
        Of all.
    rows : numpy.ndarray
        Which.

    Returns
    -------
    Context or None
        In this order.
    """
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
