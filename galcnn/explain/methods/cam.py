"""Class activation map, CAM (Zhou et al. 2015)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from galcnn.errors import message
from galcnn.explain.explanation import Context
from galcnn.explain.methods.cells import MapOfCells
from galcnn.model import Target
from galcnn.model.forward import compiled, run_in_batches
from galcnn.model.gradients import logits_and_layers, target_weights
from galcnn.model.graph import NetworkLayer, upstream


@dataclass(frozen=True)
class CAM(MapOfCells):
    """Class activation map: sum_k w_k f_k over the last feature maps, with the weights of the last layer.

    arXiv:1512.04150, equation 2, signed and without the bias: the mean of the coarse map plus the
    bias is the value of the target. The network must end in GlobalAveragePooling2D and a linear Dense
    layer, with at most dropout between them. There is one map for all bands. It is interpolated
    linearly between the centres of the cells; pixels that the network crops are NaN.
    """

    name: ClassVar[str] = "cam"
    positive: ClassVar[bool] = False

    def _layer(self, network: keras.Model) -> NetworkLayer:
        return _head(network)[0]

    def _sums(
        self,
        network: keras.Model,
        images: npt.NDArray[np.float32],
        target: Target | Sequence[Target],
        context: Context | None,
    ) -> npt.NDArray[np.float32]:
        del context
        weights = target_weights(network, target, images)
        kernel = keras.ops.convert_to_numpy(_head(network)[1].kernel).astype(weights.dtype)
        shares = weights @ kernel.T  # the kernel is of shape (features, classes)
        run = compiled(network, self.name, _build, (images, shares))
        return run_in_batches(run, images, shares)[0]


def _build(network_of: Callable[[], keras.Model]) -> Callable[..., Any]:
    def run(images: Any, shares: Any) -> tuple[Any]:
        network = network_of()
        features = logits_and_layers(network, images)[1][_head(network)[0].name]
        return (tf.einsum("nyxf,nf->nyx", tf.cast(features, images.dtype), shares),)

    return run


def _head(network: keras.Model) -> tuple[NetworkLayer, keras.layers.Dense]:
    """Return the feature maps and the Dense layer of a head of GlobalAveragePooling2D and Dense."""
    chain: list[str] = []
    dense = None
    averaged = False
    for step in upstream(network):
        layer = step.layer
        if averaged and len(step.shape) == 3:
            return step, dense
        chain.insert(0, type(layer).__name__)
        if dense is None and isinstance(layer, keras.layers.Dense):
            dense = layer
        elif dense is not None and isinstance(layer, keras.layers.GlobalAveragePooling2D):
            averaged = True
        elif not _passes(layer):
            break
    raise ValueError(
        message(
            "a network that ends in GlobalAveragePooling2D and Dense",
            "Use another method, e.g. gradcam or saliency.",
            network=network.name,
            ends_in=" -> ".join(chain),
        )
    )


def _passes(layer: Any) -> bool:
    """Return True if a layer of the head is the identity in inference."""
    linear = isinstance(layer, keras.layers.Activation) and layer.activation is keras.activations.linear
    return linear or isinstance(layer, keras.layers.Dropout | keras.layers.Identity)
