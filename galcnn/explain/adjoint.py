"""The backward pass of a convolution is a convolution with the rotated filter."""

from __future__ import annotations

from dataclasses import dataclass

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from galcnn.errors import message
from galcnn.explain.explanation import Target
from galcnn.explain.graph import network_layer
from galcnn.explain.network_maps import activations, layer_gradients

__all__ = ["BackwardPass", "backward_convolution", "backward_pass", "rotated"]


def rotated(kernel: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Turn a kernel by 180 degrees and swap its inputs and outputs.

    Parameters
    ----------
    kernel : numpy.ndarray
        Shape (ky, kx, n_inputs, n_filters), as Keras holds it.

    Returns
    -------
    numpy.ndarray
        Shape (ky, kx, n_filters, n_inputs).
    """
    return np.ascontiguousarray(np.swapaxes(kernel[::-1, ::-1], 2, 3))


def backward_convolution(
    upstream: npt.NDArray[np.float32],
    kernel: npt.NDArray[np.float32],
    *,
    input_shape: tuple[int, int],
    strides: tuple[int, int] = (1, 1),
    padding: str = "same",
) -> npt.NDArray[np.float32]:
    r"""Carry a gradient back through a convolution, by a convolution.

    Keras' "convolution" is a correlation: z[i] = sum_a k[a] x[s i + a - p], with stride s and p
    zeros before the first pixel. Hence

    .. math:: \partial S / \partial x[j] = \sum_a k[a]\, g[(j + p - a) / s],

    over those a for which the fraction is whole, with g = dS/dz: spread g over a grid with
    s - 1 zeros between its cells, pad it with ky - 1 - p zeros in front, and correlate it at
    stride 1 with the kernel turned by 180 degrees (Dumoulin & Visin 2016, arXiv:1603.07285).

    Parameters
    ----------
    upstream : numpy.ndarray
        dS/dz, shape (n, cells_y, cells_x, n_filters).
    kernel : numpy.ndarray
        Shape (ky, kx, n_inputs, n_filters).
    input_shape : tuple of int
        Pixels (ny, nx) of what the convolution saw.
    strides : tuple of int
        Of the convolution, (y, x).
    padding : {"same", "valid"}
        Of the convolution, as TensorFlow pads: unevenly, one more behind, when the total is odd.

    Returns
    -------
    numpy.ndarray
        dS/dx, float32, shape (n, ny, nx, n_inputs).

    Raises
    ------
    ValueError
        The shapes do not belong together.
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
    """One convolution's backward pass, made twice.

    Attributes
    ----------
    network_layer : str
        The convolution.
    upstream : numpy.ndarray
        Gradient of the target with respect to the convolution's sums (before an activation
        function of the same layer), shape (n, cells_y, cells_x, n_filters).
    automatic : numpy.ndarray
        Gradient with respect to its input by automatic differentiation, shape (n, ny, nx,
        n_inputs).
    convolved : numpy.ndarray
        The same by `backward_convolution`.
    """

    network_layer: str
    upstream: npt.NDArray[np.float32]
    automatic: npt.NDArray[np.float32]
    convolved: npt.NDArray[np.float32]

    @property
    def error(self) -> float:
        """Largest absolute difference of the two, over the largest absolute gradient."""
        peak = float(np.abs(self.automatic).max(initial=0))
        difference = float(np.abs(self.automatic - self.convolved).max(initial=0))
        return difference / peak if peak else difference


def backward_pass(
    network: keras.Model, images: npt.NDArray[np.float32], target: Target, *, layer: str
) -> BackwardPass:
    """Show on a network's own convolution that its backward pass is a convolution.

    Parameters
    ----------
    network : keras.Model
        Ends in logits.
    images : numpy.ndarray
        Shape (n, ny, nx, n_bands).
    target : Target
        Whose gradient travels back.
    layer : str
        A convolution's network layer.

    Returns
    -------
    BackwardPass
        With the error between the two ways.

    Raises
    ------
    ValueError
        Not a plain convolution: dilated or in groups.
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
