"""Class activation map: where the evidence lies (Zhou et al. 2015)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from galcnn.errors import message
from galcnn.explain.explanation import Context, Kind
from galcnn.model import Target
from galcnn.model.forward import compiled, run_in_batches
from galcnn.model.gradients import logits_and_layers, target_weights
from galcnn.model.graph import NetworkLayer, upstream
from galcnn.model.receptive import on_image_grid


@dataclass(frozen=True)
class CAM:
    """sum_k w_k f_k over the last feature maps of a network that averages them.

    arXiv:1512.04150, equation 2, signed, the bias left apart: the mean of the coarse map plus the
    bias is the target's value. Needs the head GlobalAveragePooling2D + Dense. One map serves all
    bands.
    """

    name: ClassVar[str] = "cam"
    per_band: ClassVar[bool] = False
    kind: ClassVar[Kind] = "features"

    def __call__(
        self,
        network: keras.Model,
        images: npt.NDArray[np.float32],
        target: Target | Sequence[Target],
        *,
        context: Context | None = None,
    ) -> npt.NDArray[np.float32]:
        """Make the maps on the grid of the images.

        Parameters
        ----------
        network : keras.Model
            Ends in GlobalAveragePooling2D and a linear Dense, with nothing but dropout between.
        images : numpy.ndarray
            Shape (n, ny, nx, n_bands).
        target : Target or sequence of Target
            One for all, or one an image.
        context : Context, optional
            Not needed.

        Returns
        -------
        numpy.ndarray
            Shape of `images`, the same in each band; cells interpolated linearly between the
            pixels that they look at. NaN where the network crops the image away.

        Raises
        ------
        ValueError
            Another head.
        """
        return self.fine_and_coarse(network, images, target, context=context)[0]

    def fine_and_coarse(
        self,
        network: keras.Model,
        images: npt.NDArray[np.float32],
        target: Target | Sequence[Target],
        *,
        context: Context | None = None,
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Make the maps at both resolutions, from one run of the network.

        Parameters
        ----------
        network : keras.Model
            See `__call__`.
        images : numpy.ndarray
            Shape (n, ny, nx, n_bands).
        target : Target or sequence of Target
            One for all, or one an image.
        context : Context, optional
            Not needed.

        Returns
        -------
        fine : numpy.ndarray
            What a call gives: shape of `images`.
        coarse : numpy.ndarray
            Shape (n, cells_y, cells_x).
        """
        del context
        weights = target_weights(network, target, images)
        features, dense = _head(network)
        kernel = keras.ops.convert_to_numpy(dense.kernel).astype(weights.dtype)  # (features, classes)
        shares = weights @ kernel.T
        run = compiled(network, self.name, _build, (images, shares))
        (coarse,) = run_in_batches(run, images, shares)
        fine = on_image_grid(coarse, network, features, images.shape)
        return np.broadcast_to(fine[..., np.newaxis], images.shape), coarse

    def network_layer_of(self, network: keras.Model) -> str:
        """Name the layer whose feature maps are weighed.

        Parameters
        ----------
        network : keras.Model
            See `__call__`.

        Returns
        -------
        str
            Names joined by slashes.
        """
        return _head(network)[0].name


def _build(network_of: Callable[[], keras.Model]) -> Callable[..., Any]:
    def run(images: Any, shares: Any) -> tuple[Any]:
        network = network_of()
        features = logits_and_layers(network, images)[1][_head(network)[0].name]
        return (tf.einsum("nyxf,nf->nyx", tf.cast(features, images.dtype), shares),)

    return run


def _head(network: keras.Model) -> tuple[NetworkLayer, keras.layers.Dense]:
    """Give the feature maps and the Dense layer of a head of GlobalAveragePooling2D and Dense."""
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
    """Whether a layer of the head leaves its values as they are."""
    linear = isinstance(layer, keras.layers.Activation) and layer.activation is keras.activations.linear
    return linear or isinstance(layer, keras.layers.Dropout | keras.layers.Identity)
