"""Dust: coefficients by survey, fluxes and magnitudes, a HEALPix map in its own frame and order."""

import re
from dataclasses import replace

import numpy as np
import pytest
from astropy.coordinates import ICRS, Galactic, SkyCoord
from astropy.io import fits
from astropy_healpix import HEALPix

from galcnn.cutout import Cutout
from galcnn.photometry import ab_magnitude
from galcnn.transforms import correct_extinction, ebv_of_map, extinction_coefficients
from galcnn.transforms.extinction import COEFFICIENTS

FRAMES = {"G": Galactic(), "C": ICRS()}
PLACES = SkyCoord([150, 10, 300, 0.01], [2, -60, 40, -89.9], unit="deg")


def slope(places, frame):
    """E(B-V) that grows with the latitude of a frame: no other frame has the same."""
    return 0.1 * (1 + np.sin(places.transform_to(FRAMES[frame]).spherical.lat.rad))


def write_map(path, *, frame="G", order="nested", column="EBV", rows=1024, hole=None):
    pixels = HEALPix(64, order, frame=FRAMES[frame])
    values = slope(pixels.healpix_to_skycoord(np.arange(pixels.npix)), frame)
    if hole is not None:
        values[pixels.skycoord_to_healpix(hole)] = -1.6375e30
    shaped = values.reshape(-1, rows) if rows > 1 else values
    table = fits.BinTableHDU.from_columns([fits.Column(column, f"{rows}E", array=shaped)])
    table.header.update({"NSIDE": 64, "ORDERING": order.upper(), "COORDSYS": frame, "PIXTYPE": "HEALPIX"})
    table.writeto(path)
    return path


@pytest.mark.parametrize("frame", ["G", "C"])
@pytest.mark.parametrize(("order", "rows"), [("nested", 1024), ("ring", 1)])
def test_values_are_those_of_the_place(tmp_path, frame, order, rows):
    path = write_map(tmp_path / "map.fits", frame=frame, order=order, rows=rows)
    # Bilinear between pixels of 0.9 degrees.
    np.testing.assert_allclose(ebv_of_map(path, PLACES), slope(PLACES, frame), atol=1e-4)
    np.testing.assert_allclose(ebv_of_map(path, PLACES[0].galactic), slope(PLACES[0], frame), atol=1e-4)


def test_where_there_is_nothing_there_is_nan(tmp_path):
    found = ebv_of_map(write_map(tmp_path / "map.fits", hole=PLACES[0]), PLACES)
    assert np.isnan(found).tolist() == [True, False, False, False]


def test_what_is_no_map_is_refused(tmp_path):
    path = write_map(tmp_path / "map.fits", column="TEMPERATURE")
    assert np.isfinite(ebv_of_map(path, PLACES)).all()  # the only column
    assert np.isfinite(ebv_of_map(path, PLACES, column="TEMPERATURE")).all()
    with pytest.raises(ValueError, match=r"columns=\['TEMPERATURE'\]"):
        ebv_of_map(path, PLACES, column="EBV")
    for card, value, words in (("ORDERING", "SPIRAL", "ordering='SPIRAL'"), ("NSIDE", 128, "n_pixels=49152")):
        bad = write_map(tmp_path / f"{card}.fits")
        fits.setval(bad, card, value=value, ext=1)
        with pytest.raises(ValueError, match=words):
            ebv_of_map(bad, PLACES)
    fits.PrimaryHDU(np.ones((4, 4))).writeto(tmp_path / "image.fits")
    with pytest.raises(ValueError, match="table with a HEALPix map"):
        ebv_of_map(tmp_path / "image.fits", PLACES)
    with pytest.raises(FileNotFoundError):
        ebv_of_map(tmp_path / "nowhere.fits", PLACES)


@pytest.mark.parametrize(
    ("survey", "bands", "values"),
    [
        ("SDSS", "ugriz", (4.239, 3.303, 2.285, 1.698, 1.263)),
        ("Pan-STARRS", "grizy", (3.172, 2.271, 1.682, 1.322, 1.087)),
        ("DES", "griz", (3.237, 2.176, 1.595, 1.217)),
        ("DECaLS DR9-south", "grz", (3.237, 2.176, 1.217)),
        ("LegacySurvey DR10", "griz", (3.237, 2.176, 1.595, 1.217)),
        ("HSC", "g", (3.240,)),
        ("2MASS", "jhk", (0.709, 0.449, 0.302)),
        ("HST WFC3", ("F160W", "F814W"), (0.512, 1.536)),
        ("HST ACS", ("F814W",), (1.526,)),
        ("HST WFPC2", ("F555W",), (2.755,)),
        ("WISE", ("W1",), (0.184,)),
    ],
)
def test_coefficients_by_survey(survey, bands, values):
    cutout = Cutout(np.ones((len(bands), 2, 2)), tuple(bands), survey=survey)
    assert tuple(extinction_coefficients(cutout).values()) == values


@pytest.mark.parametrize("system", ["WFC3", "ACS", "WFPC2"])
def test_extinction_falls_with_wavelength(system):
    """HST's wide optical bands are named by their wavelength in nm."""
    wide = {band: value for band, value in COEFFICIENTS[system].items() if re.fullmatch(r"F[3-8]\d\dW", band)}
    by_wavelength = [wide[band] for band in sorted(wide)]
    assert len(wide) > 4
    assert by_wavelength == sorted(by_wavelength, reverse=True)


def test_the_correction_is_what_fluxes_and_magnitudes_say():
    cutout = Cutout(
        np.full((2, 3, 3), [[[10.0]], [[20.0]]]), ("g", "r"), survey="SDSS", sigma=np.ones((2, 3, 3))
    )
    bright = correct_extinction(cutout, 0.05)
    gained = [
        ab_magnitude(1.0 * a[0, 0]) - ab_magnitude(1.0 * b[0, 0])
        for a, b in zip(cutout.flux, bright.flux, strict=True)
    ]
    np.testing.assert_allclose(gained, [3.303 * 0.05, 2.285 * 0.05], atol=1e-5)
    np.testing.assert_allclose(bright.flux / bright.sigma, cutout.flux / cutout.sigma, rtol=1e-6)
    step = bright.meta["extinction"][0]
    assert step["step"] == "correct_extinction"
    assert step["magnitudes"] == pytest.approx({"g": 0.16515, "r": 0.11425})
    assert "extinction" not in cutout.meta


def test_no_dust_changes_nothing():
    cutout = Cutout(np.ones((1, 2, 2)), ("r",), survey="DES")
    np.testing.assert_array_equal(correct_extinction(cutout, 0.0).flux, cutout.flux)


def test_own_coefficients_and_systems_win():
    cutout = Cutout(np.ones((1, 2, 2)), ("g",), survey="unknown")
    assert correct_extinction(cutout, 1.0, coefficients={"g": 2.5}).flux[0, 0, 0] == pytest.approx(10)
    assert extinction_coefficients(cutout, "PS1") == {"g": 3.172}


@pytest.mark.parametrize(
    ("survey", "bands", "ebv", "said"),
    [
        ("unknown", "g", 0.1, "a photometric system among"),
        ("simulated", "g", 0.1, "a photometric system among"),
        ("DECaLS DR9-north", "g", 0.1, "a photometric system among"),
        ("SDSS", "y", 0.1, r"bands of SDSS among.*bands=\['y'\]"),
        ("SDSS", "g", -0.1, r"E\(B-V\) >= 0"),
        ("SDSS", "g", np.nan, r"E\(B-V\) >= 0"),
        ("SDSS", "g", np.inf, r"E\(B-V\) >= 0"),
    ],
)
def test_what_is_not_known_is_refused(survey, bands, ebv, said):
    cutout = Cutout(np.ones((1, 2, 2)), tuple(bands), survey=survey)
    with pytest.raises(ValueError, match=said):
        correct_extinction(cutout, ebv)


def test_a_correction_recorded_under_the_older_name_is_found():
    steps = [{"step": "remove_sky"}, {"step": "correct_extinction", "ebv": 0.1}]
    cutout = Cutout(np.ones((1, 2, 2)), ("g",), survey="SDSS", meta={"foreground": steps})
    with pytest.raises(ValueError, match="not yet corrected for extinction"):
        correct_extinction(cutout, 0.1)
    assert correct_extinction(replace(cutout, meta={"foreground": steps[:1]}), 0.1).flux[0, 0, 0] > 1


def test_nothing_is_corrected_twice():
    once = correct_extinction(Cutout(np.ones((1, 2, 2)), ("g",), survey="SDSS"), 0.1)
    with pytest.raises(ValueError, match="not yet corrected for extinction"):
        correct_extinction(once, 0.1)
