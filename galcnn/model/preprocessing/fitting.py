"""Selection of the preprocessing layers by name, their fit on the training set, and their inversion."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from galcnn.errors import message
from galcnn.model.preprocessing.base import BandLayer
from galcnn.model.preprocessing.pca import PCA, PCAWhitening
from galcnn.model.preprocessing.scaling import ImageStandardize, Standardize
from galcnn.model.preprocessing.statistics import ImageStack, sky_noise
from galcnn.model.preprocessing.stretch import AsinhStretch, LuptonStretch
from galcnn.model.settings import Per, Scaling, Stretch

_STRETCHES: Mapping[str, type[BandLayer] | None] = {
    "asinh": AsinhStretch,
    "lupton": LuptonStretch,
    "linear": None,
}
#: (center, scale) of a standardisation layer, the class of another layer, or None for no layer.
_SCALINGS: Mapping[str, tuple[bool, bool] | type[BandLayer] | None] = {
    "none": None,
    "center": (True, False),
    "scale": (False, True),
    "standardize": (True, True),
    "pca": PCA,
    "whiten": PCAWhitening,
}
_PER = ("band", "set", "image", "image-band")


def fit_preprocessing(
    images: ImageStack,
    *,
    stretch: Stretch = "asinh",
    scaling: Scaling = "standardize",
    per: Per = "band",
    unit: str | None = None,
) -> keras.Model:
    """Fit the preprocessing to training images.

    Parameters
    ----------
    images : numpy.ndarray or ImageStack
        Training images, float32, shape (n, ny, nx, n_bands).
    stretch : {"asinh", "lupton", "linear", "auto"}
        ``"asinh"``: asinh stretch of each band. ``"lupton"``: asinh stretch of the mean of the bands,
        which preserves colours. ``"linear"``: no stretch, for pictures that are already stretched.
        ``"auto"``: asinh, or linear if the sky noise of a band, which sets the softening, is zero, or the
        unit is ``display``.
    scaling : {"none", "center", "scale", "standardize", "pca", "whiten"}
        Scaling after the stretch. ``"center"``: mean 0. ``"scale"``: standard deviation 1.
        ``"standardize"``: both. ``"pca"``: principal components of the bands. ``"whiten"``: principal
        components with standard deviation 1.
    per : {"band", "set", "image", "image-band"}
        Scope of the mean and standard deviation: each band of the training set, the whole set,
        each image, or each band of each image. Principal components require ``"band"``.
    unit : str, optional
        Unit of the images, for the stretch ``"auto"``.

    Returns
    -------
    keras.Model
        Model ``preprocessing``, which takes calibrated images and computes in float32.

    Raises
    ------
    ValueError
        If an option is unknown or does not fit the others, or the images cannot be scaled.
    """
    if stretch == "auto":
        stretch = "asinh" if unit != "display" and np.all(sky_noise(images) > 0) else "linear"
    layers = _layers(stretch, scaling, per)
    inputs = keras.Input(images.shape[1:], name="image", dtype="float32")
    outputs: Any = inputs
    for done, layer in enumerate(layers):
        layer.adapt(Preprocessed(images, layers[:done]) if done else images)
        outputs = layer(outputs)
    if not layers:  # a model needs a layer between its input and its output
        outputs = keras.layers.Identity(dtype="float32")(inputs)
    return keras.Model(inputs, outputs, name="preprocessing")


def invert(preprocessing: keras.Model, outputs: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Invert a preprocessing: recover calibrated images from preprocessed ones.

    Parameters
    ----------
    preprocessing : keras.Model
        Model returned by `fit_preprocessing`.
    outputs : numpy.ndarray
        Preprocessed images, shape (n, ny, nx, n_bands).

    Returns
    -------
    numpy.ndarray
        Calibrated images, float32, shape of `outputs`, up to float32 rounding.

    Raises
    ------
    ValueError
        If each image was scaled by its own statistics, or a layer is not one of
        `galcnn.model.preprocessing`.
    """
    for layer in reversed(preprocessing.layers):
        if isinstance(layer, BandLayer):
            outputs = layer.inverse(outputs)
        elif not isinstance(layer, keras.layers.InputLayer | keras.layers.Identity):
            raise ValueError(message("layers of galcnn.model.preprocessing", "", layer=type(layer).__name__))
    return outputs


def unit_of(preprocessing: keras.Model) -> str:
    """Return the unit of preprocessed pixels in words, such as "training sigma"."""
    last = preprocessing.layers[-1]
    if isinstance(last, PCAWhitening) or (isinstance(last, Standardize) and last.scale):
        return "training sigma"
    if isinstance(last, ImageStandardize) and last.scale:
        return "sigma of the image"
    return "stretched value"


class Preprocessed:
    """Image stack whose images pass through some layers when they are read."""

    def __init__(self, images: ImageStack, layers: Sequence[Callable[[Any], Any]]) -> None:
        self.images, self.layers, self.shape = images, layers, images.shape

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, rows: slice) -> Any:
        piece = self.images[rows]
        for layer in self.layers:
            piece = layer(piece)
        return keras.ops.convert_to_numpy(piece)


def _layers(stretch: str, scaling: str, per: str) -> list[BandLayer]:
    for what, word, known in (
        ("stretch", stretch, _STRETCHES),
        ("scaling", scaling, _SCALINGS),
        ("per", per, _PER),
    ):
        if word not in known:
            raise ValueError(message(f"{what} among {tuple(known)}", "", **{what: word}))
    layers: list[BandLayer] = []
    kind, how = _STRETCHES[stretch], _SCALINGS[scaling]
    if kind is not None:
        layers.append(kind(name=kind.__name__.lower()))
    if isinstance(how, tuple):
        scaler: Any = ImageStandardize if per.startswith("image") else Standardize
        layers.append(scaler(*how, per=per, name=scaler.__name__.lower()))
    elif how is not None:
        if per != "band":
            raise ValueError(message("per='band' for principal components", "", scaling=scaling, per=per))
        layers.append(how(name=how.__name__.lower()))
    return layers


def linear_scaling(
    image_shape: tuple[int, ...], mean: npt.ArrayLike, deviation: npt.ArrayLike
) -> keras.Model:
    """Return the preprocessing (x - mean) / deviation, with stated numbers, of one or each band."""
    inputs = keras.Input(image_shape, name="image", dtype="float32")
    mean, deviation = (
        np.broadcast_to(np.asarray(one, np.float32), image_shape[-1:]) for one in (mean, deviation)
    )
    if not mean.any() and (deviation == 1).all():
        return keras.Model(inputs, keras.layers.Identity(dtype="float32")(inputs), name="preprocessing")
    layer = Standardize(center=bool(mean.any()), name="linear_scaling")
    found = layer(inputs)
    layer.mean.assign(mean)
    layer.deviation.assign(deviation)
    return keras.Model(inputs, found, name="preprocessing")
