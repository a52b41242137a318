"""The network layers of a model: what it runs, in order, nested models included; and its ends.

Keras' public `layer.output` is the tensor of a layer's first call, which for a nested model is
one of its own and not of the model around it, and a model cut open by `keras.Model` from a
tensor inside gets copies of the layers' nodes. So the graph is read from its nodes, without
running it; `galcnn.model.forward` runs it, and names the layers alike.
"""

from __future__ import annotations

import weakref
from collections.abc import Container, Iterator
from dataclasses import dataclass
from typing import Any

import keras

from galcnn.errors import message

#: Operations of TensorFlow that leave values as they are.
_PASSING = {"Cast", "Identity", "Reshape", "Squeeze", "ExpandDims"}
_SQUASHING = {
    "Elu", "Erf", "Exp", "LeakyRelu", "LogSoftmax", "Relu", "Relu6", "Selu", "Sigmoid", "Softmax", "Softplus",
    "Softsign", "Tanh",
}  # fmt: skip
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
        Unique: the layer's own name, after those of the nested models around it
        (``network/conv1_1``); a layer that is called again is numbered (``conv#2``).
    shape : tuple of int or None
        Of the output, without the batch: (cells_y, cells_x, channels) or (units,).
    sources : tuple of str
        Names of the steps that it reads; ``input`` for the images.
    calls : tuple
        Keras' nodes, from that of the outermost nested model to that of the layer itself.
    """

    name: str
    shape: tuple[int | None, ...]
    sources: tuple[str, ...]
    calls: tuple[Any, ...]

    @property
    def layer(self) -> Any:
        """The user's own layer. A nested model stands behind its parts, as the step that they make up."""
        return self.calls[-1].operation

    @property
    def kind(self) -> str:
        """Class of the layer."""
        return type(self.layer).__name__

    @property
    def tensors(self) -> list[tuple[list[keras.KerasTensor], keras.KerasTensor]]:
        """Symbolic (inputs, output) of each call on the way in, each in the model around it."""
        return [(list(call.input_tensors), call.outputs[0]) for call in self.calls]


#: What a network is made of does not change; its layers do not hold it.
_LAYERS: weakref.WeakKeyDictionary[Any, dict[str, NetworkLayer]] = weakref.WeakKeyDictionary()


def network_layers(network: keras.Model) -> dict[str, NetworkLayer]:
    """List the network layers of a model, those of nested models included.

    Parameters
    ----------
    network : keras.Model
        Functional or sequential, with one input.

    Returns
    -------
    dict of str to NetworkLayer
        By name, in the order of the pass.

    Raises
    ------
    ValueError
        The network keeps its graph to itself, or has several inputs. Those inside may.

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
    """Find one network layer."""
    layers = network_layers(network)
    if name in layers:
        return layers[name]
    found = [layer for layer in layers.values() if layer.layer.name == name]
    if len(found) != 1:
        among = [layer.name for layer in found] or list(layers)
        raise ValueError(message(f"a network layer among {', '.join(among)}", "", network_layer=name))
    return found[0]


def feature_maps(network: keras.Model) -> NetworkLayer:
    """Find the last feature maps: what the head of a network averages or flattens.

    Parameters
    ----------
    network : keras.Model
        Functional or sequential.

    Returns
    -------
    NetworkLayer
        The last, in the order of running, whose output has a grid of more than one cell.

    Raises
    ------
    ValueError
        There is none.
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
    """Walk backwards from the output, layer by layer, through nested models."""
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
    """Give the layer that made a symbolic tensor, and what it was made of."""
    call = _call(tensor)
    return call.operation, list(call.input_tensors)


def refuse_squashed(logits: Any) -> None:
    """Refuse an output that is squashed: gradients of a saturated softmax vanish."""
    operation = logits.op
    while operation.type in _PASSING:
        operation = operation.inputs[0].op
    if operation.type in _SQUASHING:
        raise ValueError(
            message(
                "a network that ends in logits",
                "Rebuild its last layer without an activation.",
                last_operation=operation.type,
                name=operation.name,
            )
        )


def is_functional(operation: Any) -> bool:
    """Say whether a layer is a model whose graph can be read."""
    return isinstance(operation, keras.Model) and hasattr(
        getattr(operation, "_functional", None) or operation, "_run_through_graph"
    )


def functional(network: keras.Model) -> Any:
    """Give the functional model that a network is, or that a sequential one holds."""
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
    """Number the name of a layer that is called again."""
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
    """List the layers of a model that reads the steps `read`, in the order in which Keras runs them."""
    graph = functional(network)
    origin = {id(tensor): name for tensor, name in zip(graph.inputs, read, strict=True)}
    by_depth = graph._nodes_by_depth
    for call in (call for depth in sorted(by_depth, reverse=True) for call in by_depth[depth]):
        known = all(id(tensor) in origin for tensor in call.input_tensors)
        if call.is_input or not known:  # Keras passes these over too
            continue
        sources = tuple(origin[id(tensor)] for tensor in call.input_tensors)
        name = unused(f"{prefix}{call.operation.name}", found)
        calls = (*outer, call)
        if is_functional(call.operation):
            _walk(call.operation, found, prefix=f"{name}/", read=sources, outer=calls)
        origin.update((id(tensor), name) for tensor in call.outputs)
        if len(call.outputs) == 1:  # of several there is no one array to show
            found[name] = NetworkLayer(name, tuple(call.outputs[0].shape[1:]), sources, calls)


def _by_calls(network: keras.Model) -> dict[tuple[Any, ...] | None, NetworkLayer]:
    return {layer.calls: layer for layer in network_layers(network).values()}


def _call(tensor: keras.KerasTensor) -> Any:
    """Give the node that made a symbolic tensor."""
    history = tensor._keras_history
    return history.operation._inbound_nodes[history.node_index]


def _last_maps(tensor: keras.KerasTensor, outer: tuple[Any, ...]) -> tuple[Any, ...] | None:
    """Search backwards from a tensor, the nearest first."""
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
