"""Forward pass that records the output of every network layer, including those of nested models.

The user's layers are called without cloning them or adding nodes to their graph. Functions are
compiled once for each network and purpose, and released with the network.
"""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from galcnn._runtime.progress import parts
from galcnn.errors import message
from galcnn.model.graph import functional, is_functional, network_layers, unused

#: Number of images per call.
_BATCH = 64
#: Pixels per batch: 64 images of 64 x 64. Larger batches take more memory and are not faster on a CPU.
_PIXELS = 2**18

# The functions hold weak references: a strong one would keep the network, which is the key, alive.
_COMPILED: weakref.WeakKeyDictionary[Any, dict[Hashable, Callable[..., Any]]] = weakref.WeakKeyDictionary()


def forward(network: keras.Model, images: Any, *, training: bool = False) -> tuple[Any, dict[str, Any]]:
    """Run a network and return its output and the outputs of its network layers by name."""
    network_layers(network)  # raises if the network cannot be run layer by layer
    recorder = _Recorder(training)
    return recorder.run(network, images, ""), recorder.seen


def upright(values: Any, images: Any) -> Any:
    """Select the outputs for the original images from a layer that sees several orientations."""
    return values[: images.shape[0] if images.shape[0] is not None else tf.shape(images)[0]]


def outputs(network: keras.Model, images: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return the outputs of a network for all images, by plain calls, independent of the explanations."""
    # Called, since Keras' predict compiles a function for every model.
    found = [
        keras.ops.convert_to_numpy(network(images[start : start + _BATCH], training=False))
        for start in range(0, len(images), _BATCH)
    ]
    whole = np.concatenate(found)
    return whole.astype(np.result_type(whole, np.float32), copy=False)


class _Recorder:
    def __init__(self, training: bool = False) -> None:
        self.training = training
        self.seen: dict[str, Any] = {}

    def run(self, model: keras.Model, inputs: Any, prefix: str) -> Any:
        def call(operation: Any, *args: Any, **kwargs: Any) -> Any:
            name = unused(f"{prefix}{operation.name}", self.seen)
            if is_functional(operation):
                output = self.run(operation, args[0], f"{name}/")
            elif "training" in getattr(operation, "_call_context_args", {}):
                output = operation(*args, **(kwargs | {"training": self.training}))
            else:
                output = operation(*args, **kwargs)
            if keras.ops.is_tensor(output):  # several outputs cannot be shown as one array
                self.seen[name] = output
            return output

        return run_through(model, inputs, call)


def run_through(model: keras.Model, inputs: Any, call: Callable[..., Any]) -> Any:
    """Run a functional model; `call` gets each layer or operation, and the arguments it is called with."""
    graph = functional(model)
    outputs = graph._run_through_graph(
        graph._standardize_inputs(inputs), operation_fn=lambda operation: functools.partial(call, operation)
    )
    return outputs[0] if isinstance(outputs, list | tuple) and len(outputs) == 1 else outputs


def compiled(
    network: keras.Model,
    question: Hashable,
    build: Callable[[Callable[[], keras.Model]], Callable[..., Any]],
    arguments: Sequence[npt.NDArray[Any]],
) -> Callable[..., Any]:
    """Return a compiled function of a network, traced on first use and cached as long as the network exists.

    `build` is called with a function that returns the network, and must not keep a reference to the
    network itself. `question` is the key of the cache: it must contain everything that changes the
    graph, except for the shapes of the arguments. `arguments` are examples, of any length along their
    first axis.
    """
    shapes = tuple(argument.shape[1:] for argument in arguments)
    functions = _COMPILED.setdefault(network, {})
    if (question, shapes) not in functions:
        floats = working_dtype(network)
        functions[question, shapes] = tf.function(
            # TensorFlow counts traces by code object and would warn of "retracing" when the same function
            # is compiled for several networks or layers; a partial has no code object.
            functools.partial(build(weakref.ref(network))),
            input_signature=[
                tf.TensorSpec((None, *shape), argument.dtype if argument.dtype.kind == "i" else floats)
                for shape, argument in zip(shapes, arguments, strict=True)
            ],
            autograph=False,  # it would hide errors raised while tracing in long messages
        )
    return functions[question, shapes]


def run_in_batches(
    run: Callable[..., Sequence[Any]], *arrays: npt.NDArray[Any]
) -> tuple[npt.NDArray[np.floating[Any]], ...]:
    """Run a compiled function in batches and concatenate its outputs."""
    size = images_per_batch(arrays[0].shape[1:])
    pieces = []
    with parts("batches", -(-len(arrays[0]) // size)) as step:
        for piece in batches(len(arrays[0]), size):
            outputs = run(*(array[piece] for array in arrays))
            pieces.append(tuple(output.numpy() for output in outputs))
            step()
    if len(pieces) == 1:
        return pieces[0]
    return tuple(np.concatenate(column) for column in zip(*pieces, strict=True))


def batches(n: int, size: int) -> Iterator[slice]:
    """Iterate over slices of at most `size` items."""
    for start in range(0, n, size):
        yield slice(start, min(start + size, n))


def images_per_batch(image_shape: Sequence[int]) -> int:
    """Return the number of images per batch, which is smaller for larger images."""
    return max(1, _PIXELS // (image_shape[0] * image_shape[1]))


def working_dtype(network: keras.Model) -> type[np.floating[Any]]:
    """Return the dtype of images and maps: float64 for a float64 network, else float32."""
    inputs = getattr(network, "inputs", None)
    double = (inputs[0].dtype if inputs else network.compute_dtype) == "float64"
    return np.float64 if double else np.float32


def check_images(network: keras.Model, images: npt.NDArray[np.floating[Any]]) -> None:
    """Raise if the images do not have the input shape of the network, or it reads more than images."""
    inputs = getattr(network, "inputs", None) or ()
    if len(inputs) > 1:
        raise ValueError(
            message(
                "a network with one input, the image",
                "Make a keras.Model of the image alone, with the others fixed.",
                inputs=[one.name for one in inputs],
            )
        )
    if (layer := _channels_first(network)) is not None:
        raise ValueError(
            message(
                "a network that reads channels last, images of shape (n, ny, nx, n_bands)",
                "Bring it into this form: galcnn.model.import_model, or galcnn import.",
                layer=layer,
                data_format="channels_first",
            )
        )
    expected = getattr(network, "input_shape", None)
    fits = images.ndim == 4 and len(images) > 0
    if fits and isinstance(expected, tuple):
        fits = all(e in (None, s) for e, s in zip(expected[1:], images.shape[1:], strict=True))
    if not fits:
        raise ValueError(
            message(
                "at least one image, of shape (n, ny, nx, n_bands), that fits the network",
                "",
                shape=images.shape,
                network_input=expected,
            )
        )


def _channels_first(network: keras.Model) -> str | None:
    """Return a layer that reads channels first, of a network that does not move the axes before; or None."""
    layers = list(network._flatten_layers(include_self=False))
    steps = {type(step).__name__ for step in [*layers, *getattr(network, "operations", ())]}
    if steps & {"Moveaxis", "Permute", "Transpose"}:
        return None
    windowed = (layer for layer in layers if not isinstance(layer, keras.layers.Flatten))
    found = (layer.name for layer in windowed if getattr(layer, "data_format", None) == "channels_first")
    return next(found, None)
