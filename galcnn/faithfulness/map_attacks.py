"""Attacks within the noise that change a map but not the class (Ghorbani, Abid & Zou 2019, arXiv:1710.10547).

The gradient of a ReLU network is piecewise constant, so that it has no second derivative to follow.
Here the forward pass is that of the network, but the backward pass uses the smooth derivative of
softplus units, and the attack follows the gradient of the resulting saliency map.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from galcnn.errors import message
from galcnn.explain import Explainer
from galcnn.explain.baselines import noise_of
from galcnn.faithfulness.parameter_randomisation import folded, top_overlap
from galcnn.faithfulness.sample import Sample, maps_of, moved
from galcnn.model.forward import compiled, outputs, run_in_batches
from galcnn.model.gradients import logits_of, target_scores, target_weights

_Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class FragilitySettings:
    """Settings of the attack on maps.

    Attributes
    ----------
    epsilon : float
        Largest change of a pixel, in sigma of its noise.
    steps : int
        Number of gradient steps.
    share : float
        Fraction of the pixels that count as the top pixels of a map.
    sharpness : float
        Sharpness of the softplus units, whose derivative is ``sigmoid(sharpness * x)``.
    seed : int
        Random seed of the random changes with which the attack is compared.
    """

    epsilon: float = 1.0
    steps: int = 10
    share: float = 0.05
    sharpness: float = 10.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.epsilon <= 0 or self.steps < 1 or not 0 < self.share < 1 or self.sharpness <= 0:
            raise ValueError(
                message(
                    "epsilon and sharpness above 0, at least one step, and a share between 0 and 1",
                    "",
                    attack=self,
                )
            )


@dataclass(frozen=True, eq=False)
class Fragility:
    """Change of the maps of a method under an attack.

    Attributes
    ----------
    attacked, random : numpy.ndarray
        Fraction of the top pixels that remain top pixels, after the attack and after random changes
        of plus or minus the largest allowed size in every pixel, shape (n,).
    shift : numpy.ndarray
        Change of the target's score by the attack, shape (n,).
    maps : tuple of numpy.ndarray
        Maps summed over bands, before and after the attack, each of shape (n, ny, nx).
    """

    attacked: _Values
    random: _Values
    shift: _Values
    maps: tuple[_Values, _Values]


def attacked(
    network: keras.Model, sample: Sample, *, attack: FragilitySettings | None = None
) -> npt.NDArray[np.float32]:
    """Change images within their noise so that the saliency map changes but the predicted class does not."""
    how = attack or FragilitySettings()
    weights = target_weights(network, sample.targets, sample.images)
    first = sample.images.astype(weights.dtype)
    reach = (how.epsilon * noise_of(sample.images, sample.context)).astype(weights.dtype)
    before = folded(surrogate_gradient(network, sample, sharpness=how.sharpness), signed=False)
    top = _top(before, how.share).astype(weights.dtype)
    run = compiled(network, ("fragility", how.sharpness), _step_builder(how.sharpness), (first, weights, top))
    answer = _answers(network, first)
    now, best = first, first
    least = np.full(len(first), np.inf)
    for step in range(how.steps + 1):
        slope, held = run_in_batches(run, now, weights, top)
        better = (held < least) & (_answers(network, now) == answer)
        least = np.where(better, held, least)
        best = np.where(better[:, np.newaxis, np.newaxis, np.newaxis], now, best)
        if step < how.steps:
            stride = 2.5 * reach / how.steps
            now = np.clip(now - stride * np.sign(slope), first - reach, first + reach)
    return np.asarray(best, dtype=sample.images.dtype)


def fragility(
    network: keras.Model,
    explainer: Explainer,
    sample: Sample,
    images: npt.NDArray[np.float32],
    *,
    attack: FragilitySettings | None = None,
    maps: npt.NDArray[np.float32] | None = None,
) -> Fragility:
    """Compare the maps of a method before and after an attack.

    Parameters
    ----------
    network : keras.Model
        Network that ends in logits.
    explainer : Explainer
        The attribution method. The attack is optimised for saliency only; other methods may be more
        fragile than their result.
    sample : galcnn.faithfulness.Sample
        The galaxies.
    images : numpy.ndarray
        Attacked images from `galcnn.faithfulness.map_attacks.attacked`, shape (n, ny, nx, n_bands).
    attack : FragilitySettings, optional
        Settings used for `images`; the defaults if None.
    maps : numpy.ndarray, optional
        Maps of the sample, from `galcnn.faithfulness.sample.maps_of`, if they are known.

    Returns
    -------
    Fragility
        Overlaps, NaN for galaxies whose class changes, and score changes.
    """
    how = attack or FragilitySettings()
    reach = how.epsilon * noise_of(sample.images, sample.context)
    jittered = moved(
        sample, reach, lambda stream, shape: stream.choice([-1.0, 1.0], shape), how.seed, "fragility"
    )
    first = maps_of(network, explainer, sample) if maps is None else maps
    before, summed = folded(first, signed=False), [_summed(first, explainer)]
    answer, stayed = _answers(network, sample.images), []
    for other in (sample.with_images(images), jittered):
        found = maps_of(network, explainer, other)
        summed.append(_summed(found, explainer))
        after = folded(found, signed=False)
        overlap = top_overlap(before, after, share=how.share)
        stayed.append(np.where(_answers(network, other.images) == answer, overlap, np.nan))
    scores = [target_scores(network, one, sample.targets) for one in (sample.images, images)]
    shift = np.asarray(scores[1] - scores[0], dtype=np.float64)
    return Fragility(stayed[0], stayed[1], shift, (summed[0], summed[1]))


def surrogate_gradient(
    network: keras.Model, sample: Sample, *, sharpness: float = 10.0
) -> npt.NDArray[np.floating[Any]]:
    """Compute the saliency map with the derivative of softplus in place of ReLU."""
    weights = target_weights(network, sample.targets, sample.images)

    def build(network_of: Callable[[], keras.Model]) -> Callable[..., Any]:
        return lambda images, weights: (_saliency(network_of(), images, weights, sharpness),)

    run = compiled(network, ("surrogate", sharpness), build, (sample.images, weights))
    return run_in_batches(run, sample.images, weights)[0]


def _step_builder(sharpness: float) -> Callable[[Callable[[], keras.Model]], Callable[..., Any]]:
    def build(network_of: Callable[[], keras.Model]) -> Callable[..., Any]:
        def run(images: Any, weights: Any, top: Any) -> tuple[Any, Any]:
            """Gradient and value of the share of the map on its original top pixels."""
            size = tf.reduce_sum(tf.abs(_saliency(network_of(), images, weights, sharpness)), axis=3)
            whole = tf.reduce_sum(size, axis=(1, 2))
            held = tf.math.divide_no_nan(tf.reduce_sum(size * top, axis=(1, 2)), whole)
            slope = tf.gradients(held, images)[0]
            return (tf.zeros_like(images) if slope is None else slope), held  # None: a linear network

        return run

    return build


def _saliency(network: keras.Model, images: Any, weights: Any, sharpness: float) -> Any:
    overrides = {kind: _softplus_gradient(kind, sharpness) for kind in ("Relu", "Relu6")}
    with tf.compat.v1.get_default_graph().gradient_override_map(overrides):
        scores = tf.reduce_sum(logits_of(network, images) * weights, axis=1)
    return tf.gradients(scores, images)[0]


@cache
def _softplus_gradient(kind: str, sharpness: float) -> str:
    """Register the derivative of a softplus with TensorFlow, and return its name."""

    def gradient(operation: Any, signal: Any) -> Any:
        gate = tf.sigmoid(sharpness * operation.inputs[0])
        if kind == "Relu6":
            gate -= tf.sigmoid(sharpness * (operation.inputs[0] - 6))
        return signal * gate

    name = f"GalcnnSoftplus{kind}{sharpness!r}"
    tf.RegisterGradient(name)(gradient)
    return name


def _answers(network: keras.Model, images: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.intp]:
    """Predicted class of each image, from an unmodified forward pass."""
    return np.asarray(np.argmax(outputs(network, images), axis=1))


def _summed(maps: npt.NDArray[np.floating[Any]], explainer: Explainer) -> _Values:
    """Return maps summed over bands; a map that is the same in every band counts once."""
    planes = maps if explainer.per_band else maps[..., :1]
    return np.asarray(planes.sum(axis=-1), dtype=np.float64)


def _top(sizes: _Values, share: float) -> npt.NDArray[np.bool_]:
    flat = sizes.reshape(len(sizes), -1)
    chosen = np.argsort(-flat, axis=1, kind="stable")[:, : max(1, round(share * flat.shape[1]))]
    top = np.zeros(flat.shape, dtype=bool)
    np.put_along_axis(top, chosen, True, axis=1)
    return top.reshape(sizes.shape)
