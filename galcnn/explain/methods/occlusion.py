"""Occlusion: decrease of the target when a patch of the image is covered (Zeiler & Fergus 2013)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, ClassVar

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from galcnn._runtime.progress import parts
from galcnn.errors import message
from galcnn.explain.baselines import Baseline, baseline_images, check_baseline
from galcnn.explain.explanation import Context, Kind
from galcnn.model import Target
from galcnn.model.forward import batches, compiled, images_per_batch
from galcnn.model.gradients import logits_of, target_weights


@dataclass(frozen=True)
class Occlusion:
    """Occlusion: S(I) - S(I with a patch covered), averaged over the patches that cover a pixel.

    arXiv:1311.2901, section 4.2. All bands are covered at once; there is one map for all bands. A patch
    larger than the image is refused.

    Attributes
    ----------
    patch : int
        Side of the patch in pixels.
    stride : int
        Distance between neighbouring patches in pixels; the last ones end at the edge of the image.
    baseline : {"sky", "zero", "blurred"}
        Pixels that cover the patch. ``"sky"``: blank sky with the level and noise of the image's
        border. ``"zero"``: zero flux. ``"blurred"``: the image convolved with a Gaussian.
    blur : float
        Standard deviation of the Gaussian in pixels.
    seed : int
        Seed of the noise of the sky.
    """

    patch: int = 8
    stride: int = 4
    baseline: Baseline = "sky"
    blur: float = 5.0
    seed: int = 0

    name: ClassVar[str] = "occlusion"
    per_band: ClassVar[bool] = False
    kind: ClassVar[Kind] = "amount"

    def __post_init__(self) -> None:
        check_baseline(self.baseline, self.blur)
        if not 1 <= self.stride <= self.patch:
            raise ValueError(
                message(
                    "a stride from 1 to the side of the patch, so that no pixel is left out",
                    "",
                    patch=self.patch,
                    stride=self.stride,
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
        weights = target_weights(network, target, images)
        images = images.astype(weights.dtype, copy=False)
        ny, nx = images.shape[1:3]
        if self.patch > min(ny, nx):
            raise ValueError(message(f"a patch within {ny} x {nx} pixels", "", patch=self.patch))
        cover = baseline_images(self.baseline, images, context=context, blur=self.blur, seed=self.seed)
        corners = np.array([(y, x) for y in self._starts(ny) for x in self._starts(nx)], dtype=np.int32)
        run = compiled(
            network, (self.name, self.patch), _builder(self.patch), (images, cover, weights, corners)
        )
        maps = np.zeros((len(images), ny, nx), dtype=images.dtype)
        patches = np.zeros((ny, nx), dtype=images.dtype)
        for y, x in corners:
            patches[y : y + self.patch, x : x + self.patch] += 1
        pieces = list(batches(len(corners), images_per_batch(images.shape[1:])))
        with parts(self.name, len(images) * len(pieces)) as step:
            for i, piece in product(range(len(images)), pieces):
                one = slice(i, i + 1)
                drops = run(images[one], cover[one], weights[one], corners[piece]).numpy()
                for (y, x), drop in zip(corners[piece], drops, strict=True):
                    maps[i, y : y + self.patch, x : x + self.patch] += drop
                step()
        return np.broadcast_to((maps / patches)[..., np.newaxis], images.shape)

    def _starts(self, n: int) -> list[int]:
        return sorted({*range(0, n - self.patch + 1, self.stride), n - self.patch})


def _builder(patch: int) -> Callable[[Callable[[], keras.Model]], Callable[..., Any]]:
    def build(network_of: Callable[[], keras.Model]) -> Callable[..., Any]:
        def run(image: Any, cover: Any, weights: Any, corners: Any) -> Any:
            """Return the decrease of the target for each patch; `corners` are (y, x) of the patches."""
            y = _inside(tf.range(image.shape[1]), corners[:, 0])[:, :, tf.newaxis, tf.newaxis]
            x = _inside(tf.range(image.shape[2]), corners[:, 1])[:, tf.newaxis, :, tf.newaxis]
            covered = tf.where(y & x, cover, image)
            logits = logits_of(network_of(), tf.concat([image, covered], axis=0))
            scores = tf.reduce_sum(logits * weights, axis=1)
            return scores[0] - scores[1:]

        def _inside(pixels: Any, start: Any) -> Any:
            after = pixels[tf.newaxis] - start[:, tf.newaxis]
            return (after >= 0) & (after < patch)

        return run

    return build
