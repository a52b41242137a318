"""Attack protocol, units of perturbations, and margins of logits with respect to a target."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf
from scipy.special import logsumexp

from galcnn.errors import message
from galcnn.model import Target, looked_at
from galcnn.model.forward import compiled, run_in_batches
from galcnn.model.gradients import logits_of, score_gradient, target_weights

if TYPE_CHECKING:
    from galcnn.dataset import InputFiles
    from galcnn.explain import Context
    from galcnn.model import TrainedModel


#: Unit of pixel changes: standard deviation of the noise of the pixel, or unit of the image.
Unit = Literal["sigma", "image"]


UNITS: tuple[Unit, ...] = ("sigma", "image")


Floats = npt.NDArray[np.floating[Any]]


class Attack(Protocol):
    """Adversarial attack; its fields are its settings.

    A target defines wanted classes, those with the largest weight, and unwanted classes, those with the
    smallest weight.

    Attributes
    ----------
    name : str
        Short name of the method.
    from_sky : bool
        If True, images are made from a blank sky instead of galaxies.
    confidence : float
        Probability of the wanted classes, among wanted and unwanted ones, at which the attack is
        successful. If it is at most 0.5, the largest wanted logit must exceed the largest unwanted one.
    """

    @property
    def name(self) -> str: ...

    @property
    def from_sky(self) -> bool: ...

    @property
    def confidence(self) -> float: ...

    def __call__(
        self,
        network: keras.Model,
        images: npt.NDArray[np.float32],
        target: Target | Sequence[Target],
        *,
        context: Context | None = None,
    ) -> npt.NDArray[np.float32]:
        """Make adversarial images.

        Parameters
        ----------
        network : keras.Model
            Model that returns logits; it is not changed.
        images : numpy.ndarray
            Images, shape (n, ny, nx, n_bands).
        target : Target or sequence of Target
            One target for all images, or one per image. It is reached if the largest logit of the wanted
            classes exceeds the largest of the unwanted ones.
        context : Context, optional
            Sigma, mask, PSF and ids of the images. Masked pixels are not changed.

        Returns
        -------
        numpy.ndarray
            Adversarial images, shape (n, ny, nx, n_bands).
        """
        ...


def pixel_scale(network: keras.Model, images: Floats, context: Context | None, unit: Unit) -> Floats:
    """Return the unit of change of each pixel; shape (n, 1, 1, 1) if all are equal.

    It is 0 for masked pixels, and for those outside of the network's field, which no attack changes.
    """
    mask = None if context is None else context.mask
    seen = looked_at(network, images.shape[1:3])
    if not seen.all():
        outside = np.broadcast_to(~seen[..., np.newaxis], images.shape)
        mask = outside if mask is None else mask | outside
    if unit == "image":
        if mask is None or not mask.any():
            return np.ones((len(images), 1, 1, 1), dtype=images.dtype)
        return (~mask).astype(images.dtype)
    sigma = None if context is None else context.sigma
    if sigma is None:
        raise ValueError(
            message(
                "images with sigma, the noise of every pixel, for an attack in sigma",
                "Use files with sigma, or attack with unit='image'.",
                unit=unit,
            )
        )
    scale = sigma.astype(images.dtype) if mask is None else np.where(mask, 0, sigma).astype(images.dtype)
    if not np.all(np.isfinite(scale)) or scale.min() < 0 or not np.all(scale.any(axis=(1, 2, 3))):
        raise ValueError(
            message(
                "noise that is finite, not negative and above zero somewhere in each image",
                "Mask pixels without noise.",
                lowest=float(scale.min()),
                highest=float(scale.max()),
            )
        )
    return scale


def psf_stack(context: Context | None, n: int) -> npt.NDArray[np.float32]:
    """Return the PSFs with which perturbations are convolved."""
    if context is None or context.psf is None:
        raise ValueError(
            message(
                "images with a PSF for perturbations convolved with it",
                "Use files with a PSF, or light='pixels' (pgd:light=pixels).",
                psf=None,
            )
        )
    if len(context.psf) != n:
        raise ValueError(message(f"one PSF for each of {n} images", "", n_psfs=len(context.psf)))
    return context.psf


def as_box(lower: float | None, upper: float | None) -> tuple[float, float]:
    """Return the bounds of pixel values, infinite where not given."""
    low, high = -np.inf if lower is None else float(lower), np.inf if upper is None else float(upper)
    if not low < high:
        raise ValueError(message("lower < upper", "", lower=lower, upper=upper))
    return low, high


def check_within(images: Floats, box: tuple[float, float]) -> None:
    """Check that images are finite and within the bounds."""
    low, high = float(np.min(images)), float(np.max(images))
    if not (box[0] <= low and high <= box[1] and np.isfinite(low) and np.isfinite(high)):
        raise ValueError(
            message(f"finite images from {box[0]:g} to {box[1]:g}", "", lowest=low, highest=high)
        )


def wanted_weights(network: keras.Model, target: Target | Sequence[Target], images: Floats) -> Floats:
    """Return the weights of targets, shape (n, n_classes); targets with equal weights are refused."""
    weights = target_weights(network, target, images)
    if weights.shape[1] > 1 and np.any(weights.min(axis=1) == weights.max(axis=1)):
        raise ValueError(
            message(
                "a target that is larger for some class than for another",
                "Give the wanted class: --target.",
                weights=weights[weights.min(axis=1) == weights.max(axis=1)][0].tolist(),
            )
        )
    return weights


@dataclass(frozen=True, eq=False)
class AttackTask:
    """Inputs of an attack, in the precision of the network.

    Attributes
    ----------
    images, scale : numpy.ndarray
        Images and the unit of change of each pixel (0 if masked), shape (n, ny, nx, n_bands).
    weights : numpy.ndarray
        Weights of the targets, shape (n, n_classes).
    box : tuple of float
        Lowest and highest pixel value.
    """

    images: Floats
    weights: Floats
    scale: Floats
    box: tuple[float, float]


def task_of(
    attack: Any,
    network: keras.Model,
    images: Floats,
    target: Target | Sequence[Target],
    context: Context | None,
) -> AttackTask:
    """Check the inputs of an attack with `unit`, `lower` and `upper`, and collect them."""
    weights = wanted_weights(network, target, images)
    images = images.astype(weights.dtype, copy=False)
    box = as_box(attack.lower, attack.upper)
    check_within(images, box)
    scale = np.broadcast_to(pixel_scale(network, images, context, attack.unit), images.shape)
    return AttackTask(images, weights, scale, box)


def margins(logits: Floats, weights: Floats) -> npt.NDArray[np.float64]:
    """Return the largest wanted logit minus the largest unwanted one.

    Parameters
    ----------
    logits, weights : numpy.ndarray
        Logits, and weights of the targets, shape (n, n_classes). A single logit is that of a class
        against 0 for all else, as in front of a sigmoid; a negative weight wants it below 0.

    Returns
    -------
    numpy.ndarray
        Margins, shape (n,); positive if the target is reached.

    Examples
    --------
    >>> margins(np.array([[1.0, 3.0, 2.5]]), np.array([[1.0, 0.0, 0.0]])).tolist()
    [-2.0]
    """
    logits, weights = _paired(logits, weights, np.pad)
    wanted, unwanted = _sides(weights)
    return np.asarray(
        np.where(wanted, logits, -np.inf).max(axis=1) - np.where(unwanted, logits, -np.inf).max(axis=1),
        dtype=np.float64,
    )


def log_odds(logits: Floats, weights: Floats) -> npt.NDArray[np.float64]:
    """Return the logarithm of the ratio of wanted to unwanted probability."""
    logits, weights = _paired(logits, weights, np.pad)
    wanted, unwanted = _sides(weights)
    with np.errstate(divide="ignore"):
        return np.asarray(
            logsumexp(logits.astype(np.float64), axis=1, b=wanted)
            - logsumexp(logits.astype(np.float64), axis=1, b=unwanted)
        )


def margin_in_graph(logits: Any, weights: Any) -> Any:
    """Compute `margins` in a TensorFlow graph."""
    logits, wanted, unwanted = sides_in_graph(logits, weights)
    nothing = tf.constant(-np.inf, logits.dtype)
    return tf.reduce_max(tf.where(wanted, logits, nothing), axis=1) - tf.reduce_max(
        tf.where(unwanted, logits, nothing), axis=1
    )


def sides_in_graph(logits: Any, weights: Any) -> tuple[Any, Any, Any]:
    """Return logits, and masks of the wanted and of the unwanted classes; others are in neither."""
    logits, weights = _paired(logits, weights, tf.pad)
    return (
        logits,
        weights >= tf.reduce_max(weights, axis=1, keepdims=True),
        weights <= tf.reduce_min(weights, axis=1, keepdims=True),
    )


def fast_logits(network: keras.Model, images: Floats) -> Floats:
    """Run a network as one compiled graph, for searches; final results are checked by `outputs`."""

    def build(network_of: Callable[[], keras.Model]) -> Callable[..., Any]:
        return lambda images: (logits_of(network_of(), images),)

    return run_in_batches(compiled(network, "logits", build, (images,)), images)[0]


def margin_gradient(network: keras.Model, images: Floats, weights: Floats) -> tuple[Floats, Floats]:
    """Return the gradient of the margin with respect to the pixels, and the logits."""
    gradient, _, logits = score_gradient(network, "margin gradient", margin_in_graph, images, weights)
    return gradient, logits


def _paired(logits: Any, weights: Any, pad: Callable[..., Any]) -> tuple[Any, Any]:
    """Complete one logit, the log-odds of a class, to two: 0 for the other class, then its own."""
    if weights.shape[1] != 1:
        return logits, weights
    first = ((0, 0), (1, 0))
    return pad(logits, first), pad(weights, first)


def _sides(weights: Floats) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    return (
        weights >= weights.max(axis=1, keepdims=True),
        weights <= weights.min(axis=1, keepdims=True),
    )


def natural_unit(trained: TrainedModel, files: InputFiles) -> Unit:
    """Choose the unit of attack sizes: sigma if the noise of the first image that can be used is known."""
    each = (one for _, one in files.each_prepared(files.ids, trained.card.inputs))
    first = next((one for one in each if not isinstance(one, Exception)), None)
    return "image" if first is None or first.sigma is None else "sigma"
