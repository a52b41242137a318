"""Identity 9: of a linear score the best image is w / (2 lambda), or the bound chosen by the sign of w."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter
from scipy.optimize import minimize

from galcnn.explain import AscentSettings
from galcnn.explain.network.visualisation import ascend

W = np.random.default_rng(0).normal(size=(3, 8, 6, 2)).astype("float32")
NOISE = np.random.default_rng(1).normal(size=W.shape).astype("float32")


def linear(images):
    return np.sum(images * W, axis=(1, 2, 3)), W


@pytest.mark.parametrize("start", [np.zeros_like(W), NOISE, 100 * NOISE])
@pytest.mark.parametrize("penalty", [1e-4, 0.37, 1e5])
def test_of_a_linear_score_it_is_w_over_2_lambda(start, penalty):
    climb = ascend(linear, start, AscentSettings(5, penalty=penalty))
    np.testing.assert_allclose(climb.images, W / (2 * penalty), rtol=1e-6)
    np.testing.assert_allclose(
        climb.scores, np.sum(W.astype(float) ** 2, axis=(1, 2, 3)) / (2 * penalty), rtol=1e-6
    )
    assert climb.penalties.tolist() == [penalty] * 3


def test_in_a_box_each_pixel_sits_at_the_bound_chosen_by_the_sign():
    for penalty in (0.0, 1e-6):
        climb = ascend(linear, NOISE, AscentSettings(5, penalty=penalty, lower=-1.5, upper=0.5))
        np.testing.assert_array_equal(climb.images, np.where(W > 0, np.float32(0.5), np.float32(-1.5)))
    climb = ascend(linear, NOISE, AscentSettings(5, penalty=0.37, lower=-1.5, upper=0.5))
    np.testing.assert_allclose(climb.images, np.clip(W / 0.74, -1.5, 0.5), rtol=1e-6)


def test_without_light_below_zero_only_positive_weights_shine():
    climb = ascend(linear, NOISE, AscentSettings(5, penalty=0.37, lower=0.0))
    np.testing.assert_allclose(climb.images, np.maximum(W, 0) / 0.74, rtol=1e-6)


@given(contrast=st.floats(1e-3, 1e4), scale=st.floats(1e-6, 1e6), lower=st.sampled_from([None, 0.0]))
@settings(deadline=None, max_examples=30)
def test_a_contrast_is_the_rms_and_names_its_lambda_in_any_unit(contrast, scale, lower):
    """The score in another unit gives the same image and lambda in that unit."""
    climb = ascend(
        lambda x: (scale * linear(x)[0], scale * W), 0 * W, AscentSettings(4, contrast=contrast, lower=lower)
    )
    rms = np.sqrt(np.mean(climb.images.astype(float) ** 2, axis=(1, 2, 3)))
    np.testing.assert_allclose(rms, contrast, rtol=1e-5)
    expected = scale * (W if lower is None else np.maximum(W, 0)) / (2 * climb.penalties[:, None, None, None])
    np.testing.assert_allclose(climb.images, expected, rtol=1e-4, atol=1e-5 * contrast)


def test_a_concave_score_is_climbed_as_scipy_climbs_it():
    """log(1 + exp(.)) of several directions minus a quadratic: no closed form."""
    rng = np.random.default_rng(3)
    a, scale = rng.normal(size=(5, 1, 4, 4, 1)), 0.3

    def score(x):
        inner = np.sum(a[:, 0] * x, axis=(1, 2, 3))
        value = -np.sum(np.logaddexp(0, inner - 1))
        slope = -np.sum(a[:, 0] / (1 + np.exp(1 - inner))[:, None, None, None], axis=0)
        return value, slope

    def objective(images):
        found = [score(x) for x in images.astype(float)]
        return np.array([v for v, _ in found]), np.array([s for _, s in found])

    climb = ascend(objective, np.zeros((1, 4, 4, 1), "float32"), AscentSettings(3000, penalty=scale))
    best = minimize(lambda x: scale * np.sum(x**2) - score(x.reshape(4, 4, 1))[0], np.zeros(16), tol=1e-12)
    value = climb.scores[0] - scale * np.sum(climb.images.astype(float) ** 2)
    assert value == pytest.approx(-best.fun, abs=1e-5)
    np.testing.assert_allclose(climb.images.ravel(), best.x, atol=5e-3)


def test_a_blurred_image_climbs_through_its_blur():
    """I = G J: of a linear score J is G w / (2 lambda), G being its own adjoint."""

    def blur(images):
        return gaussian_filter(images.astype(float), (0, 1.3, 1.3, 0), mode="reflect")

    climb = ascend(linear, NOISE, AscentSettings(4, penalty=0.5, blur=1.3))
    np.testing.assert_allclose(climb.images, blur(blur(W)), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(climb.start, blur(NOISE), rtol=1e-5, atol=1e-6)
    assert np.vdot(blur(W), NOISE) == pytest.approx(np.vdot(W, blur(NOISE)), rel=1e-6)


def test_the_best_on_the_way_is_kept():
    """A score that falls again when the image grows too large."""

    def hill(images):
        r = np.sum(images.astype(float) ** 2, axis=(1, 2, 3))
        s = np.sum(images * W, axis=(1, 2, 3))
        return s - 0.01 * r**2, W - 0.04 * r[:, None, None, None] * images

    climb = ascend(hill, NOISE, AscentSettings(40, contrast=3.0))
    np.testing.assert_allclose(climb.scores, climb.trace[1:].max(axis=0))
    np.testing.assert_allclose(hill(climb.images)[0], climb.scores, rtol=1e-5)


def test_each_image_climbs_by_itself():
    together = ascend(linear, NOISE, AscentSettings(3, contrast=2.0))

    def second(images):
        return np.sum(images * W[1:2], axis=(1, 2, 3)), W[1:2]

    alone = ascend(second, NOISE[1:2], AscentSettings(3, contrast=2.0))
    np.testing.assert_array_equal(alone.images[0], together.images[1])
    start = NOISE.copy()
    ascend(linear, start, AscentSettings(3))
    np.testing.assert_array_equal(start, NOISE)


def test_flat_pixels_stay_and_what_cannot_be_is_refused():
    w = W.copy()
    w[:, 0] = 0
    climb = ascend(
        lambda x: (np.sum(x * w, axis=(1, 2, 3)), w), NOISE, AscentSettings(3, penalty=0, lower=-9, upper=9)
    )
    np.testing.assert_array_equal(climb.images[:, 0], NOISE[:, 0])
    flat = ascend(lambda x: (np.zeros(len(x)), np.zeros_like(x)), NOISE, AscentSettings(3))
    np.testing.assert_array_equal(flat.images, NOISE)
    with pytest.raises(FloatingPointError, match="finite scores"):
        ascend(lambda x: (np.full(len(x), np.nan), x), NOISE, AscentSettings(3))
    for fields, text in (
        ({"steps": 0}, "at least one step"),
        ({"contrast": 0}, "a positive contrast"),
        ({"penalty": -1}, "penalty=-1"),
        ({"blur": -1}, "blur=-1"),
        ({"penalty": 0}, "a penalty, or both bounds"),
        ({"lower": 2, "upper": 1}, "lower < upper"),
    ):
        with pytest.raises(ValueError, match=text):
            AscentSettings(**fields)
