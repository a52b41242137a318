"""The base of the preprocessing layers."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from galcnn.errors import message


class BandLayer(keras.layers.Layer):
    """Base of the preprocessing layers: float32, constants as weights, one fit."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs["dtype"] = "float32"
        super().__init__(**kwargs)

    def constant(self, name: str, shape: tuple[int, ...], start: str) -> Any:
        """Add a weight that training never moves."""
        return self.add_weight(name=name, shape=shape, initializer=start, trainable=False)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Give the shape of the output: that of the input."""
        return input_shape

    def inverse(self, outputs: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Undo the layer."""
        del outputs
        raise ValueError(
            message("a layer that can be undone", "Scale per band or set.", layer=type(self).__name__)
        )


def ensure_built(layer: BandLayer, shape: tuple[int, ...]) -> None:
    """Make the weights of a layer that has not been called yet."""
    if not layer.built:
        layer.build((None, *shape[1:]))
        layer.built = True


def known_bands(input_shape: tuple[int | None, ...]) -> int:
    """Give the number of bands."""
    n_bands = input_shape[-1]
    if n_bands is None:
        raise ValueError(message("a known number of bands", "", input_shape=input_shape))
    return int(n_bands)
