"""Match galaxies of two catalogs by position, and group galaxies on the sky."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import astropy.units as u
import numpy as np
import numpy.typing as npt

from galcnn.catalog.catalog import Catalog
from galcnn.errors import message

if TYPE_CHECKING:
    from astropy.coordinates import SkyCoord


@dataclass(frozen=True, eq=False)
class CrossMatch:
    """Matched rows of two catalogs, one entry per pair, in the row order of the first.

    Attributes
    ----------
    rows : numpy.ndarray
        Rows of the first catalog, each at most once.
    other_rows : numpy.ndarray
        Matched rows of the second catalog.
    separation : astropy.units.Quantity
        Angular separation of each pair, arcsec.
    """

    rows: npt.NDArray[np.intp]
    other_rows: npt.NDArray[np.intp]
    separation: u.Quantity

    def __len__(self) -> int:
        return len(self.rows)


def cross_match(
    catalog: Catalog, other: Catalog, *, radius: u.Quantity, one_to_one: bool = True
) -> CrossMatch:
    """Match galaxies of two catalogs by position, without proper motion.

    Parameters
    ----------
    catalog : Catalog
        Catalog with positions.
    other : Catalog
        Catalog with positions.
    radius : astropy.units.Quantity
        Maximum separation of a pair.
    one_to_one : bool
        If True, each galaxy of `other` is matched at most once and the closest pairs are matched
        first, so that the order of rows matters for exact ties only. If False, each galaxy of
        `catalog` is matched to the nearest galaxy of `other`.

    Returns
    -------
    CrossMatch
        Matched pairs; empty if there are none within `radius`.

    Raises
    ------
    ValueError
        If a catalog has no positions, or the radius is not a positive angle.

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

    _check_radius(radius)
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
    """Join the columns of matched galaxies.

    Parameters
    ----------
    catalog : Catalog
        First catalog.
    other : Catalog
        Second catalog.
    match : CrossMatch
        Match of the two, from `cross_match`.

    Returns
    -------
    Catalog
        Matched rows of `catalog` with the columns of `other`, whose names get the suffix ``_other``
        if they exist already, and `separation`, arcsec.

    Raises
    ------
    ValueError
        If there are no pairs.
    """
    if not len(match):
        raise ValueError(message("at least one pair of galaxies", "Choose a larger --radius.", n_pairs=0))
    table = catalog.table[match.rows]
    theirs = other.table[match.other_rows]
    for name in other.table.colnames:
        free = name
        while free in table.colnames:
            free = f"{free}_other"
        table[free] = theirs[name]
    table["separation"] = match.separation
    return Catalog(table)


def _check_radius(radius: u.Quantity) -> None:
    if not radius.unit.is_equivalent(u.deg) or not radius.isscalar or not 0 < radius.value < np.inf:
        raise ValueError(message("a radius that is a positive angle", "", radius=radius))


def _positions(catalog: Catalog) -> SkyCoord:
    positions = catalog.positions
    if positions is None:
        raise ValueError(
            message(
                "a catalog with positions", "Name their columns: --ra, --dec.", columns=catalog.table.colnames
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


def sky_cells(positions: SkyCoord, nside: int) -> npt.NDArray[np.int64]:
    """Return the HEALPix cell of each position, in nested order (Gorski et al. 2005, ApJ 622, 759).

    Parameters
    ----------
    positions : astropy.coordinates.SkyCoord
        Positions.
    nside : int
        A power of 2; a cell is about 58.6 deg / nside wide.

    Returns
    -------
    numpy.ndarray
        Cell numbers, int64, 0 to ``12 * nside**2 - 1``, in ICRS.

    Raises
    ------
    ValueError
        If `nside` is not a power of 2.

    Examples
    --------
    >>> from astropy.coordinates import SkyCoord
    >>> sky_cells(SkyCoord([45, 90], [80, 0], unit="deg"), 1).tolist()
    [0, 5]
    """
    if nside < 1 or nside & (nside - 1):
        raise ValueError(message("a power of 2 for nside (nested order)", "", nside=nside))
    from astropy.coordinates import ICRS
    from astropy_healpix import HEALPix

    found = HEALPix(nside=nside, order="nested", frame=ICRS()).skycoord_to_healpix(positions)
    cells: npt.NDArray[np.int64] = np.asarray(found, dtype=np.int64)
    return cells


def join_neighbours(
    groups: Sequence[str], positions: SkyCoord, radius: u.Quantity, *, whole: bool = True
) -> list[str]:
    """Regroup galaxies so that no two galaxies within a radius are in different groups.

    Uses friends of friends (Huchra & Geller 1982, ApJ 257, 423). If `whole`, groups with neighbours across
    their border are merged. Otherwise only the neighbours move, to the first of their groups by name, so
    that cells of the sky keep their size.
    """
    _check_radius(radius)
    from astropy.coordinates import search_around_sky
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    # Slightly more than the radius: a pair exactly that far apart must not be lost to rounding.
    one, other, _, _ = search_around_sky(positions, positions, radius * (1 + 1e-9))
    names, number = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
    if whole:  # link each galaxy to the first one of its group
        _, first = np.unique(number, return_index=True)
        one, other = np.concatenate([one, np.arange(len(number))]), np.concatenate([other, first[number]])
    links = coo_array((np.ones(len(one), dtype=np.bool_), (one, other)), shape=(len(number), len(number)))
    n_friends, friends = connected_components(links, directed=False)
    lowest = np.full(n_friends, len(names))
    np.minimum.at(lowest, friends, number)
    return [str(name) for name in names[lowest[friends]]]
