"""Activations of the network layers, and gradients of a target with respect to layers and weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from galcnn.errors import message
from galcnn.files.text import unique_name
from galcnn.model import Target, network_layers
from galcnn.model.forward import batches, compiled, forward, images_per_batch, run_in_batches, upright
from galcnn.model.gradients import gradients_of, logits_and_layers, logits_of, target_weights, weighted_sum
from galcnn.model.graph import network_layer

Maps = dict[str, npt.NDArray[np.float32]]


def activations(
    network: keras.Model, images: npt.NDArray[np.float32], *, layers: Sequence[str] | None = None
) -> Maps:
    """Compute the activations of network layers for images.

    Parameters
    ----------
    network : keras.Model
        Functional or sequential model; it is run in inference mode and not modified.
    images : numpy.ndarray
        Images, shape (n, ny, nx, n_bands).
    layers : sequence of str, optional
        Names of network layers, see `galcnn.model.network_layers`; all by default.

    Returns
    -------
    dict of str to numpy.ndarray
        Activations by layer name, float32, shape (n, cells_y, cells_x, channels) or (n, units).
        By default in the order of the forward pass. For layers that see several orientations of
        the images, the activations of the original orientation.

    Raises
    ------
    ValueError
        If a network layer does not exist.
    """
    known = _known(network, layers)
    names = tuple(known.values())

    def build(of: Callable[[], keras.Model]) -> Callable[..., Any]:
        def run(images: Any) -> list[Any]:
            _, seen = forward(of(), images)
            return [tf.cast(upright(seen[name], images), tf.float32) for name in names]

        return run

    run = compiled(network, ("activations", names), build, (images,))
    return dict(zip(known, run_in_batches(run, images), strict=True))


def layer_gradients(
    network: keras.Model,
    images: npt.NDArray[np.float32],
    target: Target | Sequence[Target],
    *,
    layers: Sequence[str] | None = None,
) -> Maps:
    """Compute the gradient of a target with respect to the activations of network layers.

    Parameters
    ----------
    network : keras.Model
        Functional or sequential model that ends in logits.
    images : numpy.ndarray
        Images, shape (n, ny, nx, n_bands).
    target : Target or sequence of Target
        One target for all images, or one per image.
    layers : sequence of str, optional
        Names of network layers; all by default.

    Returns
    -------
    dict of str to numpy.ndarray
        Gradients by layer name, float32, with the shapes of `activations`; zero if the target
        does not depend on the layer.

    Raises
    ------
    ValueError
        If a network layer does not exist, the network does not end in logits, or a target does not
        fit.
    """
    known, weights = _known(network, layers), target_weights(network, target, images)
    names = tuple(known.values())

    def build(of: Callable[[], keras.Model]) -> Callable[..., Any]:
        def run(images: Any, weights: Any) -> list[Any]:
            logits, seen = logits_and_layers(of(), images)
            maps = [seen[name] for name in names]
            found = gradients_of(weighted_sum(logits, weights), maps)
            return [
                tf.cast(upright(tf.zeros_like(values) if gradient is None else gradient, images), tf.float32)
                for values, gradient in zip(maps, found, strict=True)
            ]

        return run

    run = compiled(network, ("layer gradients", names), build, (images, weights))
    return dict(zip(known, run_in_batches(run, images, weights), strict=True))


def weight_gradients(
    network: keras.Model, images: npt.NDArray[np.float32], target: Target | Sequence[Target]
) -> Maps:
    """Compute the gradient of the mean target over images with respect to the trainable weights.

    Parameters
    ----------
    network : keras.Model
        Functional or sequential model that ends in logits.
    images : numpy.ndarray
        Images, shape (n, ny, nx, n_bands).
    target : Target or sequence of Target
        One target for all images, or one per image.

    Returns
    -------
    dict of str to numpy.ndarray
        Gradients by network layer and weight (``conv1_1/kernel``), float32, shape of the weight.

    Raises
    ------
    ValueError
        If the network does not end in logits, or a target does not fit.
    """
    weights, names = target_weights(network, target, images), tuple(_trainable(network))

    def build(of: Callable[[], keras.Model]) -> Callable[..., Any]:
        def run(images: Any, weights: Any) -> list[Any]:
            variables = _trainable(of())
            values = [variables[name].value for name in names]
            found = gradients_of(weighted_sum(logits_of(of(), images), weights), values)
            return [
                tf.zeros(value.shape) if gradient is None else gradient
                for value, gradient in zip(values, found, strict=True)
            ]

        return run

    run = compiled(network, ("weight gradients", names), build, (images, weights))
    total = [np.zeros(variable.shape) for variable in _trainable(network).values()]
    for piece in batches(len(images), images_per_batch(images.shape[1:])):
        for sum_, gradient in zip(total, run(images[piece], weights[piece]), strict=True):
            sum_ += gradient.numpy()
    return {name: (sum_ / len(images)).astype(np.float32) for name, sum_ in zip(names, total, strict=True)}


def _trainable(network: keras.Model) -> dict[str, Any]:
    """Return the trainable variables by network layer and name; shared variables are listed once."""
    found: dict[str, Any] = {}
    taken: set[int] = set()
    for name, step in network_layers(network).items():
        own = [] if isinstance(step.layer, keras.Model) else getattr(step.layer, "trainable_weights", [])
        for variable in own:
            if id(variable) not in taken:
                taken.add(id(variable))
                found[unique_name(f"{name}/{variable.name}", found)] = variable
    return found


def _known(network: keras.Model, layers: Sequence[str] | None) -> dict[str, str]:
    """Map the requested names to the full names of network layers."""
    names = list(network_layers(network) if layers is None else layers)
    if not names:
        raise ValueError(message("at least one network layer", "", layers=names))
    return {name: network_layer(network, name).name for name in names}


def rotated(kernel: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Rotate a kernel by 180 degrees and swap its inputs and outputs."""
    return np.ascontiguousarray(np.swapaxes(kernel[::-1, ::-1], 2, 3))


def backward_convolution(
    upstream: npt.NDArray[np.float32],
    kernel: npt.NDArray[np.float32],
    *,
    input_shape: tuple[int, int],
    strides: tuple[int, int] = (1, 1),
    padding: str = "same",
) -> npt.NDArray[np.float32]:
    r"""Compute the backward pass of a convolution as a convolution.

    Keras' "convolution" is a correlation: z[i] = sum_a k[a] x[s i + a - p], with stride s and p
    zeros before the first pixel. Hence

    .. math:: \partial S / \partial x[j] = \sum_a k[a]\, g[(j + p - a) / s],

    summed over all a for which the fraction is an integer, with g = dS/dz. That is: insert s - 1
    zeros between the cells of g, pad it with k - 1 - p zeros in front, and correlate it at stride 1
    with the kernel rotated by 180 degrees (Dumoulin & Visin 2016, arXiv:1603.07285).
    """
    spread_shape, pads = [], []
    for n, k, s, cells in zip(input_shape, kernel.shape[:2], strides, upstream.shape[1:3], strict=True):
        expected = -(-n // s) if padding == "same" else (n - k) // s + 1
        if padding not in ("same", "valid") or cells != expected:
            raise ValueError(
                message(
                    "the gradient of this convolution's output, padding same or valid",
                    "",
                    padding=padding,
                    cells=upstream.shape[1:3],
                    input_shape=input_shape,
                )
            )
        before = max((cells - 1) * s + k - n, 0) // 2 if padding == "same" else 0
        length = (cells - 1) * s + 1
        spread_shape.append(length)
        pads.append((k - 1 - before, n - length + before))
    spread = np.zeros((len(upstream), *spread_shape, upstream.shape[3]), dtype=np.float32)
    spread[:, :: strides[0], :: strides[1]] = upstream
    padded = np.pad(spread, [(0, 0), *pads, (0, 0)])
    back = tf.nn.conv2d(padded, rotated(kernel.astype(np.float32)), strides=1, padding="VALID")
    return np.asarray(back.numpy(), dtype=np.float32)


@dataclass(frozen=True, eq=False)
class BackwardPass:
    """Backward pass of a convolution, computed in two ways.

    Attributes
    ----------
    network_layer : str
        Network layer of the convolution.
    upstream : numpy.ndarray
        Gradient of the target with respect to the output of the convolution before its activation
        function, shape (n, cells_y, cells_x, n_filters).
    automatic : numpy.ndarray
        Gradient with respect to the input of the convolution by automatic differentiation, shape
        (n, ny, nx, n_inputs).
    convolved : numpy.ndarray
        The same gradient by `backward_convolution`.
    """

    network_layer: str
    upstream: npt.NDArray[np.float32]
    automatic: npt.NDArray[np.float32]
    convolved: npt.NDArray[np.float32]

    @property
    def error(self) -> float:
        """Largest absolute difference of the two gradients, relative to the largest absolute gradient."""
        peak = float(np.abs(self.automatic).max(initial=0))
        difference = float(np.abs(self.automatic - self.convolved).max(initial=0))
        return difference / peak if peak else difference


def backward_pass(
    network: keras.Model, images: npt.NDArray[np.float32], target: Target, *, layer: str
) -> BackwardPass:
    """Compute the backward pass of a convolution by automatic differentiation and by a convolution.

    Parameters
    ----------
    network : keras.Model
        Functional or sequential model that ends in logits.
    images : numpy.ndarray
        Images, shape (n, ny, nx, n_bands).
    target : Target
        Target whose gradient is propagated back.
    layer : str
        Network layer of the convolution.

    Returns
    -------
    BackwardPass
        Both gradients and their difference.

    Raises
    ------
    ValueError
        If the layer is not a convolution, or is a dilated or grouped one.
    """
    step = network_layer(network, layer)
    convolution = step.layer
    plain = type(convolution) is keras.layers.Conv2D and convolution.groups == 1
    if not plain or tuple(convolution.dilation_rate) != (1, 1):
        raise ValueError(
            message("a Conv2D without dilation or groups", "", network_layer=layer, kind=step.kind)
        )
    (source,) = step.sources
    seen = images if source == "input" else activations(network, images, layers=[source])[source]
    outgoing = layer_gradients(network, images, target, layers=[layer])[layer]
    kernel = tf.convert_to_tensor(convolution.kernel, tf.float32)
    x = tf.convert_to_tensor(seen, tf.float32)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        z = tf.nn.conv2d(x, kernel, convolution.strides, convolution.padding.upper())
        if convolution.use_bias:
            z = z + tf.cast(convolution.bias, tf.float32)
        output = convolution.activation(z)
    upstream = tape.gradient(output, z, output_gradients=tf.convert_to_tensor(outgoing)).numpy()
    automatic = tape.gradient(z, x, output_gradients=tf.convert_to_tensor(upstream)).numpy()
    convolved = backward_convolution(
        upstream,
        kernel.numpy(),
        input_shape=(seen.shape[1], seen.shape[2]),
        strides=convolution.strides,
        padding=convolution.padding,
    )
    return BackwardPass(layer, upstream, automatic, convolved)
