"""Grad-CAM (Selvaraju et al. 2016), HiResCAM and LayerCAM: feature maps times their gradient."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from galcnn.explain.explanation import Context
from galcnn.explain.methods.cells import AtFeatureMaps
from galcnn.model import Target
from galcnn.model.forward import compiled, run_in_batches
from galcnn.model.gradients import gradient_of, logits_and_layers, target_weights, weighted_sum
from galcnn.model.orientations import mean_turned_back
from galcnn.model.receptive import seen_in


@dataclass(frozen=True)
class GradientCAM(AtFeatureMaps):
    """Base class of `GradCAM`, `HiResCAM` and `LayerCAM`: a sum over feature maps and their gradients."""

    name: ClassVar[str]

    def _sums(
        self,
        network: keras.Model,
        images: npt.NDArray[np.float32],
        target: Target | Sequence[Target],
        context: Context | None,
    ) -> npt.NDArray[np.float32]:
        del context
        weights = target_weights(network, target, images)
        layer, combined = self._layer(network), self._combined
        name, orientations = layer.name, seen_in(network, layer)
        count = 1 if orientations is None else orientations.layer.count

        def build(network_of: Callable[[], keras.Model]) -> Callable[..., Any]:
            def run(images: Any, weights: Any) -> tuple[Any]:
                logits, seen = logits_and_layers(network_of(), images)
                features = seen[name]
                slope = gradient_of(weighted_sum(logits, weights), features)
                maps = combined(tf.cast(features, images.dtype), slope)
                if count > 1:
                    maps = mean_turned_back(maps[..., tf.newaxis], count)[..., 0] * count
                return (maps,)

            return run

        run = compiled(network, (self.name, name), build, (images, weights))
        return run_in_batches(run, images, weights)[0]

    @staticmethod
    def _combined(features: Any, slope: Any) -> Any:
        """Return the map of the cells, shape (n, cells_y, cells_x)."""
        raise NotImplementedError


@dataclass(frozen=True)
class GradCAM(GradientCAM):
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

    name: ClassVar[str] = "gradcam"
    positive: ClassVar[bool] = True

    @staticmethod
    def _combined(features: Any, slope: Any) -> Any:
        return tf.einsum("nyxf,nf->nyx", features, tf.reduce_mean(slope, axis=(1, 2)))


@dataclass(frozen=True)
class HiResCAM(GradientCAM):
    """HiResCAM: sum_k f_k dS/df_k in each cell, signed.

    arXiv:2011.08891, section 3.3. Unlike in `GradCAM`, the gradient is not averaged over the cells, so that
    the map shows where the network uses a feature. If S is a piecewise linear function of the feature
    maps without biases behind them, the map sums to S; at the last feature maps of a head of
    GlobalAveragePooling2D and Dense, or of Flatten and Dense, to S without the bias of that layer. With
    averaging, the number of cells times this map is `CAM`. There is one map for all bands, interpolated
    linearly between the centres of the cells; pixels that the network crops are NaN.

    Attributes
    ----------
    network_layer : str
        Name of a network layer with feature maps, see `GradCAM`; an earlier one has smaller cells.
    """

    name: ClassVar[str] = "hirescam"
    positive: ClassVar[bool] = False

    @staticmethod
    def _combined(features: Any, slope: Any) -> Any:
        return tf.reduce_sum(features * slope, axis=-1)


@dataclass(frozen=True)
class LayerCAM(GradientCAM):
    """LayerCAM: sum_k f_k max(dS/df_k, 0) in each cell.

    Jiang et al. 2021 (IEEE TIP 30, 5875), equations 5 and 6. Features against the target are left out: the
    map is `HiResCAM` where no gradient is negative. It is not rectified again, and therefore has negative
    cells at layers whose features may be negative, as before an activation. There is one map for all
    bands, interpolated linearly between the centres of the cells; pixels that the network crops are NaN.

    Attributes
    ----------
    network_layer : str
        Name of a network layer with feature maps, see `GradCAM`; made for early ones, of small cells.
    """

    name: ClassVar[str] = "layercam"
    positive: ClassVar[bool] = False

    @staticmethod
    def _combined(features: Any, slope: Any) -> Any:
        return tf.reduce_sum(features * tf.nn.relu(slope), axis=-1)
