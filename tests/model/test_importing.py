"""Networks of any origin become models of galcnn that give the same answers."""

import json
import zipfile

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from keras.src.applications.convnext import LayerScale, StochasticDepth
from keras.src.applications.inception_resnet_v2 import CustomScaleLayer

from galcnn.model import feature_maps, import_model, load_model, save_model
from galcnn.model.bundle import with_embedding
from galcnn.model.orientations import with_orientations

CLASSES = ("round", "thin", "other")
BANDS = ("g", "r", "i")
SHAPE = (16, 16, 3)


@keras.saving.register_keras_serializable(package="test_importing")
class Subclassed(keras.Model):
    """A network whose layers Keras does not know of until it is called."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.convolution = layers.Conv2D(4, 3, activation="relu")
        self.head = keras.Sequential([layers.GlobalAveragePooling2D(), layers.Dropout(0.5)])
        self.answer = layers.Dense(3, activation="softmax")

    def call(self, images, training=None):
        seen = self.convolution(keras.ops.arcsinh(images / 3.0))
        return self.answer(self.head(seen, training=training))


@keras.saving.register_keras_serializable(package="test_importing")
class Gain(keras.layers.Layer):
    """A layer with a weight of its own."""

    def build(self, input_shape):
        self.gain = self.add_weight(name="gain", shape=(input_shape[-1],), initializer="ones")

    def call(self, inputs):
        return inputs * self.gain


class Unregistered(Gain):
    """A layer that no file can name."""


def randomised(network, seed=0):
    """Give every weight a value of its own, also those that begin as zeros or ones."""
    rng = np.random.default_rng(seed)
    for weight in network.weights:
        spread = rng.normal(0, 0.3, weight.shape)
        weight.assign(np.abs(spread) + 0.5 if "variance" in weight.path else spread)
    return network


def sequential():
    return keras.Sequential(
        [
            keras.Input(SHAPE),
            layers.Rescaling(1 / 255),
            layers.Conv2D(4, 3, activation="relu", name="logits"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(3),
        ]
    )


def nested():
    """Both nested models have a layer `same`; the outer one reads integers and ends in a nested softmax."""
    body = keras.Sequential(
        [keras.Input(SHAPE), layers.Conv2D(4, 3, name="same"), layers.BatchNormalization(), layers.ReLU()]
    )
    head = keras.Sequential([layers.Flatten(), layers.Dense(3, name="same"), layers.Softmax()])
    images = keras.Input(SHAPE, dtype="uint8")
    return keras.Model(images, head(body(layers.Rescaling(1 / 127.5, -1)(images), training=False)))


def subclassed():
    network = Subclassed()
    network(np.zeros((1, *SHAPE), np.float32))
    return network


def branches(first):
    """A network of channels first or last, which joins branches and scales channels."""
    layout = "channels_first" if first else "channels_last"
    axis = 1 if first else -1
    images = keras.Input((3, 16, 16) if first else SHAPE)
    x = layers.Conv2D(4, 3, padding="same", data_format=layout)(images)
    x = layers.ReLU()(layers.BatchNormalization(axis=axis)(x))
    y = layers.Conv2D(4, 1, data_format=layout)(x)
    x = layers.Concatenate(axis=axis)([layers.Add()([x, y]), y * 2.0])
    x = layers.MaxPooling2D(data_format=layout)(x)
    gate = layers.GlobalAveragePooling2D(data_format=layout)(x)
    gate = layers.Reshape((8, 1, 1) if first else (1, 1, 8))(gate)
    return images, x * layers.Conv2D(8, 1, data_format=layout, activation="sigmoid")(gate)


def channels_first(end):
    images, x = branches(first=True)
    return keras.Model(images, layers.Dense(3, activation="softmax")(end(x)))


def of_applications():
    """The layer classes that networks of keras.applications have of their own."""
    images = keras.Input(SHAPE)
    x = layers.Conv2D(4, 3, padding="same", activation="gelu")(images)
    x = CustomScaleLayer(0.2)([x, StochasticDepth(0.5)(LayerScale(1e-6, 4)(x))])
    return keras.Model(images, layers.Dense(3)(layers.GlobalAveragePooling2D()(x)))


NETWORKS = {
    "sequential": sequential,
    "layers of keras.applications": of_applications,
    "nested": nested,
    "subclassed": subclassed,
    "channels first, flattened": lambda: channels_first(layers.Flatten()),
    "channels first, moved and flattened": lambda: channels_first(
        layers.Flatten(data_format="channels_first")
    ),
    "channels first, reshaped": lambda: channels_first(layers.Reshape((512,))),
    "channels first, averaged": lambda: channels_first(lambda x: keras.ops.mean(x, axis=(2, 3))),
    "channels first, permuted": lambda: channels_first(
        lambda x: layers.GlobalMaxPooling2D()(layers.Conv2D(4, 3)(layers.Permute((2, 3, 1))(x)))
    ),
}


def answers(network, images):
    """Probabilities of the original network; TensorFlow compiles channels first on a CPU."""
    given = getattr(network, "inputs", ())
    if given and given[0].shape[1] == 3:
        images = np.moveaxis(images, -1, 1)
    dtype = given[0].dtype if given else "float32"
    run = tf.function(lambda x: network(x, training=False), jit_compile=True, autograph=False)
    found = run(images.astype(dtype)).numpy().astype(np.float64)
    return found if np.allclose(found.sum(axis=1), 1) else softmax(found)


def softmax(logits):
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("kind", NETWORKS)
def test_an_imported_network_answers_as_the_original_also_after_saving(kind, tmp_path):
    network = randomised(NETWORKS[kind]())
    network.save(tmp_path / "own.keras")
    trained = import_model(tmp_path / "own.keras", classes=CLASSES, bands=BANDS, pixel_scale=0.262)
    save_model(trained, tmp_path / "model")
    loaded = load_model(tmp_path / "model")
    images = np.floor(np.random.default_rng(3).uniform(0, 256, (6, *SHAPE))).astype(np.float32)
    assert np.allclose(softmax(loaded.model(images).numpy()), answers(network, images), atol=1e-5)
    assert loaded.card.inputs.bands == BANDS
    assert loaded.card.inputs.pixel_scale == 0.262
    assert loaded.card.inputs.unit == ("display" if kind == "nested" else "nJy")
    maps = feature_maps(loaded.network).shape
    assert maps[0] == maps[1] > 2
    assert len(loaded.card.data["imported"]["sha256"]) == 64
    assert with_embedding(loaded)(images)[1].shape[0] == 6


def test_channels_first_and_last_of_the_same_weights_become_the_same_network():
    first, last = (
        keras.Model(images, layers.Flatten()(x)) for images, x in (branches(True), branches(False))
    )
    randomised(first)
    last.set_weights(first.get_weights())
    images = np.random.default_rng(1).normal(size=(2, *SHAPE)).astype(np.float32)
    wanted = last(images).numpy().reshape(2, 8, 8, 8)

    pooled = keras.Model(first.inputs[0], layers.Dense(3, use_bias=False)(first.outputs[0]))
    imported = import_model(pooled, classes=CLASSES, bands=BANDS)
    maps = feature_maps(imported.network)
    found = keras.Model(imported.network.inputs[0], maps.tensors[-1][1])(images).numpy()
    assert maps.shape == (8, 8, 8)
    assert np.allclose(found, wanted, atol=1e-5)


def test_a_normalization_keeps_what_it_was_adapted_to(tmp_path):
    """Its mean and variance are weights, and constants that are computed from them."""
    images = np.random.default_rng(3).normal(100, 50, (6, *SHAPE)).astype(np.float32)
    normalization = layers.Normalization()
    normalization.adapt(images)
    network = keras.Sequential([keras.Input(SHAPE), normalization, layers.Flatten(), layers.Dense(3)])
    network.save(tmp_path / "own.keras")
    trained = import_model(tmp_path / "own.keras", classes=CLASSES, bands=BANDS)
    assert np.allclose(trained.model(images), network(images), atol=1e-5)
    other = with_orientations(trained.network, 1)
    assert np.allclose(other(images), network(images), atol=1e-5)


@pytest.mark.parametrize("suffix", ["h5", "hdf5"])
def test_the_older_format_is_read(suffix, tmp_path):
    network = randomised(sequential())
    network.save(tmp_path / f"own.{suffix}")
    images = np.random.default_rng(3).normal(100, 50, (4, *SHAPE)).astype(np.float32)
    trained = import_model(tmp_path / f"own.{suffix}", classes=CLASSES, bands=BANDS)
    assert np.allclose(trained.model(images).numpy(), network(images).numpy(), rtol=1e-5, atol=1e-5)


def test_the_older_format_of_keras_2_is_read(tmp_path):
    """As Keras 2 wrote it: classes without modules, batch_input_shape, and a policy by its name."""
    network = randomised(
        keras.Sequential([keras.Input((8, 8, 1)), layers.Flatten(), layers.Dense(2, name="end")])
    )
    config = {
        "class_name": "Sequential",
        "config": {
            "name": "sequential",
            "layers": [
                {"class_name": "InputLayer", "config": {"batch_input_shape": [None, 8, 8, 1], "name": "i"}},
                {"class_name": "Flatten", "config": {"name": "flat", "data_format": "channels_last"}},
                {
                    "class_name": "Dense",
                    "config": {
                        "name": "end",
                        "units": 2,
                        "activation": "linear",
                        "kernel_initializer": {"class_name": "GlorotUniform", "config": {"seed": None}},
                    },
                },
            ],
        },
    }
    network.save(tmp_path / "old.h5")
    with h5py.File(tmp_path / "old.h5", "r+") as file:
        file.attrs["model_config"] = json.dumps(config)
    trained = import_model(tmp_path / "old.h5", classes=CLASSES[:2], bands=("r",))
    image = np.random.default_rng(0).normal(size=(1, 8, 8, 1)).astype(np.float32)
    assert np.allclose(trained.model(image), network(image), atol=1e-6)


@pytest.mark.parametrize("kind", ["Lambda", "TFSMLayer", "TypeSpec", "CompositeTensor", "get_file"])
def test_the_older_format_runs_no_code(kind, tmp_path):
    keras.Sequential([keras.Input((8, 8, 1)), layers.Flatten(), layers.Dense(2)]).save(tmp_path / "evil.h5")
    with h5py.File(tmp_path / "evil.h5", "r+") as file:
        config = json.loads(file.attrs["model_config"])
        config["config"]["layers"].insert(
            1, {"class_name": kind, "config": {"name": "evil", "function": "x"}}
        )
        file.attrs["model_config"] = json.dumps(config)
    with pytest.raises(ValueError, match="nothing that runs"):
        import_model(tmp_path / "evil.h5", classes=CLASSES[:2], bands=("r",))


def test_the_older_format_reads_no_other_file_and_lays_out_no_more_than_it_holds(tmp_path):
    network = keras.Sequential([keras.Input((8, 8, 1)), layers.Flatten(), layers.Dense(2, name="end")])
    for name in ("link", "large"):
        network.save(tmp_path / f"{name}.h5")
    with h5py.File(tmp_path / "link.h5", "r+") as file:
        file["model_weights/elsewhere"] = h5py.ExternalLink("large.h5", "/model_weights")
    with h5py.File(tmp_path / "large.h5", "r+") as file:
        config = json.loads(file.attrs["model_config"])
        config["config"]["layers"][-1]["config"]["units"] = 10**9
        file.attrs["model_config"] = json.dumps(config)
    with pytest.raises(ValueError, match="a link"):
        import_model(tmp_path / "link.h5", classes=CLASSES[:2], bands=("r",))
    with pytest.raises(ValueError, match="layers of 65,000,000,000 weights"):
        import_model(tmp_path / "large.h5", classes=CLASSES[:2], bands=("r",))


def test_division_and_unit_are_those_of_the_training():
    network = randomised(sequential())
    images = np.random.default_rng(3).uniform(0, 255, (4, *SHAPE)).astype(np.float32)
    pictures = import_model(
        network, classes=CLASSES, bands=("red", "green", "blue"), unit="display", scale=255
    )
    assert np.allclose(pictures.model(images), network(images / np.float32(255)), atol=1e-5)
    assert pictures.card.inputs.bands == ("R", "G", "B"), "those of the files of pictures"
    # One nanomaggy is 3631 nJy.
    fluxes = import_model(network, classes=CLASSES, bands=BANDS, unit="nanomaggy")
    assert fluxes.card.inputs.unit == "nJy"
    assert np.allclose(fluxes.model(images * np.float32(3631)), network(images), atol=1e-4)
    assert (
        import_model(network, classes=CLASSES, bands=BANDS, unit="mJy").preprocessing.layers[-1].deviation[0]
        == 1e6
    )


def test_one_output_is_the_second_of_two_classes():
    end = layers.Dense(1, activation="sigmoid")
    body = [keras.Input((None, None, 1)), layers.Conv2D(3, 3), layers.GlobalAveragePooling2D()]
    network = randomised(keras.Sequential([*body, end]))
    images = np.random.default_rng(3).normal(size=(4, 12, 12, 1)).astype(np.float32)
    p = network(images).numpy()[:, 0]
    linear = layers.Dense(1)
    for last in (end, linear):
        one = keras.Sequential([*body, last])
        last.set_weights(network.layers[-1].get_weights())
        trained = import_model(one, classes=CLASSES[:2], bands=("r",), size=12)
        assert np.allclose(softmax(trained.model(images).numpy()), np.stack([1 - p, p], axis=1), atol=1e-6)


def test_images_without_an_axis_of_bands_and_answers_per_pixel_of_one_cell():
    network = keras.Sequential(
        [
            keras.Input((12, 12)),
            layers.Reshape((12, 12, 1)),
            layers.Conv2D(4, 3, activation="relu"),
            layers.GlobalAveragePooling2D(keepdims=True),
            layers.Conv2D(3, 1, activation="softmax"),
        ]
    )
    trained = import_model(randomised(network), classes=CLASSES, bands=("r",))
    images = np.random.default_rng(3).normal(size=(4, 12, 12)).astype(np.float32)
    assert np.allclose(softmax(trained.model(images[..., None]).numpy()), network(images)[:, 0, 0], atol=1e-6)


def test_a_layer_with_weights_of_its_own_must_be_registered():
    def network(layer):
        return keras.Sequential([keras.Input((8, 8, 1)), layer, layers.Flatten(), layers.Dense(2)])

    trained = import_model(randomised(network(Gain())), classes=CLASSES[:2], bands=("r",))
    assert [type(layer).__name__ for layer in trained.network.layers][1] == "Gain"
    with pytest.raises(ValueError, match="register"):
        import_model(network(Unregistered()), classes=CLASSES[:2], bands=("r",))


def heads(*units):
    images = keras.Input(SHAPE)
    flat = layers.Flatten()(images)
    return keras.Model(images, [layers.Dense(n)(flat) for n in units])


def raw_tensorflow():
    class Raw(keras.Model):
        def call(self, images):
            return tf.reduce_mean(images, axis=(1, 2))

    network = Raw()
    network(np.zeros((1, *SHAPE), np.float32))
    return network


def pools_over_channels():
    images = keras.Input((3, 16, 16))
    return keras.Model(images, layers.Dense(3)(layers.Flatten()(layers.MaxPooling2D((1, 2))(images))))


@keras.saving.register_keras_serializable(package="test_importing")
class Noisy(keras.layers.Layer):
    """A layer whose answer differs each time."""

    def call(self, inputs):
        return inputs + tf.random.normal(tf.shape(inputs))


def of(*last):
    return keras.Sequential([keras.Input(SHAPE), layers.Flatten(), *last])


@pytest.mark.parametrize(
    ("network", "options", "reason"),
    [
        (lambda: heads(3, 3), {}, "one output"),
        (sequential, {"bands": ("g", "r")}, "as many bands"),
        (sequential, {"classes": ("a", "b")}, "output for each of 2 classes"),
        (sequential, {"classes": ("a", "b", "a")}, "differ"),
        (sequential, {"size": 32}, "16 x 16"),
        (sequential, {"scale": 0.0}, "positive number"),
        (sequential, {"unit": "mag"}, "linear unit"),
        (lambda: keras.Sequential([layers.GlobalAveragePooling2D(), layers.Dense(3)]), {}, "--size"),
        (lambda: of(layers.Dense(3, activation="sigmoid")), {}, "one sigmoid for each class"),
        (lambda: of(layers.Dense(3, activation="relu")), {}, "ends in logits"),
        (
            lambda: keras.Sequential([keras.Input(SHAPE), layers.Conv2D(3, 3)]),
            {},
            "output for each of 3 classes",
        ),
        (raw_tensorflow, {}, "keras.ops"),
        (pools_over_channels, {}, "data_format is channels_last"),
        (lambda: of(Noisy(), layers.Dense(3)), {}, "one answer to an image"),
        (lambda: of(layers.Lambda(lambda x: x), layers.Dense(3)), {}, "holds code"),
        (lambda: "no/such.keras", {}, "not found"),
        (lambda: 7, {}, "keras.Model"),
    ],
)
def test_what_cannot_be_imported_is_said_with_its_reason(network, options, reason):
    with pytest.raises((ValueError, TypeError, OSError), match=reason):
        import_model(network(), **{"classes": CLASSES, "bands": BANDS} | options)


def test_a_file_of_an_unknown_class_names_the_way(tmp_path):
    network = subclassed()
    network.save(tmp_path / "own.keras")
    with zipfile.ZipFile(tmp_path / "own.keras") as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(tmp_path / "other.keras", "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content.replace(b"test_importing>Subclassed", b"test_importing>Unknown"))
    with pytest.raises(ValueError, match=r"galcnn --module FILE\.py"):
        import_model(tmp_path / "other.keras", classes=CLASSES, bands=BANDS)


def test_the_original_is_not_changed():
    network = randomised(nested())
    before = [*map(np.array, network.get_weights())]
    trained = import_model(network, classes=CLASSES, bands=BANDS)
    for weight in trained.model.weights:
        weight.assign(weight * 0)
    assert all(np.array_equal(old, new) for old, new in zip(before, network.get_weights(), strict=True))
