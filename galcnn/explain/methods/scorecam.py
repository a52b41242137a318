"""Score-CAM: feature maps weighted by what the network says of the image under each (Wang et al. 2020)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from galcnn._runtime.progress import parts
from galcnn.explain.baselines import Baseline, baseline_images, check_baseline
from galcnn.explain.explanation import Context
from galcnn.explain.methods.cells import AtFeatureMaps
from galcnn.model import Target
from galcnn.model.forward import batches, compiled, images_per_batch, run_in_batches
from galcnn.model.gradients import logits_and_layers, logits_of, target_weights
from galcnn.model.graph import network_layer
from galcnn.model.orientations import mean_turned_back
from galcnn.model.receptive import resampling_matrix, seen_in, upright_grid


@dataclass(frozen=True)
class ScoreCAM(AtFeatureMaps):
    """Score-CAM: relu(sum_k a_k f_k), where a_k is what the target gains by the image under feature map k.

    arXiv:1910.01279, equations 7 and 8. Each feature map is interpolated to the pixels and scaled to the
    range 0 to 1; the image is multiplied with it, over a baseline image, and a_k is the target of that minus
    the target of the baseline. No gradient is used; one image costs one forward pass per feature map.
    The softmax over the a_k of the paper's algorithm is left out, as it depends on the scale of the
    logits. There is one nonnegative map for all bands, interpolated as that of `GradCAM`.

    Attributes
    ----------
    network_layer : str
        Name of a network layer with feature maps, see `GradCAM`.
    baseline : {"sky", "zero", "blurred"}
        Image where a feature map is 0. ``"sky"``: blank sky with the level and noise of the image's
        border. ``"zero"``: zero flux, as in the paper. ``"blurred"``: the image convolved with a Gaussian.
    blur : float
        Standard deviation of the Gaussian in pixels.
    seed : int
        Seed of the noise of the sky.
    """

    baseline: Baseline = "sky"
    blur: float = 5.0
    seed: int = 0

    name: ClassVar[str] = "scorecam"
    positive: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_baseline(self.baseline, self.blur)

    def _sums(
        self,
        network: keras.Model,
        images: npt.NDArray[np.float32],
        target: Target | Sequence[Target],
        context: Context | None,
    ) -> npt.NDArray[np.float32]:
        weights = target_weights(network, target, images)
        images = images.astype(weights.dtype, copy=False)
        cover = baseline_images(self.baseline, images, context=context, blur=self.blur, seed=self.seed)
        name = self._layer(network).name
        (features,) = run_in_batches(
            compiled(network, (self.name, "features", name), _features(name), (images,)), images
        )
        features = np.moveaxis(features, -1, 1)
        run = compiled(network, (self.name, name), _scores(name), (images, cover, weights, features[0]))
        pieces = list(batches(features.shape[1], images_per_batch(images.shape[1:])))
        maps = np.zeros((len(images), *features.shape[2:]), dtype=images.dtype)
        with parts(self.name, len(images) * len(pieces)) as step:
            for i in range(len(images)):
                one = slice(i, i + 1)
                for piece in pieces:
                    own = features[i, piece]
                    gains = run(images[one], cover[one], weights[one], own).numpy()
                    maps[i] += np.tensordot(gains, own, axes=1)
                    step()
        return maps


def _features(name: str) -> Callable[[Callable[[], keras.Model]], Callable[..., Any]]:
    def build(network_of: Callable[[], keras.Model]) -> Callable[..., Any]:
        def run(images: Any) -> tuple[Any]:
            network = network_of()
            layer = network_layer(network, name)
            features = tf.cast(logits_and_layers(network, images)[1][name], images.dtype)
            turned = seen_in(network, layer)
            return (features if turned is None else mean_turned_back(features, turned.layer.count),)

        return run

    return build


def _scores(name: str) -> Callable[[Callable[[], keras.Model]], Callable[..., Any]]:
    def build(network_of: Callable[[], keras.Model]) -> Callable[..., Any]:
        def run(image: Any, cover: Any, weights: Any, features: Any) -> Any:
            """Return the gain of the target under each feature map; they are (features, cells_y, cells_x)."""
            network = network_of()
            grid = upright_grid(network, network_layer(network, name))
            rows, columns = (
                tf.constant(resampling_matrix(n, features.shape[1 + axis], start, jump), image.dtype)
                for axis, (n, start, jump) in enumerate(
                    zip(image.shape[1:3], grid.start, grid.jump, strict=True)
                )
            )
            fine = tf.matmul(tf.matmul(rows, features), columns, transpose_b=True)
            low = tf.reduce_min(fine, axis=(1, 2), keepdims=True)
            high = tf.reduce_max(fine, axis=(1, 2), keepdims=True)
            shown = tf.math.divide_no_nan(fine - low, high - low)[..., tf.newaxis]
            seen = tf.concat([cover, cover + shown * (image - cover)], axis=0)
            scores = tf.reduce_sum(logits_of(network, seen) * weights, axis=1)
            return scores[1:] - scores[0]

        return run

    return build
