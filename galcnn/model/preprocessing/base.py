"""The base of the preprocessing layers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import keras
import numpy as np
import numpy.typing as npt

from galcnn.errors import message
from galcnn.model.preprocessing.statistics import ImageStack


class BandLayer(keras.layers.Layer):
    """Base of the preprocessing layers: float32, constants as weights that training never moves, one fit."""

    #: Name of each constant: its axes, each as long as there are bands, and its values before the fit.
    constants: ClassVar[Mapping[str, tuple[int, str]]] = {}
    #: Arguments that are saved with the layer.
    settings: ClassVar[tuple[str, ...]] = ()
    built: bool  # of Keras

    def __init__(self, **kwargs: Any) -> None:
        kwargs["dtype"] = "float32"
        super().__init__(**kwargs)

    def get_config(self) -> dict[str, Any]:
        """Give the settings.

        Returns
        -------
        dict
            Of Keras, and of the layer.
        """
        config: dict[str, Any] = super().get_config()
        return config | {name: getattr(self, name) for name in self.settings}

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Make the weights.

        Parameters
        ----------
        input_shape : tuple of int or None
            (n, ny, nx, n_bands).
        """
        for name, (axes, start) in self.constants.items():
            if axes and input_shape[-1] is None:
                raise ValueError(message("a known number of bands", "", input_shape=input_shape))
            shape = (input_shape[-1],) * axes
            setattr(self, name, self.add_weight(name=name, shape=shape, initializer=start, trainable=False))

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Give the shape of the output.

        Parameters
        ----------
        input_shape : tuple of int or None
            (n, ny, nx, n_bands).

        Returns
        -------
        tuple of int or None
            That of the input.
        """
        return input_shape

    def adapt(self, images: ImageStack) -> None:
        """Set the constants by the training set.

        Parameters
        ----------
        images : numpy.ndarray or ImageStack
            Shape (n, ny, nx, n_bands).

        Raises
        ------
        ValueError
            A band is empty, or has no sky noise where that is needed.
        """
        found = self._measured(images)
        if not self.built:
            self.build((None, *images.shape[1:]))
            self.built = True
        for name, values in found.items():
            getattr(self, name).assign(values)

    def _measured(self, images: ImageStack) -> Mapping[str, npt.ArrayLike]:
        """Measure the constants, by name; none where each image brings its own."""
        del images
        return {}

    def call(self, inputs: Any) -> Any:
        """Compute what the network sees.

        Parameters
        ----------
        inputs : tensor
            float32, shape (n, ny, nx, n_bands).

        Returns
        -------
        tensor
            float32, the same shape.
        """
        raise NotImplementedError

    def inverse(self, outputs: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Undo the layer.

        Parameters
        ----------
        outputs : numpy.ndarray
            What the layer gave, shape (n, ny, nx, n_bands).

        Returns
        -------
        numpy.ndarray
            float32, what it was given.

        Raises
        ------
        ValueError
            Its images were scaled each by itself.
        """
        del outputs
        raise ValueError(
            message("a layer that can be undone", "Scale per band or set.", layer=type(self).__name__)
        )
