"""No galaxy and no neighbour of it on both sides: by separations computed pair by pair."""

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.table import QTable

from galcnn.catalog import Catalog, read_catalog
from galcnn.catalog.catalog import SPLITS
from galcnn.catalog.matching import join_neighbours, sky_cells
from galcnn.dataset import split_catalog


def closest_across(catalog):
    """The smallest separation of two galaxies on different sides, by brute force, arcsec."""
    positions, sides = catalog.positions, np.asarray(catalog.table["split"])
    smallest = np.inf
    for row in range(len(catalog)):
        across = sides != sides[row]
        smallest = min(smallest, positions[row].separation(positions[across]).min().to_value(u.arcsec))
    return smallest


def crowd(n, seed=0):
    """Pairs, 0.2 to 0.9 arcmin apart, in a field where four cells of nside 16 meet, and RA 0 too."""
    rng = np.random.default_rng(seed)
    ra, dec = rng.uniform(-4, 4, n), np.degrees(np.arcsin(rng.uniform(-0.07, 0.07, n)))
    near = rng.uniform(0.2, 0.9, n) / 60
    angle = rng.uniform(0, 2 * np.pi, n)
    ra = np.concatenate([ra, ra + near * np.cos(angle)]) % 360
    dec = np.concatenate([dec, dec + near * np.sin(angle)])
    labels = rng.choice(["a", "b"], 2 * n)
    return Catalog(QTable({"id": [f"g{i}" for i in range(2 * n)], "ra": ra, "dec": dec, "class": labels}))


def test_neighbours_of_an_invented_crowd_stay_together():
    catalog = crowd(400)
    parted = split_catalog(catalog, by="object", seed=3)
    assert closest_across(parted) < 60  # so that the test can fail
    for by in ("object", "sky-region"):
        split = split_catalog(catalog, by=by, radius=1 * u.arcmin, nside=32, seed=3)
        assert closest_across(split) > 60
        assert set(split.table["split"]) == set(SPLITS)


def test_a_region_is_on_one_side_but_for_its_border():
    catalog = crowd(400)
    split = split_catalog(catalog, by="sky-region", nside=32, seed=3)
    cells = sky_cells(catalog.positions, 32)
    sides = np.asarray(split.table["split"])
    away = 0
    for cell in np.unique(cells):
        _, counts = np.unique(sides[cells == cell], return_counts=True)
        away += counts.sum() - counts.max()
    assert 0 < away < 0.05 * len(catalog)


def test_the_order_of_rows_changes_nothing():
    catalog = crowd(300)
    order = np.random.default_rng(1).permutation(len(catalog))
    for by in ("object", "sky-region"):
        one, two = (split_catalog(c, by=by, radius=1 * u.arcmin) for c in (catalog, catalog.select(order)))
        sides = dict(zip(one.ids, one.table["split"], strict=True))
        assert [sides[name] for name in two.ids] == two.table["split"].tolist()


def test_real_galaxies_by_brute_force(real_data):
    catalog = read_catalog(
        real_data / "catalogs" / "galaxy10_decals_catalog.csv", columns={"class": "class_name"}
    )
    some = catalog.select(
        np.flatnonzero((catalog.table["ra"].value > 300) & (np.abs(catalog.table["dec"].value) < 5))
    )
    assert len(some) > 800
    assert closest_across(split_catalog(some, by="object", seed=1)) < 60
    assert closest_across(split_catalog(some, by="object", radius=1 * u.arcmin, seed=1)) > 60
    assert closest_across(split_catalog(some, by="sky-region", nside=32, radius=2 * u.arcmin, seed=1)) > 120


def test_friends_of_friends_and_whole_groups():
    positions = SkyCoord([0, 0.9, 1.8, 10, 10.9], [0] * 5, unit="arcmin")
    groups = ["a", "b", "c", "a", "d"]
    assert join_neighbours(groups, positions, 1 * u.arcmin) == ["a"] * 5
    assert join_neighbours(groups, positions, 1 * u.arcmin, whole=False) == ["a", "a", "a", "a", "a"]
    groups = ["a", "b", "c", "b", "d"]
    assert join_neighbours(groups, positions, 1 * u.arcmin, whole=False) == ["a", "a", "a", "b", "b"]
    assert join_neighbours(groups, positions, 0.5 * u.arcmin) == groups
    assert join_neighbours(groups, positions, 0.9 * u.arcmin, whole=False) == ["a", "a", "a", "b", "b"]


def test_cells_are_those_of_healpix():
    """The twelve base cells by their centres (Gorski et al. 2005): rings of four at +-41.8 deg and at 0."""
    ra = [45, 135, 225, 315, 0, 90, 180, 270, 45, 135, 225, 315]
    dec = [41.8] * 4 + [0] * 4 + [-41.8] * 4
    assert sky_cells(SkyCoord(ra, dec, unit="deg"), 1).tolist() == list(range(12))
    # Nested: a cell's number at twice the nside is four times its parent's, and a little more.
    sky = SkyCoord(np.linspace(0, 359, 50), np.linspace(-89, 89, 50), unit="deg")
    assert (sky_cells(sky, 32) // 4).tolist() == sky_cells(sky, 16).tolist()


def test_what_cannot_be_split_on_the_sky_is_refused():
    catalog = crowd(40)
    with pytest.raises(ValueError, match="a power of 2 for nside"):
        split_catalog(catalog, by="sky-region", nside=12)
    with pytest.raises(ValueError, match="a positive angle"):
        split_catalog(catalog, radius=1 * u.m)
    with pytest.raises(ValueError, match="positions, to know regions"):
        split_catalog(Catalog(catalog.table["id", "class"]), by="sky-region")
    with pytest.raises(ValueError, match="in at least 3 groups"):
        split_catalog(catalog, radius=10 * u.deg)
