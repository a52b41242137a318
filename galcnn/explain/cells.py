"""CellGrid and CoarseMap: a map at the resolution of a feature map. Nouns only; no Keras here."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from galcnn.errors import message

if TYPE_CHECKING:
    import keras

    from galcnn.explain.explanation import Target

__all__ = ["AtCells", "CellGrid", "CoarseMap"]


@dataclass(frozen=True)
class CellGrid:
    """Centres of a feature map's cells: pixel ``start + jump * i`` for cell i, along y and x.

    Attributes
    ----------
    start : tuple of float
        Centre of cell 0, in 0-based pixels (y, x).
    jump : tuple of int
        Pixels from one cell to the next (y, x).
    field : tuple of int
        Pixels that one cell looks at (y, x): its receptive field.
    """

    start: tuple[float, float] = (0.0, 0.0)
    jump: tuple[int, int] = (1, 1)
    field: tuple[int, int] = (1, 1)

    def box(self, cell: tuple[int, int], shape: tuple[int, int]) -> tuple[slice, slice]:
        """Give the receptive field of a cell on the image.

        Parameters
        ----------
        cell : tuple of int
            (y, x) in the feature map.
        shape : tuple of int
            (ny, nx) of the image, where the field ends.

        Returns
        -------
        tuple of slice
            Rows and columns.
        """
        slices = []
        for i, n, start, jump, field in zip(cell, shape, self.start, self.jump, self.field, strict=True):
            first = math.ceil(start + jump * i - (field - 1) / 2)
            slices.append(slice(max(first, 0), min(first + field, n)))
        return slices[0], slices[1]


@dataclass(frozen=True, eq=False)
class CoarseMap:
    """A map with one value a cell, as it was before it was brought to the pixels of the image.

    Attributes
    ----------
    values : numpy.ndarray
        float32, shape (cells_y, cells_x).
    grid : CellGrid
        Where on the image the cells look.

    Raises
    ------
    ValueError
        The values have no two axes.
    """

    values: npt.NDArray[np.float32]
    grid: CellGrid

    def __post_init__(self) -> None:
        values = np.ascontiguousarray(self.values, dtype=np.float32).view()
        if values.ndim != 2 or 0 in values.shape:
            raise ValueError(message("values of shape (cells_y, cells_x)", "", shape=values.shape))
        values.flags.writeable = False  # of our view: the caller's array stays as it was
        object.__setattr__(self, "values", values)


@runtime_checkable
class AtCells(Protocol):
    """An explainer whose map is made of the cells of a feature map."""

    def coarse(
        self, network: keras.Model, images: npt.NDArray[Any], target: Target | list[Target]
    ) -> npt.NDArray[np.float32]:
        """Make the maps at the resolution of the feature maps.

        Parameters
        ----------
        network : keras.Model
            As for the maps.
        images : numpy.ndarray
            Shape (n, ny, nx, n_bands).
        target : Target or list of Target
            One for all, or one an image.

        Returns
        -------
        numpy.ndarray
            Shape (n, cells_y, cells_x).
        """
        ...

    def network_layer_of(self, network: keras.Model) -> str:
        """Name the layer that the cells are of.

        Parameters
        ----------
        network : keras.Model
            As for the maps.

        Returns
        -------
        str
            Names joined by slashes.
        """
        ...
