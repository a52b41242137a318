"""Weights of one model or layer for another of the same shape."""

from __future__ import annotations

from typing import Any

import keras


def give_weights(copy: keras.layers.Layer, original: keras.layers.Layer) -> None:
    """Give a copy of a model or layer the weights of the original."""
    copy.set_weights(original.get_weights())
    refresh(copy)


def refresh(model: keras.layers.Layer) -> None:
    """Compute anew what layers derive from their weights: `Normalization` keeps mean and variance twice."""
    for layer in model._flatten_layers():
        finalize: Any = getattr(layer, "finalize_state", None)
        if finalize is not None:
            finalize()
