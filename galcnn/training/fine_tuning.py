"""Fine-tuning: frozen layers, learning rates by layer, and first epochs in which only the head is trained."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import keras

from galcnn.errors import message
from galcnn.model.build import LOGITS, NETWORK
from galcnn.model.graph import feature_maps
from galcnn.training.optimizers import NOT_DECAYED
from galcnn.training.settings import StartSettings


def layers_of(model: keras.Model) -> Iterator[keras.layers.Layer]:
    """Iterate over the layers of a model and of the models in it, without these models."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from layers_of(layer)
        else:
            yield layer


def freeze(network: keras.Model, settings: StartSettings) -> None:
    """Freeze layers of a network; the others can be trained."""
    layers = list(layers_of(network))
    weighted = [layer for layer in layers if layer.weights]
    frozen: Sequence[keras.layers.Layer] = ()
    if settings.freeze == "all":
        frozen = [layer for layer in layers if layer.name != LOGITS]
    elif settings.freeze == "body":
        frozen = layers[: layers.index(feature_maps(network).layer) + 1]
    elif settings.freeze != "none":
        frozen = weighted[: settings.freeze]
        if len(frozen) < settings.freeze or weighted[-1] in frozen:
            raise ValueError(
                message(
                    f"at most {len(weighted) - 1} frozen layers with weights, of {len(weighted)}",
                    "Freeze all but the last: --freeze all.",
                    freeze=settings.freeze,
                )
            )
    for layer in layers:
        kept = settings.batch_norm == "keep" and isinstance(layer, keras.layers.BatchNormalization)
        layer.trainable = not (kept or layer in frozen)


def count_frozen(network: keras.Model) -> int:
    """Return the number of weights in frozen layers."""
    frozen = [layer for layer in layers_of(network) if not layer.trainable]
    return sum(math.prod(weight.shape) for layer in frozen for weight in layer.weights)


def layer_rates(network: keras.Model, settings: StartSettings) -> dict[str, float]:
    """Return the factor on the learning rate of each weight, by its path, see `StartSettings`."""
    weighted = [layer for layer in layers_of(network) if layer.weights]
    depths = {id(layer): depth for depth, layer in enumerate(reversed(weighted))}
    return {
        weight.path: settings.body_rate * settings.rate_decay ** (depths[id(layer)] - 1)
        for layer in weighted
        if layer.name != LOGITS
        for weight in layer.weights
    }


def with_layer_rates(
    optimizer: keras.optimizers.Optimizer, rates: Mapping[str, float]
) -> keras.optimizers.Optimizer:
    """Return an optimizer of the same class whose learning rate, and weight decay, differ by weight."""
    kind: Any = type(optimizer)

    class LayerRates(kind):
        """Optimizer with a factor on the learning rate of each weight."""

        weight_decay: float | None

        def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
            known = self._trainable_variables[self._get_variable_index(variable)]
            super().update_step(gradient, variable, learning_rate * rates.get(known.path, 1.0))

        def _apply_weight_decay(self, variables: Sequence[Any]) -> None:
            whole = self.weight_decay
            if whole is None:
                return
            for rate in sorted({rates.get(one.path, 1.0) for one in variables}):
                self.weight_decay = whole * rate
                super()._apply_weight_decay([one for one in variables if rates.get(one.path, 1.0) == rate])
            self.weight_decay = whole

    made = LayerRates.from_config(optimizer.get_config())
    made.exclude_from_weight_decay(var_names=NOT_DECAYED)
    return made


class HeadFirst(keras.callbacks.Callback):
    """Keras callback that trains the layer of the logits alone in the first epochs."""

    def __init__(self, epochs: int, best: keras.callbacks.EarlyStopping) -> None:
        super().__init__()
        self.epochs, self.best = epochs, best
        self.later: list[keras.layers.Layer] = []

    def on_train_begin(self, logs: Mapping[str, float] | None = None) -> None:
        layers = layers_of(self.model.get_layer(NETWORK))
        self.later = [layer for layer in layers if layer.trainable and layer.name != LOGITS]

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        trains = epoch >= self.epochs
        if any(layer.trainable is not trains for layer in self.later):
            for layer in self.later:
                layer.trainable = trains
            self.model.make_train_function(force=True)

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        if epoch < self.epochs:
            self.best.wait = 0  # the training does not stop before its second part

    def on_train_end(self, logs: Mapping[str, float] | None = None) -> None:
        for layer in self.later:
            layer.trainable = True
