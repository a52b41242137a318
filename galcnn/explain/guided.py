"""Guided backpropagation (Springenberg et al. 2014)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import keras
import numpy as np
import numpy.typing as npt

from galcnn.explain.explanation import Context, Kind, Target
from galcnn.explain.rectifiers import rectified_gradient

__all__ = ["GuidedBackprop"]


@dataclass(frozen=True)
class GuidedBackprop:
    """The gradient, with only positive signals let back through each ReLU that was open.

    arXiv:1412.6806, figure 1: at a ReLU with input x the signal g becomes max(g, 0) [x > 0].
    """

    name: ClassVar[str] = "guided"
    per_band: ClassVar[bool] = True
    kind: ClassVar[Kind] = "slope"

    def __call__(
        self,
        network: keras.Model,
        images: npt.NDArray[np.float32],
        target: Target | Sequence[Target],
        *,
        context: Context | None = None,
    ) -> npt.NDArray[np.float32]:
        """Make the maps.

        Parameters
        ----------
        network : keras.Model
            Ends in logits; all its rectifiers are ReLUs.
        images : numpy.ndarray
            Shape (n, ny, nx, n_bands).
        target : Target or sequence of Target
            One for all, or one an image.
        context : Context, optional
            Not needed.

        Returns
        -------
        numpy.ndarray
            Shape of `images`, in 1 over the unit of the images.

        Raises
        ------
        ValueError
            The network has no ReLU, or a rectifier that is spelled without one: the text says
            what was found.
        """
        del context
        return rectified_gradient(network, images, target, "guided")
