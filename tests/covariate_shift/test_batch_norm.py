"""Batch-norm statistics of new images: exact, layer by layer, on a copy."""

import warnings

import keras
import numpy as np
import pytest

from galcnn.covariate_shift import adapt_batchnorm
from galcnn.covariate_shift.batch_norm import AdaptationWarning
from galcnn.covariate_shift.distances import layer_features
from galcnn.model import Card, NetworkSettings, TrainedModel, assemble, build_network, fit_preprocessing
from tests.conftest import toy_images


@pytest.fixture(autouse=True)
def _no_warning_of_ours():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AdaptationWarning)
        yield


@pytest.fixture(scope="module")
def far_images():
    """Fainter, broader and noisier: the toys of the model, further away."""
    images, labels = toy_images(150, seed=5)
    rng = np.random.default_rng(0)
    return (images * 0.3 + rng.normal(0, 6, images.shape)).astype(np.float32), labels


def test_statistics_are_the_pooled_mean_and_population_variance_layer_by_layer(trained, far_images):
    """By hand: the first layer from its input, the second from what the adapted first one gives."""
    images = far_images[0]
    adapted = adapt_batchnorm(trained, images)
    network = adapted.network
    value = keras.ops.convert_to_numpy(adapted.preprocessing(images))
    seen = 0
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            flat = value.reshape(-1, value.shape[-1]).astype(np.float64)
            np.testing.assert_allclose(layer.moving_mean, flat.mean(axis=0), rtol=1e-4, atol=1e-5)
            np.testing.assert_allclose(layer.moving_variance, flat.var(axis=0), rtol=1e-4)
            seen += 1
        if not isinstance(layer, keras.layers.InputLayer):
            value = keras.ops.convert_to_numpy(layer(value, training=False))
    assert seen >= 3


def test_averaging_the_variances_of_chunks_would_be_wrong(trained, far_images):
    """Images sorted by brightness: what a mean over chunks misses is the scatter between them."""
    images = far_images[0]
    images = images[np.argsort(images.sum(axis=(1, 2, 3)))]
    layer = next(
        layer
        for layer in adapt_batchnorm(trained, images).network.layers
        if isinstance(layer, keras.layers.BatchNormalization)
    )
    source = next(layer for layer in trained.network.layers if isinstance(layer, keras.layers.Conv2D))
    given = keras.ops.convert_to_numpy(source(trained.preprocessing(images)))
    averaged = given.var(axis=(1, 2)).mean(axis=0)  # the smallest chunks there are
    pooled = given.astype(np.float64).var(axis=(0, 1, 2))
    np.testing.assert_allclose(layer.moving_variance, pooled, rtol=1e-4)
    assert np.max(1 - averaged / pooled) > 0.05, "else this shows nothing"


def test_the_original_is_untouched_and_the_card_says_what_was_done(trained, far_images):
    before = [np.array(weight) for weight in trained.model.get_weights()]
    adapted = adapt_batchnorm(trained, far_images[0], source_weight=0.25)
    for old, new in zip(before, trained.model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    assert adapted.card.data["batchnorm_adapted"]["n_images"] == 150
    assert adapted.card.data["batchnorm_adapted"]["source_weight"] == 0.25
    assert "batchnorm_adapted" not in trained.card.data


def test_only_the_statistics_change(trained, far_images):
    adapted = adapt_batchnorm(trained, far_images[0])
    for old, new in zip(trained.model.trainable_variables, adapted.model.trainable_variables, strict=True):
        np.testing.assert_array_equal(old, new)


def test_statistics_are_blended_by_the_source_weight(trained, far_images):
    weight = 0.3
    blended = adapt_batchnorm(trained, far_images[0], source_weight=weight)
    plain = adapt_batchnorm(trained, far_images[0])

    def first(one):
        kind = keras.layers.BatchNormalization
        layer = next(layer for layer in one.network.layers if isinstance(layer, kind))
        return keras.ops.convert_to_numpy(layer.moving_mean)

    want = weight * first(trained) + (1 - weight) * first(plain)
    np.testing.assert_allclose(first(blended), want, rtol=1e-4, atol=1e-6)


def test_adapting_brings_a_shifted_sample_back(trained, far_images):
    """Accuracy on other galaxies than those adapted to, as faint and noisy as they."""
    images, labels = far_images
    adapted = adapt_batchnorm(trained, images[:100])

    def accuracy(one):
        logits = keras.ops.convert_to_numpy(one.model(images[100:], training=False))
        return np.mean(logits.argmax(axis=1) == labels[100:])

    assert accuracy(adapted) >= accuracy(trained)


def test_a_network_without_batch_norm_is_refused(far_images):
    images = far_images[0]
    settings = NetworkSettings(widths=(4,), depth=1, normalization="group")
    model = assemble(fit_preprocessing(images), build_network((16, 16, 2), 2, settings=settings))
    from galcnn.model import InputSpec

    bare = TrainedModel(model, Card(("round", "thin"), InputSpec(("g", "r"), "nJy", (16, 16), 0.4)))
    with pytest.raises(ValueError, match="a network with batch normalisation"):
        adapt_batchnorm(bare, images)


@pytest.mark.parametrize(
    ("images", "weight", "told"),
    [
        (np.zeros((0, 16, 16, 2), np.float32), 0.0, "images of shape"),
        (np.zeros((4, 16, 16), np.float32), 0.0, "images of shape"),
        (np.zeros((4, 16, 16, 2), np.float32), 1.5, "source_weight from 0 to 1"),
    ],
)
def test_what_cannot_be_adapted_to_is_refused(trained, images, weight, told):
    with pytest.raises(ValueError, match=told):
        adapt_batchnorm(trained, images, source_weight=weight)


def test_few_images_and_other_classes_are_warned_of(trained, far_images):
    images, labels = far_images
    with warnings.catch_warnings():
        warnings.simplefilter("error", AdaptationWarning)
        with pytest.raises(AdaptationWarning, match="are noisy"):
            adapt_batchnorm(trained, images[:8])
        near, kinds = toy_images(120, seed=8)
        from dataclasses import replace

        rare = TrainedModel(trained.model, replace(trained.card, class_prior={"round": 0.9, "thin": 0.1}))
        with pytest.raises(AdaptationWarning, match="thin"):
            adapt_batchnorm(rare, near[kinds == 1][:60])
    del labels


def test_layer_features_are_the_moments_of_each_channel(trained, far_images):
    images = far_images[0][:10]
    stretched = keras.ops.convert_to_numpy(trained.preprocessing(images))
    features = layer_features(trained.network, stretched)
    first = next(layer for layer in trained.network.layers if isinstance(layer, keras.layers.Conv2D))
    assert first.name in features
    maps = keras.ops.convert_to_numpy(keras.Model(trained.network.input, first.output)(stretched))
    want = np.concatenate([maps.mean(axis=(1, 2)), maps.std(axis=(1, 2))], axis=1)
    np.testing.assert_allclose(features[first.name], want, rtol=1e-4, atol=1e-5)
    assert features["logits"].shape == (10, 2)


def test_galaxies_further_away_are_unlike_and_others_are_not(trained, far_images):
    from galcnn.covariate_shift.distances import drift_table

    reference, _ = toy_images(60, seed=11)
    same, _ = toy_images(40, seed=12)
    alike = drift_table(trained, reference, same, seed=1)
    apart = drift_table(trained, reference, far_images[0][:40], seed=1)
    assert alike["layer"][0] == "input"
    assert alike["layer"][-1] == "logits"
    assert (alike["p_holm"] > 0.05).all()
    assert (apart["p_holm"] < 0.05).sum() >= 3
    assert apart["p_holm"][0] < 0.05
