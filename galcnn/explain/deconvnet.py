"""The deconvnet, seeded at the target (Zeiler & Fergus 2013)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import keras
import numpy as np
import numpy.typing as npt

from galcnn.explain.explanation import Context, Kind, Target
from galcnn.explain.rectifiers import rectified_gradient

__all__ = ["Deconvnet"]


@dataclass(frozen=True)
class Deconvnet:
    """The way back through the network with each ReLU applied to the signal itself.

    arXiv:1311.2901, section 2.1: at a ReLU the signal g becomes max(g, 0), whatever went
    forward; max-pooling routes to where the maximum was; batch normalisation is the linear map
    that it is in inference. The seed is 1 at the target; the paper's own seed, one activation
    inside the network, is that of `galcnn.explain.strongest_activations`.
    """

    name: ClassVar[str] = "deconvnet"
    per_band: ClassVar[bool] = True
    kind: ClassVar[Kind] = "slope"

    def __call__(
        self,
        network: keras.Model,
        images: npt.NDArray[np.float32],
        target: Target | Sequence[Target],
        *,
        context: Context | None = None,
    ) -> npt.NDArray[np.float32]:
        """Make the maps.

        Parameters
        ----------
        network : keras.Model
            Ends in logits; all its rectifiers are ReLUs.
        images : numpy.ndarray
            Shape (n, ny, nx, n_bands).
        target : Target or sequence of Target
            One for all, or one an image.
        context : Context, optional
            Not needed.

        Returns
        -------
        numpy.ndarray
            Shape of `images`, in 1 over the unit of the images.

        Raises
        ------
        ValueError
            The network has no ReLU, or a rectifier that is spelled without one: the text says
            what was found.
        """
        del context
        return rectified_gradient(network, images, target, "deconvnet")
