"""Where on the image the cells of a feature map look."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from galcnn.errors import message
from galcnn.explain.cells import CellGrid
from galcnn.explain.graph import Location, locations, producer
from galcnn.model.orientations import OrientationMean, Orientations

__all__ = ["cell_grid", "cell_grid_at", "in_orientations", "on_image_grid", "resampling_matrix"]


_WINDOWED = (
    keras.layers.Conv2D,
    keras.layers.DepthwiseConv2D,
    keras.layers.SeparableConv2D,
    keras.layers.MaxPooling2D,
    keras.layers.AveragePooling2D,
)
#: These may keep the shape and still put other pixels in a cell's place.
_MOVING = (keras.layers.Conv2DTranspose, keras.layers.Permute, keras.layers.Reshape)


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
    # A stack and what is known already, not recursion: branches that meet would be walked again and again.
    known: dict[int, CellGrid] = {}
    pending = [tensor]
    while pending:
        current = pending[-1]
        layer, sources = producer(current)
        # What is spread over the grid, such as the gates of squeeze-and-excitation, has no place of its own.
        sources = [x for x in sources if len(x.shape) == 4 and tuple(x.shape[1:3]) != (1, 1)] or sources[:1]
        if missing := [source for source in sources if id(source) not in known]:
            pending += missing
            continue
        if not sources:
            known[id(current)] = CellGrid()
        elif isinstance(layer, OrientationMean):
            known[id(current)] = _about_centre(sources[0], known)
        else:
            grid = _joined(layer, [known[id(source)] for source in sources])
            known[id(current)] = _after(layer, sources[0].shape, current.shape, grid)
        pending.pop()
    return known[id(tensor)]


def cell_grid_at(network: keras.Model, location: Location) -> CellGrid:
    """Follow the geometry from the input of a network to one of its layers.

    Parameters
    ----------
    network : keras.Model
        Functional or sequential.
    location : galcnn.explain.graph.Location
        A layer, in nested models or not.

    Returns
    -------
    CellGrid
        Of the layer's output.

    Raises
    ------
    ValueError
        See `cell_grid`.
    """
    steps = location.tensors(network)
    grid = CellGrid()
    for inputs, _ in steps[:-1]:
        grid = _compose(grid, cell_grid(inputs[0]))
    return _compose(grid, cell_grid(steps[-1][1]))


def in_orientations(network: keras.Model, location: Location) -> bool:
    """Say whether a layer sees each image in several orientations.

    Parameters
    ----------
    network : keras.Model
        Functional or sequential.
    location : galcnn.explain.graph.Location
        A layer.

    Returns
    -------
    bool
        It lies behind `Orientations`, and their mean does not lie before it.
    """
    pending = [output for _, output in location.tensors(network)]
    seen: set[int] = set()
    for tensor in pending:
        layer, sources = producer(tensor)
        if isinstance(layer, Orientations):
            return True
        if not isinstance(layer, OrientationMean):
            pending += [source for source in sources if id(source) not in seen]
            seen |= {id(source) for source in sources}
    return False


def on_image_grid(
    coarse: npt.NDArray[np.floating[Any]], network: keras.Model, location: Location, shape: tuple[int, ...]
) -> npt.NDArray[np.floating[Any]]:
    """Bring maps from the cells of a layer to the pixels of the images.

    Parameters
    ----------
    coarse : numpy.ndarray
        Shape (n, cells_y, cells_x).
    network : keras.Model
        Functional or sequential.
    location : galcnn.explain.graph.Location
        The layer that the cells are of.
    shape : tuple of int
        (n, ny, nx, n_bands) of the images.

    Returns
    -------
    numpy.ndarray
        Shape (n, ny, nx), linear between the centres of the cells. NaN where the network crops
        the image away.
    """
    grid = cell_grid_at(network, location)
    rows = resampling_matrix(shape[1], coarse.shape[1], grid.start[0], grid.jump[0])
    columns = resampling_matrix(shape[2], coarse.shape[2], grid.start[1], grid.jump[1])
    maps: npt.NDArray[np.floating[Any]] = (rows.astype(coarse.dtype) @ coarse) @ columns.astype(
        coarse.dtype
    ).T
    maps[:, ~_looked_at(network, location, shape[1:3])] = np.nan
    return maps


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


def _looked_at(network: keras.Model, location: Location, shape: tuple[int, ...]) -> npt.NDArray[np.bool_]:
    """Pixels that no cropping at the input keeps from the network."""
    seen = np.ones(shape, dtype=bool)
    for step in locations(network):
        if (
            isinstance(step.layer, keras.layers.Cropping2D)
            and step.path[:-1] == location.path[: len(step.path) - 1]
        ):
            inputs = [inputs[0] for inputs, _ in step.tensors(network)]
            if all(cell_grid(x) == CellGrid() for x in inputs):
                (top, bottom), (left, right) = step.layer.cropping
                seen[:] = False
                seen[top : shape[0] - bottom, left : shape[1] - right] = True
    return seen


def _about_centre(tensor: keras.KerasTensor, known: dict[int, CellGrid]) -> CellGrid:
    """Give the grid of a mean over orientations: its cells lie alike about the centre of what is turned."""
    grid, cells, source = known[id(tensor)], tensor.shape[1], tensor
    while not isinstance((made := producer(source))[0], Orientations):
        source = made[1][0]
    turned = known[id(made[1][0])]
    starts, fields = [], []
    for axis in (0, 1):
        centre = turned.start[axis] + turned.jump[axis] * (source.shape[1 + axis] - 1) / 2
        first = centre - grid.jump[axis] * (cells - 1) / 2
        starts.append(first)
        fields.append(math.ceil(grid.field[axis] + 2 * abs(grid.start[axis] - first)))
    return CellGrid((starts[0], starts[1]), grid.jump, (fields[0], fields[1]))


def _joined(layer: keras.layers.Layer, grids: list[CellGrid]) -> CellGrid:
    """Give the grid of branches that meet: their fields together, about the mean of their centres.

    A 3 x 3 convolution of stride 2 on an even side and the 1 x 1 beside it, as residual networks
    have them, look at centres one pixel apart. Less than a cell is joined, more is refused.
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
