"""Preprocessing as Keras layers, so that it travels inside the saved model.

Every layer holds its constants as non-trainable float32 weights, computes in float32 under any
dtype policy (the asinh of 1e5 nJy overflows in half precision) and is fitted once, on the
training set alone. `keras.layers.Normalization` is not used: it exports to an unusable ONNX file.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import keras
import numpy as np
import numpy.typing as npt

from galcnn.errors import message

__all__ = ["AsinhStretch", "BandLayer", "PCAWhitening", "Standardize", "fit_preprocessing", "sky_noise"]

Stretch = Literal["asinh", "linear"]
Scaling = Literal["standardize", "pca", "none"]

_EDGE = 4  # pixels of frame in which the sky is measured


class BandLayer(keras.layers.Layer):
    """Base of the preprocessing layers: float32, constants as weights, one fit.

    Parameters
    ----------
    **kwargs
        Of `keras.layers.Layer`; `dtype` is always float32.
    """

    def __init__(self, **kwargs: Any) -> None:
        kwargs["dtype"] = "float32"
        super().__init__(**kwargs)

    def constant(self, name: str, shape: tuple[int, ...], start: str) -> Any:
        """Add a weight that training never moves.

        Parameters
        ----------
        name : str
            Of the weight.
        shape : tuple of int
            Of the weight.
        start : str
            Keras initializer before `adapt`.

        Returns
        -------
        keras.Variable
            The weight.
        """
        return self.add_weight(name=name, shape=shape, initializer=start, trainable=False)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Give the shape of the output: that of the input.

        Parameters
        ----------
        input_shape : tuple
            Of the images.

        Returns
        -------
        tuple
            The same.
        """
        return input_shape


@keras.saving.register_keras_serializable(package="galcnn")
class AsinhStretch(BandLayer):
    """asinh(x / softening), linear for faint pixels and logarithmic for bright ones.

    Lupton, Gunn & Szalay 1999, AJ 118, 1406; one softening a band, in the unit of the images.

    Parameters
    ----------
    **kwargs
        Of `keras.layers.Layer`.

    Examples
    --------
    >>> import numpy as np
    >>> layer = AsinhStretch()
    >>> layer.build((None, 1, 1, 1))
    >>> _ = layer.softening.assign([2.0])
    >>> float(np.asarray(layer(np.full((1, 1, 1, 1), 2.0)))[0, 0, 0, 0]) == float(np.float32(np.arcsinh(1.0)))
    True
    """

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Make the weight.

        Parameters
        ----------
        input_shape : tuple
            Ends in the number of bands.
        """
        self.softening = self.constant("softening", (_bands(input_shape),), "ones")

    def adapt(self, images: npt.NDArray[np.float32], noise_factor: float = 3.0) -> None:
        """Set the softening of each band to a multiple of its sky noise.

        Parameters
        ----------
        images : numpy.ndarray
            Training images, shape (n, ny, nx, n_bands).
        noise_factor : float
            Softening over noise: the stretch is linear below, logarithmic above.

        Raises
        ------
        ValueError
            A band has no noise at all.
        """
        noise = sky_noise(images)
        if not np.all(noise > 0):
            raise ValueError(
                message("sky noise in every band", "Use a linear stretch.", sky_noise=noise.tolist())
            )
        _ensure_built(self, images.shape)
        self.softening.assign(noise_factor * noise)

    def call(self, inputs: Any) -> Any:
        """Stretch.

        Parameters
        ----------
        inputs : tensor
            Shape (n, ny, nx, n_bands).

        Returns
        -------
        tensor
            The same shape.
        """
        return keras.ops.arcsinh(inputs / self.softening)


@keras.saving.register_keras_serializable(package="galcnn")
class Standardize(BandLayer):
    """(x - mean) / deviation of each band over the training set.

    Parameters
    ----------
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

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Make the weights.

        Parameters
        ----------
        input_shape : tuple
            Ends in the number of bands.
        """
        n_bands = _bands(input_shape)
        self.mean = self.constant("mean", (n_bands,), "zeros")
        self.deviation = self.constant("deviation", (n_bands,), "ones")

    def adapt(self, images: npt.NDArray[np.float32]) -> None:
        """Measure the training set.

        Parameters
        ----------
        images : numpy.ndarray
            Training images, shape (n, ny, nx, n_bands).

        Raises
        ------
        ValueError
            A band is constant.
        """
        mean, deviation = _mean_and_deviation(images)
        _ensure_built(self, images.shape)
        self.mean.assign(mean)
        self.deviation.assign(deviation)

    def call(self, inputs: Any) -> Any:
        """Standardise.

        Parameters
        ----------
        inputs : tensor
            Shape (n, ny, nx, n_bands).

        Returns
        -------
        tensor
            The same shape.
        """
        return (inputs - self.mean) / self.deviation


@keras.saving.register_keras_serializable(package="galcnn")
class PCAWhitening(BandLayer):
    """Bands rotated to their principal components, each of variance 1 over the training set.

    The rotation acts on the bands of each pixel, so images stay images. With the covariance
    C = E diag(l) E^T the output is (x - mean) E diag(l)^(-1/2).

    Parameters
    ----------
    **kwargs
        Of `keras.layers.Layer`.

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

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Make the weights.

        Parameters
        ----------
        input_shape : tuple
            Ends in the number of bands.
        """
        n_bands = _bands(input_shape)
        self.mean = self.constant("mean", (n_bands,), "zeros")
        self.rotation = self.constant("rotation", (n_bands, n_bands), "identity")

    def adapt(self, images: npt.NDArray[np.float32]) -> None:
        """Measure the training set.

        Parameters
        ----------
        images : numpy.ndarray
            Training images, shape (n, ny, nx, n_bands).

        Raises
        ------
        ValueError
            The bands are linearly dependent, so that no whitening exists.
        """
        pixels = images.reshape(-1, images.shape[-1]).astype(np.float64)
        mean = pixels.mean(axis=0)
        values, vectors = np.linalg.eigh((pixels - mean).T @ (pixels - mean) / len(pixels))
        if values[0] <= 1e-10 * values[-1]:
            raise ValueError(
                message(
                    "bands that are not linear copies of each other",
                    "Standardize them.",
                    eigenvalues=values.tolist(),
                )
            )
        _ensure_built(self, images.shape)
        self.mean.assign(mean)
        self.rotation.assign(vectors / np.sqrt(values))

    def call(self, inputs: Any) -> Any:
        """Whiten.

        Parameters
        ----------
        inputs : tensor
            Shape (n, ny, nx, n_bands).

        Returns
        -------
        tensor
            The same shape, components in order of growing variance.
        """
        return keras.ops.matmul(inputs - self.mean, self.rotation)


def fit_preprocessing(
    images: npt.NDArray[np.float32], *, stretch: Stretch = "asinh", scaling: Scaling = "standardize"
) -> keras.Model:
    """Fit the preprocessing on training images and give it as a model.

    Parameters
    ----------
    images : numpy.ndarray
        Training images, float32, shape (n, ny, nx, n_bands).
    stretch : {"asinh", "linear"}
        asinh for flux, linear for pictures that are already stretched.
    scaling : {"standardize", "pca", "none"}
        What follows the stretch.

    Returns
    -------
    keras.Model
        Named ``preprocessing``; eats calibrated images, float32 throughout.

    Raises
    ------
    ValueError
        Another word, or images that cannot be scaled.
    """
    layers: list[BandLayer] = []
    layers += _chosen("stretch", stretch, {"asinh": [AsinhStretch], "linear": []})
    layers += _chosen("scaling", scaling, {"standardize": [Standardize], "pca": [PCAWhitening], "none": []})
    inputs = keras.Input(images.shape[1:], name="image", dtype="float32")
    outputs, current = inputs, images
    for layer in layers:
        layer.adapt(current)
        outputs = layer(outputs)
        current = keras.ops.convert_to_numpy(layer(current))
    if not layers:  # a model needs a layer between its input and its output
        outputs = keras.layers.Identity(dtype="float32")(inputs)
    return keras.Model(inputs, outputs, name="preprocessing")


def sky_noise(images: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Measure the noise of the sky in each band on the frame of the images.

    Parameters
    ----------
    images : numpy.ndarray
        Shape (n, ny, nx, n_bands).

    Returns
    -------
    numpy.ndarray
        Median over images of 1.4826 times the median absolute deviation of the outermost
        pixels, shape (n_bands,).
    """
    frame = np.ones(images.shape[1:3], dtype=bool)
    frame[_EDGE:-_EDGE, _EDGE:-_EDGE] = False
    edge = images[:, frame].astype(np.float64)  # (n, pixels, bands)
    spread = np.median(np.abs(edge - np.median(edge, axis=1, keepdims=True)), axis=1)
    noise: npt.NDArray[np.float64] = 1.4826 * np.median(spread, axis=0)
    return noise


def _chosen(what: str, word: str, table: dict[str, Sequence[type[BandLayer]]]) -> list[BandLayer]:
    if word not in table:
        raise ValueError(message(f"{what} among {tuple(table)}", "", **{what: word}))
    return [kind(name=kind.__name__.lower()) for kind in table[word]]


def _mean_and_deviation(
    images: npt.NDArray[np.float32],
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    axes = tuple(range(images.ndim - 1))
    mean = images.mean(axis=axes, dtype=np.float64)
    # A second pass about the mean: sum of squares minus square of sums loses the digits of bright images.
    variance = np.mean([np.mean((image - mean) ** 2, axis=(0, 1)) for image in images], axis=0)
    if not np.all(variance > 0):
        raise ValueError(
            message("images that vary in every band", "Drop the empty band.", variance=variance.tolist())
        )
    return mean, np.sqrt(variance)


def _ensure_built(layer: BandLayer, shape: tuple[int, ...]) -> None:
    if not layer.built:
        layer.build((None, *shape[1:]))
        layer.built = True


def _bands(input_shape: tuple[int | None, ...]) -> int:
    n_bands = input_shape[-1]
    if n_bands is None:
        raise ValueError(message("a known number of bands", "", input_shape=input_shape))
    return int(n_bands)
