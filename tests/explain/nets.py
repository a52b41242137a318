"""Small networks of every build that the tests of seeing a network share."""

import keras
import numpy as np

IMAGES = np.random.default_rng(0).normal(size=(3, 12, 10, 2)).astype("float32")
N_CLASSES = 3


def linear(seed=0):
    """Flatten and Dense: logits = x W + b. Gives the network and W of shape (ny, nx, n_bands, n_classes)."""
    inputs = keras.Input(IMAGES.shape[1:])
    dense = keras.layers.Dense(N_CLASSES, name="logits")
    network = keras.Model(inputs, dense(keras.layers.Flatten()(inputs)))
    weights = np.random.default_rng(seed).normal(size=(IMAGES[0].size, N_CLASSES)).astype("float32")
    dense.set_weights([weights, np.arange(N_CLASSES, dtype="float32")])
    return network, weights.reshape(*IMAGES.shape[1:], N_CLASSES)


def body(x, activation="layer"):
    """Convolution, batch norm, ReLU, pooling, a residual block, average, Dense."""
    x = keras.layers.Conv2D(4, 3, padding="same", name="first")(x)
    x = keras.layers.BatchNormalization(name="norm")(x)
    x = keras.layers.ReLU(name="relu")(x) if activation == "layer" else keras.ops.relu(x)
    x = keras.layers.MaxPooling2D(2, name="pool")(x)
    side = keras.layers.Conv2D(4, 3, padding="same", activation="relu", name="side")(x)
    x = keras.layers.Add(name="sum")([x, side])
    x = keras.layers.Conv2D(6, 3, strides=2, padding="same", name="last")(x)
    x = keras.layers.GlobalAveragePooling2D(name="gap")(x)
    return keras.layers.Dense(N_CLASSES, name="logits")(x)


def settle(network, seed=1):
    """Weights of some size in every array, moving averages and shifts included."""
    rng = np.random.default_rng(seed)
    new = []
    for variable in network.weights:
        values = rng.normal(0, 0.4, variable.shape)
        new.append(np.abs(values) + 0.5 if "variance" in variable.name else values)
    network.set_weights([value.astype("float32") for value in new])
    return network


def flat(seed=1):
    inputs = keras.Input(IMAGES.shape[1:])
    return settle(keras.Model(inputs, body(inputs)), seed)


def nested(seed=1):
    """The same network as a model inside a model, behind a layer that changes nothing."""
    inner_inputs = keras.Input(IMAGES.shape[1:])
    inner = keras.Model(inner_inputs, body(inner_inputs), name="inner")
    inputs = keras.Input(IMAGES.shape[1:])
    outer = keras.Model(inputs, inner(keras.layers.Identity(name="same")(inputs)))
    return settle(outer, seed)


def sequential(seed=1):
    network = keras.Sequential(
        [
            keras.Input(IMAGES.shape[1:]),
            keras.layers.Conv2D(4, 3, name="first"),
            keras.Sequential([keras.layers.Conv2D(5, 3, activation="relu", name="inside")], name="part"),
            keras.layers.Flatten(),
            keras.layers.Dense(N_CLASSES, name="logits"),
        ]
    )
    return settle(network, seed)
