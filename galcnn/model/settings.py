"""How a network is built: one record, from one section of an experiment; no Keras here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

from galcnn.errors import message

Identifier = str | Mapping[str, Any] | None
#: The architecture of galcnn's own; any other is a name in `keras.applications`.
BLOCKS = "blocks"
_NORMALIZATIONS = ("batch", "group", "layer", "none")
_POOLINGS = ("max", "average")
_AVERAGINGS = ("always", "prediction")
_PRECISIONS = ("float32", "mixed_float16", "mixed_bfloat16")
#: What an architecture of keras.applications settles by itself.
_OF_BLOCKS = (
    "widths", "depth", "stem", "kernel", "residual", "normalization", "activation", "pooling",
    "spatial_dropout", "initializer",
)  # fmt: skip


@dataclass(frozen=True)
class NetworkSettings:
    """How a network is built: feature maps by an architecture, then their mean and Dense.

    Attributes
    ----------
    architecture : str
        ``"blocks"``: blocks of convolutions, each halving the grid, as the next settings say. Or a
        network of `keras.applications` by its name, such as ``"ResNet50V2"``: without its weights,
        its head and its rescaling, for any number of bands.
    widths : tuple of int
        Filters of each block.
    depth : int
        Convolutions in each block.
    residual : bool
        Whether what enters a block is added to what its convolutions make of it, before the last
        activation (He et al. 2015); through a 1 x 1 convolution where the widths differ.
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
    orientations : {1, 4, 8}
        Orientations of the image whose feature maps are averaged, each turned back: 4 quarter
        turns, or 8 with their mirror images. The logits are then the same for all of them, and as
        many times as costly. With 8 the network cannot tell an image from its mirror image.
    averaging : {"always", "prediction"}
        When orientations are averaged: in training too, or in the model that is saved alone. That
        one has the weights of a network trained on single orientations, at its cost.
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
    precision : {"float32", "mixed_float16", "mixed_bfloat16"} or None
        In which the layers compute; weights, the mean of the feature maps and the logits are
        float32 in any case. None is Keras' global policy.
    synchronized : bool
        Whether batch normalisation measures a batch over all devices that share it.
    """

    architecture: str = BLOCKS
    widths: tuple[int, ...] = (16, 32, 64, 128)
    depth: int = 2
    residual: bool = False
    stem: int = 16
    field: float | None = None
    kernel: int = 3
    normalization: Literal["batch", "group", "layer", "none"] = "batch"
    activation: Identifier = "relu"
    pooling: Literal["max", "average"] = "max"
    orientations: Literal[1, 4, 8] = 1
    averaging: Literal["always", "prediction"] = "always"
    dropout: float = 0.2
    spatial_dropout: float = 0.0
    initializer: Identifier = "he_normal"
    regularizer: Identifier = None
    l1: float = 0.0
    l2: float = 0.0
    max_norm: float | None = None
    max_parameters: int | None = None
    precision: Literal["float32", "mixed_float16", "mixed_bfloat16"] | None = None
    synchronized: bool = False

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
        for name, words in (
            ("normalization", _NORMALIZATIONS),
            ("pooling", _POOLINGS),
            ("orientations", (1, 4, 8)),
            ("averaging", _AVERAGINGS),
            ("precision", (*_PRECISIONS, None)),
        ):
            if getattr(self, name) not in words:
                raise ValueError(message(f"{name} among {words}", "", **{name: getattr(self, name)}))
        if self.averaging == "prediction" and self.orientations == 1:
            raise ValueError(
                message(
                    "4 or 8 orientations to average in prediction",
                    'Leave out averaging = "prediction".',
                    orientations=self.orientations,
                )
            )
        if self.architecture != BLOCKS:
            self._refuse_settings_of_blocks()

    def _refuse_settings_of_blocks(self) -> None:
        """An option that does nothing would be taken for one that does."""
        default = {f.name: f.default for f in fields(self)}
        idle = {name: getattr(self, name) for name in _OF_BLOCKS if getattr(self, name) != default[name]}
        if idle:
            raise ValueError(
                message(
                    f"settings that {self.architecture} heeds",
                    "It settles these by itself: leave them out.",
                    **idle,
                )
            )


Stretch = Literal["auto", "asinh", "lupton", "linear"]
Scaling = Literal["none", "center", "scale", "standardize", "pca", "whiten"]
#: What has a mean and a deviation of its own: each band of the training set, or the whole set; each
#: image, or each band of each image.
Per = Literal["band", "set", "image", "image-band"]
