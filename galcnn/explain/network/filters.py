"""The filters that a network has learned: their weights, what these say, and what they do to an image."""

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
        Its name.
    kernels : numpy.ndarray
        float32, shape (n_filters, n_inputs, ky, kx): planes first, row 0 at the bottom like the
        images; the cell (y, x) of a kernel weighs the pixel at (y, x) of its window.
    bias : numpy.ndarray
        float32, shape (n_filters,); zeros where the layer has none.
    """

    network_layer: str
    kernels: npt.NDArray[np.float32]
    bias: npt.NDArray[np.float32]


def filters(network: keras.Model) -> dict[str, Filters]:
    """Take the kernels of all convolutions.

    Parameters
    ----------
    network : keras.Model
        Functional or sequential; nested models included.

    Returns
    -------
    dict of str to Filters
        Copies, by network layer, in the order of the pass. Depthwise and transposed
        convolutions, whose kernels have other axes, are left out.

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
    """Describe each filter of a convolution by a few numbers.

    `norm` is |K|; `flat` the share of |K|^2 in the means of the planes (a blur, or a plain sum over
    inputs); `even` the share, beyond the flat part, that is the same after a turn by 180 degrees
    (spots, bars and rings); `odd` the share that changes its sign (edges): even + odd + flat = 1.
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
    """Describe the weights of every network layer that has some.

    Parameters
    ----------
    network : keras.Model
        Functional or sequential; nested models included.

    Returns
    -------
    astropy.table.Table
        A row a weight array: `network_layer`, `weight` (kernel, bias, gamma ...), `shape`, `n`,
        `mean`, `std`, `p05`, `p50`, `p95` (percentiles), `minimum`, `maximum`, `tiny` (share of
        weights below 1 % of the largest absolute value).
    """
    rows = []
    for name, step in network_layers(network).items():
        if isinstance(step.layer, keras.Model):
            continue
        for variable in getattr(step.layer, "weights", []):
            values = np.asarray(keras.ops.convert_to_numpy(variable), dtype=np.float64).ravel()
            if not np.issubdtype(np.dtype(variable.dtype), np.floating):  # a seed is no weight
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
    """Apply one learned filter to images, input by input.

    The filter works on what its convolution sees: the images themselves in the first network
    layer, feature maps in the later ones.

    Parameters
    ----------
    network : keras.Model
        Functional or sequential.
    images : numpy.ndarray
        Shape (n, ny, nx, n_bands).
    layer : str
        A convolution's network layer.
    filter : int
        Which of its filters.

    Returns
    -------
    parts : numpy.ndarray
        float32, shape (n, n_inputs, cells_y, cells_x): what each band (or channel) adds.
    total : numpy.ndarray
        float32, shape (n, cells_y, cells_x): their sum plus the bias, which is what the
        convolution gives before normalisation and activation function.

    Raises
    ------
    ValueError
        No such convolution or filter, or one in groups.
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
    # One filter for each input: a depthwise convolution with the same geometry.
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
