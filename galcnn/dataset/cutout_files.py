"""The calibrated cutouts of a catalog, read when they are asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from galcnn.catalog import Catalog
from galcnn.cutout import Cutout
from galcnn.errors import message
from galcnn.files import load_files

__all__ = ["CutoutFiles"]


class CutoutFiles(Mapping[str, Cutout]):
    """The calibrated cutouts of a catalog as they are in their files, of any field.

    Parameters
    ----------
    catalog : galcnn.catalog.Catalog
        With a column `image`; its redshifts are those of cutouts whose files do not say.
    bands : tuple of str, optional
        Which bands to take; all by default.
    megabytes : float
        So much is held in memory once read; the rest is read again and again.

    Raises
    ------
    ValueError
        No column `image`.
    """

    def __init__(
        self, catalog: Catalog, *, bands: tuple[str, ...] | None = None, megabytes: float = 1000.0
    ) -> None:
        table = catalog.table
        if "image" not in table.colnames:
            raise ValueError(
                message("a column with the path of each image", "Name it.", columns=table.colnames)
            )
        self._paths = dict(zip(catalog.ids, map(str, table["image"]), strict=True))
        self._redshifts: dict[str, float] = {}
        if "redshift" in table.colnames:
            values: npt.NDArray[np.float64] = np.ma.filled(
                np.ma.asarray(table["redshift"], dtype=float), np.nan
            )
            self._redshifts = dict(zip(catalog.ids, values.tolist(), strict=True))
        self._bands, self._room = bands, megabytes * 1e6
        self._held: dict[str, Cutout] = {}

    def __getitem__(self, name: str) -> Cutout:
        if name in self._held:
            return self._held[name]
        cutout = load_files(self._paths[name], bands=self._bands)
        redshift = self._redshifts.get(name, np.nan)
        if cutout.redshift is None and redshift > 0:
            cutout = replace(cutout, redshift=redshift)
        size = cutout.flux.nbytes + cutout.mask.nbytes
        size += sum(part.nbytes for part in (cutout.sigma, cutout.psf) if part is not None)
        if self._room >= size:
            self._room -= size
            self._held[name] = cutout
        return cutout

    def __iter__(self) -> Iterator[str]:
        return iter(self._paths)

    def __len__(self) -> int:
        return len(self._paths)
