"""Presets of KerasHub: an image backbone in a folder, or by the name under which KerasHub downloads it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from galcnn._runtime import atomic
from galcnn.errors import message
from galcnn.model.contents import check_config, check_weights_file

#: Beginning of the name of a preset that KerasHub downloads.
PRESET = "keras_hub:"
_CONFIG, _WEIGHTS, _CONVERTER = "config.json", "model.weights.h5", "image_converter.json"


@dataclass(frozen=True, eq=False)
class Preset:
    """An image backbone of KerasHub.

    Attributes
    ----------
    model : keras.Model
        Network from scaled images of red, green and blue to features: the mean of the feature map.
    name : str
        Name of the preset.
    sha256 : str
        SHA-256 of its weights; empty for a preset that KerasHub downloads and checks by its name.
    offset, divisor : tuple of float or None
        What is subtracted from each band of pictures of 0 to 255, and by what the result is divided; None if
        the preset does not say it.
    """

    model: keras.Model
    name: str
    sha256: str
    offset: tuple[float, ...] | None
    divisor: tuple[float, ...] | None


def is_preset(folder: Path) -> bool:
    """Return True for a folder that KerasHub wrote by ``save_to_preset``."""
    try:
        content = json.loads((folder / _CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and str(content.get("registered_name", "")).startswith("keras_hub>")


def load_preset(source: str | Path) -> Preset:
    """Load the backbone of a preset.

    Parameters
    ----------
    source : pathlib.Path or str
        Folder of a preset, whose files are checked as those of a model: no code is run. Or the name of a
        preset of KerasHub, such as ``resnet_18_imagenet``, which is downloaded.

    Returns
    -------
    Preset
        Network, and how it scales its images.

    Raises
    ------
    ValueError
        If there is no such preset, it is none of images, or a folder holds anything but a network of KerasHub
        and its weights.
    ImportError
        If keras-hub is not installed.
    """
    try:
        import keras_hub  # type: ignore[import-untyped]
    except ImportError as error:
        raise ImportError("keras-hub is not installed: pip install 'galcnn[hub]'.") from error
    sha256 = ""
    if isinstance(source, Path):
        for name in (_CONFIG, _CONVERTER):
            if (source / name).exists():
                check_config(json.loads((source / name).read_text(encoding="utf-8")))
        if not (source / _WEIGHTS).is_file():
            raise FileNotFoundError(f"{source} has no {_WEIGHTS}.")
        check_weights_file(source / _WEIGHTS)
        sha256 = atomic.file_sha256(source / _WEIGHTS)
    elif source not in keras_hub.models.Backbone.presets:
        raise ValueError(
            message(
                "a preset of KerasHub, such as resnet_18_imagenet",
                "keras_hub.models.ResNetBackbone.presets lists those of a kind.",
                preset=source,
            )
        )
    backbone = keras_hub.models.Backbone.from_preset(str(source))
    taken = backbone.input
    given = backbone.output
    if not _is_tensor(taken, 4) or not _is_tensor(given, 4):
        raise ValueError(
            message(
                "a preset whose backbone makes a feature map of an image",
                "Choose one of ResNet, EfficientNet, DenseNet or VGG.",
                preset=str(source),
                backbone=type(backbone).__name__,
            )
        )
    pooled = keras.layers.GlobalAveragePooling2D(name="pooling")(given)
    name = source if isinstance(source, str) else source.resolve().name
    model = keras.Model(taken, pooled, name="backbone")
    return Preset(model, name, sha256, *_levels(keras_hub, str(source), int(taken.shape[-1])))


def _is_tensor(value: Any, n_axes: int) -> bool:
    return len(getattr(value, "shape", ())) == n_axes


def _levels(keras_hub: Any, source: str, n: int) -> tuple[tuple[float, ...] | None, tuple[float, ...] | None]:
    """Return what the image converter of a preset subtracts and divides by, which states scale and offset."""
    try:
        converter = keras_hub.layers.ImageConverter.from_preset(source)
    except (ValueError, FileNotFoundError):  # a preset without a converter
        return None, None
    scale = np.broadcast_to(1.0 if converter.scale is None else np.ravel(converter.scale), n).astype(float)
    offset = np.broadcast_to(0.0 if converter.offset is None else np.ravel(converter.offset), n).astype(float)
    return tuple((-offset / scale).tolist()), tuple((1 / scale).tolist())
