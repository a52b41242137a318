"""Inside a network: its layers by address, and who made a tensor.

Keras' public `layer.output` is the tensor of a layer's first call, which for a nested model is
one of its own and not of the model around it, and a model cut open by `keras.Model` from a
tensor inside gets copies of the layers' nodes. So the graph is read from its nodes, without
running it; `galcnn.explain.forward` runs it, and names the layers alike.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import keras

from galcnn.errors import message

__all__ = [
    "Location",
    "feature_maps",
    "find",
    "locations",
    "producer",
    "refuse_squashed",
    "upstream",
]

#: Operations of TensorFlow that leave values as they are.
_PASSING = {"Cast", "Identity", "Reshape", "Squeeze", "ExpandDims"}
_SQUASHING = {
    "Elu", "Erf", "Exp", "LeakyRelu", "LogSoftmax", "Relu", "Relu6", "Selu", "Sigmoid", "Softmax", "Softplus",
    "Softsign", "Tanh",
}  # fmt: skip


@dataclass(frozen=True)
class Location:
    """A layer and the nested models it lies in.

    Attributes
    ----------
    path : tuple of keras layers
        From the outermost nested model to the layer itself; of one that is called several times,
        its first call is meant.
    """

    path: tuple[Any, ...]

    @property
    def address(self) -> str:
        """Names joined by slashes, such as ``network/conv3_1``."""
        return "/".join(step.name for step in self.path)

    @property
    def layer(self) -> Any:
        """The layer itself."""
        return self.path[-1]

    def tensors(self, network: keras.Model) -> list[tuple[list[Any], Any]]:
        """Give the symbolic tensors on the way in.

        Parameters
        ----------
        network : keras.Model
            The outermost model.

        Returns
        -------
        list of (inputs, output)
            For each step of the path, as it is called in the model around it.
        """
        found, model = [], network
        for step in self.path:
            nodes = [node for node in _nodes_in_order(model) if node.operation is step]
            found.append((list(nodes[0].input_tensors), nodes[0].outputs[0]))
            model = step
        return found


def producer(tensor: keras.KerasTensor) -> tuple[Any, list[keras.KerasTensor]]:
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


def locations(network: keras.Model) -> Iterator[Location]:
    """Walk through the layers in the order in which they are run, those of nested models included.

    Parameters
    ----------
    network : keras.Model
        Of a subclassed model nothing is seen.

    Yields
    ------
    Location
        A nested model comes after what lies in it.
    """
    if not _is_graph(network):
        return
    seen = set()
    for operation in (node.operation for node in _nodes_in_order(network)):
        if id(operation) in seen:
            continue
        seen.add(id(operation))
        if _is_graph(operation):
            for inner in locations(operation):
                yield Location((operation, *inner.path))
        yield Location((operation,))


def find(network: keras.Model, name: str) -> Location:
    """Find a layer.

    Parameters
    ----------
    network : keras.Model
        Functional or sequential.
    name : str
        Its name, or its address where several have the same.

    Returns
    -------
    Location
        Of the layer.

    Raises
    ------
    ValueError
        None or several of this name.
    """
    _require_graph(network)
    known = list(locations(network))
    found = [x for x in known if x.address == name] or [x for x in known if x.layer.name == name]
    if len(found) != 1:
        raise ValueError(
            message(
                "the name of one layer of the network",
                "Give its address, names joined by slashes." if found else "Check the spelling.",
                network_layer=name,
                known=[x.address for x in (found or known)],
            )
        )
    return found[0]


def feature_maps(network: keras.Model) -> Location:
    """Find the last feature maps: what the head of a network averages or flattens.

    Parameters
    ----------
    network : keras.Model
        Functional or sequential.

    Returns
    -------
    Location
        The last layer, in the order of running, whose output has a grid of more than one cell.

    Raises
    ------
    ValueError
        There is none.
    """
    _require_graph(network)
    location = _last_maps(network.outputs[0])
    if location is None:
        raise ValueError(
            message(
                "a network with feature maps of shape (n, ny, nx, n_features)",
                "Use another method, e.g. saliency.",
                network=network.name,
                layers=[x.address for x in locations(network)],
            )
        )
    return location


def upstream(network: keras.Model) -> Iterator[Location]:
    """Walk backwards from the output, layer by layer, through nested models.

    Parameters
    ----------
    network : keras.Model
        Functional or sequential.

    Yields
    ------
    Location
        Ends at the input, or where branches meet.
    """
    _require_graph(network)
    branches: list[bool] = []

    def walk(model: Any, path: tuple[Any, ...]) -> Iterator[Location]:
        layer, sources = producer(model.outputs[0])
        while sources and not branches:
            if _is_graph(layer):
                yield from walk(layer, (*path, layer))
            else:
                yield Location((*path, layer))
            if len(sources) > 1:
                branches.append(True)
            layer, sources = producer(sources[0])

    yield from walk(network, ())


def refuse_squashed(logits: Any) -> None:
    """Refuse an output that is squashed: gradients of a saturated softmax vanish.

    Parameters
    ----------
    logits : tensorflow.Tensor
        Output of a network, in a graph that is being traced. What counts is the operation that
        made it, however the layer that holds it is spelled.

    Raises
    ------
    ValueError
        It was made by a softmax, a sigmoid or the like.
    """
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


def _last_maps(tensor: Any) -> Location | None:
    """Search backwards from a tensor, the nearest first."""
    queue = [tensor]
    for current in queue:
        layer, sources = producer(current)
        if not sources:
            continue
        inner = _last_maps(layer.outputs[0]) if _is_graph(layer) else None
        if inner is not None:
            return Location((layer, *inner.path))
        shape = current.shape
        if len(shape) == 4 and any(side != 1 for side in shape[1:3]):
            return Location((layer,))
        queue += [source for source in sources if not any(source is known for known in queue)]
    return None


def _graph(model: Any) -> Any:
    """A sequential model holds a functional one."""
    return getattr(model, "_functional", None) or model


def _is_graph(operation: Any) -> bool:
    return isinstance(operation, keras.Model) and hasattr(_graph(operation), "_run_through_graph")


def _require_graph(network: keras.Model) -> None:
    if not _is_graph(network):
        raise ValueError(
            message(
                "a functional or sequential Keras model, whose layers can be seen",
                "Build the network with the functional API, or use a method of gradients, e.g. saliency.",
                network=network.name,
                kind=type(network).__name__,
            )
        )


def _nodes_in_order(model: Any) -> list[Any]:
    by_depth = _graph(model)._nodes_by_depth
    return [node for depth in sorted(by_depth, reverse=True) for node in by_depth[depth] if not node.is_input]
