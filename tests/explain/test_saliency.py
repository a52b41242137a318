"""Saliency is the gradient: closed forms, central differences, and it leaves the model alone."""

import gc
import weakref

import keras
import numpy as np
import pytest

from galcnn.explain import Saliency, Target
from galcnn.explain.gradients import target_gradient
from galcnn.model import NetworkSettings, assemble, build_network
from galcnn.preprocessing import fit_preprocessing

RNG = np.random.default_rng(0)
IMAGES = RNG.normal(size=(5, 8, 8, 3)).astype("float32")


def linear_network(n_classes=3, seed=0):
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Flatten()(inputs)
    weights = np.random.default_rng(seed).normal(size=(192, n_classes)).astype("float32")
    dense = keras.layers.Dense(n_classes, name="logits")
    model = keras.Model(inputs, dense(x))
    dense.set_weights([weights, np.arange(n_classes, dtype="float32")])
    return model, weights


def test_of_a_linear_network_it_is_the_weights():
    model, weights = linear_network()
    target = Target("mix", (0.5, 0.0, -2.0))
    maps = Saliency()(model, IMAGES, target)
    expected = (weights @ np.array([0.5, 0, -2.0])).reshape(8, 8, 3)
    np.testing.assert_allclose(maps, np.broadcast_to(expected, maps.shape), rtol=1e-5)
    _, scores = target_gradient(model, IMAGES, target)
    logits = IMAGES.reshape(5, -1) @ weights + np.arange(3)
    np.testing.assert_allclose(scores, logits @ [0.5, 0, -2.0], rtol=1e-4)


def test_of_any_network_it_is_the_central_difference():
    """In float64, so that differences of 1e-6 are seen; smooth activations have no kinks to cross."""
    old = keras.config.floatx()
    keras.config.set_floatx("float64")
    try:
        settings = NetworkSettings(widths=(4, 6), activation="tanh", pooling="average")
        network = build_network((8, 8, 2), 3, settings=settings, seed=2)
    finally:
        keras.config.set_floatx(old)
    image = np.random.default_rng(3).normal(size=(1, 8, 8, 2))
    target = Target("t", (1.0, -1.0, 0.5))
    map_ = Saliency()(network, image.astype("float32"), target)[0]
    image = image.astype("float32").astype("float64")  # the map saw the image in single precision

    def score(x):
        return float(np.asarray(network(x, training=False))[0].astype(float) @ target.weights)

    for where in [(0, 0, 0), (3, 4, 1), (7, 7, 0), (5, 2, 1)]:
        step = np.zeros_like(image)
        step[(0, *where)] = 1e-2
        slope = (score(image + step) - score(image - step)) / 2e-2
        assert map_[where] == pytest.approx(slope, rel=2e-2, abs=2e-5)


def test_each_image_may_have_its_own_target_and_a_batch_changes_nothing():
    network = build_network((8, 8, 3), 3, settings=NetworkSettings(widths=(4, 8)), seed=1)
    targets = [Target.of_class(c, "abc") for c in "abcab"]
    together = Saliency()(network, IMAGES, targets)
    for image, target, map_ in zip(IMAGES, targets, together, strict=True):
        np.testing.assert_allclose(Saliency()(network, image[None], target)[0], map_, rtol=1e-4, atol=1e-6)


def test_twice_the_target_is_twice_the_map_and_a_blind_band_has_none():
    network = build_network((8, 8, 3), 3, settings=NetworkSettings(widths=(4, 8), stem=0), seed=1)
    kernel = np.asarray(network.get_layer("conv1_1").kernel).copy()
    kernel[:, :, 1] = 0
    network.get_layer("conv1_1").kernel.assign(kernel)
    one = Saliency()(network, IMAGES, Target("t", (1, 0, -1)))
    two = Saliency()(network, IMAGES, Target("t", (2, 0, -2)))
    np.testing.assert_array_equal(two, 2 * one)
    assert np.all(one[..., 1] == 0)
    assert np.any(one[..., 0] != 0)


def test_flux_and_stretched_maps_obey_the_chain_rule():
    """d logit / d flux = d logit / d stretched times the slope of the stretch, pixel by pixel."""
    images = (RNG.normal(size=(6, 16, 16, 2)) * 5 + 20).astype("float32")
    preprocessing = fit_preprocessing(images)
    network = build_network((16, 16, 2), 2, settings=NetworkSettings(widths=(4, 8)), seed=1)
    model = assemble(preprocessing, network)
    target = Target("t", (1.0, -1.0))
    inner = Saliency()(network, preprocessing.predict(images, verbose=0), target)
    outer = Saliency()(model, images, target)
    softening = np.asarray(preprocessing.get_layer("asinhstretch").softening)
    deviation = np.asarray(preprocessing.get_layer("standardize").deviation)
    slope = 1 / np.sqrt(images**2 + softening**2) / deviation
    np.testing.assert_allclose(outer, inner * slope, rtol=1e-3, atol=1e-7)


def test_the_users_model_is_left_as_it_was(trained, toy_dataset):
    before = trained.model.get_weights()
    flags = [layer.trainable for layer in trained.model.layers]
    Saliency()(trained.model, toy_dataset.images[:4], Target.of_class("thin", trained.classes))
    assert all(np.array_equal(a, b) for a, b in zip(before, trained.model.get_weights(), strict=True))
    assert flags == [layer.trainable for layer in trained.model.layers]


def test_a_dropped_network_is_freed():
    network, _ = linear_network()
    Saliency()(network, IMAGES, Target("t", (1, 0, 0)))
    gone = weakref.ref(network)
    del network
    gc.collect()
    assert gone() is None


def test_a_softmax_is_refused():
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Flatten()(inputs)
    for last in (keras.layers.Dense(2, activation="softmax"), keras.layers.Dense(2, activation="sigmoid")):
        with pytest.raises(ValueError, match="a network that ends in logits"):
            Saliency()(keras.Model(inputs, last(x)), IMAGES, Target("t", (1, 0)))
    soft = keras.Model(inputs, keras.layers.Softmax()(keras.layers.Dense(2)(x)))
    with pytest.raises(ValueError, match="a network that ends in logits"):
        Saliency()(soft, IMAGES, Target("t", (1, 0)))


def test_targets_that_do_not_fit_are_refused():
    model, _ = linear_network()
    with pytest.raises(ValueError, match="with 3 weights"):
        Saliency()(model, IMAGES, Target("t", (1, 0)))
    with pytest.raises(ValueError, match="one for each of 5 images"):
        Saliency()(model, IMAGES, [Target("t", (1, 0, 0))] * 4)
