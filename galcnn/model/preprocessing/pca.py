"""Principal component analysis of the bands: rotation or whitening."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import keras
import numpy as np
import numpy.typing as npt

from galcnn.errors import message
from galcnn.model.preprocessing.base import BandLayer
from galcnn.model.preprocessing.statistics import ImageStack, moments

#: Smallest ratio of the smallest to the largest variance that float32 resolves.
_LEAST = 1e-10


class BandRotation(BandLayer):
    """Linear map (x - mean) R of the bands of each pixel; the first component has the largest variance."""

    constants: ClassVar[Mapping[str, tuple[int, str]]] = {"mean": (1, "zeros"), "rotation": (2, "identity")}
    mean: Any
    rotation: Any

    def _measured(self, images: ImageStack) -> Mapping[str, npt.ArrayLike]:
        mean, covariance = moments(images)
        # eigh sorts by increasing variance; the first component has the largest.
        variances, components = (values[..., ::-1] for values in np.linalg.eigh(covariance))
        signs = np.where(components.sum(axis=0) < 0, -1.0, 1.0)  # LAPACK does not fix the signs
        return {"mean": mean, "rotation": components * signs / self._lengths(variances)}

    def _lengths(self, variances: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return the divisor of each component."""
        return np.ones_like(variances)

    def call(self, inputs: Any) -> Any:
        return keras.ops.matmul(inputs - self.mean, self.rotation)

    def inverse(self, outputs: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        back = np.linalg.inv(np.asarray(self.rotation, dtype=np.float64))
        images: npt.NDArray[np.float32] = (outputs @ back + np.asarray(self.mean)).astype(np.float32)
        return images


@keras.saving.register_keras_serializable(package="galcnn")
class PCA(BandRotation):
    """Principal components of the bands, uncorrelated over the training set, that of largest variance first.

    With the covariance C = E diag(l) E^T, the output is (x - mean) E, with covariance diag(l).

    Parameters
    ----------
    **kwargs
        Arguments of `keras.layers.Layer`.

    Examples
    --------
    >>> import numpy as np
    >>> images = np.random.default_rng(1).normal(size=(9, 8, 8, 1)).astype("float32") * [[1, 2]]
    >>> layer = PCA()
    >>> layer.adapt(images.astype("float32"))
    >>> np.asarray(layer.rotation).T[0].round(3)
    array([0.447, 0.894], dtype=float32)
    """


@keras.saving.register_keras_serializable(package="galcnn")
class PCAWhitening(BandRotation):
    """Principal components of the bands, by decreasing variance, scaled to variance 1 over the training set.

    With the covariance C = E diag(l) E^T, the output is (x - mean) E diag(l)^(-1/2).

    Parameters
    ----------
    **kwargs
        Arguments of `keras.layers.Layer`.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(1)
    >>> images = rng.normal(size=(20, 8, 8, 2)).astype("float32") @ np.array([[2, 1], [0, 1]], "float32")
    >>> layer = PCAWhitening()
    >>> layer.adapt(images)
    >>> out = np.asarray(layer(images)).reshape(-1, 2)
    >>> bool(np.allclose(np.cov(out.T, bias=True), np.eye(2), atol=1e-4))
    True
    """

    def _lengths(self, variances: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        if variances.min() <= _LEAST * variances.max():
            raise ValueError(
                message(
                    "bands that are not linear copies of each other",
                    "Standardize them.",
                    eigenvalues=variances.tolist(),
                )
            )
        return np.sqrt(variances)
