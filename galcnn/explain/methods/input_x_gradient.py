"""Input times gradient: first-order contribution of each pixel (Shrikumar et al. 2016)."""

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
class InputXGradient:
    """Input times gradient: I dS/dI.

    arXiv:1605.01713, section 3.2. For a piecewise linear network (ReLU, pooling) without biases, the
    sum over pixels is the value of the target.
    """

    name: ClassVar[str] = "input_x_gradient"
    per_band: ClassVar[bool] = True
    kind: ClassVar[Kind] = "amount"

    def __call__(
        self,
        network: keras.Model,
        images: npt.NDArray[np.float32],
        target: Target | Sequence[Target],
        *,
        context: Context | None = None,
    ) -> npt.NDArray[np.float32]:
        del context
        return images * target_gradient(network, images, target)[0]
