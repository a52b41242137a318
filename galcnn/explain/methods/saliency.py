"""Saliency: gradient of the target with respect to the image (Simonyan, Vedaldi & Zisserman 2013)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import keras
import numpy as np
import numpy.typing as npt

from galcnn.explain.explanation import Context, Kind
from galcnn.model import Target
from galcnn.model.gradients import target_gradient


@dataclass(frozen=True)
class Saliency:
    """Saliency: the signed gradient dS/dI of the target with respect to each pixel.

    arXiv:1312.6034, section 3. Unlike in the paper, the map is not reduced to absolute values or to
    the maximum over bands.
    """

    name: ClassVar[str] = "saliency"
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
        del context
        return target_gradient(network, images, target)[0]
