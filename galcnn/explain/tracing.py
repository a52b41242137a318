"""Functions of a network as graphs: traced once for each shape of images, then only run, batch by batch."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from galcnn.errors import message
from galcnn.explain import forward
from galcnn.progress import parts

__all__ = ["batches", "check_images", "compiled", "images_per_batch", "run_in_batches", "working_dtype"]

#: Pixels of a batch: 64 images of 64 x 64. More is not faster on a CPU, and takes memory in proportion.
_PIXELS = 2**18


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
        The function is released with it, see `galcnn.explain.forward.compiled`.
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
    return forward.compiled(network, (key, shapes), build, signature=signature)


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
