"""What a network costs and how far it sees: parameters, receptive field, memory, operations."""

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
    """What one layer costs for one image.

    Attributes
    ----------
    address : str
        Names of the nested models and the layer.
    kind : str
        Class of the layer.
    shape : tuple of int
        Of its output for one image, the number of orientations first where there are several.
    parameters : int
        Weights, those that are not trained included; 0 where a layer is called again.
    flops : int
        Multiplications and additions of convolutions and dense layers, biases included; 0 for all
        other layers, which are some per cent of the whole.
    output_bytes : int
        Of its output in the precision in which it computes.
    """

    address: str
    kind: str
    shape: tuple[int, ...]
    parameters: int
    flops: int
    output_bytes: int


@dataclass(frozen=True)
class NetworkCost:
    """What a network costs for one image.

    Attributes
    ----------
    parameters, trainable : int
        Weights, and those that training moves.
    receptive_field : tuple of int or None
        Pixels (y, x) that one cell of the last feature maps looks at, which may be more than the
        image has; None where the geometry of a layer is not known.
    flops : int
        See `LayerCost`.
    weight_bytes : int
        Of the weights as they are stored.
    activation_bytes : int
        Of all layers' outputs together, which training keeps for the way back. Layers without
        weights or cost that work in place are counted too: an upper bound.
    """

    parameters: int
    trainable: int
    receptive_field: tuple[int, int] | None
    flops: int
    weight_bytes: int
    activation_bytes: int


def layer_costs(network: keras.Model) -> list[LayerCost]:
    """Count what each layer costs for one image."""
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
    """Sum what a network costs for one image."""
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
    """Lay the costs of networks beside each other.

    Parameters
    ----------
    networks : sequence of (str, keras.Model)
        With the names of the rows.
    pixel_scale : float, optional
        Arcsec, for the receptive field on the sky.

    Returns
    -------
    astropy.table.Table
        Columns `network`, `parameters`, `receptive_field` in pixels (-1 where it is not known),
        `receptive_field_arcsec` (with a pixel scale), `megabytes` of weights,
        `megabytes_per_image` of activations in training, `megaflops_per_image`.
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


def _flops(layer: Any, entering: tuple[Any, ...], leaving: tuple[int, ...]) -> int:
    """A multiplication and an addition a weight and place; an addition a bias and place."""
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
