"""The gradient of a target with respect to the images.

Networks are run in a stateless scope, in which Keras stores neither updates nor losses, so that the
user's model is not modified.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from galcnn.errors import message
from galcnn.model.forward import check_images, compiled, forward, run_in_batches, working_dtype
from galcnn.model.logits import refuse_normalised, refuse_squashed
from galcnn.model.target import AnyTarget, Target, as_targets

#: Scale of the gradients during backpropagation: in half precision, small gradients would underflow to
#: zero. A power of two, so that the result is unchanged in other precisions.
_SEED = 256.0


def target_gradient(
    network: keras.Model, images: npt.NDArray[np.floating[Any]], target: Target | Sequence[Target]
) -> tuple[npt.NDArray[np.floating[Any]], npt.NDArray[np.floating[Any]]]:
    """Return the gradient of a target with respect to the images, and the value of the target."""
    weights = target_weights(network, target, images)
    gradient, scores, _ = score_gradient(network, "gradient", weighted_sum, images, weights)
    return gradient, scores


def score_gradient(
    network: keras.Model,
    question: str,
    score: Callable[[Any, Any], Any],
    images: npt.NDArray[np.floating[Any]],
    weights: npt.NDArray[np.floating[Any]],
) -> tuple[npt.NDArray[np.floating[Any]], ...]:
    """Return gradient, score and logits for a score that is a function of logits and weights."""

    def build(network_of: Callable[[], keras.Model]) -> Callable[..., Any]:
        def run(images: Any, weights: Any) -> tuple[Any, Any, Any]:
            logits = logits_of(network_of(), images)
            scores = score(logits, weights)
            return gradient_of(scores, images), scores, logits

        return run

    return run_in_batches(compiled(network, question, build, (images, weights)), images, weights)


def weighted_sum(logits: Any, weights: Any) -> Any:
    """Return the value of a target (while tracing a graph)."""
    return tf.reduce_sum(logits * weights, axis=1)


def target_scores(
    network: keras.Model, images: npt.NDArray[np.floating[Any]], target: Target | Sequence[Target]
) -> npt.NDArray[np.floating[Any]]:
    """Return the value of a target for each image."""
    weights = target_weights(network, target, images)

    def build(network_of: Callable[[], keras.Model]) -> Callable[..., Any]:
        return lambda images, weights: (weighted_sum(logits_of(network_of(), images), weights),)

    return run_in_batches(compiled(network, "scores", build, (images, weights)), images, weights)[0]


def target_weights(
    network: keras.Model,
    target: AnyTarget | Sequence[AnyTarget],
    images: npt.NDArray[np.floating[Any]],
) -> npt.NDArray[np.floating[Any]]:
    """Return the weights of the targets, shape (n, n_classes), after checking network, images and targets.

    The classes of a network have no names here: they are "0", "1" and so on.
    """
    check_images(network, images)
    n = len(images)
    n_classes = number_of_classes(network, images.shape[1:])
    refuse_normalised(network, images.shape[1:])
    given = list(target) if isinstance(target, Sequence) else [target] * n
    targets = [one for one in given if isinstance(one, Target)]
    if len(targets) < len(given):
        targets = as_targets(target, tuple(str(i) for i in range(n_classes)), n) or []
    wrong = [t for t in targets if len(t.weights) != n_classes]
    if len(targets) != n or wrong:
        raise ValueError(
            message(
                f"one target, or one for each of {n} images, with {n_classes} weights",
                "",
                n_targets=len(targets),
                wrong=wrong[:1],
            )
        )
    dtype = working_dtype(network)
    return np.array([t.weights for t in targets], dtype=dtype).reshape(n, n_classes)


def logits_of(network: keras.Model, images: Any) -> Any:
    """Run a network and check that it ends in logits (while tracing a graph)."""
    with keras.StatelessScope():
        logits = network(images, training=False)
    if not tf.is_tensor(logits):
        raise ValueError(
            message("a network that returns one tensor of logits", "", returned=type(logits).__name__)
        )
    refuse_squashed(logits, images)
    return tf.cast(logits, images.dtype)


def logits_and_layers(network: keras.Model, images: Any) -> tuple[Any, dict[str, Any]]:
    """Run a network like `logits_of`, and return also the output of each network layer."""
    with keras.StatelessScope():
        logits, seen = forward(network, images)
    refuse_squashed(logits, images)
    return tf.cast(logits, images.dtype), seen


def gradient_of(scores: Any, images: Any) -> Any:
    """Return the gradient of the scores with respect to the images (while tracing a graph)."""
    (gradient,) = gradients_of(scores, [images])
    if gradient is None:
        raise ValueError(
            message(
                "logits that depend on the image by differentiable operations",
                "Whole-number inputs have no gradient: let the network read floats.",
                gradient=None,
            )
        )
    return gradient


def gradients_of(scores: Any, tensors: Sequence[Any]) -> list[Any]:
    """Return the gradients of the scores with respect to several tensors (while tracing a graph)."""
    found = tf.gradients(scores * _SEED, list(tensors))
    return [gradient if gradient is None else tf.cast(gradient, scores.dtype) / _SEED for gradient in found]


def summed_gradient(scores: Any, copies: Any, n_copies: Any) -> Any:
    """Return the gradient with respect to copies of the images, summed over the copies of each image.

    If a convolution reads the copies, it is the same linear map for all of them. Its backward pass is
    then done once, after the sum, which saves a sixth of the work in a small network.
    """

    def summed(tensor: Any) -> Any:
        return tf.reduce_sum(tf.reshape(tensor, (-1, n_copies, *tensor.shape[1:])), axis=1)

    readers = [operation for operation in copies.consumers() if operation.type != "Shape"]
    if len(readers) != 1 or readers[0].type != "Conv2D":
        return summed(gradient_of(scores, copies))
    (convolution,) = readers
    behind = summed(gradient_of(scores, convolution.outputs[0]))
    return tf.raw_ops.Conv2DBackpropInput(
        input_sizes=(tf.shape(behind)[0], *copies.shape[1:]),
        filter=convolution.inputs[1],
        out_backprop=behind,
        **{name: convolution.get_attr(name) for name in ("strides", "dilations", "explicit_paddings")},
        padding=convolution.get_attr("padding").decode(),
        data_format=convolution.get_attr("data_format").decode(),
    )


def number_of_classes(network: keras.Model, image_shape: tuple[int, ...]) -> int:
    """Return the number of logits of a network; one that does not end in a single row of them is refused."""
    outputs = getattr(network, "outputs", None)
    if not outputs:  # the outputs of a subclassed model are known only when it is run
        outputs = keras.tree.flatten(network.compute_output_spec(keras.KerasTensor((1, *image_shape))))
    if len(outputs) != 1 or len(outputs[0].shape) != 2 or outputs[0].shape[1] is None:
        raise ValueError(
            message(
                "a network with one output of shape (n, n_classes)",
                "Make a keras.Model of its inputs and logits.",
                outputs=[getattr(output, "shape", output) for output in outputs],
            )
        )
    return int(outputs[0].shape[1])
