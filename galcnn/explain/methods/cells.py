"""Base class of the methods whose maps are computed on the cells of a feature map."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import keras
import numpy as np
import numpy.typing as npt

from galcnn.errors import message
from galcnn.explain.explanation import Context, Kind
from galcnn.model import Target, feature_maps
from galcnn.model.graph import NetworkLayer, network_layer
from galcnn.model.receptive import on_image_grid


class MapOfCells:
    """Base class of the class activation maps: sums over feature maps, interpolated to the image."""

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
        coarse = self._sums(network, images, target, context)
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
        self,
        network: keras.Model,
        images: npt.NDArray[np.float32],
        target: Target | Sequence[Target],
        context: Context | None,
    ) -> npt.NDArray[np.float32]:
        """Return the signed sum in each cell, shape (n, cells_y, cells_x)."""
        raise NotImplementedError


@dataclass(frozen=True)
class AtFeatureMaps(MapOfCells):
    """Base class of the methods that work at any layer with feature maps."""

    network_layer: str = ""

    def _layer(self, network: keras.Model) -> NetworkLayer:
        if not self.network_layer:
            return feature_maps(network)
        layer = network_layer(network, self.network_layer)
        if len(layer.shape) != 3:
            raise ValueError(
                message(
                    "a layer with feature maps of shape (n, ny, nx, n_features)",
                    "",
                    network_layer=layer.name,
                    shape=(None, *layer.shape),
                )
            )
        return layer
