"""RISE: mean of random masks, weighted by what the network says of the image under each (Petsiuk 2018)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from galcnn._runtime import seeding
from galcnn._runtime.progress import parts
from galcnn.errors import message
from galcnn.explain.baselines import Baseline, baseline_images, check_baseline
from galcnn.explain.explanation import Context, Kind
from galcnn.model import Target
from galcnn.model.forward import batches, compiled, images_per_batch
from galcnn.model.gradients import logits_of, target_weights


@dataclass(frozen=True)
class RISE:
    """RISE: the mean target of randomly covered images that show a pixel, minus the mean of all of them.

    arXiv:1806.07421, equation 6, without the mean score, which is the same for all pixels and adds
    noise only: sum_i (S_i - mean S) M_i / (n p). Mask M_i is a coarse grid of zeros and ones (with
    probability p), interpolated linearly to the pixels with a random offset; S_i is the target of the
    image where M_i is 1, over a baseline image where it is 0. All images of a model see the same masks.
    No gradient is used. All bands are covered at once; there is one map for all bands.

    Attributes
    ----------
    n : int
        Number of masks. The noise of the map falls as 1 / sqrt(n).
    cells : int
        Number of grid cells along each side of the image.
    share : float
        Probability p that a cell is shown.
    baseline : {"sky", "zero", "blurred"}
        Image that covers. ``"sky"``: blank sky with the level and noise of the image's border.
        ``"zero"``: zero flux, as in the paper. ``"blurred"``: the image convolved with a Gaussian.
    blur : float
        Standard deviation of the Gaussian in pixels.
    seed : int
        Seed of masks and sky noise.
    """

    n: int = 1000
    cells: int = 8
    share: float = 0.5
    baseline: Baseline = "sky"
    blur: float = 5.0
    seed: int = 0

    name: ClassVar[str] = "rise"
    per_band: ClassVar[bool] = False
    kind: ClassVar[Kind] = "amount"

    def __post_init__(self) -> None:
        check_baseline(self.baseline, self.blur)
        if self.n < 2 or self.cells < 1 or not 0 < self.share < 1:
            raise ValueError(
                message(
                    "at least 2 masks, at least one cell and a share between 0 and 1",
                    "",
                    n=self.n,
                    cells=self.cells,
                    share=self.share,
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
        cover = baseline_images(self.baseline, images, context=context, blur=self.blur, seed=self.seed)
        grids, offsets = self._drawn(images.dtype)
        run = compiled(network, self.name, _build, (images, cover, weights, grids, offsets))
        pieces = list(batches(self.n, images_per_batch(images.shape[1:])))
        maps = np.zeros(images.shape[:3], dtype=images.dtype)
        with parts(self.name, len(images) * len(pieces)) as step:
            for i in range(len(images)):
                one = slice(i, i + 1)
                scored, scores, shown = np.zeros(maps.shape[1:]), 0.0, np.zeros(maps.shape[1:])
                for piece in pieces:
                    found = run(images[one], cover[one], weights[one], grids[piece], offsets[piece])
                    sums = [part.numpy().astype(np.float64) for part in found]
                    scored, scores, shown = scored + sums[0], scores + sums[1], shown + sums[2]
                    step()
                maps[i] = (scored - scores / self.n * shown) / (self.n * self.share)
        return np.broadcast_to(maps[..., np.newaxis], images.shape)

    def _drawn(self, dtype: Any) -> tuple[npt.NDArray[np.floating[Any]], npt.NDArray[np.floating[Any]]]:
        """Draw grids of zeros and ones, with one cell more than the image has, and offsets in cells."""
        stream = seeding.generator(self.seed, "rise")
        side = self.cells + 1
        grids = stream.uniform(size=(self.n, side, side)) < self.share
        return grids.astype(dtype), stream.uniform(size=(self.n, 2)).astype(dtype)


def masks(grids: Any, offsets: Any, shape: tuple[int, int]) -> Any:
    """Interpolate grids linearly to the pixels of images (while tracing a graph)."""

    def towards(axis: int) -> Any:
        n_pixels, n_cells = shape[axis], grids.shape[1 + axis]
        pixels = (tf.range(n_pixels, dtype=grids.dtype) + 0.5) * ((n_cells - 1) / n_pixels)
        # Centres of cells are half-integral; beyond the outermost ones the value stays.
        where = tf.clip_by_value(pixels + offsets[:, axis, tf.newaxis] - 0.5, 0, n_cells - 1)
        apart = tf.abs(where[..., tf.newaxis] - tf.range(n_cells, dtype=grids.dtype))
        return tf.maximum(1 - apart, 0)

    return tf.matmul(tf.matmul(towards(0), grids), towards(1), transpose_b=True)


def _build(network_of: Callable[[], keras.Model]) -> Callable[..., Any]:
    def run(image: Any, cover: Any, weights: Any, grids: Any, offsets: Any) -> tuple[Any, Any, Any]:
        """Return the sums over masks of target times mask, of targets and of masks."""
        shown = masks(grids, offsets, image.shape[1:3])
        seen = cover + shown[..., tf.newaxis] * (image - cover)
        scores = tf.reduce_sum(logits_of(network_of(), seen) * weights, axis=1)
        return tf.tensordot(scores, shown, axes=1), tf.reduce_sum(scores), tf.reduce_sum(shown, axis=0)

    return run
