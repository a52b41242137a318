"""Catalog: what is known of each galaxy (id, position, redshift, class, split, image)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from astropy.table import QTable

from galcnn.catalog.columns import (
    as_degrees,
    as_numbers,
    as_text,
    check_ids,
    check_redshifts,
    image_paths,
)
from galcnn.errors import message

if TYPE_CHECKING:
    from astropy.coordinates import SkyCoord

__all__ = ["SPLITS", "TEXT_COLUMNS", "Catalog"]

SPLITS = ("train", "validation", "test")

#: Known columns that are text, whatever they look like.
TEXT_COLUMNS = ("id", "class", "split", "image")


@dataclass(frozen=True, eq=False)
class Catalog:
    """A table with one row a galaxy, whose known columns are checked.

    Attributes
    ----------
    table : astropy.table.QTable
        `id` (text, unique) is required. Known and checked where present: `ra`, `dec` (deg,
        ICRS), `redshift` (numbers; missing and unphysical ones are kept), `class` (text), `split`
        (train, validation or test), `image` (path; commas
        separate several files of one galaxy). Other columns are carried along.

    Raises
    ------
    ValueError
        A known column does not hold what it must.

    Examples
    --------
    >>> from astropy.table import QTable
    >>> catalog = Catalog(QTable({"id": ["a", "b"], "class": ["spiral", "elliptical"]}))
    >>> len(catalog), catalog.classes
    (2, ('elliptical', 'spiral'))
    """

    table: QTable

    def __post_init__(self) -> None:
        table = QTable(self.table, copy=True)
        if "id" not in table.colnames:
            raise ValueError(
                message("a column 'id'", "Name the column that holds it.", columns=table.colnames)
            )
        for name in TEXT_COLUMNS:
            if name in table.colnames:
                table[name] = as_text(table[name], name)
        check_ids(table["id"])
        for name in ("ra", "dec"):
            if name in table.colnames:
                table[name] = as_degrees(table[name], name)
        if "dec" in table.colnames and np.any(np.abs(table["dec"].value) > 90):
            raise ValueError(message("declinations within +-90 deg", "Are ra and dec swapped?"))
        if "redshift" in table.colnames:
            check_redshifts(table["redshift"])
        if "split" in table.colnames:
            wrong = sorted({str(name) for name in table["split"]} - set(SPLITS))
            if wrong:
                raise ValueError(message(f"splits among {SPLITS}", "", split=wrong))
        object.__setattr__(self, "table", table)

    def __len__(self) -> int:
        return len(self.table)

    @property
    def ids(self) -> list[str]:
        """Identifiers, in row order."""
        return [str(name) for name in self.table["id"]]

    @property
    def labels(self) -> npt.NDArray[np.str_]:
        """Class of each galaxy; raises `ValueError` without a column `class`, or with gaps in it."""
        labels = np.asarray(self._column("class"), dtype=str)
        if missing := int(np.sum(labels == "")):
            raise ValueError(message("a class in every row", "Drop the rows without one.", missing=missing))
        return labels

    @property
    def classes(self) -> tuple[str, ...]:
        """Distinct classes, sorted."""
        return tuple(str(name) for name in np.unique(self.labels))

    @property
    def images(self) -> dict[str, tuple[Path, ...]]:
        """Id -> image files of each galaxy; raises `ValueError` without a column `image`."""
        paths = map(image_paths, map(str, self._column("image")))
        return dict(zip(self.ids, paths, strict=True))

    @property
    def positions(self) -> SkyCoord | None:
        """Sky positions (ICRS), or None without `ra` and `dec`."""
        if not {"ra", "dec"} <= set(self.table.colnames):
            return None
        from astropy.coordinates import SkyCoord

        return SkyCoord(self.table["ra"], self.table["dec"], frame="icrs")

    @property
    def redshifts(self) -> npt.NDArray[np.float64]:
        """Redshift of each galaxy; raises `ValueError` where one is missing, or not above 0."""
        redshifts = as_numbers(self._column("redshift"), "redshift")
        wrong = ~(np.isfinite(redshifts) & (redshifts > 0))
        if wrong.any():
            raise ValueError(
                message(
                    "a redshift above 0 in every row",
                    "Drop the rows without one: catalog.select(...).",
                    n_without=int(wrong.sum()),
                    ids=[name for name, bad in zip(self.ids, wrong, strict=True) if bad][:5],
                )
            )
        return redshifts

    def select(self, rows: npt.NDArray[Any] | Sequence[int]) -> Catalog:
        """Give some of the rows.

        Parameters
        ----------
        rows : array of bool or int
            A boolean for each row, or row numbers in the wanted order.

        Returns
        -------
        Catalog
            With these rows alone.
        """
        chosen = np.asarray(rows)
        return Catalog(self.table[chosen if chosen.dtype == np.bool_ else chosen.astype(np.intp)])

    def with_column(self, name: str, values: object) -> Catalog:
        """Give the same catalog with one column added or replaced.

        Parameters
        ----------
        name : str
            The column.
        values : array-like
            One value a row.

        Returns
        -------
        Catalog
            A new one; this one stays as it is.
        """
        table = self.table.copy()
        table[name] = values
        return Catalog(table)

    def _column(self, name: str) -> Any:
        if name not in self.table.colnames:
            raise ValueError(
                message(f"a column {name!r}", "Name the column that holds it.", columns=self.table.colnames)
            )
        return self.table[name]
