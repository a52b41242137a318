"""No group on two sides, every class on each, and the order of the rows changes nothing."""

import numpy as np
import pytest
from astropy.table import QTable
from hypothesis import given, settings
from hypothesis import strategies as st

from galcnn.catalog import Catalog
from galcnn.catalog.catalog import SPLITS
from galcnn.dataset import split_catalog
from galcnn.dataset.splits import sdss_field


def catalog(n, groups=None, classes=("e", "s", "m"), weights=(0.7, 0.25, 0.05), seed=0):
    rng = np.random.default_rng(seed)
    labels = rng.choice(classes, n, p=weights)
    labels[: 3 * len(classes)] = np.repeat(classes, 3)
    columns = {"id": [f"g{i}" for i in range(n)], "class": labels}
    if groups is not None:
        columns["field"] = rng.integers(0, groups, n)
        columns["field"][: 3 * len(classes)] = np.arange(3 * len(classes)) + groups
    return Catalog(QTable(columns))


@given(st.integers(30, 300), st.integers(5, 80), st.integers(0, 10**6))
@settings(max_examples=40, deadline=None)
def test_groups_stay_together_and_classes_are_everywhere(n, groups, seed):
    whole = catalog(n, groups)
    split = split_catalog(whole, by="field", seed=seed)
    sides = np.asarray(split.table["split"])
    fields = np.asarray(split.table["field"])
    for field in np.unique(fields):
        assert len(set(sides[fields == field])) == 1
    # A group counts for its rarest class, so only the rarest is promised on each side.
    rarest = min(whole.classes, key=lambda name: np.sum(whole.labels == name))
    assert {side for side, name in zip(sides, split.labels, strict=True) if name == rarest} == set(SPLITS)
    order = np.random.default_rng(seed).permutation(n)
    again = split_catalog(whole.select(order), by="field", seed=seed)
    assert np.array_equal(np.asarray(again.table["split"]), sides[order])


def test_shares_are_those_asked_for_in_each_class():
    split = split_catalog(catalog(4000), fractions=(0.6, 0.25, 0.15), seed=5)
    sides, labels = np.asarray(split.table["split"]), split.labels
    for name in split.classes:
        n = np.sum(labels == name)
        for side, share in zip(SPLITS, (0.6, 0.25, 0.15), strict=True):
            assert np.sum(sides[labels == name] == side) == pytest.approx(share * n, abs=1)


def test_another_seed_deals_otherwise():
    one, two = (np.asarray(split_catalog(catalog(400), seed=s).table["split"]) for s in (1, 2))
    assert 0.3 < np.mean(one == two) < 0.8  # 0.7^2 + 2 * 0.15^2 = 0.535 by chance


def test_a_split_of_the_users_own_is_kept():
    mine = catalog(30).with_column("split", ["test", "train", "validation"] * 10)
    assert split_catalog(mine, seed=9).table["split"].tolist() == ["test", "train", "validation"] * 10


def test_sdss_neighbours_stay_together():
    """Two objects of one field differ in the last 16 bits only."""
    ids = [
        str((1 << 59) | (301 << 48) | (756 << 32) | (2 << 29) | (field << 16) | obj)
        for field in range(40)
        for obj in (17, 130)
    ]
    both = Catalog(QTable({"id": ids, "class": ["a", "b"] * 40}))
    split = split_catalog(both, seed=1)
    sides = np.asarray(split.table["split"]).reshape(40, 2)
    assert np.all(sides[:, 0] == sides[:, 1])
    assert set(sides[:, 0]) == set(SPLITS)


def test_a_known_objid_is_decoded():
    """Against the bit fields of SkyServer's fObjID, cut out of the binary text by hand."""
    number = 588848901537202306
    bits = f"{number:064b}"
    expected = (int(bits[16:32], 2), int(bits[32:35], 2), int(bits[36:48], 2))
    assert sdss_field(str(number)) == expected == (756, 6, 641)
    for bad in ("12", "ngc1300", "", "-5", str(1 << 63), "٣"):
        with pytest.raises(ValueError, match="an SDSS objid"):
            sdss_field(bad)


@pytest.mark.parametrize("n_rare", [1, 2])
def test_a_class_too_small_to_split_is_named(n_rare):
    labels = ["e"] * 20 + ["s"] * 20 + ["rare"] * n_rare
    small = Catalog(QTable({"id": [str(i) for i in range(len(labels))], "class": labels}))
    with pytest.raises(
        ValueError, match=rf"galaxies of class 'rare' in at least 3 groups.*n_groups={n_rare}.*--drop"
    ):
        split_catalog(small)


def test_bad_words_are_refused():
    with pytest.raises(ValueError, match="a split by object, sdss-field, sky-region or a column"):
        split_catalog(catalog(30), by="fild")
    with pytest.raises(ValueError, match="three positive fractions"):
        split_catalog(catalog(30), fractions=(0.9, 0.2, 0.1))
    with pytest.raises(ValueError, match="an SDSS objid"):
        split_catalog(catalog(30), by="sdss-field")
