"""Encoders of others: networks in the format of timm, rebuilt from layers of Keras."""

from __future__ import annotations

import fnmatch
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import keras
import numpy as np
import numpy.typing as npt

from galcnn._runtime import atomic
from galcnn._runtime.representation import summary
from galcnn.errors import message

CONFIG, WEIGHTS = "config.json", "model.safetensors"
#: Files that hold a pickle, which runs code when it is read.
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")
ImageScaling = Literal["0-1", "mean-std"]
SCALINGS: tuple[str, ...] = get_args(ImageScaling)
#: Scaling of the images of known encoders, by the name of their repository. Zoobot trains on images divided
#: by 255 (https://github.com/mwalmsley/galaxy-datasets), whatever mean its config.json repeats from timm.
_KNOWN: dict[str, ImageScaling] = {"mwalmsley/zoobot-encoder-*": "0-1"}
#: Blocks and filters of each stage (Liu et al. 2022; nano and pico: timm).
_CONVNEXT = {
    "convnext_pico": ((2, 2, 6, 2), (64, 128, 256, 512)),
    "convnext_nano": ((2, 2, 8, 2), (80, 160, 320, 640)),
    "convnext_tiny": ((3, 3, 9, 3), (96, 192, 384, 768)),
    "convnext_small": ((3, 3, 27, 3), (96, 192, 384, 768)),
    "convnext_base": ((3, 3, 27, 3), (128, 256, 512, 1024)),
}
#: Networks that KerasHub converts.
_KERAS_HUB = (
    *(f"resnet{depth}" for depth in (18, 26, 34, 50, 101, 152)),
    *(f"efficientnet_b{number}" for number in range(6)),
)
#: Weights of the classifier of timm, which an encoder does not need, and counters of batch norm.
_HEAD = ("head.fc.*", "fc.*", "classifier.*")
_COUNTERS = "*.num_batches_tracked"

Weights = Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True, eq=False)
class Encoder:
    """A network of others, from images to features.

    Attributes
    ----------
    model : keras.Model
        Network of plain Keras layers, from scaled images (n, ny, nx, n_bands) of any size to features
        (n, n_features): the mean of the feature map over the pixels, and what the network applies to it.
    architecture : str
        Name of the network in timm.
    scaling : {"0-1", "mean-std"}
        What the network expects of images with values from 0 to 255. ``"0-1"``: divided by 255.
        ``"mean-std"``: after that, `mean` is subtracted and the result divided by `std`.
    mean, std : tuple of float
        Mean and standard deviation of each band, of values from 0 to 1; 0 and 1 for ``"0-1"``.
    weights_sha256 : str
        SHA-256 of the file of weights.
    """

    model: keras.Model
    architecture: str
    scaling: ImageScaling
    mean: tuple[float, ...]
    std: tuple[float, ...]
    weights_sha256: str

    def __repr__(self) -> str:
        bands, features = self.model.input_shape[-1], self.model.output_shape[-1]
        return summary(
            "Encoder",
            f"{self.architecture}, {bands} bands -> {features} features",
            f"{self.model.count_params():,} parameters, images {self.scaling}",
        )


def load_encoder(
    folder: str | os.PathLike[str], *, scaling: ImageScaling | None = None, repository: str = ""
) -> Encoder:
    """Load an encoder in the format of timm: ``config.json`` and ``model.safetensors``.

    ResNet and EfficientNet are converted by KerasHub, ConvNeXt here. The layer scale of ConvNeXt is
    multiplied into the weights that follow it, which leaves the features unchanged.

    Parameters
    ----------
    folder : path-like
        Folder with the two files.
    scaling : {"0-1", "mean-std"}, optional
        ImageScaling of the images in the training of the encoder, see `Encoder`. It is needed unless the
        repository is a known one: the mean and standard deviation in ``config.json`` are those of
        ImageNet unless its author changed them, whether or not the encoder was trained with them.
    repository : str
        Name of the repository, ``owner/name``, by which the scaling of known encoders is looked up.

    Returns
    -------
    Encoder
        Network and the scaling of its images.

    Raises
    ------
    FileNotFoundError
        If one of the files is missing.
    ValueError
        If the weights are a pickle, the architecture is none that can be converted, the files do not fit
        each other, or the scaling is not known.
    ImportError
        If safetensors or keras-hub is not installed.

    References
    ----------
    .. [1] timm, https://github.com/huggingface/pytorch-image-models
    .. [2] Liu et al. 2022, "A ConvNet for the 2020s", CVPR
    """
    path = Path(folder)
    config = _config(path)
    architecture = str(config.get("architecture", ""))
    pretrained = config.get("pretrained_cfg", config)
    chosen = scaling or next(
        (known for pattern, known in _KNOWN.items() if fnmatch.fnmatch(repository, pattern)), None
    )
    if chosen not in SCALINGS:
        raise ValueError(
            message(
                f"the scaling of the images in the training of this encoder, one of {SCALINGS}",
                "'0-1' divides by 255. 'mean-std' also subtracts the mean in config.json and divides by the "
                "standard deviation. Ask the author or look in the training code.",
                scaling=scaling,
                mean=pretrained.get("mean"),
                std=pretrained.get("std"),
            )
        )
    weights = _weights(path)
    if architecture in _CONVNEXT:
        model = _convnext(architecture, weights)
    elif architecture in _KERAS_HUB:
        model = _by_keras_hub(path, architecture, weights)
    else:
        raise ValueError(
            message(
                f"a network among {', '.join([*_CONVNEXT, *_KERAS_HUB])}",
                "Convert others to Keras yourself, and use galcnn import.",
                architecture=architecture or None,
            )
        )
    bands = model.input_shape[-1]
    mean, std = ((0.0,) * bands, (1.0,) * bands)
    if chosen == "mean-std":
        mean, std = (_per_band(pretrained, name, bands) for name in ("mean", "std"))
    return Encoder(model, architecture, chosen, mean, std, atomic.file_sha256(path / WEIGHTS))


def is_encoder(folder: Path) -> bool:
    """Return True for a folder with an encoder in the format of timm, whatever its weights are."""
    return (folder / CONFIG).is_file()


def is_pickle(name: str) -> bool:
    """Return True for the name of a file of weights of torch, which is a pickle."""
    return any(fnmatch.fnmatch(name, pattern) for pattern in _PICKLES)


def pickle_refused(found: list[str]) -> ValueError:
    """Return the error of weights that are there as a pickle only."""
    return ValueError(
        message(
            f"weights as {WEIGHTS}",
            "A pickle runs code when it is read. If you trust it, convert it in an environment with torch: "
            f"safetensors.torch.save_file(torch.load(FILE, weights_only=True), '{WEIGHTS}').",
            found=found,
        )
    )


def _config(folder: Path) -> dict[str, Any]:
    """Read ``config.json`` of timm."""
    path = folder / CONFIG
    if not path.is_file():
        raise FileNotFoundError(f"{folder} holds no encoder of timm: it has no {CONFIG}.")
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(message(f"{CONFIG} as JSON", "Fetch it again.", path=str(path))) from error
    if not isinstance(config, dict) or not isinstance(config.get("pretrained_cfg", {}), dict):
        raise ValueError(message(f"{CONFIG} of timm, a JSON object", "Fetch it again.", path=str(path)))
    return config


def _weights(folder: Path) -> Weights:
    """Read the weights without those of the classifier, as float32."""
    path = folder / WEIGHTS
    if not path.is_file():
        if pickles := sorted(one.name for one in folder.iterdir() if is_pickle(one.name)):
            raise pickle_refused(pickles)
        raise FileNotFoundError(f"{folder} holds no encoder of timm: it has no {WEIGHTS}.")
    try:
        from safetensors import SafetensorError, safe_open
    except ImportError as error:
        raise ImportError("safetensors is not installed: pip install 'galcnn[hub]'.") from error
    try:
        with safe_open(path, framework="np") as file:
            found = {
                name: file.get_tensor(name)
                for name in file.keys()  # noqa: SIM118, not a mapping
                if not any(fnmatch.fnmatch(name, pattern) for pattern in (*_HEAD, _COUNTERS))
            }
    except SafetensorError as error:
        raise ValueError(message("a complete file of weights", "Fetch it again.", path=str(path))) from error
    for name, values in found.items():
        if not np.isfinite(values).all():
            raise ValueError(message("finite weights", "Fetch the file again.", name=name, path=str(path)))
    return {name: np.asarray(values, np.float32) for name, values in found.items()}


def _per_band(pretrained: Mapping[str, Any], name: str, bands: int) -> tuple[float, ...]:
    """Return a number for each band from the configuration."""
    values: Any = pretrained.get(name)
    numbers = isinstance(values, list) and all(isinstance(one, int | float) for one in values)
    fits = numbers and len(values) == bands and (name != "std" or min(values) > 0)
    if not fits:
        raise ValueError(
            message(f"{name} of {bands} bands in {CONFIG}", "Use the scaling '0-1'.", **{name: values})
        )
    return tuple(float(one) for one in values)


def _by_keras_hub(folder: Path, architecture: str, weights: Weights) -> keras.Model:
    """Convert a network by KerasHub, to a plain model of Keras."""
    try:
        import keras_hub  # type: ignore[import-untyped]
        from safetensors import SafetensorError
    except ImportError as error:
        raise ImportError("keras-hub is not installed: pip install 'galcnn[hub]'.") from error
    stem = weights.get("conv1.weight", weights.get("conv_stem.weight"))
    if stem is None:
        raise _misfit(architecture, "no weights of the first convolution")
    bands = stem.shape[1]
    size = {"image_shape": (None, None, bands)}
    if architecture.startswith("efficientnet"):
        size = {"input_shape": (None, None, bands)}
    try:
        backbone = keras_hub.models.Backbone.from_preset(str(folder), **size)
    except (KeyError, ValueError, SafetensorError) as error:
        raise _misfit(architecture, f"{type(error).__name__}: {error}") from error
    # KerasHub takes weights by the end of their name: were one missing, another could stand in for it.
    held, needed = sum(one.size for one in weights.values()), backbone.count_params()
    if held != needed:
        raise _misfit(architecture, f"{held:,} weights instead of {needed:,}")
    pooled = keras.layers.GlobalAveragePooling2D(name="pooling")(backbone.output)
    return keras.Model(backbone.input, pooled, name=architecture)


def _misfit(architecture: str, found: str) -> ValueError:
    return ValueError(
        message(f"{WEIGHTS} with the weights of {architecture}", "Fetch both files again.", found=found)
    )


def _convnext(architecture: str, weights: Weights) -> keras.Model:
    """Build a ConvNeXt of Keras layers and set its weights."""
    depths, filters = _CONVNEXT[architecture]
    stem = weights.get("stem.0.weight")
    if stem is None:
        raise _misfit(architecture, "no stem.0.weight")
    model = _convnext_model(architecture, stem.shape[1], depths, filters)
    expected = dict(_convnext_weights(depths))
    wanted = {name for names in expected.values() for name in names}
    if missing := sorted(wanted - set(weights)):
        raise _misfit(architecture, f"no {missing[0]}")
    if extra := sorted(set(weights) - wanted):
        raise _misfit(architecture, f"{extra[0]}, which this network does not have")
    for layer, names in expected.items():
        kernel, bias, *scale = (weights[name] for name in names)
        if scale and kernel.ndim in (2, 4):
            kernel, bias = kernel * scale[0].reshape(-1, *[1] * (kernel.ndim - 1)), bias * scale[0]
        try:
            model.get_layer(layer).set_weights([_to_keras(kernel, model.get_layer(layer)), bias])
        except ValueError as error:
            raise _misfit(architecture, f"{names[0]} of shape {kernel.shape}") from error
    return model


def _to_keras(kernel: npt.NDArray[np.float32], layer: Any) -> npt.NDArray[np.float32]:
    """Move the axes of a kernel of torch (out, in, y, x) to those of Keras."""
    if isinstance(layer, keras.layers.LayerNormalization):
        return kernel
    if isinstance(layer, keras.layers.Dense):
        return kernel.reshape(kernel.shape[0], -1).T
    order = (2, 3, 0, 1) if isinstance(layer, keras.layers.DepthwiseConv2D) else (2, 3, 1, 0)
    return kernel.transpose(order)


def _convnext_weights(depths: tuple[int, ...]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield each layer of Keras with the names of its weights in timm."""

    def pair(name: str) -> tuple[str, str]:
        return f"{name}.weight", f"{name}.bias"

    yield "stem", pair("stem.0")
    yield "stem_norm", pair("stem.1")
    for stage, depth in enumerate(depths):
        if stage:
            yield f"stage{stage}_norm", pair(f"stages.{stage}.downsample.0")
            yield f"stage{stage}_down", pair(f"stages.{stage}.downsample.1")
        for number in range(depth):
            here, there = f"stage{stage}_block{number}", f"stages.{stage}.blocks.{number}"
            yield f"{here}_conv", pair(f"{there}.conv_dw")
            yield f"{here}_norm", pair(f"{there}.norm")
            yield f"{here}_dense1", pair(f"{there}.mlp.fc1")
            yield f"{here}_dense2", (*pair(f"{there}.mlp.fc2"), f"{there}.gamma")
    yield "norm", pair("head.norm")


def _convnext_model(name: str, bands: int, depths: tuple[int, ...], filters: tuple[int, ...]) -> keras.Model:
    """Build the layers of a ConvNeXt, as Liu et al. 2022."""
    layers = keras.layers

    def norm(x: Any, name: str) -> Any:
        return layers.LayerNormalization(epsilon=1e-6, name=name)(x)

    images = keras.Input((None, None, bands), name="images")
    x = norm(layers.Conv2D(filters[0], 4, strides=4, name="stem")(images), "stem_norm")
    for stage, (depth, width) in enumerate(zip(depths, filters, strict=True)):
        if stage:
            x = norm(x, f"stage{stage}_norm")
            x = layers.Conv2D(width, 2, strides=2, name=f"stage{stage}_down")(x)
        for number in range(depth):
            here = f"stage{stage}_block{number}"
            y = layers.DepthwiseConv2D(7, padding="same", name=f"{here}_conv")(x)
            y = layers.Dense(4 * width, name=f"{here}_dense1")(norm(y, f"{here}_norm"))
            y = layers.Dense(width, name=f"{here}_dense2")(layers.Activation("gelu", name=f"{here}_gelu")(y))
            x = layers.Add(name=f"{here}_add")([x, y])
    pooled = layers.GlobalAveragePooling2D(name="pooling")(x)
    return keras.Model(images, norm(pooled, "norm"), name=name)
