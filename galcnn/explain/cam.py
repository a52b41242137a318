"""Class activation map: where the evidence lies (Zhou et al. 2015)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import keras
import numpy as np
import numpy.typing as npt

from galcnn.errors import message
from galcnn.explain.explanation import Context, Target
from galcnn.explain.gradients import target_weights
from galcnn.explain.graph import producer
from galcnn.explain.receptive import CellGrid, cell_grid, resampling_matrix

__all__ = ["CAM"]

_BATCH = 64


@dataclass(frozen=True)
class CAM:
    """sum_k w_k f_k over the last feature maps of a network that averages them.

    arXiv:1512.04150, equation 2, signed, the bias left apart: with the cells of `coarse`, mean
    of the map plus bias is the target's value. Needs the head GlobalAveragePooling2D + Dense.
    One map serves all bands.
    """

    name: ClassVar[str] = "cam"
    per_band: ClassVar[bool] = False
    per_unit: ClassVar[bool] = False

    def __call__(
        self,
        network: keras.Model,
        images: npt.NDArray[np.float32],
        target: Target | Sequence[Target],
        *,
        context: Context | None = None,
    ) -> npt.NDArray[np.float32]:
        """Make the maps on the grid of the images.

        Parameters
        ----------
        network : keras.Model
            Ends in GlobalAveragePooling2D and a linear Dense, with nothing but dropout between.
        images : numpy.ndarray
            Shape (n, ny, nx, n_bands).
        target : Target or sequence of Target
            One for all, or one an image.
        context : Context, optional
            Not needed.

        Returns
        -------
        numpy.ndarray
            float32, shape of `images`, the same in each band; cells interpolated linearly
            between the pixels that they look at. NaN where the network crops the image away.

        Raises
        ------
        ValueError
            Another head.
        """
        del context
        coarse = self.coarse(network, images, target)
        head = _find_head(network)
        grid = cell_grid(head.features)
        rows = resampling_matrix(images.shape[1], coarse.shape[1], grid.start[0], grid.jump[0])
        columns = resampling_matrix(images.shape[2], coarse.shape[2], grid.start[1], grid.jump[1])
        maps = np.einsum("yi,nij,xj->nyx", rows, coarse, columns, optimize=True).astype(np.float32)
        maps[:, _unseen(head, images.shape[1:3])] = np.nan
        return np.broadcast_to(maps[..., np.newaxis], images.shape)

    def coarse(
        self, network: keras.Model, images: npt.NDArray[np.float32], target: Target | Sequence[Target]
    ) -> npt.NDArray[np.float32]:
        """Make the maps at the resolution of the feature maps.

        Parameters
        ----------
        network : keras.Model
            See `__call__`.
        images : numpy.ndarray
            Shape (n, ny, nx, n_bands).
        target : Target or sequence of Target
            One for all, or one an image.

        Returns
        -------
        numpy.ndarray
            float32, shape (n, cells_y, cells_x).
        """
        weights = target_weights(network, target, len(images))
        head = _find_head(network)
        features = np.concatenate(
            [head.features_of(images[i : i + _BATCH]) for i in range(0, len(images), _BATCH)]
        )
        kernel = keras.ops.convert_to_numpy(head.dense.kernel).astype(np.float32)  # (features, classes)
        maps: npt.NDArray[np.float32] = np.einsum("nyxf,nf->nyx", features, weights @ kernel.T, optimize=True)
        return maps


@dataclass(frozen=True)
class _Head:
    path: tuple[keras.Model, ...]  # applied in turn, they carry images to the feature maps
    features: keras.KerasTensor  # of the innermost model
    dense: keras.layers.Dense

    def features_of(self, images: Any) -> npt.NDArray[np.float32]:
        for model in self.path:
            images = model(images, training=False)
        return np.asarray(keras.ops.convert_to_numpy(images), dtype=np.float32)


def _unseen(head: _Head, shape: tuple[int, ...]) -> npt.NDArray[np.bool_]:
    """Pixels that a cropping at the input keeps from the network."""
    unseen = np.zeros(shape, dtype=bool)
    for layer in head.path[-1].layers:
        if isinstance(layer, keras.layers.Cropping2D) and cell_grid(layer.input) == CellGrid():
            (top, bottom), (left, right) = layer.cropping
            unseen[:] = True
            unseen[top : shape[0] - bottom, left : shape[1] - right] = False
    return unseen


def _find_head(network: keras.Model) -> _Head:
    path, body = [], network
    layer, sources = producer(body.outputs[0])
    while isinstance(layer, keras.Model):
        path.append(keras.Model(body.input, sources[0]))
        body = layer
        layer, sources = producer(body.outputs[0])
    dense, chain = layer, [type(layer).__name__]
    if isinstance(dense, keras.layers.Dense):
        layer, sources = producer(sources[0])
        while isinstance(layer, keras.layers.Dropout):
            chain.insert(0, type(layer).__name__)
            layer, sources = producer(sources[0])
        chain.insert(0, type(layer).__name__)
        if isinstance(layer, keras.layers.GlobalAveragePooling2D):
            path.append(keras.Model(body.input, sources[0]))
            return _Head(tuple(path), sources[0], dense)
    raise ValueError(
        message(
            "a network that ends in GlobalAveragePooling2D and Dense",
            "Use another method, e.g. saliency.",
            network=network.name,
            ends_in=" -> ".join(chain),
        )
    )
