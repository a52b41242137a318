"""Fluxes of spectra in bands against GalSim's own integrals and closed forms."""

import subprocess
import sys

import galsim
import numpy as np
import pytest
from astropy.cosmology import Planck18

from galcnn.simulation import spectra


@pytest.mark.parametrize("name", spectra.SEDS)
@pytest.mark.parametrize("redshift", [0.0, 0.1, 0.5, 1.5])
def test_colours_are_those_that_galsim_integrates(name, redshift):
    sed = galsim.SED(f"CWW_{name}_ext.sed", "Ang", "flambda")
    rest_r = galsim.Bandpass("LSST_r.dat", "nm").withZeropoint("AB")
    for band in ("g", "r", "i", "F814W"):
        file = "ACS_wfc_F814W.dat" if band == "F814W" else f"LSST_{band}.dat"
        seen = galsim.Bandpass(file, "nm").withZeropoint("AB")
        expected = sed.atRedshift(redshift).calculateMagnitude(seen) - sed.calculateMagnitude(rest_r)
        ours = -2.5 * np.log10(spectra.band_flux(name, band, redshift))
        assert ours == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("slope", [-3.0, -1.0, 0.5])
def test_a_power_law_has_its_closed_k_correction(slope):
    # f_lambda ~ wave**slope has photons ~ wave**(slope + 1): shifted by 1 + z that is a factor.
    power = galsim.SED(lambda wave: (wave / 500) ** slope, "nm", "flambda")
    ratio = spectra._ab_flux(power, "g", 0.7) / spectra._ab_flux(power, "g", 0.0)
    assert ratio == pytest.approx(1.7 ** -(slope + 1), rel=1e-6)


def test_a_flat_source_has_the_same_ab_flux_in_every_band():
    flat = galsim.SED("1", "nm", "fnu")
    fluxes = [spectra._ab_flux(flat, band, 0.0) for band in ("u", "g", "r", "i", "z", "y", "F160W")]
    np.testing.assert_allclose(fluxes, fluxes[0], rtol=1e-3)


def test_older_spectra_are_redder():
    colours = [
        spectra.band_flux(name, "g", 0.05) / spectra.band_flux(name, "i", 0.05) for name in spectra.SEDS
    ]
    assert colours == sorted(colours)


def test_distances_are_those_of_planck18():
    angular, luminosity = spectra.distances(0.3)
    assert angular == pytest.approx(Planck18.angular_diameter_distance(0.3).to_value("Mpc"))
    assert luminosity == pytest.approx(Planck18.luminosity_distance(0.3).to_value("Mpc"))


@pytest.mark.parametrize("redshift", [0.0, -0.1, float("nan"), float("inf")])
def test_a_redshift_must_be_above_zero(redshift):
    with pytest.raises(ValueError, match="above 0"):
        spectra.distances(redshift)


def test_unknown_names_are_refused():
    with pytest.raises(ValueError, match="bands among u, g, r"):
        spectra.bandpass("VIS")
    with pytest.raises(ValueError, match="spectrum among"):
        spectra.sed("S0")


def test_without_galsim_the_error_says_what_to_do(monkeypatch):
    monkeypatch.setitem(sys.modules, "galsim", None)
    with pytest.raises(ImportError, match="Install galsim"):
        spectra.galsim()


def test_importing_the_room_brings_neither_keras_nor_galsim():
    code = (
        "import sys, galcnn.simulation;"
        "print([m for m in ('keras', 'tensorflow', 'galsim') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
