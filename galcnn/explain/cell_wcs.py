"""The WCS of a feature map: its cells stand on the sky of the image, in larger steps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from galcnn.explain.cells import CellGrid
from galcnn.transforms.grid import scaled_wcs

if TYPE_CHECKING:
    from astropy.wcs import WCS

__all__ = ["cell_wcs"]


def cell_wcs(wcs: WCS, grid: CellGrid, shape: tuple[int, int]) -> WCS | None:
    """Scale the WCS of an image to the cells of a feature map.

    Parameters
    ----------
    wcs : astropy.wcs.WCS
        Of the image, celestial.
    grid : galcnn.explain.cells.CellGrid
        Where on the image the cells look.
    shape : tuple of int
        Cells (y, x) of the feature map.

    Returns
    -------
    astropy.wcs.WCS or None
        The sky position of a cell is that of the pixel at its centre. None where the WCS has
        distortion tables, which hold for the image's own pixels only.
    """
    if wcs.sip is not None or wcs.cpdis1 is not None or wcs.det2im1 is not None:
        return None
    first = (float(grid.start[0]), float(grid.start[1]))
    return scaled_wcs(wcs, (float(grid.jump[0]), float(grid.jump[1])), first, shape)
