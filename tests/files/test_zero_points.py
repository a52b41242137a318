"""Units and zero points: certain headers become nJy by the right factor; the others say they do not."""

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits

from galcnn.files.headers import survey_of
from galcnn.files.zero_points import calibration_of
from galcnn.photometry.units import UNCALIBRATED

LEGACY = {"SURVEY": "DECaLS", "VERSION": "DR9", "IMAGETYP": "image", "BANDS": "grz"}
ZP25 = 363.1  # nJy of AB magnitude 25: 3631 Jy * 10**-10


PS1 = {"SKYCELL": "skycell.1329.005", "TESS_ID": "RINGS.V3", "FPA.ZP": 25.0, "FPA.FILTERID": "g.00000"}
HST = {
    "TELESCOP": "HST",
    "PHOTFLAM": (3.03e-20, "inverse sensitivity, ergs/cm2/Ang/electron"),
    "PHOTPLAM": 1e4,
}
#: By astropy's own conversion of a flux per wavelength.
HST_NJY = (3.03e-20 * u.erg / u.s / u.cm**2 / u.AA).to_value(u.nJy, u.spectral_density(1e4 * u.AA))
TWO_MASS = {"ORIGIN": "2MASS", "FILTER": "j", "MAGZP": (20.8058, "Calibrated zero point from CALMAN")}
WISE = {
    "TELESCOP": "WISE",
    "BAND": 2,
    "BUNIT": "DN",
    "MAGZP": (19.5, "[mag] relative photometric zero point"),
}


def header(cards):
    made = fits.Header()
    for key, value in cards.items():
        made[f"HIERARCH {key}" if "." in key else key] = value
    return made


@pytest.mark.parametrize(
    ("cards", "scale", "factor"),
    [
        ({"BUNIT": "nJy"}, None, 1.0),
        ({"BUNIT": "uJy"}, None, 1e3),
        ({"BUNIT": "Jy"}, None, 1e9),
        ({"BUNIT": "Jy      "}, None, 1e9),
        ({"BUNIT": "nanomaggy"}, None, 3631.0),
        ({"BUNIT": "nanomaggies"}, None, 3631.0),
        ({"BUNIT": "Nanomaggies"}, None, 3631.0),
        ({"FLUXMAG0": 63095734448.0194}, None, 3631 * 10**-1.8),
        ({"FLUXMAG0": 3631e9}, None, 1.0),
        (LEGACY, 0.262, 3631.0),
        (LEGACY | {"IMAGETYP": "IMAGE"}, 0.262, 3631.0),
        ({"PHOTZP": (25.0, "AB zero point"), "BUNIT": "adu"}, None, ZP25),
        ({"MAGZPT": 25.0, "MAGSYS": "AB"}, None, ZP25),
        ({"MAGZERO": (25.0, "[mag(AB)/s]"), "BUNIT": "electron/s"}, None, ZP25),
        ({"MAGZERO": 30.0, "DES_EXT": "IMAGE", "TILENAME": "DES0151"}, None, 3.631),
        # Surface brightness: times the area of a pixel.
        ({"BUNIT": "MJy/sr"}, 2.0, 1e15 * 4 * (np.pi / 648000) ** 2),
        ({"BUNIT": "uJy/arcsec2"}, 0.5, 250.0),
        ({"BUNIT": "Jy/pixel"}, None, 1e9),
        ({"ABMAGZP": 25.0}, None, ZP25),
        ({"ZP": (25.0, "AB magnitudes")}, None, ZP25),
        (PS1 | {"EXPTIME": 100.0}, 0.25, 3.631),
        (HST | {"BUNIT": "ELECTRONS/S"}, None, HST_NJY),
        (HST | {"BUNIT": "electron / s", "D001OUUN": "cps"}, None, HST_NJY),
        (HST | {"BUNIT": "ELECTRONS", "EXPTIME": 2000.0}, None, HST_NJY / 2000),
        (HST | {"BUNIT": "COUNTS/S", "PHOTFLAM": (3.03e-20, "ergs/cm2/Ang/DN")}, None, HST_NJY),
        (TWO_MASS, 1.0, 3631e9 * 10 ** (-0.4 * 21.7158)),
        (WISE, 1.375, 3631e9 * 10 ** (-0.4 * 22.839)),
        # Quoted numbers occur.
        ({"FLUXMAG0": "3631.e9"}, None, 1.0),
    ],
)  # fmt: skip
def test_certain_headers_become_njy(cards, scale, factor):
    found = calibration_of(header(cards), scale)
    assert found.unit == u.nJy
    assert found.factor == pytest.approx(factor, rel=1e-8)
    assert found.facts()["zero_point_ab"] == pytest.approx(31.400066 - 2.5 * np.log10(factor), abs=2e-6)


@pytest.mark.parametrize(
    ("cards", "scale", "unit"),
    [
        ({}, None, UNCALIBRATED),
        ({"BUNIT": ""}, None, UNCALIBRATED),
        ({"BUNIT": "made of cheese"}, None, UNCALIBRATED),
        ({"BUNIT": "DNs"}, None, UNCALIBRATED),
        ({"BUNIT": "ELECTRONS"}, None, u.electron),
        ({"BUNIT": "ELECTRONS/S"}, None, u.electron / u.s),
        ({"BUNIT": "counts / s"}, None, u.count / u.s),
        ({"BUNIT": "MJy/sr"}, None, u.MJy / u.sr),
        ({"BUNIT": "Jy/beam"}, None, u.Jy / u.beam),
        ({"BUNIT": "erg/s/cm2/Angstrom"}, None, u.erg / u.s / u.cm**2 / u.AA),
        # A zero point of an unknown system: 2MASS and WISE state Vega so.
        ({"MAGZP": (20.8058, "Calibrated zero point from CALMAN")}, None, UNCALIBRATED),
        ({"MAGZP": 20.5, "BUNIT": "DN"}, None, u.DN),
        ({"MAGZPT": 25.0, "MAGSYS": "Vega"}, None, UNCALIBRATED),
        # AB, but for counts a second, in an image of counts.
        ({"MAGZERO": (25.0, "[mag(AB)/s]"), "BUNIT": "electron"}, None, u.electron),
        ({"MAGZPT": "unknown", "MAGSYS": "AB"}, None, UNCALIBRATED),
        ({"MAGZPT": 99.0, "MAGSYS": "AB"}, None, UNCALIBRATED),
        ({"ABMAGZP": -99.0}, None, UNCALIBRATED),
        ({"FLUXMAG0": 0.0}, None, UNCALIBRATED),
        # Surveys whose pixels were resampled, or whose cards are not all there.
        (PS1 | {"EXPTIME": 100.0}, 0.5, UNCALIBRATED),
        (PS1, 0.25, UNCALIBRATED),
        (PS1 | {"EXPTIME": 100.0, "BSOFTEN": 9.0}, 0.25, UNCALIBRATED),
        (TWO_MASS, 1.5, UNCALIBRATED),
        (TWO_MASS, None, UNCALIBRATED),
        (TWO_MASS | {"FILTER": "x"}, 1.0, UNCALIBRATED),
        (WISE, 2.75, u.DN),
        (HST, None, UNCALIBRATED),
        (HST | {"BUNIT": "ELECTRONS"}, None, u.electron),
        (HST | {"BUNIT": "COUNTS/S"}, None, u.count / u.s),  # PHOTFLAM is of electrons
        (HST | {"BUNIT": "ELECTRONS/S", "PHOTFLAM": 0.0}, None, u.electron / u.s),
        (HST | {"BUNIT": "ELECTRONS/S", "TELESCOP": "JWST"}, None, u.electron / u.s),
        (HST | {"BUNIT": "ELECTRONS", "D001OUUN": "cps", "EXPTIME": 2000.0}, None, u.electron),
        ({"BUNIT": "Jy/beam"}, 1.0, u.Jy / u.beam),
        ({"BUNIT": "mJy/beam", "MAGSYS": "AB", "MAGZPT": 25.0}, 1.0, u.mJy / u.beam),
        # Legacy Surveys: resampled, without WCS, not the image.
        (LEGACY, 0.5, UNCALIBRATED),
        (LEGACY, None, UNCALIBRATED),
        (LEGACY | {"IMAGETYP": "invvar"}, 0.262, UNCALIBRATED),
        ({**LEGACY, "SURVEY": "unWISE"}, 0.262, UNCALIBRATED),
    ],
)  # fmt: skip
def test_uncertain_headers_are_not_passed_off_as_flux(cards, scale, unit):
    found = calibration_of(header(cards), scale)
    assert (found.unit, found.factor) == (unit, 1.0)
    assert not found.unit.is_equivalent(u.nJy)
    assert "zero_point_ab" not in found.facts()
    assert found.source.startswith("none")


def test_asinh_scaled_skycells_of_pan_starrs_become_linear():
    flux = np.array([[-30.0, 0.0, 7.0, 2e6]])
    softening, offset = 221.9, 7.17
    scaled = 2.5 * np.log10(np.e) * np.arcsinh((flux - offset) / (2 * softening))
    cards = header(PS1 | {"EXPTIME": 100.0, "BSOFTEN": softening, "BOFFSET": offset})
    found = calibration_of(cards, 0.25, scaled)
    np.testing.assert_allclose(found.apply(scaled), flux * 3.631, rtol=1e-6, atol=1e-5)
    assert "BSOFTEN = 221.9" in found.source
    # fitscut undoes the scaling by itself: numbers that cannot be asinh-scaled are not undone twice.
    twice = calibration_of(cards, 0.25, flux)
    assert (twice.unit, twice.asinh) == (UNCALIBRATED, None)
    assert "which numbers of 2e+06 are not" in twice.source


@pytest.mark.parametrize(("noise", "per"), [(0.004, 1.0), (40.0, 2000.0)])
def test_the_noise_decides_where_drizzle_contradicts_bunit(noise, per):
    """COSMOS and other drizzled images say ELECTRONS and cps at once: some are one, some the other."""
    values = np.random.default_rng(1).normal(0, noise, (64, 64)) + 5 * noise * np.eye(64)
    cards = header(HST | {"BUNIT": "ELECTRONS", "D001OUUN": "cps", "EXPTIME": 2000.0})
    found = calibration_of(cards, 0.06, values)
    assert found.unit == u.nJy
    assert found.factor == pytest.approx(HST_NJY / per, rel=1e-6)
    assert "but Drizzle wrote cps: the noise is that of" in found.source


@pytest.mark.parametrize("noise", [1.0, 0.0, 1e-9, 1e9])
def test_a_noise_that_fits_both_or_neither_decides_nothing(noise):
    values = np.random.default_rng(1).normal(0, noise, (64, 64))
    cards = header(HST | {"BUNIT": "ELECTRONS", "D001OUUN": "cps", "EXPTIME": 2000.0})
    assert calibration_of(cards, 0.06, values).source == "none: BUNIT = ELECTRONS but Drizzle wrote cps"


def test_a_segmentation_map_with_the_header_of_its_image_is_no_flux():
    cards = header(HST | {"BUNIT": "ELECTRONS/S"})
    found = calibration_of(cards, 0.06, np.array([[0.0, 3550.0, 12.0, np.nan]]))
    assert found.unit == u.electron / u.s
    assert "a segmentation map" in found.source


@pytest.mark.parametrize(
    ("cards", "survey"),
    [
        (LEGACY, "DECaLS DR9"),
        ({"TELESCOP": "HST", "INSTRUME": "WFC3"}, "HST WFC3"),
        ({"ORIGIN": "SDSS", "TELESCOP": "2.5m"}, "SDSS"),
        ({"DES_EXT": "IMAGE"}, "DES"),
        ({"TESS_ID": "RINGS.V3", "SKYCELL": "skycell.1329.005"}, "Pan-STARRS"),
        ({}, "unknown"),
    ],
)
def test_survey(cards, survey):
    assert survey_of(header(cards)) == survey
