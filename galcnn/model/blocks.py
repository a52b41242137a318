"""Feature maps from plain or residual blocks of convolutions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import keras

from galcnn._runtime import seeding
from galcnn.errors import message
from galcnn.model.settings import Identifier, NetworkSettings

#: With Keras' momentum of 0.99, inference agrees with training only after some hundred updates, which
#: small sets of labelled galaxies do not reach.
MOMENTUM = 0.9


@dataclass(frozen=True)
class LayerMaker:
    """Factory for the layers of a network, with common seeds, penalties, norm limits and precision.

    Attributes
    ----------
    settings : galcnn.model.NetworkSettings
        Settings of the network.
    seed : int
        Seed of the initial weights and of dropout.
    """

    settings: NetworkSettings
    seed: int

    @property
    def dtype(self) -> keras.DTypePolicy | None:
        """Dtype policy of the layers; None for Keras' global policy."""
        return None if self.settings.precision is None else keras.DTypePolicy(self.settings.precision)

    @property
    def penalty(self) -> keras.regularizers.Regularizer | None:
        """Regularizer of the kernels."""
        if self.settings.l1 or self.settings.l2:
            return keras.regularizers.L1L2(l1=self.settings.l1, l2=self.settings.l2 / 2)
        return keras.regularizers.get(self.settings.regularizer)

    def norm_limit(self, axis: int | tuple[int, ...]) -> keras.constraints.MaxNorm | None:
        """Return the constraint on the norm of the incoming weights of a unit, or None."""
        limit = self.settings.max_norm
        return None if limit is None else keras.constraints.MaxNorm(limit, axis=axis)

    def initializer(self, identifier: Identifier, name: str) -> keras.initializers.Initializer:
        """Return the initializer of one layer, seeded by the layer's name unless it has its own seed."""
        initializer = known_initializer(identifier)
        config = initializer.get_config()
        if "seed" not in config or (
            isinstance(identifier, Mapping) and identifier.get("config", {}).get("seed") is not None
        ):
            return initializer
        seed = seeding.integer(self.seed, "initializer", name)
        return type(initializer).from_config(config | {"seed": seed})

    def convolution(
        self, x: Any, width: int, name: str, *, kernel: int | None = None, strides: int = 1
    ) -> Any:
        """Apply a convolution and the normalisation."""
        settings = self.settings
        x = keras.layers.Conv2D(
            width,
            kernel or settings.kernel,
            strides=strides,
            padding="same",
            use_bias=settings.normalization == "none",  # normalisation layers have their own bias
            kernel_initializer=self.initializer(settings.initializer, name),
            kernel_regularizer=self.penalty,
            kernel_constraint=self.norm_limit((0, 1, 2)),
            dtype=self.dtype,
            name=name,
        )(x)
        return _NORMALIZATIONS[settings.normalization](self, x, f"{name}_{settings.normalization}norm")

    def activation(self, x: Any, name: str) -> Any:
        """Apply the activation function."""
        return keras.layers.Activation(self.settings.activation, dtype=self.dtype, name=f"{name}_activation")(
            x
        )


def known_initializer(identifier: Identifier) -> keras.initializers.Initializer:
    """Return the Keras initializer of this identifier."""
    try:
        return keras.initializers.get(identifier)
    except (ValueError, TypeError, KeyError) as error:  # KeyError: "constant" without its value
        raise ValueError(
            message(
                "an initializer of Keras: zeros, orthogonal, he_normal, glorot_uniform, lecun_normal ..., "
                'or { class_name = "Constant", config = { value = 0.1 } }',
                "Check its name and configuration.",
                initializer=identifier,
            )
        ) from error


def block_features(x: Any, make: LayerMaker) -> Any:
    """Apply the stem and the blocks."""
    settings = make.settings
    poolings = min(settings.poolings, len(settings.widths) - 1)
    halvings = poolings + (settings.stem > 0)
    if min(x.shape[1:3]) < 2**halvings:
        raise ValueError(
            message(
                f"images of at least {2**halvings} pixels for {halvings} halvings",
                "Use fewer poolings.",
                shape=tuple(x.shape[1:3]),
                field=settings.field,
            )
        )
    if settings.stem:
        x = make.activation(make.convolution(x, settings.stem, "stem", kernel=5, strides=2), "stem")
    for block, width in enumerate(settings.widths, start=1):
        x = (_residual_block if settings.residual else _plain_block)(x, make, block, width)
        if settings.spatial_dropout:
            x = keras.layers.SpatialDropout2D(
                settings.spatial_dropout,
                seed=seeding.integer(make.seed, "spatial dropout", block),
                dtype=make.dtype,
                name=f"spatial_dropout{block}",
            )(x)
        if block <= poolings:
            x = _POOLINGS[settings.pooling](2, dtype=make.dtype, name=f"pool{block}")(x)
    return x


def _plain_block(x: Any, make: LayerMaker, block: int, width: int) -> Any:
    for step in range(1, make.settings.depth + 1):
        name = f"conv{block}_{step}"
        x = make.activation(make.convolution(x, width, name), name)
    return x


def _residual_block(x: Any, make: LayerMaker, block: int, width: int) -> Any:
    entering, depth = x, make.settings.depth
    for step in range(1, depth + 1):
        name = f"conv{block}_{step}"
        x = make.convolution(x, width, name)
        if step < depth:
            x = make.activation(x, name)
    if entering.shape[-1] != width:
        entering = make.convolution(entering, width, f"shortcut{block}", kernel=1)
    x = keras.layers.Add(dtype=make.dtype, name=f"add{block}")([x, entering])
    return make.activation(x, f"add{block}")


def _batch_normalization(make: LayerMaker, x: Any, name: str) -> Any:
    return keras.layers.BatchNormalization(
        momentum=MOMENTUM, synchronized=make.settings.synchronized, dtype=make.dtype, name=name
    )(x)


def _group_normalization(make: LayerMaker, x: Any, name: str) -> Any:
    width = x.shape[-1]
    groups = max(width // 8, 1)
    while width % groups:
        groups -= 1
    return keras.layers.GroupNormalization(groups, dtype=make.dtype, name=name)(x)


_NORMALIZATIONS: Mapping[str, Callable[[LayerMaker, Any, str], Any]] = {
    "batch": _batch_normalization,
    "group": _group_normalization,
    # Layer normalisation: one group of all channels and pixels of an image.
    "layer": lambda make, x, name: keras.layers.GroupNormalization(1, dtype=make.dtype, name=name)(x),
    "none": lambda make, x, name: x,
}
_POOLINGS = {"max": keras.layers.MaxPooling2D, "average": keras.layers.AveragePooling2D}
