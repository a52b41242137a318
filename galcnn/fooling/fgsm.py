"""FGSM: every pixel moves by the budget to the side on which the target lies (Goodfellow et al. 2014)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import keras
import numpy as np
import numpy.typing as npt

from galcnn.explain.explanation import Context
from galcnn.explain.target import Target
from galcnn.fooling.attack import Unit
from galcnn.fooling.pgd import PGD

__all__ = ["FGSM"]


@dataclass(frozen=True)
class FGSM:
    """x + budget s sign(dm/dx), the first step of `PGD` in the largest-change norm.

    arXiv:1412.6572, section 4, with the margin m between the best wanted and the best unwanted
    logit in place of the cross-entropy, whose slope a confident network rounds to zero. On a
    linear network the margin moves by exactly budget |s w|_1.

    Attributes
    ----------
    budget : float
        By how much each pixel moves.
    unit : {"sigma", "image"}
        Whether the budget is in standard deviations of the noise of each pixel, or in the unit of
        the images.
    lower, upper : float or None
        Bounds of every pixel.
    """

    budget: float = 1.0
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
            Sigma and mask.

        Returns
        -------
        numpy.ndarray
            Shape of `images`.
        """
        return self._step()(network, images, target, context=context)

    def _step(self) -> PGD:
        return PGD(self.budget, "linf", self.unit, steps=1, start="image", lower=self.lower, upper=self.upper)
