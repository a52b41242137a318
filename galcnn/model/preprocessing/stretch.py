"""Stretches, which compress the dynamic range of flux."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import keras
import numpy as np
import numpy.typing as npt

from galcnn.errors import message
from galcnn.model.preprocessing.base import BandLayer
from galcnn.model.preprocessing.statistics import ImageStack, frame_noise, pieces, sky_noise

#: Below this value, asinh(x) / x is computed from its series, which is exact there in float32.
_SMALL = 1e-2
#: Fitted softening, in units of the sky noise.
_NOISES = 3.0


@keras.saving.register_keras_serializable(package="galcnn")
class AsinhStretch(BandLayer):
    """Stretch asinh(x / softening), linear for faint pixels and logarithmic for bright ones.

    Lupton, Gunn & Szalay 1999, AJ 118, 1406. Each band has its own softening, in the unit of the
    images, fitted as three times the sky noise.

    Parameters
    ----------
    **kwargs
        Arguments of `keras.layers.Layer`.

    Examples
    --------
    >>> import numpy as np
    >>> layer = AsinhStretch()
    >>> layer.build((None, 1, 1, 1))
    >>> _ = layer.softening.assign([2.0])
    >>> float(np.asarray(layer(np.full((1, 1, 1, 1), 2.0)))[0, 0, 0, 0]) == float(np.float32(np.arcsinh(1.0)))
    True
    """

    constants: ClassVar[Mapping[str, tuple[int, str]]] = {"softening": (1, "ones")}
    softening: Any

    def _measured(self, images: ImageStack) -> Mapping[str, npt.ArrayLike]:
        return {"softening": _NOISES * _positive(sky_noise(images))}

    def call(self, inputs: Any) -> Any:
        return keras.ops.arcsinh(inputs / self.softening)

    def inverse(self, outputs: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        images: npt.NDArray[np.float32] = np.sinh(outputs) * np.asarray(self.softening)
        return images


@keras.saving.register_keras_serializable(package="galcnn")
class LuptonStretch(BandLayer):
    """Colour-preserving asinh stretch: all bands of a pixel are scaled by the same factor.

    x asinh(I / s) / I, where I is the mean over bands and s the softening (Lupton et al. 2004, PASP
    116, 133), fitted as three times the sky noise of the mean. The ratios of the bands are preserved,
    whereas `AsinhStretch` makes the bands of bright pixels more similar.

    Parameters
    ----------
    **kwargs
        Arguments of `keras.layers.Layer`.

    Examples
    --------
    >>> import numpy as np
    >>> layer = LuptonStretch()
    >>> out = np.asarray(layer(np.array([100.0, 300.0], "float32").reshape(1, 1, 1, 2))).ravel()
    >>> bool(np.isclose(out[1] / out[0], 3)), bool(np.isclose(out.mean(), np.arcsinh(200)))
    (True, True)
    """

    constants: ClassVar[Mapping[str, tuple[int, str]]] = {"softening": (0, "ones")}
    softening: Any

    def _measured(self, images: ImageStack) -> Mapping[str, npt.ArrayLike]:
        noise = np.concatenate([frame_noise(p.mean(axis=-1, keepdims=True)) for p in pieces(images)])
        return {"softening": _NOISES * _positive(np.median(noise, axis=0))[0]}

    def call(self, inputs: Any) -> Any:
        scaled = inputs / self.softening
        mean = keras.ops.mean(scaled, axis=-1, keepdims=True)
        small = keras.ops.abs(mean) < _SMALL
        divisor = keras.ops.where(small, keras.ops.ones_like(mean), mean)  # no 0 / 0, nor in the gradient
        ratio = keras.ops.where(small, 1 - mean**2 / 6, keras.ops.arcsinh(divisor) / divisor)
        return scaled * ratio

    def inverse(self, outputs: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        # y sinh(Y) / Y times the softening, where Y is the mean over bands
        mean = outputs.mean(axis=-1, keepdims=True, dtype=np.float64)
        ratio = np.divide(np.sinh(mean), mean, out=np.ones_like(mean), where=np.abs(mean) > 1e-6)
        images: npt.NDArray[np.float32] = (outputs * ratio * np.asarray(self.softening)).astype(np.float32)
        return images


def _positive(noise: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    if not np.all(noise > 0):
        raise ValueError(
            message("sky noise in every band", "Use a linear stretch.", sky_noise=noise.tolist())
        )
    return noise
