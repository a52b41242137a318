"""Base class of the methods whose maps are computed on the cells of a feature map."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import keras
import numpy as np
import numpy.typing as npt

from galcnn.explain.explanation import Context, Kind
from galcnn.model import Target
from galcnn.model.graph import NetworkLayer
from galcnn.model.receptive import on_image_grid


class MapOfCells:
    """Base class of `CAM` and `GradCAM`: weighted sum of feature maps, interpolated to the image."""

    per_band: ClassVar[bool] = False
    kind: ClassVar[Kind] = "features"
    #: If True, negative values are set to zero; on the pixels, after the interpolation.
    positive: ClassVar[bool]

    def __call__(
        self,
        network: keras.Model,
        images: npt.NDArray[np.float32],
        target: Target | Sequence[Target],
        *,
        context: Context | None = None,
    ) -> npt.NDArray[np.float32]:
        return self.fine_and_coarse(network, images, target, context=context)[0]

    def fine_and_coarse(
        self,
        network: keras.Model,
        images: npt.NDArray[np.float32],
        target: Target | Sequence[Target],
        *,
        context: Context | None = None,
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        del context
        coarse = self._sums(network, images, target)
        fine = on_image_grid(coarse, network, self._layer(network), images.shape)
        if self.positive:
            fine[fine < 0] = 0  # NaN is kept
            coarse = np.maximum(coarse, 0)
        return np.broadcast_to(fine[..., np.newaxis], images.shape), coarse

    def network_layer_of(self, network: keras.Model) -> str:
        return self._layer(network).name

    def _layer(self, network: keras.Model) -> NetworkLayer:
        raise NotImplementedError

    def _sums(
        self, network: keras.Model, images: npt.NDArray[np.float32], target: Target | Sequence[Target]
    ) -> npt.NDArray[np.float32]:
        """Return the signed sum in each cell, shape (n, cells_y, cells_x)."""
        raise NotImplementedError
