"""Disagreement by closed form; dropout left on, on networks whose answer is known."""

import keras
import numpy as np
import pytest

from galcnn.uncertainty import Uncertainty, ensemble, mc_dropout
from tests.conftest import embed


def test_disagreement_by_hand():
    p = np.array([[[0.8, 0.2], [1.0, 0.0], [0.5, 0.5]], [[0.8, 0.2], [0.0, 1.0], [0.5, 0.5]]])
    found = Uncertainty(p)
    np.testing.assert_allclose(found.mutual_information, [0, np.log(2), 0], atol=1e-12)
    h = -(0.8 * np.log(0.8) + 0.2 * np.log(0.2))
    np.testing.assert_allclose(found.entropy, [h, np.log(2), np.log(2)])
    np.testing.assert_allclose(found.std[1], np.sqrt(0.5))
    with pytest.raises(ValueError, match="at least two members"):
        Uncertainty(p[:1])


def test_dropout_alone_is_on_and_the_model_is_left_as_it_is(trained, toy_dataset):
    model, images = trained.model, toy_dataset.images[:24]
    before = [keras.ops.convert_to_numpy(v).copy() for v in model.variables]
    plain = model.predict(images, verbose=0)
    found = mc_dropout(trained, images, n_samples=20, seed=1)
    for old, variable in zip(before, model.variables, strict=True):  # seed states are among them
        np.testing.assert_array_equal(old, keras.ops.convert_to_numpy(variable))
    np.testing.assert_array_equal(plain, model.predict(images, verbose=0))
    assert (found.mutual_information > 0).any()
    assert found.members.shape == (20, 24, 2)
    again = mc_dropout(trained, images, n_samples=3, seed=1)
    np.testing.assert_allclose(again.members, found.members[:3], atol=1e-6)
    assert np.abs(mc_dropout(trained, images, n_samples=3, seed=2).members - again.members).max() > 1e-4


def test_mean_and_scatter_of_the_logit_are_those_of_a_bernoulli_mask(trained, toy_dataset):
    """logit = w . (m f / (1 - r)) + b: mean w . f + b, variance r / (1 - r) sum (w f)^2."""
    images = toy_dataset.images[:6]
    features = embed(trained, images).astype(float)
    last = trained.network.get_layer("logits")
    kernel, bias = (keras.ops.convert_to_numpy(v).astype(float) for v in last.weights)
    rate = trained.network.get_layer("dropout").rate
    n = 1500
    margin = (lambda p: np.log(p[..., 1] / p[..., 0]))(mc_dropout(trained, images, n_samples=n).members)
    weights = kernel[:, 1] - kernel[:, 0]
    scatter = np.sqrt(rate / (1 - rate) * ((features * weights) ** 2).sum(axis=1))
    np.testing.assert_allclose(
        margin.mean(axis=0), features @ weights + bias[1] - bias[0], atol=5 * scatter.max() / np.sqrt(n)
    )
    np.testing.assert_allclose(margin.std(axis=0), scatter, rtol=0.1)


def test_embedding_times_the_last_layer_is_the_logits(trained, toy_dataset):
    images = toy_dataset.images[:8]
    kernel, bias = (keras.ops.convert_to_numpy(v) for v in trained.network.get_layer("logits").weights)
    np.testing.assert_allclose(
        embed(trained, images) @ kernel + bias, trained.model.predict(images, verbose=0), rtol=1e-4, atol=1e-4
    )


def test_an_ensemble_is_its_members(trained, toy_dataset):
    images = toy_dataset.images[:8]
    found = ensemble([trained, trained], images)
    np.testing.assert_allclose(found.mutual_information, 0, atol=1e-12)
    with pytest.raises(ValueError, match="at least two models"):
        ensemble([trained], images)


def test_networks_without_dropout_or_with_other_noise_are_refused(trained):
    from dataclasses import replace

    from galcnn.model import NetworkSettings, assemble, build_network

    images = np.zeros((2, 16, 16, 2), dtype=np.float32)
    bare = assemble(
        keras.models.clone_model(trained.preprocessing),
        build_network((16, 16, 2), 2, settings=NetworkSettings(widths=(4,), dropout=0.0)),
    )
    with pytest.raises(ValueError, match="a network with dropout"):
        mc_dropout(replace(trained, model=bare), images)
    inputs = keras.Input((16, 16, 2))
    x = keras.layers.GaussianNoise(0.1, name="hiss")(inputs)
    x = keras.layers.Dropout(0.5)(keras.layers.GlobalAveragePooling2D()(x))
    noisy = assemble(
        keras.models.clone_model(trained.preprocessing),
        keras.Model(inputs, keras.layers.Dense(2, name="logits")(x), name="network"),
    )
    with pytest.raises(ValueError, match=r"no random layer but dropout.*hiss"):
        mc_dropout(replace(trained, model=noisy), images)
