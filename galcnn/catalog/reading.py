"""Files of tables <-> Catalog."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from astropy.table import QTable

from galcnn.catalog.catalog import TEXT_COLUMNS, Catalog
from galcnn.catalog.columns import image_paths
from galcnn.catalog.tables import read_table, write_table
from galcnn.errors import message

__all__ = ["read_catalog", "write_catalog"]

#: Taken for the id, in this order, where no column is named.
_ID_COLUMNS = ("objid", "objID", "ID", "name")


def read_catalog(path: str | os.PathLike[str], *, columns: Mapping[str, str] | None = None) -> Catalog:
    """Read a table and check it.

    Parameters
    ----------
    path : path-like
        ECSV, CSV, FITS, VOTable or Parquet, told apart by suffix.
    columns : mapping of str to str, optional
        The file's names of the known columns, e.g. ``{"id": "objid", "class": "morphology"}``.
        Without an entry for `id`, a column `id`, `objid`, `objID`, `ID` or `name` is taken, else
        the stem of the `image` column, else the row number.

    Returns
    -------
    Catalog
        Relative paths in `image` are resolved against the file's folder; commas separate several
        files of one galaxy.

    Raises
    ------
    FileNotFoundError
        No such file.
    ValueError
        It cannot be read, or a named column is not there.
    """
    file, named = Path(path), dict(columns or {})
    table = read_table(file, texts={*_actual_texts(named), *TEXT_COLUMNS, *_ID_COLUMNS})
    for known, actual in named.items():
        if actual not in table.colnames:
            raise ValueError(
                message(f"a column {actual!r} in {file.name}", "Check its spelling.", columns=table.colnames)
            )
        if known != actual:
            # Copied, not renamed: one column may serve twice (an image's name as its id).
            table[known] = table[actual]
    if "image" in table.colnames:
        folder = file.resolve().parent
        table["image"] = [_joined(image_paths(str(name), folder)) for name in table["image"]]
    if "id" not in table.colnames:
        table["id"] = _default_ids(table)
    return Catalog(table)


def write_catalog(catalog: Catalog, path: str | os.PathLike[str]) -> None:
    """Write a catalog, whole or not at all; `read_catalog` gives it back.

    Parameters
    ----------
    catalog : Catalog
        Any.
    path : path-like
        Ends in .ecsv, .csv, .fits, .vot, .xml or .parquet. Paths in `image` below its folder are
        written relative to it, so that the two can be moved together.

    Raises
    ------
    ValueError
        Another suffix.
    OSError
        The folder cannot be written.
    """
    table = catalog.table
    if "image" in table.colnames:
        folder, table = Path(path).resolve().parent, table.copy()
        table["image"] = [
            _joined(
                image.relative_to(folder).as_posix() if image.is_relative_to(folder) else image
                for image in images
            )
            for images in catalog.images.values()
        ]
    write_table(table, path)


def _joined(paths: Iterable[str | Path]) -> str:
    return ",".join(map(str, paths))


def _actual_texts(named: Mapping[str, str]) -> list[str]:
    return [actual for known, actual in named.items() if known in TEXT_COLUMNS]


def _default_ids(table: QTable) -> Any:
    for name in _ID_COLUMNS:
        if name in table.colnames:
            return table[name]
    if "image" in table.colnames:
        return [image_paths(str(name))[0].stem for name in table["image"]]
    return [str(i) for i in range(len(table))]
