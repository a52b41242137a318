"""SmoothGrad: the mean gradient over noisy copies of an image (Smilkov et al. 2017)."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, ClassVar, Literal

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from galcnn._runtime import seeding
from galcnn._runtime.progress import parts
from galcnn.errors import message
from galcnn.explain.baselines import ids_of, noise_of, standard_normal
from galcnn.explain.explanation import Context, Kind
from galcnn.model import Target
from galcnn.model.forward import batches, compiled, images_per_batch
from galcnn.model.gradients import logits_of, summed_gradient, target_weights


@dataclass(frozen=True)
class SmoothGrad:
    """SmoothGrad: (1/n) sum_i dS/dI(I + sigma z_i) with standard normal z_i.

    arXiv:1706.03825, section 3. The noise is independent in all pixels and copies. Each image has a
    random stream keyed by its id, so that a map does not depend on batch or order. Masked pixels
    receive no noise.

    Attributes
    ----------
    n : int
        Number of noisy copies.
    noise : "sigma" or float
        ``"sigma"``: noise of each pixel from the context or, if it is not given there, the sky noise
        at the border of the image (bands without sky noise cause a warning). A number: standard
        deviation for all pixels, in the unit of the images.
    seed : int
        Seed of the noise.
    """

    n: int = 25
    noise: Literal["sigma"] | float = "sigma"
    seed: int = 0

    name: ClassVar[str] = "smoothgrad"
    per_band: ClassVar[bool] = True
    kind: ClassVar[Kind] = "slope"

    def __post_init__(self) -> None:
        number = isinstance(self.noise, int | float) and np.isfinite(self.noise) and self.noise > 0
        if self.n < 1 or not (number or self.noise == "sigma"):
            raise ValueError(
                message("n of at least 1, and noise 'sigma' or above 0", "", n=self.n, noise=self.noise)
            )

    def __call__(
        self,
        network: keras.Model,
        images: npt.NDArray[np.float32],
        target: Target | Sequence[Target],
        *,
        context: Context | None = None,
    ) -> npt.NDArray[np.float32]:
        context = context or Context()
        weights = target_weights(network, target, images)
        images = images.astype(weights.dtype, copy=False)
        sigma = self._noise(images, context)
        streams = [seeding.generator(self.seed, "smoothgrad", name) for name in ids_of(images, context)]
        # A batch is filled with the copies of one or several images: memory does not grow with n.
        room = images_per_batch(images.shape[1:])
        copies = [len(part) for part in np.array_split(np.arange(self.n), -(-self.n // room))]
        total = np.zeros_like(images)
        groups = list(batches(len(images), max(1, room // copies[0])))
        with parts(self.name, len(groups) * len(copies)) as step:
            for group, n_copies in product(groups, copies):
                noise = np.stack([standard_normal(s, (n_copies, *images.shape[1:])) for s in streams[group]])
                noise = noise.astype(images.dtype, copy=False)
                run = compiled(network, self.name, _build, (noise, sigma, images, weights))
                total[group] += run(noise, sigma[group], images[group], weights[group]).numpy()
                step()
        return total / images.dtype.type(self.n)

    def _noise(self, images: npt.NDArray[np.floating[Any]], context: Context) -> npt.NDArray[Any]:
        if self.noise == "sigma":
            sigma = noise_of(images, context)
            _warn_of_silence(sigma, context)
            return sigma
        sigma = np.full(images.shape, self.noise, dtype=images.dtype)
        return sigma if context.mask is None else np.where(context.mask, 0, sigma)


def _warn_of_silence(sigma: npt.NDArray[np.floating[Any]], context: Context) -> None:
    """Warn of bands without sky noise, such as the black sky of a picture, which are not smoothed."""
    silent = ~np.any(sigma > 0, axis=(1, 2))
    if context.mask is not None:
        silent &= ~context.mask.all(axis=(1, 2))
    if silent.any():
        warnings.warn(
            f"smoothgrad adds no noise to bands {np.flatnonzero(silent.any(axis=0)).tolist()} of "
            f"{int(silent.any(axis=1).sum())} of {len(silent)} images: their sky has no noise. Give the "
            "noise as a number in the unit of the stretched image, e.g. smoothgrad:noise=0.1.",
            stacklevel=4,
        )


def _build(network_of: Callable[[], keras.Model]) -> Callable[..., Any]:
    def run(noise: Any, sigma: Any, images: Any, weights: Any) -> Any:
        """Return the sum of the gradients of the copies; `noise` is (images, copies, ny, nx, n_bands)."""
        n_copies = noise.shape[1]
        points = images[:, tf.newaxis] + sigma[:, tf.newaxis] * noise
        flat = tf.reshape(points, (-1, *points.shape[2:]))
        scores = tf.reduce_sum(logits_of(network_of(), flat) * tf.repeat(weights, n_copies, axis=0), axis=1)
        return summed_gradient(scores, flat, n_copies)

    return run
