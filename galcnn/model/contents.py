"""Security check of model files, which may come from others and must not execute code.

A ``.keras`` file is a zip archive of a configuration and an HDF5 file of weights. Keras' safe mode
refuses code in the configuration. But safe mode can be disabled for the whole process, some layers run
code or read files that the configuration names, and HDF5 and zip files can contain links and filters.
The file is therefore checked before Keras reads it: only what Keras itself writes for a network is
accepted. Nothing is extracted to disk.
"""

from __future__ import annotations

import json
import stat
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import h5py
import keras

from galcnn.errors import message

_CONFIG, _METADATA, _WEIGHTS = "config.json", "metadata.json", "model.weights.h5"
#: Members of the archive; Keras writes further files only for layers with vocabularies.
_MEMBERS = {_CONFIG, _METADATA, _WEIGHTS}
#: Modules whose classes only do arithmetic, except for the classes below.
_MODULES = {
    "keras",
    "keras.constraints",
    "keras.dtype_policies",
    "keras.initializers",
    "keras.layers",
    "keras.models",
    "keras.regularizers",
    "keras.src.models.functional",
    "keras.src.models.sequential",
    "keras.src.ops.numpy",
}
#: Classes that run code or read files named in the configuration, as of Keras 3.15, which is pinned.
_FORBIDDEN = {
    "FlaxLayer",
    "IntegerLookup",
    "JaxLayer",
    "Lambda",
    "StringLookup",
    "TFSMLayer",
    "TextVectorization",
    "TorchModuleWrapper",
}
#: Class names under which Keras stores values that are not plain JSON.
_VALUES = {"__keras_tensor__", "__tensor__", "__numpy__", "__ellipsis__", "__slice__"}


def check_contents(path: Path) -> None:
    """Raise if a model file contains anything except arithmetic layers and their weights."""
    try:
        with zipfile.ZipFile(path) as archive:
            _check_members(archive)
            config = json.loads(archive.read(_CONFIG))
            _check_config(config)
            with archive.open(_WEIGHTS) as handle, h5py.File(handle, "r") as file:
                _check_weights(file, set())
    except (zipfile.BadZipFile, json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _refused(f"{type(error).__name__}: {error}") from error
    except (OSError, KeyError, RuntimeError, EOFError) as error:  # raised by h5py for a corrupt file
        raise _refused(f"weights that cannot be read: {error}") from error


def saved_by(path: Path) -> str:
    """Return the version of Keras that wrote a model file, or an empty string if it is not stated."""
    with zipfile.ZipFile(path) as archive:
        try:
            stated = json.loads(archive.read(_METADATA))
        except ValueError:
            return ""
    return str(stated.get("keras_version", "")) if isinstance(stated, dict) else ""


def _refused(holds: str) -> ValueError:
    return ValueError(
        message(
            "a model file with layers of Keras and their weights, and nothing that runs",
            "Do not use it; ask its author.",
            holds=holds,
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


def _check_config(config: Any) -> None:
    if not isinstance(config, dict):
        raise _refused("a configuration that is not of a model")
    # The compile configuration is not loaded.
    for entry in _entries({key: value for key, value in config.items() if key != "compile_config"}):
        if not _plain(entry):
            named = {key: entry.get(key) for key in ("module", "class_name", "registered_name")}
            if entry["class_name"] == "function":
                named["config"] = entry.get("config")
            raise _refused(f"{named}")


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
    """Return True if an entry is an arithmetic class of Keras, or was registered in this process."""
    name, module = entry["class_name"], entry.get("module")
    registered = entry.get("registered_name")
    if name in _VALUES:
        return True
    if name == "function":  # Keras looks up its name among the registered ones and in its own modules
        return _registered(entry.get("config")) or module == "builtins"
    if registered is not None and registered != name:
        return _registered(registered)
    return module in _MODULES and name not in _FORBIDDEN


def _registered(name: object) -> bool:
    return isinstance(name, str) and keras.saving.get_registered_object(name) is not None


def _check_weights(group: h5py.Group, seen: set[int]) -> None:
    for name in group:
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            raise _refused(f"weights {group.name}/{name} that are a link")
        item = group[name]
        address = h5py.h5o.get_info(item.id).addr
        if address in seen:
            raise _refused(f"weights {item.name} that are there twice")
        seen.add(address)
        if isinstance(item, h5py.Group):
            _check_weights(item, seen)
        elif not isinstance(item, h5py.Dataset) or item.dtype.kind not in "fiubV" or item.dtype.hasobject:
            raise _refused(f"weights {item.name} that are not numbers")
        elif item.external or item.is_virtual:
            raise _refused(f"weights {item.name} of another file")
        elif item.id.get_create_plist().get_nfilters() or item.nbytes > item.id.get_storage_size():
            raise _refused(f"weights {item.name} that are compressed or not all there")
