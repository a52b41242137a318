"""Distances and dimming against astropy's and the powers of (1 + z)."""

import astropy.units as u
import numpy as np
import pytest
from astropy.cosmology import FlatLambdaCDM, Planck18

from galcnn.redshifting import magnification
from galcnn.redshifting.settings import flux_factor


@pytest.mark.parametrize(("z_from", "z_to"), [(0.01, 0.02), (0.05, 0.3), (0.05, 1.0), (0.3, 3.0)])
def test_size_and_flux_are_those_of_astropy(z_from, z_to):
    angle = Planck18.kpc_proper_per_arcmin(z_from) / Planck18.kpc_proper_per_arcmin(z_to)
    assert magnification(z_from, z_to) == pytest.approx(float(angle), rel=1e-9)
    modulus = Planck18.distmod(z_to) - Planck18.distmod(z_from)
    bolometric = flux_factor(z_from, z_to, convention="bolometric")
    assert -2.5 * np.log10(bolometric) == pytest.approx(modulus.to_value(u.mag), abs=1e-9)


@pytest.mark.parametrize(("convention", "power"), [("f_nu", 3), ("bolometric", 4), ("f_lambda", 5)])
@pytest.mark.parametrize("z_to", [0.1, 0.5, 2.0])
def test_surface_brightness_falls_with_the_power_of_the_convention(convention, power, z_to):
    brightness = flux_factor(0.05, z_to, convention=convention) / magnification(0.05, z_to) ** 2
    assert brightness == pytest.approx((1.05 / (1 + z_to)) ** power, rel=1e-9)


def test_the_conventions_differ_by_0_70_mag_between_0_05_and_1():
    ratio = flux_factor(0.05, 1) / flux_factor(0.05, 1, convention="bolometric")
    assert 2.5 * np.log10(ratio) == pytest.approx(0.70, abs=0.005)


def test_galaxies_grow_again_beyond_the_turn_over():
    sizes = [magnification(0.1, z) for z in np.arange(1.0, 3.0, 0.01)]
    smallest = np.arange(1.0, 3.0, 0.01)[np.argmin(sizes)]
    assert 1.55 < smallest < 1.65
    assert magnification(0.1, 6.0) > magnification(0.1, 1.6)


def test_another_cosmology_gives_other_sizes():
    empty = FlatLambdaCDM(70 * u.km / u.s / u.Mpc, 0.01)
    assert magnification(0.1, 1, cosmology=empty) < 0.9 * magnification(0.1, 1)


@pytest.mark.parametrize("wrong", [0, -0.1, float("nan"), float("inf")])
def test_redshifts_without_a_distance_are_refused(wrong):
    with pytest.raises(ValueError, match="a redshift above 0"):
        magnification(wrong, 1)
    with pytest.raises(ValueError, match="a redshift above 0"):
        flux_factor(0.1, wrong)


def test_an_unknown_convention_is_refused():
    with pytest.raises(ValueError, match="convention='flux'"):
        flux_factor(0.1, 0.2, convention="flux")
