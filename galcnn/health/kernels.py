"""The layers that learn: those with a kernel, with what follows each of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras

from galcnn.errors import message
from galcnn.explain.graph import NetworkLayer, network_layers

__all__ = ["KernelLayer", "kernel_layers"]

_NORMALIZING = (
    keras.layers.BatchNormalization,
    keras.layers.GroupNormalization,
    keras.layers.LayerNormalization,
)


@dataclass(frozen=True, eq=False)
class KernelLayer:
    """A layer with a trainable kernel, and what follows it.

    Attributes
    ----------
    name : str
        As `galcnn.explain.forward.network_layers` gives it, such as ``network/conv1_1``.
    layer : keras.layers.Layer
        The user's own.
    source : str
        Name of the step that it reads; ``input`` for the images.
    alone : bool
        Whether no other step reads that one.
    activation : str
        Keras' name of the first activation behind it; ``linear`` where there is none before the
        next kernel.
    activated : str
        Name of the step that gives the activation; that of the last step looked at, for ``linear``.
    normalized : bool
        Whether a normalisation lies between the two.
    """

    name: str
    layer: keras.layers.Layer
    source: str
    alone: bool
    activation: str
    activated: str
    normalized: bool

    @property
    def kernel(self) -> Any:
        """Its weights without the bias, a variable."""
        return _kernel(self.layer)

    @property
    def initializer(self) -> Any:
        """That of the kernel; separable convolutions have one for each of their two kernels."""
        own = ("kernel_initializer", "depthwise_initializer")
        return next((getattr(self.layer, name) for name in own if hasattr(self.layer, name)), None)


def kernel_layers(model: keras.Model) -> list[KernelLayer]:
    """List the layers that learn.

    Parameters
    ----------
    model : keras.Model
        Functional or sequential, nested or not.

    Returns
    -------
    list of KernelLayer
        In the order of the pass.

    Raises
    ------
    ValueError
        There is none.

    Examples
    --------
    >>> from galcnn.model import NetworkSettings, build_network
    >>> network = build_network((16, 16, 3), 2, settings=NetworkSettings(widths=(4,), depth=1, stem=0))
    >>> [(found.name, found.activation, found.normalized) for found in kernel_layers(network)]
    [('conv1_1', 'relu', True), ('logits', 'linear', False)]
    """
    steps = network_layers(model)
    readers: dict[str, list[str]] = {}
    for step in steps.values():
        if not isinstance(step.layer, keras.Model):  # its parts are steps of their own
            for source in step.sources:
                readers.setdefault(source, []).append(step.name)
    found = []
    for step in steps.values():
        if isinstance(step.layer, keras.Model) or _kernel(step.layer) is None:
            continue
        activation, activated, normalized = _follow(step, steps, readers)
        source = step.sources[0]
        alone = len(readers.get(source, ())) == 1
        found.append(KernelLayer(step.name, step.layer, source, alone, activation, activated, normalized))
    if not found:
        raise ValueError(message("a model with a trainable kernel", "", layers=list(steps)))
    return found


def _kernel(layer: keras.layers.Layer) -> Any:
    kernels = [v for v in layer.trainable_variables if "kernel" in v.name and v.ndim >= 2]
    return kernels[0] if kernels else None


def _follow(
    step: NetworkLayer, steps: dict[str, NetworkLayer], readers: dict[str, list[str]]
) -> tuple[str, str, bool]:
    """The first activation behind a kernel, and whether a normalisation lies before it."""
    normalized = False
    while True:
        activation = _activation(step.layer)
        if activation != "linear":
            return activation, step.name, normalized
        following = [name for name in readers.get(step.name, ()) if name in steps]
        if not following or _kernel(steps[following[0]].layer) is not None:
            return "linear", step.name, normalized
        step = steps[following[0]]
        normalized = normalized or isinstance(step.layer, _NORMALIZING)


def _activation(layer: keras.layers.Layer) -> str:
    if isinstance(layer, keras.layers.ReLU | keras.layers.LeakyReLU):
        return "relu" if isinstance(layer, keras.layers.ReLU) else "leaky_relu"
    activation = getattr(layer, "activation", None)
    return "linear" if activation is None else str(keras.activations.serialize(activation))
