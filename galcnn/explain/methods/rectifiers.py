"""Guided backpropagation and the deconvnet, which replace the gradient of ReLU.

TensorFlow can override the gradient of an operation while a graph is traced. This applies to every
ReLU, whether it is a layer, an activation or a function, in nested and flat models, without copying
the network. Rectifiers that are not the operation ReLU would not be overridden; the traced
operations are therefore counted, and such networks are refused.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from galcnn.errors import message
from galcnn.explain.explanation import Context, Kind
from galcnn.model import Target, network_layers
from galcnn.model.build import PREPROCESSING
from galcnn.model.forward import compiled, run_in_batches
from galcnn.model.gradients import gradient_of, logits_and_layers, logits_of, target_weights, weighted_sum
from galcnn.model.graph import is_functional
from galcnn.model.logits import called_graph

Rectifier = Literal["guided", "deconvnet"]

_RELUS = ("Relu", "Relu6")
#: Operations that can implement a rectifier without ReLU, or that hide the operations inside them.
_ESCAPING = {
    "Abs", "ClipByValue", "Elu", "Erf", "Erfc", "Greater", "GreaterEqual", "IdentityN", "LeakyRelu", "Less",
    "LessEqual", "Maximum", "Minimum", "PReLU", "PartitionedCall", "Select", "SelectV2", "Selu", "Sign",
    "Softplus", "Swish", "StatefulPartitionedCall", "StatelessIf", "StatelessWhile", "If", "While",
}  # fmt: skip

#: Operations that form gates, and those that may lie between a gate and the factor that it multiplies.
_BENDING = {"Rsqrt", "Sigmoid", "Sqrt", "Tanh", *_RELUS}
_ELEMENTWISE = {
    "Add", "AddN", "AddV2", "BiasAdd", "Cast", "Identity", "Mul", "Neg", "Pow", "RealDiv", "Square", "Sub",
}  # fmt: skip
#: How a rectifier inside a called function is named, where its gradient cannot be overridden.
_INSIDE = " in a called function"
#: Operations that join two functions of one signal to another rectifier.
_SUMS = {"Add", "AddN", "AddV2", "Sub"}


def _guided(operation: Any, gradient: Any) -> Any:
    # ReluGrad of the rectified signal needs one pass over memory less than tf.where.
    return tf.raw_ops.ReluGrad(gradients=tf.nn.relu(gradient), features=operation.outputs[0])


def _guided6(operation: Any, gradient: Any) -> Any:
    return tf.raw_ops.Relu6Grad(gradients=tf.nn.relu(gradient), features=operation.outputs[0])


def _deconvnet(operation: Any, gradient: Any) -> Any:
    del operation  # the deconvnet ignores the sign of the forward input
    return tf.nn.relu(gradient)


for _name, _gradient in (
    ("GalcnnGuidedRelu", _guided),
    ("GalcnnGuidedRelu6", _guided6),
    ("GalcnnDeconvnetRelu", _deconvnet),
):
    tf.RegisterGradient(_name)(_gradient)

_GRADIENTS: dict[Rectifier, dict[str, str]] = {
    "guided": {"Relu": "GalcnnGuidedRelu", "Relu6": "GalcnnGuidedRelu6"},
    "deconvnet": dict.fromkeys(_RELUS, "GalcnnDeconvnetRelu"),
}


@dataclass(frozen=True)
class RectifiedGradient:
    """Base class of `GuidedBackprop` and `Deconvnet`: backpropagation with another rule at each ReLU."""

    name: ClassVar[Rectifier]
    per_band: ClassVar[bool] = True
    kind: ClassVar[Kind] = "slope"

    def __call__(
        self,
        network: keras.Model,
        images: npt.NDArray[np.float32],
        target: Target | Sequence[Target],
        *,
        context: Context | None = None,
    ) -> npt.NDArray[np.float32]:
        del context
        weights = target_weights(network, target, images)
        run = compiled(network, self.name, self._build, (images, weights))
        return run_in_batches(run, images, weights)[0]

    def _build(self, network_of: Callable[[], keras.Model]) -> Callable[..., Any]:
        def run(images: Any, weights: Any) -> tuple[Any]:
            network = network_of()
            with rectified(self.name):
                if is_functional(network) and PREPROCESSING in network_layers(network):
                    # Only the operations after the preprocessing are checked, since a stretch may clip.
                    logits, layers = logits_and_layers(network, images)
                    start = layers[PREPROCESSING]
                else:
                    logits, start = logits_of(network, images), images
            refuse_other_rectifiers(logits, start)
            return (gradient_of(weighted_sum(logits, weights), images),)

        return run


def rectified(rectifier: Rectifier) -> Any:
    """Return a context in which the ReLUs of a traced graph get the gradient of this rule."""
    return tf.compat.v1.get_default_graph().gradient_override_map(_GRADIENTS[rectifier])


def refuse_other_rectifiers(output: Any, images: Any) -> None:
    """Raise if rectifiers other than ReLU, or no ReLU at all, lie between images and output."""
    census = _census([output], [images])
    escaping = {kind: n for kind, n in sorted(census.items()) if kind in _ESCAPING or kind.endswith(_INSIDE)}
    if escaping or not any(census[kind] for kind in _RELUS):
        raise ValueError(
            message(
                "a network whose rectifiers are all ReLUs, and at least one",
                "Use keras.layers.ReLU or activation='relu', or another method, e.g. saliency.",
                relus=sum(census[kind] for kind in _RELUS),
                others=escaping or "none",
            )
        )


def _census(outputs: Sequence[Any], starts: Sequence[Any]) -> Counter[str]:
    """Count the operations between some tensors and the outputs by type."""
    after = {start.op.name for start in starts}  # names of the operations that depend on the starts
    seen = set(after)
    queue = [consumer for start in starts for consumer in start.consumers()]
    for operation in queue:
        if operation.name not in after:
            after.add(operation.name)
            queue += [consumer for tensor in operation.outputs for consumer in tensor.consumers()]
    census: Counter[str] = Counter()
    queue = [output.op for output in outputs]
    for operation in queue:
        if operation.name in after and operation.name not in seen:
            seen.add(operation.name)
            census[_kind(operation, after)] += 1
            queue += [tensor.op for tensor in operation.inputs]
    return census


def _kind(operation: Any, after: set[Any]) -> str:
    """Return the type of an operation, or the rectifier that is made of it and of others before it."""
    if operation.type == "Mul" and _is_bent(operation, after):
        return "Swish"
    if operation.type in _SUMS and _is_bent(operation, after):
        return "PReLU"
    if (inside := _inside(operation, after)) is not None:
        hidden = sorted(kind for kind in inside if kind in _ESCAPING | _BENDING or kind.endswith(_INSIDE))
        return f"{hidden[0].removesuffix(_INSIDE)}{_INSIDE}" if hidden else "Call"
    return str(operation.type)


def _inside(operation: Any, after: set[Any]) -> Counter[str] | None:
    """Count the operations of a called function that depend on the images; None if none is called.

    Keras puts a convolution of several groups into a function of its own.
    """
    body = called_graph(operation)
    if body is None:
        return None
    given = zip(body.inputs, operation.inputs, strict=True)
    return _census(body.outputs, [inner for inner, tensor in given if tensor.op.name in after])


def _is_bent(operation: Any, after: set[Any]) -> bool:
    """Return True for the product or sum of a signal and a nonlinear function of it.

    Products are SiLU, hard SiLU and GELU; sums are PReLU, relu(x) - a relu(-x), and other rectifiers of
    several pieces.
    """
    parts = [part for part in operation.inputs if part.op.name in after]
    made = [_made_of(part, after) for part in parts]
    return any(
        _bends(one, other, after) for i, one in enumerate(parts) for j, other in enumerate(made) if i != j
    )


def _made_of(tensor: Any, after: set[Any]) -> set[str]:
    """Return the names of the tensors from which a tensor was computed element by element."""
    found: set[str] = set()
    queue = [tensor]
    for current in queue:
        if current.name not in found:
            found.add(current.name)
            queue += _sources(current, after)
    return found


def _bends(factor: Any, other: set[str], after: set[Any]) -> bool:
    """Return True if a nonlinear operation lies between a factor and the nearest source in `other`."""
    seen = set()
    queue = [(factor, False)]
    for current, bent in queue:
        if current.name in other:
            if bent:
                return True
        elif (current.name, bent) not in seen:
            seen.add((current.name, bent))
            here = bent or current.op.type in _BENDING
            queue += [(source, here) for source in _sources(current, after)]
    return False


def _sources(tensor: Any, after: set[Any]) -> list[Any]:
    inside = _inside(tensor.op, after)
    if not set([tensor.op.type] if inside is None else inside) <= _BENDING | _ELEMENTWISE:
        return []
    return [source for source in tensor.op.inputs if source.op.name in after]


@dataclass(frozen=True)
class GuidedBackprop(RectifiedGradient):
    """Guided backpropagation: the gradient, with negative signals set to zero at each ReLU.

    arXiv:1412.6806, figure 1: at a ReLU with input x, the signal g becomes max(g, 0) [x > 0].
    """

    name: ClassVar[Rectifier] = "guided"


@dataclass(frozen=True)
class Deconvnet(RectifiedGradient):
    """Deconvnet: backpropagation in which each ReLU is applied to the signal that is passed back.

    arXiv:1311.2901, section 2.1: at a ReLU, the signal g becomes max(g, 0), independent of the forward
    input. Max-pooling passes the signal to the position of the maximum; batch normalisation is the
    linear map of inference. The signal starts with 1 at the target. In the paper it starts from one
    activation inside the network; for that, see `galcnn.explain.strongest_activations`.
    """

    name: ClassVar[Rectifier] = "deconvnet"
