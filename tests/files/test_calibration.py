"""Units and zero points: certain headers become nJy by the right factor; the others say they do not."""

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits

from galcnn.files.calibration import calibration_of
from galcnn.files.naming import band_names, survey_of
from galcnn.photometry import UNCALIBRATED

LEGACY = {"SURVEY": "DECaLS", "VERSION": "DR9", "IMAGETYP": "image", "BANDS": "grz"}
ZP25 = 363.1  # nJy of AB magnitude 25: 3631 Jy * 10**-10


def header(cards):
    made = fits.Header()
    for key, value in cards.items():
        made[key] = value
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
        ({"PHOTZP": (25.0, "AB zero point"), "BUNIT": "adu"}, None, ZP25),
        ({"MAGZPT": 25.0, "MAGSYS": "AB"}, None, ZP25),
        ({"MAGZERO": (25.0, "[mag(AB)/s]"), "BUNIT": "electron/s"}, None, ZP25),
        ({"MAGZERO": 30.0, "DES_EXT": "IMAGE", "TILENAME": "DES0151"}, None, 3.631),
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
        ({"FLUXMAG0": 0.0}, None, UNCALIBRATED),
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


@pytest.mark.parametrize(
    ("cards", "n", "names"),
    [
        ({"BAND": "r"}, 1, ("r",)),
        ({"FILTER": "i       "}, 1, ("i",)),
        ({"BAND": "g", "FILTER": "g DECam SDSS c0001 4720.0 1520.0"}, 1, ("g",)),
        ({"FILTER": "g DECam SDSS c0001 4720.0 1520.0"}, 1, ("g",)),
        ({"FILTER": "HSC-I2"}, 1, ("i",)),
        ({"FILTER1": "CLEAR1L", "FILTER2": "F814W"}, 1, ("F814W",)),
        ({"FILTER1": "F475W", "FILTER2": "CLEAR2L"}, 1, ("F475W",)),
        ({"FILTER1": 25, "FILTNAM1": "F555W"}, 1, ("F555W",)),
        ({"BAND": "g", "BANDS": "grz"}, 1, ("g",)),
        ({"BANDS": "r"}, 1, ("r",)),
        ({"BANDS": "grz"}, 1, (None,)),
        ({"FILTER": "g,r"}, 1, (None,)),
        ({"FILTER": "UNKNOWN"}, 1, (None,)),
        ({"BANDS": "grz", "BAND0": "g", "BAND1": "r", "BAND2": "z"}, 3, ("g", "r", "z")),
        ({"BAND1": "u", "BAND2": "g"}, 2, ("u", "g")),
        ({"BANDS": "g, r, i"}, 3, ("g", "r", "i")),
        ({"FILTERS": "F105W F160W"}, 2, ("F105W", "F160W")),
        ({"BANDS": "grz"}, 5, (None,) * 5),
        ({"BANDS": "ggr"}, 3, (None,) * 3),
        ({"FILTER": "r"}, 3, (None,) * 3),
        ({}, 2, (None, None)),
    ],
)
def test_band_names(cards, n, names):
    assert band_names(header(cards), n) == names


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
