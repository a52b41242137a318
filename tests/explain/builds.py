"""Small networks with random weights in every array, spelled in the ways that users spell them."""

import copy
import random

import keras
import numpy as np

from galcnn.explain import (
    CAM,
    LRP,
    RISE,
    Deconvnet,
    GradCAM,
    GuidedBackprop,
    HiResCAM,
    InputXGradient,
    IntegratedGradients,
    LayerCAM,
    Occlusion,
    Saliency,
    ScoreCAM,
    SmoothGrad,
)
from galcnn.model import Target

SHAPE = (12, 10, 2)
N_CLASSES = 3
IMAGES = np.random.default_rng(5).normal(size=(4, *SHAPE)).astype("float32")
TARGET = Target("t", (0.1, 1.0, -0.1))
METHODS = (
    Saliency(),
    InputXGradient(),
    SmoothGrad(n=3, noise=0.3),
    IntegratedGradients(n=3, baseline="zero"),
    GuidedBackprop(),
    Deconvnet(),
    CAM(),
    GradCAM(),
    HiResCAM(),
    LayerCAM(),
    ScoreCAM(baseline="zero"),
    LRP(),
    RISE(n=30, cells=3, baseline="zero"),
    Occlusion(patch=4, stride=3),
)


def named(methods=METHODS):
    return {"argvalues": methods, "ids": [method.name for method in methods]}


def _relu(spelling):
    """The second half of a convolution and its ReLU."""
    if spelling == "layer":
        return keras.layers.ReLU()
    if spelling == "activation":
        return keras.layers.Activation("relu")
    return keras.ops.relu


def body(x, spelling="layer", normalisation=True):
    """Convolution, batch norm, ReLU, max-pooling, a residual block, average, Dense."""
    inside = spelling == "argument"

    def convolve(x, width, name):
        activation = "relu" if inside and not normalisation else None
        x = keras.layers.Conv2D(width, 3, padding="same", activation=activation, name=name)(x)
        if normalisation:
            x = keras.layers.BatchNormalization(name=f"{name}_norm")(x)
        return x if activation else _relu("layer" if inside else spelling)(x)

    x = convolve(x, 4, "first")
    x = keras.layers.MaxPooling2D(2, name="pool")(x)
    x = keras.layers.Add(name="sum")([x, convolve(x, 4, "side")])
    x = convolve(x, 6, "last")
    x = keras.layers.GlobalAveragePooling2D(name="gap")(x)
    return keras.layers.Dense(N_CLASSES, name="logits")(x)


def settle(network, seed=1):
    rng = np.random.default_rng(seed)
    for variable in network.weights:
        values = rng.normal(0, 0.4, variable.shape)
        variable.assign(np.abs(values) + 0.5 if "variance" in variable.name else values)
    return network


def mixed(x, spelling="layer"):
    """One normalisation, a ReLU inside a convolution and one nowhere, a stride; each step has a name."""
    x = keras.layers.Conv2D(4, 3, padding="same", name="first")(x)
    x = keras.layers.BatchNormalization(name="norm")(x)
    x = keras.layers.ReLU(name="relu")(x) if spelling == "layer" else _relu(spelling)(x)
    x = keras.layers.MaxPooling2D(2, name="pool")(x)
    side = keras.layers.Conv2D(4, 3, padding="same", activation="relu", name="side")(x)
    x = keras.layers.Add(name="sum")([x, side])
    x = keras.layers.Conv2D(6, 3, strides=2, padding="same", name="last")(x)
    x = keras.layers.GlobalAveragePooling2D(name="gap")(x)
    return keras.layers.Dense(N_CLASSES, name="logits")(x)


def flat(shape=SHAPE, *, of=body, **spelled):
    inputs = keras.Input(shape)
    return settle(keras.Model(inputs, of(inputs, **spelled)))


def nested(shape=SHAPE, *, of=body):
    """The same weights in a model inside a model inside a model."""
    inner_inputs = keras.Input(shape)
    inner = keras.Model(inner_inputs, of(inner_inputs), name="inner")
    middle_inputs = keras.Input(shape)
    same = keras.layers.Identity(name="same")(middle_inputs)
    middle = keras.Model(middle_inputs, inner(same), name="middle")
    inputs = keras.Input(shape)
    return settle(keras.Model(inputs, middle(inputs)))


def backbone(shape=SHAPE):
    """The same weights with the head outside of the nested model, as in transfer learning."""
    inputs = keras.Input(shape)
    whole = keras.Model(inputs, body(inputs))
    base = keras.Model(inputs, whole.get_layer("gap").input, name="base")
    outer = keras.Input(shape)
    x = keras.layers.GlobalAveragePooling2D()(base(outer))
    return settle(keras.Model(outer, keras.layers.Dense(N_CLASSES)(x)))


def sequential(shape=SHAPE):
    layers = [
        keras.Input(shape),
        keras.layers.Conv2D(4, 3, strides=2, activation="relu"),
        keras.Sequential([keras.layers.Conv2D(5, 3, activation="relu")]),
        keras.layers.GlobalAveragePooling2D(),
        keras.layers.Dense(N_CLASSES),
    ]
    return settle(keras.Sequential(layers))


def grouped(shape=SHAPE):
    """Group norm, squeeze and excitation, average pooling, and a head that flattens."""
    inputs = keras.Input(shape)
    x = keras.layers.Conv2D(4, 3, padding="same")(inputs)
    x = keras.layers.ReLU()(keras.layers.GroupNormalization(2)(x))
    gate = keras.layers.GlobalAveragePooling2D(keepdims=True)(x)
    gate = keras.layers.Conv2D(4, 1, activation="sigmoid")(gate)
    x = keras.layers.AveragePooling2D(2)(keras.layers.Multiply()([x, gate]))
    return settle(keras.Model(inputs, keras.layers.Dense(N_CLASSES)(keras.layers.Flatten()(x))))


def wrapped(network):
    """A network as a model inside a model."""
    inputs = keras.Input(network.input_shape[1:])
    return keras.Model(inputs, network(keras.layers.Identity()(inputs)))


def joined(shape=SHAPE, *, nested=True):
    """A residual block that is a model of two inputs, or the same laid out flat."""
    inputs = keras.Input(shape)
    x = keras.layers.Conv2D(4, 3, padding="same")(inputs)

    def block(x, skip):
        x = keras.layers.ReLU()(keras.layers.Conv2D(4, 3, padding="same", name="inside")(x))
        return keras.layers.Add(name="joined")([x, skip])

    if nested:
        two = keras.Input(x.shape[1:]), keras.Input(x.shape[1:])
        x = keras.Model(two, block(*two), name="block")([keras.layers.ReLU()(x), x])
    else:
        x = block(keras.layers.ReLU()(x), x)
    x = keras.layers.Dense(N_CLASSES)(keras.layers.GlobalAveragePooling2D()(x))
    return settle(keras.Model(inputs, x))


class Subclassed(keras.Model):
    """A model that keeps its graph to itself."""

    def __init__(self):
        super().__init__()
        self.convolution = keras.layers.Conv2D(4, 3, activation="relu")
        self.dense = keras.layers.Dense(N_CLASSES)

    def call(self, inputs):
        return self.dense(keras.ops.mean(self.convolution(inputs), axis=(1, 2)))


def subclassed(shape=SHAPE):
    network = Subclassed()
    network(np.zeros((1, *shape), "float32"))
    return settle(network)


def state(network):
    """All that a user could see of a compiled model, and the random numbers that come next."""
    layers = list(network._flatten_layers())
    return {
        "weights": [np.asarray(v).tobytes() for v in network.variables],  # states of seeds among them
        "trainable": [layer.trainable for layer in layers],
        "activations": [getattr(layer, "activation", None) for layer in layers],
        "policies": [layer.dtype_policy.name for layer in layers],
        "nodes": [len(layer._inbound_nodes) for layer in layers],
        "config": copy.deepcopy(network.get_config()),
        "optimizer": [np.asarray(v).tobytes() for v in network.optimizer.variables],
        "compiled": (network.compiled, network.loss, network.train_function, network.predict_function),
        "random": (random.getstate(), [np.asarray(x).tobytes() for x in np.random.get_state()]),  # noqa: NPY002
        "global": (keras.config.dtype_policy().name, keras.config.floatx()),
    }


def linear(shape=SHAPE):
    """Give logits = x W + b, and W of shape (ny, nx, n_bands, n_classes)."""
    inputs = keras.Input(shape)
    dense = keras.layers.Dense(N_CLASSES, name="logits")
    network = settle(keras.Model(inputs, dense(keras.layers.Flatten()(inputs))))
    return network, np.asarray(network.weights[0]).reshape(*shape, N_CLASSES)


BUILDS = (flat, nested, backbone, sequential, grouped, subclassed)
