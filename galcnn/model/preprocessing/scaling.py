"""Zero-centring and scaling: by constants of the training set, or by each image's own."""

from __future__ import annotations

from typing import Any, Literal

import keras
import numpy as np
import numpy.typing as npt

from galcnn.errors import message
from galcnn.model.preprocessing.base import BandLayer, ensure_built, known_bands
from galcnn.model.preprocessing.statistics import ImageStack, moments


@keras.saving.register_keras_serializable(package="galcnn")
class Standardize(BandLayer):
    """(x - mean) / deviation, with the mean and the deviation of the training set.

    Parameters
    ----------
    center : bool
        Whether to subtract the mean.
    scale : bool
        Whether to divide by the deviation. Without `center` a sky of zero stays zero.
    per : {"band", "set"}
        Constants of each band, or one pair for all bands together, which keeps their colours.
    **kwargs
        Of `keras.layers.Layer`.

    Examples
    --------
    >>> import numpy as np
    >>> images = np.random.default_rng(1).normal(5, 3, (8, 6, 6, 2)).astype("float32")
    >>> layer = Standardize()
    >>> layer.adapt(images)
    >>> out = np.asarray(layer(images))
    >>> bool(abs(out.mean()) < 1e-6), bool(abs(out.std() - 1) < 1e-6)
    (True, True)
    """

    def __init__(
        self,
        center: bool = True,
        scale: bool = True,
        per: Literal["band", "set"] = "band",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        _check(center, scale)
        if per not in ("band", "set"):
            raise ValueError(message("per among ('band', 'set')", "", per=per))
        self.center, self.scale, self.per = center, scale, per

    def get_config(self) -> dict[str, Any]:
        """Give the settings."""
        config: dict[str, Any] = super().get_config()
        return config | {"center": self.center, "scale": self.scale, "per": self.per}

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Make the weights."""
        n_bands = known_bands(input_shape)
        self.mean = self.constant("mean", (n_bands,), "zeros")
        self.deviation = self.constant("deviation", (n_bands,), "ones")

    def adapt(self, images: ImageStack) -> None:
        """Measure the training set."""
        mean, covariance = moments(images)
        variance = np.diag(covariance)
        if self.per == "set":
            within, mean = variance.mean() + mean.var(), np.full_like(mean, mean.mean())
            variance = np.full_like(variance, within)
        ensure_built(self, images.shape)
        self.mean.assign(mean if self.center else np.zeros_like(mean))
        self.deviation.assign(np.sqrt(variance) if self.scale else np.ones_like(variance))

    def call(self, inputs: Any) -> Any:
        """Standardise."""
        return (inputs - self.mean) / self.deviation

    def inverse(self, outputs: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Give y * deviation + mean."""
        images: npt.NDArray[np.float32] = outputs * np.asarray(self.deviation) + np.asarray(self.mean)
        return images


@keras.saving.register_keras_serializable(package="galcnn")
class ImageStandardize(BandLayer):
    """(x - mean) / deviation, with each image's own mean and deviation: nothing is fitted.

    Brightness is taken away: a faint galaxy looks like a bright one. What an image of a single
    value has no deviation for becomes zero.

    Parameters
    ----------
    center : bool
        Whether to subtract the mean.
    scale : bool
        Whether to divide by the deviation.
    per : {"image", "image-band"}
        One mean and deviation an image, which keeps its colours, or one a band of it.
    **kwargs
        Of `keras.layers.Layer`.

    Examples
    --------
    >>> import numpy as np
    >>> images = np.array([[1, 2], [3, 30]], "float32").reshape(2, 2, 1, 1)
    >>> np.asarray(ImageStandardize()(images)).ravel().tolist()
    [-1.0, 1.0, -1.0, 1.0]
    """

    def __init__(
        self,
        center: bool = True,
        scale: bool = True,
        per: Literal["image", "image-band"] = "image",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        _check(center, scale)
        if per not in ("image", "image-band"):
            raise ValueError(message("per among ('image', 'image-band')", "", per=per))
        self.center, self.scale, self.per = center, scale, per

    def get_config(self) -> dict[str, Any]:
        """Give the settings."""
        config: dict[str, Any] = super().get_config()
        return config | {"center": self.center, "scale": self.scale, "per": self.per}

    def adapt(self, images: ImageStack) -> None:
        """Do nothing: each image brings its own constants."""
        del images

    def call(self, inputs: Any) -> Any:
        """Standardise."""
        axes = (1, 2) if self.per == "image-band" else (1, 2, 3)
        mean = keras.ops.mean(inputs, axis=axes, keepdims=True)
        centred = inputs - mean
        outputs = centred if self.center else inputs
        if self.scale:
            variance = keras.ops.mean(centred**2, axis=axes, keepdims=True)
            flat = variance == 0
            # Guarded before the root: the slope of a root at zero is infinite.
            deviation = keras.ops.sqrt(keras.ops.where(flat, keras.ops.ones_like(variance), variance))
            outputs = keras.ops.where(flat, keras.ops.zeros_like(outputs), outputs / deviation)
        return outputs


def _check(center: bool, scale: bool) -> None:
    if not (center or scale):
        raise ValueError(message("center, scale or both", "Leave the layer out.", center=False, scale=False))
