"""Sky and dust against what was put in: known levels, closed forms, an independent extinction law."""

import re

import astropy.units as u
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from galcnn.cutout import Cutout
from galcnn.files import load_cutout, save_cutout
from galcnn.foreground import correct_extinction, estimate_sky, extinction_coefficients, remove_sky
from galcnn.foreground.dust import COEFFICIENTS
from galcnn.photometry import DISPLAY, UNCALIBRATED, ab_magnitude

NOISE = 3.0


def field(seed=0, *, sky=100.0, radius=8.0, n_stars=6, size=128):
    """An exponential disc, stars, a level of sky, white noise."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    image = 150 * np.exp(-1.678 * np.hypot(x, y / 0.6) / radius)
    for _ in range(n_stars):
        dx, dy = rng.uniform(-size / 2, size / 2, 2)
        image += rng.uniform(20, 300) * np.exp(-((x - dx) ** 2 + (y - dy) ** 2) / 8)
    return image + sky + rng.normal(0, NOISE, image.shape)


# Sky ------------------------------------------------------------------------------------------
def test_the_level_is_found_beneath_a_galaxy_and_stars():
    """To a thirtieth of the noise of a pixel; the mean and the median of the image are far off."""
    images = [field(seed) for seed in range(12)]
    levels = [estimate_sky(Cutout(image, ("r",)))[0] for image in images]
    errors = np.array([sky.level - 100 for sky in levels])
    assert np.abs(errors).max() < 0.15
    assert abs(errors.mean()) < 0.1
    assert min(image.mean() - 100 for image in images) > 1.5
    assert min(np.median(image) - 100 for image in images) > 0.2
    noises = [sky.noise for sky in levels]
    np.testing.assert_allclose(noises, NOISE, rtol=0.03)


def test_the_error_is_the_scatter_of_the_level():
    rng = np.random.default_rng(3)
    skies = [estimate_sky(Cutout(rng.normal(-20, NOISE, (64, 64)), ("r",)))[0] for _ in range(60)]
    pulls = np.array([(sky.level + 20) / sky.error for sky in skies])
    assert abs(pulls.mean()) < 4 / np.sqrt(60)
    assert 0.7 < pulls.std() < 1.4


def test_correlated_noise_is_not_taken_for_sources():
    from scipy.ndimage import gaussian_filter

    noise = gaussian_filter(np.random.default_rng(2).normal(0, 30, (160, 160)), 1.2, mode="wrap")
    sky = estimate_sky(Cutout(noise + 50, ("r",)))[0]
    assert sky.share > 0.5
    assert abs(sky.level - 50) < 0.2 * noise.std()


@given(level=st.floats(-1e4, 1e4), scale=st.floats(0.1, 1e3))
def test_the_level_moves_and_scales_with_the_image(level, scale):
    image = field(1, size=48, sky=0.0, radius=4.0, n_stars=2)
    first = estimate_sky(Cutout(image, ("r",)))[0].level
    second = estimate_sky(Cutout(image * scale + level, ("r",)))[0].level
    assert second == pytest.approx(first * scale + level, abs=0.05 * NOISE * scale + 1e-5 * abs(level))


def test_removal_takes_the_level_and_nothing_else():
    image = np.stack([field(4), field(5, sky=-7.0)])
    sigma = np.full(image.shape, NOISE)
    flagged = np.zeros(image.shape, dtype=bool)
    flagged[0, :3] = True
    image[0, :2] = np.nan
    cutout = Cutout(image, ("g", "r"), sigma=sigma, mask=flagged, meta={"seed": 4})
    removed = remove_sky(cutout)
    step = removed.meta["foreground"][0]
    levels = np.array([step["sky"][band]["level"] for band in "gr"])
    np.testing.assert_allclose(levels, [100, -7], atol=0.2)
    np.testing.assert_allclose(
        removed.flux, cutout.flux - levels[:, None, None].astype(np.float32), atol=2e-5, equal_nan=True
    )
    np.testing.assert_array_equal(removed.mask, cutout.mask)
    np.testing.assert_array_equal(removed.sigma, cutout.sigma)
    assert (step["step"], removed.meta["seed"]) == ("remove_sky", 4)
    assert "foreground" not in cutout.meta
    again = estimate_sky(removed)
    assert max(abs(sky.level) for sky in again) < 1e-4


def test_masked_pixels_take_no_part():
    image = field(6)
    flagged = np.zeros(image.shape, dtype=bool)
    flagged[:, :30] = True
    spoiled = np.where(flagged, 1e6, image)
    clean = estimate_sky(Cutout(image, ("r",), mask=flagged))[0]
    assert estimate_sky(Cutout(spoiled, ("r",), mask=flagged))[0] == clean


def test_a_sky_without_noise_is_exact():
    y, x = np.mgrid[:64, :64] - 31.5
    image = 5.0 + np.where(np.hypot(x, y) < 6, 100.0, 0.0)
    assert estimate_sky(Cutout(image, ("r",)))[0].level == pytest.approx(5, abs=1e-9)
    assert estimate_sky(Cutout(np.full((32, 32), 5.0), ("r",)))[0].level == 5


def test_a_galaxy_that_fills_the_image_leaves_no_sky(real_data):
    with pytest.raises(ValueError, match=r"sky on at least 5% of the image.*band='g'.*a wider cutout"):
        estimate_sky(load_cutout(real_data / "fits/hsc_galmask/gal1_G.fits"))
    with pytest.raises(ValueError, match="sky on at least"):
        estimate_sky(Cutout(np.full((8, 8), np.nan), ("r",)))


def test_an_exposure_with_its_sky_becomes_one_without(real_data):
    """DECam, 972 counts of sky: the corners of the image, far from the galaxies, agree."""
    cutout = load_cutout(real_data / "fits/decam_interacting/132_rband.fits", bands=("r",))
    corners = np.concatenate([cutout.flux[0, :30, :30].ravel(), cutout.flux[0, -30:, :30].ravel()])
    removed = remove_sky(cutout)
    sky = removed.meta["foreground"][0]["sky"]["r"]
    assert sky["level"] == pytest.approx(np.median(corners), abs=0.2 * sky["noise"])
    assert removed.unit == UNCALIBRATED


def test_des_and_pan_starrs_have_no_sky_left(real_data):
    for name in ("fits/hostphot/DES_r.fits", "services/panstarrs_fitscut/PS1_r.fits"):
        sky = estimate_sky(load_cutout(real_data / name))[0]
        assert abs(sky.level) < 0.3 * sky.noise


# Dust -----------------------------------------------------------------------------------------
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
    step = bright.meta["foreground"][0]
    assert step["step"] == "correct_extinction"
    assert step["magnitudes"] == pytest.approx({"g": 0.16515, "r": 0.11425})
    assert "foreground" not in cutout.meta


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


def test_nothing_is_corrected_twice():
    once = correct_extinction(Cutout(np.ones((1, 2, 2)), ("g",), survey="SDSS"), 0.1)
    with pytest.raises(ValueError, match="not yet corrected for extinction"):
        correct_extinction(once, 0.1)


@pytest.mark.parametrize("step", [remove_sky, lambda cutout: correct_extinction(cutout, 0.1)])
def test_pictures_are_refused(step):
    with pytest.raises(ValueError, match="an image linear in flux"):
        step(Cutout(np.ones((3, 8, 8)), ("R", "G", "B"), unit=DISPLAY))


def test_the_steps_survive_a_file(tmp_path):
    cutout = correct_extinction(remove_sky(Cutout(field(2), ("g",), survey="SDSS", unit=u.nJy)), 0.1)
    save_cutout(cutout, tmp_path / "a.fits")
    again = load_cutout(tmp_path / "a.fits")
    assert again.meta == cutout.meta
    assert [step["step"] for step in again.meta["foreground"]] == ["remove_sky", "correct_extinction"]
    with pytest.raises(ValueError, match="not yet corrected"):
        correct_extinction(again, 0.1)
