"""The population follows what its docstring says, row by row."""

import astropy.units as u
import numpy as np
import pytest
from astropy.cosmology import Planck18

from galcnn.simulation import CLASSES, population, simulate_catalog
from galcnn.simulation.shapes import SERSIC_STEP


@pytest.fixture(scope="module")
def catalog():
    return simulate_catalog(1200, seed=5)


def test_a_row_is_the_same_in_a_catalog_of_any_length(catalog):
    few = simulate_catalog(30, seed=5)
    for name in few.table.colnames:
        assert np.all(few.table[name] == catalog.table[name][:30]), name


def test_another_seed_is_another_population(catalog):
    other = simulate_catalog(30, seed=6)
    assert not np.any(other.table["mag_r"] == catalog.table["mag_r"][:30])
    assert not set(other.ids) & set(catalog.ids)


def test_classes_take_turns(catalog):
    assert {name: int(np.sum(catalog.labels == name)) for name in CLASSES} == dict.fromkeys(CLASSES, 200)
    two = simulate_catalog(5, seed=1, classes=("merger", "edge_on"))
    assert two.labels.tolist() == ["merger", "edge_on", "merger", "edge_on", "merger"]


def test_magnitudes_follow_the_counts(catalog):
    # The integral of 10**(0.3 m) from 14 to m, normalised, is uniform.
    x = 10 ** (0.3 * catalog.table["mag_r"].value)
    share = (x - 10 ** (0.3 * 14.0)) / (10 ** (0.3 * 18.0) - 10 ** (0.3 * 14.0))
    expected = (np.arange(1200) + 0.5) / 1200
    # Kolmogorov-Smirnov: 1.95 / sqrt(n) is passed once in a thousand.
    assert np.abs(np.sort(share) - expected).max() < 1.95 / np.sqrt(1200)


def test_redshifts_follow_volume_times_the_luminosity_function():
    narrow = simulate_catalog(1500, seed=7, redshift_range=(0.02, 0.2), magnitude_range=(16.99, 17.01))
    redshifts = np.linspace(0.02, 0.2, 2000)
    luminosity = 10 ** (-0.4 * (17.0 - Planck18.distmod(redshifts).value + 21.2))
    density = Planck18.differential_comoving_volume(redshifts).value * luminosity**-0.05 * np.exp(-luminosity)
    cumulative = np.cumsum(density) / density.sum()
    share = np.sort(np.interp(np.asarray(narrow.table["redshift"]), redshifts, cumulative))
    assert np.abs(share - (np.arange(1500) + 0.5) / 1500).max() < 1.95 / np.sqrt(1500)


def test_sizes_scatter_around_the_relation(catalog):
    table = catalog.table
    redshift = np.asarray(table["redshift"])
    absolute = table["mag_r"].value - Planck18.distmod(redshift).value
    kpc = (table["half_light_radius"] * Planck18.angular_diameter_distance(redshift)).to_value(
        u.kpc, equivalencies=u.dimensionless_angles()
    )
    early = catalog.labels == "elliptical"
    median = [
        population.half_light_radius_kpc(m, early=bool(e)) for m, e in zip(absolute, early, strict=True)
    ]
    scatter = np.log10(kpc / median)
    assert scatter.mean() == pytest.approx(0, abs=4 * 0.12 / np.sqrt(1200))
    assert scatter.std() == pytest.approx(0.12, rel=0.1)


def test_the_size_relation_has_its_slopes():
    def slope(magnitude, early):
        bright = population.half_light_radius_kpc(magnitude - 0.01, early=early)
        return np.log10(bright / population.half_light_radius_kpc(magnitude, early=early)) / 0.004

    assert slope(-22, True) == pytest.approx(0.65, abs=1e-3)
    assert slope(-14, False) == pytest.approx(0.26, abs=0.01)
    assert slope(-28, False) == pytest.approx(0.51, abs=0.01)


def test_places_are_those_that_astropy_computes(catalog):
    i = np.arange(1200)
    expected = population.CENTRE.directional_offset_by(
        i * np.pi * (3 - np.sqrt(5)) * u.rad, population.SPACING * np.sqrt(i + 0.5)
    )
    assert catalog.positions.separation(expected).max() < 1e-6 * u.arcsec


def test_galaxies_stand_well_apart_and_within_the_patch(catalog):
    from astropy.coordinates import match_coordinates_sky

    _, separation, _ = match_coordinates_sky(catalog.positions, catalog.positions, nthneighbor=2)
    assert separation.min() > 1.5 * population.SPACING
    assert catalog.positions.separation(population.CENTRE).max() < population.patch_radius(1200)


def test_sersic_indices_are_quantised(catalog):
    for name in ("sersic_n", "bulge_n", "companion_n"):
        steps = np.asarray(catalog.table[name]) / SERSIC_STEP
        assert np.all(steps == np.round(steps))


def test_each_class_has_its_own_parts(catalog):
    table = catalog.table

    def has(column, name):
        return np.asarray(table[column])[catalog.labels == name] > 0

    assert has("arm_fraction", "spiral").all()
    assert has("arm_fraction", "barred_spiral").all()
    assert has("bar_fraction", "barred_spiral").all()
    assert not has("bar_fraction", "spiral").any()
    assert has("n_knots", "irregular").all()
    assert has("companion_fraction", "merger").all()
    assert has("tidal_fraction", "merger").all()
    assert not has("companion_fraction", "elliptical").any()
    apparent = np.asarray(table["axis_ratio"])
    assert apparent[catalog.labels == "edge_on"].max() < 0.32
    assert apparent[catalog.labels == "spiral"].min() >= 0.3


def test_large_bright_nearby_galaxies_can_be_asked_for():
    bright = simulate_catalog(200, seed=1, redshift_range=(0.005, 0.03), magnitude_range=(11.0, 14.0))
    assert bright.table["mag_r"].max().value <= 14.0
    assert np.median(bright.table["half_light_radius"].value) > 6


def test_a_magnitude_brighter_than_any_galaxy_still_gives_one():
    odd = simulate_catalog(3, seed=1, redshift_range=(0.5, 0.6), magnitude_range=(2.0, 3.0))
    assert odd.table["redshift"].tolist() == [0.5, 0.5, 0.5]


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ({"n": 0}, "at least one galaxy"),
        ({"classes": ("spirl",)}, "some of the classes"),
        ({"classes": ()}, "some of the classes"),
        ({"classes": "spiral"}, "some of the classes"),
        ({"redshift_range": (0.0, 0.1)}, "0 < low < high"),
        ({"redshift_range": (0.2, 0.1)}, "0 < low < high"),
        ({"magnitude_range": (18.0, 17.0)}, "bright < faint"),
        ({"magnitude_range": (float("nan"), 17.0)}, "bright < faint"),
    ],
)
def test_a_request_that_makes_no_sense_is_refused(arguments, word):
    with pytest.raises(ValueError, match=word):
        simulate_catalog(**{"n": 3, "seed": 1, **arguments})
