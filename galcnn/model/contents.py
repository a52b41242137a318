"""Security check of model files, which may come from others and must not execute code.

A ``.keras`` file is a zip archive of a configuration and an HDF5 file of weights. Keras' safe mode
refuses code in the configuration. But safe mode can be disabled for the whole process, some layers run
code or read files that the configuration names, and HDF5 and zip files can contain links and filters.
The file is therefore checked before Keras reads it: only what Keras itself writes for a network is
accepted. Nothing is extracted to disk.
"""

from __future__ import annotations

import contextlib
import copy
import importlib
import json
import math
import stat
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import h5py
import keras
from keras.src.backend.common import global_state
from keras.src.legacy.saving.saving_utils import model_from_config

from galcnn.errors import message, without_content

_CONFIG, _METADATA, _WEIGHTS = "config.json", "metadata.json", "model.weights.h5"
#: Attribute of a file of the older format.
_OLD_CONFIG = "model_config"
#: Members of the archive; Keras writes further files only for layers with vocabularies.
_MEMBERS = {_CONFIG, _METADATA, _WEIGHTS}
_LAYERS = """
Activation ActivityRegularization Add AdaptiveAveragePooling2D AdaptiveMaxPooling2D AdditiveAttention
AlphaDropout Attention AugMix AutoContrast Average AveragePooling1D AveragePooling2D AveragePooling3D
BatchNormalization CenterCrop Concatenate Conv1D Conv1DTranspose Conv2D Conv2DTranspose Conv3D
Conv3DTranspose Cropping1D Cropping2D Cropping3D CutMix Dense DepthwiseConv1D DepthwiseConv2D Dot Dropout ELU
EinsumDense Embedding Equalization Flatten GaussianDropout GaussianNoise GlobalAveragePooling1D
GlobalAveragePooling2D GlobalAveragePooling3D GlobalMaxPooling1D GlobalMaxPooling2D GlobalMaxPooling3D
GroupNormalization GroupQueryAttention Identity InputLayer LayerNormalization LeakyReLU Masking Maximum
MaxPooling1D MaxPooling2D MaxPooling3D Minimum MixUp MultiHeadAttention Multiply Normalization PReLU Permute
RMSNormalization RandAugment RandomBrightness RandomColorDegeneration RandomColorJitter RandomContrast
RandomCrop RandomElasticTransform RandomErasing RandomFlip RandomGaussianBlur RandomGrayscale RandomHue
RandomInvert RandomPerspective RandomPosterization RandomRotation RandomSaturation RandomSharpness
RandomShear RandomTranslation RandomZoom ReLU RepeatVector Rescaling Reshape Resizing SeparableConv1D
SeparableConv2D Softmax Solarization SpatialDropout1D SpatialDropout2D SpatialDropout3D SpectralNormalization
Subtract TimeDistributed UnitNormalization UpSampling1D UpSampling2D UpSampling3D ZeroPadding1D ZeroPadding2D
ZeroPadding3D
"""
#: (module, class) of what Keras writes for a network and what only does arithmetic.
_CLASSES = {
    *(("keras.layers", name) for name in _LAYERS.split()),
    ("keras", "DTypePolicy"),
    ("keras", "Model"),
    ("keras", "Sequential"),
    ("keras.models", "Model"),
    ("keras.models", "Sequential"),
    ("keras.src.models.functional", "Functional"),
    ("keras.src.models.sequential", "Sequential"),
    # Layer classes of their own that networks of keras.applications have.
    ("keras.src.applications.convnext", "LayerScale"),
    ("keras.src.applications.convnext", "StochasticDepth"),
    ("keras.src.applications.inception_resnet_v2", "CustomScaleLayer"),
}
#: Modules of which every class below the base class only computes numbers.
_FAMILIES: dict[str, type] = {
    "keras.constraints": keras.constraints.Constraint,
    "keras.dtype_policies": keras.dtype_policies.DTypePolicy,
    "keras.initializers": keras.initializers.Initializer,
    "keras.regularizers": keras.regularizers.Regularizer,
    "keras.src.ops.nn": keras.Operation,
    "keras.src.ops.numpy": keras.Operation,
}
#: The same of the older format, where Keras looks a class up by its name, and tuples and shapes are entries.
_OLD_CLASSES = {*_LAYERS.split(), "Functional", "Model", "Sequential", "TensorShape", "__tuple__"}
_OLD_FAMILIES = ("keras.constraints", "keras.initializers", "keras.regularizers")
#: Functions of these modules that are no activation functions.
_OF_SAVING = {"deserialize", "get", "serialize"}
#: Where Keras keeps the variables that are laid out and not allocated.
_PENDING = "uninitialized_variables"
#: Class names under which Keras stores values that are not plain JSON.
_VALUES = {"__keras_tensor__", "__tensor__", "__numpy__", "__ellipsis__", "__slice__"}
#: Types of the values of stored arrays.
_DTYPES = {"bool", "bfloat16", "float16", "float32", "float64"} | {
    f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)
}


def check_contents(path: Path) -> None:
    """Raise if a model file contains anything except arithmetic layers and their weights."""
    try:
        if h5py.is_hdf5(path):
            _check_hdf5(path)
            return
        with zipfile.ZipFile(path) as archive:
            _check_members(archive)
            config = _parsed(archive.read(_CONFIG))
            check_config(config)
            with archive.open(_WEIGHTS) as handle, h5py.File(handle, "r") as file:
                held = _check_weights(file, set())
            if held > archive.getinfo(_WEIGHTS).file_size:
                raise _refused("weights that share their bytes")
            _check_size(config, held)
    except (zipfile.BadZipFile, RecursionError) as error:
        raise _refused(without_content(error)) from error
    # h5py raises these for a corrupt file.
    except (OSError, KeyError, RuntimeError, EOFError, TypeError, OverflowError) as error:
        raise _refused(f"weights that cannot be read: {without_content(error)}") from error


def _check_hdf5(path: Path) -> None:
    """Check the older format, one HDF5 file with the configuration among its attributes."""
    with h5py.File(path, "r") as file:
        config = _parsed(file.attrs.get(_OLD_CONFIG, ""))
        check_config(config, old=True)
        held = _check_weights(file, set())
    if held > path.stat().st_size:
        raise _refused("weights that share their bytes")
    _check_size(config, held, deserialize=model_from_config)


def check_weights_file(path: Path) -> None:
    """Raise if a file of weights holds anything except plain numbers."""
    try:
        with h5py.File(path, "r") as file:
            _check_weights(file, set())
    except (OSError, KeyError, RuntimeError, TypeError) as error:
        raise _refused(f"weights that cannot be read: {without_content(error)}") from error


def check_registered(network: keras.Model) -> None:
    """Raise if the file of a network would be refused for a class that is neither of Keras nor registered."""
    check_config(json.loads(network.to_json()))


def _check_size(config: Any, held: int, deserialize: Callable[[Any], Any] | None = None) -> None:
    wanted = _weights_wanted(config, deserialize or _deserialized)
    if wanted > held:  # every weight takes a byte or more
        raise _refused(f"layers of {wanted:,} weights, of which at most {held:,} are in the file")


def _deserialized(config: Any) -> Any:
    return keras.saving.deserialize_keras_object(config, safe_mode=True)


def _weights_wanted(config: Any, deserialize: Callable[[Any], Any]) -> int:
    """Return the number of weights of the layers, which are laid out but not allocated."""
    left = list(global_state.get_global_attribute(_PENDING, []))
    try:
        # Without its variables a model of any size is built in milliseconds.
        with keras.StatelessScope(initialize_variables=False), contextlib.suppress(Exception):
            deserialize(copy.deepcopy(config))  # Keras changes that of the older format
        # What an invalid configuration raises, Keras raises again when it loads: here the weights count.
        pending = global_state.get_global_attribute(_PENDING, [])[len(left) :]
        return sum(math.prod(variable.shape) for variable in pending)
    finally:  # Keras would allocate them at the end of its next scope
        global_state.set_global_attribute(_PENDING, left)


def _parsed(content: bytes) -> Any:
    try:
        return json.loads(content)
    except ValueError as error:
        raise _refused(without_content(error)) from error


def saved_by(path: Path) -> str:
    """Return the version of Keras that wrote a model file, or an empty string if it is not stated."""
    if h5py.is_hdf5(path):
        with h5py.File(path, "r") as file:
            return str(file.attrs.get("keras_version", ""))
    with zipfile.ZipFile(path) as archive:
        try:
            stated = json.loads(archive.read(_METADATA))
        except ValueError:
            return ""
    return str(stated.get("keras_version", "")) if isinstance(stated, dict) else ""


def _refused(holds: str, *, old: bool = False) -> ValueError:
    remedy = "Do not use it; ask its author. A class of your own: register it with Keras in a Python file, "
    remedy += "galcnn --module FILE.py."
    if old:  # which does not say where a class is from
        remedy = "If it is your own, save it as .keras, which also holds operations such as x / 255."
    return ValueError(
        message(
            "a model file with layers of Keras and their weights, and nothing that runs", remedy, holds=holds
        )
    )


def _check_members(archive: zipfile.ZipFile) -> None:
    members = archive.infolist()
    names = [member.filename for member in members]
    if sorted(names) != sorted(_MEMBERS):
        odd = sorted(set(names) - _MEMBERS) or names
        raise _refused(f"archive members {odd}")
    for member in members:
        if stat.S_ISLNK(member.external_attr >> 16):
            raise _refused(f"archive member {member.filename}, a link")
        if member.compress_type != zipfile.ZIP_STORED or member.file_size != member.compress_size:
            raise _refused(f"archive member {member.filename}, compressed, which Keras never writes")
        if member.flag_bits & 1:
            raise _refused(f"archive member {member.filename}, encrypted")


def check_config(config: Any, *, old: bool = False) -> None:
    """Raise if a configuration names anything except arithmetic layers and registered classes."""
    if not isinstance(config, dict):
        raise _refused("a configuration that is not of a model")
    # The compile configuration is not loaded.
    for entry in _entries({key: value for key, value in config.items() if key != "compile_config"}):
        if not (_plain(entry) or (old and "module" not in entry and _plain_by_name(entry["class_name"]))):
            named = {key: entry.get(key) for key in ("module", "class_name", "registered_name")}
            if entry["class_name"] == "function":
                named["config"] = entry.get("config")
            raise _refused(f"{named}{', in the older format' if old else ''}", old=old)


def _entries(content: Any) -> Iterator[Mapping[str, Any]]:
    """Yield every entry from which Keras would create an object, at any depth."""
    waiting = [content]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            if "class_name" in one:
                yield one
            waiting.extend(one.values())
        elif isinstance(one, list):
            waiting.extend(one)


def _plain(entry: Mapping[str, Any]) -> bool:
    """Return True if Keras would create an allowed object, or one that was registered in this process.

    Keras looks a class up by its registered name first, then as ``module.class_name``; functions by name.
    """
    name, module, config = entry["class_name"], entry.get("module"), entry.get("config")
    if not isinstance(name, str):
        return False
    if name in _VALUES:
        numbers = name in ("__tensor__", "__numpy__")
        return not numbers or (isinstance(config, dict) and config.get("dtype") in _DTYPES)
    if name == "function":
        return _registered(config) or _is_activation(module, config)
    registered = entry.get("registered_name", name)
    if registered not in (None, name):
        return _registered(registered)
    return isinstance(module, str) and ((module, name) in _CLASSES or _in_family(module, name))


def _plain_by_name(name: object) -> bool:
    """Return True for an allowed class of the older format, which names no modules."""
    return isinstance(name, str) and (
        name in _OLD_CLASSES or any(_in_family(module, name) for module in _OLD_FAMILIES)
    )


def _in_family(module: str, name: str) -> bool:
    base = _FAMILIES.get(module)
    if base is None:
        return False
    found = vars(importlib.import_module(module)).get(name)
    # Operations that a module only imports are none of its own.
    own = base is not keras.Operation or getattr(found, "__module__", None) == module
    return isinstance(found, type) and issubclass(found, base) and found is not base and own


def _is_activation(module: object, name: object) -> bool:
    """Return True for an activation function of Keras, which is written with one of two modules."""
    return (
        module in ("builtins", "keras.activations")
        and isinstance(name, str)
        and name not in _OF_SAVING
        and callable(vars(keras.activations).get(name))
    )


def _registered(name: object) -> bool:
    return isinstance(name, str) and keras.saving.get_registered_object(name) is not None


def _check_weights(group: h5py.Group, seen: set[int]) -> int:
    """Return the number of bytes of the weights, or raise if they are anything but stored numbers."""
    size = 0
    for name in group:
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            raise _refused(f"weights {group.name}/{name} that are a link")
        item = group[name]
        address = h5py.h5o.get_info(item.id).addr
        if address in seen:
            raise _refused(f"weights {item.name} that are there twice")
        seen.add(address)
        if isinstance(item, h5py.Group):
            size += _check_weights(item, seen)
        elif not isinstance(item, h5py.Dataset) or item.dtype.kind not in "fiubV" or item.dtype.hasobject:
            raise _refused(f"weights {item.name} that are not numbers")
        elif item.external or item.is_virtual:
            raise _refused(f"weights {item.name} of another file")
        elif item.id.get_create_plist().get_nfilters() or item.nbytes > item.id.get_storage_size():
            raise _refused(f"weights {item.name} that are compressed or not all there")
        else:
            size += item.nbytes
    return size
