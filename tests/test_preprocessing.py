"""Closed forms of the preprocessing layers, and that they survive saving and half precision."""

import keras
import numpy as np
import pytest

from galcnn.preprocessing import AsinhStretch, PCAWhitening, Standardize, fit_preprocessing, sky_noise


def sky(n=40, size=24, sigma=(2.0, 5.0), seed=0):
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(n, size, size, len(sigma))) * np.array(sigma)).astype("float32")


def test_sky_noise_is_measured_on_the_frame_and_ignores_the_galaxy():
    images = sky()
    images[:, 8:16, 8:16] += 1e4
    # 40 images of 320 frame pixels; the MAD is 37 % efficient.
    assert sky_noise(images) == pytest.approx([2.0, 5.0], rel=0.03)


def test_asinh_is_linear_below_and_logarithmic_above_its_softening():
    layer = AsinhStretch()
    layer.adapt(sky(), noise_factor=3.0)
    softening = np.asarray(layer.softening)
    assert softening == pytest.approx(3 * sky_noise(sky()), rel=1e-6)
    x = np.array([1e-4, 1.0, 1e7], dtype="float32").reshape(3, 1, 1, 1) * softening
    out = np.asarray(layer(x.astype("float32")))[:, 0, 0, :]
    np.testing.assert_allclose(out[0], 1e-4, rtol=1e-5)
    np.testing.assert_allclose(out[1], np.arcsinh(1.0), rtol=1e-6)
    np.testing.assert_allclose(out[2], np.log(2e7), rtol=1e-5)


def test_standardize_gives_mean_0_and_deviation_1_even_far_from_zero():
    images = sky(sigma=(1.0, 1.0)) + np.float32(1e4)
    layer = Standardize()
    layer.adapt(images)
    out = np.asarray(layer(images), dtype=float)
    assert out.mean(axis=(0, 1, 2)) == pytest.approx([0, 0], abs=2e-3)  # float32 of 1e4 ends at 1e-3
    assert out.std(axis=(0, 1, 2)) == pytest.approx([1, 1], rel=1e-3)


def test_pca_whitening_gives_the_identity_covariance_and_can_be_undone():
    mixed = sky(sigma=(1, 1, 1)) @ np.array([[3, 1, 0], [0, 1, 2], [0, 0, 0.5]], "float32") + 7
    layer = PCAWhitening()
    layer.adapt(mixed)
    out = np.asarray(layer(mixed), dtype=float).reshape(-1, 3)
    assert np.cov(out.T, bias=True) == pytest.approx(np.eye(3), abs=1e-4)
    rotation, mean = np.asarray(layer.rotation, dtype=float), np.asarray(layer.mean, dtype=float)
    assert out @ np.linalg.inv(rotation) + mean == pytest.approx(mixed.reshape(-1, 3), abs=1e-4)


def test_what_cannot_be_scaled_is_refused():
    flat = np.ones((4, 12, 12, 1), "float32")
    with pytest.raises(ValueError, match="sky noise in every band"):
        fit_preprocessing(flat)
    with pytest.raises(ValueError, match="images that vary in every band"):
        fit_preprocessing(flat, stretch="linear")
    twins = np.repeat(sky(sigma=(1.0,)), 2, axis=-1)
    with pytest.raises(ValueError, match="not linear copies"):
        fit_preprocessing(twins, stretch="linear", scaling="pca")
    with pytest.raises(ValueError, match=r"stretch among.*stretch='log'"):
        fit_preprocessing(sky(), stretch="log")


@pytest.mark.parametrize("scaling", ["standardize", "pca", "none"])
def test_saved_and_loaded_it_gives_the_same_bits(tmp_path, scaling):
    model = fit_preprocessing(sky(), scaling=scaling)
    model.save(tmp_path / "p.keras")
    back = keras.saving.load_model(tmp_path / "p.keras")
    images = sky(seed=9)
    assert np.array_equal(model.predict(images, verbose=0), back.predict(images, verbose=0))
    assert back.name == "preprocessing"
    assert not back.trainable_weights


def test_bright_pixels_survive_half_precision():
    """asinh(1e5 nJy) in float16 is infinite: the layers stay in float32 under any policy."""
    images = sky() + 0
    images[0, 12, 12] = 1e6
    old = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = fit_preprocessing(images)
        out = model.predict(images, verbose=0)
    finally:
        keras.config.set_dtype_policy(old)
    assert out.dtype == np.float32
    assert np.all(np.isfinite(out))
    reference = fit_preprocessing(images).predict(images, verbose=0)
    assert np.array_equal(out, reference)
