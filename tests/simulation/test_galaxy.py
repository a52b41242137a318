"""A galaxy keeps its size and luminosity wherever it is put, and its row holds all of it."""

from dataclasses import replace

import numpy as np
import pytest
from astropy.cosmology import Planck18

from galcnn.catalog import read_catalog, write_table
from galcnn.simulation import CLASSES, Galaxy, from_catalog, simulate_catalog, to_catalog
from galcnn.simulation.spectra import band_flux

ELLIPTICAL = Galaxy("e", 150, 2, 0.05, "elliptical", 16.0, 3.0, 0.8, 30, "E", sersic_n=4)
SPIRAL = Galaxy(
    "s",
    150,
    2,
    0.05,
    "spiral",
    16.0,
    3.0,
    0.7,
    30,
    "Sbc",
    bulge_fraction=0.3,
    bulge_size=0.2,
    arm_fraction=0.2,
    n_arms=2,
    pitch_angle=20,
)


def test_the_flux_in_r_is_the_magnitude():
    for galaxy in (ELLIPTICAL, SPIRAL):
        assert galaxy.flux("r") == pytest.approx(10 ** (-0.4 * (16.0 - 31.4)), rel=1e-4)


def test_the_colour_of_one_spectrum_is_that_of_the_spectrum():
    expected = band_flux("E", "g", 0.05) / band_flux("E", "i", 0.05)
    assert ELLIPTICAL.flux("g") / ELLIPTICAL.flux("i") == pytest.approx(expected)


def test_another_redshift_changes_angle_and_flux_as_distances_say():
    far = ELLIPTICAL.at(0.6)
    angular = Planck18.angular_diameter_distance([0.05, 0.6]).value
    luminosity = Planck18.luminosity_distance([0.05, 0.6]).value
    assert far.half_light_radius / 3.0 == pytest.approx(angular[0] / angular[1])
    for band in ("g", "r", "i"):
        correction = band_flux("E", band, 0.6) / band_flux("E", band, 0.05)
        expected = correction * (luminosity[0] / luminosity[1]) ** 2
        assert far.flux(band) / ELLIPTICAL.flux(band) == pytest.approx(expected)


def test_each_component_keeps_its_luminosity():
    far = SPIRAL.at(0.8)
    dimming = (Planck18.luminosity_distance(0.05) / Planck18.luminosity_distance(0.8)) ** 2
    near_fluxes, far_fluxes = SPIRAL.sed_fluxes("i"), far.sed_fluxes("i")
    assert set(far_fluxes) == {"Sbc", "E", "Im"}
    for sed, flux in near_fluxes.items():
        correction = band_flux(sed, "i", 0.8) / band_flux(sed, "i", 0.05)
        assert far_fluxes[sed] / flux == pytest.approx(float(dimming) * correction)


def test_there_and_back_is_the_same_galaxy():
    back = SPIRAL.at(0.7).at(0.2).at(0.05)
    assert back.mag_r == pytest.approx(16.0, abs=1e-9)
    assert back.half_light_radius == pytest.approx(3.0, rel=1e-9)
    assert replace(back, mag_r=16.0, half_light_radius=3.0) == SPIRAL


def test_shares_sum_to_one_for_every_class():
    for galaxy in from_catalog(simulate_catalog(60, seed=3)):
        shares = [share for _, share in galaxy.shares]
        assert sum(shares) == pytest.approx(1)
        assert min(shares) >= 0


@pytest.mark.parametrize("suffix", [".ecsv", ".fits", ".parquet", ".csv"])
def test_a_catalog_on_disk_holds_the_whole_galaxy(tmp_path, suffix):
    galaxies = from_catalog(simulate_catalog(12, seed=3))
    path = tmp_path / f"catalog{suffix}"
    write_table(to_catalog(galaxies).table, path)
    assert from_catalog(read_catalog(path)) == galaxies


def test_units_are_read_and_not_assumed():
    catalog = simulate_catalog(2, seed=3)
    in_arcmin = catalog.with_column("half_light_radius", catalog.table["half_light_radius"].to("arcmin"))
    np.testing.assert_allclose(
        [galaxy.half_light_radius for galaxy in from_catalog(in_arcmin)],
        [galaxy.half_light_radius for galaxy in from_catalog(catalog)],
    )


def test_what_makes_no_galaxy_is_refused():
    with pytest.raises(ValueError, match="class among"):
        replace(ELLIPTICAL, morphology="spirl")
    with pytest.raises(ValueError, match="spectrum among"):
        replace(ELLIPTICAL, sed="S0")
    with pytest.raises(ValueError, match="redshift > 0"):
        replace(ELLIPTICAL, redshift=0.0)
    with pytest.raises(ValueError, match="sum to at most 1"):
        replace(SPIRAL, bulge_fraction=0.9)
    with pytest.raises(ValueError, match="above 0"):
        ELLIPTICAL.at(-1)
    with pytest.raises(ValueError, match="at least one galaxy"):
        to_catalog([])
    table = simulate_catalog(2, seed=3).table
    del table["sersic_n"]
    with pytest.raises(ValueError, match="sersic_n"):
        from_catalog(simulate_catalog(2, seed=3).__class__(table))


def test_the_classes_are_the_six():
    assert CLASSES == ("elliptical", "spiral", "barred_spiral", "edge_on", "irregular", "merger")
