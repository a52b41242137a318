"""Feature maps from the networks of `keras.applications`, adapted to galaxy images."""

from __future__ import annotations

import inspect
import re
import warnings
from collections import Counter
from typing import Any

import keras

from galcnn._runtime import seeding
from galcnn.errors import message
from galcnn.model.blocks import MOMENTUM, LayerMaker


def application_names() -> list[str]:
    """List the networks of `keras.applications`."""
    return sorted(name for name in dir(keras.applications) if name[0].isupper())


def application_features(x: Any, make: LayerMaker) -> Any:
    """Build a network of `keras.applications` without pretrained weights, head and rescaling."""
    name = make.settings.architecture
    if name not in application_names():
        raise ValueError(
            message(
                "'blocks' or the name of a network in keras.applications",
                f"Known: {', '.join(application_names())}.",
                architecture=name,
            )
        )
    build = getattr(keras.applications, name)
    options: dict[str, Any] = {"weights": None, "include_top": False, "input_shape": tuple(x.shape[1:])}
    if "include_preprocessing" in inspect.signature(build).parameters:
        options["include_preprocessing"] = False
    try:
        with warnings.catch_warnings():
            # Keras warns about channel numbers other than 1 or 3, which are normal for bands.
            warnings.filterwarnings("ignore", message="This model usually expects 1 or 3 input channels")
            original = build(**options)
    except ValueError as error:
        raise ValueError(
            message(
                f"images that {name} accepts",
                "Use larger images (--size) or another network.",
                shape=tuple(x.shape[1:]),
                error=str(error),
            )
        ) from error
    taken: Counter[str] = Counter()

    def refit(layer: Any) -> Any:
        return _refitted(layer, _name(layer, taken), make)

    # Recursive: some networks nest layers in Sequential models, which would otherwise be copied unchanged.
    return keras.models.clone_model(original, clone_function=refit, recursive=True)(x)


def _name(layer: Any, taken: Counter[str]) -> str:
    """Name of a layer; default names are numbered within the network, not, as by Keras, in the process."""
    kind = _COUNTED.sub("", layer.name)
    if kind.replace("_", "") != type(layer).__name__.lower():
        return str(layer.name)
    taken[kind] += 1
    return kind if taken[kind] == 1 else f"{kind}_{taken[kind] - 1}"


def _refitted(layer: Any, name: str, make: LayerMaker) -> Any:
    """Rebuild a layer with seeds, regularisers and precision of `make`; rescaling becomes the identity."""
    if isinstance(layer, keras.layers.InputLayer):
        return layer
    if isinstance(layer, keras.layers.Rescaling | keras.layers.Normalization):
        return keras.layers.Identity(name=name, dtype=make.dtype)
    config = layer.get_config() | {"name": name}
    for key, value in config.items():
        if key.endswith("_initializer") and isinstance(value, dict) and "seed" in value["config"]:
            seed = seeding.integer(make.seed, "initializer", name, key)
            config[key] = value | {"config": value["config"] | {"seed": seed}}
        elif key.endswith("_regularizer") and key.removesuffix("_regularizer") in _KERNELS:
            config[key] = keras.regularizers.serialize(make.penalty) if make.penalty else None
    if "seed" in config:
        config["seed"] = seeding.integer(make.seed, "dropout", name)
    if isinstance(layer, keras.layers.BatchNormalization):
        config |= {"momentum": MOMENTUM, "synchronized": make.settings.synchronized}
    for weights, axes in next((units for kind, units in _UNITS if isinstance(layer, kind)), {}).items():
        if (limit := make.norm_limit(axes)) is not None:
            config[f"{weights}_constraint"] = keras.constraints.serialize(limit)
    if make.dtype is not None and isinstance(layer, keras.layers.Layer):  # operations have no dtype policy
        config["dtype"] = make.dtype
    return type(layer).from_config(config)


_KERNELS = ("kernel", "depthwise", "pointwise")
#: Number that Keras appends to the default name of a layer, from the second layer of its class on.
_COUNTED = re.compile(r"_\d+$")
#: Weight arrays of each layer class, and the axes over which the weights of one unit extend.
_UNITS: list[tuple[Any, dict[str, int | tuple[int, ...]]]] = [
    (keras.layers.SeparableConv2D, {"depthwise": (0, 1), "pointwise": (0, 1, 2)}),
    (keras.layers.DepthwiseConv2D, {"depthwise": (0, 1)}),
    (keras.layers.Conv2D, {"kernel": (0, 1, 2)}),
    (keras.layers.Dense, {"kernel": 0}),
]
