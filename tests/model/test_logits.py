"""Networks that end in probabilities, spelled in the ways that users spell them."""

import hashlib
from dataclasses import replace

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops
from scipy.special import expit, softmax

from galcnn.explain import Saliency, Target, explain
from galcnn.model import Card, InputSpec, TrainedModel, assemble, load_model, save_model
from galcnn.model.bundle import with_embedding
from galcnn.model.logits import check_ends_in_logits, ending_in_logits

SHAPE = (12, 10, 2)
IMAGES = np.random.default_rng(3).normal(size=(5, *SHAPE)).astype("float32")


def features():
    inputs = keras.Input(SHAPE)
    return inputs, layers.GlobalAveragePooling2D()(layers.Conv2D(6, 3, activation="relu")(inputs))


def ends(head):
    """A network whose head is a function of its features."""
    inputs, found = features()
    return keras.Model(inputs, head(found))


def dense(activation=None, n=3, **settings):
    return layers.Dense(n, activation, kernel_initializer=keras.initializers.RandomNormal(0, 2), **settings)


def soft(x):
    return dense("softmax")(x)


def around(tail):
    """A network that calls others."""
    inputs = keras.Input(SHAPE)
    return keras.Model(inputs, tail(inputs))


def convolved(activation, *tail):
    inputs = x = keras.Input(SHAPE)
    for layer in (layers.Conv2D(3, SHAPE[:2], activation=activation), *tail):
        x = layer(x)
    return keras.Model(inputs, x)


@tf.function
def called(x):
    return tf.nn.softmax(x)


class Own(keras.Model):
    """A subclassed model, whose layers cannot be walked."""

    def __init__(self, end):
        super().__init__()
        self.kernel, self.end = dense(), end

    def call(self, x):
        return self.end(self.kernel(ops.mean(x, axis=1)[:, 0]))


def spelled_out(x):
    powers = ops.exp(x - ops.max(x, axis=-1, keepdims=True))
    return powers / ops.sum(powers, axis=-1, keepdims=True)


EXACT = {
    "argument": lambda: ends(soft),
    "layer": lambda: ends(lambda x: layers.Softmax()(dense()(x))),
    "layer along axis 1": lambda: ends(lambda x: layers.Softmax(axis=1)(dense()(x))),
    "activation": lambda: ends(lambda x: layers.Activation("softmax")(dense()(x))),
    "activation of tensorflow": lambda: ends(lambda x: layers.Activation(tf.nn.softmax)(dense()(x))),
    "operation": lambda: ends(lambda x: ops.softmax(dense()(x))),
    "function": lambda: ends(lambda x: keras.activations.softmax(dense()(x))),
    "temperature": lambda: ends(lambda x: layers.Softmax()(layers.Rescaling(0.5)(dense()(x)))),
    "divided": lambda: ends(lambda x: ops.softmax(dense()(x) / 3.0)),
    "dropout": lambda: ends(lambda x: layers.Dropout(0.5)(soft(x))),
    "noise": lambda: ends(lambda x: layers.GaussianNoise(0.5)(soft(x))),
    "identity": lambda: ends(lambda x: layers.Identity()(layers.Activation("linear")(soft(x)))),
    "rescaling by one": lambda: ends(lambda x: layers.Rescaling(1.0)(soft(x))),
    "reshaped": lambda: ends(
        lambda x: layers.Reshape((3,))(layers.Softmax()(layers.Reshape((1, 3))(x[:, :3])))
    ),
    "squeezed": lambda: ends(lambda x: ops.squeeze(layers.Softmax()(layers.Reshape((1, 3))(x[:, :3])), 1)),
    "convolution": lambda: convolved("softmax", layers.Flatten()),
    "nested": lambda: around(ends(soft)),
    "nested twice": lambda: around(keras.Sequential([around(ends(soft)), layers.Dropout(0.1)])),
    "sequential": lambda: keras.Sequential([keras.Input(SHAPE), layers.Flatten(), dense("softmax")]),
    "half precision": lambda: ends(
        lambda x: layers.Activation("softmax", dtype="float32")(dense(dtype="mixed_float16")(x))
    ),
}


@pytest.mark.parametrize("make", EXACT.values(), ids=EXACT)
def test_a_softmax_that_is_the_last_step_is_left_out_exactly(make):
    model = make()
    weights = model.get_weights()
    found = ending_in_logits(model)
    assert found.removed == "softmax"
    logits = np.asarray(found.model(IMAGES))
    assert logits.dtype == np.float32
    tolerance = 2e-3 if model.layers[-1].name.startswith("activation") else 1e-6
    np.testing.assert_allclose(
        softmax(logits.astype(float), axis=1), np.asarray(model(IMAGES)), atol=tolerance
    )
    assert np.ptp(logits.sum(axis=1)) > 0.01  # no logarithms of probabilities
    for kept, now in zip(weights, model.get_weights(), strict=True):
        np.testing.assert_array_equal(kept, now)
    again = ending_in_logits(found.model)
    assert (again.model, again.removed) == (found.model, "")
    with pytest.raises(ValueError, match="a network that ends in logits"):
        Saliency()(model, IMAGES, Target("t", (1.0, 0.0, 0.0)))
    ((one,),) = explain(model, IMAGES[:1], target=1, explainers=["saliency"])
    assert one.score == pytest.approx(logits[0, 1], rel=1e-3)
    assert one.notes == (found.note,)


@pytest.mark.parametrize(
    "make",
    [
        lambda: ends(lambda x: dense("sigmoid")(x)),
        lambda: ends(lambda x: ops.sigmoid(dense()(x))),
        lambda: ends(lambda x: layers.Activation("sigmoid")(dense()(x))),
        lambda: around(ends(lambda x: dense("sigmoid")(x))),
        lambda: convolved("sigmoid", layers.Flatten()),
    ],
)
def test_a_sigmoid_that_is_the_last_step_is_left_out(make):
    model = make()
    found = ending_in_logits(model)
    assert found.removed == "sigmoid"
    np.testing.assert_allclose(expit(np.asarray(found.model(IMAGES))), np.asarray(model(IMAGES)), atol=1e-6)


def test_logarithms_of_a_softmax_become_its_logits():
    for end in (lambda x: ops.log_softmax(dense()(x)), lambda x: dense("log_softmax")(x)):
        model = ends(end)
        found = ending_in_logits(model)
        logits = np.asarray(found.model(IMAGES))
        np.testing.assert_allclose(softmax(logits, axis=1), np.exp(np.asarray(model(IMAGES))), rtol=1e-5)


MIXED = {
    "average": lambda: around(lambda x: layers.Average()([ends(soft)(x), ends(soft)(x)])),
    "mean": lambda: ends(lambda x: ops.mean(ops.stack([soft(x), soft(x)]), axis=0)),
    "weighted mean": lambda: ends(
        lambda x: ops.einsum("nij,i->nj", ops.stack([soft(x), soft(x)], axis=1), np.float32([0.3, 0.7]))
    ),
    "geometric mean": lambda: ends(lambda x: ops.sqrt(soft(x) * soft(x))),
    "mean in logarithms": lambda: ends(
        lambda x: ops.logsumexp(ops.stack([ops.log_softmax(dense()(x)), ops.log_softmax(dense()(x))]), axis=0)
    ),
    "rescaling": lambda: ends(lambda x: layers.Rescaling(2.0, -1.0)(soft(x))),
    "sum": lambda: ends(lambda x: layers.Add()([soft(x), dense("sigmoid")(x)])),
    "product": lambda: ends(lambda x: layers.Multiply()([soft(x), soft(x)])),
    "plus one": lambda: ends(lambda x: soft(x) + 1),
    "sigmoid times five": lambda: ends(lambda x: dense("sigmoid")(x) * 5),
    "logarithm": lambda: ends(lambda x: ops.log(soft(x))),
    "clipped": lambda: ends(lambda x: ops.clip(soft(x), 1e-7, 1)),
    "rounded": lambda: ends(lambda x: ops.round(soft(x))),
    "floored": lambda: ends(lambda x: ops.floor(10 * soft(x)) / 10),
    "batch norm": lambda: ends(lambda x: layers.BatchNormalization()(soft(x))),
    "length": lambda: ends(lambda x: layers.UnitNormalization()(soft(x))),
    "chosen": lambda: ends(lambda x: ops.where(dense()(x) > 0, soft(x), soft(x))),
    "p and 1 - p": lambda: ends(lambda x: (lambda p: ops.concatenate([1 - p, p], 1))(dense("sigmoid", 1)(x))),
    "averaged over the image": lambda: around(
        lambda x: layers.GlobalAveragePooling2D()(layers.Conv2D(3, 3, activation="sigmoid")(x))
    ),
    "weights that do nothing": lambda: ends(
        lambda x: layers.Dense(3, kernel_initializer="identity", use_bias=False)(soft(x))
    ),
    "lambda": lambda: ends(lambda x: layers.Lambda(tf.nn.softmax, output_shape=(3,))(dense()(x))),
    "lambda behind": lambda: ends(lambda x: layers.Lambda(lambda p: p, output_shape=(3,))(soft(x))),
    "function in the graph": lambda: ends(lambda x: layers.Lambda(called, output_shape=(3,))(dense()(x))),
    "softmax of softmax": lambda: ends(lambda x: layers.Softmax()(soft(x))),
    "softmax along the batch": lambda: ends(lambda x: layers.Softmax(axis=0)(dense()(x))),
    "several questions": lambda: ends(
        lambda x: layers.Flatten()(layers.Softmax()(layers.Reshape((3, 2))(dense(n=6)(x))))
    ),
    "hard sigmoid": lambda: ends(lambda x: dense("hard_sigmoid")(x)),
    "hard sigmoid, scaled": lambda: ends(lambda x: 2 * ops.hard_sigmoid(dense()(x))),
    "sparse sigmoid": lambda: ends(lambda x: dense("sparse_sigmoid")(x)),
    "sparsemax": lambda: ends(lambda x: dense("sparsemax")(x)),
    "spelled out": lambda: ends(lambda x: spelled_out(dense()(x))),
    "sigmoid spelled out": lambda: ends(lambda x: 1 / (1 + ops.exp(-dense()(x)))),
    "subclassed": lambda: Own(ops.softmax),
    "subclassed, function": lambda: Own(called),
    "subclassed, scaled": lambda: Own(lambda x: 3 * ops.softmax(x)),
    "subclassed, spelled out": lambda: Own(spelled_out),
    "subclassed, logarithm": lambda: Own(lambda x: x - ops.logsumexp(x, axis=-1, keepdims=True)),
}


@pytest.mark.parametrize("make", MIXED.values(), ids=MIXED)
def test_what_cannot_be_undone_is_refused(make):
    model = make()
    with pytest.raises(ValueError, match=r"a network that ends in logits.*last_operation="):
        ending_in_logits(model, SHAPE)
    with pytest.raises(ValueError, match="a network that ends in logits"):
        explain(model, IMAGES[:2], target=0)


LOGITS = {
    "dense": lambda: ends(dense()),
    "features by a gate": lambda: ends(lambda x: dense()(x * dense("sigmoid", 6)(x))),
    "sigmoid hidden": lambda: ends(lambda x: dense()(dense("sigmoid", 5)(x))),
    "experts": lambda: ends(
        lambda x: ops.sum(
            ops.reshape(dense(n=6)(x), (-1, 2, 3)) * ops.expand_dims(dense("softmax", 2)(x), -1), axis=1
        )
    ),
    "capped": lambda: ends(lambda x: 30 * ops.tanh(dense()(x) / 30)),
    "residual": lambda: ends(lambda x: dense()(x) + 0.1 * soft(x)),
    "mean of logits": lambda: around(lambda x: layers.Average()([ends(dense())(x), ends(dense())(x)])),
    "divided by a width": lambda: ends(lambda x: dense()(x) / ops.exp(dense(n=1)(x))),
    "divided by 1 + exp": lambda: ends(lambda x: dense()(x) / (1 + ops.exp(dense(n=1)(x)))),
    "silu": lambda: ends(lambda x: ops.silu(dense()(x))),
    "normalised": lambda: ends(lambda x: layers.LayerNormalization()(dense()(x))),
    "batch norm": lambda: ends(lambda x: layers.BatchNormalization()(dense()(x))),
    "averaged ReLUs": lambda: around(
        lambda x: layers.GlobalAveragePooling2D()(layers.Conv2D(3, 3, activation="relu")(x))
    ),
    "one answer": lambda: ends(
        lambda x: layers.Dense(
            3, kernel_initializer="zeros", bias_initializer=keras.initializers.Constant(0.33)
        )(x)
    ),
    "subclassed": lambda: Own(lambda x: x),
}


@pytest.mark.parametrize("make", LOGITS.values(), ids=LOGITS)
def test_logits_are_left_as_they_are(make):
    model = make()
    found = ending_in_logits(model, SHAPE)
    assert (found.model, found.note) == (model, "")
    check_ends_in_logits(model, SHAPE)
    Saliency()(model, IMAGES[:1], Target("t", (1.0, 0.0, 0.0)))


def network(head):
    inputs, found = features()
    return keras.Model(inputs, head(found), name="network")


def joined(head, classes=("edge", "round", "spiral"), outer=None):
    inputs = keras.Input(SHAPE)
    preprocessing = keras.Model(inputs, layers.Rescaling(0.5)(inputs), name="preprocessing")
    model = assemble(preprocessing, network(head))
    if outer is not None:
        model = keras.Model(model.input, outer(model.output))
    return model, Card(classes, InputSpec(("g", "r"), "nJy", SHAPE[:2], 0.2))


HEADS = {
    "dense": (dense("softmax", name="logits"), None),
    "layer": (lambda x: layers.Softmax(name="logits")(dense()(x)), None),
    "behind logits": (lambda x: layers.Softmax()(dense(name="logits")(x)), None),
    "activation": (lambda x: layers.Activation("softmax", name="logits")(dense()(x)), None),
    "behind rescaling": (
        lambda x: layers.Activation("softmax", name="logits")(layers.Rescaling(0.5)(dense()(x))),
        None,
    ),
    "around the network": (lambda x: dense(name="logits")(x), layers.Softmax()),
}


@pytest.mark.parametrize(("head", "outer"), HEADS.values(), ids=HEADS)
def test_a_trained_model_gives_its_own_probabilities_and_says_so(head, outer, tmp_path):
    model, card = joined(head, outer=outer)
    probabilities = np.asarray(model(IMAGES))
    trained = TrainedModel(model, card)
    (note,) = trained.card.notes
    assert "softmax at the end" in note
    np.testing.assert_allclose(softmax(np.asarray(trained.model(IMAGES)), axis=1), probabilities, atol=1e-6)
    logits, inner = with_embedding(trained)(IMAGES)
    np.testing.assert_allclose(softmax(np.asarray(logits), axis=1), probabilities, atol=1e-6)
    assert inner.shape in ((5, 6), (5, 3))
    save_model(trained, tmp_path / "model")
    loaded = load_model(tmp_path / "model")
    np.testing.assert_allclose(softmax(np.asarray(loaded.model(IMAGES)), axis=1), probabilities, atol=1e-6)
    assert loaded.card.notes == (note,)
    model.save(tmp_path / "model" / "model.keras")  # a file of probabilities, as others may send it
    digest = hashlib.sha256((tmp_path / "model" / "model.keras").read_bytes()).hexdigest()
    replace(card, model_sha256=digest).write(tmp_path / "model" / "card.json")
    foreign = load_model(tmp_path / "model")
    np.testing.assert_allclose(softmax(np.asarray(foreign.model(IMAGES)), axis=1), probabilities, atol=1e-6)
    assert foreign.card.notes == (note,)


@pytest.mark.parametrize(
    "head",
    [
        dense("sigmoid", 1, name="logits"),
        lambda x: layers.Activation("sigmoid", name="logits")(dense(n=1)(x)),
        lambda x: ops.sigmoid(dense(n=1, name="logits")(x)),
        lambda x: layers.Activation("sigmoid", name="logits")(layers.Rescaling(0.5)(dense(n=1)(x))),
    ],
)
def test_one_sigmoid_of_two_classes_becomes_two_logits(head):
    model, card = joined(head, ("other", "spiral"))
    second = np.asarray(model(IMAGES))[:, 0]
    trained = TrainedModel(model, card)
    found = softmax(np.asarray(trained.model(IMAGES)), axis=1)
    np.testing.assert_allclose(found, np.stack([1 - second, second], axis=1), atol=1e-6)
    assert "-z/2 for the first class" in trained.card.notes[0]


@pytest.mark.parametrize("classes", [("edge", "round", "spiral"), ("edge", "round")])
def test_one_sigmoid_for_each_class_is_no_model_of_classes_that_exclude_each_other(classes):
    model, card = joined(dense("sigmoid", len(classes), name="logits"), classes)
    with pytest.raises(ValueError, match=r"classes that exclude each other.*one sigmoid for each class"):
        TrainedModel(model, card)


@pytest.mark.parametrize(
    "head",
    [
        lambda x: layers.Average(name="logits")([soft(x), soft(x)]),
        lambda x: layers.Rescaling(2.0, name="logits")(soft(x)),
        dense("hard_sigmoid", name="logits"),
        dense("relu", name="logits"),
    ],
)
def test_a_trained_model_that_ends_in_other_probabilities_is_refused(head):
    model, card = joined(head)
    with pytest.raises(ValueError, match="a network that ends in logits"):
        TrainedModel(model, card)


def test_a_plain_sigmoid_of_two_classes_is_explained_as_both():
    model = ends(dense("sigmoid", 1))
    z = np.log(np.asarray(model(IMAGES)) / (1 - np.asarray(model(IMAGES))))[:, 0]
    rows = explain(model, IMAGES, target="spiral-other", classes=("other", "spiral"))
    np.testing.assert_allclose([row[0].score for row in rows], z, rtol=1e-3, atol=1e-5)
    first = explain(model, IMAGES, target="other", classes=("other", "spiral"))
    np.testing.assert_allclose(2 * first[0][0].attribution, -rows[0][0].attribution, rtol=1e-5)
