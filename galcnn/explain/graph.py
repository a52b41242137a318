"""Who made a tensor of a functional model, and of what.

Keras' public `layer.output` is the tensor of a layer's first call, which for a nested model is
one of its own and not of the model around it. The history that each symbolic tensor carries
tells them apart; this is the only module that reads it.
"""

from __future__ import annotations

import keras

__all__ = ["producer"]


def producer(tensor: keras.KerasTensor) -> tuple[keras.layers.Layer, list[keras.KerasTensor]]:
    """Give the layer that made a symbolic tensor, and what it was made of.

    Parameters
    ----------
    tensor : keras.KerasTensor
        Of a functional model.

    Returns
    -------
    layer : keras.layers.Layer or keras.Operation
        A nested model counts as one layer.
    inputs : list of keras.KerasTensor
        Empty for an input layer.
    """
    history = tensor._keras_history
    node = history.operation._inbound_nodes[history.node_index]
    return history.operation, list(node.input_tensors)
