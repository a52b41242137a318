"""Any Keras network as one functional model: without nested or subclassed models, channels last.

Explanations read the layers of a network, and take feature maps as (ny, nx, n_channels). The layers are
therefore called once more on new symbolic tensors, copies with the same weights: nested models give their
layers, and a subclassed model or layer gives those that its `call` runs. A layer that reads channels first
becomes the same layer for channels last.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from galcnn.errors import message
from galcnn.model.build import LOGITS
from galcnn.model.graph import functional, is_functional
from galcnn.model.weights import give_weights

#: Layers and operations that treat each number by itself, or numbers at the same place of their inputs.
_ELEMENTWISE = {
    "Activation", "ActivityRegularization", "Add", "AlphaDropout", "Average", "Dropout", "ELU",
    "GaussianDropout", "GaussianNoise", "Identity", "LeakyReLU", "Maximum", "Minimum", "Multiply", "ReLU",
    "Rescaling", "Subtract", "Abs", "Arcsinh", "Arctan", "Cast", "Clip", "Divide", "Elu", "Exp", "Expm1",
    "Gelu",
    "HardSigmoid", "HardSilu", "HardTanh", "LeakyRelu", "Log", "Log10", "Log1p", "Log2", "LogSigmoid",
    "Negative", "Power", "Relu", "Relu6", "Selu", "Sigmoid", "Sign", "Silu", "Softplus", "Softsign", "Sqrt",
    "Square", "Tanh", "TrueDivide",
}  # fmt: skip
#: Operations that combine numbers along the axes that they name.
_ALONG_AXES = {
    "BatchNormalization", "Concatenate", "GroupNormalization", "LayerNormalization", "LogSoftmax", "Max",
    "Mean", "Min", "Normalization", "RMSNormalization", "Softmax", "Std", "Sum", "UnitNormalization", "Var",
}  # fmt: skip
#: Axis of an image with channels first -> the same axis with channels last.
_AXES = {0: 0, 1: 3, 2: 1, 3: 2}


def unfolded(
    network: keras.Model, image_shape: tuple[int, int, int], *, channels_first: bool = False
) -> keras.Model:
    """Return a functional copy of a network whose layers are all at one level.

    Parameters
    ----------
    network : keras.Model
        Sequential, functional or subclassed network of one input and one output, which may be nested.
    image_shape : tuple of int
        Shape of an image of the copy, (ny, nx, n_bands).
    channels_first : bool
        If True, `network` reads images of shape (n_bands, ny, nx). The copy reads channels last.

    Returns
    -------
    keras.Model
        Copy that reads float32 images and takes part in no other model. No layer is named ``logits``.

    Raises
    ------
    ValueError
        If a layer cannot be brought into this form; the message names it.
    """
    inputs = keras.Input(image_shape, name="stretched", dtype="float32")
    copying = _Copying()
    if channels_first:
        copying.turned[id(inputs)] = inputs
    return keras.Model(inputs, copying.run(network, [inputs]), name=network.name)


class _Copying:
    """Copies of the layers of a network, and which tensors have their channels elsewhere than in it."""

    def __init__(self) -> None:
        self.names = {LOGITS, "stretched"}
        self.copies: dict[int, Any] = {}
        self.turned: dict[int, Any] = {}  # the tensors too, whose ids would be used again

    def run(self, network: Any, inputs: list[Any], **kwargs: Any) -> Any:
        """Call the layers of a model, or of a subclassed model or layer, on new tensors."""
        graph = functional(network) if is_functional(network) else self._traced(network, inputs, kwargs)
        found = graph._run_through_graph(inputs, operation_fn=self._step)
        return found[0] if isinstance(found, list | tuple) and len(found) == 1 else found

    def _step(self, operation: Any) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            tensors = [one for one in keras.tree.flatten((args, kwargs)) if keras.ops.is_tensor(one)]
            tensors += [
                one for one in keras.tree.flatten((args, kwargs)) if isinstance(one, keras.KerasTensor)
            ]
            if is_functional(operation) or (
                not _is_of_keras(operation) and self._can_be_traced(operation, tensors)
            ):
                return self.run(operation, tensors, **_training(kwargs))
            if any(id(tensor) in self.turned for tensor in tensors):
                return self._call_turned(operation, args, kwargs, tensors)
            if type(operation).__name__ == "Reshape" and self.turned and (to := _single_cell(operation)):
                return self._kept(self._copied(operation, target_shape=to)(*args, **kwargs))
            return self._copied(operation)(*args, **kwargs)

        return call

    def _call_turned(self, operation: Any, args: Any, kwargs: Any, tensors: list[Any]) -> Any:
        """Call the channels-last form of a layer that reads channels first."""
        kind, first = type(operation).__name__, tensors[0]
        if not all(id(one) in self.turned for one in tensors if len(one.shape) == 4):
            raise self._no_form(operation, "it joins channels first and channels last")
        if kind == "Permute" and tuple(operation.dims) == (2, 3, 1):
            return keras.layers.Identity(name=self._name(operation.name))(first)
        if kind in ("Flatten", "Reshape"):
            return self._flattened(operation, first)
        changes: dict[str, Any] = {}
        if kind in _ALONG_AXES:
            changes["axis"] = _turned_axes(operation.axis)
        elif kind not in _ELEMENTWISE or getattr(operation, "activation", None) in _OVER_CHANNELS:
            layout = getattr(operation, "data_format", None)
            if layout is None:
                raise self._no_form(operation, "galcnn does not know what it does with the axes")
            if layout != "channels_first":
                raise self._no_form(operation, "its data_format is channels_last")
            changes["data_format"] = "channels_last"
        found = self._copied(operation, **changes)(*args, **kwargs)
        return self._kept(found) if len(found.shape) == 4 else found

    def _flattened(self, operation: Any, tensor: Any) -> Any:
        """Return the output of a layer that flattens feature maps, in the order of channels first."""
        y, x, channels = tensor.shape[1:]
        if getattr(operation, "data_format", None) != "channels_first":  # Keras moves the axis of this one
            # In three axes: what has four is taken for feature maps.
            cells = keras.layers.Reshape((y * x, channels), name=self._name("cells"))(tensor)
            tensor = keras.layers.Permute((2, 1), name=self._name("channels_first"))(cells)
        if isinstance(operation, keras.layers.Flatten):
            return self._copied(operation, data_format="channels_last")(tensor)
        if len(operation.target_shape) == 3:
            raise self._no_form(operation, "it gives feature maps another shape")
        return self._copied(operation)(tensor)

    def _kept(self, tensor: Any) -> Any:
        self.turned[id(tensor)] = tensor
        return tensor

    def _copied(self, operation: Any, **changes: Any) -> Callable[..., Any]:
        """Return a function that calls the copy of a layer, which gets the weights of the layer."""
        if isinstance(operation, keras.layers.Lambda):
            raise _untraceable(operation, "it holds code")
        if id(operation) not in self.copies:
            config = operation.get_config() | changes | {"name": self._name(operation.name)}
            self.copies[id(operation)] = operation, type(operation).from_config(config)
        copy = self.copies[id(operation)][1]

        def call(*args: Any, **kwargs: Any) -> Any:
            found = copy(*args, **kwargs)
            if isinstance(operation, keras.layers.Layer):
                give_weights(copy, operation)
                copy.trainable = operation.trainable
            return found

        return call

    def _name(self, wanted: str) -> str:
        name, number = wanted, 2
        while name in self.names:
            name, number = f"{wanted}_{number}", number + 1
        self.names.add(name)
        return name

    def _can_be_traced(self, layer: Any, tensors: list[Any]) -> bool:
        """Return True if a custom layer is nothing but layers and operations of Keras."""
        try:
            graph = self._traced(layer, tensors, {})
        except ValueError:
            if any(id(tensor) in self.turned for tensor in tensors):
                raise
            return False
        return is_functional(graph)

    def _traced(self, layer: Any, inputs: list[Any], kwargs: dict[str, Any]) -> keras.Model:
        """Return the functional model of what a subclassed model or layer does with its inputs."""
        shapes = [self._original_shape(tensor) for tensor in inputs]
        fresh = [keras.Input(shape, dtype=one.dtype) for shape, one in zip(shapes, inputs, strict=True)]
        if "training" in inspect.signature(layer.call).parameters:
            kwargs = {"training": False} | kwargs
        try:
            model = keras.Model(fresh, layer.call(fresh[0] if len(fresh) == 1 else fresh, **kwargs))
        except Exception as error:  # the code of a user may raise anything
            raise _untraceable(layer, f"{type(error).__name__}: {error}") from error
        seen = {id(weight) for weight in model.weights}
        if not all(id(weight) in seen for weight in layer.weights):
            raise _untraceable(layer, "it has weights of its own")
        return model

    def _original_shape(self, tensor: Any) -> tuple[int | None, ...]:
        if id(tensor) not in self.turned:
            return tuple(tensor.shape[1:])
        y, x, channels = tensor.shape[1:]
        return channels, y, x

    def _no_form(self, operation: Any, why: str) -> ValueError:
        return ValueError(
            message(
                "layers that can be brought to channels last, (ny, nx, n_bands)",
                f"For {operation.name!r} this cannot be done: {why}. Build the network for channels last.",
                layer=operation.name,
                kind=type(operation).__name__,
            )
        )


#: Activation functions along the last axis.
_OVER_CHANNELS = (keras.activations.softmax, keras.activations.log_softmax, keras.activations.glu)


def _is_of_keras(operation: Any) -> bool:
    return type(operation).__module__.split(".")[0] == "keras"


def _training(kwargs: dict[str, Any]) -> dict[str, Any]:
    """Return the argument of a call that switches dropout on in prediction too, if it does."""
    return {"training": True} if kwargs.get("training") else {}


def _single_cell(operation: Any) -> tuple[int, int, int] | None:
    """Return (1, 1, n) for a reshape to one cell of n channels, channels first; None for another."""
    shape = tuple(operation.target_shape)
    return (1, 1, shape[0]) if len(shape) == 3 and shape[1:] == (1, 1) else None


def _turned_axes(axis: Any) -> Any:
    if axis is None:
        return None
    turned = [_AXES[one % 4] for one in np.atleast_1d(axis)]
    return turned if isinstance(axis, list | tuple) else turned[0]


def _untraceable(layer: Any, why: str) -> ValueError:
    return ValueError(
        message(
            "a network of Keras' own layers and operations (keras.layers, keras.ops)",
            "Write it with these, or register its class: @keras.saving.register_keras_serializable().",
            layer=layer.name,
            kind=type(layer).__name__,
            reason=why,
        )
    )
