"""Baselines and noise: what a blank sky is, by value."""

import numpy as np
import pytest
from scipy.stats import kstest

from galcnn.explain import Context, IntegratedGradients, Occlusion
from galcnn.explain.baselines import baseline_images, noise_of, sky_level, standard_normal

RNG = np.random.default_rng(0)
#: A sky of level 2 and 7 and noise 0.5 and 3, with a bright source in the middle.
SKY = (np.array([2.0, 7.0]) + np.array([0.5, 3.0]) * RNG.normal(size=(3, 40, 40, 2))).astype("float32")
SKY[:, 12:28, 12:28] += 100


def test_the_sky_is_measured_on_the_frame():
    level, noise = sky_level(SKY, Context())
    np.testing.assert_allclose(level[:, 0, 0], [[2, 7]] * 3, atol=0.5)
    np.testing.assert_allclose(noise[:, 0, 0], [[0.5, 3]] * 3, rtol=0.15)
    known = sky_level(SKY, Context(sigma=np.full_like(SKY, 0.25)))[1]
    np.testing.assert_array_equal(known, np.full((3, 1, 1, 2), 0.25, "float32"))
    stars = SKY.copy()
    mask = np.zeros(SKY.shape, bool)
    mask[:, :4] = True
    stars[:, :4] = 1e6
    np.testing.assert_allclose(sky_level(stars, Context(mask=mask))[0][:, 0, 0], [[2, 7]] * 3, atol=0.5)


def test_a_blank_sky_has_the_level_and_noise_of_the_image_and_no_source():
    blank = baseline_images("sky", SKY, context=None, blur=1.0, seed=1)
    np.testing.assert_allclose(blank.mean((1, 2)), [[2, 7]] * 3, atol=0.5)
    np.testing.assert_allclose(blank.std((1, 2)), [[0.5, 3]] * 3, rtol=0.2)
    again = baseline_images("sky", SKY[::-1], context=Context(ids=("2", "1", "0")), blur=1.0, seed=1)
    np.testing.assert_array_equal(again[::-1], blank)
    assert not np.array_equal(baseline_images("sky", SKY, context=None, blur=1.0, seed=2), blank)


def test_no_flux_is_what_the_context_says_and_masked_pixels_are_the_images():
    np.testing.assert_array_equal(baseline_images("zero", SKY, context=None, blur=1.0, seed=0), 0 * SKY)
    zero = RNG.normal(size=SKY.shape[1:]).astype("float32")
    mask = np.zeros(SKY.shape, bool)
    mask[0, 3, 4] = True
    for kind in ("zero", "sky", "blurred"):
        made = baseline_images(kind, SKY, context=Context(zero=zero, mask=mask), blur=2.0, seed=0)
        np.testing.assert_array_equal(made[0, 3, 4], SKY[0, 3, 4])
        if kind == "zero":
            np.testing.assert_array_equal(made[1], zero)


def test_a_baseline_that_cannot_be_made_is_refused_by_the_methods_that_have_one():
    for method in (IntegratedGradients, Occlusion):
        for settings in ({"baseline": "black"}, {"blur": 0.0}, {"blur": float("nan")}):
            with pytest.raises(ValueError, match=r"a baseline among.*and blur above 0"):
                method(**settings)


def test_a_blurred_point_is_a_gaussian():
    image = np.zeros((1, 41, 41, 1), "float32")
    image[0, 20, 20] = 1
    blurred = baseline_images("blurred", image, context=None, blur=3.0, seed=0)[0, ..., 0]
    y, x = np.mgrid[:41, :41] - 20
    assert blurred.sum() == pytest.approx(1, abs=1e-4)
    assert (blurred * (x**2 + y**2)).sum() == pytest.approx(2 * 9, rel=0.01)


def test_noise_is_sigma_and_none_in_masked_pixels():
    sigma, mask = np.full_like(SKY, 0.25), np.zeros(SKY.shape, bool)
    mask[1, 5, 5] = True
    noise = noise_of(SKY, Context(sigma=sigma, mask=mask))
    np.testing.assert_array_equal(noise, np.where(mask, 0, sigma))
    with pytest.raises(ValueError, match=r"images with noise.*without_noise=\['b'\]"):
        noise_of(np.stack([SKY[0], 0 * SKY[0]]), Context(ids=("a", "b")))


def test_the_deviates_are_normal():
    x = standard_normal(np.random.default_rng(3), (100_003,))
    assert x.dtype == np.float32
    assert kstest(x, "norm").pvalue > 0.01
    assert np.corrcoef(x[:-1], x[1:])[0, 1] == pytest.approx(0, abs=0.015)
    assert not np.array_equal(x, standard_normal(np.random.default_rng(4), (100_003,)))
