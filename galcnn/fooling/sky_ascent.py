"""A blank sky that a network is sure of, by gradient ascent (Nguyen, Yosinski & Clune 2015)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import keras
import numpy as np
import numpy.typing as npt

from galcnn.errors import message
from galcnn.explain.explanation import Context
from galcnn.explain.target import Target
from galcnn.fooling.attack import UNITS, Unit, as_box, check_within, pixel_scale
from galcnn.fooling.margins import log_odds, margin_gradient, wanted_weights

__all__ = ["SLACK", "SkyAscent", "confidence_odds"]

#: Log-odds beyond what is asked for: rounding in another batch must not take the success back.
SLACK = 1e-3


def confidence_odds(confidence: float) -> float:
    """Give the log-odds of a probability.

    Parameters
    ----------
    confidence : float
        Between 0 and 1.

    Returns
    -------
    float
        ln(p / (1 - p)).

    Raises
    ------
    ValueError
        Not between 0 and 1.

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
    """A blank sky with as little added as the network needs to be sure of the target.

    arXiv:1412.1897, figure 3 right: steps along the gradient until the probability is reached.
    Theirs begin at the mean image; here it is a sky with the noise of the galaxy's own image, and
    every step has one length, so that the first image that is sure is nearly the nearest.

    Attributes
    ----------
    confidence : float
        Probability of what the target wants at which an image is done.
    step : float
        RMS change of a pixel in one step, in the unit.
    steps : int
        At most.
    unit : {"sigma", "image"}
        Standard deviations of the noise of each pixel, or the unit of the images.
    seed : int
        Of the sky, with the ids.
    lower, upper : float or None
        Bounds of every pixel.
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
        """Make the images.

        Parameters
        ----------
        network : keras.Model
            Ends in logits.
        images : numpy.ndarray
            Blank skies, shape (n, ny, nx, n_bands).
        target : Target or sequence of Target
            One for all, or one an image.
        context : Context, optional
            Sigma and mask.

        Returns
        -------
        numpy.ndarray
            Shape of `images`: each as it was when it was sure, or after the last step.
        """
        weights = wanted_weights(network, target, images)
        made = images.astype(weights.dtype)
        box = as_box(self.lower, self.upper)
        check_within(made, box)
        scale = np.broadcast_to(pixel_scale(made, context, self.unit), made.shape)
        enough = confidence_odds(self.confidence) + SLACK
        climbing = np.arange(len(made))
        for _ in range(self.steps + 1):
            slope, logits = margin_gradient(network, made[climbing], weights[climbing])
            unsure = log_odds(logits, weights[climbing]) <= enough
            climbing, slope = climbing[unsure], slope[unsure]
            if not len(climbing):
                break
            steep = slope * scale[climbing]
            size = np.sqrt(np.mean(steep.astype(np.float64) ** 2, axis=(1, 2, 3), keepdims=True))
            way = np.divide(steep, size, out=np.zeros_like(steep), where=size > 0)
            made[climbing] = np.clip(made[climbing] + self.step * way * scale[climbing], *box)
        return made
