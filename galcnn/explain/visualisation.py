"""Images that a network likes best: class models and filter visualisations by gradient ascent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

import keras
import numpy as np
import numpy.typing as npt

from galcnn import seeding
from galcnn.errors import message
from galcnn.explain.ascent import AscentSettings, ascend
from galcnn.explain.channels import PLACES, Place, channel_gradient, channel_score
from galcnn.explain.explanation import Target
from galcnn.explain.forward import outputs
from galcnn.explain.gradients import target_gradient
from galcnn.explain.graph import network_layer
from galcnn.explain.synthesis import Space, Synthesis
from galcnn.inputs import planes_from
from galcnn.model import TrainedModel

__all__ = ["ClassModels", "FilterImages"]

Start = Literal["zero", "noise"]
Images = npt.NDArray[np.float32]

_STARTS = ("zero", "noise")


@dataclass(frozen=True)
class ClassModels:
    """For each target the image that pleases it best: argmax of S(I) - lambda |I|^2.

    Simonyan, Vedaldi & Zisserman 2013 (arXiv:1312.6034), section 2; their zero image is the mean
    image here, since the network sees standardised images.

    Attributes
    ----------
    wrt : {"stretched", "flux"}
        Whether the image lives in what the network sees, or in the flux (or display values)
        before its preprocessing.
    start : {"zero", "noise"}
        Of every pixel: zero, or Gaussian noise of a tenth of the contrast.
    nonnegative : bool
        Whether pixels may not go below zero: no galaxy takes light from the sky.
    ascent : AscentSettings
        Steps, penalty and further bounds, in the unit of the images.
    seed : int
        Of the noise, a stream for each target.
    """

    wrt: Space = "stretched"
    start: Start = "zero"
    nonnegative: bool = False
    ascent: AscentSettings = field(default_factory=AscentSettings)
    seed: int = 0

    def __post_init__(self) -> None:
        if self.start not in _STARTS:
            raise ValueError(message(f"start among {_STARTS}", "", start=self.start))

    def __call__(self, trained: TrainedModel, targets: Sequence[Target]) -> list[Synthesis]:
        """Make the images.

        Parameters
        ----------
        trained : galcnn.model.TrainedModel
            The model; left as it is.
        targets : sequence of Target
            Over its logits.

        Returns
        -------
        list of Synthesis
            One a target; a success where the prediction's best class has the target's largest
            weight.
        """
        network, unit = _network(trained, self.wrt)
        start = _start(trained, self.start, [t.name for t in targets], self.ascent.contrast, self.seed)
        settings = (
            replace(self.ascent, lower=max(self.ascent.lower or 0.0, 0.0))
            if self.nonnegative
            else self.ascent
        )
        order = list(targets)

        def objective(images: Images) -> tuple[npt.NDArray[np.float32], Images]:
            slope, score = target_gradient(network, images, order)
            return score, slope

        climb = ascend(objective, start, settings)
        logits, before = outputs(network, climb.images), outputs(network, climb.start)
        weights = np.array([target.weights for target in order])
        used = _settings(self)
        return [
            Synthesis(
                image,
                origin,
                trained.card.inputs.bands,
                "class_model",
                target,
                self.wrt,
                unit,
                float(after @ w),
                float(first @ w),
                bool(w[np.argmax(after)] == w.max()),
                tuple(after.tolist()),
                tuple(first.tolist()),
                used | {"penalty": float(penalty)},
                self.seed if self.start == "noise" else None,
            )
            for image, origin, target, after, first, w, penalty in zip(
                planes_from(climb.images),
                planes_from(climb.start),
                order,
                logits,
                before,
                weights,
                climb.penalties,
                strict=True,
            )
        ]


@dataclass(frozen=True)
class FilterImages:
    """For each filter of a network layer the image that excites it most, by gradient ascent.

    Erhan et al. 2009; Simonyan et al. 2013. A layer before its activation function can be
    climbed from anywhere; behind a ReLU that is off there is no slope to climb.

    Attributes
    ----------
    layer : str
        A network layer of `TrainedModel.network`.
    place : {"centre", "mean"}
        Excite the cell at the centre (what one neuron wants to see, as large as its receptive
        field), or the mean over all cells (a texture).
    start : {"noise", "zero"}
        Gaussian noise of a tenth of the contrast, or zero.
    ascent : AscentSettings
        Steps, penalty and bounds, in what the network sees.
    seed : int
        Of the noise, a stream for each filter.
    """

    layer: str
    place: Place = "centre"
    start: Start = "noise"
    ascent: AscentSettings = field(default_factory=AscentSettings)
    seed: int = 0

    def __post_init__(self) -> None:
        if self.start not in _STARTS or self.place not in PLACES:
            raise ValueError(
                message(
                    f"start among {_STARTS}, place among {PLACES}", "", start=self.start, place=self.place
                )
            )

    def __call__(self, trained: TrainedModel, filters: Sequence[int]) -> list[Synthesis]:
        """Make the images.

        Parameters
        ----------
        trained : galcnn.model.TrainedModel
            The model; left as it is.
        filters : sequence of int
            Channels of the layer, counted from 0.

        Returns
        -------
        list of Synthesis
            One a filter; a success where an independent pass finds the filter more excited than
            at the start.

        Raises
        ------
        ValueError
            No such layer or filter.
        """
        network, bands = trained.network, trained.card.inputs.bands
        channels = network_layer(network, self.layer).shape[-1] or 0
        wrong = [number for number in filters if not 0 <= number < channels]
        if wrong:
            raise ValueError(message(f"filters from 0 to {channels - 1}", "", filters=wrong))
        targets = [
            Target(f"filter {number}", tuple(float(i == number) for i in range(channels)))
            for number in filters
        ]
        names = [f"{self.layer}/{number}" for number in filters]
        start = _start(trained, self.start, names, self.ascent.contrast, self.seed)
        weights = np.array([target.weights for target in targets], dtype=np.float32)
        climb = ascend(
            lambda images: channel_gradient(network, images, weights, layer=self.layer, place=self.place),
            start,
            self.ascent,
        )
        scores, before = (
            channel_score(network, images, weights, layer=self.layer, place=self.place)
            for images in (climb.images, climb.start)
        )
        logits, first = outputs(network, climb.images), outputs(network, climb.start)
        return [
            Synthesis(
                planes_from(climb.images[i : i + 1])[0],
                planes_from(climb.start[i : i + 1])[0],
                bands,
                "filter_image",
                target,
                "stretched",
                "",
                float(scores[i]),
                float(before[i]),
                bool(scores[i] > before[i]),
                tuple(logits[i].tolist()),
                tuple(first[i].tolist()),
                _settings(self) | {"penalty": float(climb.penalties[i])},
                self.seed if self.start == "noise" else None,
                self.layer,
            )
            for i, target in enumerate(targets)
        ]


def _network(trained: TrainedModel, wrt: Space) -> tuple[keras.Model, str]:
    if wrt == "stretched":
        return trained.network, ""
    return trained.model, trained.card.inputs.unit


def _start(trained: TrainedModel, start: Start, names: Sequence[str], contrast: float, seed: int) -> Images:
    shape = trained.card.inputs.image_shape
    if start == "zero":
        return np.zeros((len(names), *shape), dtype=np.float32)
    draws = [seeding.generator(seed, "synthesis", name).normal(0, 0.1 * contrast, shape) for name in names]
    return np.array(draws, dtype=np.float32).reshape(len(names), *shape)


def _settings(method: ClassModels | FilterImages) -> dict[str, Any]:
    """Of the method and of its ascent, flat."""
    own: dict[str, Any] = asdict(method)
    ascent: dict[str, Any] = own["ascent"]
    return {
        key: value for key, value in own.items() if key not in ("ascent", "layer", "seed", "wrt")
    } | ascent
