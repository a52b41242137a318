"""The sky against what was put in: known levels and noises, closed forms, other programs."""

import astropy.units as u
import numpy as np
import pytest
from astropy.stats import sigma_clipped_stats
from hypothesis import given
from hypothesis import strategies as st

from galcnn.cutout import Cutout
from galcnn.files import load_cutout, save_cutout
from galcnn.photometry import DISPLAY
from galcnn.photometry.units import UNCALIBRATED
from galcnn.transforms import correct_extinction, estimate_sky, remove_sky
from galcnn.transforms.background import SKY_FRAME, sky_statistics

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
    step = removed.meta["background"][0]
    levels = np.array([step["sky"][band]["level"] for band in "gr"])
    np.testing.assert_allclose(levels, [100, -7], atol=0.2)
    np.testing.assert_allclose(
        removed.flux, cutout.flux - levels[:, None, None].astype(np.float32), atol=2e-5, equal_nan=True
    )
    np.testing.assert_array_equal(removed.mask, cutout.mask)
    np.testing.assert_array_equal(removed.sigma, cutout.sigma)
    assert (step["step"], removed.meta["seed"]) == ("remove_sky", 4)
    assert "background" not in cutout.meta
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
    sky = removed.meta["background"][0]["sky"]["r"]
    assert sky["level"] == pytest.approx(np.median(corners), abs=0.2 * sky["noise"])
    assert removed.unit == UNCALIBRATED


def test_des_and_pan_starrs_have_no_sky_left(real_data):
    for name in ("fits/hostphot/DES_r.fits", "services/panstarrs_fitscut/PS1_r.fits"):
        sky = estimate_sky(load_cutout(real_data / name))[0]
        assert abs(sky.level) < 0.3 * sky.noise


#: What the callers of `sky_statistics` ask for.
SETTINGS = [
    {"border": SKY_FRAME},
    {"border": (13, 13)},
    {"clip": "mad"},
    {"clip": "std"},
    {"clip": "std", "rounds": 10, "mode": True},
]


@pytest.mark.parametrize("settings", SETTINGS)
def test_every_region_and_clipping_finds_level_and_noise(settings):
    """A field with a galaxy in the middle and stars: whatever is taken for sky, it is 100 and 3."""
    planes = np.stack([field(seed) for seed in range(12)])
    level, noise = sky_statistics(planes, **settings)
    assert level.shape == noise.shape == (12,)
    np.testing.assert_allclose(level, 100, atol=0.6)
    np.testing.assert_allclose(noise, NOISE, rtol=0.12)


@pytest.mark.parametrize("settings", SETTINGS)
@given(shift=st.floats(-1e3, 1e3), scale=st.floats(0.1, 1e3))
def test_a_constant_shifts_the_level_alone_and_a_factor_scales_both(settings, shift, scale):
    image = field(1, size=48, sky=0.0, radius=4.0, n_stars=2)
    level, noise = sky_statistics(image, **settings)
    moved, same = sky_statistics(image + shift, **settings)
    assert float(moved) == pytest.approx(float(level) + shift, abs=1e-6)
    assert float(same) == pytest.approx(float(noise), abs=1e-6)
    wide, wider = sky_statistics(image * scale, **settings)
    assert float(wide) == pytest.approx(float(level) * scale, abs=1e-6 * scale)
    assert float(wider) == pytest.approx(float(noise) * scale, rel=1e-6)


@pytest.mark.parametrize("settings", SETTINGS)
def test_masked_pixels_are_not_seen_and_a_masked_plane_says_zero(settings):
    planes = np.stack([field(2), field(3)])
    mask = np.zeros(planes.shape, dtype=bool)
    mask[0, :3] = mask[0, 60:70] = True
    mask[1] = True
    spoiled = np.where(mask, np.nan, planes)
    level, noise = sky_statistics(spoiled, mask, **settings)
    again, same = sky_statistics(np.where(mask, 1e9, planes), mask, **settings)
    np.testing.assert_array_equal([level, noise], [again, same])
    assert (level[1], noise[1]) == (0, 0)
    assert level[0] == pytest.approx(100, abs=0.6)


def test_the_frame_has_the_median_and_the_scaled_deviation_of_its_pixels():
    image = np.zeros((6, 7), dtype=np.float32)
    image[1:-1, 2:-2] = 1e6
    image[0, :4] = [1, 1, 2, 2]  # 22 of the 30 pixels of the frame stay zero
    level, noise = sky_statistics(image, border=(1, 2))
    assert (level, noise) == (0, 0)
    mask = (image == 0) & (np.indices(image.shape)[0] > 0)
    level, noise = sky_statistics(image, mask, border=(1, 2))  # 0, 0, 0, 1, 1, 2, 2
    assert (float(level), float(noise)) == (1, pytest.approx(1.4826))
    assert level.dtype == np.float64
    small = sky_statistics(image[:1, :4], border=SKY_FRAME)[0]  # no more than a frame: all of it
    assert float(small) == 1.5


def test_clipping_is_astropys():
    image = field(7)
    level, noise = sky_statistics(image, clip="std")
    np.testing.assert_allclose([level, noise], sigma_clipped_stats(image, sigma=3.0)[1:], rtol=1e-12)
    mask = image > 110
    level, noise = sky_statistics(image, mask, clip="std", rounds=2)
    expected = sigma_clipped_stats(image, mask=mask, sigma=3.0, maxiters=2)[1:]
    np.testing.assert_allclose([level, noise], expected, rtol=1e-12)
    level, _ = sky_statistics(image, clip="mad")
    _, expected, _ = sigma_clipped_stats(image, sigma=3.0, stdfunc="mad_std")
    assert float(level) == pytest.approx(float(expected), abs=1e-3)


def test_the_mode_lies_below_the_median_of_a_crowded_sky():
    """2.5 median - 1.5 mean, by hand."""
    values = np.array([[0.0, 1.0, 2.0, 3.0, 5.0]])
    level, noise = sky_statistics(values, clip="std", mode=True)
    assert float(level) == pytest.approx(2.5 * 2 - 1.5 * 2.2)
    assert float(noise) == pytest.approx(values.std())


@pytest.mark.parametrize("step", [remove_sky, lambda cutout: correct_extinction(cutout, 0.1)])
def test_pictures_are_refused(step):
    with pytest.raises(ValueError, match="an image linear in flux"):
        step(Cutout(np.ones((3, 8, 8)), ("R", "G", "B"), unit=DISPLAY))


def test_the_steps_survive_a_file(tmp_path):
    cutout = correct_extinction(remove_sky(Cutout(field(2), ("g",), survey="SDSS", unit=u.nJy)), 0.1)
    save_cutout(cutout, tmp_path / "a.fits")
    again = load_cutout(tmp_path / "a.fits")
    assert again.meta == cutout.meta
    steps = [step["step"] for kind in ("background", "extinction") for step in again.meta[kind]]
    assert steps == ["remove_sky", "correct_extinction"]
    with pytest.raises(ValueError, match="not yet corrected"):
        correct_extinction(again, 0.1)
