"""Does an explainer do all that galcnn relies on?"""

from __future__ import annotations

import dataclasses
import gc
import pickle
import weakref
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from galcnn.explain.explanation import KINDS, AtNetworkLayer, Context, Explainer, FromBaseline
from galcnn.explain.target import Target

__all__ = ["check_explainer"]

_BANDS = 2
_SIDES = (16, 20)
_TARGET = Target("third less first", (-1.0, 0.0, 1.0))


def check_explainer(explainer: Explainer, *, symmetric: bool = True) -> None:
    """Check that a method keeps the contract of `galcnn.explain.Explainer`.

    For the tests of a plugin. The method explains small networks of the usual build: convolutions,
    batch normalisation, ReLU, max-pooling, global average, Dense. Checked are: name, kind and
    settings; shape, precision and sign of the maps; that they follow the target; that neither
    batch nor order changes them; a target for each image; nested and flat networks; that images
    and network come out as they went in and the network can be freed; that a softmax is refused;
    and the baseline and the network layer of methods that have one.

    Parameters
    ----------
    explainer : Explainer
        With its settings; its random numbers, if any, are keyed by the ids of the context.
    symmetric : bool
        Whether twice the target gives twice the map. An image that is made, or a map that is
        scaled, may be otherwise.

    Raises
    ------
    AssertionError
        The text lists everything that is wrong.

    Examples
    --------
    >>> from galcnn.explain import Saliency
    >>> check_explainer(Saliency())
    """
    faults = list(_description(explainer))
    if not faults:
        network, images, context = _network(), _images(), _context()
        maps = _as_array(explainer(network, images, _TARGET, context=context))
        faults += _maps(explainer, maps, images)
    if not faults:  # the rest compares maps, which must be right
        faults += _targets(explainer, maps, symmetric)
        faults += _batches(explainer, maps)
        faults += _left_alone(explainer)
        faults += _extras(explainer, maps)
    if faults:
        shown = "".join(f"\n- {fault}" for fault in faults)
        raise AssertionError(f"{type(explainer).__name__} is not what an explainer must be:{shown}")


def _description(explainer: Explainer) -> Iterator[str]:
    name = getattr(explainer, "name", None)
    if not isinstance(name, str) or not name:
        yield f"name is {name!r}, not a text"
    if getattr(explainer, "kind", None) not in KINDS:
        yield f"kind is {getattr(explainer, 'kind', None)!r}, not one of {KINDS}"
    if not isinstance(getattr(explainer, "per_band", None), bool):
        yield f"per_band is {getattr(explainer, 'per_band', None)!r}, not True or False"
    if not dataclasses.is_dataclass(explainer):
        yield "it is not a dataclass: its settings would not be recorded"
    else:
        try:
            if pickle.loads(pickle.dumps(explainer)) != explainer:
                yield "it does not come back from pickle as it was: workers could not use it"
        except (AttributeError, TypeError, pickle.PicklingError) as error:
            yield f"it cannot be sent to another process: {error}"
    try:
        type(explainer)()
    except TypeError as error:
        yield f"it cannot be made without settings, as the command line does: {error}"


def _maps(explainer: Explainer, maps: npt.NDArray[Any], images: npt.NDArray[Any]) -> Iterator[str]:
    if maps.shape != images.shape or maps.dtype != np.float32:
        yield f"maps are {maps.dtype} of {maps.shape}, not float32 of the images' {images.shape}"
        return
    if not np.all(np.isfinite(maps)):
        yield "maps are not finite everywhere, though the network looks at every pixel"
    if not np.any(maps):
        yield "maps are zero everywhere"
    if not explainer.per_band and np.any(maps != maps[..., :1]):
        yield "per_band is False, and yet the bands differ"
    if explainer.per_band and np.array_equal(maps, np.broadcast_to(maps[..., :1], maps.shape)):
        yield "per_band is True, and yet all bands are the same"


def _targets(explainer: Explainer, maps: npt.NDArray[Any], symmetric: bool) -> Iterator[str]:
    network, images, context = _network(), _images(), _context()
    other = Target("second", (0.0, 1.0, 0.0))
    mixed = _as_array(explainer(network, images, [_TARGET, other, _TARGET, other], context=context))
    alone = _as_array(explainer(network, images, other, context=context))
    if not _same(mixed[::2], maps[::2]) or not _same(mixed[1::2], alone[1::2]):
        yield "a target for each image gives other maps than each target for all"
    if _same(alone, maps):
        yield "another target has the same map"
    doubled = Target("doubled", tuple(2 * weight for weight in _TARGET.weights))
    if symmetric and not _same(_as_array(explainer(network, images, doubled, context=context)), 2 * maps):
        yield "twice the target is not twice the map"
    try:
        explainer(network, images, Target("short", (1.0, -1.0)), context=context)
        yield "a target with a weight too few is not refused"
    except ValueError:
        pass


def _batches(explainer: Explainer, maps: npt.NDArray[Any]) -> Iterator[str]:
    network, images, context = _network(), _images(), _context()
    if not _same(_as_array(explainer(network, images, _TARGET, context=context)), maps):
        yield "the same question has another answer the second time"
    turned = explainer(network, images[::-1], _TARGET, context=_context(slice(None, None, -1)))
    if not _same(_as_array(turned)[::-1], maps):
        yield "the order of the images changes the maps: key random numbers by context.ids"
    single = explainer(network, images[1:2], _TARGET, context=_context(slice(1, 2)))
    if not _same(_as_array(single), maps[1:2]):
        yield "an image by itself has another map than in a batch"
    inputs = keras.Input(images.shape[1:])
    nested = keras.Model(inputs, network(keras.layers.Identity()(inputs)))
    if not _same(_as_array(explainer(nested, images, _TARGET, context=context)), maps):
        yield "a network inside a model has another map than by itself"


def _left_alone(explainer: Explainer) -> Iterator[str]:
    network, images = _network(), _images()
    before, kept = [np.asarray(v).tobytes() for v in network.variables], images.copy()
    nodes = [len(layer._inbound_nodes) for layer in network.layers]
    flags = [(layer.trainable, getattr(layer, "activation", None)) for layer in network.layers]
    images.flags.writeable = False
    explainer(network, images, _TARGET, context=_context())
    if before != [np.asarray(v).tobytes() for v in network.variables]:
        yield "the weights of the network change"
    if flags != [(layer.trainable, getattr(layer, "activation", None)) for layer in network.layers]:
        yield "activations or trainable flags of the network change"
    if nodes != [len(layer._inbound_nodes) for layer in network.layers]:
        yield "the network's layers are called again, which adds nodes to the user's graph"
    if not np.array_equal(images, kept):
        yield "the images are written to"
    gone = weakref.ref(network)
    del network
    gc.collect()
    if gone() is not None:
        yield "a dropped network is not freed: hold networks weakly"
    soft = _network()
    squashed = keras.Model(soft.input, keras.layers.Softmax()(soft.output))
    try:
        explainer(squashed, images, _TARGET, context=_context())
        yield "a softmax at the end is not refused"
    except ValueError:
        pass


def _extras(explainer: Explainer, maps: npt.NDArray[Any]) -> Iterator[str]:
    network, images, context = _network(), _images(), _context()
    if isinstance(explainer, FromBaseline):
        start = explainer.baseline_images(images, context=context)
        if start.shape != images.shape:
            yield f"baseline images are of {start.shape}, not of the images' {images.shape}"
        else:
            scores = [np.asarray(network(x, training=False)) @ _TARGET.weights for x in (images, start)]
            error = np.abs(maps.sum((1, 2, 3)) - (scores[0] - scores[1])).max()
            if error > 0.1 * np.abs(scores[0] - scores[1]).max():
                yield f"the sum of a map is not the score less that of the baseline: off by {error:.3g}"
    if isinstance(explainer, AtNetworkLayer) and not explainer.network_layer_of(network):
        yield "network_layer_of names no layer"


def _network() -> keras.Model:
    """The same small network each time."""
    inputs = keras.Input((*_SIDES, _BANDS))
    x = keras.layers.Conv2D(6, 3, padding="same")(inputs)
    x = keras.layers.ReLU()(keras.layers.BatchNormalization()(x))
    x = keras.layers.MaxPooling2D(2)(x)
    x = keras.layers.Conv2D(8, 3, padding="same", activation="relu")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    network = keras.Model(inputs, keras.layers.Dense(3)(x))
    rng = np.random.default_rng(11)
    for variable in network.weights:
        values = rng.normal(0, 0.4, variable.shape)
        variable.assign(np.abs(values) + 0.5 if "variance" in variable.name else values)
    return network


def _images() -> npt.NDArray[np.float32]:
    return np.random.default_rng(7).normal(size=(4, *_SIDES, _BANDS)).astype(np.float32)


def _context(rows: slice = slice(None)) -> Context:
    shape = (4, *_SIDES, _BANDS)
    return Context(
        sigma=np.full(shape, 0.5, dtype=np.float32)[rows],
        mask=np.zeros(shape, dtype=bool)[rows],
        ids=tuple("abcd"[rows]),
        zero=np.zeros(shape[1:], dtype=np.float32),
    )


def _as_array(maps: Any) -> npt.NDArray[Any]:
    return np.asarray(maps)


def _same(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> bool:
    return a.shape == b.shape and bool(np.allclose(a, b, rtol=1e-3, atol=1e-4 * float(np.abs(b).max())))
