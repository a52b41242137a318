"""Bands whose mosaic has another grid: the part around a galaxy, brought to that of the cutout."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
from astropy.wcs import WCS

from galcnn.catalog import Catalog
from galcnn.cutout import Cutout
from galcnn.mosaic.mosaic import Layer, Mosaic
from galcnn.mosaic.placing import corners, pixel_positions
from galcnn.mosaic.reading import Window, read_window
from galcnn.transforms import align
from galcnn.transforms.grid import shifted_wcs

__all__ = ["OtherGrid", "with_other_grids"]

#: Pixels around the field that is asked for, so that its outermost pixels are covered whole.
_MARGIN = 3


class OtherGrid:
    """The bands of one grid that is not that of the cutouts.

    Parameters
    ----------
    layers : sequence of Layer
        Of this grid.
    catalog : galcnn.catalog.Catalog
        With positions.
    side : numpy.ndarray
        Pixels of each cutout on its own grid.
    mosaic : Mosaic
        They belong to.
    """

    def __init__(
        self, layers: Sequence[Layer], catalog: Catalog, side: npt.NDArray[np.int64], mosaic: Mosaic
    ) -> None:
        self.layers, self.unit = layers, mosaic.unit
        self.bands = tuple(layer.band for layer in layers)
        first = layers[0]
        self.shape = first.pixels.shape
        positions = catalog.positions
        assert positions is not None  # cut has asked; for the type checker
        x, y = pixel_positions(positions, first.wcs, self.shape)
        self.on = ~np.isnan(x)
        # Whatever the angle between the grids: the diagonal.
        ratio = np.sqrt(2) * _scale(mosaic.wcs) / _scale(first.wcs)
        self.side = np.ceil(side * ratio).astype(np.int64) + 2 * _MARGIN
        corner = np.zeros((len(x), 2), dtype=np.int64)
        corner[self.on, 0] = corners(y[self.on], self.side[self.on])
        corner[self.on, 1] = corners(x[self.on], self.side[self.on])
        self.corner = corner
        boxes = np.array([self._window(row).box for row in np.flatnonzero(self.on).tolist()], dtype=np.int64)
        boxes = boxes.reshape(-1, 4)
        for layer in layers:
            for source in layer.sources:
                source.expect(boxes[np.argsort(boxes[:, 0], kind="stable")])

    def onto(self, reference: Cutout, row: int) -> Cutout | None:
        """Give these bands on the grid of a cutout.

        Parameters
        ----------
        reference : galcnn.cutout.Cutout
            On the grid that is wanted.
        row : int
            Of the catalog.

        Returns
        -------
        galcnn.cutout.Cutout or None
            None where these mosaics do not show the galaxy.
        """
        if not self.on[row]:
            return None
        window = self._window(row)
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
        except ValueError:  # not one pixel of the field is covered
            return None

    def _window(self, row: int) -> Window:
        (bottom, left), side = self.corner[row].tolist(), int(self.side[row])
        y0, y1 = max(bottom, 0), min(bottom + side, self.shape[0])
        x0, x1 = max(left, 0), min(left + side, self.shape[1])
        return Window((bottom, left), side, (y0, y1, x0, x1))


def with_other_grids(cutout: Cutout, others: Sequence[OtherGrid], row: int, bands: tuple[str, ...]) -> Cutout:
    """Add the bands of other grids to a cutout.

    Parameters
    ----------
    cutout : galcnn.cutout.Cutout
        Bands of the first grid.
    others : sequence of OtherGrid
        The rest.
    row : int
        Of the catalog.
    bands : tuple of str
        All, in the wanted order.

    Returns
    -------
    galcnn.cutout.Cutout
        A band that does not show the galaxy is NaN and masked; sigma where all that do have it.
        ``meta["aligned"]`` names the bands that were resampled.
    """
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


def _scale(wcs: WCS) -> float:
    return float(np.sqrt(abs(np.linalg.det(wcs.pixel_scale_matrix))))
