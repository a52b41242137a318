"""The preprocessing model: chosen by words, undone, saved, and float32 under any policy."""

import keras
import numpy as np
import pytest

from galcnn.model import fit_preprocessing, invert
from tests.model.preprocessing.toys import mixed, sky

SCALINGS = ("none", "center", "scale", "standardize", "pca", "whiten")


@pytest.mark.parametrize("stretch", ["asinh", "lupton", "linear"])
@pytest.mark.parametrize("scaling", SCALINGS)
def test_every_combination_can_be_undone(stretch, scaling):
    images = mixed()
    model = fit_preprocessing(images, stretch=stretch, scaling=scaling)
    back = invert(model, model.predict(images, verbose=0))
    np.testing.assert_allclose(back, images, rtol=1e-4, atol=1e-4)


def test_what_follows_the_stretch_is_fitted_behind_it():
    model = fit_preprocessing(mixed() * 30, stretch="lupton", scaling="whiten")
    assert [layer.name for layer in model.layers] == ["image", "luptonstretch", "pcawhitening"]
    out = model.predict(mixed() * 30, verbose=0).reshape(-1, 3)
    assert np.cov(out.T.astype(float), bias=True) == pytest.approx(np.eye(3), abs=1e-3)


def test_an_answer_depends_on_no_other_image_of_the_batch():
    model = fit_preprocessing(sky())
    other = sky(seed=3)
    alone = model.predict(other[:1], verbose=0)
    other[1:] *= 1000
    assert np.array_equal(model.predict(other, verbose=0)[:1], alone)


def test_what_cannot_be_scaled_is_refused():
    flat = np.ones((4, 12, 12, 1), "float32")
    for stretch in ("asinh", "lupton"):
        with pytest.raises(ValueError, match="sky noise in every band"):
            fit_preprocessing(flat, stretch=stretch)
    with pytest.raises(ValueError, match="images that vary in every band"):
        fit_preprocessing(flat, stretch="linear")
    twins = np.repeat(sky(sigma=(1.0,)), 2, axis=-1)
    with pytest.raises(ValueError, match="not linear copies"):
        fit_preprocessing(twins, stretch="linear", scaling="whiten")
    with pytest.raises(ValueError, match=r"stretch among.*stretch='log'"):
        fit_preprocessing(sky(), stretch="log")
    with pytest.raises(ValueError, match=r"per among.*per='pixel'"):
        fit_preprocessing(sky(), per="pixel")
    with pytest.raises(ValueError, match="per='band' for principal components"):
        fit_preprocessing(sky(), scaling="pca", per="image")
    with pytest.raises(ValueError, match="layer that can be undone"):
        invert(fit_preprocessing(sky(), per="image"), sky())
    foreign = keras.Sequential([keras.Input((24, 24, 2)), keras.layers.ReLU()], name="preprocessing")
    with pytest.raises(ValueError, match=r"layers of galcnn\.model\.preprocessing.*ReLU"):
        invert(foreign, sky())


@pytest.mark.parametrize("scaling", SCALINGS)
@pytest.mark.parametrize("per", ["band", "set", "image", "image-band"])
def test_saved_and_loaded_it_gives_the_same_bits(tmp_path, scaling, per):
    if scaling in ("pca", "whiten"):
        per = "band"
    model = fit_preprocessing(sky(), stretch="lupton", scaling=scaling, per=per)
    model.save(tmp_path / "p.keras")
    back = keras.saving.load_model(tmp_path / "p.keras")
    images = sky(seed=9)
    assert np.array_equal(model.predict(images, verbose=0), back.predict(images, verbose=0))
    assert back.name == "preprocessing"
    assert not back.trainable_weights


@pytest.mark.parametrize("stretch", ["asinh", "lupton"])
def test_bright_pixels_survive_half_precision(stretch):
    """asinh(1e5 nJy) in float16 is infinite: the layers stay in float32 under any policy."""
    images = sky() + 0
    images[0, 12, 12] = 1e6
    old = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = fit_preprocessing(images, stretch=stretch)
        out = model.predict(images, verbose=0)
    finally:
        keras.config.set_dtype_policy(old)
    assert out.dtype == np.float32
    assert np.all(np.isfinite(out))
    reference = fit_preprocessing(images, stretch=stretch).predict(images, verbose=0)
    assert np.array_equal(out, reference)


@pytest.mark.parametrize(
    ("unit", "first"), [("display", "standardize"), ("nJy", "asinhstretch"), (None, "asinhstretch")]
)
def test_pictures_are_not_stretched_a_second_time(unit, first):
    model = fit_preprocessing(mixed(), stretch="auto", unit=unit)
    assert model.layers[1].name == first
    assert fit_preprocessing(mixed(), stretch="asinh", unit=unit).layers[1].name == "asinhstretch"
