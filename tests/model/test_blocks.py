"""Regularizers inside the network against their closed forms."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from galcnn.model import NetworkSettings, build_network

SMALL = {"widths": (4, 6), "depth": 1, "stem": 0, "dropout": 0.0}


def network(**settings):
    return build_network((8, 8, 2), 3, settings=NetworkSettings(**(SMALL | settings)), seed=1)


def kernels(model):
    return [v for v in model.trainable_variables if v.path.endswith("kernel")]


def test_the_gradient_of_the_penalties_is_l1_sign_w_plus_l2_w():
    model = network(l1=0.03, l2=0.7)
    with tf.GradientTape() as tape:
        penalty = tf.add_n(model.losses)
    weights = kernels(model)
    for weight, gradient in zip(weights, tape.gradient(penalty, [w.value for w in weights]), strict=True):
        w = weight.numpy()
        np.testing.assert_allclose(gradient.numpy(), 0.03 * np.sign(w) + 0.7 * w, rtol=1e-5, atol=1e-7)
    expected = sum(0.03 * np.abs(w.numpy()).sum() + 0.35 * (w.numpy() ** 2).sum() for w in weights)
    assert float(penalty) == pytest.approx(expected, rel=1e-5)
    assert len(weights) == 3, "two convolutions and the logits"


def test_keras_own_l2_has_twice_the_gradient():
    """The factor that our `l2` minds; if Keras halves its penalty one day, ours must change."""
    ours, keras_own = network(l2=0.1), network(regularizer={"class_name": "L2", "config": {"l2": 0.1}})
    assert float(sum(keras_own.losses)) == pytest.approx(2 * float(sum(ours.losses)), rel=1e-6)


def test_max_norm_bounds_the_weights_into_each_map_after_an_update():
    model = network(max_norm=0.5, normalization="none")
    model.compile(keras.optimizers.SGD(1.0), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    rng = np.random.default_rng(0)
    images = rng.normal(size=(12, 8, 8, 2)).astype("float32")
    model.fit(images, rng.integers(0, 3, 12), batch_size=4, epochs=2, verbose=0)
    norms = [np.sqrt((w.numpy() ** 2).sum(axis=tuple(range(w.ndim - 1)))) for w in kernels(model)]
    assert all(n.shape == (w.shape[-1],) for n, w in zip(norms, kernels(model), strict=True))
    assert max(n.max() for n in norms) == pytest.approx(0.5, rel=1e-4)  # some weights lie at the bound
    assert min(n.min() for n in norms) < 0.5 - 1e-3, "others were left alone"


def test_dropout_scales_what_it_keeps_and_its_mean_is_the_input():
    model = network(dropout=0.3)
    layer = model.get_layer("dropout")
    out = np.asarray(layer(np.ones((4000, 6), "float32"), training=True))
    assert np.unique(out).tolist() == pytest.approx([0, 1 / 0.7], rel=1e-6)
    sigma = np.sqrt(0.3 * 0.7 / out.size) / 0.7
    assert out.mean() == pytest.approx(1, abs=4 * sigma)
    assert np.mean(out == 0) == pytest.approx(0.3, abs=4 * sigma)
    np.testing.assert_array_equal(layer(np.ones((5, 6), "float32"), training=False), 1)


def test_spatial_dropout_drops_whole_maps():
    model = network(spatial_dropout=0.4)
    layer = model.get_layer("spatial_dropout1")
    out = np.asarray(layer(np.ones((900, 4, 4, 4), "float32"), training=True))
    by_map = out.transpose(0, 3, 1, 2).reshape(-1, 16)
    assert np.all(by_map == by_map[:, :1]), "a map is kept or dropped as a whole"
    assert np.mean(by_map[:, 0] == 0) == pytest.approx(0.4, abs=4 * np.sqrt(0.24 / 3600))
    assert out.max() == pytest.approx(1 / 0.6, rel=1e-6)


def test_batch_normalization_has_the_mean_variance_gamma_and_beta_of_its_equation():
    """y = gamma (x - mean) / sqrt(var + epsilon) + beta, over batch and pixels of each map."""
    layer = network().get_layer("conv1_1_batchnorm")
    rng = np.random.default_rng(2)
    x = rng.normal(3, 2, (16, 5, 5, 4)).astype("float32")
    mean, variance = x.mean(axis=(0, 1, 2)), x.var(axis=(0, 1, 2))
    plain = np.asarray(layer(x, training=True))
    np.testing.assert_allclose(plain.mean(axis=(0, 1, 2)), 0, atol=1e-5)
    np.testing.assert_allclose(plain.var(axis=(0, 1, 2)), variance / (variance + layer.epsilon), rtol=1e-4)
    np.testing.assert_allclose(layer.moving_mean.numpy(), 0.1 * mean, rtol=1e-4)
    np.testing.assert_allclose(layer.moving_variance.numpy(), 0.9 + 0.1 * variance, rtol=1e-4)
    layer.gamma.assign([2.0, 1.0, 0.5, 3.0])
    layer.beta.assign([1.0, -1.0, 0.0, 2.0])
    out = np.asarray(layer(x, training=True))
    np.testing.assert_allclose(out.mean(axis=(0, 1, 2)), [1, -1, 0, 2], atol=1e-4)
    np.testing.assert_allclose(out.std(axis=(0, 1, 2)), [2, 1, 0.5, 3], rtol=1e-3)
    infer = (x - layer.moving_mean.numpy()) / np.sqrt(layer.moving_variance.numpy() + layer.epsilon)
    expected = layer.gamma.numpy() * infer + layer.beta.numpy()
    np.testing.assert_allclose(layer(x, training=False), expected, rtol=1e-3, atol=1e-4)


def test_batch_normalization_regularises_by_the_company_of_an_image():
    """The output for one image depends on the others of its batch: the noise that regularises."""
    model = network()
    images = np.random.default_rng(3).normal(size=(9, 8, 8, 2)).astype("float32")
    together = np.asarray(model(images[:5], training=True))[0]
    others = np.asarray(model(images[[0, 5, 6, 7, 8]], training=True))[0]
    size = np.abs(together).max()
    assert np.abs(together - others).max() > 0.05 * size
    np.testing.assert_allclose(
        model(images[:5])[0], model(images[[0, 5, 6, 7, 8]])[0], rtol=1e-4, atol=1e-5 * size
    )


def test_capacity_is_limited():
    parameters = network().count_params()
    assert network(max_parameters=parameters).count_params() == parameters
    with pytest.raises(ValueError, match=rf"at most {parameters - 1} parameters.*parameters={parameters}"):
        network(max_parameters=parameters - 1)


@pytest.mark.parametrize(
    "bad", [{"l2": -1}, {"l1": -1}, {"max_norm": 0}, {"spatial_dropout": 1}, {"l2": 1.0, "regularizer": "l2"}]
)
def test_bad_settings_are_refused(bad):
    with pytest.raises(ValueError, match="Expected"):
        NetworkSettings(**bad)
