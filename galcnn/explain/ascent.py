"""Gradient ascent on images, many at once, without a learning rate to choose. NumPy alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter

from galcnn.errors import message

__all__ = ["AscentSettings", "Climb", "ascend"]

Images = npt.NDArray[np.float32]
#: Images -> scores (n,) and gradients of the images' shape.
Objective = Callable[[Images], tuple[npt.NDArray[np.float32], Images]]


@dataclass(frozen=True)
class AscentSettings:
    """How images are made to climb.

    Attributes
    ----------
    steps : int
        Of the ascent.
    contrast : float
        The RMS that an image may have, in its own unit; used where `penalty` is None.
    penalty : float or None
        lambda of score - lambda |I|^2. None takes, for each image, the lambda that holds its RMS
        at the contrast, the multiplier of that constraint: how fast scores grow with an image
        differs by orders of magnitude from class to class.
    lower, upper : float or None
        Bounds of every pixel; None is no bound.
    blur : float
        Sigma in pixels of a Gaussian G: the image is I = G J, and it is J that climbs
        score(G J) - lambda |J|^2, has the contrast and keeps the bounds. With the width of the
        PSF, no image is sharper than the sky can be.
    """

    steps: int = 100
    contrast: float = 1.0
    penalty: float | None = None
    lower: float | None = None
    upper: float | None = None
    blur: float = 0.0

    def __post_init__(self) -> None:
        below = self.blur < 0 or (self.penalty is not None and self.penalty < 0)
        if self.steps < 1 or not self.contrast > 0 or below:
            raise ValueError(
                message(
                    "at least one step, a positive contrast, penalty and blur >= 0",
                    "",
                    steps=self.steps,
                    contrast=self.contrast,
                    penalty=self.penalty,
                    blur=self.blur,
                )
            )
        bounded = self.lower is not None and self.upper is not None
        if self.penalty == 0 and not bounded:
            raise ValueError(message("a penalty, or both bounds", "A score may grow for ever.", penalty=0))
        if self.lower is not None and self.upper is not None and not self.lower < self.upper:
            raise ValueError(message("lower < upper", "", lower=self.lower, upper=self.upper))


@dataclass(frozen=True, eq=False)
class Climb:
    """Where an ascent ended.

    Attributes
    ----------
    images : numpy.ndarray
        float32, shape of the start: for each the best that was seen.
    start : numpy.ndarray
        float32: the start, brought within the bounds and blurred.
    scores : numpy.ndarray
        float64, shape (n,), without the penalty.
    penalties : numpy.ndarray
        float64, shape (n,): the lambda at these images.
    trace : numpy.ndarray
        float64, shape (steps + 1, n): the scores on the way.
    """

    images: Images
    start: Images
    scores: npt.NDArray[np.float64]
    penalties: npt.NDArray[np.float64]
    trace: npt.NDArray[np.float64]


def ascend(objective: Objective, start: Images, settings: AscentSettings) -> Climb:
    r"""Climb score - lambda \|I\|^2 within bounds, each image by itself.

    Gradient ascent with the step g_t / (2 lambda), g_t = 2 / (t + 1):

    .. math:: I_{t+1} = I_t + \frac{\gamma_t}{2\lambda} \nabla (S - \lambda |I|^2)
              = (1 - \gamma_t) I_t + \gamma_t \frac{\nabla S}{2\lambda},

    the last term brought within the bounds, as in the conditional gradient method (Frank & Wolfe
    1956). One step is exact for a linear score, bounds or not; the steps are long enough to
    leave the kinks where ReLU and max-pooling hold a line search up, and no unit matters.

    Parameters
    ----------
    objective : callable
        Images (n, ny, nx, n_bands) -> scores (n,) and their gradients.
    start : numpy.ndarray
        float32, shape (n, ny, nx, n_bands); brought within the bounds.
    settings : AscentSettings
        Steps, contrast or penalty, and bounds.

    Returns
    -------
    Climb
        For each image the best that was seen.

    Raises
    ------
    FloatingPointError
        A score is not finite.

    Examples
    --------
    A linear score w.I has its optimum at w / (2 lambda):

    >>> w = np.array([[[[1.0]], [[-3.0]]]], dtype="float32")
    >>> climb = ascend(lambda x: (np.sum(x * w, (1, 2, 3)), w), 0 * w, AscentSettings(8, penalty=0.5))
    >>> climb.images.ravel().tolist()
    [1.0, -3.0]
    """
    low = -np.inf if settings.lower is None else settings.lower
    high = np.inf if settings.upper is None else settings.upper
    images = np.clip(np.asarray(start, dtype=np.float64), low, high)
    first = _blurred(images, settings.blur)
    score, slope = _evaluate(objective, images, settings.blur)
    best, best_score, best_value = images, score, np.full(len(images), -np.inf)
    best_penalty, trace = np.zeros(len(images)), [score]
    for step in range(1, settings.steps + 1):
        penalty = _penalty(slope, settings, low, high)
        goal = np.clip(_optimum(slope, penalty, images), low, high)
        images = images + 2 / (step + 1) * (goal - images)
        score, slope = _evaluate(objective, images, settings.blur)
        trace.append(score)
        held = 0.0 if settings.penalty is None else settings.penalty * np.sum(images**2, axis=(1, 2, 3))
        better = score - held > best_value
        best = np.where(_wide(better), images, best)
        best_score, best_value = np.where(better, score, best_score), np.maximum(best_value, score - held)
        best_penalty = np.where(better, penalty, best_penalty)
    made = _blurred(best, settings.blur).astype(np.float32)
    return Climb(made, first.astype(np.float32), best_score, best_penalty, np.array(trace))


def _penalty(
    slope: npt.NDArray[np.float64], settings: AscentSettings, low: float, high: float
) -> npt.NDArray[np.float64]:
    """The given lambda, or that of the RMS: of the part of the slope that the bounds let through."""
    if settings.penalty is not None:
        return np.full(len(slope), float(settings.penalty))
    free = np.where((slope > 0) & (high <= 0) | (slope < 0) & (low >= 0), 0, slope)
    rms = np.sqrt(np.mean(free**2, axis=(1, 2, 3)))
    return np.asarray(rms / (2 * settings.contrast))


def _optimum(
    slope: npt.NDArray[np.float64], penalty: npt.NDArray[np.float64], images: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Of a linear score of this slope; a pixel without a slope and without a penalty stays."""
    wide = np.broadcast_to(_wide(penalty), slope.shape)
    unbounded = np.where(slope == 0, images, np.copysign(np.inf, slope))
    return np.asarray(np.divide(slope, 2 * wide, out=unbounded, where=wide > 0))


def _evaluate(
    objective: Objective, images: npt.NDArray[np.float64], blur: float
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    seen = _blurred(images, blur).astype(np.float32)
    score, slope = (np.asarray(part, dtype=np.float64) for part in objective(seen))
    if not np.all(np.isfinite(score)):
        raise FloatingPointError(
            message("finite scores", "Give a larger penalty or bounds.", scores=score.tolist())
        )
    return score, _blurred(slope, blur)


def _blurred(images: npt.NDArray[np.float64], blur: float) -> npt.NDArray[np.float64]:
    """Mirrored at the edges, which makes the blur its own adjoint."""
    if not blur:
        return images
    return np.asarray(gaussian_filter(images, (0, blur, blur, 0), mode="reflect"))


def _wide(values: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
    return values[:, np.newaxis, np.newaxis, np.newaxis]
