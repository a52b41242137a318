"""The network layers of a model in the order of the forward pass, including those of nested models.

Keras' public `layer.output` is the tensor of a layer's first call, which in a nested model belongs to
that model and not to the one around it; and `keras.Model` of an inner tensor copies the nodes of the
layers. The graph is therefore read from its nodes, without running it. `galcnn.model.forward` runs it
and uses the same layer names.
"""

from __future__ import annotations

import weakref
from collections.abc import Container, Iterator
from dataclasses import dataclass
from typing import Any

import keras

from galcnn.errors import did_you_mean, message

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


@dataclass(frozen=True, eq=False)
class NetworkLayer:
    """One step of a network's forward pass.

    Attributes
    ----------
    name : str
        Unique name: the names of the nested models around the layer and its own, joined by slashes
        (``network/conv1_1``); repeated calls of a layer are numbered (``conv#2``).
    shape : tuple of int or None
        Shape of the output without the batch axis: (cells_y, cells_x, channels) or (units,).
    sources : tuple of str
        Names of the network layers whose outputs it reads; ``input`` for the images.
    calls : tuple
        Keras nodes, from that of the outermost nested model to that of the layer itself.
    """

    name: str
    shape: tuple[int | None, ...]
    sources: tuple[str, ...]
    calls: tuple[Any, ...]

    @property
    def layer(self) -> Any:
        """The Keras layer. Nested models are listed too, after the layers that they consist of."""
        return self.calls[-1].operation

    @property
    def kind(self) -> str:
        """Class name of the layer."""
        return type(self.layer).__name__

    @property
    def tensors(self) -> list[tuple[list[keras.KerasTensor], keras.KerasTensor]]:
        """Symbolic (inputs, output) of each call, from the outermost nested model to the layer."""
        return [(list(call.input_tensors), call.outputs[0]) for call in self.calls]


#: Cache of the network layers; they hold no reference to the network, so that it can be freed.
_LAYERS: weakref.WeakKeyDictionary[Any, dict[str, NetworkLayer]] = weakref.WeakKeyDictionary()


def network_layers(network: keras.Model) -> dict[str, NetworkLayer]:
    """List the network layers of a model, including those of nested models.

    Parameters
    ----------
    network : keras.Model
        Functional or sequential model with one input. Nested models may have several inputs.

    Returns
    -------
    dict of str to NetworkLayer
        Network layers by name, in the order of the forward pass.

    Raises
    ------
    ValueError
        If the model is neither functional nor sequential, or has several inputs.

    Examples
    --------
    >>> from galcnn.model import NetworkSettings, build_network
    >>> network = build_network((16, 16, 3), 2, settings=NetworkSettings(widths=(4,), depth=1, stem=0))
    >>> [(layer.name, layer.shape) for layer in network_layers(network).values()][:2]
    [('conv1_1', (16, 16, 4)), ('conv1_1_batchnorm', (16, 16, 4))]
    """
    if network not in _LAYERS:
        if len(functional(network).inputs) != 1:
            raise ValueError(message("a network with one input", "", inputs=len(network.inputs)))
        found: dict[str, NetworkLayer] = {}
        _walk(network, found)
        _LAYERS[network] = found
    return dict(_LAYERS[network])


def network_layer(network: keras.Model, name: str) -> NetworkLayer:
    """Return the network layer of this name: the full name, or the layer's own name if it is unique."""
    layers = network_layers(network)
    if name in layers:
        return layers[name]
    found = [layer for layer in layers.values() if layer.layer.name == name]
    if len(found) != 1:
        among = [layer.name for layer in found] or list(layers)
        raise ValueError(
            message(
                f"a network layer among {', '.join(among)}", did_you_mean(name, among), network_layer=name
            )
        )
    return found[0]


def feature_maps(network: keras.Model) -> NetworkLayer:
    """Find the last feature maps, which the head of a network averages or flattens.

    Parameters
    ----------
    network : keras.Model
        Functional or sequential model.

    Returns
    -------
    NetworkLayer
        Network layer nearest to the output whose output is a grid of more than one cell.

    Raises
    ------
    ValueError
        If the network has no feature maps.
    """
    layers = _by_calls(network)
    calls = _last_maps(functional(network).outputs[0], ())
    if calls not in layers:
        raise ValueError(
            message(
                "a network with feature maps of shape (n, ny, nx, n_features)",
                "Use another method, e.g. saliency.",
                network=network.name,
                layers=[layer.name for layer in layers.values()],
            )
        )
    return layers[calls]


def upstream(network: keras.Model) -> Iterator[NetworkLayer]:
    """Iterate backwards from the output through the network layers, up to one with several inputs."""
    layers = _by_calls(network)
    branches: list[bool] = []

    def walk(model: Any, outer: tuple[Any, ...]) -> Iterator[NetworkLayer]:
        call = _call(model.outputs[0])
        while call.input_tensors and not branches:
            if is_functional(call.operation):
                yield from walk(functional(call.operation), (*outer, call))
            else:
                yield layers[(*outer, call)]
            if len(call.input_tensors) > 1:
                branches.append(True)
            call = _call(call.input_tensors[0])

    yield from walk(functional(network), ())


def producer(tensor: keras.KerasTensor) -> tuple[Any, list[keras.KerasTensor]]:
    """Return the layer that produced a symbolic tensor, and the input tensors of that call."""
    call = _call(tensor)
    return call.operation, list(call.input_tensors)


def is_functional(operation: Any) -> bool:
    """Return True if a layer is a functional or sequential model, whose graph can be read."""
    return isinstance(operation, keras.Model) and hasattr(
        getattr(operation, "_functional", None) or operation, "_run_through_graph"
    )


def functional(network: keras.Model) -> Any:
    """Return the network itself if it is functional, or the functional model inside a sequential one."""
    if not is_functional(network):
        raise ValueError(
            message(
                "a functional or sequential model, whose layers can be seen",
                "Build it as keras.Model(inputs, outputs), or use a method of gradients, e.g. saliency.",
                network=network.name,
                kind=type(network).__name__,
            )
        )
    return getattr(network, "_functional", None) or network


def unused(name: str, taken: Container[str]) -> str:
    """Append a number to a name that is already taken."""
    number, free = 2, name
    while free in taken:
        free, number = f"{name}#{number}", number + 1
    return free


def _walk(
    network: keras.Model,
    found: dict[str, NetworkLayer],
    *,
    prefix: str = "",
    read: tuple[str, ...] = ("input",),
    outer: tuple[Any, ...] = (),
) -> None:
    """Add to `found` the layers of a model with inputs `read`, in the order in which Keras runs them."""
    graph = functional(network)
    origin = {id(tensor): name for tensor, name in zip(graph.inputs, read, strict=True)}
    by_depth = graph._nodes_by_depth
    for call in (call for depth in sorted(by_depth, reverse=True) for call in by_depth[depth]):
        known = all(id(tensor) in origin for tensor in call.input_tensors)
        if call.is_input or not known:  # Keras skips these too
            continue
        sources = tuple(origin[id(tensor)] for tensor in call.input_tensors)
        name = unused(f"{prefix}{call.operation.name}", found)
        calls = (*outer, call)
        if is_functional(call.operation):
            _walk(call.operation, found, prefix=f"{name}/", read=sources, outer=calls)
        origin.update((id(tensor), name) for tensor in call.outputs)
        if len(call.outputs) == 1:  # several outputs cannot be shown as one array
            found[name] = NetworkLayer(name, tuple(call.outputs[0].shape[1:]), sources, calls)


def _by_calls(network: keras.Model) -> dict[tuple[Any, ...] | None, NetworkLayer]:
    return {layer.calls: layer for layer in network_layers(network).values()}


def _call(tensor: keras.KerasTensor) -> Any:
    """Return the Keras node that produced a symbolic tensor."""
    history = tensor._keras_history
    return history.operation._inbound_nodes[history.node_index]


def _last_maps(tensor: keras.KerasTensor, outer: tuple[Any, ...]) -> tuple[Any, ...] | None:
    """Search feature maps backwards from a tensor, breadth first."""
    queue = [tensor]
    for current in queue:
        call = _call(current)
        if not call.input_tensors:
            continue
        calls = (*outer, call)
        if is_functional(call.operation):
            inner = _last_maps(functional(call.operation).outputs[0], calls)
            if inner is not None:
                return inner
        shape = current.shape
        if len(shape) == 4 and any(side != 1 for side in shape[1:3]):
            return calls
        queue += [source for source in call.input_tensors if not any(source is known for known in queue)]
    return None


@dataclass(frozen=True)
class Stage:
    """Names of a convolution and of the normalisation and activation that follow it.

    Attributes
    ----------
    convolution : str
        Network layer of the convolution.
    linear : str
        Network layer before the activation function, suited to gradient ascent: its gradient does
        not vanish where the activation is zero.
    output : str
        Last network layer of the stage: the activation function if there is one.
    shape : tuple of int
        Shape of the output, (cells_y, cells_x, channels).
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
        Functional or sequential model; nested models are included.

    Returns
    -------
    list of Stage
        Stages in the order of the forward pass. An activation function that is an argument of the
        convolution cannot be separated: `linear` then includes it, and its gradient may vanish.

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
    """Name of the only layer of these classes that reads this one and no other; None if there is none."""
    readers = [
        other for other, step in layers.items() if step.sources == (name,) and isinstance(step.layer, kinds)
    ]
    return readers[0] if len(readers) == 1 else None
