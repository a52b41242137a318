"""Signals at initialisation: variances of activations and gradients, measured and by theory.

For weights of mean 0 and variance s2 that are independent of a layer's input, the variance of the output
is s2 times the sum of squares of the input, and the variance of the gradient of the input is s2 times
the sum of squares of the gradient of the output (Glorot & Bengio 2010; He et al. 2015)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf
from astropy.table import Table

from galcnn._runtime import seeding
from galcnn.errors import message
from galcnn.model import network_layers
from galcnn.model.blocks import known_initializer
from galcnn.model.forward import forward
from galcnn.model.graph import NetworkLayer

_NORMALIZING = (
    keras.layers.BatchNormalization,
    keras.layers.GroupNormalization,
    keras.layers.LayerNormalization,
)


@dataclass(frozen=True, eq=False)
class KernelLayer:
    """A layer with a trainable kernel, with its activation and normalisation.

    Attributes
    ----------
    name : str
        Name in `galcnn.model.network_layers`, such as ``network/conv1_1``.
    layer : keras.layers.Layer
        The layer of the model.
    source : str
        Name of the step whose output it takes; ``input`` for the images.
    alone : bool
        If True, no other step takes that output.
    activation : str
        Keras' name of the first activation after the kernel; ``linear`` if there is none before the
        next kernel.
    activated : str
        Name of the step with that activation; for ``linear``, the last step before the next kernel.
    normalized : bool
        If True, a normalisation lies between kernel and activation.
    """

    name: str
    layer: keras.layers.Layer
    source: str
    alone: bool
    activation: str
    activated: str
    normalized: bool

    @property
    def kernel(self) -> Any:
        """Kernel of the layer, a variable."""
        return _kernel(self.layer)

    @property
    def initializer(self) -> Any:
        """Initializer of the kernel; for separable convolutions that of the depthwise kernel."""
        own = ("kernel_initializer", "depthwise_initializer")
        return next((getattr(self.layer, name) for name in own if hasattr(self.layer, name)), None)


def kernel_layers(model: keras.Model) -> list[KernelLayer]:
    """List the layers with a trainable kernel.

    Parameters
    ----------
    model : keras.Model
        Functional or sequential model, possibly nested.

    Returns
    -------
    list of KernelLayer
        Layers in the order of the forward pass.

    Raises
    ------
    ValueError
        If there is no such layer.

    Examples
    --------
    >>> from galcnn.model import NetworkSettings, build_network
    >>> network = build_network((16, 16, 3), 2, settings=NetworkSettings(widths=(4,), depth=1, stem=0))
    >>> [(found.name, found.activation, found.normalized) for found in kernel_layers(network)]
    [('conv1_1', 'relu', True), ('logits', 'linear', False)]
    """
    steps = network_layers(model)
    readers: dict[str, list[str]] = {}
    for step in steps.values():
        if not isinstance(step.layer, keras.Model):  # its layers are separate steps
            for source in step.sources:
                readers.setdefault(source, []).append(step.name)
    found = []
    for step in steps.values():
        if isinstance(step.layer, keras.Model) or _kernel(step.layer) is None:
            continue
        activation, activated, normalized = _follow(step, steps, readers)
        source = step.sources[0]
        alone = len(readers.get(source, ())) == 1
        found.append(KernelLayer(step.name, step.layer, source, alone, activation, activated, normalized))
    if not found:
        raise ValueError(message("a model with a trainable kernel", "", layers=list(steps)))
    return found


def _kernel(layer: keras.layers.Layer) -> Any:
    kernels = [v for v in layer.trainable_variables if "kernel" in v.name and v.ndim >= 2]
    return kernels[0] if kernels else None


def _follow(
    step: NetworkLayer, steps: dict[str, NetworkLayer], readers: dict[str, list[str]]
) -> tuple[str, str, bool]:
    """Return the first activation after a kernel, its step, and True if a normalisation precedes it."""
    normalized = False
    while True:
        activation = _activation(step.layer)
        if activation != "linear":
            return activation, step.name, normalized
        following = [name for name in readers.get(step.name, ()) if name in steps]
        if not following or _kernel(steps[following[0]].layer) is not None:
            return "linear", step.name, normalized
        step = steps[following[0]]
        normalized = normalized or isinstance(step.layer, _NORMALIZING)


def _activation(layer: keras.layers.Layer) -> str:
    if isinstance(layer, keras.layers.ReLU | keras.layers.LeakyReLU):
        return "relu" if isinstance(layer, keras.layers.ReLU) else "leaky_relu"
    activation = getattr(layer, "activation", None)
    return "linear" if activation is None else str(keras.activations.serialize(activation))


Series = npt.NDArray[np.float64]


_NODES = 200  # number of nodes of the Gauss-Hermite quadrature


_KEPT = 100.0  # a signal that changes by less than this factor is preserved


_TRUNCATED = 0.774  # variance of a unit Gaussian truncated at two standard deviations


@dataclass(frozen=True)
class Stack:
    """Stack of square dense layers with one activation and one initializer, for unit Gaussian input.

    Attributes
    ----------
    depth, width : int
        Number of layers, and of units per layer.
    activation, initializer : str or mapping
        Keras identifier or configuration.
    """

    depth: int = 30
    width: int = 256
    activation: str | Mapping[str, Any] = "relu"
    initializer: str | Mapping[str, Any] = "he_normal"

    def __post_init__(self) -> None:
        if self.depth < 1 or self.width < 2:
            raise ValueError(
                message("at least 1 layer of at least 2 units", "", depth=self.depth, width=self.width)
            )

    def build(self) -> keras.Model:
        """Build the stack with all weights zero; they are drawn later.

        Returns
        -------
        keras.Model
            Model from (n, width) to (n, width), with layers ``dense1``, ``activation1`` ...; the last
            dense layer has no activation.
        """
        x = inputs = keras.Input((self.width,))
        for number in range(1, self.depth + 1):
            if number > 1:
                x = keras.layers.Activation(self.activation, name=f"activation{number - 1}")(x)
            x = keras.layers.Dense(self.width, kernel_initializer="zeros", name=f"dense{number}")(x)
        return keras.Model(inputs, x)


def initializer_variance(initializer: keras.initializers.Initializer, shape: tuple[int, ...]) -> float:
    """Return the nominal variance of the weights of an initializer.

    Glorot: 2 / (n_in + n_out); He: 2 / n_in, twice Glorot's for a square layer; LeCun: 1 / n_in.
    n_in is the number of inputs of one output: for a convolution, kernel height x kernel width x input
    channels.

    Parameters
    ----------
    initializer : keras.initializers.Initializer
        Zeros, Ones, Constant, RandomNormal, RandomUniform, TruncatedNormal, Glorot, He, LeCun,
        VarianceScaling or Orthogonal.
    shape : tuple of int
        Shape of the kernel, outputs last.

    Returns
    -------
    float
        Variance; NaN for other initializers.

    Examples
    --------
    >>> initializer_variance(keras.initializers.get("he_normal"), (3, 3, 8, 32)) == 2 / 72
    True
    """
    config, known = initializer.get_config(), keras.initializers
    if isinstance(initializer, known.VarianceScaling):  # Glorot, He and LeCun are subclasses
        fan_in, fan_out = _fans(shape)
        fans = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}
        return float(initializer.scale / max(1.0, fans[initializer.mode]))
    if isinstance(initializer, known.RandomNormal):
        return float(config["stddev"] ** 2)
    if isinstance(initializer, known.TruncatedNormal):
        return float(_TRUNCATED * config["stddev"] ** 2)
    if isinstance(initializer, known.RandomUniform):
        return float((config["maxval"] - config["minval"]) ** 2 / 12)
    if isinstance(initializer, known.Orthogonal):
        return float(config["gain"] ** 2 / max(int(np.prod(shape[:-1])), shape[-1]))
    if isinstance(initializer, known.Zeros | known.Ones | known.Constant):
        return 0.0
    return float("nan")


def initialisation_table(model: keras.Model, images: npt.NDArray[np.float32], *, seed: int = 0) -> Table:
    """Measure forward and backward signals of a model with its present weights, beside the theory.

    The forward pass is of a batch of images, the backward pass of a random gradient of the output; the
    model is not changed. The table lists mean squares per layer. The theory is NaN where it does not
    apply: kernels whose mean is not 0, layers other than dense and plain 2D convolutions, and inputs
    that several layers share.
    """
    layers = kernel_layers(model)
    images = tf.convert_to_tensor(images)
    with keras.StatelessScope(), tf.GradientTape() as tape:
        tape.watch(images)
        output, seen = forward(model, images, training=True)
        draw = seeding.generator(seed, "initialisation", "gradient").normal(size=output.shape)
        total = tf.reduce_sum(output * tf.cast(draw, output.dtype))
    seen = {"input": images, **seen}
    wanted = {found.name for found in layers} | {found.source for found in layers}
    gradients = tape.gradient(
        total, {name: seen[name] for name in wanted}, unconnected_gradients=tf.UnconnectedGradients.ZERO
    )
    rows = [_signal(found, seen, gradients) for found in layers]
    return Table({name: [row[name] for row in rows] for name in rows[0]})


def _signal(
    found: KernelLayer, seen: dict[str, tf.Tensor], gradients: dict[str, tf.Tensor]
) -> dict[str, Any]:
    kernel = np.asarray(found.kernel, dtype=np.float64)
    fan_in, fan_out = _fans(kernel.shape)
    stated = initializer_variance(found.initializer, kernel.shape)
    entering, back = seen[found.source], gradients[found.name]
    sums = _sums(found.layer, tf.cast(entering, tf.float32), tf.cast(back, tf.float32))
    forth, returned = (float("nan"), float("nan")) if sums is None else sums
    # The law holds for independent weights of mean 0, not for constant kernels.
    scale = stated if stated > 0 or not kernel.any() else float("nan")
    return {
        "layer": found.name,
        "initializer": type(found.initializer).__name__,
        "activation": found.activation,
        "fan_in": fan_in,
        "fan_out": fan_out,
        "weight_variance": float(kernel.var()),
        "weight_theory": stated,
        "variance": _mean_square(seen[found.name]),
        "variance_theory": scale * forth,
        "gradient": _mean_square(gradients[found.source]),
        "gradient_theory": scale * returned if found.alone else float("nan"),
    }


def _sums(layer: keras.layers.Layer, entering: tf.Tensor, back: tf.Tensor) -> tuple[float, float] | None:
    """Return the mean sum of squares of an output's inputs, and of the gradients that reach an input."""
    if isinstance(layer, keras.layers.Dense):
        forth = tf.reduce_sum(entering**2, axis=-1)
        return float(tf.reduce_mean(forth)), float(tf.reduce_mean(tf.reduce_sum(back**2, axis=-1)))
    if type(layer) is not keras.layers.Conv2D or layer.groups != 1:
        return None
    ones = tf.ones((*layer.kernel_size, 1, 1))

    def taps(image: tf.Tensor) -> tf.Tensor:
        """Sum over the pixels under the kernel, which are fewer at the edge."""
        return keras.ops.conv(
            image, ones, strides=layer.strides, padding=layer.padding, dilation_rate=layer.dilation_rate
        )

    squares = tf.reduce_sum(entering**2, axis=-1, keepdims=True)
    seen = taps(tf.ones_like(squares)) * tf.reduce_sum(back**2, axis=-1, keepdims=True)
    inputs = float(tf.size(squares))
    return float(tf.reduce_mean(taps(squares))), float(tf.reduce_sum(seen)) / inputs


def mean_field(stack: Stack) -> tuple[Series, Series]:
    """Return the signals of a stack of infinite width (Poole et al. 2016; Schoenholz et al. 2017).

    With weights of variance s2 and pre-activations that are Gaussian of variance q_l,
    ``q_(l+1) = n s2 E[phi(z)^2]`` and, backwards, ``g_l = n s2 E[phi'(z)^2] g_(l+1)``, z ~ N(0, q_l).

    Parameters
    ----------
    stack : Stack
        Stack, with unit Gaussian input.

    Returns
    -------
    variance : numpy.ndarray
        Variance of the pre-activation of each layer, shape (depth,).
    gradient : numpy.ndarray
        Variance of the gradient of each pre-activation, in units of that of the last, shape (depth,).

    Examples
    --------
    >>> mean_field(Stack(3, activation="relu", initializer="he_normal"))[0].round(6).tolist()
    [2.0, 2.0, 2.0]
    >>> mean_field(Stack(3, activation="relu", initializer="glorot_normal"))[0].round(6).tolist()
    [1.0, 0.5, 0.25]
    """
    gain = stack.width * initializer_variance(
        known_initializer(stack.initializer), (stack.width, stack.width)
    )
    # With an even number, no node lies at 0, where a ReLU is not differentiable.
    nodes, weights = np.polynomial.hermite_e.hermegauss(_NODES)
    weights = weights / weights.sum()
    phi = keras.activations.get(stack.activation)
    variances, slopes = [gain], []
    for _ in range(stack.depth - 1):
        z = tf.constant(np.sqrt(variances[-1]) * nodes, dtype=tf.float64)
        with tf.GradientTape() as tape:
            tape.watch(z)
            values = phi(z)
        slope = np.asarray(tape.gradient(values, z))
        variances.append(gain * float(weights @ np.asarray(values) ** 2))
        slopes.append(gain * float(weights @ slope**2))
    return np.array(variances), np.append(np.cumprod(slopes[::-1])[::-1], 1.0)


def stack_table(stack: Stack, *, seeds: int = 10, n: int = 64) -> Table:
    """Measure the signals of a stack over several draws of its weights, beside the theory.

    Parameters
    ----------
    stack : Stack
        Stack to be measured.
    seeds : int
        Number of draws of the weights, at least 2.
    n : int
        Number of inputs per draw.

    Returns
    -------
    astropy.table.Table
        One row per layer, with columns: `layer`, from 1; `variance` of the pre-activations and
        `gradient`, variance of their gradient in units of the last layer's, both geometric means over
        the draws; `variance_theory` and `gradient_theory`, see `mean_field`; `ratio` of the variance to
        that of the layer before, `gradient_ratio` of the gradient to that of the layer after, both means
        over the draws, with standard errors `ratio_error` and `gradient_ratio_error` and the theory
        `ratio_theory` and `gradient_ratio_theory`; ratios are NaN if there is no such layer.

    Raises
    ------
    ValueError
        If there are fewer than two draws.
    """
    if seeds < 2:
        raise ValueError(message("at least two draws", "", seeds=seeds))
    model = stack.build()
    draws = np.array([_stack_signals(stack, model, seed, n) for seed in range(seeds)])
    theory = np.array(mean_field(stack))
    columns: dict[str, Any] = {"layer": np.arange(1, stack.depth + 1)}
    for side, (name, ratio) in enumerate([("variance", "ratio"), ("gradient", "gradient_ratio")]):
        # The variance is compared with the layer before, the gradient with the layer after.
        ratios, stated = _ratios(draws[:, side], side), _ratios(theory[side], side)
        with np.errstate(divide="ignore"):  # for zeros
            columns[name] = np.exp(np.log(draws[:, side]).mean(axis=0))
        columns[f"{name}_theory"] = theory[side]
        columns[ratio] = ratios.mean(axis=0)
        columns[f"{ratio}_error"] = ratios.std(axis=0, ddof=1) / np.sqrt(seeds)
        columns[f"{ratio}_theory"] = stated
    return Table(columns, meta=asdict(stack) | {"seeds": seeds, "inputs": n})


def stack_summary(tables: Sequence[Table]) -> Table:
    """Summarise stacks in one row each, with a verdict on their signals.

    Parameters
    ----------
    tables : sequence of astropy.table.Table
        Tables from `stack_table`.

    Returns
    -------
    astropy.table.Table
        One row per stack, with columns: `activation`, `initializer`, `depth`; `variance` of the output of
        the last layer and `gradient` of the first layer in units of the last, each with its theory;
        `verdict`: ``kept`` if both change by at most a factor of 100 through the stack, else ``vanishes``
        or ``explodes``.
    """
    rows = []
    for table in tables:
        with np.errstate(invalid="ignore"):  # for zeros
            ends = [table[-1]["variance"] / table[0]["variance"], table[0]["gradient"]]
        rows.append(
            {
                **{name: str(table.meta[name]) for name in ("activation", "initializer")},
                "depth": table.meta["depth"],
                "variance": table[-1]["variance"],
                "variance_theory": table[-1]["variance_theory"],
                "gradient": table[0]["gradient"],
                "gradient_theory": table[0]["gradient_theory"],
                "verdict": _verdict(ends),
            }
        )
    return Table({name: [row[name] for row in rows] for name in rows[0]})


def _verdict(changes: list[float]) -> str:
    # A signal that is zero everywhere (ratio NaN) counts as vanishing.
    if not all(change >= 1 / _KEPT for change in changes):
        return "vanishes"
    return "explodes" if max(changes) > _KEPT else "kept"


def _ratios(series: Series, side: int) -> Series:
    """Return the ratio of each layer to its neighbour, along the last axis."""
    found = np.full(series.shape, np.nan)
    with np.errstate(divide="ignore", invalid="ignore"):  # for zeros
        if side == 0:
            found[..., 1:] = series[..., 1:] / series[..., :-1]
        else:
            found[..., :-1] = series[..., :-1] / series[..., 1:]
    return found


def _stack_signals(stack: Stack, model: keras.Model, seed: int, n: int) -> tuple[Series, Series]:
    names = [f"dense{number}" for number in range(1, stack.depth + 1)]
    for name in names:  # draw new weights, which is faster than building a new model
        kernel = model.get_layer(name).kernel
        kernel.assign(_seeded(stack.initializer, seeding.integer(seed, "stack", name))(kernel.shape))
    draw = seeding.generator(seed, "stack", "input")
    inputs = tf.constant(draw.normal(size=(n, stack.width)).astype(np.float32))
    back = draw.normal(size=(n, stack.width)).astype(np.float32)
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        output, seen = forward(model, inputs)
        total = tf.reduce_sum(output * back)
    outputs = [seen[name] for name in names]
    gradients = np.array([_mean_square(gradient) for gradient in tape.gradient(total, outputs)])
    with np.errstate(invalid="ignore"):  # for zeros
        return np.array([_mean_square(x) for x in outputs]), gradients / gradients[-1]


def _seeded(identifier: str | Mapping[str, Any], seed: int) -> keras.initializers.Initializer:
    initializer = known_initializer(identifier)
    config = initializer.get_config()
    return type(initializer).from_config(config | {"seed": seed}) if "seed" in config else initializer


def _fans(shape: tuple[int, ...]) -> tuple[int, int]:
    field = int(np.prod(shape[:-2]))
    return field * shape[-2], field * shape[-1]


def _mean_square(values: tf.Tensor) -> float:
    # In double precision, since squares of vanishing signals underflow.
    return float(tf.reduce_mean(tf.cast(values, tf.float64) ** 2))
