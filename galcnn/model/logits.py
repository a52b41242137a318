"""Plain Keras models that end in probabilities: their softmax is removed where that is exact."""

from __future__ import annotations

from typing import Any

import keras

from galcnn.model.gradients import check_ends_in_logits
from galcnn.model.graph import is_functional, producer


def ending_in_logits(model: keras.Model) -> keras.Model:
    """Return a model that ends in logits: the model itself, or a copy that shares its layers.

    A last layer that is a softmax is left out; a dense layer with a softmax is copied without it.
    Any other model that does not end in logits is refused.
    """
    if is_functional(model) and len(model.inputs) == len(model.outputs) == 1:
        last, inputs = producer(model.outputs[0])
        if isinstance(last, keras.layers.Softmax) or _is_softmax(last, keras.layers.Activation):
            return keras.Model(model.inputs[0], inputs[0])
        if _is_softmax(last, keras.layers.Dense):
            linear = keras.layers.Dense.from_config(last.get_config() | {"activation": "linear"})
            logits = linear(inputs[0])
            linear.set_weights(last.get_weights())
            return keras.Model(model.inputs[0], logits)
    if getattr(model, "inputs", None):
        check_ends_in_logits(model)
    return model


def _is_softmax(layer: Any, kind: Any) -> bool:
    return isinstance(layer, kind) and layer.activation is keras.activations.softmax
