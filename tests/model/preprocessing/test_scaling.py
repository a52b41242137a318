"""Mean and deviation, of the set or of each image: closed forms."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from galcnn.model.preprocessing.scaling import ImageStandardize, Standardize
from tests.model.preprocessing.toys import sky


def applied(layer, images):
    layer.adapt(images)
    return np.asarray(layer(images), dtype=float)


def test_standardize_gives_mean_0_and_deviation_1_even_far_from_zero():
    images = sky(sigma=(1.0, 1.0)) + np.float32(1e4)
    out = applied(Standardize(), images)
    assert out.mean(axis=(0, 1, 2)) == pytest.approx([0, 0], abs=2e-3)  # float32 of 1e4 ends at 1e-3
    assert out.std(axis=(0, 1, 2)) == pytest.approx([1, 1], rel=1e-3)


def test_centring_alone_keeps_the_deviation_and_scaling_alone_keeps_a_sky_of_zero():
    images = sky() + np.array([10, 20], "float32")
    out = applied(Standardize(scale=False), images)
    assert out.mean(axis=(0, 1, 2)) == pytest.approx([0, 0], abs=1e-4)
    assert out.std(axis=(0, 1, 2)) == pytest.approx(images.std(axis=(0, 1, 2)), rel=1e-4)
    images[0, 0] = 0
    out = applied(Standardize(center=False), images)
    assert np.all(out[0, 0] == 0)
    assert out.std(axis=(0, 1, 2)) == pytest.approx([1, 1], rel=1e-3)


def test_per_set_has_one_constant_for_all_bands_and_so_keeps_colours():
    images = sky() + np.array([10, 20], "float32")
    layer = Standardize(per="set")
    out = applied(layer, images)
    assert out.mean() == pytest.approx(0, abs=1e-5)
    assert out.std() == pytest.approx(1, rel=1e-5)
    ratio = out.std(axis=(0, 1, 2))
    assert ratio[1] / ratio[0] == pytest.approx(2.5, rel=0.03)


def test_per_image_scales_each_by_itself_whatever_its_brightness():
    images = sky()
    out = np.asarray(ImageStandardize()(images * np.float32(50) + np.float32(9)), dtype=float)
    np.testing.assert_allclose(out, np.asarray(ImageStandardize()(images)), atol=1e-4)
    assert out.mean(axis=(1, 2, 3)) == pytest.approx(np.zeros(40), abs=1e-5)
    assert out.std(axis=(1, 2, 3)) == pytest.approx(np.ones(40), rel=1e-5)
    assert out.std(axis=(1, 2)).min() < 0.6, "the fainter band stays fainter"
    each = np.asarray(ImageStandardize(per="image-band")(images), dtype=float)
    assert each.std(axis=(1, 2)) == pytest.approx(np.ones((40, 2)), rel=1e-5)
    unscaled = np.asarray(ImageStandardize(scale=False)(images), dtype=float)
    assert unscaled.std() == pytest.approx(images.std(), rel=1e-3)
    assert np.abs(unscaled.mean(axis=(1, 2, 3))).max() < 1e-5


def test_a_blank_image_becomes_zero_and_its_slope_is_finite():
    blank = tf.constant(np.full((1, 4, 4, 2), 3, "float32"))
    layer = ImageStandardize()
    with tf.GradientTape() as tape:
        tape.watch(blank)
        total = tf.reduce_sum(layer(blank))
    assert np.all(np.asarray(layer(blank)) == 0)
    assert np.all(np.isfinite(tape.gradient(total, blank)))


@pytest.mark.parametrize("settings", [{}, {"center": False}, {"scale": False}, {"per": "set"}])
def test_scaling_by_constants_can_be_undone_and_by_each_image_not(settings):
    images = sky() + np.array([10, 20], "float32")
    layer = Standardize(**settings)
    layer.adapt(images)
    np.testing.assert_allclose(
        layer.inverse(keras.ops.convert_to_numpy(layer(images))), images, rtol=1e-5, atol=1e-5
    )
    with pytest.raises(ValueError, match=r"layer that can be undone.*ImageStandardize"):
        ImageStandardize().inverse(images)


@pytest.mark.parametrize("kind", [Standardize, ImageStandardize])
def test_bad_settings_are_refused(kind):
    with pytest.raises(ValueError, match="center, scale or both"):
        kind(center=False, scale=False)
    with pytest.raises(ValueError, match="per among"):
        kind(per="pixel")
