"""Networks that end in probabilities are recognised; their softmax is left out where that is exact.

Softmax of probabilities is no probability, and the gradients of a saturated softmax vanish. A model is
therefore walked backwards from its output. Where the last step that changes values is a softmax, a
log-softmax or a sigmoid, the tensor before it holds the logits. A softmax or sigmoid behind other
steps, such as a mean of several networks, cannot be left out; the model is refused.
"""

from __future__ import annotations

import math
import weakref
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from galcnn.errors import message
from galcnn.model.build import LOGITS
from galcnn.model.forward import outputs, working_dtype
from galcnn.model.graph import functional, is_functional, producer

_SOFTMAX, _SIGMOID = "softmax", "sigmoid"
#: Activation functions that are left out, also as Keras operations and as functions of TensorFlow.
_REMOVED = {
    keras.activations.softmax: _SOFTMAX,
    keras.ops.softmax: _SOFTMAX,
    tf.nn.softmax: _SOFTMAX,
    keras.activations.log_softmax: _SOFTMAX,  # softmax of log p is p
    keras.ops.log_softmax: _SOFTMAX,
    tf.nn.log_softmax: _SOFTMAX,
    keras.activations.sigmoid: _SIGMOID,
    keras.ops.sigmoid: _SIGMOID,
    tf.nn.sigmoid: _SIGMOID,
}
_OPERATIONS = {"Softmax": _SOFTMAX, "LogSoftmax": _SOFTMAX, "Sigmoid": _SIGMOID}
#: Activation functions of Keras that are neither linear nor exactly undone by the softmax.
_BOUNDED = ("hard_sigmoid", "hard_tanh", "log_sigmoid", "sparse_sigmoid", "sparsemax")
#: Layers that change nothing in inference.
PASSIVE = (
    keras.layers.ActivityRegularization,
    keras.layers.AlphaDropout,
    keras.layers.Dropout,
    keras.layers.GaussianDropout,
    keras.layers.GaussianNoise,
    keras.layers.Identity,
    keras.layers.SpatialDropout1D,
    keras.layers.SpatialDropout2D,
    keras.layers.SpatialDropout3D,
)
#: Layers and operations that change the shape only.
_SHAPING = {"ExpandDims", "Flatten", "Reshape", "Squeeze"}
#: Layers whose activation function is their last step.
_WEIGHTED = (
    keras.layers.Conv1D,
    keras.layers.Conv2D,
    keras.layers.Conv3D,
    keras.layers.Dense,
    keras.layers.EinsumDense,
)

#: Models that were found to end in logits, and those whose outputs for random images are no probabilities.
_CHECKED: weakref.WeakSet[keras.Model] = weakref.WeakSet()
_UNNORMALISED: weakref.WeakSet[keras.Model] = weakref.WeakSet()


class Ending(NamedTuple):
    """A model that ends in logits, and what was left out of its end: ``softmax``, ``sigmoid`` or nothing.

    `split` is True if one logit became two.
    """

    model: keras.Model
    removed: str = ""
    split: bool = False

    @property
    def note(self) -> str:
        """Sentence that says what was left out; empty if nothing was."""
        if not self.removed:
            return ""
        two = ": -z/2 for the first class, z/2 for the second" if self.split else ""
        return f"the {self.removed} at the end of the network is left out, what enters it is the logits{two}"


def ending_in_logits(
    model: keras.Model,
    image_shape: tuple[int, ...] | None = None,
    *,
    binary: bool = False,
    exclusive: bool = False,
) -> Ending:
    """Return a model that ends in logits: the model itself, or a copy that shares its layers.

    Parameters
    ----------
    model : keras.Model
        Model of one input and one output.
    image_shape : tuple of int, optional
        Shape of an image, for a model that does not state it.
    binary : bool
        If True, one logit z that enters a sigmoid becomes the two logits (-z / 2, z / 2), whose softmax is
        (1 - sigmoid(z), sigmoid(z)).
    exclusive : bool
        If True, probabilities will be the softmax of the logits, and other sigmoids are refused: those of
        several classes are not the softmax of any logits.

    Returns
    -------
    Ending
        The model that ends in logits, and what was left out.

    Raises
    ------
    ValueError
        If the model ends in probabilities in a way that cannot be undone exactly.
    """
    found = Ending(model)
    if is_functional(model) and len(functional(model).inputs) == len(functional(model).outputs) == 1:
        graph = functional(model)
        if (bare := _bare(graph.outputs[0], binary)) is not None:
            logits, removed = bare
            split = _numbers(logits.shape) != _numbers(graph.outputs[0].shape)
            if exclusive and removed == _SIGMOID and not split:
                raise ValueError(
                    message(
                        "a network of classes that exclude each other, which ends in logits or a softmax",
                        "Train it with a softmax: its sigmoids are not the softmax of any logits.",
                        ends_in="one sigmoid for each class",
                        model=model.name,
                    )
                )
            found = Ending(keras.Model(graph.inputs[0], logits, name=model.name), removed, split)
        if _is_linear(functional(found.model).outputs[0]):
            return found
    check_ends_in_logits(found.model, image_shape)
    return found


def check_ends_in_logits(network: keras.Model, image_shape: tuple[int, ...] | None = None) -> None:
    """Raise if the network does not end in logits, by its operations or its outputs for random images."""
    shape = image_shape
    if shape is None and getattr(network, "inputs", None) and isinstance(network.input_shape, tuple):
        shape = network.input_shape[1:]
    if network in _CHECKED or shape is None:
        return
    floats = working_dtype(network)

    def run(images: Any) -> Any:
        with keras.StatelessScope():
            logits = network(images, training=False)
        if tf.is_tensor(logits):  # several outputs are refused where they are used
            refuse_squashed(logits, images)
        return logits

    traced = tf.function(run, autograph=False).get_concrete_function(tf.TensorSpec((None, *shape), floats))
    if tf.is_tensor(traced.structured_outputs) and None not in shape:
        refuse_normalised(network, shape)
    _CHECKED.add(network)


def _bare(tensor: Any, binary: bool) -> tuple[Any, str] | None:
    """Return the symbolic logits behind a tensor and what was left out; None if nothing can be."""
    layer, inputs = producer(tensor)
    if len(inputs) != 1 and not is_functional(layer):
        return None
    if is_functional(layer):
        inner = functional(layer)
        found = _bare(inner.outputs[tensor._keras_history.tensor_index], binary)
        if found is None:
            return None
        part = keras.Model(inner.inputs, found[0], name=layer.name)
        return part(inputs if len(inputs) > 1 else inputs[0]), found[1]
    if _changes_nothing(layer) or _changes_shape(layer, tensor, inputs[0]):
        found = _bare(inputs[0], binary)
        if found is None or not _changes_shape(layer, tensor, inputs[0]):
            return found
        flat = len(tensor.shape) == 2
        return (keras.layers.Flatten() if flat else keras.layers.Reshape(tensor.shape[1:]))(found[0]), found[
            1
        ]
    removed = _last_step(layer, tensor)
    if not removed:
        return None
    two = binary and removed == _SIGMOID and _numbers(tensor.shape) == 1
    if type(layer) in _WEIGHTED:
        logits = _linear(layer, inputs[0], name=layer.name, two=two)
    else:
        logits = inputs[0]
        before, above = producer(logits)
        last = layer.name == LOGITS  # by this name the last layer of a network is found
        if type(before) in _WEIGHTED and _activation(before) == "linear" and (two or last):
            logits = _linear(before, above[0], name=layer.name if last else before.name, two=two)
        elif two:
            halves = keras.initializers.Constant(np.array([[-0.5, 0.5]]))
            logits = keras.layers.Dense(2, use_bias=False, kernel_initializer=halves, name=layer.name)(logits)
        elif last:
            logits = keras.layers.Activation("linear", name=LOGITS)(logits)
    if logits.dtype != tensor.dtype:
        logits = keras.layers.Activation("linear", dtype=tensor.dtype)(logits)
    return logits, removed


def _linear(layer: Any, inputs: Any, *, name: str, two: bool) -> Any:
    """Return the output of a copy of a layer without its activation function, of two logits if wanted."""
    config = layer.get_config() | {"activation": "linear", "name": name}
    weights = layer.get_weights()
    if two and isinstance(layer, keras.layers.Dense):
        config |= {"units": 2, "kernel_constraint": None, "bias_constraint": None}
        weights = [np.concatenate([-one / 2, one / 2], axis=-1) for one in weights]
    copy = type(layer).from_config(config)
    output = copy(inputs)
    copy.set_weights(weights)
    if two and not isinstance(layer, keras.layers.Dense):
        halves = keras.initializers.Constant(np.array([[-0.5, 0.5]]))
        return keras.layers.Dense(2, use_bias=False, kernel_initializer=halves)(output)
    return output


def _changes_nothing(layer: Any) -> bool:
    if type(layer) is keras.layers.Rescaling:
        return bool(np.all(np.equal(layer.scale, 1)) and np.all(np.equal(layer.offset, 0)))
    if type(layer) is keras.layers.Activation:
        return _activation(layer) == "linear"
    return type(layer) in PASSIVE


def _changes_shape(layer: Any, output: Any, source: Any) -> bool:
    """Return True for a layer or operation that keeps all numbers of an image and their order."""
    own = type(layer).__module__.startswith("keras.src.")
    shaping = own and type(layer).__name__ in _SHAPING
    return shaping and _numbers(output.shape) == _numbers(source.shape) is not None


def _last_step(layer: Any, tensor: Any) -> str:
    """Return which function over all classes a layer or operation ends in; empty if in none of them."""
    if type(layer) is keras.layers.Softmax:
        return _SOFTMAX if _over_all(tensor.shape, layer.axis) else ""
    if type(layer).__module__ == "keras.src.ops.nn":
        found = _OPERATIONS.get(type(layer).__name__, "")
        return found if found != _SOFTMAX or _over_all(tensor.shape, layer.axis) else ""
    if type(layer) in (keras.layers.Activation, *_WEIGHTED):
        found = _activation(layer)
        if found in _BOUNDED:
            raise _refused(found, layer.name)
        return found if found == _SIGMOID or (found == _SOFTMAX and _over_all(tensor.shape, -1)) else ""
    return ""


def _activation(layer: Any) -> str:
    function = layer.activation
    if function is None or function is keras.activations.linear:
        return "linear"
    for name in _BOUNDED:
        if function is getattr(keras.activations, name):
            return name
    return _REMOVED.get(function, "") if _is_hashable(function) else ""


def _is_hashable(value: Any) -> bool:
    return getattr(type(value), "__hash__", None) is not None


def _over_all(shape: tuple[int | None, ...], axis: Any) -> bool:
    """Return True if these axes hold all numbers of an image: one softmax for all classes."""
    axes = {one % len(shape) for one in (axis if isinstance(axis, list | tuple) else [axis])}
    others = [side for i, side in enumerate(shape) if i and i not in axes]
    return 0 not in axes and all(side == 1 for side in others)


def _numbers(shape: tuple[int | None, ...]) -> int | None:
    return None if None in shape[1:] else math.prod(side or 0 for side in shape[1:])


def _is_linear(tensor: Any) -> bool:
    """Return True if the layers alone show that a tensor is a linear function of features."""
    layer, inputs = producer(tensor)
    if is_functional(layer):
        return _is_linear(functional(layer).outputs[tensor._keras_history.tensor_index])
    if len(inputs) == 1 and (_changes_nothing(layer) or _changes_shape(layer, tensor, inputs[0])):
        return _is_linear(inputs[0])
    if type(layer) not in _WEIGHTED or _activation(layer) != "linear":
        return False
    before, _ = producer(inputs[0])
    return not _last_step(before, inputs[0])  # its weights may do no more than mix probabilities


def _refused(found: str, where: str) -> ValueError:
    return ValueError(
        message(
            "a network that ends in logits",
            "Rebuild its last layer without an activation.",
            last_operation=found,
            name=where,
        )
    )


def refuse_normalised(network: keras.Model, image_shape: tuple[int, ...]) -> None:
    """Raise if the outputs for random images are positive and have one sum, or are logarithms of such."""
    if network in _UNNORMALISED:
        return
    if not (is_functional(network) and _is_linear(functional(network).outputs[0])):
        _compare_sums(network, image_shape)
    _UNNORMALISED.add(network)


def _compare_sums(network: keras.Model, image_shape: tuple[int, ...]) -> None:
    scales = np.geomspace(0.01, 100, 8).reshape(-1, *[1] * len(image_shape))
    images = np.random.default_rng(0).normal(size=(8, *image_shape)) * scales
    found = outputs(network, images.astype(working_dtype(network))).astype(np.float64)
    if found.ndim != 2 or found.shape[1] < 2 or not np.isfinite(found).all() or np.ptp(found) == 0:
        return
    if np.ptp(found, axis=0).max() <= 1e-6 * np.abs(found).max():  # one answer to all images
        return
    with np.errstate(over="ignore"):
        logarithms = np.exp(found).sum(axis=1)
    for kind, sums in (("probabilities", found.sum(axis=1)), ("logarithms of probabilities", logarithms)):
        possible = (found >= 0).all() if kind == "probabilities" else abs(sums.mean() - 1) < 1e-3
        if possible and np.ptp(sums) < 1e-3 * sums.mean():
            raise _refused(f"{kind}, whose sum is {sums.mean():.4g} for any image", network.name)


#: TensorFlow operations that do not change values.
_SAME = {
    "Cast", "CheckNumerics", "EnsureShape", "ExpandDims", "Identity", "IdentityN", "PreventGradient",
    "Reshape", "Snapshot", "Squeeze", "StopGradient", "Transpose",
}  # fmt: skip
#: Operations that are refused as the last one.
_SQUASHING = {
    "Elu", "Erf", "Exp", "LeakyRelu", "LogSoftmax", "Relu", "Relu6", "Selu", "Sigmoid", "Softmax", "Softplus",
    "Softsign", "Tanh",
}  # fmt: skip
#: Operations that are refused behind those of `_MIXING` too. A mean of ReLUs, or a scaled tanh, is a logit.
_PROBABILITIES = {"LogSoftmax", "Sigmoid", "Softmax"}
#: Operations on single numbers, and those that select, join or add up numbers without weights.
_MIXING = {
    "Add", "AddN", "AddV2", "AvgPool", "BiasAdd", "BroadcastTo", "Ceil", "ClipByValue", "Concat",
    "ConcatV2", "Div", "DivNoNan", "Exp", "Floor", "GatherNd", "GatherV2", "Log", "Log1p", "Max",
    "MaxPool", "Maximum", "Mean", "Min", "Minimum", "Mul", "MulNoNan", "Neg", "Pack", "Pad", "PadV2",
    "Pow", "Prod", "RealDiv", "Reciprocal", "ReverseV2", "Rint", "Round", "Rsqrt", "Select", "SelectV2",
    "Slice", "Split", "SplitV", "Sqrt", "Square", "StridedSlice", "Sub", "Sum", "Tile", "Unpack", "Xdivy",
}  # fmt: skip
_DIVISIONS = {"Div", "DivNoNan", "RealDiv", "Reciprocal", "Xdivy"}
#: Operations that read the shape of a tensor and not its values.
_SHAPES = {"Rank", "Shape", "Size"}
_BELOW = _SAME | _MIXING
_EXP = {"Exp"}
_CALLS = {"PartitionedCall", "StatefulPartitionedCall"}


def refuse_squashed(logits: Any, images: Any) -> None:
    """Raise if the output is a function of nothing but probabilities, or of another squashed value."""
    walk = _Walk(images)
    last = walk.behind(_Place(logits), _SAME, _SQUASHING) or walk.behind(
        _Place(logits), _BELOW, _PROBABILITIES
    )
    if last is not None:
        raise _refused(last.type, last.name)


class _Place(NamedTuple):
    """A tensor of a traced graph, and the calls of functions around it, the innermost first."""

    tensor: Any
    calls: tuple[Any, ...] = ()


class _Walk:
    """Search backwards from an output of a traced graph; looks into the functions that it calls."""

    def __init__(self, images: Any) -> None:
        self.images = _key(_Place(images))
        self.known: dict[Any, Any] = {}

    def behind(self, place: _Place, passed: set[str], wanted: set[str]) -> Any:
        """Return an operation of the wanted types if all that depends on the images comes from such."""
        place = _resolved(place)
        key = (_key(place), id(passed), id(wanted))
        if key not in self.known:
            self.known[key] = self._behind(place, passed, wanted)
        return self.known[key]

    def _behind(self, place: _Place, passed: set[str], wanted: set[str]) -> Any:
        operation = place.tensor.op
        if operation.type in wanted:
            return operation
        if operation.type not in passed:
            return None
        if passed is _BELOW and self._by_hand(place):
            return operation
        sources = _sources(place)
        found = [self.behind(source, passed, wanted) for source in sources]
        others = [source for source, one in zip(sources, found, strict=True) if one is None]
        if len(others) == len(sources) or any(self._depends(other) for other in others):
            return None
        return next(one for one in found if one is not None)

    def _by_hand(self, place: _Place) -> bool:
        """Return True for the last step of a hard sigmoid, or of a softmax or sigmoid that is written out."""
        kind, sources = place.tensor.op.type, [_resolved(source) for source in _sources(place)]
        if kind in {"Mul", *_DIVISIONS} and sources[0].tensor.op.type == "Relu6":
            return not any(self._depends(source) for source in sources[1:])
        if kind not in _DIVISIONS or self.behind(sources[-1], _BELOW, _EXP) is None:
            return False
        if self.behind(sources[-1], _SAME, _EXP) is not None:  # divided by exp(x) alone, as by a variance
            return False
        return all(
            not self._depends(one) or self.behind(one, _BELOW, _EXP) is not None for one in sources[:-1]
        )

    def _depends(self, place: _Place) -> bool:
        """Return True if the values of a tensor depend on those of the images."""
        seen, waiting = set(), [place]
        while waiting:
            one = _resolved(waiting.pop())
            key = _key(one)
            if key == self.images:
                return True
            if key not in seen and one.tensor.op.type not in _SHAPES:
                seen.add(key)
                waiting += [_Place(source, one.calls) for source in one.tensor.op.inputs]
        return False


def _key(place: _Place) -> tuple[Any, ...]:
    calls = tuple((id(call.graph), call.name) for call in place.calls)
    return id(place.tensor.graph), place.tensor.name, calls


def _sources(place: _Place) -> list[_Place]:
    """Return the tensors whose values an operation uses."""
    operation = place.tensor.op
    sources = [_Place(source, place.calls) for source in operation.inputs]
    if operation.type == "IdentityN":
        return [sources[place.tensor.value_index]]
    return sources[1:] if operation.type in ("Select", "SelectV2") else sources  # without the condition


def called_graph(operation: Any) -> Any:
    """Return the graph of the function that an operation calls; None if it calls none."""
    if operation.type not in _CALLS:
        return None
    return operation.graph._get_function(operation.get_attr("f").name).graph


def _resolved(place: _Place) -> _Place:
    """Return the tensor in the body of a function for its output, and in its caller for its input."""
    tensor, calls = place
    while True:
        if (body := called_graph(tensor.op)) is not None:
            tensor, calls = body.outputs[tensor.value_index], (tensor.op, *calls)
        elif tensor.op.type == "Placeholder" and calls:
            index = [one.name for one in tensor.graph.inputs].index(tensor.name)
            tensor, calls = calls[0].inputs[index], calls[1:]
        else:
            return _Place(tensor, calls)
