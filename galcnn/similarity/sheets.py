"""A galaxy and its neighbours, to look at."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from astropy.table import Table

from galcnn.catalog import read_catalog
from galcnn.cutout import Cutout
from galcnn.dataset import InputFiles
from galcnn.errors import message
from galcnn.files import load_cutout
from galcnn.viewers.plots.sheets import Entry, sheet_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["neighbour_sheet"]


def neighbour_sheet(
    neighbours: Table,
    query: str | Sequence[str | os.PathLike[str]],
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
    query : str or sequence of path-like
        Id of the galaxy in the catalog, or its image files.
    catalog : path-like
        Of the run.
    images : path-like, optional
        See `galcnn.dataset.InputFiles.of`.
    columns : mapping of str to str, optional
        See `galcnn.catalog.read_catalog`.

    Returns
    -------
    matplotlib.figure.Figure
        The sheet; see `galcnn.viewers.plots.sheets.sheet_figure`.

    Raises
    ------
    ValueError
        A neighbour is not in the catalog.
    Exception
        What the file of one of them is read with.
    """
    read = read_catalog(catalog, columns=columns)
    rows = {name: row for row, name in enumerate(read.ids)}
    source = InputFiles.of(read, images)
    if missing := [str(name) for name in neighbours["id"] if str(name) not in rows]:
        raise ValueError(
            message("the catalog of the run", "Name its column of identifiers.", missing=missing[:3])
        )
    if isinstance(query, str):
        if query not in rows:
            raise ValueError(message("the id of a galaxy of the catalog", "", query=query))
        cutouts, shown = source.read([rows[query]]), query
    else:
        cutouts, shown = [load_cutout(query)], Path(query[0]).name
    cutouts += source.read([rows[str(name)] for name in neighbours["id"]])
    texts = [f"{shown}\nthe one asked for"]
    texts += [
        f"{row['id']}\n{row['class']} {row['p']:.2f}\ndistance {row['distance']:.2g}" for row in neighbours
    ]
    entries = []
    for cutout, text in zip(cutouts, texts, strict=True):
        if not isinstance(cutout, Cutout):
            raise cutout
        entries.append(Entry(cutout, text))
    return sheet_figure(entries)
