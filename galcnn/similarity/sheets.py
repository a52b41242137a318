"""A galaxy and its neighbours, to look at."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from astropy.table import Table

from galcnn.catalog import read_catalog
from galcnn.cutout import Cutout
from galcnn.errors import message
from galcnn.files import load_files
from galcnn.pipeline.sources import FromFiles
from galcnn.viewers.sheets import Entry, sheet_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["neighbour_sheet"]


def neighbour_sheet(
    neighbours: Table,
    query: str,
    catalog: str | os.PathLike[str],
    *,
    images: str | os.PathLike[str] | None = None,
    columns: Mapping[str, str] | None = None,
) -> Figure:
    """Draw a galaxy, then its neighbours with their distances.

    Parameters
    ----------
    neighbours : astropy.table.Table
        Of `galcnn.similarity.nearest`.
    query : str
        Id of the galaxy in the catalog, else an image file.
    catalog : path-like
        Of the run.
    images : path-like, optional
        See `galcnn.pipeline.sources.FromFiles`.
    columns : mapping of str to str, optional
        See `galcnn.catalog.read_catalog`.

    Returns
    -------
    matplotlib.figure.Figure
        The sheet; see `galcnn.viewers.sheets.sheet_figure`.

    Raises
    ------
    ValueError
        A neighbour is not in the catalog.
    Exception
        What the file of one of them is read with.
    """
    read = read_catalog(catalog, columns=columns)
    rows = {name: row for row, name in enumerate(read.ids)}
    source = FromFiles(read, images)
    if missing := [str(name) for name in neighbours["id"] if str(name) not in rows]:
        raise ValueError(
            message("the catalog of the run", "Name its column of identifiers.", missing=missing[:3])
        )
    cutouts = source.read([rows[query]]) if query in rows else [load_files(query)]
    cutouts += source.read([rows[str(name)] for name in neighbours["id"]])
    texts = [f"{Path(query).name}\nthe one asked for"]
    texts += [
        f"{row['id']}\n{row['class']} {row['p']:.2f}\ndistance {row['distance']:.2g}" for row in neighbours
    ]
    entries = []
    for cutout, text in zip(cutouts, texts, strict=True):
        if not isinstance(cutout, Cutout):
            raise cutout
        entries.append(Entry(cutout, text))
    return sheet_figure(entries)
