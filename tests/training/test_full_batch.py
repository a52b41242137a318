"""Full-batch gradient descent: one update an epoch, by the gradient of the mean loss."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from galcnn.model import NetworkSettings, assemble, build_network, fit_preprocessing
from galcnn.training import Augmentation, TrainingSettings, fit
from galcnn.training.class_weights import class_weights

STILL = Augmentation(flips=False, rotations="none")


def plain_model(dataset, **settings):
    chosen = NetworkSettings(**({"widths": (4, 6), "normalization": "group", "dropout": 0.0} | settings))
    network = build_network(dataset.inputs.image_shape, 2, settings=chosen, seed=4)
    return assemble(fit_preprocessing(dataset.images), network)


def full_batch(**more):
    return TrainingSettings(
        **{
            "batch_size": "all",
            "optimizer": "sgd",
            "learning_rate": 0.5,
            "schedule": "constant",
            "label_smoothing": 0.1,
            "augmentation": STILL,
            "patience": None,
        }
        | more
    )


@pytest.fixture(scope="module")
def sides(toy_dataset):
    rows = np.flatnonzero((toy_dataset.labels == 0) | (np.arange(240) < 100))[:101]
    return toy_dataset.select(rows), toy_dataset.select(np.arange(200, 240))


def test_the_update_is_the_gradient_of_the_mean_loss_however_it_is_cut(sides):
    """101 images in chunks of 40: three of 34, the last filled up; classes weighted, and a penalty."""
    training, validation = sides
    model = plain_model(training, l2=0.01)
    before = [v.numpy() for v in model.trainable_variables]
    loss = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1, reduction=None)
    weights = class_weights(training, "weights")[training.labels]
    with tf.GradientTape() as tape:
        each = loss(np.eye(2, dtype="float32")[training.labels], model(training.images, training=True))
        mean = tf.reduce_mean(each * weights) + tf.add_n(model.losses)
    gradients = tape.gradient(mean, [v.value for v in model.trainable_variables])
    logits = model(training.images)
    settings = full_batch(epochs=1, chunk_size=40, balance="weights")
    history = fit(model, training, validation, settings=settings)
    assert int(model.optimizer.iterations) == 1
    for was, variable, gradient in zip(before, model.trainable_variables, gradients, strict=True):
        np.testing.assert_allclose(variable.numpy(), was - 0.5 * gradient.numpy(), rtol=1e-4, atol=2e-6)
    assert history["loss"] == pytest.approx([float(mean)], rel=1e-5)
    right = np.mean(np.argmax(logits, axis=1) == training.labels)
    assert history["accuracy"] == pytest.approx([right], abs=1e-6)


def test_chunks_change_nothing(sides):
    histories = []
    for chunk_size in (17, 101):
        settings = full_batch(epochs=3, chunk_size=chunk_size, optimizer="momentum", learning_rate=0.05)
        model = plain_model(sides[0])
        histories.append((fit(model, *sides, settings=settings), model.get_weights()))
        assert int(model.optimizer.iterations) == 3, "one update an epoch"
    for name in ("loss", "val_loss", "accuracy"):
        assert histories[0][0][name] == pytest.approx(histories[1][0][name], rel=1e-4)
    for one, other in zip(histories[0][1], histories[1][1], strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-5)


def test_batch_normalization_of_chunks_is_refused_and_of_the_whole_is_not(sides):
    with pytest.raises(ValueError, match=r"without batch normalisation.*chunks=2"):
        fit(plain_model(sides[0], normalization="batch"), *sides, settings=full_batch(chunk_size=60))
    fit(plain_model(sides[0], normalization="batch"), *sides, settings=full_batch(epochs=1))


def test_it_stops_when_the_loss_hardly_changes(sides):
    settings = full_batch(epochs=60, tolerance=2e-3, learning_rate=0.05)
    losses = fit(plain_model(sides[0]), *sides, settings=settings)["loss"]
    changes = np.abs(np.diff(losses))
    assert 2 <= len(losses) < 60
    assert changes[-1] < 2e-3
    assert np.all(changes[:-1] >= 2e-3)
