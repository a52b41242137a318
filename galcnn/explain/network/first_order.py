"""Validity of the first-order expansion on which saliency maps rely: S(I + d) = S(I) + w.d."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import keras
import numpy as np
import numpy.typing as npt

from galcnn._runtime import seeding
from galcnn.errors import message
from galcnn.model import Target
from galcnn.model.forward import outputs
from galcnn.model.gradients import target_gradient, target_weights

Direction = Literal["noise", "gradient"]
_DIRECTIONS = ("noise", "gradient")
#: Default distances, in sigma of the noise of each pixel.
DISTANCES = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)


@dataclass(frozen=True, eq=False)
class FirstOrder:
    """Changes of a target near some images, and their first-order Taylor approximation.

    Attributes
    ----------
    distances : numpy.ndarray
        RMS step of the pixels in sigma of their noise, float64, shape (n_distances,).
    actual : numpy.ndarray
        S(I + d) - S(I), float64, shape (n_images, n_distances, n_draws).
    linear : numpy.ndarray
        w.d with the gradient w at I, float64, shape of `actual`.
    direction : {"noise", "gradient"}
        Direction of the steps d.
    scores : numpy.ndarray
        S(I), float64, shape (n_images,).
    intercepts : numpy.ndarray
        b = S(I) - w.I, the intercept of S = w.I + b, float64, shape (n_images,).
    """

    distances: npt.NDArray[np.float64]
    actual: npt.NDArray[np.float64]
    linear: npt.NDArray[np.float64]
    direction: Direction
    scores: npt.NDArray[np.float64]
    intercepts: npt.NDArray[np.float64]

    @property
    def error(self) -> npt.NDArray[np.float64]:
        """RMS over draws of actual - linear, divided by the RMS of linear; shape (n_images, n_distances)."""
        wrong = np.sqrt(np.mean((self.actual - self.linear) ** 2, axis=2))
        said = np.sqrt(np.mean(self.linear**2, axis=2))
        return np.asarray(np.divide(wrong, said, out=np.full_like(wrong, np.nan), where=said > 0))

    def reach(self, error: float = 0.5) -> npt.NDArray[np.float64]:
        """Return the distance up to which the error stays below `error`, 0 if it never does; (n_images,)."""
        logs = np.log(self.distances)
        found = np.zeros(len(self.scores))
        for row, curve in enumerate(self.error):
            over = np.flatnonzero(~(curve <= error))
            if len(over) == 0:
                found[row] = self.distances[-1]
            elif over[0] > 0:
                i = over[0]
                rise = curve[i] - curve[i - 1]
                share = (error - curve[i - 1]) / rise if np.isfinite(rise) else 0.0
                found[row] = np.exp(logs[i - 1] + share * (logs[i] - logs[i - 1]))
        return found


def first_order(
    network: keras.Model,
    images: npt.NDArray[np.float32],
    target: Target | Sequence[Target],
    *,
    sigma: npt.NDArray[np.float32],
    direction: Direction = "noise",
    settings: FirstOrderSettings | None = None,
) -> FirstOrder:
    """Compare changes of a target near images with their first-order approximation.

    Parameters
    ----------
    network : keras.Model
        Network that ends in logits.
    images : numpy.ndarray
        Images, shape (n, ny, nx, n_bands).
    target : Target or sequence of Target
        One target for all images, or one per image.
    sigma : numpy.ndarray
        Noise of the pixels in the unit of `images`, of a shape that broadcasts to theirs.
    direction : {"noise", "gradient"}
        ``"noise"``: steps of Gaussian noise. ``"gradient"``: steps along plus and minus
        sigma^2 w, in which the target changes fastest for their length in sigma.
    settings : FirstOrderSettings, optional
        Distances, draws and seed.

    Returns
    -------
    FirstOrder
        Actual and linear changes. With ``"gradient"`` there are two draws, up and down.

    Raises
    ------
    ValueError
        If the direction is unknown, or sigma is negative, not finite or zero everywhere.
    """
    chosen = settings or FirstOrderSettings()
    if direction not in _DIRECTIONS:
        raise ValueError(message(f"direction among {_DIRECTIONS}", "", direction=direction))
    noise = np.broadcast_to(np.asarray(sigma, dtype=np.float64), images.shape)
    if not (np.all(np.isfinite(noise)) and np.all(noise >= 0) and noise.any()):
        raise ValueError(message("finite noise >= 0, not all zero", "", minimum=float(noise.min())))
    weights = target_weights(network, target, images).astype(np.float64)
    slope = target_gradient(network, images, target)[0].astype(np.float64)

    def scores(images: npt.NDArray[np.float64], weights: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return np.asarray(outputs(network, images.astype(np.float32)) @ weights, dtype=np.float64)

    actual, linear, start = [], [], np.empty(len(images))
    for row, image in enumerate(images.astype(np.float64)):
        units = _steps(direction, chosen, row, slope[row], noise[row])
        start[row] = scores(image[np.newaxis], weights[row])[0]
        moved = [d * unit for d in chosen.distances for unit in units]
        # The actual step is that of the image rounded to float32, which the network sees.
        seen = (image + np.array(moved)).astype(np.float32).astype(np.float64)
        shape = (len(chosen.distances), len(units))
        actual.append((scores(seen, weights[row]) - start[row]).reshape(shape))
        linear.append(np.sum((seen - image) * slope[row], axis=(1, 2, 3)).reshape(shape))
    intercepts = start - np.sum(slope * images, axis=(1, 2, 3))
    return FirstOrder(
        np.array(chosen.distances), np.array(actual), np.array(linear), direction, start, intercepts
    )


@dataclass(frozen=True)
class FirstOrderSettings:
    """Settings of `first_order`.

    Attributes
    ----------
    distances : tuple of float
        RMS steps of the pixels in sigma, positive and increasing.
    draws : int
        Number of noise draws; the same draws are used at each distance.
    seed : int
        Seed of the noise; each image has its own stream.
    """

    distances: tuple[float, ...] = DISTANCES
    draws: int = 8
    seed: int = 0

    def __post_init__(self) -> None:
        distances = tuple(float(d) for d in self.distances)
        growing = all(a < b for a, b in zip((0.0, *distances), distances, strict=False))
        if not distances or not growing or self.draws < 1:
            raise ValueError(
                message(
                    "increasing positive distances and at least one draw",
                    "",
                    distances=self.distances,
                    draws=self.draws,
                )
            )
        object.__setattr__(self, "distances", distances)


def _steps(
    direction: Direction,
    settings: FirstOrderSettings,
    row: int,
    slope: npt.NDArray[np.float64],
    noise: npt.NDArray[np.float64],
) -> list[npt.NDArray[np.float64]]:
    """Return steps with an RMS of one sigma."""
    if direction == "noise":
        stream = seeding.generator(settings.seed, "first order", row)
        return [noise * stream.normal(size=noise.shape) for _ in range(settings.draws)]
    steepest = noise * slope
    rms = np.sqrt(np.mean(steepest**2))
    unit = noise * steepest / rms if rms > 0 else np.zeros_like(noise)
    return [unit, -unit]
