"""Cost of a network: parameters, receptive field, memory and operations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from astropy.table import Table

from galcnn.errors import message
from galcnn.model.graph import feature_maps, network_layers
from galcnn.model.orientations import OrientationMean, Orientations
from galcnn.model.receptive import cell_grid_at


@dataclass(frozen=True)
class LayerCost:
    """Cost of one network layer for one image.

    Attributes
    ----------
    address : str
        Name of the network layer, after the names of the nested models around it.
    kind : str
        Class name of the layer.
    shape : tuple of int
        Shape of the output for one image; the number of orientations comes first if there are several.
    parameters : int
        Number of weights, including non-trainable ones; 0 for a repeated call of a layer.
    flops : int
        Multiplications and additions of a convolution or dense layer, including biases; 0 for all
        other layers, which contribute a few per cent of the total.
    output_bytes : int
        Size of the output in bytes, in the compute precision of the layer.
    """

    address: str
    kind: str
    shape: tuple[int, ...]
    parameters: int
    flops: int
    output_bytes: int


@dataclass(frozen=True)
class NetworkCost:
    """Cost of a network for one image.

    Attributes
    ----------
    parameters, trainable : int
        Number of weights and of trainable weights.
    receptive_field : tuple of int or None
        Receptive field of one cell of the last feature maps in pixels, (y, x), which may exceed
        the image; None if the geometry of a layer is not known.
    flops : int
        Sum of the multiplications and additions of all layers, see `LayerCost`.
    weight_bytes : int
        Size of the stored weights in bytes.
    activation_bytes : int
        Total size of the outputs of all layers in bytes, which training keeps for
        backpropagation. An upper bound, since layers that work in place are counted too.
    """

    parameters: int
    trainable: int
    receptive_field: tuple[int, int] | None
    flops: int
    weight_bytes: int
    activation_bytes: int


def layer_costs(network: keras.Model) -> list[LayerCost]:
    """Return the cost of each network layer for one image."""
    costs, copies = [], 1
    counted: set[int] = set()
    for address, step in network_layers(network).items():
        layer = step.layer
        if isinstance(layer, keras.Model) or not isinstance(layer, keras.layers.Layer):
            continue
        inputs, output = step.tensors[-1]
        if isinstance(layer, OrientationMean):
            copies = 1
        shape = tuple(output.shape[1:])
        if None in shape:
            raise ValueError(message("images of a fixed size", "", layer=address, shape=shape))
        if isinstance(layer, Orientations):
            copies = layer.count
        itemsize = 2 if layer.compute_dtype in ("float16", "bfloat16") else 4
        costs.append(
            LayerCost(
                address,
                type(layer).__name__,
                shape if copies == 1 else (copies, *shape),
                0 if id(layer) in counted else int(layer.count_params()),
                copies * _flops(layer, inputs[0].shape, shape),
                copies * int(np.prod(shape)) * itemsize,
            )
        )
        counted.add(id(layer))
    return costs


def network_cost(network: keras.Model) -> NetworkCost:
    """Return the cost of a network for one image."""
    layers = layer_costs(network)
    try:
        field = cell_grid_at(feature_maps(network)).field
    except ValueError:
        field = None
    return NetworkCost(
        parameters=int(network.count_params()),
        trainable=sum(int(np.prod(w.shape)) for w in network.trainable_weights),
        receptive_field=field,
        flops=sum(layer.flops for layer in layers),
        weight_bytes=sum(int(np.prod(w.shape)) * np.dtype(_numpy(w.dtype)).itemsize for w in network.weights),
        activation_bytes=sum(layer.output_bytes for layer in layers),
    )


def network_table(networks: Sequence[tuple[str, keras.Model]], *, pixel_scale: float | None = None) -> Table:
    """Tabulate the costs of several networks.

    Parameters
    ----------
    networks : sequence of (str, keras.Model)
        Name and model of each row.
    pixel_scale : float, optional
        Pixel scale in arcsec, for the receptive field on the sky.

    Returns
    -------
    astropy.table.Table
        One row per network, with the columns `network`, `parameters`, `receptive_field` (larger
        side in pixels; -1 if not known), `receptive_field_arcsec` (if `pixel_scale` is given),
        `megabytes` (weights), `megabytes_per_image` (activations in training) and
        `megaflops_per_image`.
    """
    rows = []
    for name, network in networks:
        cost = network_cost(network)
        field = max(cost.receptive_field) if cost.receptive_field else -1
        row: dict[str, Any] = {"network": name, "parameters": cost.parameters, "receptive_field": field}
        if pixel_scale is not None:
            row["receptive_field_arcsec"] = round(field * pixel_scale, 2) if field > 0 else np.nan
        row["megabytes"] = round(cost.weight_bytes / 1e6, 3)
        row["megabytes_per_image"] = round(cost.activation_bytes / 1e6, 3)
        row["megaflops_per_image"] = round(cost.flops / 1e6, 3)
        rows.append(row)
    return Table(rows)


def cost_of(network: keras.Model, pixel_scale: float | None = None) -> dict[str, float]:
    """Return the cost of a network for its card; what is not known is left out."""
    (row,) = network_table([("", network)], pixel_scale=pixel_scale)
    figures = {name: row[name].item() for name in row.colnames if name != "network"}
    return {name: figure for name, figure in figures.items() if np.isfinite(figure)}


def _flops(layer: Any, entering: tuple[Any, ...], leaving: tuple[int, ...]) -> int:
    """Count two operations per weight and position, and one per bias and position."""
    places = int(np.prod(leaving[:-1])) if len(leaving) > 1 else 1
    features, bias = leaving[-1], int(getattr(layer, "use_bias", False))
    if isinstance(layer, keras.layers.SeparableConv2D):
        y, x, bands, multiplier = layer.depthwise_kernel.shape
        each = 2 * y * x * bands * multiplier + features * (2 * bands * multiplier + bias)
    elif isinstance(layer, keras.layers.DepthwiseConv2D):
        y, x = layer.kernel_size
        each = features * (2 * y * x + bias)
    elif isinstance(layer, keras.layers.Conv2D):
        y, x = layer.kernel_size
        each = features * (2 * y * x * entering[-1] // layer.groups + bias)
    elif isinstance(layer, keras.layers.Dense):
        each = features * (2 * entering[-1] + bias)
    else:
        each = 0
    return int(places * each)


def _numpy(dtype: str) -> str:
    return "float16" if dtype == "bfloat16" else dtype
