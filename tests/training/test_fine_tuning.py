"""Learning rates by layer follow their closed form; the weights of ImageNet come through Keras' own call."""

import sys

import keras
import numpy as np
import pytest
from keras import layers

from galcnn.model.pretrained import adapted_kernel, resolve
from galcnn.training import StartSettings, TrainingSettings, make_optimizer
from galcnn.training.fine_tuning import freeze, layer_rates, with_layer_rates


def network():
    images = keras.Input((6, 6, 2))
    x = layers.Conv2D(3, 3, name="low", kernel_initializer=keras.initializers.HeNormal(seed=1))(images)
    x = layers.BatchNormalization(name="normed")(x)
    x = layers.Conv2D(3, 3, name="high", kernel_initializer=keras.initializers.HeNormal(seed=2))(x)
    x = layers.GlobalAveragePooling2D()(x)
    out = layers.Dense(2, name="logits", kernel_initializer=keras.initializers.HeNormal(seed=3))(x)
    return keras.Model(images, out)


FACTORS = {"logits": 1.0, "high": 0.1, "normed": 0.1 * 0.5, "low": 0.1 * 0.25}


def optimizer_of(name, model, start, **settings):
    made = make_optimizer(
        TrainingSettings(optimizer=name, learning_rate=0.5, schedule="constant", **settings),
        updates_per_epoch=1,
    )
    return with_layer_rates(made, layer_rates(model, start))


def test_one_sgd_step_has_the_rate_of_its_layer():
    model, start = network(), StartSettings("m", rate_decay=0.5, batch_norm="adapt")
    freeze(model, start)
    before = {w.path: w.numpy().copy() for w in model.trainable_weights}
    gradients = [np.full(w.shape, 2.0, np.float32) for w in model.trainable_weights]
    optimizer_of("sgd", model, start).apply(gradients, model.trainable_weights)
    for weight in model.trainable_weights:
        expected = before[weight.path] - 0.5 * FACTORS[weight.path.split("/")[0]] * 2.0
        assert np.allclose(weight.numpy(), expected, atol=1e-6), weight.path


def test_weight_decay_has_the_rate_of_its_layer_and_spares_biases():
    model, start = network(), StartSettings("m", rate_decay=0.5, batch_norm="adapt")
    freeze(model, start)
    before = {w.path: w.numpy().copy() for w in model.trainable_weights}
    gradients = [np.zeros(w.shape, np.float32) for w in model.trainable_weights]
    made = optimizer_of("sgd", model, start, weight_decay=0.2)
    made.apply(gradients, model.trainable_weights)
    assert made.weight_decay == 0.2
    for weight in model.trainable_weights:
        decay = 0.5 * 0.2 * FACTORS[weight.path.split("/")[0]] if weight.path.endswith("kernel") else 0
        assert np.allclose(weight.numpy(), before[weight.path] * (1 - decay), atol=1e-6), weight.path


def test_adam_moves_each_layer_in_proportion_to_its_rate():
    model, start = network(), StartSettings("m", rate_decay=0.5, batch_norm="adapt")
    freeze(model, start)
    before = {w.path: w.numpy().copy() for w in model.trainable_weights}
    gradients = [np.full(w.shape, 3.0, np.float32) for w in model.trainable_weights]
    optimizer_of("adam", model, start).apply(gradients, model.trainable_weights)
    for weight in model.trainable_weights:  # the first step of Adam has the size of the rate
        moved = before[weight.path] - weight.numpy()
        assert np.allclose(moved, 0.5 * FACTORS[weight.path.split("/")[0]], rtol=1e-3, atol=1e-6), weight.path


@pytest.mark.parametrize(
    ("how", "trained"),
    [
        ("none", {"low", "normed", "high", "logits"}),
        ("all", {"logits"}),
        ("body", {"logits"}),
        (1, {"normed", "high", "logits"}),
        (3, {"logits"}),
    ],
)
def test_frozen_layers(how, trained):
    model = network()
    freeze(model, StartSettings("m", freeze=how, batch_norm="adapt"))
    assert {w.path.split("/")[0] for w in model.trainable_weights} == trained


def test_a_dense_head_of_the_parent_is_no_part_of_the_body():
    inner = network()
    x = layers.Dense(4, name="hidden")(inner.layers[-2].output)
    model = keras.Model(inner.inputs[0], layers.Dense(2, name="logits")(x))
    freeze(model, StartSettings("m", freeze="body"))
    assert {w.path.split("/")[0] for w in model.trainable_weights} == {"hidden", "logits"}
    with pytest.raises(ValueError, match="at most 4 frozen"):
        freeze(model, StartSettings("m", freeze=5))


def test_kernels_for_other_bands():
    kernel = np.random.default_rng(0).normal(size=(3, 3, 2, 4)).astype(np.float32)
    average = adapted_kernel(kernel, ("g", "r"), ("g", "r", "z"), "average")
    assert np.allclose(average.sum(axis=2), kernel.sum(axis=2), atol=1e-6)
    copied = adapted_kernel(kernel, ("g", "r"), ("r", "z", "g"), "copy")
    assert np.allclose(copied[:, :, 0], kernel[:, :, 1] * 2 / 3)
    assert np.allclose(copied[:, :, 1], kernel.mean(axis=2) * 2 / 3, atol=1e-6)
    assert np.allclose(copied[:, :, 2], kernel[:, :, 0] * 2 / 3)
    assert np.allclose(copied.sum(axis=2), kernel.sum(axis=2), atol=1e-6)
    assert adapted_kernel(kernel, None, ("i", "z"), "order") is kernel
    new = adapted_kernel(kernel, None, ("a", "b", "c"), "new", seed=1)
    assert np.array_equal(new, adapted_kernel(kernel, None, ("a", "b", "c"), "new", seed=1))
    assert new.shape == (3, 3, 3, 4)
    for wrong in ("order", "copy"):
        with pytest.raises(ValueError, match="average"):
            adapted_kernel(kernel, None, ("a", "b", "c"), wrong)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("MobileNetV2", (255 * 0.226 / 127.5, 255 * 0.449 / 127.5 - 1)),  # reads -1 to 1
        pytest.param("ResNet50", (255 * 0.226, None), marks=pytest.mark.full),  # reads 0 to 255, less a mean
        pytest.param("EfficientNetB0", (1.0, 0.0), marks=pytest.mark.full),  # standardises by itself
    ],
)
def test_weights_of_imagenet_are_asked_of_keras_and_images_brought_to_its_units(name, expected, monkeypatch):
    build = getattr(keras.applications, name)
    asked, bodies = [], []

    def fetched(weights, **options):
        asked.append(weights)
        made = build(weights=None, **options)
        bodies.append(made)
        if name == "EfficientNetB0":  # the file has the mean and variance of ImageNet
            for layer in made.layers:
                if isinstance(layer, layers.Normalization):
                    layer.set_weights(
                        [np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225]) ** 2, np.zeros(())]
                    )
                    layer.finalize_state()  # as after reading a file
        return made

    fetched.__module__ = build.__module__
    monkeypatch.setattr(keras.applications, name, fetched)
    parent = resolve(f"keras.applications:{name}:imagenet")
    made = parent.network((32, 32, 3))
    scale = made.get_layer("imagenet_units")
    assert asked == ["imagenet", None]  # the second is the same network for any number of bands
    assert np.isclose(scale.scale, expected[0], rtol=0.02)
    if expected[1] is not None:
        assert np.isclose(scale.offset, expected[1], atol=0.02)
    assert made.output_shape[1] == made.layers[-2].output.shape[-1]
    # Red is the first band here, and the last of the networks that were converted from Caffe.
    pictures = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3)).astype(np.float32)
    read = sys.modules[build.__module__].preprocess_input(pictures.copy())
    order = slice(None, None, -1 if name == "ResNet50" else 1)
    own = (layers.InputLayer, layers.Rescaling, layers.Normalization)
    first = next(layer for layer in bodies[0].layers if not isinstance(layer, own))
    entering = keras.Model(bodies[0].inputs[0], first.input).predict(read, verbose=0)
    stretched = (entering[..., order] - scale.offset) / scale.scale
    features = bodies[0].predict(read, verbose=0).mean(axis=(1, 2))
    found = made.predict(stretched, verbose=0)
    np.testing.assert_allclose(found, features, rtol=0, atol=1e-4 * np.abs(features).max())
