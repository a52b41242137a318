"""Position of the cells of a feature map on the image and on the sky. Does not import Keras."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from galcnn.transforms.grid import scaled_wcs

if TYPE_CHECKING:
    from astropy.wcs import WCS


@dataclass(frozen=True)
class CellGrid:
    """Grid of the cells of a feature map; cell i is centred on pixel ``start + jump * i`` (y and x alike).

    Attributes
    ----------
    start : tuple of float
        Centre of cell 0 in 0-based pixels, (y, x).
    jump : tuple of int
        Distance between neighbouring cells in pixels, (y, x).
    field : tuple of int
        Receptive field of one cell in pixels, (y, x).
    """

    start: tuple[float, float] = (0.0, 0.0)
    jump: tuple[int, int] = (1, 1)
    field: tuple[int, int] = (1, 1)

    def box(self, cell: tuple[int, int], shape: tuple[int, int]) -> tuple[slice, slice]:
        """Return the receptive field of a cell as slices of an image of this shape."""
        slices = []
        for i, n, start, jump, field in zip(cell, shape, self.start, self.jump, self.field, strict=True):
            first = math.ceil(start + jump * i - (field - 1) / 2)
            slices.append(slice(max(first, 0), min(first + field, n)))
        return slices[0], slices[1]


def cell_wcs(wcs: WCS, grid: CellGrid, shape: tuple[int, int]) -> WCS:
    """Scale the WCS of an image, with its distortions, to the cells of a feature map."""
    first = (float(grid.start[0]), float(grid.start[1]))
    scaled = scaled_wcs(wcs, (float(grid.jump[0]), float(grid.jump[1])), first, shape)
    assert scaled is not None  # for the type checker: only None gives None
    return scaled
