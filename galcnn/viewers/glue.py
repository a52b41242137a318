"""Data factory for layers files in glue, registered by the entry-point group `glue.plugins`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.io import fits

from galcnn.catalog.names import image_stem
from galcnn.viewers.contents import holds_layers, layers_of

if TYPE_CHECKING:
    from glue.core import Data


_TABLES = ("MORPHOLOGY",)


def setup() -> None:
    """Register the reader of layers files; called by glue when it starts."""
    from glue.config import data_factory

    # A higher priority than glue's own FITS reader, which would make a data set of every layer.
    data_factory("galcnn layers", holds_layers, priority=1000)(read_layers)


def read_layers(path: str | os.PathLike[str]) -> list[Data]:
    """Return the layers of a file as glue data sets, one per grid, and its tables."""
    from glue.core import Data

    stem = image_stem(path)
    grids: dict[tuple[Any, ...], Any] = {}
    for layer in layers_of(path):
        if layer.hdu.split("_")[0] == "PSF":
            continue
        where = None if layer.wcs is None else layer.wcs.to_header_string()
        key = (layer.data.shape, where)
        if key not in grids:
            label = stem if not grids else f"{stem} {layer.name}"
            grids[key] = Data(label=label, coords=layer.wcs)
        grids[key].add_component(layer.data, layer.name)
    return [*grids.values(), *_tables(path, stem)]


def _tables(path: str | os.PathLike[str], stem: str) -> list[Data]:
    from glue.core import Data

    found = []
    with fits.open(path) as hdulist:
        for hdu in hdulist:
            if hdu.header.get("OWNNAME", hdu.name) in _TABLES and "LAYERFMT" in hdu.header:
                data = Data(label=f"{stem} {hdu.name}")
                for name in hdu.columns.names:
                    column = np.asarray(hdu.data[name])
                    plain = column.astype(str) if column.dtype.kind in "SU" else column
                    data.add_component(plain.astype(plain.dtype.newbyteorder("="), copy=False), name)
                found.append(data)
    return found
