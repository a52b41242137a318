"""Ghorbani's attack: nothing moves in a linear network, a map by H delta in a quadratic one."""

from dataclasses import replace

import keras
import numpy as np
import pytest

from galcnn.explain import Saliency
from galcnn.faithfulness import Sample, fragility
from galcnn.faithfulness.map_attacks import FragilitySettings, attacked, surrogate_gradient
from galcnn.model import Target
from galcnn.model.forward import outputs
from galcnn.model.gradients import target_gradient
from tests.conftest import toy_images
from tests.explain import builds
from tests.faithfulness.conftest import sample_of_images


def quadratic():
    """Sum over a class's rows of A of (A x)^2: the gradient is 2 A^T A x."""
    inputs = keras.Input(builds.IMAGES.shape[1:])
    hidden = keras.layers.Dense(30, use_bias=False, name="hidden")
    squares = keras.ops.square(hidden(keras.layers.Flatten()(inputs)))
    last = keras.layers.Dense(3, use_bias=False, name="logits")
    network = keras.Model(inputs, last(squares))
    rng = np.random.default_rng(4)
    a, b = rng.normal(size=(240, 30)).astype("float32"), rng.normal(size=(30, 3)).astype("float32")
    hidden.set_weights([a])
    last.set_weights([b])
    return network, a, b


def test_a_linear_network_has_nothing_to_move(sample, unchanged):
    network, _ = builds.linear()
    moved = attacked(unchanged(network), sample)
    assert np.array_equal(moved, sample.images)
    found = fragility(network, Saliency(), sample, moved)
    assert found.attacked.tolist() == found.random.tolist() == [1, 1, 1, 1]
    assert found.shift.tolist() == [0, 0, 0, 0]


def test_the_map_of_a_quadratic_network_moves_by_its_hessian(sample, unchanged):
    network, a, b = quadratic()
    moved = attacked(unchanged(network), sample, attack=FragilitySettings(epsilon=2.0))
    delta = (moved - sample.images).reshape(4, -1)
    assert np.abs(delta).max() == pytest.approx(0.2, rel=1e-3)
    weights = b @ np.array(sample.targets[0].weights)
    hessian = 2 * (a * weights) @ a.T
    before = surrogate_gradient(network, sample)
    after = surrogate_gradient(network, sample.with_images(moved))
    assert (after - before).reshape(4, -1) == pytest.approx(delta @ hessian, abs=0.02)
    found = fragility(network, Saliency(), sample, moved)
    assert np.all(found.attacked < found.random)


def test_a_sharp_softplus_is_the_relu(sample):
    for build in (builds.flat, builds.nested):
        network = build()
        gradient, _ = target_gradient(network, sample.images, sample.targets)
        scale = np.abs(gradient).max()
        soft = surrogate_gradient(network, sample, sharpness=1e7)
        assert np.mean(np.abs(soft - gradient) < 1e-3 * scale) > 0.99
        assert not np.allclose(
            surrogate_gradient(network, sample, sharpness=1.0), gradient, atol=1e-3 * scale
        )


def test_an_attack_moves_the_map_of_a_trained_network_and_not_its_answer(trained, unchanged):
    network = unchanged(trained.network)
    images = np.asarray(trained.preprocessing(toy_images(24, seed=77)[0]))
    plain = sample_of_images(images, sigma=0.1)
    sample = Sample(images, (Target.of_class("thin", trained.classes),) * 24, plain.context)
    moved = attacked(network, sample)
    assert np.abs(moved - images).max() <= 0.1 + 1e-6
    answers = [outputs(network, x).argmax(axis=1) for x in (images, moved)]
    assert np.array_equal(*answers)
    found = fragility(network, Saliency(), sample, moved)
    assert found.attacked.mean() < found.random.mean() - 0.1
    assert np.isfinite(found.attacked).all()


def test_images_without_noise_and_senseless_attacks_are_refused(sample):
    network, _ = builds.linear()
    still = replace(sample, context=replace(sample.context, sigma=np.zeros_like(sample.images)))
    with pytest.raises(ValueError, match="images with noise"):
        attacked(network, still)
    with pytest.raises(ValueError, match="sharpness above 0"):
        FragilitySettings(sharpness=0)
