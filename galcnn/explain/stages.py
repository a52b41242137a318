"""The stages of a network: each convolution with the normalisation and activation that belong to it."""

from __future__ import annotations

from dataclasses import dataclass

import keras

from galcnn.explain.graph import NetworkLayer, network_layers

__all__ = ["Stage", "convolution_stages"]

_NORMALIZATIONS = (
    keras.layers.BatchNormalization,
    keras.layers.GroupNormalization,
    keras.layers.LayerNormalization,
)
_ACTIVATIONS = (
    keras.layers.Activation,
    keras.layers.ELU,
    keras.layers.LeakyReLU,
    keras.layers.PReLU,
    keras.layers.ReLU,
)


@dataclass(frozen=True)
class Stage:
    """A convolution and what follows it on the same grid; names of network layers.

    Attributes
    ----------
    convolution : str
        The convolution itself.
    linear : str
        The last step before the activation function: it can be climbed from anywhere.
    output : str
        The last step: behind the activation function, where there is one.
    shape : tuple of int
        Of the output: (cells_y, cells_x, channels).
    """

    convolution: str
    linear: str
    output: str
    shape: tuple[int, int, int]


def convolution_stages(network: keras.Model) -> list[Stage]:
    """Group the network layers by their convolutions.

    Parameters
    ----------
    network : keras.Model
        Functional or sequential; nested models included.

    Returns
    -------
    list of Stage
        In the order of the pass. An activation function inside the convolution counts as its
        own: `linear` is then the convolution too, and may have flat regions.

    Examples
    --------
    >>> from galcnn.model import NetworkSettings, build_network
    >>> network = build_network((16, 16, 3), 2, settings=NetworkSettings(widths=(4,), depth=1, stem=0))
    >>> convolution_stages(network)[0].linear
    'conv1_1_batchnorm'
    """
    layers = network_layers(network)
    found = []
    for name, step in layers.items():
        if isinstance(step.layer, keras.layers.Conv2D):
            normed = _following(name, layers, _NORMALIZATIONS) or name
            output = _following(normed, layers, _ACTIVATIONS) or normed
            y, x, channels = (int(side or 0) for side in step.shape)
            found.append(Stage(name, normed, output, (y, x, channels)))
    return found


def _following(name: str, layers: dict[str, NetworkLayer], kinds: tuple[type, ...]) -> str | None:
    """The one step of these kinds that reads this one and nothing else."""
    readers = [
        other for other, step in layers.items() if step.sources == (name,) and isinstance(step.layer, kinds)
    ]
    return readers[0] if len(readers) == 1 else None
