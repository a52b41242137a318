"""Train, validation and test splits by groups of galaxies, stratified by class."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING

import astropy.units as u
import numpy as np

from galcnn._runtime import seeding
from galcnn.catalog import Catalog
from galcnn.catalog.catalog import SPLITS
from galcnn.catalog.matching import join_neighbours, sky_cells
from galcnn.errors import did_you_mean, message

if TYPE_CHECKING:
    from astropy.coordinates import SkyCoord


#: Galaxies of two sky regions that are closer than this are put in the same split.
NEIGHBOURS = 1 * u.arcmin


def split_catalog(
    catalog: Catalog,
    *,
    by: str = "auto",
    fractions: tuple[float, float, float] = (0.7, 0.15, 0.15),
    seed: int = 0,
    radius: u.Quantity | None = None,
    nside: int = 16,
) -> Catalog:
    """Split a catalog into train, validation and test.

    All galaxies of a group are in the same split. Groups are split class by class, where a group counts
    for its rarest class, in the order of a keyed hash. The result does not depend on the order of the
    rows, and each split contains each class.

    Parameters
    ----------
    catalog : galcnn.catalog.Catalog
        Catalog of the galaxies. Without a column `class` all are of one class. A catalog with a column
        `split` is returned unchanged.
    by : str
        Group of a galaxy: ``"object"`` (itself), ``"sdss-field"`` (run, camcol and field of the objid,
        with the same seeing), ``"sky-region"`` (HEALPix cell), the name of a column, or ``"auto"``:
        SDSS field if every id is an SDSS objid, else object.
    fractions : tuple of float
        Fractions of train, validation and test, with sum 1.
    seed : int
        Seed of the hash.
    radius : astropy.units.Quantity, optional
        Galaxies closer to each other than this angle are put in the same split. Groups with such
        neighbours are merged; of sky regions, only the neighbours themselves are moved to one of the
        regions. By default 1 arcmin for sky regions and no limit otherwise.
    nside : int
        HEALPix resolution of the sky regions (nested order, ICRS); cells are 3.7 deg wide for 16.

    Returns
    -------
    galcnn.catalog.Catalog
        Catalog with a column `split`.

    Raises
    ------
    ValueError
        If a class is missing from a split because it has too few groups, the fractions are invalid,
        `by` is unknown, or positions are needed and missing.
    """
    if "split" in catalog.table.colnames:
        return catalog
    if len(fractions) != 3 or min(fractions) <= 0 or abs(sum(fractions) - 1) > 1e-6:
        raise ValueError(message("three positive fractions with sum 1", "", fractions=fractions))
    labels = catalog.labels if "class" in catalog.table.colnames else np.full(len(catalog), "galaxy")
    classes = [str(name) for name in np.unique(labels)]
    members = defaultdict(list)
    for row, group in enumerate(split_groups(catalog, by, radius=radius, nside=nside)):
        members[group].append(row)
    frequency = {name: int(np.sum(labels == name)) for name in classes}
    strata = defaultdict(list)
    for group, rows in members.items():
        strata[min((labels[row] for row in rows), key=lambda name: (frequency[name], name))].append(group)
    split = np.full(len(catalog), SPLITS[0], dtype="U10")
    for name in classes:
        groups = sorted(strata[name], key=lambda group: (seeding.uniform(seed, "split", group), group))
        if len(groups) < 3:  # too few to split; groups of a rarer class may contain this one
            continue
        n_test = max(1, round(fractions[2] * len(groups)))
        n_validation = max(1, round(fractions[1] * len(groups)))
        for side, chosen in (
            ("test", groups[:n_test]),
            ("validation", groups[n_test : n_test + n_validation]),
        ):
            for group in chosen:
                split[members[group]] = side
    for name in classes:
        if set(split[labels == name]) != set(SPLITS):
            raise ValueError(
                message(
                    f"galaxies of class {name!r} in at least 3 groups (by {by}), for each of {SPLITS}",
                    "Merge it with another class (--merge), drop it (--drop), or split by smaller groups.",
                    n_galaxies=frequency[name],
                    n_groups=sum(name in labels[rows] for rows in members.values()),
                )
            )
    return catalog.with_column("split", split)


def split_groups(
    catalog: Catalog, by: str, *, radius: u.Quantity | None = None, nside: int = 16
) -> list[str]:
    """Return the group of each galaxy."""
    if by == "sky-region":
        positions = _positions(catalog)
        cells = [f"{cell:09d}" for cell in sky_cells(positions, nside)]
        return join_neighbours(cells, positions, NEIGHBOURS if radius is None else radius, whole=False)
    groups = _plain_groups(catalog, by)
    return groups if radius is None else join_neighbours(groups, _positions(catalog), radius)


def _plain_groups(catalog: Catalog, by: str) -> list[str]:
    if by == "auto":
        by = "sdss-field" if _all_sdss(catalog.ids) else "object"
    if by == "object":
        return catalog.ids
    if by == "sdss-field":
        return ["-".join(map(str, sdss_field(name))) for name in catalog.ids]
    if by in catalog.table.colnames:
        return [str(value) for value in catalog.table[by]]
    raise ValueError(
        message(
            "a split by object, sdss-field, sky-region or a column",
            did_you_mean(by, ["object", "sdss-field", "sky-region", *catalog.table.colnames]),
            by=by,
            columns=catalog.table.colnames,
        )
    )


def _positions(catalog: Catalog) -> SkyCoord:
    positions = catalog.positions
    if positions is None:
        raise ValueError(
            message(
                "positions, to know regions and neighbours on the sky",
                "Name their columns (--ra, --dec), or split by object, without neighbours.",
                columns=catalog.table.colnames,
            )
        )
    return positions


def sdss_field(objid: str | int) -> tuple[int, int, int]:
    """Decode the field of an SDSS object from its identifier.

    The bits of an objid are, from the highest: 1 empty, 4 sky version, 11 rerun, 16 run,
    3 camcol, 1 first field, 12 field, 16 object (SDSS SkyServer, function fObjID).

    Parameters
    ----------
    objid : str or int
        SDSS objid, 64 bit.

    Returns
    -------
    tuple of int
        Run, camcol, field.

    Raises
    ------
    ValueError
        If it is not an SDSS objid.

    Examples
    --------
    >>> sdss_field(588848901537202306)
    (756, 6, 641)
    """
    text = str(objid)
    number = int(text) if text.isascii() and text.isdigit() else 0
    run, camcol, field = (number >> 32) & 0xFFFF, (number >> 29) & 0x7, (number >> 16) & 0xFFF
    if number >> 63 or not number >> 59 or not run or not 1 <= camcol <= 6:
        raise ValueError(message("an SDSS objid", "Split by object or by a column.", objid=text))
    return run, camcol, field


def _all_sdss(ids: Sequence[str]) -> bool:
    try:
        for name in ids:
            sdss_field(name)
    except ValueError:
        return False
    return True
