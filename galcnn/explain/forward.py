"""A network run once, with every network layer's output at hand, nested models included.

The pass goes through the user's own layers and leaves no trace in them: nothing is cloned, no
node is added to their graph. Functions are compiled once for each network and question, and are
released with the network.
"""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from galcnn.errors import message

__all__ = ["NetworkLayer", "compiled", "forward", "network_layer", "network_layers", "outputs", "upright"]

_BATCH = 64

# The functions close over a weak reference: one that held its network would keep the key alive.
_COMPILED: weakref.WeakKeyDictionary[Any, dict[Hashable, Callable[..., Any]]] = weakref.WeakKeyDictionary()
#: What a network is made of does not change; its layers do not hold it.
_LAYERS: weakref.WeakKeyDictionary[Any, dict[str, NetworkLayer]] = weakref.WeakKeyDictionary()


@dataclass(frozen=True, eq=False)
class NetworkLayer:
    """One step of a network's forward pass.

    Attributes
    ----------
    name : str
        Unique: the layer's own name, after those of the nested models around it
        (``network/conv1_1``); a layer that is called again is numbered (``conv#2``).
    layer : keras.layers.Layer
        The user's own. A nested model stands behind its parts, as the step that they make up.
    shape : tuple of int or None
        Of the output, without the batch: (cells_y, cells_x, channels) or (units,).
    sources : tuple of str
        Names of the steps that it reads; ``input`` for the images.
    """

    name: str
    layer: keras.layers.Layer
    shape: tuple[int | None, ...]
    sources: tuple[str, ...]

    @property
    def kind(self) -> str:
        """Class of the layer."""
        return type(self.layer).__name__


def forward(network: keras.Model, images: Any, *, training: bool = False) -> tuple[Any, dict[str, Any]]:
    """Run a network and keep what each network layer gives.

    Parameters
    ----------
    network : keras.Model
        Functional or sequential, with one input and one output.
    images : tensor
        Shape (n, ny, nx, n_bands).
    training : bool
        Whether batches are normalised by themselves and dropout draws; in inference mode nothing
        in the network changes.

    Returns
    -------
    output : tensor
        Of the network.
    seen : dict of str to tensor
        By name, in the order of the pass; see `NetworkLayer`.

    Raises
    ------
    TypeError
        The network keeps its graph to itself.
    """
    recorder = _Recorder(training)
    return recorder.run(network, images, ""), recorder.seen


def upright(values: Any, images: Any) -> Any:
    """Keep what belongs to the images as they stand, in a layer that sees them in several orientations.

    Parameters
    ----------
    values : tensor
        What a layer gives, or its gradient: one row an image, or more where
        `galcnn.model.orientations.Orientations` lies before it, the images as they stand first.
    images : tensor
        Shape (n, ny, nx, n_bands).

    Returns
    -------
    tensor
        The first n rows.
    """
    return values[: images.shape[0] if images.shape[0] is not None else tf.shape(images)[0]]


def network_layers(network: keras.Model) -> dict[str, NetworkLayer]:
    """List the network layers of a model, those of nested models included.

    Parameters
    ----------
    network : keras.Model
        Functional or sequential, with one input and one output.

    Returns
    -------
    dict of str to NetworkLayer
        By name, in the order of the pass.

    Raises
    ------
    TypeError
        The network keeps its graph to itself.

    Examples
    --------
    >>> from galcnn.model import NetworkSettings, build_network
    >>> network = build_network((16, 16, 3), 2, settings=NetworkSettings(widths=(4,), depth=1, stem=0))
    >>> [(layer.name, layer.shape) for layer in network_layers(network).values()][:2]
    [('conv1_1', (16, 16, 4)), ('conv1_1_batchnorm', (16, 16, 4))]
    """
    if network in _LAYERS:
        return dict(_LAYERS[network])
    recorder = _Recorder()
    # Traced and thrown away: no array is computed to learn the shapes.
    trace = tf.function(lambda images: recorder.run(network, images, ""))
    trace.get_concrete_function(tf.TensorSpec((None, *network.input_shape[1:]), tf.float32))
    _LAYERS[network] = {
        name: NetworkLayer(name, recorder.layers[name], tuple(output.shape[1:]), recorder.sources[name])
        for name, output in recorder.seen.items()
    }
    return dict(_LAYERS[network])


def network_layer(network: keras.Model, name: str) -> NetworkLayer:
    """Find one network layer by its name.

    Parameters
    ----------
    network : keras.Model
        See `network_layers`.
    name : str
        Such as ``conv1_1`` or ``network/conv1_1``.

    Returns
    -------
    NetworkLayer
        Of this name.

    Raises
    ------
    ValueError
        There is none.
    """
    layers = network_layers(network)
    if name not in layers:
        raise ValueError(message(f"a network layer among {', '.join(layers)}", "", network_layer=name))
    return layers[name]


def outputs(network: keras.Model, images: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Call a network as any user would, by no way that an explanation takes.

    Parameters
    ----------
    network : keras.Model
        Any; in inference mode.
    images : numpy.ndarray
        Shape (n, ny, nx, n_bands).

    Returns
    -------
    numpy.ndarray
        float32, shape (n, n_classes).
    """
    # Called, not predicted: Keras' predict compiles a function for every model it is used on.
    found = [
        keras.ops.convert_to_numpy(network(images[start : start + _BATCH], training=False))
        for start in range(0, len(images), _BATCH)
    ]
    return np.concatenate(found).astype(np.float32)


def compiled(
    network: keras.Model,
    question: Hashable,
    build: Callable[[Callable[[], keras.Model]], Callable[..., Any]],
    *,
    signature: Sequence[tf.TensorSpec],
) -> Callable[..., Any]:
    """Compile a function of a network once, and keep it for as long as the network lives.

    Parameters
    ----------
    network : keras.Model
        The key; held weakly.
    question : hashable
        What is computed: one function for each.
    build : callable
        Gives the function, from a weak reference to the network.
    signature : sequence of tf.TensorSpec
        Of the function's arguments: with None for the batch, so that one trace serves all.

    Returns
    -------
    callable
        A `tf.function`.
    """
    functions = _COMPILED.setdefault(network, {})
    if question not in functions:
        # Without autograph, which would wrap what a trace refuses into pages of its own.
        functions[question] = tf.function(
            # A partial has no code of its own: TensorFlow counts traces by code, and would warn of
            # "retracing" when several networks or layers are asked the same question.
            functools.partial(build(weakref.ref(network))),
            input_signature=list(signature),
            autograph=False,
        )
    return functions[question]


class _Recorder:
    def __init__(self, training: bool = False) -> None:
        self.training = training
        self.seen: dict[str, Any] = {}
        self.layers: dict[str, keras.layers.Layer] = {}
        self.sources: dict[str, tuple[str, ...]] = {}
        self._origin: dict[int, str] = {}

    def run(self, model: keras.Model, inputs: Any, prefix: str) -> Any:
        graph = _graph(model)

        def step(operation: Any) -> Callable[..., Any]:
            def call(*args: Any, **kwargs: Any) -> Any:
                name = self._unused(f"{prefix}{operation.name}")
                sources = tuple(
                    self._origin.get(id(x), "input") for x in keras.tree.flatten(args) if _is_tensor(x)
                )
                if isinstance(operation, keras.Model) and _graph_or_none(operation) is not None:
                    output = self.run(operation, args[0], f"{name}/")
                elif "training" in getattr(operation, "_call_context_args", {}):
                    output = operation(*args, **(kwargs | {"training": self.training}))
                else:
                    output = operation(*args, **kwargs)
                self._keep(name, operation, output, sources)
                return output

            return call

        outputs = graph._run_through_graph(graph._standardize_inputs(inputs), operation_fn=step)
        return outputs[0] if isinstance(outputs, list | tuple) and len(outputs) == 1 else outputs

    def _keep(self, name: str, operation: Any, output: Any, sources: tuple[str, ...]) -> None:
        if not _is_tensor(output):  # several outputs: no one array to show
            return
        self.seen[name], self.layers[name], self.sources[name] = output, operation, sources
        self._origin[id(output)] = name

    def _unused(self, name: str) -> str:
        number, free = 2, name
        while free in self.seen:
            free, number = f"{name}#{number}", number + 1
        return free


def _is_tensor(value: Any) -> bool:
    return bool(keras.ops.is_tensor(value))


def _graph_or_none(model: keras.Model) -> Any:
    """The functional graph of a model; a sequential one keeps its own inside."""
    graph = getattr(model, "_functional", None) or model
    return graph if hasattr(graph, "_run_through_graph") else None


def _graph(model: keras.Model) -> Any:
    graph = _graph_or_none(model)
    if graph is None or len(graph.inputs) != 1:
        raise TypeError(
            message(
                "a functional or sequential model with one input",
                "Build it as keras.Model(inputs, outputs).",
                network=model.name,
                kind=type(model).__name__,
            )
        )
    return graph
