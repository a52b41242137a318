"""Coarse maps <-> FITS: a pixel a cell of the feature map, on a WCS of their own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.io import fits

from galcnn.explain.cells import CellGrid, cell_wcs
from galcnn.explain.explanation import CoarseMap
from galcnn.files.astrometry import wcs_cards
from galcnn.files.text import unique_name
from galcnn.layers.headers import map_header
from galcnn.layers.text import extension_name

if TYPE_CHECKING:
    from astropy.wcs import WCS

    from galcnn.explain.explanation import Explanation

__all__ = ["coarse_from", "coarse_hdu"]

#: Cards of the grid: centre of the first cell counted from pixel 1, step and field in pixels.
_CARDS = ("CELL1", "STEP", "FIELD")


def coarse_hdu(explanation: Explanation, used: set[str], wcs: WCS | None) -> fits.ImageHDU:
    """Lay the coarse map of an explanation out as an image HDU.

    Parameters
    ----------
    explanation : galcnn.explain.Explanation
        With a coarse map.
    used : set of str
        EXTNAMEs in use; that of the new HDU is added.
    wcs : astropy.wcs.WCS or None
        Of the cutout.

    Returns
    -------
    astropy.io.fits.ImageHDU
        Named METHOD_TARGET_CELLS.
    """
    coarse = explanation.coarse
    assert coarse is not None  # for the type checker
    name = unique_name(extension_name(explanation.method, explanation.target.name, "cells"), used)
    used.add(name)
    shape = (coarse.values.shape[0], coarse.values.shape[1])
    own = None if wcs is None else cell_wcs(wcs, coarse.grid, shape)
    header = map_header(name, explanation, "all", wcs_cards(own))
    said = ("pixel of the image at the first cell", "pixels from cell to cell", "pixels that a cell sees")
    first = (coarse.grid.start[0] + 1, coarse.grid.start[1] + 1)
    for card, values, comment in zip(_CARDS, (first, coarse.grid.jump, coarse.grid.field), said, strict=True):
        header[f"{card}_Y"] = (values[0], comment)
        header[f"{card}_X"] = (values[1], "")
    return fits.ImageHDU(coarse.values, header)


def coarse_from(hdus: Mapping[str, Any], name: str) -> CoarseMap | None:
    """Read what `coarse_hdu` laid out.

    Parameters
    ----------
    hdus : mapping of str to astropy HDU
        Of a stack.
    name : str
        EXTNAME of the coarse map; empty for none.

    Returns
    -------
    galcnn.explain.explanation.CoarseMap or None
        Bit by bit.
    """
    if not name:
        return None
    header, data = hdus[name].header, hdus[name].data

    def pair(card: str) -> tuple[Any, Any]:
        return header[f"{card}_Y"], header[f"{card}_X"]

    y, x = pair(_CARDS[0])
    grid = CellGrid((y - 1.0, x - 1.0), pair(_CARDS[1]), pair(_CARDS[2]))
    return CoarseMap(np.asarray(data, dtype=np.float32), grid)
