"""Fooling images: blank skies classified with high confidence (Nguyen, Yosinski & Clune 2015)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import keras
import numpy as np
import numpy.typing as npt

from galcnn._runtime import seeding
from galcnn.adversarial.margins import (
    UNITS,
    Floats,
    Unit,
    as_box,
    fast_logits,
    log_odds,
    margin_gradient,
    task_of,
)
from galcnn.errors import message
from galcnn.explain import Context
from galcnn.explain.baselines import ids_of
from galcnn.model import Target

#: Margin in log-odds, so that the success does not depend on rounding in another batch.
SLACK = 1e-3


def confidence_odds(confidence: float) -> float:
    """Return the log-odds of a probability.

    Parameters
    ----------
    confidence : float
        Probability between 0 and 1.

    Returns
    -------
    float
        Log-odds, ln(p / (1 - p)).

    Raises
    ------
    ValueError
        If the probability is not between 0 and 1.

    Examples
    --------
    >>> round(confidence_odds(0.99), 3)
    4.595
    """
    if not 0 < confidence < 1:
        raise ValueError(message("a confidence between 0 and 1", "", confidence=confidence))
    return float(np.log(confidence) - np.log1p(-confidence))


@dataclass(frozen=True)
class SkyAscent:
    """Gradient ascent from a blank sky until the network is confident of the target.

    The method follows arXiv:1412.1897 (figure 3, right), with gradient steps until the probability is
    reached. It starts from a sky with the noise of the galaxy's image instead of the mean image, and all
    steps have the same length, so the result is close to the nearest such image.

    Attributes
    ----------
    confidence : float
        Probability of the target at which the ascent stops.
    step : float
        RMS change per pixel of one step, in units of `unit`.
    steps : int
        Maximum number of steps.
    unit : {"sigma", "image"}
        Unit of changes: the standard deviation of the noise of each pixel, or the unit of the images.
    seed : int
        Seed of the sky noise, combined with the ids.
    lower, upper : float or None
        Bounds of pixel values.
    """

    confidence: float = 0.99
    step: float = 0.02
    steps: int = 500
    unit: Unit = "sigma"
    seed: int = 0
    lower: float | None = None
    upper: float | None = None

    name: ClassVar[str] = "sky_ascent"
    from_sky: ClassVar[bool] = True

    def __post_init__(self) -> None:
        as_box(self.lower, self.upper)
        confidence_odds(self.confidence)
        if self.unit not in UNITS or not self.step > 0 or self.steps < 1:
            raise ValueError(
                message(
                    f"unit among {UNITS}, a positive step and at least one of them",
                    "",
                    unit=self.unit,
                    step=self.step,
                    steps=self.steps,
                )
            )

    def __call__(
        self,
        network: keras.Model,
        images: npt.NDArray[np.float32],
        target: Target | Sequence[Target],
        *,
        context: Context | None = None,
    ) -> npt.NDArray[np.float32]:
        """Return each image when the confidence is reached, or after the last step."""
        task = task_of(self, network, images, target, context)
        made, scale = task.images.copy(), task.scale
        enough = confidence_odds(self.confidence) + SLACK
        climbing = np.arange(len(made))
        for _ in range(self.steps + 1):
            slope, logits = margin_gradient(network, made[climbing], task.weights[climbing])
            unsure = log_odds(logits, task.weights[climbing]) <= enough
            climbing, slope = climbing[unsure], slope[unsure]
            if not len(climbing):
                break
            steep = slope * scale[climbing]
            size = np.sqrt(np.mean(steep.astype(np.float64) ** 2, axis=(1, 2, 3), keepdims=True))
            way = np.divide(steep, size, out=np.zeros_like(steep), where=size > 0)
            made[climbing] = np.clip(made[climbing] + self.step * way * scale[climbing], *task.box)
        return made


_ENCODINGS = ("blobs", "pixels")


@dataclass(frozen=True)
class SkyEvolution:
    """Evolution of a blank sky, by mutation and selection, until the network is confident of the target.

    The method is that of arXiv:1412.1897, with the algorithm MAP-Elites (Mouret & Clune 2015,
    arXiv:1504.04909). For each class, the image with the highest confidence (the elite) is kept. In each
    generation, randomly drawn elites are mutated; a child replaces the elite of any class for which its
    confidence is higher.

    Attributes
    ----------
    confidence : float
        Probability of the target at which the evolution stops.
    encoding : {"blobs", "pixels"}
        Kind of mutation: a Gaussian blob of random position, shape, sign and colour is added (similar to
        the indirect encoding of the paper), or 10 % of the pixels are changed (its direct encoding).
    strength : float
        Standard deviation of blob heights or pixel changes, in units of `unit`.
    generations, children : int
        Maximum number of generations, and number of images per generation.
    unit : {"sigma", "image"}
        Unit of changes: the standard deviation of the noise of each pixel, or the unit of the images.
    seed : int
        Seed of sky noise and mutations, combined with the ids.
    lower, upper : float or None
        Bounds of pixel values.
    """

    confidence: float = 0.99
    encoding: Literal["blobs", "pixels"] = "blobs"
    strength: float = 2.0
    generations: int = 200
    children: int = 32
    unit: Unit = "sigma"
    seed: int = 0
    lower: float | None = None
    upper: float | None = None

    name: ClassVar[str] = "sky_evolution"
    from_sky: ClassVar[bool] = True

    def __post_init__(self) -> None:
        as_box(self.lower, self.upper)
        confidence_odds(self.confidence)
        known = self.unit in UNITS and self.encoding in _ENCODINGS
        if not known or not self.strength > 0 or self.generations < 1 or self.children < 1:
            raise ValueError(
                message(
                    f"unit among {UNITS}, encoding among {_ENCODINGS}, a positive strength, "
                    "generations and children",
                    "",
                    unit=self.unit,
                    encoding=self.encoding,
                    strength=self.strength,
                    generations=self.generations,
                    children=self.children,
                )
            )

    def __call__(
        self,
        network: keras.Model,
        images: npt.NDArray[np.float32],
        target: Target | Sequence[Target],
        *,
        context: Context | None = None,
    ) -> npt.NDArray[np.float32]:
        """Return the best image found for each input, evolved one after the other."""
        task = task_of(self, network, images, target, context)
        made = []
        for row, name in enumerate(ids_of(images, context or Context())):
            stream = seeding.generator(self.seed, "evolution", name)
            made.append(self._evolved(network, task.images[row], task.weights[row], task.scale[row], stream))
        return np.stack(made)

    def _evolved(
        self,
        network: keras.Model,
        sky: Floats,
        weight: Floats,
        scale: Floats,
        stream: np.random.Generator,
    ) -> Floats:
        n_classes = len(weight)
        # One niche per class, and a last one for the target, which may weight several classes.
        niches = np.concatenate([np.eye(n_classes), weight[np.newaxis]])
        elites = np.repeat(sky[np.newaxis].astype(np.float32), len(niches), axis=0)
        surest = _odds(fast_logits(network, elites[:1]), niches)[0]
        for _ in range(self.generations):
            if surest[-1] > confidence_odds(self.confidence) + SLACK:
                break
            parents = elites[stream.integers(len(niches), size=self.children)]
            children = parents + self._mutations(stream, sky.shape).astype(sky.dtype) * scale
            born = np.clip(children, *as_box(self.lower, self.upper)).astype(np.float32)
            odds = _odds(fast_logits(network, born), niches)
            best = np.argmax(odds, axis=0)
            for niche, child in enumerate(best):
                if odds[child, niche] > surest[niche]:
                    elites[niche], surest[niche] = born[child], odds[child, niche]
        final: Floats = elites[-1]
        return final

    def _mutations(self, stream: np.random.Generator, shape: tuple[int, ...]) -> npt.NDArray[np.float64]:
        ny, nx, bands = shape
        n = self.children
        if self.encoding == "pixels":
            chosen = stream.uniform(size=(n, ny, nx, bands)) < 0.1
            return chosen * stream.normal(0, self.strength, (n, ny, nx, bands))
        y, x = np.mgrid[:ny, :nx]
        middle = stream.uniform(0, 1, (2, n, 1, 1)) * np.array([ny, nx]).reshape(2, 1, 1, 1)
        widths = np.exp(stream.uniform(np.log(0.7), np.log(max(min(ny, nx) / 4, 0.8)), (2, n, 1, 1)))
        angle = stream.uniform(0, np.pi, (n, 1, 1))
        along = (x - middle[1]) * np.cos(angle) + (y - middle[0]) * np.sin(angle)
        across = (y - middle[0]) * np.cos(angle) - (x - middle[1]) * np.sin(angle)
        blobs = np.exp(-((along / widths[0]) ** 2 + (across / widths[1]) ** 2) / 2)
        height = stream.normal(0, self.strength, (n, 1, 1, bands))
        return np.asarray(blobs[..., np.newaxis] * height)


def _odds(logits: Floats, niches: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the log-odds of each niche, shape (n_images, n_niches)."""
    return np.stack([log_odds(logits, np.broadcast_to(niche, logits.shape)) for niche in niches], axis=1)
