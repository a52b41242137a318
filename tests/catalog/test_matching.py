"""Matches against separations computed pair by pair, near the poles and across RA 0 too."""

import astropy.units as u
import numpy as np
import pytest
from astropy.table import QTable

from galcnn.catalog import Catalog, cross_match, join_match, read_catalog


def catalog(ra, dec, prefix="g", **columns):
    return Catalog(QTable({"id": [f"{prefix}{i}" for i in range(len(ra))], "ra": ra, "dec": dec} | columns))


def scattered(n, seed, centre):
    """Galaxies within a few arcseconds, so that many have several neighbours."""
    rng = np.random.default_rng(seed)
    dec = np.clip(centre[1] + rng.uniform(-6, 6, n) / 3600, -90, 90)
    ra = (centre[0] + rng.uniform(-6, 6, n) / 3600 / max(np.cos(np.radians(centre[1])), 1e-6)) % 360
    return ra, dec


@pytest.mark.parametrize("centre", [(0.0, 0.0), (150.0, 2.0), (10.0, 89.9995)])
def test_pairs_are_those_of_brute_force(centre):
    one = catalog(*scattered(40, 1, centre))
    two = catalog(*scattered(30, 2, centre))
    apart = one.positions[:, np.newaxis].separation(two.positions[np.newaxis]).to_value(u.arcsec)
    nearest = cross_match(one, two, radius=1.5 * u.arcsec, one_to_one=False)
    assert nearest.rows.tolist() == np.flatnonzero(apart.min(axis=1) <= 1.5).tolist()
    assert nearest.other_rows.tolist() == apart.argmin(axis=1)[nearest.rows].tolist()
    unique = cross_match(one, two, radius=1.5 * u.arcsec)
    wanted = []
    left = apart.copy()
    while left.min() <= 1.5:
        row, other = np.unravel_index(left.argmin(), left.shape)
        wanted.append((row, other))
        left[row], left[:, other] = np.inf, np.inf
    assert list(zip(unique.rows, unique.other_rows, strict=True)) == sorted(wanted)
    assert len(set(unique.other_rows)) == len(unique) < len(nearest)
    assert unique.separation.to_value(u.arcsec) == pytest.approx(
        apart[unique.rows, unique.other_rows], abs=1e-6
    )


def test_the_order_of_the_rows_decides_nothing():
    one, two = (catalog(*scattered(40, seed, (0.0, 0.0))) for seed in (1, 2))
    order = np.random.default_rng(0).permutation(40)

    def pairs(first, second):
        found = cross_match(first, second, radius=2 * u.arcsec)
        return {(first.ids[i], second.ids[j]) for i, j in zip(found.rows, found.other_rows, strict=True)}

    assert pairs(one, two) == pairs(one.select(order), two.select(order[::-1]))


def test_columns_stand_side_by_side():
    one = catalog([10.0, 20.0], [0.0, 0.0], "a", mag=[17.0, 18.0])
    two = catalog([20.0001, 50.0], [0.0, 0.0], "b", mag=[18.1, 11.0], size=[5, 6] * u.arcmin)
    both = join_match(one, two, cross_match(one, two, radius=1 * u.arcsec))
    assert both.ids == ["a1"]
    assert both.table["id_other"].tolist() == ["b0"]
    assert both.table["mag", "mag_other"][0].as_void().tolist() == (18.0, 18.1)
    assert both.table["size"][0] == 5 * u.arcmin
    assert both.table["separation"][0].to_value(u.arcsec) == pytest.approx(0.36)


def test_what_cannot_be_matched_is_refused():
    one = catalog([10.0], [0.0])
    with pytest.raises(ValueError, match="a positive angle"):
        cross_match(one, one, radius=1 * u.m)
    with pytest.raises(ValueError, match="a positive angle"):
        cross_match(one, one, radius=0 * u.arcsec)
    with pytest.raises(ValueError, match="a catalog with positions"):
        cross_match(one, Catalog(QTable({"id": ["x"]})), radius=1 * u.arcsec)
    far = catalog([50.0], [0.0])
    with pytest.raises(ValueError, match="at least one pair"):
        join_match(one, far, cross_match(one, far, radius=1 * u.arcsec))


def test_two_real_catalogs_agree_on_their_galaxies(real_data):
    """Both tables give the objid of SDSS: a match within 1 arcsec is one galaxy by that, too."""
    votes = read_catalog(real_data / "catalogs" / "gz2_stripe82_votes.csv")
    bars = read_catalog(real_data / "catalogs" / "gz_bar_lengths_hoyle2011.csv")
    masters = read_catalog(real_data / "catalogs" / "gz_red_blue_spirals_masters2010.csv")
    found = cross_match(bars, masters, radius=1 * u.arcsec)
    same = [bars.ids[i] == masters.ids[j] for i, j in zip(found.rows, found.other_rows, strict=True)]
    assert len(found) > 100
    assert all(same)
    assert len(votes) == 19761
