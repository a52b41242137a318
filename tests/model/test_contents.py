"""Model files that were made to do harm, by the tricks that are known, are refused before Keras sees them.

Each attack is a real file, sealed by a card of its own: who forges a model forges its hash too. The payload
leaves a mark on the disk, so that running it would be seen.
"""

import importlib
import io
import json
import pickle
import shutil
import stat
import zipfile
from dataclasses import replace

import h5py
import keras
import numpy as np
import pytest

from galcnn._runtime.atomic import file_sha256
from galcnn.model import (
    Card,
    InputSpec,
    NetworkSettings,
    TrainedModel,
    assemble,
    build_network,
    fit_preprocessing,
    load_model,
    save_model,
)
from galcnn.model.contents import check_contents, saved_by

MEMBERS = ("metadata.json", "config.json", "model.weights.h5")


@pytest.fixture(scope="module")
def untrained():
    images = np.random.default_rng(0).normal(10, 20, (8, 16, 16, 2)).astype(np.float32)
    network = build_network((16, 16, 2), 2, settings=NetworkSettings(widths=(4,), depth=1), seed=0)
    card = Card(("round", "thin"), InputSpec(("g", "r"), "nJy", (16, 16)))
    return TrainedModel(assemble(fit_preprocessing(images), network), card)


@pytest.fixture(scope="module")
def honest(untrained, tmp_path_factory):
    folder = tmp_path_factory.mktemp("honest") / "model"
    save_model(untrained, folder)
    return folder


@pytest.fixture
def forged(honest, tmp_path, untrained):
    """A function that puts other members into a copy of a model and seals it anew."""
    folder = tmp_path / "model"
    shutil.copytree(honest, folder)

    def forge(write=None, **changed):
        path = folder / "model.keras"
        with zipfile.ZipFile(honest / "model.keras") as archive:
            members = {name: archive.read(name) for name in MEMBERS}
        members |= {name.replace("__", "."): content for name, content in changed.items()}
        if write is None:
            with zipfile.ZipFile(path, "w") as archive:
                for name, content in members.items():
                    archive.writestr(name, content)
        else:
            write(path, members)
        replace(untrained.card, model_sha256=file_sha256(path)).write(folder / "card.json")
        return folder

    return forge


def config_of(folder):
    with zipfile.ZipFile(folder / "model.keras") as archive:
        return json.loads(archive.read("config.json"))


def layers_of(config):
    """Of the network within a model's configuration."""
    network = next(one for one in config["config"]["layers"] if one["config"]["name"] == "network")
    return network["config"]["layers"]


def with_layer(config, entry):
    """The same configuration with one layer of the network replaced by another."""
    layer = next(one for one in layers_of(config) if one["class_name"] == "Activation")
    layer.update(entry)
    return json.dumps(config)


def test_the_honest_file_is_let_through(honest, forged):
    check_contents(honest / "model.keras")
    assert saved_by(honest / "model.keras") == keras.__version__
    load_model(forged())  # the forge alone breaks nothing: what follows is refused for what it holds


def marshalled(mark):
    """A Lambda layer of real code, as Keras itself saves it."""
    inputs = keras.Input((4,))
    code = eval(f"lambda x: __import__('pathlib').Path({str(mark)!r}).touch() or x")
    layer = keras.Model(inputs, keras.layers.Lambda(code, output_shape=(4,))(inputs)).layers[-1]
    assert not mark.exists()
    return keras.saving.serialize_keras_object(layer)


@pytest.mark.parametrize("unsafe", [False, True])
def test_a_lambda_is_refused_even_where_safe_mode_was_switched_off(honest, forged, tmp_path, unsafe):
    mark = tmp_path / "mark"
    evil = marshalled(mark)
    folder = forged(config__json=with_layer(config_of(honest), evil))
    before = keras.src.saving.serialization_lib.in_safe_mode()
    try:
        if unsafe:
            keras.config.enable_unsafe_deserialization()
        with pytest.raises(ValueError, match=r"nothing that runs\. Received: holds=.*Lambda"):
            load_model(folder)
    finally:
        keras.src.backend.common.global_state.set_global_attribute("safe_mode_saving", before)
    assert not mark.exists()


def test_the_lambda_of_the_attack_does_run_in_keras_without_safe_mode(tmp_path):
    """The attack is real: were it not, refusing it would show nothing."""
    mark = tmp_path / "mark"
    layer = keras.saving.deserialize_keras_object(marshalled(mark), safe_mode=False)
    layer(np.zeros((1, 4)))
    assert mark.exists()


@pytest.mark.parametrize(
    "entry",
    [
        {"module": "builtins", "class_name": "eval", "registered_name": None},
        {"module": "os", "class_name": "system", "registered_name": "system"},
        {"module": "subprocess", "class_name": "Popen", "registered_name": "subprocess>Popen"},
        {"module": "keras.src.utils.file_utils", "class_name": "get_file", "registered_name": None},
        {"module": "keras.utils", "class_name": "get_file", "registered_name": None},
        {"module": "keras.layers", "class_name": "Lambda", "registered_name": "galcnn>NoSuchLayer"},
        {"module": "keras.layers", "class_name": "Activation", "registered_name": "os>system"},
        {"module": "keras.src.layers.core.lambda_layer", "class_name": "Lambda", "registered_name": None},
        {"module": "keras.layers", "class_name": "TFSMLayer", "registered_name": None},
        {"module": "keras.layers", "class_name": "StringLookup", "registered_name": None},
        {"module": "keras.src.export.tfsm_layer", "class_name": "TFSMLayer", "registered_name": None},
        {"module": "keras.layers", "class_name": "TorchModuleWrapper", "registered_name": None},
        {"module": None, "class_name": "Lambda", "registered_name": None},
        {"module": "keras.config", "class_name": "function", "config": "enable_unsafe_deserialization"},
        {"module": "os", "class_name": "function", "config": "system", "registered_name": "system"},
        {"module": "builtins", "class_name": "__lambda__", "config": {"value": "x"}},
        {"module": "builtins", "class_name": "__typespec__", "spec_name": "x"},
        {"module": "keras.layers", "class_name": "__lambda__", "config": {"value": "x"}},
        {"module": "keras.layers", "class_name": "__typespec__", "spec_name": "x"},
        {"module": "keras", "class_name": "layers.Lambda", "registered_name": None},
        {"module": "keras", "class_name": "layers.TFSMLayer", "registered_name": "layers.TFSMLayer"},
        {"module": "keras", "class_name": "utils.get_file", "registered_name": None},
        {"module": "keras", "class_name": "layers.Dense", "registered_name": None},
        {"module": "keras", "class_name": "Layer", "registered_name": None},
        {"module": "keras.models", "class_name": "load_model", "registered_name": None},
        {"module": "keras.models", "class_name": "clone_model", "registered_name": None},
        {"module": "keras.initializers", "class_name": "deserialize", "registered_name": None},
        {"module": "keras.initializers", "class_name": "get", "registered_name": None},
        {"module": "keras.layers", "class_name": "Wrapper", "registered_name": None},
        {"module": "keras.layers", "class_name": "Dense ", "registered_name": None},
        {"module": "keras.layers.", "class_name": "Dense", "registered_name": None},
        {"module": "keras.src.ops.numpy", "class_name": "keras_export", "registered_name": None},
        {"module": "keras.src.ops.numpy", "class_name": "Operation", "registered_name": None},
        {"module": "keras.src.ops.core", "class_name": "Map", "registered_name": None},
        {"module": "builtins", "class_name": "function", "config": "deserialize"},
        {"module": "builtins", "class_name": "function", "config": "relu.__globals__"},
        {"module": "keras.layers", "class_name": "function", "config": "deserialize"},
        {"module": "keras.saving", "class_name": "function", "config": "load_model"},
        {"module": "x", "class_name": "__numpy__", "config": {"value": ["x"], "dtype": "object"}},
        {"module": "x", "class_name": "__tensor__", "config": {"value": ["x"], "dtype": "string"}},
        {"module": ["keras.layers"], "class_name": "Dense", "registered_name": None},
        {"module": "keras.layers", "class_name": 5, "registered_name": None},
    ],
    ids=lambda entry: f"{entry['module']}.{entry['class_name']}",
)
@pytest.mark.parametrize("place", ["layer", "initializer"])
def test_a_name_that_is_no_layer_of_arithmetic_is_refused(honest, forged, entry, place):
    config = config_of(honest)
    if place == "layer":
        layer = next(one for one in layers_of(config) if one["class_name"] == "Activation")
        layer.update(entry)
    else:  # deep within the settings of an honest layer
        layer = next(one for one in layers_of(config) if one["class_name"] == "Conv2D")
        layer["config"]["kernel_initializer"] = {"config": {}} | entry
    with pytest.raises(ValueError, match=rf"nothing that runs\. Received: holds=.*{entry['class_name']}"):
        load_model(forged(config__json=json.dumps(config)))


@pytest.mark.parametrize("module", ["keras.layers", "keras", "keras.src.ops.nn", "keras.initializers"])
def test_allowed_pairs_are_those_that_keras_resolves_to_classes_of_arithmetic(module):
    """Every pair that is let through is found by Keras itself, and none of what runs code is among them."""
    from keras.src.api_export import get_symbol_from_name

    from galcnn.model.contents import _CLASSES, _plain

    listed = {name for one, name in _CLASSES if one == module}
    for name in listed:
        assert isinstance(get_symbol_from_name(f"{module}.{name}"), type)
    known = {
        name
        for name in vars(importlib.import_module(module))
        if _plain({"class_name": name, "module": module, "registered_name": None})
    }
    assert listed <= known
    assert not known & {"Lambda", "TFSMLayer", "JaxLayer", "FlaxLayer", "TorchModuleWrapper", "StringLookup"}
    assert not known & {"IntegerLookup", "TextVectorization", "Layer", "Wrapper", "Operation", "Initializer"}


def test_functions_and_operations_of_keras_are_let_through(forged, honest):
    config = config_of(honest)
    layer = next(one for one in layers_of(config) if one["class_name"] == "Activation")
    layer["config"]["activation"] = keras.saving.serialize_keras_object(keras.activations.gelu)
    load_model(forged(config__json=json.dumps(config)))
    inputs = keras.Input((4,))
    ops = keras.Model(inputs, keras.ops.relu(keras.ops.exp(inputs)) + 1)
    entry = keras.saving.serialize_keras_object(ops)
    check_contents(forged(config__json=json.dumps(entry)) / "model.keras")


@pytest.mark.parametrize("broken", [False, True], ids=["valid", "followed-by-an-invalid-layer"])
@pytest.mark.parametrize(
    "settings", [{"filters": 10**9}, {"kernel_size": [20_000, 20_000]}], ids=["filters", "kernel"]
)
def test_layers_of_more_weights_than_the_file_holds_are_refused_before_they_are_allocated(
    honest, forged, settings, broken
):
    config = config_of(honest)
    layers = layers_of(config)
    next(one for one in layers if one["class_name"] == "Conv2D")["config"] |= settings
    if broken:
        next(one for one in layers if one["class_name"] == "Dense")["config"]["units"] = -1
    with pytest.raises(ValueError, match=r"holds=.*layers of [0-9,]{11,} weights"):
        load_model(forged(config__json=json.dumps(config)))
    assert not keras.src.backend.common.global_state.get_global_attribute("uninitialized_variables", [])


def test_the_old_format_without_modules_is_refused(honest, forged):
    """Keras reads a layer without "module" by its older code, which has had holes of its own."""
    config = config_of(honest)
    layer = next(one for one in layers_of(config) if one["class_name"] == "Activation")
    del layer["module"]
    with pytest.raises(ValueError, match="nothing that runs"):
        load_model(forged(config__json=json.dumps(config)))


def test_layers_that_this_process_registered_itself_are_welcome(honest, forged):
    """A user's own layers are code of the user's, not of the file."""

    @keras.saving.register_keras_serializable(package="thesis")
    class Same(keras.layers.Layer):
        def call(self, inputs):
            return inputs

    entry = keras.saving.serialize_keras_object(Same())
    config = with_layer(config_of(honest), entry | {"build_config": None})
    check_contents(forged(config__json=config) / "model.keras")


@pytest.mark.parametrize("name", ["model.weights.npz", "data.pkl", "assets/vocabulary.txt"])
def test_a_pickle_or_any_further_member_is_refused(forged, name, tmp_path):
    class Mark:
        def __reduce__(self):
            return (type(tmp_path).touch, (tmp_path / "mark",))

    content = pickle.dumps(Mark())
    if name.endswith("npz"):
        held = io.BytesIO()
        np.savez(held, weights=np.array([Mark()], dtype=object), allow_pickle=True)
        content = held.getvalue()
    with pytest.raises(ValueError, match=rf"archive members \['{name}'\]"):
        load_model(forged(**{name: content}))
    assert not (tmp_path / "mark").exists()


@pytest.mark.parametrize("name", ["../escaped", "/tmp/escaped-galcnn", "a/../../e", "C:\\escaped", "..\\e"])
def test_members_cannot_leave_the_folder(forged, name, tmp_path):
    before = sorted(path.name for path in tmp_path.parent.iterdir())
    with pytest.raises(ValueError, match="archive members"):
        load_model(forged(**{name: b"x"}))
    assert sorted(path.name for path in tmp_path.parent.iterdir()) == before


def test_a_member_that_is_a_link_is_refused(forged):
    def write(path, members):
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in members.items():
                info = zipfile.ZipInfo(name)
                if name == "model.weights.h5":
                    info.external_attr = (stat.S_IFLNK | 0o777) << 16
                    content = b"/etc/passwd"
                archive.writestr(info, content)

    with pytest.raises(ValueError, match=r"model\.weights\.h5, a link"):
        load_model(forged(write))


def test_a_member_that_is_there_twice_is_refused(forged):
    """Two readers of one archive may read different ones: the check must not read the other."""

    def write(path, members):
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in members.items():
                archive.writestr(name, content)
            with pytest.warns(UserWarning, match="Duplicate name"):
                archive.writestr("config.json", b"{}")

    with pytest.raises(ValueError, match="archive members"):
        load_model(forged(write))


def test_a_zip_bomb_is_refused_unread(forged):
    """A thousand times its size, compressed; well below the 4 GiB at which Keras looks."""

    def write(path, members):
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in members.items():
                archive.writestr(name, bytes(2**26) if name == "model.weights.h5" else content)
        assert path.stat().st_size < 2**17

    with pytest.raises(ValueError, match="compressed, which Keras never writes"):
        load_model(forged(write))


def weights(change):
    """A file of weights, changed by a function."""
    held = io.BytesIO()
    with h5py.File(held, "w") as file:
        file.create_group("layers")
        change(file)
    return held.getvalue()


def external_link(file, outside):
    file["layers/vars"] = h5py.ExternalLink(str(outside), "/secret")


def soft_link(file, outside):
    file["layers/a"] = h5py.SoftLink("/layers")


def external_storage(file, outside):
    file.create_dataset("layers/0", (4,), "u1", external=[(str(outside), 0, 4)])


def virtual(file, outside):
    layout = h5py.VirtualLayout((4,), "u1")
    layout[:] = h5py.VirtualSource(str(outside), "secret", (4,))
    file.create_virtual_dataset("layers/0", layout)


def circle(file, outside):
    file["layers/round"] = file["layers"]


def shape_bomb(file, outside):
    file.create_dataset("layers/0", (10**6, 10**6), "f4", chunks=(1000, 1000))


def compressed(file, outside):
    file.create_dataset("layers/0", data=np.zeros(10**6), compression="gzip")


def text(file, outside):
    file["layers/0"] = "a text"


def shared_bytes(file, outside):
    """A hundred names of one array: links are refused, and so are chunks that share their bytes."""
    file["layers/0"] = np.zeros(1000)
    for i in range(100):
        file[f"layers/n{i}"] = file["layers/0"]


def references(file, outside):
    file.create_dataset("layers/0", (1,), h5py.ref_dtype)[0] = file["layers"].ref


@pytest.mark.parametrize(
    ("attack", "why"),
    [
        (external_link, "a link"),
        (soft_link, "a link"),
        (external_storage, "of another file"),
        (virtual, "of another file"),
        (circle, "twice"),
        (shape_bomb, "not all there"),
        (compressed, "compressed"),
        (text, "not numbers"),
        (references, "not numbers"),
        (shared_bytes, "twice"),
    ],
)
def test_weights_that_point_elsewhere_or_explode_are_refused(forged, tmp_path, attack, why):
    outside = tmp_path / "outside.h5"
    with h5py.File(outside, "w") as file:
        file["secret"] = np.arange(4, dtype="u1")
    content = weights(lambda file: attack(file, outside))
    with pytest.raises(ValueError, match=rf"holds=.*{why}"):
        load_model(forged(model__weights__h5=content))


@pytest.mark.parametrize(
    ("member", "content", "why"),
    [
        ("config__json", b"[" * 200_000, "RecursionError"),
        ("config__json", b"\xff\xfe", "JSONDecodeError|UnicodeDecodeError"),
        ("config__json", b"[]", "not of a model"),
        ("model__weights__h5", b"not HDF5", "weights that cannot be read"),
    ],
)
def test_broken_members_are_refused_in_one_line(forged, member, content, why):
    with pytest.raises(ValueError, match=why):
        load_model(forged(**{member: content}))


def test_a_file_that_is_no_archive_is_refused(forged):
    with pytest.raises(ValueError, match="BadZipFile"):
        load_model(forged(lambda path, members: path.write_bytes(pickle.dumps("a pickle"))))


@pytest.mark.parametrize("newer", [True, False])
def test_what_keras_cannot_read_says_whether_a_newer_one_could(honest, forged, newer):
    config = config_of(honest)
    layer = next(one for one in layers_of(config) if one["class_name"] == "Activation")
    layer["config"]["invented_later"] = True
    stated = json.dumps({"keras_version": "99.1.0" if newer else keras.__version__})
    remedy = r"Update keras\." if newer else "Restore the file"
    with pytest.raises(ValueError, match=rf"a model file that Keras .* can read.*written_by.*{remedy}"):
        load_model(forged(config__json=json.dumps(config), metadata__json=stated))
