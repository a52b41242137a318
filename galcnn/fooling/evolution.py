"""A blank sky that a network is sure of, by evolution: no gradient needed (Nguyen et al. 2015)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import keras
import numpy as np
import numpy.typing as npt

from galcnn import seeding
from galcnn.errors import message
from galcnn.explain.baselines import ids_of
from galcnn.explain.explanation import Context
from galcnn.explain.target import Target
from galcnn.fooling.attack import UNITS, Unit, as_box, check_within, pixel_scale
from galcnn.fooling.margins import fast_logits, log_odds, wanted_weights
from galcnn.fooling.sky_ascent import SLACK, confidence_odds

__all__ = ["SkyEvolution"]

Floats = npt.NDArray[np.floating[Any]]

_ENCODINGS = ("blobs", "pixels")


@dataclass(frozen=True)
class SkyEvolution:
    """A blank sky changed by mutation and selection until the network is sure of the target.

    arXiv:1412.1897, with its algorithm, MAP-Elites (Mouret & Clune 2015, arXiv:1504.04909): for
    each class the elite that the network is surest of; in each generation elites drawn at random
    are mutated, and a child that the network is surer of, for any class, takes its place there. What a
    step towards one class has found may so serve another.

    Attributes
    ----------
    confidence : float
        Probability of what the target wants at which an image is done.
    encoding : {"blobs", "pixels"}
        What a mutation is: a Gaussian blob of a random place, width, sign and colour added (like
        the regular images of their indirect encoding), or one pixel in ten changed (their direct one).
    strength : float
        Of a mutation: standard deviation of the height of a blob or of the change of a pixel, in the unit.
    generations, children : int
        How many, at most, and of how many images each.
    unit : {"sigma", "image"}
        Standard deviations of the noise of each pixel, or the unit of the images.
    seed : int
        Of sky and mutations, with the ids.
    lower, upper : float or None
        Bounds of every pixel.
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
        """Make the images, one after the other.

        Parameters
        ----------
        network : keras.Model
            Ends in logits.
        images : numpy.ndarray
            Blank skies, shape (n, ny, nx, n_bands).
        target : Target or sequence of Target
            One for all, or one an image.
        context : Context, optional
            Sigma, mask and ids.

        Returns
        -------
        numpy.ndarray
            Shape of `images`: of each the best that was found.
        """
        weights = wanted_weights(network, target, images)
        images = images.astype(weights.dtype, copy=False)
        check_within(images, as_box(self.lower, self.upper))
        scale = np.broadcast_to(pixel_scale(images, context, self.unit), images.shape)
        names = ids_of(images, context or Context())
        return np.stack(
            [
                self._evolved(network, image, weight, step, seeding.generator(self.seed, "evolution", name))
                for image, weight, step, name in zip(images, weights, scale, names, strict=True)
            ]
        )

    def _evolved(
        self,
        network: keras.Model,
        sky: Floats,
        weight: Floats,
        scale: Floats,
        stream: np.random.Generator,
    ) -> Floats:
        n_classes = len(weight)
        # One niche for each class, and a last one for what the target wants, which may be several.
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
    """Shape (images, niches)."""
    return np.stack([log_odds(logits, np.broadcast_to(niche, logits.shape)) for niche in niches], axis=1)
