"""Features of images by which samples are compared: channel means and scatters, in each layer."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np
import numpy.typing as npt

from galcnn.explain.forward import forward, outputs, upright
from galcnn.explain.graph import network_layers
from galcnn.model import TrainedModel

__all__ = ["layer_features", "model_features", "summarised"]

_BATCH = 64


def model_features(
    trained: TrainedModel, images: npt.NDArray[np.float32], *, layers: Sequence[str] | None = None
) -> dict[str, npt.NDArray[np.float64]]:
    """Summarise what a model's network is given, and what each of its layers gives.

    Parameters
    ----------
    trained : galcnn.model.TrainedModel
        Left as it is.
    images : numpy.ndarray
        Shape (n, ny, nx, n_bands), in the model's unit.
    layers : sequence of str, optional
        See `layer_features`.

    Returns
    -------
    dict of str to numpy.ndarray
        ``input`` first: the stretched images, shape (n, 2 * n_bands); then see `layer_features`.
    """
    stretched = outputs(trained.preprocessing, images)
    return {"input": summarised(stretched)} | layer_features(trained.network, stretched, layers=layers)


def layer_features(
    network: keras.Model, images: npt.NDArray[np.float32], *, layers: Sequence[str] | None = None
) -> dict[str, npt.NDArray[np.float64]]:
    """Summarise what each network layer gives.

    Parameters
    ----------
    network : keras.Model
        Functional; run in inference mode and left as it is.
    images : numpy.ndarray
        Shape (n, ny, nx, n_bands).
    layers : sequence of str, optional
        Names as `galcnn.explain.forward.network_layers` lists them; by default all that compute
        with weights: their outputs are the pre-activations where the activation is a layer of its
        own.

    Returns
    -------
    dict of str to numpy.ndarray
        For each layer shape (n, 2 * n_channels), mean and standard deviation over the map of each
        channel; (n, n_units) for a layer without a map.
    """
    found: dict[str, list[npt.NDArray[np.float64]]] = {}
    for start in range(0, len(images), _BATCH):
        batch = images[start : start + _BATCH]
        _, seen = forward(network, batch)
        for name in _weighted(network, seen) if layers is None else layers:
            found.setdefault(name, []).append(
                summarised(keras.ops.convert_to_numpy(upright(seen[name], batch)))
            )
    return {name: np.concatenate(parts) for name, parts in found.items()}


def summarised(maps: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Give mean and standard deviation of each channel of each map.

    Parameters
    ----------
    maps : numpy.ndarray
        Shape (n, ..., n_channels).

    Returns
    -------
    numpy.ndarray
        Shape (n, 2 * n_channels), or `maps` itself where it has no grid.
    """
    values: npt.NDArray[np.float64] = np.asarray(maps, dtype=np.float64)
    if values.ndim == 2:
        return values
    axes = tuple(range(1, values.ndim - 1))
    return np.concatenate([values.mean(axis=axes), values.std(axis=axes)], axis=1)


def _weighted(network: keras.Model, seen: dict[str, object]) -> list[str]:
    layers = network_layers(network)
    return [
        name
        for name in seen
        if name in layers and layers[name].layer.weights and not isinstance(layers[name].layer, keras.Model)
    ]
