"""Groups of galaxies on the sky: cells of HEALPix, and neighbours that must not be parted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import astropy.units as u
import numpy as np
import numpy.typing as npt

from galcnn.errors import message

if TYPE_CHECKING:
    from astropy.coordinates import SkyCoord

__all__ = ["join_neighbours", "sky_cells"]


def sky_cells(positions: SkyCoord, nside: int) -> npt.NDArray[np.int64]:
    """Give the HEALPix cell of each position, in nested order (Gorski et al. 2005, ApJ 622, 759).

    Parameters
    ----------
    positions : astropy.coordinates.SkyCoord
        Any number.
    nside : int
        A power of 2; a cell is about 58.6 deg / nside wide.

    Returns
    -------
    numpy.ndarray
        int64, from 0 to ``12 * nside**2 - 1``; cells on the sphere of ICRS.

    Raises
    ------
    ValueError
        `nside` is not a power of 2.

    Examples
    --------
    >>> from astropy.coordinates import SkyCoord
    >>> sky_cells(SkyCoord([45, 90], [80, 0], unit="deg"), 1).tolist()
    [0, 5]
    """
    if nside < 1 or nside & (nside - 1):
        raise ValueError(message("a power of 2 for nside, as nested order wants", "", nside=nside))
    from astropy.coordinates import ICRS
    from astropy_healpix import HEALPix

    found = HEALPix(nside=nside, order="nested", frame=ICRS()).skycoord_to_healpix(positions)
    cells: npt.NDArray[np.int64] = np.asarray(found, dtype=np.int64)
    return cells


def join_neighbours(
    groups: Sequence[str], positions: SkyCoord, radius: u.Quantity, *, whole: bool = True
) -> list[str]:
    """Regroup galaxies so that no two of them within a radius of each other are in two groups.

    Neighbours of neighbours belong together, too (friends of friends; Huchra & Geller 1982, ApJ
    257, 423).

    Parameters
    ----------
    groups : sequence of str
        Of each galaxy.
    positions : astropy.coordinates.SkyCoord
        Of each galaxy.
    radius : astropy.units.Quantity
        An angle.
    whole : bool
        Whether groups stay whole, so that two with neighbours across their border become one.
        Otherwise friends who stand in several groups all go to the first of them (by name): cells
        of the sky keep their size that way, however crowded their borders.

    Returns
    -------
    list of str
        A group for each galaxy.

    Raises
    ------
    ValueError
        The radius is not a positive angle.
    """
    if not radius.unit.is_equivalent(u.deg) or not radius.isscalar or not 0 < radius.value < np.inf:
        raise ValueError(message("a radius that is a positive angle", "", radius=radius))
    from astropy.coordinates import search_around_sky
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    # A little more than the radius: a pair exactly that far apart must not be lost to rounding.
    one, other, _, _ = search_around_sky(positions, positions, radius * (1 + 1e-9))
    names, number = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
    if whole:  # links each galaxy to the first one of its group
        _, first = np.unique(number, return_index=True)
        one, other = np.concatenate([one, np.arange(len(number))]), np.concatenate([other, first[number]])
    links = coo_array((np.ones(len(one), dtype=np.bool_), (one, other)), shape=(len(number), len(number)))
    n_friends, friends = connected_components(links, directed=False)
    lowest = np.full(n_friends, len(names))
    np.minimum.at(lowest, friends, number)
    return [str(name) for name in names[lowest[friends]]]
