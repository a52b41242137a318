"""Receptive fields: position and extent of the cells of a feature map on the image."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from galcnn.errors import message
from galcnn.model.cells import CellGrid
from galcnn.model.graph import NetworkLayer, is_functional, network_layers, producer
from galcnn.model.orientations import OrientationMean, Orientations

_WINDOWED = (
    keras.layers.Conv2D,
    keras.layers.DepthwiseConv2D,
    keras.layers.SeparableConv2D,
    keras.layers.MaxPooling2D,
    keras.layers.AveragePooling2D,
)
#: Layers that may keep the shape and yet move pixels to other cells.
_MOVING = (keras.layers.Conv2DTranspose, keras.layers.Permute, keras.layers.Reshape)


def cell_grid(tensor: keras.KerasTensor) -> CellGrid:
    """Compute the cell grid of a tensor from the convolutions and poolings between it and the input.

    A window of size k with stride s and p pixels of padding before the first one shifts the first
    centre by ``((k - 1) / 2 - p) * jump`` and multiplies the jump by s (Araujo et al. 2019, Distill,
    "Computing receptive fields"). If the total padding is odd, TensorFlow's `same` puts the
    larger part at the end.
    """
    # A stack with memory instead of recursion, which would visit joining branches repeatedly.
    known: dict[int, CellGrid] = {}
    pending = [tensor]
    while pending:
        current = pending[-1]
        layer, sources = producer(current)
        # Inputs that are broadcast over the grid, such as squeeze-and-excitation gates, have no position.
        sources = [x for x in sources if len(x.shape) == 4 and tuple(x.shape[1:3]) != (1, 1)] or sources[:1]
        if missing := [source for source in sources if id(source) not in known]:
            pending += missing
            continue
        if not sources:
            known[id(current)] = CellGrid()
        elif isinstance(layer, OrientationMean) and layer.count > 1:
            turned = sources[0]
            while not isinstance((made := producer(turned))[0], Orientations):
                turned = made[1][0]
            known[id(current)] = _about_centre(
                known[id(sources[0])], sources[0].shape[1:3], known[id(turned)], turned.shape[1:3]
            )
        else:
            grid = _joined(layer, [known[id(source)] for source in sources])
            known[id(current)] = _after(layer, sources[0].shape, current.shape, grid)
        pending.pop()
    return known[id(tensor)]


def cell_grid_at(layer: NetworkLayer) -> CellGrid:
    """Compute the cell grid of a network layer on the input of the network."""
    *models, (_, output) = layer.tensors
    grid = CellGrid()
    for inputs, _ in models:
        grid = _compose(grid, cell_grid(inputs[0]))
    return _compose(grid, cell_grid(output))


def seen_in(network: keras.Model, layer: NetworkLayer) -> NetworkLayer | None:
    """Return the `Orientations` layer before a network layer, or None if it sees one orientation only."""
    pending = [output for _, output in layer.tensors]
    seen: set[int] = set()
    for tensor in pending:
        made_by, sources = producer(tensor)
        if isinstance(made_by, Orientations) and made_by.count > 1:
            return next(step for step in network_layers(network).values() if step.layer is made_by)
        if not isinstance(made_by, OrientationMean):
            pending += [source for source in sources if id(source) not in seen]
            seen |= {id(source) for source in sources}
    return None


def upright_grid(network: keras.Model, layer: NetworkLayer) -> CellGrid:
    """Compute the cell grid of a layer whose maps are rotated back to the orientation of the images."""
    grid, orientations = cell_grid_at(layer), seen_in(network, layer)
    if orientations is None:
        return grid
    turned = cell_grid_at(orientations)
    cells, pixels = (step.tensors[-1][1].shape[1:3] for step in (layer, orientations))
    return _about_centre(grid, cells, turned, pixels)


def on_image_grid(
    coarse: npt.NDArray[np.floating[Any]], network: keras.Model, layer: NetworkLayer, shape: tuple[int, ...]
) -> npt.NDArray[np.floating[Any]]:
    """Interpolate maps from the cells of a layer to the pixels of the images; NaN outside the field."""
    grid = upright_grid(network, layer)
    rows = resampling_matrix(shape[1], coarse.shape[1], grid.start[0], grid.jump[0])
    columns = resampling_matrix(shape[2], coarse.shape[2], grid.start[1], grid.jump[1])
    maps: npt.NDArray[np.floating[Any]] = (rows.astype(coarse.dtype) @ coarse) @ columns.astype(
        coarse.dtype
    ).T
    maps[:, ~looked_at(network, shape[1:3], layer=layer)] = np.nan
    return maps


def resampling_matrix(n_pixels: int, n_cells: int, start: float, jump: int) -> npt.NDArray[np.float64]:
    """Return the matrix of the linear interpolation from cells to pixels along one axis."""
    where = np.clip((np.arange(n_pixels) - start) / jump, 0, n_cells - 1)
    left = np.minimum(np.floor(where).astype(int), max(n_cells - 2, 0))
    matrix = np.zeros((n_pixels, n_cells))
    rows = np.arange(n_pixels)
    matrix[rows, left] += 1 - (where - left)
    matrix[rows, np.minimum(left + 1, n_cells - 1)] += where - left
    return matrix


def looked_at(
    network: keras.Model, shape: tuple[int, ...], *, layer: NetworkLayer | None = None
) -> npt.NDArray[np.bool_]:
    """Find the pixels that a network sees: those that are not cropped at its input.

    Parameters
    ----------
    network : keras.Model
        Any model; of one that is neither functional nor sequential, all pixels are taken as seen.
    shape : tuple of int
        Image shape in pixels, (ny, nx).
    layer : galcnn.model.graph.NetworkLayer, optional
        Network layer for which the pixels are determined; the last one by default.

    Returns
    -------
    numpy.ndarray
        True for the pixels that the layer sees, bool, shape (ny, nx).

    Examples
    --------
    >>> from galcnn.model import NetworkSettings, build_network
    >>> settings = NetworkSettings(widths=(4,), stem=0, field=0.5)
    >>> bool(looked_at(build_network((16, 16, 3), 2, settings=settings), (16, 16)).mean() == 0.25)
    True
    """
    seen = np.ones(shape, dtype=bool)
    if not is_functional(network):
        return seen
    layer = layer or list(network_layers(network).values())[-1]
    for step in network_layers(network).values():
        around = step.calls[:-1]
        if isinstance(step.layer, keras.layers.Cropping2D) and around == layer.calls[: len(around)]:
            inputs = [inputs[0] for inputs, _ in step.tensors]
            if all(cell_grid(x) == CellGrid() for x in inputs):
                (top, bottom), (left, right) = step.layer.cropping
                seen[:] = False
                seen[top : shape[0] - bottom, left : shape[1] - right] = True
    return seen


def _about_centre(
    grid: CellGrid, cells: tuple[int, ...], turned: CellGrid, pixels: tuple[int, ...]
) -> CellGrid:
    """Return the cell grid of maps that were rotated back, which is symmetric about the image centre."""
    starts, fields = [], []
    for axis in (0, 1):
        centre = turned.start[axis] + turned.jump[axis] * (pixels[axis] - 1) / 2
        first = centre - grid.jump[axis] * (cells[axis] - 1) / 2
        starts.append(first)
        fields.append(math.ceil(grid.field[axis] + 2 * abs(grid.start[axis] - first)))
    return CellGrid((starts[0], starts[1]), grid.jump, (fields[0], fields[1]))


def _joined(layer: keras.layers.Layer, grids: list[CellGrid]) -> CellGrid:
    """Return the cell grid of joined branches: the union of their fields about their mean centre.

    In residual networks, a 3 x 3 convolution of stride 2 on an even side and the parallel 1 x 1
    convolution have centres one pixel apart. Offsets of a cell or more are refused.
    """
    if len(set(grids)) == 1:
        return grids[0]
    jump = grids[0].jump
    apart = [
        max(grid.start[axis] for grid in grids) - min(grid.start[axis] for grid in grids) for axis in (0, 1)
    ]
    if any(grid.jump != jump for grid in grids) or apart[0] >= jump[0] or apart[1] >= jump[1]:
        raise ValueError(
            message("branches that look at the same pixels", "", layer=layer.name, grids=set(grids))
        )
    start, field = [], []
    for axis in (0, 1):
        first = [grid.start[axis] - (grid.field[axis] - 1) / 2 for grid in grids]
        last = [grid.start[axis] + (grid.field[axis] - 1) / 2 for grid in grids]
        start.append(sum(grid.start[axis] for grid in grids) / len(grids))
        field.append(math.ceil(max(last) - min(first)) + 1)
    return CellGrid((start[0], start[1]), jump, (field[0], field[1]))


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
    starts, fields = [], []
    for n, k, s, d in zip(size, window, strides, dilation, strict=True):
        reach = (k - 1) * d + 1
        pad = 0
        if padding == "same":
            if n is None:
                raise ValueError(message("images of a fixed size", "", size=size))
            pad = max((-(-n // s) - 1) * s + reach - n, 0) // 2
        starts.append((reach - 1) / 2 - pad)
        fields.append(int(reach))
    return CellGrid((starts[0], starts[1]), (int(strides[0]), int(strides[1])), (fields[0], fields[1]))


def _compose(before: CellGrid, step: CellGrid) -> CellGrid:
    (y, x), (jump_y, jump_x) = before.start, before.jump
    return CellGrid(
        (y + step.start[0] * jump_y, x + step.start[1] * jump_x),
        (jump_y * step.jump[0], jump_x * step.jump[1]),
        (
            before.field[0] + (step.field[0] - 1) * jump_y,
            before.field[1] + (step.field[1] - 1) * jump_x,
        ),
    )
