"""Other ways back through a ReLU: guided backpropagation and the deconvnet.

TensorFlow lets a trace say which gradient an operation gets. That reaches every ReLU, as a layer,
an activation or a function, in nested and in flat models, without a copy of the network. What is
not the operation ReLU escapes, so the traced operations are counted and the rest is refused.
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

Rectifier = Literal["guided", "deconvnet"]

_RELUS = ("Relu", "Relu6")
#: Operations by which a rectifier can be spelled without a ReLU, or that hide what they are made of.
_ESCAPING = {
    "Abs", "ClipByValue", "Elu", "Erf", "Erfc", "Greater", "GreaterEqual", "IdentityN", "LeakyRelu", "Less",
    "LessEqual", "Maximum", "Minimum", "PartitionedCall", "Select", "SelectV2", "Selu", "Sign", "Softplus",
    "Swish", "StatefulPartitionedCall", "StatelessIf", "StatelessWhile", "If", "While",
}  # fmt: skip

#: Operations of which gates are made, and those that may stand between a gate and what it multiplies.
_BENDING = {"Sigmoid", "Tanh", *_RELUS}
_ELEMENTWISE = {"Add", "AddV2", "Cast", "Identity", "Mul", "Neg", "Pow", "RealDiv", "Square", "Sub"}


def _guided(operation: Any, gradient: Any) -> Any:
    # ReluGrad on the rectified signal is one pass less over memory than tf.where.
    return tf.raw_ops.ReluGrad(gradients=tf.nn.relu(gradient), features=operation.outputs[0])


def _guided6(operation: Any, gradient: Any) -> Any:
    return tf.raw_ops.Relu6Grad(gradients=tf.nn.relu(gradient), features=operation.outputs[0])


def _deconvnet(operation: Any, gradient: Any) -> Any:
    del operation  # the forward gate is ignored: that is the method
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
    """Base of `GuidedBackprop` and `Deconvnet`: the way back from a target by another rule at each ReLU."""

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
                    # A clipping stretch is no part of the network.
                    logits, layers = logits_and_layers(network, images)
                    start = layers[PREPROCESSING]
                else:
                    logits, start = logits_of(network, images), images
            refuse_other_rectifiers(logits, start)
            return (gradient_of(weighted_sum(logits, weights), images),)

        return run


def rectified(rectifier: Rectifier) -> Any:
    """Say for a trace by which rule signals go back through the ReLUs that are made in it."""
    return tf.compat.v1.get_default_graph().gradient_override_map(_GRADIENTS[rectifier])


def refuse_other_rectifiers(output: Any, images: Any) -> None:
    """Count the operations between images and an output, and refuse what would go unnoticed."""
    census = _census(output, images)
    escaping = {kind: n for kind, n in sorted(census.items()) if kind in _ESCAPING}
    if escaping or not any(census[kind] for kind in _RELUS):
        raise ValueError(
            message(
                "a network whose rectifiers are all ReLUs, and at least one",
                "Use keras.layers.ReLU or activation='relu', or another method, e.g. saliency.",
                relus=sum(census[kind] for kind in _RELUS),
                others=escaping or "none",
            )
        )


def _census(output: Any, images: Any) -> Counter[str]:
    """Kinds of the operations that lie between the images and the output."""
    after: set[Any] = set()  # names of what depends on the images
    queue = list(images.consumers())
    for operation in queue:
        if operation.name not in after:
            after.add(operation.name)
            queue += [consumer for tensor in operation.outputs for consumer in tensor.consumers()]
    census: Counter[str] = Counter()
    seen = set()
    queue = [output.op]
    for operation in queue:
        if operation.name in after and operation.name not in seen:
            seen.add(operation.name)
            gated = operation.type == "Mul" and _is_own_gate(operation, after)
            census["Swish" if gated else operation.type] += 1
            queue += [tensor.op for tensor in operation.inputs]
    return census


def _is_own_gate(product: Any, after: set[Any]) -> bool:
    """Whether a factor is gated by itself, as in SiLU, hard SiLU and GELU: x times a bend of x."""
    if not all(factor.op.name in after for factor in product.inputs):
        return False
    one, other = product.inputs
    return _bends(one, _made_of(other, after), after) or _bends(other, _made_of(one, after), after)


def _made_of(tensor: Any, after: set[Any]) -> set[str]:
    """Name what a tensor was made of pixel by pixel."""
    found: set[str] = set()
    queue = [tensor]
    for current in queue:
        if current.name not in found:
            found.add(current.name)
            queue += _sources(current, after)
    return found


def _bends(factor: Any, other: set[str], after: set[Any]) -> bool:
    """Whether a bend lies between a factor and the nearest that the other was made of."""
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
    if tensor.op.type not in _BENDING | _ELEMENTWISE:
        return []
    return [source for source in tensor.op.inputs if source.op.name in after]


@dataclass(frozen=True)
class GuidedBackprop(RectifiedGradient):
    """The gradient, with only positive signals let back through each ReLU that was open.

    arXiv:1412.6806, figure 1: at a ReLU with input x the signal g becomes max(g, 0) [x > 0].
    """

    name: ClassVar[Rectifier] = "guided"


@dataclass(frozen=True)
class Deconvnet(RectifiedGradient):
    """The way back through the network with each ReLU applied to the signal itself.

    arXiv:1311.2901, section 2.1: at a ReLU the signal g becomes max(g, 0), whatever went
    forward; max-pooling routes to where the maximum was; batch normalisation is the linear map
    that it is in inference. The seed is 1 at the target; the paper's own seed, one activation
    inside the network, is that of `galcnn.explain.strongest_activations`.
    """

    name: ClassVar[Rectifier] = "deconvnet"
