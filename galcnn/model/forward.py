"""A network run once, with every network layer's output at hand, nested models included.

The pass goes through the user's own layers and leaves no trace in them: nothing is cloned, no
node is added to their graph. Functions are compiled once for each network and question, and are
released with the network.
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

#: Images that are called at once.
_BATCH = 64
#: Pixels of a batch: 64 images of 64 x 64. More is not faster on a CPU, and takes memory in proportion.
_PIXELS = 2**18

# The functions close over a weak reference: one that held its network would keep the key alive.
_COMPILED: weakref.WeakKeyDictionary[Any, dict[Hashable, Callable[..., Any]]] = weakref.WeakKeyDictionary()


def forward(network: keras.Model, images: Any, *, training: bool = False) -> tuple[Any, dict[str, Any]]:
    """Run a network and keep what each network layer gives.

    Parameters
    ----------
    network : keras.Model
        Functional or sequential, with one input and one output.
    images : tensor
        Shape (n, ny, nx, n_bands).
    training : bool
        Whether batches are normalised by themselves and dropout draws; in inference mode nothing
        in the network changes.

    Returns
    -------
    output : tensor
        Of the network.
    seen : dict of str to tensor
        By name, in the order of the pass; see `galcnn.model.network_layers`.

    Raises
    ------
    ValueError
        The network keeps its graph to itself.
    """
    network_layers(network)  # refuses what cannot be run
    recorder = _Recorder(training)
    return recorder.run(network, images, ""), recorder.seen


def upright(values: Any, images: Any) -> Any:
    """Keep what belongs to the images as they stand, in a layer that sees them in several orientations.

    Parameters
    ----------
    values : tensor
        What a layer gives, or its gradient: one row an image, or more where
        `galcnn.model.orientations.Orientations` lies before it, the images as they stand first.
    images : tensor
        Shape (n, ny, nx, n_bands).

    Returns
    -------
    tensor
        The first n rows.
    """
    return values[: images.shape[0] if images.shape[0] is not None else tf.shape(images)[0]]


def outputs(network: keras.Model, images: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Call a network as any user would, by no way that an explanation takes.

    Parameters
    ----------
    network : keras.Model
        Any; in inference mode.
    images : numpy.ndarray
        Shape (n, ny, nx, n_bands).

    Returns
    -------
    numpy.ndarray
        Shape (n, ...), of the model's precision, at least float32.
    """
    # Called, not predicted: Keras' predict compiles a function for every model it is used on.
    found = [
        keras.ops.convert_to_numpy(network(images[start : start + _BATCH], training=False))
        for start in range(0, len(images), _BATCH)
    ]
    whole = np.concatenate(found)
    return whole.astype(np.result_type(whole, np.float32), copy=False)


def traced(
    network: keras.Model,
    question: Hashable,
    build: Callable[[Callable[[], keras.Model]], Callable[..., Any]],
    *,
    signature: Sequence[tf.TensorSpec],
) -> Callable[..., Any]:
    """Compile a function of a network once, and keep it for as long as the network lives.

    Parameters
    ----------
    network : keras.Model
        The key; held weakly.
    question : hashable
        What is computed: one function for each.
    build : callable
        Gives the function, from a weak reference to the network.
    signature : sequence of tf.TensorSpec
        Of the function's arguments: with None for the batch, so that one trace serves all.

    Returns
    -------
    callable
        A `tf.function`.
    """
    functions = _COMPILED.setdefault(network, {})
    if question not in functions:
        # Without autograph, which would wrap what a trace refuses into pages of its own.
        functions[question] = tf.function(
            # A partial has no code of its own: TensorFlow counts traces by code, and would warn of
            # "retracing" when several networks or layers are asked the same question.
            functools.partial(build(weakref.ref(network))),
            input_signature=list(signature),
            autograph=False,
        )
    return functions[question]


class _Recorder:
    def __init__(self, training: bool = False) -> None:
        self.training = training
        self.seen: dict[str, Any] = {}

    def run(self, model: keras.Model, inputs: Any, prefix: str) -> Any:
        graph = functional(model)

        def step(operation: Any) -> Callable[..., Any]:
            def call(*args: Any, **kwargs: Any) -> Any:
                name = unused(f"{prefix}{operation.name}", self.seen)
                if is_functional(operation):
                    output = self.run(operation, args[0], f"{name}/")
                elif "training" in getattr(operation, "_call_context_args", {}):
                    output = operation(*args, **(kwargs | {"training": self.training}))
                else:
                    output = operation(*args, **kwargs)
                if keras.ops.is_tensor(output):  # of several outputs there is no one array to show
                    self.seen[name] = output
                return output

            return call

        outputs = graph._run_through_graph(graph._standardize_inputs(inputs), operation_fn=step)
        return outputs[0] if isinstance(outputs, list | tuple) and len(outputs) == 1 else outputs


def compiled(
    network: keras.Model,
    key: Hashable,
    build: Callable[[Callable[[], keras.Model]], Callable[..., Any]],
    arguments: Sequence[npt.NDArray[Any]],
) -> Callable[..., Any]:
    """Give a function of a network as one graph, traced when it is first needed.

    Parameters
    ----------
    network : keras.Model
        The function is released with it, see `galcnn.model.forward.compiled`.
    key : hashable
        Names the function; whatever changes the graph, beside the shape of the arguments, belongs
        into it.
    build : callable
        Takes a function that gives the network, and returns what is to be traced. It must not
        hold the network itself.
    arguments : sequence of numpy.ndarray
        Like those it will be run on; the lengths of their first axes are left open. Floats are
        run in the `working_dtype` of the network.

    Returns
    -------
    callable
        Takes NumPy arrays.
    """
    shapes = tuple(argument.shape[1:] for argument in arguments)
    floats = working_dtype(network)
    signature = [
        tf.TensorSpec((None, *shape), argument.dtype if argument.dtype.kind == "i" else floats)
        for shape, argument in zip(shapes, arguments, strict=True)
    ]
    return traced(network, (key, shapes), build, signature=signature)


def run_in_batches(
    run: Callable[..., tuple[Any, ...]], *arrays: npt.NDArray[Any]
) -> tuple[npt.NDArray[np.floating[Any]], ...]:
    """Run a compiled function on many images.

    Parameters
    ----------
    run : callable
        From `compiled`; returns a tuple of tensors, one row an image.
    *arrays : numpy.ndarray
        The images, and what goes with each.

    Returns
    -------
    tuple of numpy.ndarray
        One row an image.
    """
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
    """Cut a number of things into pieces.

    Parameters
    ----------
    n : int
        Of the things.
    size : int
        Of a piece; the last may be smaller.

    Yields
    ------
    slice
        In order.
    """
    for start in range(0, n, size):
        yield slice(start, min(start + size, n))


def images_per_batch(image_shape: Sequence[int]) -> int:
    """Give the number of images that are run together, fewer when they are large.

    Parameters
    ----------
    image_shape : sequence of int
        (ny, nx, n_bands).

    Returns
    -------
    int
        At least one.
    """
    return max(1, _PIXELS // (image_shape[0] * image_shape[1]))


def working_dtype(network: keras.Model) -> type[np.floating[Any]]:
    """Give the precision in which maps are made.

    Parameters
    ----------
    network : keras.Model
        Any.

    Returns
    -------
    type
        numpy.float64 for a network in double precision, numpy.float32 for all others: half
        precision is an affair of the layers inside.
    """
    inputs = getattr(network, "inputs", None)
    double = (inputs[0].dtype if inputs else network.compute_dtype) == "float64"
    return np.float64 if double else np.float32


def check_images(network: keras.Model, images: npt.NDArray[np.floating[Any]]) -> None:
    """Refuse images that a network cannot read.

    Parameters
    ----------
    network : keras.Model
        Any.
    images : numpy.ndarray
        Shape (n, ny, nx, n_bands).

    Raises
    ------
    ValueError
        None given, or of another shape.
    """
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
