"""A clear convolutional network that ends in logits."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import keras

from galcnn import seeding
from galcnn.errors import message

__all__ = ["LOGITS", "NETWORK", "PREPROCESSING", "NetworkSettings", "assemble", "build_network"]

#: Names that the rest of galcnn looks for.
PREPROCESSING, NETWORK, LOGITS = "preprocessing", "network", "logits"

Identifier = str | Mapping[str, Any] | None


@dataclass(frozen=True)
class NetworkSettings:
    """How a network is built: blocks of convolutions, each halving the grid, then GAP and Dense.

    Attributes
    ----------
    widths : tuple of int
        Filters of each block.
    depth : int
        Convolutions in each block.
    stem : int
        Filters of a first 5 x 5 convolution of stride 2, which quarters the cost of all that
        follows; 0 for none.
    field : float or None
        Share of the image's side, about the centre, that the network looks at; None is all of
        it. (An experiment takes None for two thirds where pictures are scaled to their galaxy.)
    kernel : int
        Side of the other convolutions.
    normalization : {"batch", "group", "layer", "none"}
        After each convolution, before the activation. Group: groups of 8 channels, or fewer.
    activation : str or mapping
        Keras identifier.
    pooling : {"max", "average"}
        At the end of each block but the last.
    dropout : float
        Rate before the logits.
    spatial_dropout : float
        Rate at which whole feature maps are dropped at the end of each block: neighbouring pixels
        of a map are so alike that dropping single ones changes little (Tompson et al. 2015).
    initializer : str or mapping
        Keras identifier or configuration of the kernels; seeded for each layer.
    regularizer : str, mapping or None
        Keras identifier or configuration for the kernels.
    l1, l2 : float
        Penalties of the kernels, lambda in ``C = E + l1 sum |w| + l2 / 2 sum w**2``, so that
        ``dC/dw = dE/dw + l1 sign(w) + l2 w``. (Keras' own ``l2`` has no half: its gradient is
        twice as large.) A decay in the update rule is `weight_decay` of the training.
    max_norm : float or None
        Largest norm of the weights that lead into one unit or feature map.
    max_parameters : int or None
        Capacity that a network may have at most; a larger one is refused.
    """

    widths: tuple[int, ...] = (16, 32, 64, 128)
    depth: int = 2
    stem: int = 16
    field: float | None = None
    kernel: int = 3
    normalization: Literal["batch", "group", "layer", "none"] = "batch"
    activation: Identifier = "relu"
    pooling: Literal["max", "average"] = "max"
    dropout: float = 0.2
    spatial_dropout: float = 0.0
    initializer: Identifier = "he_normal"
    regularizer: Identifier = None
    l1: float = 0.0
    l2: float = 0.0
    max_norm: float | None = None
    max_parameters: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "widths", tuple(int(w) for w in self.widths))
        if not self.widths or min(self.widths) < 1 or self.depth < 1 or self.stem < 0 or self.kernel < 1:
            raise ValueError(
                message(
                    "widths, depth and kernel of at least 1",
                    "",
                    widths=self.widths,
                    depth=self.depth,
                    stem=self.stem,
                    kernel=self.kernel,
                )
            )
        if self.field is not None and not 0 < self.field <= 1:
            raise ValueError(message("a field in (0, 1]", "", field=self.field))
        for name in ("dropout", "spatial_dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(message("a dropout rate in [0, 1)", "", **{name: getattr(self, name)}))
        if min(self.l1, self.l2) < 0 or (self.max_norm is not None and self.max_norm <= 0):
            raise ValueError(
                message("penalties of 0 or more", "", l1=self.l1, l2=self.l2, max_norm=self.max_norm)
            )
        if self.regularizer is not None and (self.l1 or self.l2):
            raise ValueError(
                message(
                    "l1 and l2, or a regularizer",
                    "Leave one out.",
                    regularizer=self.regularizer,
                    l1=self.l1,
                    l2=self.l2,
                )
            )
        for name, words in (("normalization", _NORMALIZATIONS), ("pooling", _POOLINGS)):
            if getattr(self, name) not in words:
                raise ValueError(message(f"{name} among {tuple(words)}", "", **{name: getattr(self, name)}))


def build_network(
    image_shape: tuple[int, int, int],
    n_classes: int,
    *,
    settings: NetworkSettings | None = None,
    seed: int = 0,
) -> keras.Model:
    """Build a network that ends in logits.

    Parameters
    ----------
    image_shape : tuple of int
        (ny, nx, n_bands).
    n_classes : int
        At least two.
    settings : NetworkSettings, optional
        The defaults when not given.
    seed : int
        Of the initial weights and of dropout; no global seed is touched.

    Returns
    -------
    keras.Model
        Named ``network``, last layer ``logits``, without a softmax.

    Raises
    ------
    ValueError
        Fewer than two classes, an unknown word, an image too small for the pooling, or more
        parameters than allowed.

    Examples
    --------
    >>> network = build_network((32, 32, 3), 4, settings=NetworkSettings(widths=(8, 16)))
    >>> network.layers[-1].name, network.output_shape
    ('logits', (None, 4))
    """
    settings = settings or NetworkSettings()
    if n_classes < 2:
        raise ValueError(message("at least two classes", "", n_classes=n_classes))
    halvings = len(settings.widths) - 1 + (settings.stem > 0)
    field = 1.0 if settings.field is None else settings.field
    margins = [round((1 - field) / 2 * n) for n in image_shape[:2]]
    if min(n - 2 * margin for n, margin in zip(image_shape[:2], margins, strict=True)) < 2**halvings:
        raise ValueError(
            message(
                f"images of at least {2**halvings} pixels for {halvings} halvings",
                "Use fewer widths.",
                image_shape=image_shape,
                field=settings.field,
            )
        )
    inputs = keras.Input(image_shape, name="stretched")
    x = inputs
    if any(margins):
        x = keras.layers.Cropping2D([(margin, margin) for margin in margins], name="field")(x)
    if settings.stem:
        x = _convolution(x, settings, settings.stem, "stem", seed, kernel=5, strides=2)
    for block, width in enumerate(settings.widths, start=1):
        for step in range(1, settings.depth + 1):
            x = _convolution(x, settings, width, f"conv{block}_{step}", seed)
        if settings.spatial_dropout:
            x = keras.layers.SpatialDropout2D(
                settings.spatial_dropout,
                seed=seeding.integer(seed, "spatial dropout", block),
                name=f"spatial_dropout{block}",
            )(x)
        if block < len(settings.widths):
            x = _POOLINGS[settings.pooling](2, name=f"pool{block}")(x)
    x = keras.layers.GlobalAveragePooling2D(name="gap")(x)
    if settings.dropout:
        x = keras.layers.Dropout(settings.dropout, seed=seeding.integer(seed, "dropout"), name="dropout")(x)
    # float32 under any policy: logits of half precision lose the margin between two classes.
    logits = keras.layers.Dense(
        n_classes,
        dtype="float32",
        name=LOGITS,
        kernel_initializer=_seeded(settings.initializer, seed, LOGITS),
        kernel_regularizer=_penalty(settings),
        kernel_constraint=_norm_limit(settings, axis=0),
    )(x)
    network = keras.Model(inputs, logits, name=NETWORK)
    parameters = network.count_params()
    if settings.max_parameters is not None and parameters > settings.max_parameters:
        raise ValueError(
            message(
                f"a network of at most {settings.max_parameters} parameters",
                "Use fewer or smaller widths, or raise max_parameters.",
                parameters=parameters,
            )
        )
    return network


def assemble(preprocessing: keras.Model, network: keras.Model) -> keras.Model:
    """Join preprocessing and network into one model that eats calibrated images.

    Parameters
    ----------
    preprocessing : keras.Model
        From `galcnn.preprocessing.fit_preprocessing`, or a user's own.
    network : keras.Model
        Ends in logits.

    Returns
    -------
    keras.Model
        Named ``galcnn``, with both as its layers.

    Raises
    ------
    ValueError
        A model does not bear the name that the rest of galcnn looks for.
    """
    for model, name in ((preprocessing, PREPROCESSING), (network, NETWORK)):
        if model.name != name:
            raise ValueError(
                message(f"a model named {name!r}", f"Give name={name!r} to keras.Model.", name=model.name)
            )
    inputs = keras.Input(preprocessing.input_shape[1:], name="image", dtype="float32")
    return keras.Model(inputs, network(preprocessing(inputs)), name="galcnn")


def _convolution(
    x: Any,
    settings: NetworkSettings,
    width: int,
    name: str,
    seed: int,
    *,
    kernel: int | None = None,
    strides: int = 1,
) -> Any:
    x = keras.layers.Conv2D(
        width,
        kernel or settings.kernel,
        strides=strides,
        padding="same",
        use_bias=settings.normalization == "none",  # a normalisation has a shift of its own
        kernel_initializer=_seeded(settings.initializer, seed, name),
        kernel_regularizer=_penalty(settings),
        kernel_constraint=_norm_limit(settings, axis=(0, 1, 2)),
        name=name,
    )(x)
    x = _NORMALIZATIONS[settings.normalization](x, f"{name}_{settings.normalization}norm")
    return keras.layers.Activation(settings.activation, name=f"{name}_activation")(x)


def _penalty(settings: NetworkSettings) -> keras.regularizers.Regularizer | None:
    if settings.l1 or settings.l2:
        return keras.regularizers.L1L2(l1=settings.l1, l2=settings.l2 / 2)
    return keras.regularizers.get(settings.regularizer)


def _norm_limit(settings: NetworkSettings, axis: int | tuple[int, ...]) -> keras.constraints.MaxNorm | None:
    return None if settings.max_norm is None else keras.constraints.MaxNorm(settings.max_norm, axis=axis)


def _seeded(identifier: Identifier, seed: int, name: str) -> keras.initializers.Initializer:
    """Make an initializer of one layer; a shared unseeded one would draw from the clock."""
    initializer = keras.initializers.get(identifier)
    config = initializer.get_config()
    if "seed" not in config or (
        isinstance(identifier, Mapping) and identifier.get("config", {}).get("seed") is not None
    ):
        return initializer
    return type(initializer).from_config(config | {"seed": seeding.integer(seed, "initializer", name)})


def _group_normalization(x: Any, name: str) -> Any:
    width = x.shape[-1]
    groups = max(width // 8, 1)
    while width % groups:
        groups -= 1
    return keras.layers.GroupNormalization(groups, name=name)(x)


_NORMALIZATIONS: Mapping[str, Callable[[Any, str], Any]] = {
    # Keras' momentum of 0.99 needs some hundred updates before inference agrees with training; sets of
    # labelled galaxies are often smaller than that.
    "batch": lambda x, name: keras.layers.BatchNormalization(momentum=0.9, name=name)(x),
    "group": _group_normalization,
    # One group over all channels and pixels of an image: layer normalisation of a feature map.
    "layer": lambda x, name: keras.layers.GroupNormalization(1, name=name)(x),
    "none": lambda x, name: x,
}
_POOLINGS = {"max": keras.layers.MaxPooling2D, "average": keras.layers.AveragePooling2D}
