"""Networks that start from the weights of another one: where it comes from, its head and its bands."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from galcnn._runtime import atomic, seeding
from galcnn.errors import message
from galcnn.model.applications import application_features, application_names
from galcnn.model.blocks import LayerMaker
from galcnn.model.build import LOGITS, NETWORK
from galcnn.model.bundle import NETWORK_FILES, TrainedModel, load_model, read_network
from galcnn.model.card import SCHEME, Card
from galcnn.model.contents import check_registered
from galcnn.model.encoders import Encoder, ImageScaling, is_encoder, load_encoder
from galcnn.model.graph import producer
from galcnn.model.hub import fetch_from_hub
from galcnn.model.logits import ending_in_logits
from galcnn.model.presets import PRESET, is_preset, load_preset
from galcnn.model.ready import model_folder, ready_models
from galcnn.model.settings import NetworkSettings
from galcnn.model.unfolding import unfolded
from galcnn.model.weights import refresh

_APPLICATIONS = "keras.applications:"
#: Mean and standard deviation of ImageNet, in [0, 1], for red, green and blue.
_IMAGENET = np.array([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]])


@dataclass(frozen=True, eq=False)
class Parent:
    """A trained network from which another one starts.

    Attributes
    ----------
    name : str
        Name by which it was asked for.
    sha256 : str
        SHA-256 of its file; empty for weights that Keras downloads and checks by their name.
    network : callable
        Function of the shape of the images, (ny, nx, n_bands), that returns a functional network of images
        of this size and the bands of the parent. It ends in the features or in the layer ``logits``.
    trained : TrainedModel or None
        The model, if it has a card.
    licence : str
        Licence of the weights or of the data.
    notes : tuple of str
        What is to be said of its inputs.
    levels : tuple of tuple of float or None
        For an encoder of others: what is subtracted from each band of pictures of 0 to 255, and by what the
        result is divided.
    """

    name: str
    sha256: str
    network: Callable[[tuple[int, int, int]], keras.Model]
    trained: TrainedModel | None = None
    licence: str = "not known"
    notes: tuple[str, ...] = field(default=())
    levels: tuple[tuple[float, ...], tuple[float, ...]] | None = None

    @property
    def card(self) -> Card | None:
        """Card of the model; None if it has none."""
        return None if self.trained is None else self.trained.card


def resolve(name: str | os.PathLike[str], *, scaling: ImageScaling | None = None) -> Parent:
    """Find the network that a name or path means.

    Parameters
    ----------
    name : str or path-like
        A model folder, the name of a model that ships with galcnn, the file of a Keras network (``.keras``,
        ``.h5``), or ``keras.applications:NAME:imagenet``, whose weights Keras downloads, checks and keeps.
        A preset of KerasHub, as a folder, or by its name, ``keras_hub:resnet_18_imagenet``. An encoder in the
        format of timm, as a folder, or ``hf://owner/name@revision``, which is fetched from
        the Hugging Face hub, as are models of galcnn.
    scaling : {"0-1", "mean-std"}, optional
        Scaling of the images of an encoder, see `galcnn.model.encoders.load_encoder`.

    Returns
    -------
    Parent
        The network and what is known of it.

    Raises
    ------
    OSError, ValueError
        If there is no such network, or its file is refused (see `galcnn.model.load_model`).
    """
    text = os.fspath(name)
    if text.startswith(_APPLICATIONS):
        return _of_applications(text)
    if text.startswith(PRESET):
        return replace(_of_preset(text.removeprefix(PRESET), scaling), name=text)
    if text.startswith(SCHEME):
        fetched = fetch_from_hub(text)
        at = f"{SCHEME}{fetched.repository}@{fetched.commit}"
        found = _of_folder(fetched.folder, scaling, repository=fetched.repository)
        return replace(found, name=at)
    path = model_folder(text)
    if path.is_dir():
        return _of_folder(path, scaling)
    if path.is_file() and path.suffix.lower() in NETWORK_FILES:
        network = read_network(path)
        notes = ("neither bands, unit nor pixel scale of its images are known (galcnn import states them)",)
        return Parent(
            path.name,
            atomic.file_sha256(path),
            lambda shape: _of_file(network, shape),
            licence="not known",
            notes=notes,
        )
    raise FileNotFoundError(
        message(
            f"a model folder, {', '.join(ready_models())}, a file {' or '.join(NETWORK_FILES)}, "
            f"{_APPLICATIONS}NAME:imagenet, {PRESET}NAME, or "
            f"{SCHEME}owner/name",
            "Check the path.",
            model=text,
        )
    )


def _of_folder(folder: Path, scaling: ImageScaling | None, *, repository: str = "") -> Parent:
    """Return the network of a model folder, or of a folder with an encoder in the format of timm."""
    if is_preset(folder):
        return _of_preset(folder, scaling)
    if is_encoder(folder):
        return _of_encoder(load_encoder(folder, scaling=scaling, repository=repository))
    if scaling is not None:
        raise ValueError(
            message(
                "an encoder of others, to scale images for it", "Leave start.scaling out.", scaling=scaling
            )
        )
    trained = load_model(folder)
    licence = str(trained.card.data.get("licence") or "not known")
    return Parent(trained.card.name, trained.card.model_sha256, lambda _: trained.network, trained, licence)


def _of_encoder(encoder: Encoder) -> Parent:
    """Return the network of an encoder, and what its images are."""
    bands = encoder.model.input_shape[-1]
    mean, std = (tuple(255 * one for one in values) for values in (encoder.mean, encoder.std))
    return Parent(
        encoder.architecture,
        encoder.weights_sha256,
        lambda shape: unfolded(encoder.model, (*shape[:2], bands)),
        notes=(f"an encoder of pictures, {encoder.architecture}, scaled by {encoder.scaling}",),
        levels=(mean, std),
    )


def _of_preset(source: str | Path, scaling: ImageScaling | None) -> Parent:
    """Return the network of a preset of KerasHub, and what its images are."""
    preset = load_preset(source)
    bands = preset.model.input_shape[-1]
    offset, divisor = preset.offset, preset.divisor
    if scaling == "0-1":
        offset, divisor = (0.0,) * bands, (255.0,) * bands
    elif scaling is not None:
        raise ValueError(
            message("the preset's own scaling, or 0-1", "Leave start.scaling out.", scaling=scaling)
        )
    if offset is None or divisor is None:
        raise ValueError(
            message(
                "a preset that says how it scales pictures",
                "Divided by 255: start.scaling=0-1.",
                preset=preset.name,
            )
        )
    network = unfolded(preset.model, (64, 64, bands))
    check_registered(network)  # its layers must be known wherever the child is loaded
    return Parent(
        preset.name,
        preset.sha256,
        lambda shape: unfolded(preset.model, (*shape[:2], bands)),
        licence="that of the preset",
        notes=("a backbone of KerasHub for pictures",),
        levels=(offset, divisor),
    )


def _of_file(network: keras.Model, image_shape: tuple[int, int, int]) -> keras.Model:
    """Return the network of a file, up to its logits, for the bands that it reads."""
    shape = tuple(network.input_shape[1:]) if network.inputs else (*image_shape[:2], None)
    first = len(shape) == 3 and shape[0] is not None and shape[0] < (shape[2] or 0)
    n_bands = (shape[0] if first else shape[-1]) or image_shape[-1]
    plain = unfolded(network, (*image_shape[:2], n_bands), channels_first=first)
    logits = ending_in_logits(plain).model.outputs[0]
    last, entering = producer(logits)
    if type(last) is not keras.layers.Dense or len(entering[0].shape) != 2:
        raise ValueError(
            message(
                "a network whose last layer is dense, which a new one replaces",
                "Build the network with a dense last layer.",
                last=last.name,
                kind=type(last).__name__,
            )
        )
    return keras.Model(plain.inputs[0], entering[0], name=NETWORK)


def _of_applications(text: str) -> Parent:
    """Return a network of `keras.applications` with the weights of ImageNet."""
    parts = text.split(":")
    if len(parts) != 3 or parts[1] not in application_names() or parts[2] != "imagenet":
        raise ValueError(
            message(f"{_APPLICATIONS}NAME:imagenet", f"Known: {', '.join(application_names())}.", model=text)
        )
    build = getattr(keras.applications, parts[1])
    prepare = sys.modules[build.__module__].preprocess_input

    def network(image_shape: tuple[int, int, int]) -> keras.Model:
        shape = (*image_shape[:2], 3)
        body = build(weights="imagenet", include_top=False, input_shape=shape)
        inputs = keras.Input(shape)
        maker = LayerMaker(NetworkSettings(architecture=parts[1]), 0)
        plain = keras.Model(inputs, application_features(inputs, maker)).layers[-1]
        return unfolded(_scaled_to_imagenet(body, prepare, plain), shape)

    told = (
        "trained on the photographs of ImageNet: images of mean 0 and standard deviation 1 are brought to "
        "the mean and deviation of ImageNet, in the units of the network"
    )
    return Parent(text, "", network, licence="that of Keras and of ImageNet", notes=(told,))


def _scaled_to_imagenet(body: keras.Model, prepare: Callable[[Any], Any], plain: keras.Model) -> keras.Model:
    """Return `plain` with the weights of `body`, for images of mean 0 and deviation 1.

    `plain` is the same network without the steps that `body` begins with; what they and `prepare` make of the
    mean and the deviation of ImageNet is put in their place, as one factor and one offset for all bands.
    """
    own = (keras.layers.InputLayer, keras.layers.Rescaling, keras.layers.Normalization)
    first = next(layer for layer in body.layers if not isinstance(layer, own))
    begin = keras.Model(body.inputs[0], first.input)
    level = np.broadcast_to(255 * _IMAGENET[:, np.newaxis, np.newaxis], (2, *body.input_shape[1:]))
    mean, above = (
        keras.ops.convert_to_numpy(begin(prepare(np.array(levels[np.newaxis], np.float32)))).mean(
            axis=(0, 1, 2)
        )
        for levels in (level[0], level[0] + level[1])
    )
    blue_first = _reads_blue_first(prepare)
    for layer, copy in zip(body.layers, plain.layers, strict=True):
        if not isinstance(layer, own):
            weights = layer.get_weights()
            if blue_first and weights and weights[0].ndim == 4:  # the first convolution
                weights[0], blue_first = weights[0][:, :, ::-1], False
            copy.set_weights(weights)
    inputs = keras.Input(body.input_shape[1:], name="stretched", dtype="float32")
    scale = keras.layers.Rescaling(
        float((above - mean).mean()), float(mean.mean()), dtype="float32", name="imagenet_units"
    )
    pooled = keras.layers.GlobalAveragePooling2D(dtype="float32", name="gap")(plain(scale(inputs)))
    return keras.Model(inputs, pooled, name=NETWORK)


def _reads_blue_first(prepare: Callable[[Any], Any]) -> bool:
    """Return True if a network reads blue, green and red, as those that were converted from Caffe do."""
    black = np.zeros((1, 1, 1, 3), np.float32)
    red = black + np.array([1, 0, 0], np.float32)
    return bool(np.ravel(prepare(red.copy()) - prepare(black.copy()))[2] != 0)


@dataclass(frozen=True)
class Bands:
    """Bands of the parent (None if not known) and of the child, and how the first convolution is adapted."""

    old: tuple[str, ...] | None
    new: tuple[str, ...]
    how: str | None = None


def started(
    parent: Parent,
    image_shape: tuple[int, int, int],
    n_outputs: int,
    bands: Bands,
    *,
    head: bool,
    seed: int = 0,
) -> tuple[keras.Model, str]:
    """Return an untrained network with the weights of a parent.

    Parameters
    ----------
    parent : Parent
        Network to start from; it is not changed.
    image_shape : tuple of int
        Shape of the images, (ny, nx, n_bands).
    n_outputs : int
        Number of logits.
    bands : Bands
        Bands, and how the first convolution is adapted to them.
    head : bool
        If True, the layer of the logits keeps the weights of the parent; else they are new.
    seed : int
        Seed of new weights.

    Returns
    -------
    network : keras.Model
        Network that ends in the layer ``logits``.
    told : str
        What was done with the bands.
    """
    whole = parent.network(image_shape)
    ends_in_logits = whole.layers[-1].name == LOGITS
    body = keras.Model(whole.inputs[0], whole.layers[-1].input if ends_in_logits else whole.outputs[0])
    inputs = keras.Input(image_shape, name="stretched", dtype="float32")
    twin = keras.models.clone_model(body, input_tensors=inputs)
    old, told = body.input_shape[-1], "those of the parent"
    how = bands.how or _band_change(bands, old)
    adapted = bands.how is None and bands.old == bands.new
    for weight, mine in zip(body.weights, twin.weights, strict=True):
        values = keras.ops.convert_to_numpy(weight)
        if not adapted and values.ndim == 4 and values.shape[2] == old:
            adapted = True
            values = adapted_kernel(values, bands.old, bands.new, how, seed=seed)
            told = _BAND_WORDS[how].format(old=old, new=image_shape[-1])
        if values.shape != mine.shape:
            raise ValueError(
                message(
                    f"a network that begins with a convolution, to be adapted to {len(bands.new)} bands",
                    "Use the bands of the parent.",
                    weight=weight.path,
                    shape=values.shape,
                    bands=bands.new,
                )
            )
        mine.assign(values)
    refresh(twin)
    seeded = keras.initializers.GlorotUniform(seed=seeding.integer(seed, "initializer", LOGITS))
    last = keras.layers.Dense(n_outputs, dtype="float32", name=LOGITS, kernel_initializer=seeded)
    network = keras.Model(inputs, last(twin.outputs[0]), name=NETWORK)
    if head:
        last.set_weights(whole.layers[-1].get_weights())
    return network, told


def _band_change(bands: Bands, n_old: int) -> str:
    """Return how the first convolution is adapted if it is not said: by name, in order, or by the mean."""
    if bands.old is not None and set(bands.old) == set(bands.new):
        return "copy"
    return "order" if n_old == len(bands.new) else "average"


_BAND_WORDS: Mapping[str, str] = {
    "order": "the first convolution is kept, bands in their order",
    "average": "each band has the mean kernel of the parent's {old} bands, times {old} / {new}",
    "copy": "bands of the parent keep their kernels, others have their mean, all times {old} / {new}",
    "new": "the kernels of the first convolution are new",
}


def adapted_kernel(
    kernel: npt.NDArray[np.floating[Any]],
    old: Sequence[str] | None,
    new: Sequence[str],
    how: str,
    *,
    seed: int = 0,
) -> npt.NDArray[np.floating[Any]]:
    """Return the kernel (ky, kx, n_bands, n_filters) of a first convolution for other bands."""
    n_old, n_new = kernel.shape[2], len(new)
    if how == "order":
        if n_old != n_new:
            raise ValueError(
                message(
                    f"{n_old} bands, to keep their order", "Choose start.bands=average.", bands=tuple(new)
                )
            )
        return kernel
    if how == "new":
        drawn = keras.initializers.HeNormal(seed=seeding.integer(seed, "initializer", "bands"))
        return np.asarray(keras.ops.convert_to_numpy(drawn((*kernel.shape[:2], n_new, kernel.shape[3]))))
    mean = kernel.mean(axis=2)
    if how == "copy" and old is None:
        raise ValueError(
            message("a parent whose bands are known, to copy by name", "Choose start.bands=average.", how=how)
        )
    names = list(old or ()) if how == "copy" else []
    kernels = [kernel[:, :, names.index(band)] if band in names else mean for band in new]
    return np.asarray(np.stack(kernels, axis=2) * kernel.dtype.type(n_old / n_new))
