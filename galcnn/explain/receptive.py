"""Where on the image the cells of a feature map look."""

from __future__ import annotations

from dataclasses import dataclass

import keras
import numpy as np
import numpy.typing as npt

from galcnn.errors import message
from galcnn.explain.graph import producer

__all__ = ["CellGrid", "cell_grid", "resampling_matrix"]


_WINDOWED = (
    keras.layers.Conv2D,
    keras.layers.DepthwiseConv2D,
    keras.layers.SeparableConv2D,
    keras.layers.MaxPooling2D,
    keras.layers.AveragePooling2D,
)
#: These may keep the shape and still put other pixels in a cell's place.
_MOVING = (keras.layers.Conv2DTranspose, keras.layers.Permute, keras.layers.Reshape, keras.layers.Dense)


@dataclass(frozen=True)
class CellGrid:
    """Centres of a feature map's cells: pixel ``start + jump * i`` for cell i, along y and x.

    Attributes
    ----------
    start : tuple of float
        Centre of cell 0, in 0-based pixels (y, x).
    jump : tuple of int
        Pixels from one cell to the next (y, x).
    """

    start: tuple[float, float] = (0.0, 0.0)
    jump: tuple[int, int] = (1, 1)


def cell_grid(tensor: keras.KerasTensor) -> CellGrid:
    """Follow the geometry of convolutions and poolings from the input to a tensor.

    A window of kernel k, stride s and padding p before the first pixel moves the first centre by
    ``((k - 1) / 2 - p) * jump`` and multiplies the jump by s (Araujo et al. 2019, Distill,
    "Computing receptive fields"). TensorFlow pads `same` unevenly when the total is odd.

    Parameters
    ----------
    tensor : keras.KerasTensor
        Of a functional model, with a spatial grid.

    Returns
    -------
    CellGrid
        Along y and x.

    Raises
    ------
    ValueError
        A layer on the way changes the grid in a way that is not known here, or two branches
        that meet do not look at the same pixels.
    """
    layer, sources = producer(tensor)
    if not sources:
        return CellGrid()
    grids = {cell_grid(source) for source in sources}
    if len(grids) > 1:
        raise ValueError(message("branches that look at the same pixels", "", layer=layer.name, grids=grids))
    return _after(layer, sources[0].shape, tensor.shape, grids.pop())


def resampling_matrix(n_pixels: int, n_cells: int, start: float, jump: int) -> npt.NDArray[np.float64]:
    """Give the linear interpolation from cells to pixels along one axis.

    Parameters
    ----------
    n_pixels, n_cells : int
        Lengths of the two grids.
    start, jump : float, int
        Centre of cell 0 and distance of cells, in pixels.

    Returns
    -------
    numpy.ndarray
        Shape (n_pixels, n_cells), rows of sum 1; pixels beyond the outermost centres take the
        nearest cell.
    """
    where = np.clip((np.arange(n_pixels) - start) / jump, 0, n_cells - 1)
    left = np.minimum(np.floor(where).astype(int), max(n_cells - 2, 0))
    matrix = np.zeros((n_pixels, n_cells))
    rows = np.arange(n_pixels)
    matrix[rows, left] += 1 - (where - left)
    matrix[rows, np.minimum(left + 1, n_cells - 1)] += where - left
    return matrix


def _after(
    layer: keras.layers.Layer,
    input_shape: tuple[int | None, ...],
    output_shape: tuple[int | None, ...],
    before: CellGrid,
) -> CellGrid:
    if isinstance(layer, keras.Model):
        inner = cell_grid(layer.outputs[0])
        return _compose(before, inner)
    if isinstance(layer, _WINDOWED):
        window = getattr(layer, "kernel_size", None) or layer.pool_size
        dilation = getattr(layer, "dilation_rate", (1, 1))
        return _compose(before, _window(input_shape[1:3], window, layer.strides, dilation, layer.padding))
    if isinstance(layer, keras.layers.ZeroPadding2D):
        (top, _), (left, _) = layer.padding
        return _compose(before, CellGrid((-float(top), -float(left))))
    if isinstance(layer, keras.layers.Cropping2D):
        (top, _), (left, _) = layer.cropping
        return _compose(before, CellGrid((float(top), float(left))))
    if isinstance(layer, _MOVING) or tuple(output_shape[1:3]) != tuple(input_shape[1:3]):
        raise ValueError(
            message(
                "convolutions, poolings and layers that keep the grid",
                "This layer's geometry is not known.",
                layer=layer.name,
                kind=type(layer).__name__,
            )
        )
    return before


def _window(
    size: tuple[int | None, ...],
    window: tuple[int, ...],
    strides: tuple[int, ...],
    dilation: tuple[int, ...],
    padding: str,
) -> CellGrid:
    starts = []
    for n, k, s, d in zip(size, window, strides, dilation, strict=True):
        reach = (k - 1) * d + 1
        pad = 0
        if padding == "same":
            if n is None:
                raise ValueError(message("images of a fixed size", "", size=size))
            pad = max((-(-n // s) - 1) * s + reach - n, 0) // 2
        starts.append((reach - 1) / 2 - pad)
    return CellGrid((starts[0], starts[1]), (int(strides[0]), int(strides[1])))


def _compose(before: CellGrid, step: CellGrid) -> CellGrid:
    (y, x), (jump_y, jump_x) = before.start, before.jump
    return CellGrid(
        (y + step.start[0] * jump_y, x + step.start[1] * jump_x),
        (jump_y * step.jump[0], jump_x * step.jump[1]),
    )
