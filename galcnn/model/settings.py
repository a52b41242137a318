"""Settings of network and devices, as in an experiment. Does not import Keras."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

from galcnn.errors import message

Identifier = str | Mapping[str, Any] | None
#: Name of galcnn's own architecture; any other name is one of `keras.applications`.
BLOCKS = "blocks"
_NORMALIZATIONS = ("batch", "group", "layer", "none")
_POOLINGS = ("max", "average")
_AVERAGINGS = ("prediction", "always")
_PRECISIONS = ("float32", "mixed_float16", "mixed_bfloat16")
#: Settings that have no effect on an architecture of keras.applications.
_OF_BLOCKS = (
    "widths", "depth", "stem", "kernel", "residual", "normalization", "activation", "pooling", "poolings",
    "spatial_dropout", "initializer",
)  # fmt: skip


@dataclass(frozen=True)
class NetworkSettings:
    """Settings of a network: feature maps, global average pooling and a Dense layer.

    Attributes
    ----------
    architecture : str
        Network: ``"blocks"``, or one of `keras.applications` such as ``"ResNet50V2"``. Blocks are
        convolutions; poolings after the first ones halve the grid. A network of `keras.applications` is
        built for any number of bands, without its pretrained weights, head and rescaling.
    widths : tuple of int
        Number of filters of the convolutions in each block.
    depth : int
        Number of convolutions in each block.
    residual : bool
        If true, the input of a block is added to the output of its convolutions. This happens before
        the last activation (He et al. 2015), through a 1 x 1 convolution if the widths differ.
    stem : int
        Number of filters of an initial 5 x 5 convolution of stride 2; 0 for none. It reduces the cost
        of the following layers to a quarter.
    field : float or None
        Fraction of the image's side, about the centre, that the network sees; none: the whole image.
        (An experiment replaces None by 2/3 if the pictures are scaled to their galaxy.)
    kernel : int
        Side of the kernels of the other convolutions, in pixels.
    normalization : {"batch", "group", "layer", "none"}
        Normalisation after each convolution, before the activation. ``"group"`` uses groups of 8
        channels, or more if the number of channels is not a multiple of 8.
    activation : str or mapping
        Activation function, as a Keras identifier.
    pooling : {"max", "average"}
        Pooling that halves the grid.
    poolings : int
        Number of poolings: the first blocks end in one each, never the last block. The feature maps
        of a picture of 64 pixels, with a stem, have 32 / 2**poolings cells a side.
    orientations : {1, 4, 8} or None
        Number of orientations that the network averages: 4 rotations, or 8 with mirror images. The
        feature maps of the rotated images are rotated back and averaged. The logits are then
        invariant to these orientations; the cost grows by the same factor. With 8, the network cannot
        distinguish an image from its mirror image. (An experiment replaces None by 8; by 4 if mirrored
        galaxies have another class; by 1 if the images are not square. `build_network` takes it as 1.)
    averaging : {"prediction", "always"}
        Whether orientations are averaged in prediction only, or in training too. With ``"prediction"``
        the network is trained on single orientations, at their cost; only the saved model averages.
        (`build_network` averages in either case.)
    dropout : float
        Dropout rate before the last layer.
    spatial_dropout : float
        Dropout rate of whole feature maps at the end of each block. Neighbouring pixels of
        a map are strongly correlated, so that dropping single pixels has little effect (Tompson et
        al. 2015).
    initializer : str or mapping
        Initializer of the kernels, as a Keras identifier or configuration. Each layer has its own seed.
        The kernel of the last layer is always a hundredth of He's, so that the logits begin near zero.
    regularizer : str, mapping or None
        Regularizer of the kernels, as a Keras identifier or configuration.
    l1 : float
        Penalty ``l1 sum |w|`` of the kernels in the loss.
    l2 : float
        Penalty ``l2 / 2 sum w**2`` of the kernels in the loss. With the loss E and both penalties,
        ``dC/dw = dE/dw + l1 sign(w) + l2 w``. (Keras' own ``l2`` lacks the factor 1/2: its gradient
        is twice as large.) Decoupled weight decay is the setting `weight_decay` of the training.
    max_norm : float or None
        Largest norm of the incoming weights of one unit or feature map.
    max_parameters : int or None
        Largest number of parameters; a larger network is refused. None for no limit.
    precision : {"float32", "mixed_float16", "mixed_bfloat16"} or None
        Floating-point precision of the layers; none: Keras' global policy. Weights, the global
        average and the logits are always float32.
    synchronized : bool
        If true, batch normalisation computes its statistics over all devices that share a batch.
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
    poolings: int = 2
    orientations: Literal[1, 4, 8] | None = None
    averaging: Literal["prediction", "always"] = "prediction"
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
        if not self.widths or min(*self.widths, self.depth, self.kernel) < 1:
            raise ValueError(
                message(
                    "widths, depth and kernel of at least 1",
                    "",
                    widths=self.widths,
                    depth=self.depth,
                    kernel=self.kernel,
                )
            )
        if min(self.stem, self.poolings) < 0:
            raise ValueError(
                message("stem and poolings of at least 0", "", stem=self.stem, poolings=self.poolings)
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
            ("orientations", (1, 4, 8, None)),
            ("averaging", _AVERAGINGS),
            ("precision", (*_PRECISIONS, None)),
        ):
            if getattr(self, name) not in words:
                raise ValueError(message(f"{name} among {words}", "", **{name: getattr(self, name)}))
        if self.architecture != BLOCKS:
            self._refuse_settings_of_blocks()

    def _refuse_settings_of_blocks(self) -> None:
        """Raise if a setting was changed that has no effect on this architecture."""
        default = {f.name: f.default for f in fields(self)}
        idle = {name: getattr(self, name) for name in _OF_BLOCKS if getattr(self, name) != default[name]}
        if idle:
            raise ValueError(
                message(
                    f"settings that {self.architecture} uses",
                    "It has its own: leave these out.",
                    **idle,
                )
            )


@dataclass(frozen=True)
class DeviceSettings:
    """Devices used for training.

    Attributes
    ----------
    device : str
        Device: ``auto``, ``cpu``, ``gpu`` or ``gpu:N``. ``auto`` is the GPU if there is one, else the CPU.
    strategy : {"one", "mirrored", "workers"}
        Distribution of each batch: one device, several of this machine, or several machines.
        ``"mirrored"``: each batch is split over several devices of this
        machine, which hold identical copies of the network. ``"workers"``: each batch is split over
        several machines; each runs the same command, with its own task in the environment variable
        ``TF_CONFIG``.
    replicas : int or None
        Number of devices that share a batch with strategy ``mirrored``; all GPUs by default. A CPU is
        divided into this number of logical devices, which is useful only for tests.
    """

    device: str = "auto"
    strategy: Literal["one", "mirrored", "workers"] = "one"
    replicas: int | None = None

    def __post_init__(self) -> None:
        if not re.fullmatch(r"auto|cpu|gpu(:\d+)?", self.device):
            raise ValueError(message("a device: auto, cpu, gpu or gpu:N", "", device=self.device))
        if self.strategy not in ("one", "mirrored", "workers"):
            raise ValueError(
                message("a strategy among ('one', 'mirrored', 'workers')", "", strategy=self.strategy)
            )
        if self.replicas is not None and (self.replicas < 2 or self.strategy != "mirrored"):
            raise ValueError(
                message(
                    "two or more replicas, with strategy 'mirrored'",
                    "Leave replicas out.",
                    replicas=self.replicas,
                    strategy=self.strategy,
                )
            )
        if self.strategy == "mirrored" and ":" in self.device:
            raise ValueError(
                message("device auto, cpu or gpu to share a batch", "Give replicas.", device=self.device)
            )


Stretch = Literal["auto", "asinh", "lupton", "linear"]
Scaling = Literal["none", "center", "scale", "standardize", "pca", "whiten"]
#: Scope of the mean and standard deviation: each band of the training set, the whole set, each image, or
#: each band of each image.
Per = Literal["band", "set", "image", "image-band"]
