"""Learned filters: kernels, statistics of the weights, and results of a filter on images."""

from __future__ import annotations

from dataclasses import dataclass

import keras
import numpy as np
import numpy.typing as npt
from astropy.table import Table

from galcnn.errors import message
from galcnn.explain.network.activations import activations
from galcnn.model import network_layers
from galcnn.model.graph import NetworkLayer, network_layer


@dataclass(frozen=True, eq=False)
class Filters:
    """The kernels of one convolution.

    Attributes
    ----------
    network_layer : str
        Name of the network layer.
    kernels : numpy.ndarray
        Kernels, float32, shape (n_filters, n_inputs, ky, kx). Row 0 is at the bottom, as in the
        images; element (y, x) is the weight of pixel (y, x) of the window.
    bias : numpy.ndarray
        Biases, float32, shape (n_filters,); zeros if the layer has none.
    """

    network_layer: str
    kernels: npt.NDArray[np.float32]
    bias: npt.NDArray[np.float32]


def filters(network: keras.Model) -> dict[str, Filters]:
    """Return copies of the kernels of all convolutions.

    Parameters
    ----------
    network : keras.Model
        Functional or sequential model; nested models are included.

    Returns
    -------
    dict of str to Filters
        Filters by network layer, in the order of the forward pass. Depthwise and transposed
        convolutions, whose kernels have other axes, are not included.

    Examples
    --------
    >>> from galcnn.model import NetworkSettings, build_network
    >>> network = build_network((16, 16, 3), 2, settings=NetworkSettings(widths=(4,), depth=1, stem=0))
    >>> filters(network)["conv1_1"].kernels.shape
    (4, 3, 3, 3)
    """
    return {
        name: _filters(step)
        for name, step in network_layers(network).items()
        if type(step.layer) is keras.layers.Conv2D
    }


def filter_statistics(learned: Filters) -> Table:
    """Tabulate statistics of each filter of a convolution.

    `norm` is |K|. The other columns are fractions of |K|^2 with flat + even + odd = 1: `flat` in the
    means of the planes (a blur, or a sum over inputs), `even` in the rest that is unchanged by a
    rotation by 180 degrees (spots, bars and rings), `odd` in the part that changes sign (edges).
    """
    kernels = learned.kernels.astype(np.float64)
    power = np.sum(kernels**2, axis=(1, 2, 3))
    turned = kernels[..., ::-1, ::-1]
    means = kernels.mean(axis=(2, 3))
    flat = np.sum(means**2, axis=1) * kernels.shape[2] * kernels.shape[3]
    even = np.sum(((kernels + turned) / 2) ** 2, axis=(1, 2, 3)) - flat
    odd = np.sum(((kernels - turned) / 2) ** 2, axis=(1, 2, 3))
    table = Table()
    table["filter"] = np.arange(len(kernels))
    table["norm"] = np.sqrt(power)
    table["mean"] = kernels.mean(axis=(1, 2, 3))
    for name, part in (("flat", flat), ("even", even), ("odd", odd)):
        table[name] = np.divide(part, power, out=np.full(len(power), np.nan), where=power > 0)
    table["bias"] = learned.bias.astype(np.float64)
    return table


def weight_table(network: keras.Model) -> Table:
    """Tabulate statistics of the weights of all network layers.

    Parameters
    ----------
    network : keras.Model
        Functional or sequential model; nested models are included.

    Returns
    -------
    astropy.table.Table
        One row per weight array, with the columns `network_layer`, `weight` (kernel, bias,
        gamma ...), `shape`, `n`, `mean`, `std`, `p05`, `p50`, `p95` (percentiles), `minimum`,
        `maximum` and `tiny` (fraction of weights below 1 % of the largest absolute value).
    """
    rows = []
    for name, step in network_layers(network).items():
        if isinstance(step.layer, keras.Model):
            continue
        for variable in getattr(step.layer, "weights", []):
            values = np.asarray(keras.ops.convert_to_numpy(variable), dtype=np.float64).ravel()
            if not np.issubdtype(np.dtype(variable.dtype), np.floating):  # the state of a seed generator
                continue
            size = np.abs(values)
            rows.append(
                {
                    "network_layer": name,
                    "weight": variable.name,
                    "shape": " x ".join(str(n) for n in variable.shape),
                    "n": values.size,
                    "mean": values.mean(),
                    "std": values.std(),
                    **dict(zip(("p05", "p50", "p95"), np.percentile(values, (5, 50, 95)), strict=True)),
                    "minimum": values.min(),
                    "maximum": values.max(),
                    "tiny": float(np.mean(size < 0.01 * size.max())) if size.any() else 1.0,
                }
            )
    return Table(rows=rows)


def filter_result(
    network: keras.Model, images: npt.NDArray[np.float32], *, layer: str, filter: int
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Apply one learned filter to images and return the contribution of each input channel.

    The filter is applied to the input of its convolution: the images in the first network layer,
    feature maps in later ones.

    Parameters
    ----------
    network : keras.Model
        Functional or sequential model.
    images : numpy.ndarray
        Images, shape (n, ny, nx, n_bands).
    layer : str
        Network layer of the convolution.
    filter : int
        Index of the filter, counted from 0.

    Returns
    -------
    parts : numpy.ndarray
        Contribution of each band (or channel), float32, shape (n, n_inputs, cells_y, cells_x).
    total : numpy.ndarray
        Sum of the contributions plus the bias, float32, shape (n, cells_y, cells_x): the output of
        the convolution before its activation function.

    Raises
    ------
    ValueError
        If the layer is not a convolution, is a grouped convolution, or has no such filter.
    """
    step = network_layer(network, layer)
    convolution = step.layer
    if type(convolution) is not keras.layers.Conv2D or convolution.groups != 1:
        raise ValueError(message("a plain Conv2D", "See filters().", network_layer=layer, kind=step.kind))
    if not 0 <= filter < convolution.filters:
        raise ValueError(message(f"a filter from 0 to {convolution.filters - 1}", "", filter=filter))
    (source,) = step.sources
    seen = images if source == "input" else activations(network, images, layers=[source])[source]
    kernel = _filters(step).kernels[filter]  # (n_inputs, ky, kx)
    # One kernel per input channel: a depthwise convolution with the same geometry.
    parts = keras.ops.depthwise_conv(
        np.asarray(seen, dtype=np.float32),
        np.moveaxis(kernel, 0, -1)[..., np.newaxis],
        strides=convolution.strides,
        padding=convolution.padding,
        dilation_rate=convolution.dilation_rate,
    )
    planes = np.moveaxis(keras.ops.convert_to_numpy(parts), -1, 1)
    bias = _filters(step).bias[filter]
    total = planes.sum(axis=1, dtype=np.float64) + bias
    return np.ascontiguousarray(planes, dtype=np.float32), total.astype(np.float32)


def _filters(step: NetworkLayer) -> Filters:
    convolution = step.layer
    kernel = np.asarray(keras.ops.convert_to_numpy(convolution.kernel), dtype=np.float32)
    bias = np.zeros(convolution.filters, dtype=np.float32)
    if convolution.use_bias:
        bias = np.array(keras.ops.convert_to_numpy(convolution.bias), dtype=np.float32)
    return Filters(step.name, np.ascontiguousarray(np.transpose(kernel, (3, 2, 0, 1))), bias)
