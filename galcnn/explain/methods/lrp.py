"""Layer-wise relevance propagation, LRP (Bach et al. 2015), with the epsilon and the gamma rule."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from galcnn.errors import message
from galcnn.explain.explanation import Context, Kind
from galcnn.model import Target, network_layers
from galcnn.model.forward import compiled, run_in_batches, run_through
from galcnn.model.gradients import gradient_of, target_weights, weighted_sum
from galcnn.model.graph import is_functional, unused
from galcnn.model.logits import PASSIVE, refuse_squashed
from galcnn.model.orientations import OrientationMean, Orientations

_WEIGHTED = (keras.layers.Conv2D, keras.layers.DepthwiseConv2D, keras.layers.Dense)
#: Layers that select, move, add or average: their relevance is input times gradient, the epsilon rule for 0.
_ROUTING = (
    *PASSIVE,
    OrientationMean,
    Orientations,
    keras.layers.Add,
    keras.layers.Average,
    keras.layers.AveragePooling2D,
    keras.layers.Concatenate,
    keras.layers.Cropping2D,
    keras.layers.Flatten,
    keras.layers.GlobalAveragePooling2D,
    keras.layers.GlobalMaxPooling2D,
    keras.layers.MaxPooling2D,
    keras.layers.Permute,
    keras.layers.Reshape,
    keras.layers.ZeroPadding2D,
)
#: Layers that change each number by itself, or, as group normalisation does, by few statistics of many.
_ELEMENTWISE = (
    keras.layers.Activation,
    keras.layers.BatchNormalization,
    keras.layers.ELU,
    keras.layers.GroupNormalization,
    keras.layers.LayerNormalization,
    keras.layers.LeakyReLU,
    keras.layers.Normalization,
    keras.layers.PReLU,
    keras.layers.ReLU,
    keras.layers.Rescaling,
)
#: Operations of Keras that do so with one tensor and numbers.
_OPERATIONS = (
    "Abs", "Add", "Arcsinh", "Divide", "Log1p", "Multiply", "Negative", "Sqrt", "Square", "Subtract", "Tanh",
    "TrueDivide",
)  # fmt: skip


@dataclass(frozen=True)
class LRP:
    """Layer-wise relevance propagation: the target's value is passed back, in shares of each layer's inputs.

    arXiv:1509.06321 and Montavon et al. 2019 (LNCS 11700, chapter 10). Dense layers follow the epsilon rule:
    input i of output j, z_j = sum_i x_i w_ij + b_j, receives the share x_i w_ij / (z_j + epsilon sign(z_j)).
    Convolutions follow the gamma rule, which favours what supports the output: where z_j > 0, w is replaced
    by w + gamma max(w, 0) for positive x and by w + gamma min(w, 0) for negative x, in the share and in z;
    where z_j < 0, by the other of the two. Batch normalisation is folded into the layer before it, or passes
    the relevance on unchanged if there is none; so do other normalisations and
    activations. Sums and averages follow the epsilon rule, and max-pooling passes the relevance to the
    maximum. These are the rules of zennit (arXiv:2106.13200) for the same network.

    Without biases, the map sums to the value of the target; biases keep their share. With ``gamma=0`` and
    ReLUs alone, the map is `InputXGradient`. The map is that of what the network sees.

    Attributes
    ----------
    gamma : float
        Weight of the gamma rule in convolutions; 0: the epsilon rule there too.
    epsilon : float
        Number that is added to the size of each denominator.
    """

    gamma: float = 0.25
    epsilon: float = 1e-6

    name: ClassVar[str] = "lrp"
    per_band: ClassVar[bool] = True
    kind: ClassVar[Kind] = "features"

    def __post_init__(self) -> None:
        if not (0 <= self.gamma < np.inf and 0 < self.epsilon < np.inf):
            raise ValueError(
                message("gamma of at least 0 and epsilon above 0", "", gamma=self.gamma, epsilon=self.epsilon)
            )

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
        run = compiled(network, self, self._build, (images, weights))
        return run_in_batches(run, images, weights)[0]

    def _build(self, network_of: Callable[[], keras.Model]) -> Callable[..., Any]:
        def run(images: Any, weights: Any) -> tuple[Any]:
            network = network_of()
            with keras.StatelessScope():
                logits = _Propagation(network, self, images.dtype).run(network, images)
            refuse_squashed(logits, images)
            return (images * gradient_of(weighted_sum(logits, weights), images),)

        return run


class _Propagation:
    """The forward pass of a network, with gradients g for which x g is the relevance of each tensor x.

    An output y of a layer with the inputs x then has the relevance y g. Where the rule is not that of the
    gradient, `_with_shares` puts the gradient of the rule in its place.
    """

    def __init__(self, network: keras.Model, rules: LRP, dtype: Any) -> None:
        self.rules, self.dtype = rules, dtype
        self.layers = network_layers(network)
        self.seen: set[str] = set()
        self.readers: dict[str, list[str]] = {name: [] for name in self.layers}
        for name, layer in self.layers.items():
            for source in layer.sources:
                self.readers.setdefault(source, []).append(name)

    def run(self, model: keras.Model, inputs: Any, prefix: str = "") -> Any:
        def call(operation: Any, *args: Any, **kwargs: Any) -> Any:
            name = unused(f"{prefix}{operation.name}", self.seen)
            if is_functional(operation):
                output = self.run(operation, args[0], f"{name}/")
            else:
                output = self._output(name, operation, args, kwargs)
            if keras.ops.is_tensor(output):
                self.seen.add(name)
            return output

        return run_through(model, inputs, call)

    def _output(self, name: str, layer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if type(layer) in _WEIGHTED and getattr(layer, "data_format", "channels_last") == "channels_last":
            return self._weighted(name, layer, tf.cast(args[0], self.dtype))
        if "training" in getattr(layer, "_call_context_args", {}):
            kwargs = kwargs | {"training": False}
        if type(layer) in _ROUTING or _is_relu(layer) or _is_sum(layer, args):
            return tf.cast(layer(*args, **kwargs), self.dtype)
        if type(layer) in _ELEMENTWISE and _activation(layer) not in ("softmax", "log_softmax"):
            if self._folded_into(name):
                return args[0]
            return self._passed(args[0], tf.cast(layer(*args, **kwargs), self.dtype))
        if (only := _changed_by_itself(layer, args)) is not None:
            return self._passed(only, tf.cast(layer(*args, **kwargs), self.dtype))
        raise ValueError(
            message(
                "a network of Dense and (depthwise) convolution layers, batch normalisation, activations, "
                "pooling, sums and concatenations",
                "Use another method, e.g. integrated_gradients.",
                layer=name,
                kind=type(layer).__name__,
            )
        )

    def _passed(self, x: Any, y: Any) -> Any:
        """Return y, an elementwise function of x, with the relevance of y for x."""
        return _with_shares(y, x, _stable(x, self.rules.epsilon))

    def _weighted(self, name: str, layer: Any, x: Any) -> Any:
        kernel, bias = self._kernel_and_bias(name, layer)
        if self.rules.gamma > 0 and _is_plain(layer) and self._is_rectified(name, layer):
            z = self._rectified_gamma(name, layer, x, kernel, bias)
        else:
            linear = _linear(layer, x, kernel)
            z = linear + bias
            if isinstance(layer, keras.layers.Dense) or self.rules.gamma == 0:
                z = _with_shares(z, linear, _stable(z, self.rules.epsilon))
            else:
                z = self._gamma(name, layer, x, kernel, bias, z)
        if layer.activation is None or layer.activation is keras.activations.linear:
            return z
        y = layer.activation(z)
        return y if layer.activation is keras.activations.relu else self._passed(z, y)

    def _gamma(self, name: str, layer: Any, x: Any, kernel: Any, bias: Any, z: Any) -> Any:
        """Return z with the shares of the gamma rule."""
        gamma, epsilon = self.rules.gamma, self.rules.epsilon
        support, against = (kernel + gamma * part(kernel, 0.0) for part in (tf.maximum, tf.minimum))

        def part(of_positive: Any, of_negative: Any) -> Any:
            if self._is_positive(self.layers[name].sources[0]):
                return _linear(layer, x, of_positive)
            both = _linear(layer, tf.nn.relu(x), of_positive)
            return both - _linear(layer, tf.nn.relu(-x), of_negative)

        above = part(support, against)
        whole = above + bias + gamma * tf.maximum(bias, 0.0)
        below = part(against, support)
        whole_below = below + bias + gamma * tf.minimum(bias, 0.0)
        return _with_shares(
            z,
            tf.where(z > 0, above, below),
            tf.where(z > 0, _stable(whole, epsilon), _stable(whole_below, epsilon)),
        )

    def _rectified_gamma(self, name: str, layer: Any, x: Any, kernel: Any, bias: Any) -> Any:
        """Return z of a plain convolution that only ReLUs read: no relevance comes back where z < 0.

        The values and the denominators are the outputs of one convolution, since a second one would cost as
        much as the rest of the method.
        """
        gamma, epsilon = self.rules.gamma, self.rules.epsilon
        support, against = (kernel + gamma * part(kernel, 0.0) for part in (tf.maximum, tf.minimum))
        signed = not self._is_positive(self.layers[name].sources[0])
        if signed:  # the channels of positive x, then those of negative x
            kernel, support = (tf.concat(pair, axis=2) for pair in ((kernel, -kernel), (support, -against)))
        bias = bias + tf.zeros(kernel.shape[3], self.dtype)
        how: dict[str, Any] = {"strides": [1, *layer.strides, 1], "padding": layer.padding.upper()}

        @tf.custom_gradient  # type: ignore[untyped-decorator]
        def shared(x: Any, kernels: Any, biases: Any, support: Any) -> Any:
            read = tf.concat([tf.nn.relu(x), tf.nn.relu(-x)], axis=3) if signed else x
            values = tf.nn.bias_add(tf.nn.conv2d(read, kernels, **how), biases)
            z, whole = tf.split(values, 2, axis=3)

            def back(slope: Any) -> tuple[Any, None, None, None]:
                share = slope * tf.math.divide_no_nan(z, whole)
                found = tf.raw_ops.Conv2DBackpropInput(
                    input_sizes=tf.shape(read), filter=support, out_backprop=share, **how
                )
                if signed:
                    of_positive, of_negative = tf.split(found, 2, axis=3)
                    found = tf.where(x > 0, of_positive, -of_negative)
                return found, None, None, None

            return z, back

        biases = tf.concat([bias, bias + gamma * tf.maximum(bias, 0.0) + epsilon], axis=0)
        return shared(x, tf.concat([kernel, support], axis=3), biases, support)

    def _kernel_and_bias(self, name: str, layer: Any) -> tuple[Any, Any]:
        """Return kernel and bias, with the batch normalisation that follows."""
        kernel = tf.cast(tf.convert_to_tensor(layer.kernel), self.dtype)
        bias = tf.zeros((), self.dtype) if layer.bias is None else tf.cast(layer.bias, self.dtype)
        norm = self._norm_of(name)
        if norm is None:
            return kernel, bias
        mean, variance = (tf.cast(one, self.dtype) for one in (norm.moving_mean, norm.moving_variance))
        scale = tf.math.rsqrt(variance + norm.epsilon)
        if norm.scale:
            scale *= tf.cast(norm.gamma, self.dtype)
        shift = tf.cast(norm.beta, self.dtype) if norm.center else 0.0
        depthwise = isinstance(layer, keras.layers.DepthwiseConv2D)
        by = tf.reshape(scale, kernel.shape[-2:]) if depthwise else scale
        return kernel * by, (bias - mean) * scale + shift

    def _norm_of(self, name: str) -> Any:
        """Return the batch normalisation that alone reads a layer without an activation function."""
        layer, readers = self.layers[name].layer, self.readers[name]
        if type(layer) not in _WEIGHTED or _activation(layer) != "linear" or len(readers) != 1:
            return None
        norm = self.layers[readers[0]].layer
        fits = type(norm) is keras.layers.BatchNormalization and norm.axis in (-1, 3, [3], [-1])
        return norm if fits else None

    def _folded_into(self, name: str) -> bool:
        sources = self.layers[name].sources
        return (
            len(sources) == 1
            and sources[0] in self.layers
            and (self._norm_of(sources[0]) is self.layers[name].layer)
        )

    def _is_rectified(self, name: str, layer: Any) -> bool:
        """Return True if nothing but ReLUs reads a layer, behind its batch normalisation."""
        if layer.activation is keras.activations.relu:
            return True
        end = self.readers[name][0] if self._norm_of(name) is not None else name
        readers = [self.layers[reader].layer for reader in self.readers[end]]
        return bool(readers) and all(_is_relu(reader) for reader in readers)

    def _is_positive(self, name: str) -> bool:
        """Return True if the values of a layer are not negative."""
        if name not in self.layers:
            return False
        layer, sources = self.layers[name].layer, self.layers[name].sources
        if _is_relu(layer) or getattr(layer, "activation", None) is keras.activations.relu:
            return True
        return type(layer) in _ROUTING and all(self._is_positive(source) for source in sources)


def _with_shares(value: Any, linear: Any, whole: Any) -> Any:
    """Return a value whose relevance goes to the summands of `linear`, in their shares of `whole`."""

    @tf.custom_gradient  # type: ignore[untyped-decorator]
    def shared(value: Any, linear: Any, whole: Any) -> Any:
        del linear  # whose gradient is asked for

        def back(slope: Any) -> tuple[None, Any, None]:
            return None, slope * tf.math.divide_no_nan(value, whole), None

        return tf.identity(value), back

    return shared(value, linear, whole)


def _stable(values: Any, epsilon: float) -> Any:
    return values + tf.where(values < 0, -epsilon, epsilon)


def _linear(layer: Any, x: Any, kernel: Any) -> Any:
    if isinstance(layer, keras.layers.Dense):
        return keras.ops.matmul(x, kernel)
    depthwise = isinstance(layer, keras.layers.DepthwiseConv2D)
    convolve = keras.ops.depthwise_conv if depthwise else keras.ops.conv
    return convolve(
        x,
        kernel,
        strides=tuple(layer.strides),
        padding=layer.padding,
        data_format="channels_last",
        dilation_rate=tuple(layer.dilation_rate),
    )


def _is_plain(layer: Any) -> bool:
    """Return True for a convolution without groups and dilation."""
    plain = type(layer) is keras.layers.Conv2D and layer.groups == 1
    return plain and tuple(layer.dilation_rate) == (1, 1)


def _is_relu(layer: Any) -> bool:
    if type(layer) is keras.layers.ReLU:
        return layer.max_value is None and not layer.negative_slope and not layer.threshold
    if type(layer) is keras.layers.Activation:
        return layer.activation is keras.activations.relu
    return type(layer).__module__ == "keras.src.ops.nn" and type(layer).__name__ == "Relu"


def _operation(layer: Any) -> str:
    """Return the name of an operation such as x + y, or nothing for a layer."""
    kind = type(layer)
    return kind.__name__ if kind.__module__ == "keras.src.ops.numpy" else ""


def _is_sum(layer: Any, args: tuple[Any, ...]) -> bool:
    """Return True for the sum of two tensors that is written as x + y."""
    return _operation(layer) == "Add" and all(keras.ops.is_tensor(one) for one in args)


def _changed_by_itself(layer: Any, args: tuple[Any, ...]) -> Any:
    """Return the tensor of which an operation such as x / 255 changes each number by itself, or None."""
    tensors = [one for one in args if keras.ops.is_tensor(one)]
    wide = any(np.ndim(one) > 1 for one in args if not keras.ops.is_tensor(one))  # may make x larger
    return tensors[0] if _operation(layer) in _OPERATIONS and len(tensors) == 1 and not wide else None


def _activation(layer: Any) -> str:
    function = getattr(layer, "activation", None)
    if function is None or function is keras.activations.linear:
        return "linear"
    return str(getattr(function, "__name__", type(function).__name__))
