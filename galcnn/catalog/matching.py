"""Two catalogs, one sky: which of their rows are the same galaxy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import astropy.units as u
import numpy as np
import numpy.typing as npt

from galcnn.catalog.catalog import Catalog
from galcnn.errors import message

if TYPE_CHECKING:
    from astropy.coordinates import SkyCoord

__all__ = ["CrossMatch", "cross_match", "join_match"]


@dataclass(frozen=True, eq=False)
class CrossMatch:
    """Pairs of rows of two catalogs, one entry a pair, in the order of the first catalog.

    Attributes
    ----------
    rows : numpy.ndarray
        Of the first catalog; each stands here once.
    other_rows : numpy.ndarray
        Of the second.
    separation : astropy.units.Quantity
        On the sky, arcsec.
    """

    rows: npt.NDArray[np.intp]
    other_rows: npt.NDArray[np.intp]
    separation: u.Quantity

    def __len__(self) -> int:
        return len(self.rows)


def cross_match(
    catalog: Catalog, other: Catalog, *, radius: u.Quantity, one_to_one: bool = True
) -> CrossMatch:
    """Find the galaxies of one catalog in another by position, without proper motion.

    Parameters
    ----------
    catalog : Catalog
        With positions.
    other : Catalog
        With positions.
    radius : astropy.units.Quantity
        Pairs further apart are none.
    one_to_one : bool
        Whether a galaxy of `other` may be taken once only: the closest pairs are taken first, so
        that the order of the rows decides nothing but exact ties. Otherwise each galaxy of
        `catalog` takes its nearest one.

    Returns
    -------
    CrossMatch
        Empty where nothing is within `radius`.

    Raises
    ------
    ValueError
        A catalog has no positions, or the radius is not a positive angle.

    Examples
    --------
    >>> from astropy.table import QTable
    >>> one = Catalog(QTable({"id": ["a", "b"], "ra": [10.0, 20.0], "dec": [0.0, 0.0]}))
    >>> two = Catalog(QTable({"id": ["x"], "ra": [20.0001], "dec": [0.0]}))
    >>> found = cross_match(one, two, radius=1 * u.arcsec)
    >>> found.rows, found.other_rows, found.separation.round(2)
    (array([1]), array([0]), <Quantity [0.36] arcsec>)
    """
    from astropy.coordinates import search_around_sky

    if not radius.unit.is_equivalent(u.deg) or not radius.isscalar or not 0 < radius.value < np.inf:
        raise ValueError(message("a radius that is a positive angle", "", radius=radius))
    mine, theirs = _positions(catalog), _positions(other)
    if one_to_one:
        rows, others, separation, _ = search_around_sky(mine, theirs, radius)
        chosen = _closest_first(rows, others, separation.value)
        rows, others, separation = rows[chosen], others[chosen], separation[chosen]
    else:
        others, separation, _ = mine.match_to_catalog_sky(theirs)
        rows = np.flatnonzero(separation <= radius)
        others, separation = others[rows], separation[rows]
    order = np.argsort(rows)
    return CrossMatch(rows[order], others[order], separation[order].to(u.arcsec).view(u.Quantity))


def join_match(catalog: Catalog, other: Catalog, match: CrossMatch) -> Catalog:
    """Lay the columns of matched galaxies side by side.

    Parameters
    ----------
    catalog : Catalog
        The first one.
    other : Catalog
        The second one.
    match : CrossMatch
        Of the two.

    Returns
    -------
    Catalog
        The matched rows of `catalog`, with the columns of `other` (those whose names are taken
        end in ``_other``) and `separation`, arcsec.

    Raises
    ------
    ValueError
        There is no pair.
    """
    if not len(match):
        raise ValueError(message("at least one pair of galaxies", "Choose a larger radius.", n_pairs=0))
    table = catalog.table[match.rows]
    theirs = other.table[match.other_rows]
    for name in other.table.colnames:
        free = name
        while free in table.colnames:
            free = f"{free}_other"
        table[free] = theirs[name]
    table["separation"] = match.separation
    return Catalog(table)


def _positions(catalog: Catalog) -> SkyCoord:
    positions = catalog.positions
    if positions is None:
        raise ValueError(
            message(
                "a catalog with positions", "Name its columns ra and dec.", columns=catalog.table.colnames
            )
        )
    return positions


def _closest_first(
    rows: npt.NDArray[np.intp], others: npt.NDArray[np.intp], separation: npt.NDArray[Any]
) -> list[int]:
    taken: set[int] = set()
    given: set[int] = set()
    chosen = []
    for pair in np.lexsort((others, rows, separation)):
        row, other = int(rows[pair]), int(others[pair])
        if row not in taken and other not in given:
            taken.add(row)
            given.add(other)
            chosen.append(int(pair))
    return chosen
