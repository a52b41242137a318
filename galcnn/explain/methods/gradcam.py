"""Grad-CAM: feature maps weighted by the mean of their gradient (Selvaraju et al. 2016)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from galcnn.errors import message
from galcnn.explain.methods.cells import MapOfCells
from galcnn.model import Target, feature_maps
from galcnn.model.forward import compiled, run_in_batches
from galcnn.model.gradients import gradient_of, logits_and_layers, target_weights, weighted_sum
from galcnn.model.graph import NetworkLayer, network_layer
from galcnn.model.orientations import mean_turned_back
from galcnn.model.receptive import seen_in


@dataclass(frozen=True)
class GradCAM(MapOfCells):
    """Grad-CAM: relu(sum_k a_k f_k), where a_k is the mean of dS/df_k over the cells.

    arXiv:1610.02391, equations 1 and 2. It works for any head and at any layer with feature maps. At
    the last feature maps of a head of GlobalAveragePooling2D and Dense, the number of cells times
    this map is the positive part of `CAM`. There is one nonnegative map for all bands. It is
    interpolated linearly between the centres of the cells before negative values are set to zero;
    pixels that the network crops are NaN.

    Attributes
    ----------
    network_layer : str
        Name of a network layer with feature maps; by default the last one, after normalisation,
        activation and pooling. If the layer sees several orientations of the image, their maps are
        rotated back and summed, as if each orientation of a feature map were a separate feature map.
    """

    network_layer: str = ""

    name: ClassVar[str] = "gradcam"
    positive: ClassVar[bool] = True

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

    def _sums(
        self, network: keras.Model, images: npt.NDArray[np.float32], target: Target | Sequence[Target]
    ) -> npt.NDArray[np.float32]:
        weights = target_weights(network, target, images)
        layer = self._layer(network)
        name, orientations = layer.name, seen_in(network, layer)
        count = 1 if orientations is None else orientations.layer.count

        def build(network_of: Callable[[], keras.Model]) -> Callable[..., Any]:
            def run(images: Any, weights: Any) -> tuple[Any]:
                logits, seen = logits_and_layers(network_of(), images)
                features = seen[name]
                slope = gradient_of(weighted_sum(logits, weights), features)
                share = tf.reduce_mean(slope, axis=(1, 2))
                maps = tf.einsum("nyxf,nf->nyx", tf.cast(features, images.dtype), share)
                if count > 1:
                    maps = mean_turned_back(maps[..., tf.newaxis], count)[..., 0] * count
                return (maps,)

            return run

        run = compiled(network, (self.name, name), build, (images, weights))
        return run_in_batches(run, images, weights)[0]
