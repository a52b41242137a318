"""A Keras network of any origin as a model of galcnn: `import_model`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import astropy.units as u
import keras
import numpy as np
import tensorflow as tf

from galcnn._runtime import atomic, seeding
from galcnn._runtime.version import __version__
from galcnn.errors import message, wrong_type
from galcnn.model.build import LOGITS, NETWORK, assemble
from galcnn.model.bundle import NETWORK_FILES, TrainedModel, read_network
from galcnn.model.card import Card
from galcnn.model.contents import check_registered
from galcnn.model.forward import outputs
from galcnn.model.graph import producer
from galcnn.model.inputs import InputSpec, check_render
from galcnn.model.logits import ending_in_logits
from galcnn.model.preprocessing.fitting import linear_scaling
from galcnn.model.profile import cost_of
from galcnn.model.unfolding import unfolded
from galcnn.photometry import DISPLAY, parse_unit

#: Number of test images, and the largest difference of the answers, relative to the largest logit or 1.
_CHECKED, TOLERANCE = 4, 1e-4

#: Bands of pictures, as the files of pictures have them, by the words for them.
_COLOURS = {"red": "R", "green": "G", "blue": "B"}


def import_model(
    source: keras.Model | str | os.PathLike[str],
    *,
    classes: Sequence[str],
    bands: Sequence[str],
    unit: str | None = None,
    pixel_scale: float | None = None,
    scale: float = 1.0,
    size: int | None = None,
    render: str | None = None,
) -> TrainedModel:
    """Make a model of galcnn from a Keras network of any origin.

    The layers are copied, with their weights, into one functional network that reads channels last and ends
    in logits: nested and subclassed models are unfolded, integer inputs become float32, and a softmax, or
    the sigmoid of two classes, is left out. The answers of the copy are compared with those of the original.

    Parameters
    ----------
    source : keras.Model or path-like
        Network, or its file: ``.keras``, ``.h5`` or ``.hdf5``. It is not changed. No code of a file is run;
        classes of its own must be registered in this process, see `keras.saving.register_keras_serializable`.
    classes : sequence of str
        Classes in the order of the network's outputs. Of two classes with a single output, the second is
        that of the outputs near 1.
    bands : sequence of str
        Bands in the order of the channels. Those of pictures (`unit` is ``display``) are R, G and B,
        as in their files; ``red``, ``green`` and ``blue`` mean these.
    unit : str, optional
        Unit of the images on which the network was trained, before the division by `scale`: ``display``
        (pictures of 0 to 255), ``nJy``, ``nanomaggy`` or another unit of astropy. Units of flux density are
        converted to nJy, by a factor in the preprocessing. By default ``display`` if the network reads
        integers or `render` is given, else ``nJy``.
    pixel_scale : float, optional
        Pixel scale of the images in arcsec; images of another scale are then resampled or refused.
    scale : float
        Number by which the images are divided before they enter the network, such as 255.
    size : int, optional
        Side of the images in pixels, for a network that accepts any size.
    render : str, optional
        Step of `galcnn.transforms` that converts calibrated cutouts to the pictures that the network reads.

    Returns
    -------
    TrainedModel
        Model, to be saved by `save_model`. Its card has the hash of the file, and in its notes what was
        changed. Priors and scores are not known.

    Raises
    ------
    TypeError, OSError
        If `source` is neither a Keras model nor an existing file.
    ValueError
        If the file is refused (see `load_model`), the network has several inputs or outputs, or does not fit
        `bands`, `classes` or `size`, a layer cannot be copied, or the answers of the copy differ.

    Examples
    --------
    >>> import keras
    >>> layers = [keras.layers.Flatten(), keras.layers.Dense(2, activation="softmax")]
    >>> network = keras.Sequential([keras.Input((8, 8, 1)), *layers])
    >>> trained = import_model(network, classes=("round", "thin"), bands=("r",))
    >>> trained.card.inputs.unit, trained.network.layers[-1].name
    ('nJy', 'logits')
    """
    original, told = _original(source)
    bands, classes = _names(bands, "bands"), _names(classes, "classes")
    if not 0 < scale < np.inf:
        raise ValueError(message("a positive number to divide the images by", "", scale=scale))
    layout = _layout(original, len(bands), size)
    unit = unit or (DISPLAY.name if render is not None or not _is_float(layout.dtype) else "nJy")
    unit, factor = _in_nanojansky(unit)
    if unit == DISPLAY.name:
        bands = tuple(_COLOURS.get(band.lower(), band) for band in bands)
    if render is not None:
        check_render(render, unit)
    spec = InputSpec(bands, unit, layout.shape, pixel_scale, render)
    divisor = scale * factor
    divided = () if divisor == 1 else (f"images in {unit} are divided by {divisor:g}",)
    network, notes = _ending_in_logits(
        unfolded(original, spec.image_shape, channels_first=layout.first), classes
    )
    check_registered(network)
    _compare(original, network, layout, scale=255 / scale if unit == DISPLAY.name else 1.0)
    name = source.name if isinstance(source, keras.Model) else Path(source).name
    model = assemble(linear_scaling(spec.image_shape, 0.0, divisor), network)
    card = Card(
        classes,
        spec,
        data={"imported": {"network": name, **told}},
        notes=(f"imported from {name}", *divided, *layout.notes, *notes),
        cost=cost_of(network, pixel_scale),
        versions={"galcnn": __version__, "keras": keras.__version__},
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    return TrainedModel(model, card)


@dataclass(frozen=True)
class _Layout:
    """Images of a network: shape (ny, nx), type, and whether channels are `first` or have no axis."""

    shape: tuple[int, int]
    first: bool
    bare: bool
    dtype: str

    @property
    def notes(self) -> tuple[str, ...]:
        said = {
            "the network read channels first; this copy reads channels last": self.first,
            f"the network read {self.dtype}; this copy reads float32 without rounding": not _is_float(
                self.dtype
            ),
        }
        return tuple(text for text, holds in said.items() if holds)

    def images(self, images: Any) -> Any:
        """Convert images, (n, ny, nx, n_bands), to those of the original network."""
        images = images[..., 0] if self.bare else np.moveaxis(images, -1, 1) if self.first else images
        return images.astype(self.dtype)


def _is_float(dtype: str) -> bool:
    return "float" in dtype


def _original(source: Any) -> tuple[keras.Model, dict[str, str]]:
    """Return a network, and the hash of its file."""
    if isinstance(source, keras.Model):
        return source, {}
    if not isinstance(source, str | os.PathLike):
        raise wrong_type("a keras.Model or the path of its file", source=source)
    path = Path(source)
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder; give the file of a network, .keras or .h5.")
    if not path.is_file():
        raise FileNotFoundError(f"File not found: {path}.")
    if path.suffix.lower() not in NETWORK_FILES:
        raise ValueError(
            message(
                f"the file of a Keras network, {' or '.join(NETWORK_FILES)}",
                "Save it by model.save('network.keras').",
                source=str(path),
            )
        )
    return read_network(path), {"sha256": atomic.file_sha256(path)}


def _names(names: Sequence[str], what: str) -> tuple[str, ...]:
    if isinstance(names, str) or not all(isinstance(one, str) and one for one in names):
        raise ValueError(message(f"{what} as a sequence of names", "", **{what: names}))
    if len(set(names)) != len(names):
        raise ValueError(message(f"{what} that differ", "", **{what: tuple(names)}))
    return tuple(names)


def _layout(network: keras.Model, n_bands: int, size: int | None) -> _Layout:
    shape, dtype = _input_shape(network)
    if shape is None:
        if size is None:
            raise ValueError(
                message("the size of the images", "The network does not state it: --size.", size=size)
            )
        shape = (size, size, n_bands)
        network.build((None, *shape))
    sides = {3: (shape[:2], shape[2:]), 2: (shape, (1,))}.get(len(shape), ((), ()))
    first = len(shape) == 3 and shape[2] != n_bands and shape[0] == n_bands
    if first:
        sides = shape[1:], shape[:1]
    if sides[1] not in ((n_bands,), (None,)):
        raise ValueError(
            message(
                f"a network that reads images of {n_bands} bands, (ny, nx, {n_bands}) or ({n_bands}, ny, nx)",
                "Name as many bands as it reads.",
                input_shape=shape,
            )
        )
    if None in sides[0] and size is None:
        raise ValueError(
            message("the size of the images", "The network accepts any: --size.", input_shape=shape)
        )
    y, x = (size if side is None else side for side in sides[0])
    assert y is not None
    assert x is not None
    if size is not None and (y, x) != (size, size):
        raise ValueError(
            message(f"the size of the network, {y} x {x} pixels", "Leave out --size.", size=size)
        )
    return _Layout((y, x), first, len(shape) == 2, dtype)


def _input_shape(network: keras.Model) -> tuple[tuple[int | None, ...] | None, str]:
    """Return shape and type of an image; None for a network that was never built."""
    inputs, outputs_ = getattr(network, "inputs", None), getattr(network, "outputs", None)
    for what, tensors in (("input", inputs), ("output", outputs_)):
        if tensors and len(tensors) != 1:
            raise ValueError(
                message(
                    f"a network of one {what}",
                    "Build one of a single input and output: keras.Model(inputs, outputs).",
                    **{f"{what}s": [tensor.name for tensor in tensors]},
                )
            )
    if inputs:
        return tuple(inputs[0].shape[1:]), inputs[0].dtype
    stated = (network.get_build_config() or {}).get("input_shape")
    return (None if stated is None else tuple(stated[1:])), "float32"


def _in_nanojansky(unit: str) -> tuple[str, float]:
    """Return the unit of the images that galcnn gives to the network, and how many of it the unit is."""
    parsed = parse_unit(unit)
    if parsed.is_equivalent(u.nJy):
        return "nJy", float(parsed.to(u.nJy))
    return str(parsed), 1.0


def _ending_in_logits(network: keras.Model, classes: tuple[str, ...]) -> tuple[keras.Model, list[str]]:
    """Return a network whose last layer is `LOGITS`, and what was changed for it."""
    shape, notes = network.output_shape, []
    numbers = {side for side in shape[1:] if side != 1} or {1}
    n = numbers.pop()
    if numbers or n not in (len(classes), 1 if len(classes) == 2 else len(classes)):
        raise ValueError(
            message(
                f"a network of one output for each of {len(classes)} classes",
                "Name the classes in the order of its outputs: --classes.",
                output_shape=shape,
                classes=classes,
            )
        )
    if len(shape) != 2:
        network = keras.Model(network.inputs[0], keras.layers.Flatten(name="classes")(network.outputs[0]))
    ending = ending_in_logits(network, binary=len(classes) == 2, exclusive=True)
    if n == 1 and not ending.removed:  # the logit of the second class
        sigmoid = keras.layers.Activation("sigmoid", name="probability")(network.outputs[0])
        ending = ending_in_logits(keras.Model(network.inputs[0], sigmoid), binary=True, exclusive=True)
        notes.append(
            f"the output z of the network is the logit of {classes[1]!r}: the logits are -z/2 and z/2"
        )
    elif ending.note:
        notes.append(ending.note)
    logits = ending.model.outputs[0]
    last, entering = producer(logits)
    if type(last) is keras.layers.Dense and len(entering[0].shape) == 2:
        renamed = keras.layers.Dense.from_config(last.get_config() | {"name": LOGITS})
        named = renamed(entering[0])
        renamed.set_weights(last.get_weights())
    else:
        named = keras.layers.Activation("linear", name=LOGITS, dtype="float32")(logits)
        notes.append("the last layer is not dense: the features of the network are its logits")
    return keras.Model(ending.model.inputs[0], named, name=NETWORK), notes


def _compare(original: keras.Model, network: keras.Model, layout: _Layout, *, scale: float) -> None:
    """Raise if the copy of a network answers otherwise than the original, which must answer alike twice."""
    shape = (_CHECKED, *network.input_shape[1:])
    images = np.floor(seeding.generator(0, "import").uniform(0, scale + 1, shape)).astype(np.float32)
    if scale <= 1:
        images = seeding.generator(0, "import").normal(0.5, 1, shape).astype(np.float32)
    given = layout.images(images)
    if layout.first:  # TensorFlow's convolutions on a CPU read channels first if they are compiled only
        run = tf.function(lambda x: original(x, training=False), jit_compile=True, autograph=False)
        wanted, again = (run(given).numpy().reshape(_CHECKED, -1) for _ in range(2))
    else:
        wanted, again = (outputs(original, given).reshape(_CHECKED, -1) for _ in range(2))
    found = outputs(network, images)
    if not np.isfinite(wanted).all():
        raise ValueError(
            message(
                "a network of finite outputs", "Check its weights.", outputs=wanted[0], network=original.name
            )
        )
    if not np.array_equal(wanted, again):
        raise ValueError(
            message(
                "a network that gives one answer to an image",
                "Leave out dropout in prediction (training=True), and random layers.",
                largest_difference=float(np.abs(wanted - again).max()),
            )
        )
    exponentials = np.exp(found - found.max(axis=1, keepdims=True))
    probabilities = exponentials / exponentials.sum(axis=1, keepdims=True)
    alike = [found, probabilities, probabilities[:, 1:], found[:, 1:] - found[:, :1]]
    alike.append(np.log(np.maximum(probabilities, np.finfo(np.float32).tiny)))
    allowed = TOLERANCE * max(1.0, float(np.abs(wanted).max()))
    differences = [float(np.abs(one - wanted).max()) for one in alike if one.shape == wanted.shape]
    if min(differences) > allowed:
        raise ValueError(
            message(
                f"a copy that answers as the network, within {TOLERANCE}",
                "Nothing was written; please report it, with the network.",
                largest_difference=min(differences),
            )
        )
