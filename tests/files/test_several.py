"""One galaxy in several files, and what is done to an image once it is read."""

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord

from galcnn.cutout import Cutout
from galcnn.errors import UnreadableImageError
from galcnn.files import Treatment, load_bands, load_cutout
from galcnn.files.loading import calibrate, treat
from galcnn.photometry import DISPLAY, ab_flux
from galcnn.photometry.units import UNCALIBRATED

GALAXY = SkyCoord(27.952, 0.2635, unit="deg")


@pytest.fixture
def pair(real_data):
    return real_data / "fits/hostphot/DES_g.fits", real_data / "services/panstarrs_fitscut/PS1_r.fits"


def test_bands_of_two_surveys_on_one_grid(pair):
    des, ps1 = map(load_cutout, pair)
    both = load_bands(pair, reference="g", position=GALAXY, redshift=0.02)
    assert (both.bands, both.shape, both.survey) == (("g", "r"), (241, 241), "DES + Pan-STARRS")
    np.testing.assert_array_equal(both.flux[0], des.flux[0])
    assert both.position == GALAXY
    assert both.redshift == 0.02
    place = both.wcs.world_to_pixel(GALAXY)
    assert np.hypot(*np.subtract(place, 120)) < 1
    assert np.nansum(both.flux[1], dtype=float) == pytest.approx(
        np.sum(ps1.flux[0], dtype=float), rel=0.12  # PS1's field is a little smaller than that of DES
    )  # fmt: skip
    assert load_bands(pair, reference="r").shape == (240, 240)
    with pytest.raises(UnreadableImageError, match="bands of one shape"):
        load_cutout(pair)  # never without being asked
    with pytest.raises(ValueError, match="one band per file"):
        load_bands(pair, reference="g", bands=("g",))


def test_files_without_names_are_named_in_their_order(real_data):
    folder = real_data / "fits/decam_interacting"
    files = [folder / "132_gband.fits", folder / "132_rband.fits"]
    both = load_bands(files, reference="r", bands=("g", "r"))
    assert both.bands == ("g", "r")
    assert both.unit == UNCALIBRATED
    with pytest.raises(ValueError, match="each band once"):
        load_bands(files, reference="r")


def test_each_survey_is_treated_as_itself(pair):
    """Sky before the pixels change; DES g and Pan-STARRS r have coefficients of their own."""
    treatment = Treatment(sky=True, ebv=0.1, width=30 * u.arcsec)
    both = load_bands(pair, reference="g", treatment=treatment)
    plain = load_bands(pair, reference="g")
    assert both.shape == (114, 114)
    assert [part["extinction"][0]["magnitudes"] for part in both.meta["parts"]] == [
        {"g": pytest.approx(0.3237)},
        {"r": pytest.approx(0.2271)},
    ]
    level = both.meta["parts"][0]["background"][0]["sky"]["g"]["level"]
    middle = plain.flux[0, 63:177, 63:177]
    np.testing.assert_allclose(both.flux[0], (middle - level) * 10**0.12948, rtol=1e-4, atol=0.01)
    with pytest.raises(ValueError, match="not yet corrected"):
        treat(both, Treatment(ebv=0.1))


def test_a_stale_wcs_is_found_by_the_place_of_the_galaxy(real_data):
    path = real_data / "fits/hostphot/SDSS_r.fits"
    assert load_cutout(path).position.separation(GALAXY) > 300 * u.arcsec
    with pytest.raises(UnreadableImageError, match=r"the galaxy inside of the image.*345.9 arcsec.*wrong"):
        load_cutout(path, position=GALAXY)
    good = load_cutout(real_data / "fits/hostphot/DES_r.fits", position=GALAXY)
    assert good.position == GALAXY
    assert good.meta["position_source"] == "given"


# Treatment ------------------------------------------------------------------------------------
def test_a_zero_point_for_each_band():
    counts = Cutout(np.ones((2, 4, 4)), ("g", "r"), unit=UNCALIBRATED)
    cutout = calibrate(counts, {"r": 22.5, "g": 25.0, "i": 20.0})
    np.testing.assert_allclose(cutout.flux[:, 0, 0], [ab_flux(25.0), ab_flux(22.5)], rtol=1e-6)
    assert cutout.meta["zero_point_ab"] == [25.0, 22.5]
    assert cutout.meta["calibration"] == "zero point given: 25, 22.5 AB"
    with pytest.raises(ValueError, match=r"missing=\['r'\]. Name all of them: --zero-point"):
        calibrate(counts, {"g": 25.0})


def test_a_zero_point_that_the_user_knows():
    counts = Cutout(np.full((1, 4, 4), 2.0), ("r",), unit=u.electron / u.s, sigma=np.ones((1, 4, 4)))
    cutout = calibrate(counts, 25.0)
    assert cutout.unit == u.nJy
    np.testing.assert_allclose(cutout.flux, 2 * 363.1, rtol=1e-6)
    np.testing.assert_allclose(cutout.sigma, 363.1, rtol=1e-6)
    assert cutout.meta["calibration"] == "zero point given: 25 AB"
    with pytest.raises(ValueError, match="an image of counts"):
        calibrate(cutout, 25.0)
    with pytest.raises(ValueError, match="an image of counts"):
        calibrate(Cutout(np.ones((1, 4, 4)), ("L",), unit=DISPLAY), 25.0)


def test_no_treatment_is_none():
    cutout = Cutout(np.ones((1, 4, 4)), ("r",))
    assert treat(cutout, Treatment()) is cutout
