"""Mosaic and catalog -> cutouts, one after the other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import astropy.units as u
import numpy as np
import numpy.typing as npt

from galcnn.catalog import Catalog
from galcnn.catalog.columns import as_numbers
from galcnn.cutout import LARGEST_SIDE, Cutout
from galcnn.errors import message
from galcnn.mosaic.mosaic import Mosaic
from galcnn.mosaic.othergrids import OtherGrid, with_other_grids
from galcnn.mosaic.placing import corners, pixel_positions, sides
from galcnn.mosaic.reading import Window, read_window
from galcnn.transforms.grid import shifted_wcs

__all__ = ["NO_WIDTH", "OFF", "TOO_WIDE", "Cut", "cut"]

#: Why there is no cutout.
OFF, NO_WIDTH = "not on the mosaic", "no width is known"
TOO_WIDE = f"wider than {LARGEST_SIDE} pixels"

#: WCS and positions are made for so many at a time: that is twice as fast as one between two images.
_AT_ONCE = 64


@dataclass(frozen=True, eq=False)
class Cut:
    """What a mosaic shows of one galaxy.

    Attributes
    ----------
    row : int
        Of the catalog.
    id : str
        Of the galaxy.
    cutout : galcnn.cutout.Cutout or None
        None where the galaxy is not covered.
    coverage : float
        Share of the pixels, over all bands, that hold a number.
    reason : str
        Why there is no cutout; empty where there is one.
    """

    row: int
    id: str
    cutout: Cutout | None
    coverage: float
    reason: str = ""


def cut(
    mosaic: Mosaic, catalog: Catalog, *, width: u.Quantity, minimum_coverage: float = 0.0
) -> Iterator[Cut]:
    """Cut every galaxy of a catalog out of a mosaic, in the order of the mosaic's rows.

    One cutout is in memory at a time, whatever their number. Boxes are those of
    `astropy.nddata.Cutout2D` with ``mode="partial"``, bit by bit: beyond the edge stands NaN, which
    is masked. Each has the WCS of the mosaic with another reference pixel.

    Parameters
    ----------
    mosaic : Mosaic
        Open, from `open_mosaic`.
    catalog : galcnn.catalog.Catalog
        With positions; a redshift goes into the cutout.
    width : astropy.units.Quantity
        Side of the cutouts, an angle or pixels: one for all, or one a galaxy.
    minimum_coverage : float
        Galaxies of which less is covered get no cutout. Those whose position is on no pixel of the
        mosaic, or of which nothing was measured, get none in any case.

    Returns
    -------
    iterator of Cut
        One for each galaxy of the catalog; those that are not on the mosaic come first.

    Raises
    ------
    ValueError
        The catalog has no positions, or the width is none.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from astropy.io import fits
    >>> from astropy.table import QTable
    >>> from galcnn.mosaic import open_mosaic
    >>> header = fits.Header({"BUNIT": "nJy", "FILTER": "r", "CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN"})
    >>> header.update({"CDELT1": -1e-4, "CDELT2": 1e-4, "CRVAL1": 150.0, "CRVAL2": 2.0})
    >>> header.update({"CRPIX1": 1.0, "CRPIX2": 1.0})
    >>> catalog = Catalog(QTable({"id": ["a", "b"], "ra": [150.0, 10.0], "dec": [2.0, 2.0]}))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "mosaic.fits"
    ...     fits.PrimaryHDU(np.zeros((60, 80), ">f4"), header).writeto(path)
    ...     with open_mosaic(path) as mosaic:
    ...         for one in cut(mosaic, catalog, width=8 * u.pix):
    ...             print(one.id, one.reason or (one.cutout.shape, one.coverage))
    b not on the mosaic
    a ((8, 8), 0.25)
    """
    positions = catalog.positions
    if positions is None:
        raise ValueError(
            message("a catalog with positions", "Name its columns ra, dec.", columns=catalog.table.colnames)
        )
    scale = float(np.sqrt(abs(np.linalg.det(mosaic.wcs.pixel_scale_matrix)))) * u.deg
    side = sides(width, scale, len(catalog))
    x, y = pixel_positions(positions, mosaic.wcs, mosaic.shape)
    return _cuts(mosaic, catalog, _Boxes(x, y, side), minimum_coverage)


class _Boxes:
    """The box of each galaxy that is on the mosaic, sorted by row."""

    def __init__(
        self, x: npt.NDArray[np.float64], y: npt.NDArray[np.float64], side: npt.NDArray[np.int64]
    ) -> None:
        self.side_of = side
        why = np.select([np.isnan(x), side == 0, side > LARGEST_SIDE], [OFF, NO_WIDTH, TOO_WIDE], "")
        self.missing = [(int(row), str(why[row])) for row in np.flatnonzero(why != "")]
        on = np.flatnonzero(why == "")
        left, bottom = corners(x[on], side[on]), corners(y[on], side[on])
        order = np.lexsort((left, bottom))
        self.rows = on[order]
        self.corners, self.side = np.stack([bottom, left], axis=1)[order], side[on][order]

    def inside(self, shape: tuple[int, int]) -> npt.NDArray[np.int64]:
        """The parts on the mosaic as (y0, y1, x0, x1)."""
        first = np.maximum(self.corners, 0)
        last = np.minimum(self.corners + self.side[:, np.newaxis], shape)
        return np.stack([first[:, 0], last[:, 0], first[:, 1], last[:, 1]], axis=1)


def _cuts(mosaic: Mosaic, catalog: Catalog, boxes: _Boxes, minimum: float) -> Iterator[Cut]:
    ids, positions = catalog.ids, catalog.positions
    assert positions is not None  # cut has asked; for the type checker
    redshifts = _redshifts(catalog)
    for row, reason in boxes.missing:
        yield Cut(row, ids[row], None, 0.0, reason)
    inside = boxes.inside(mosaic.shape)
    own = mosaic.grids[0]
    others = [OtherGrid(layers, catalog, boxes.side_of, mosaic) for layers in mosaic.grids[1:]]
    bands = tuple(layer.band for layer in own)
    for layer in own:
        for source in layer.sources:
            source.expect(inside)
    for start in range(0, len(inside), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        rows = boxes.rows[part].tolist()
        boxed = zip(
            boxes.corners[part].tolist(), boxes.side[part].tolist(), inside[part].tolist(), strict=True
        )
        windows = [Window((y, x), side, (*box,)) for (y, x), side, box in boxed]
        grids = [shifted_wcs(mosaic.wcs, one.corner, (one.side, one.side)) for one in windows]
        places = [positions[row] for row in rows]
        for row, window, wcs, place in zip(rows, windows, grids, places, strict=True):
            planes = read_window(own, window)
            cutout = Cutout(
                planes.flux,
                bands,
                wcs=wcs,
                position=place,
                survey=mosaic.survey,
                unit=mosaic.unit,
                mask=planes.mask,  # type: ignore[arg-type]  # None means: only NaN is masked
                sigma=planes.sigma,
                redshift=redshifts[row],
                meta={**mosaic.meta, "corner": list(window.corner)},
            )
            coverage = planes.coverage(cutout.mask)
            if others:
                cutout = with_other_grids(cutout, others, row, mosaic.bands)
                coverage = float(np.isfinite(cutout.flux).mean())
            if coverage < minimum or coverage == 0:
                yield Cut(row, ids[row], None, coverage, f"covered to {coverage:.3f}")
            else:
                yield Cut(row, ids[row], cutout, coverage)


def _redshifts(catalog: Catalog) -> list[float | None]:
    """As they are: missing ones become None."""
    if "redshift" not in catalog.table.colnames:
        return [None] * len(catalog)
    numbers = as_numbers(catalog.table["redshift"], "redshift").tolist()
    return [number if np.isfinite(number) else None for number in numbers]
