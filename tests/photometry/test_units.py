"""Units and zero points against astropy's own, which know AB magnitudes."""

import astropy.units as u
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from galcnn.photometry import DISPLAY, ab_flux, ab_magnitude, parse_unit
from galcnn.photometry.units import NANOMAGGY, UNCALIBRATED


@given(st.floats(-10, 40))
def test_zero_points_are_those_of_astropy(zero_point):
    # astropy takes AB as 10**(-19.44) erg / (s cm2 Hz), 3630.78 Jy; SDSS and we take 3631.
    exact = (zero_point * u.ABmag).to_value(u.nJy)
    assert ab_flux(zero_point) == pytest.approx(exact, rel=1e-4)
    assert ab_magnitude(ab_flux(zero_point)) == pytest.approx(zero_point, abs=1e-9)


@pytest.mark.parametrize("zero_point", [np.nan, np.inf])
def test_zero_points_are_numbers(zero_point):
    with pytest.raises(ValueError, match="finite AB magnitude"):
        ab_flux(zero_point)


@pytest.mark.parametrize("flux", [0.0, -1.0, np.nan])
def test_no_magnitude_without_flux(flux):
    assert np.isnan(ab_magnitude(flux))


def test_a_nanomaggy_is_magnitude_22_5():
    assert NANOMAGGY.to(u.nJy) == pytest.approx(3631, rel=1e-12)
    assert ab_magnitude(NANOMAGGY.to(u.nJy)) == pytest.approx(22.5, abs=1e-12)


@pytest.mark.parametrize(
    ("text", "unit"),
    [("nJy", u.nJy), ("nanomaggy", NANOMAGGY), ("nanomaggies", NANOMAGGY), (" Nanomaggy ", NANOMAGGY),
     ("nmgy", NANOMAGGY), ("display", DISPLAY), ("uncalibrated", UNCALIBRATED),
     ("electron / s", u.electron / u.s), ("", u.dimensionless_unscaled)],
)  # fmt: skip
def test_units_as_surveys_write_them(text, unit):
    assert parse_unit(text) == unit


@pytest.mark.parametrize("unit", [u.nJy, NANOMAGGY, DISPLAY, UNCALIBRATED, u.MJy / u.sr, u.electron])
def test_units_survive_their_text(unit):
    assert parse_unit(unit.to_string()) == unit


def test_unknown_units_are_named():
    with pytest.raises(ValueError, match="cheese"):
        parse_unit("cheese")


@pytest.mark.parametrize("unit", [DISPLAY, UNCALIBRATED])
def test_what_is_no_flux_converts_to_none(unit):
    assert not unit.is_equivalent(u.nJy)
    assert not unit.is_equivalent(u.dimensionless_unscaled)
