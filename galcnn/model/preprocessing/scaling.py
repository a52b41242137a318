"""Centring and scaling with the statistics of the training set or of each image."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import keras
import numpy as np
import numpy.typing as npt

from galcnn.errors import message
from galcnn.model.preprocessing.base import BandLayer
from galcnn.model.preprocessing.statistics import ImageStack, moments


class _Scaling(BandLayer):
    """Base class: settings and their validation."""

    settings: ClassVar[tuple[str, ...]] = ("center", "scale", "per")
    words: ClassVar[tuple[str, ...]]

    def __init__(self, center: bool, scale: bool, per: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not (center or scale):
            raise ValueError(
                message("center, scale or both", "Leave the layer out.", center=False, scale=False)
            )
        if per not in self.words:
            raise ValueError(message(f"per among {self.words}", "", per=per))
        self.center, self.scale, self.per = center, scale, per


@keras.saving.register_keras_serializable(package="galcnn")
class Standardize(_Scaling):
    """Standardisation (x - mean) / deviation with mean and standard deviation of the training set.

    Parameters
    ----------
    center : bool
        If True, subtract the mean.
    scale : bool
        If True, divide by the standard deviation. Without `center`, a sky level of zero remains zero.
    per : {"band", "set"}
        ``"band"``: separate mean and standard deviation for each band. ``"set"``: the same for all
        bands, which preserves the ratios of the bands if `center` is False.
    **kwargs
        Arguments of `keras.layers.Layer`.

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

    constants: ClassVar[Mapping[str, tuple[int, str]]] = {"mean": (1, "zeros"), "deviation": (1, "ones")}
    words: ClassVar[tuple[str, ...]] = ("band", "set")
    mean: Any
    deviation: Any

    def __init__(
        self, center: bool = True, scale: bool = True, per: Literal["band", "set"] = "band", **kwargs: Any
    ) -> None:
        super().__init__(center, scale, per, **kwargs)

    def _measured(self, images: ImageStack) -> Mapping[str, npt.ArrayLike]:
        mean, covariance = moments(images)
        variance = np.diag(covariance)
        if self.per == "set":
            within, mean = variance.mean() + mean.var(), np.full_like(mean, mean.mean())
            variance = np.full_like(variance, within)
        return {
            "mean": mean if self.center else np.zeros_like(mean),
            "deviation": np.sqrt(variance) if self.scale else np.ones_like(variance),
        }

    def call(self, inputs: Any) -> Any:
        return (inputs - self.mean) / self.deviation

    def inverse(self, outputs: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        images: npt.NDArray[np.float32] = outputs * np.asarray(self.deviation) + np.asarray(self.mean)
        return images


@keras.saving.register_keras_serializable(package="galcnn")
class ImageStandardize(_Scaling):
    """Standardisation (x - mean) / deviation with mean and standard deviation of each image.

    Nothing is fitted. Scaling removes the brightness: faint and bright galaxies look alike. If `scale`
    is True, images (or bands) of a constant value become zero.

    Parameters
    ----------
    center : bool
        If True, subtract the mean.
    scale : bool
        If True, divide by the standard deviation.
    per : {"image", "image-band"}
        ``"image"``: one mean and standard deviation per image, the same for all bands.
        ``"image-band"``: one per band of each image.
    **kwargs
        Arguments of `keras.layers.Layer`.

    Examples
    --------
    >>> import numpy as np
    >>> images = np.array([[1, 2], [3, 30]], "float32").reshape(2, 2, 1, 1)
    >>> np.asarray(ImageStandardize()(images)).ravel().tolist()
    [-1.0, 1.0, -1.0, 1.0]
    """

    words: ClassVar[tuple[str, ...]] = ("image", "image-band")

    def __init__(
        self,
        center: bool = True,
        scale: bool = True,
        per: Literal["image", "image-band"] = "image",
        **kwargs: Any,
    ) -> None:
        super().__init__(center, scale, per, **kwargs)

    def call(self, inputs: Any) -> Any:
        axes = (1, 2) if self.per == "image-band" else (1, 2, 3)
        mean = keras.ops.mean(inputs, axis=axes, keepdims=True)
        centred = inputs - mean
        outputs = centred if self.center else inputs
        if self.scale:
            variance = keras.ops.mean(centred**2, axis=axes, keepdims=True)
            flat = variance == 0
            # Zeros are replaced before the square root, whose gradient at zero is infinite.
            deviation = keras.ops.sqrt(keras.ops.where(flat, keras.ops.ones_like(variance), variance))
            outputs = keras.ops.where(flat, keras.ops.zeros_like(outputs), outputs / deviation)
        return outputs
