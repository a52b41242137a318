"""Base class of the preprocessing layers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import keras
import numpy as np
import numpy.typing as npt

from galcnn.errors import message
from galcnn.model.preprocessing.statistics import ImageStack


class BandLayer(keras.layers.Layer):
    """Base class of the preprocessing layers: float32, constants as non-trainable weights, fitted once."""

    #: Constants by name: number of axes, each of length n_bands, and initializer before the fit.
    constants: ClassVar[Mapping[str, tuple[int, str]]] = {}
    #: Names of the constructor arguments that are saved with the layer.
    settings: ClassVar[tuple[str, ...]] = ()
    built: bool  # set by Keras

    def __init__(self, **kwargs: Any) -> None:
        kwargs["dtype"] = "float32"
        super().__init__(**kwargs)

    def get_config(self) -> dict[str, Any]:
        """Return the configuration of the layer.

        Returns
        -------
        dict
            Configuration of the Keras base class and `settings` of this layer.
        """
        config: dict[str, Any] = super().get_config()
        return config | {name: getattr(self, name) for name in self.settings}

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Create the weights.

        Parameters
        ----------
        input_shape : tuple of int or None
            Shape of the input, (n, ny, nx, n_bands).
        """
        for name, (axes, start) in self.constants.items():
            if axes and input_shape[-1] is None:
                raise ValueError(message("a known number of bands", "", input_shape=input_shape))
            shape = (input_shape[-1],) * axes
            setattr(self, name, self.add_weight(name=name, shape=shape, initializer=start, trainable=False))

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return the shape of the output.

        Parameters
        ----------
        input_shape : tuple of int or None
            Shape of the input, (n, ny, nx, n_bands).

        Returns
        -------
        tuple of int or None
            Shape of the output, equal to that of the input.
        """
        return input_shape

    def adapt(self, images: ImageStack) -> None:
        """Fit the constants to the training set.

        Parameters
        ----------
        images : numpy.ndarray or ImageStack
            Training images, shape (n, ny, nx, n_bands).

        Raises
        ------
        ValueError
            If a band is constant, or if a stretch needs the sky noise and a band has none.
        """
        found = self._measured(images)
        if not self.built:
            self.build((None, *images.shape[1:]))
            self.built = True
        for name, values in found.items():
            getattr(self, name).assign(values)

    def _measured(self, images: ImageStack) -> Mapping[str, npt.ArrayLike]:
        """Measure the constants and return them by name; empty for layers without constants."""
        del images
        return {}

    def call(self, inputs: Any) -> Any:
        """Apply the layer.

        Parameters
        ----------
        inputs : tensor
            Images, float32, shape (n, ny, nx, n_bands).

        Returns
        -------
        tensor
            Preprocessed images, float32, shape of `inputs`.
        """
        raise NotImplementedError

    def inverse(self, outputs: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Invert the layer.

        Parameters
        ----------
        outputs : numpy.ndarray
            Outputs of the layer, shape (n, ny, nx, n_bands).

        Returns
        -------
        numpy.ndarray
            Inputs of the layer, float32, shape of `outputs`.

        Raises
        ------
        ValueError
            If each image was scaled by its own statistics.
        """
        del outputs
        raise ValueError(
            message("a layer that can be undone", "Scale per band or set.", layer=type(self).__name__)
        )
