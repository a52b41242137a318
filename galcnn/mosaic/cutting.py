"""Cut the galaxies of a catalog out of a mosaic, one after the other, padded beyond its edge.

Bands on another pixel grid are resampled around each galaxy onto the grid of the cutout.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import astropy.units as u
import numpy as np
import numpy.typing as npt

from galcnn.catalog import Catalog
from galcnn.catalog.catalog import as_numbers
from galcnn.cutout import LARGEST_SIDE, Cutout
from galcnn.errors import error_of_file, message
from galcnn.mosaic.mosaic import Mosaic, MosaicBand
from galcnn.mosaic.pixels import Box
from galcnn.mosaic.positions import corners, pixel_positions, pixel_scales, sides
from galcnn.transforms import align
from galcnn.transforms.grid import pixel_degrees, shifted_wcs

#: Extra pixels around the field of a band on another grid, so that outer pixels are fully covered.
_MARGIN = 3
#: Reasons for a missing cutout.
OFF, NO_WIDTH = "not on the mosaic", "no width is known"
OBLONG = "pixels there are oblong or oblique: resample the mosaic, or give the width in pixels"
#: Side, for now, of cutouts that are not cut for this reason.
OBLONG_SIDE = -1
TOO_WIDE = f"wider than {LARGEST_SIDE} pixels"

#: WCS and positions are made for this many galaxies at a time, which is twice as fast as one by one.
_AT_ONCE = 64


@dataclass(frozen=True)
class Window:
    """Square of pixels to cut out.

    Attributes
    ----------
    corner : tuple of int
        First row and column on the mosaic, (y, x); negative beyond the edge.
    side : int
        Side in pixels.
    box : tuple of int
        Part of the square that is on the mosaic, (y0, y1, x0, x1).
    """

    corner: tuple[int, int]
    side: int
    box: Box

    @property
    def part(self) -> tuple[slice, slice]:
        """Slices (y, x) of the window that are on the mosaic."""
        (bottom, left), (y0, y1, x0, x1) = self.corner, self.box
        return slice(y0 - bottom, y1 - bottom), slice(x0 - left, x1 - left)

    @property
    def whole(self) -> bool:
        """True if all of the window is on the mosaic."""
        y0, y1, x0, x1 = self.box
        return y1 - y0 == self.side and x1 - x0 == self.side


@dataclass(frozen=True)
class WindowPlanes:
    """Planes of a window.

    Attributes
    ----------
    flux : numpy.ndarray
        Flux, float32, shape (n_bands, side, side); NaN beyond the edge.
    mask : numpy.ndarray or None
        Mask, bool, shape of `flux`; None if no band has one.
    sigma : numpy.ndarray or None
        Standard deviation, float32, shape of `flux`; None unless every band has one.
    """

    flux: npt.NDArray[np.float32]
    mask: npt.NDArray[np.bool_] | None
    sigma: npt.NDArray[np.float32] | None

    def coverage(self, mask: npt.NDArray[np.bool_]) -> float:
        """Return the fraction of pixels that hold a number; `mask` is that of the cutout."""
        holes = mask if self.mask is None else ~np.isfinite(self.flux)
        return 1 - int(np.count_nonzero(holes)) / self.flux.size


def read_window(layers: Sequence[MosaicBand], window: Window) -> WindowPlanes:
    """Read the planes of a window in all bands."""
    if len(layers) == 1 and window.whole and len(layers[0].sources) == 1:  # one plane, nothing to combine
        return WindowPlanes(layers[0].read(window.box)[np.newaxis], None, None)
    box, part = window.box, window.part
    shape = (len(layers), window.side, window.side)
    flux = _empty(shape, window.whole)
    for plane, layer in zip(flux, layers, strict=True):
        plane[part] = layer.read(box)
    mask = sigma = None
    if any(len(layer.sources) > 1 for layer in layers):
        mask = np.zeros(shape, dtype=np.bool_)
        sigma = _empty(shape, window.whole)
        for bad, noise, layer in zip(mask, sigma, layers, strict=True):
            if layer.mask is not None:
                bad[part] = layer.mask.read(box, layer.band)
            if layer.noise is not None:
                noise[part] = layer.noise.read(box)
                bad |= np.isnan(noise)  # pixels without weight or noise were not measured
    if any(layer.noise is None for layer in layers):
        sigma = None
    return WindowPlanes(flux, mask, sigma)


def _empty(shape: tuple[int, int, int], whole: bool) -> npt.NDArray[Any]:
    return np.empty(shape, np.float32) if whole else np.full(shape, np.nan, np.float32)


class OtherGrid:
    """Bands on one grid that differs from that of the cutouts."""

    def __init__(
        self, layers: Sequence[MosaicBand], catalog: Catalog, side: npt.NDArray[np.int64], mosaic: Mosaic
    ) -> None:
        self.layers, self.unit = layers, mosaic.unit
        self.bands = tuple(layer.band for layer in layers)
        first = layers[0]
        self.shape = first.pixels.shape
        positions = catalog.positions
        assert positions is not None  # for the type checker: cut has checked it
        x, y = pixel_positions(positions, first.wcs, self.shape)
        self.on = ~np.isnan(x)
        # The diagonal, since the angle between the grids may be any.
        ratio = np.sqrt(2) * pixel_degrees(mosaic.wcs) / pixel_degrees(first.wcs)
        self.side = np.ceil(side * ratio).astype(np.int64) + 2 * _MARGIN
        corner = np.zeros((len(x), 2), dtype=np.int64)
        corner[self.on, 0] = corners(y[self.on], self.side[self.on])
        corner[self.on, 1] = corners(x[self.on], self.side[self.on])
        self.corner, self.box = corner, _inside(corner, self.side, self.shape)
        boxes = self.box[self.on]
        _expect(layers, boxes[np.argsort(boxes[:, 0], kind="stable")])

    def onto(self, reference: Cutout, row: int) -> Cutout | None:
        """Return these bands on the grid of a cutout, or None if they do not cover it."""
        if not self.on[row]:
            return None
        window = _window(self.corner[row], self.side[row], self.box[row])
        planes = read_window(self.layers, window)
        shape = (window.side, window.side)
        source = Cutout(
            planes.flux,
            self.bands,
            wcs=shifted_wcs(self.layers[0].wcs, window.corner, shape),
            unit=self.unit,
            mask=planes.mask,  # type: ignore[arg-type]  # None means: only NaN is masked
            sigma=planes.sigma,
        )
        try:
            return align(source, reference)
        except ValueError:  # no pixel of the field is covered
            return None


def _inside(
    corner: npt.NDArray[np.int64], side: npt.NDArray[np.int64], shape: tuple[int, int]
) -> npt.NDArray[np.int64]:
    """Return the parts of squares that are on a mosaic, (y0, y1, x0, x1), shape (n, 4)."""
    first = np.maximum(corner, 0)
    last = np.minimum(corner + side[:, np.newaxis], shape)
    return np.stack([first[:, 0], last[:, 0], first[:, 1], last[:, 1]], axis=1)


def _window(corner: npt.NDArray[np.int64], side: np.int64, box: npt.NDArray[np.int64]) -> Window:
    return Window((*corner.tolist(),), int(side), (*box.tolist(),))


def _expect(layers: Sequence[MosaicBand], boxes: npt.NDArray[np.int64]) -> None:
    for layer in layers:
        for source in layer.sources:
            source.expect(boxes)


def with_other_grids(cutout: Cutout, others: Sequence[OtherGrid], row: int, bands: tuple[str, ...]) -> Cutout:
    """Add the bands of other grids to a cutout."""
    # A band that does not cover the galaxy is NaN and masked. Sigma is kept if all bands that cover it have
    # one.
    shape = (len(bands), *cutout.shape)
    flux, mask = np.full(shape, np.nan, np.float32), np.ones(shape, np.bool_)
    sigma: npt.NDArray[np.float32] | None = np.full(shape, np.nan, np.float32)
    found = [part for other in others if (part := other.onto(cutout, row)) is not None]
    for part in (cutout, *found):
        order = [bands.index(band) for band in part.bands]
        flux[order], mask[order] = part.flux, part.mask
        if part.sigma is None or sigma is None:
            sigma = None
        else:
            sigma[order] = part.sigma
    aligned = [band for other in others for band in other.bands]
    meta = {**cutout.meta, "aligned": aligned}
    return replace(cutout, flux=flux, bands=bands, mask=mask, sigma=sigma, meta=meta)


@dataclass(frozen=True, eq=False)
class Cut:
    """Cutout of one galaxy, or the reason why there is none.

    Attributes
    ----------
    row : int
        Row of the catalog.
    id : str
        Id of the galaxy.
    cutout : galcnn.cutout.Cutout or None
        Cutout, or None if the galaxy is not covered.
    coverage : float
        Fraction of pixels, over all bands, that hold a number.
    reason : str
        Reason for a missing cutout; empty if there is one.
    error : Exception or None
        Error of the reading, if that is the reason.
    """

    row: int
    id: str
    cutout: Cutout | None
    coverage: float
    reason: str = ""
    error: Exception | None = None


def cut(
    mosaic: Mosaic, catalog: Catalog, *, width: u.Quantity, minimum_coverage: float = 0.0
) -> Iterator[Cut]:
    """Cut every galaxy of a catalog out of a mosaic, in the order of the mosaic's rows.

    The pixels of one cutout are in memory at a time. Windows are identical to those of
    `astropy.nddata.Cutout2D` with ``mode="partial"``; pixels beyond the edge are NaN and masked. Each cutout
    has the WCS of the mosaic with another reference pixel.

    Parameters
    ----------
    mosaic : Mosaic
        Open mosaic, from `open_mosaic`.
    catalog : galcnn.catalog.Catalog
        Catalog with positions; redshifts are passed to the cutouts.
    width : astropy.units.Quantity
        Side of the cutouts, an angle or pixels: one for all, or one per galaxy.
    minimum_coverage : float
        Minimum coverage of a cutout. Galaxies whose position is not on the mosaic, or without any measured
        pixel, never get a cutout.

    Returns
    -------
    iterator of Cut
        One entry per galaxy of the catalog; those not on the mosaic come first. Where the file is damaged,
        the entry has the reason, and the others are cut.

    Raises
    ------
    ValueError
        If the catalog has no positions, or a width is invalid.

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
    x, y = pixel_positions(positions, mosaic.wcs, mosaic.shape)
    scales, square = pixel_scales(mosaic.wcs, x, y)
    nominal = pixel_degrees(mosaic.wcs)
    side = sides(width, (nominal if (scales == nominal).all() else scales) * u.deg, len(catalog))
    if not u.Quantity(width).unit.is_equivalent(u.pix):
        side = np.where(square, side, OBLONG_SIDE)
    return _cuts(mosaic, catalog, _Boxes(x, y, side), minimum_coverage)


class _Boxes:
    """Boxes of the galaxies on the mosaic, sorted by row."""

    def __init__(
        self, x: npt.NDArray[np.float64], y: npt.NDArray[np.float64], side: npt.NDArray[np.int64]
    ) -> None:
        self.side_of = side
        why = np.select(
            [np.isnan(x), side == 0, side == OBLONG_SIDE, side > LARGEST_SIDE],
            [OFF, NO_WIDTH, OBLONG, TOO_WIDE],
            "",
        )
        self.missing = [(int(row), str(why[row])) for row in np.flatnonzero(why != "")]
        on = np.flatnonzero(why == "")
        left, bottom = corners(x[on], side[on]), corners(y[on], side[on])
        order = np.lexsort((left, bottom))
        self.rows = on[order]
        self.corners, self.side = np.stack([bottom, left], axis=1)[order], side[on][order]


def _cuts(mosaic: Mosaic, catalog: Catalog, boxes: _Boxes, minimum: float) -> Iterator[Cut]:
    ids, positions = catalog.ids, catalog.positions
    assert positions is not None  # for the type checker: cut has checked it
    redshifts = _redshifts(catalog)
    for row, reason in boxes.missing:
        yield Cut(row, ids[row], None, 0.0, reason)
    inside = _inside(boxes.corners, boxes.side, mosaic.shape)
    own = mosaic.grids[0]
    others = [OtherGrid(layers, catalog, boxes.side_of, mosaic) for layers in mosaic.grids[1:]]
    bands = tuple(layer.band for layer in own)
    _expect(own, inside)
    for start in range(0, len(inside), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        rows = boxes.rows[part].tolist()
        boxed = zip(boxes.corners[part], boxes.side[part], inside[part], strict=True)
        windows = [_window(*one) for one in boxed]
        grids = [shifted_wcs(mosaic.wcs, one.corner, (one.side, one.side)) for one in windows]
        places = [positions[row] for row in rows]
        for row, window, wcs, place in zip(rows, windows, grids, places, strict=True):
            try:
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
            except Exception as error:  # noqa: BLE001  damage there must not affect the other galaxies
                why = error_of_file(error, "a readable mosaic", "Fetch it again.")
                yield Cut(row, ids[row], None, 0.0, str(why), why)
                continue
            if coverage < minimum or coverage == 0:
                yield Cut(row, ids[row], None, coverage, f"covered to {coverage:.3f}")
            else:
                yield Cut(row, ids[row], cutout, coverage)


def _redshifts(catalog: Catalog) -> list[float | None]:
    """Return the redshifts of a catalog; missing ones are None."""
    if "redshift" not in catalog.table.colnames:
        return [None] * len(catalog)
    numbers = as_numbers(catalog.table["redshift"], "redshift").tolist()
    return [number if np.isfinite(number) else None for number in numbers]
