"""Images that a network likes best: class models and filter visualisations by gradient ascent.

The ascent climbs many images at once, without a learning rate to choose.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf
from scipy.ndimage import gaussian_filter

from galcnn._runtime import seeding
from galcnn.errors import message
from galcnn.explain.network.activations import activations
from galcnn.explain.synthesis import Space, Synthesis
from galcnn.model import Target, TrainedModel, planes_from
from galcnn.model.forward import compiled, forward, outputs, run_in_batches, upright
from galcnn.model.gradients import gradient_of, target_gradient, weighted_sum
from galcnn.model.graph import network_layer

Place = Literal["centre", "mean"]
PLACES: tuple[Place, ...] = ("centre", "mean")
Start = Literal["zero", "noise"]
_STARTS = ("zero", "noise")
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


def channel_gradient(
    network: keras.Model, images: Images, weights: npt.NDArray[np.float32], *, layer: str, place: Place
) -> tuple[npt.NDArray[np.floating[Any]], npt.NDArray[np.floating[Any]]]:
    """Differentiate a weighted sum of a layer's channels with respect to the images."""
    name = network_layer(network, layer).name

    def build(of: Callable[[], keras.Model]) -> Callable[..., Any]:
        def run(images: Any, weights: Any) -> tuple[Any, Any]:
            _, seen = forward(of(), images)
            units = _units(tf.cast(upright(seen[name], images), images.dtype), place)
            scores = weighted_sum(units, weights)
            return scores, gradient_of(scores, images)

        return run

    run = compiled(network, ("channel gradient", name, place), build, (images, weights))
    scores, gradient = run_in_batches(run, images, weights)
    return scores, gradient


def channel_score(
    network: keras.Model, images: Images, weights: npt.NDArray[np.float32], *, layer: str, place: Place
) -> npt.NDArray[np.float64]:
    """Compute a weighted sum of a layer's channels from its activations."""
    units = _units(activations(network, images, layers=[layer])[layer].astype(np.float64), place)
    scores: npt.NDArray[np.float64] = np.sum(units * weights, axis=1)
    return scores


def _units(values: Any, place: Place) -> Any:
    """Feature maps (n, y, x, channels) -> (n, channels); a vector stays as it is."""
    if len(values.shape) == 2:
        return values
    if place == "centre":
        return values[:, values.shape[1] // 2, values.shape[2] // 2]
    return values.mean(axis=(1, 2)) if isinstance(values, np.ndarray) else tf.reduce_mean(values, axis=(1, 2))


@dataclass(frozen=True)
class ClassModels:
    """For each target the image that pleases it best: argmax of S(I) - lambda |I|^2.

    Simonyan, Vedaldi & Zisserman 2013 (arXiv:1312.6034), section 2; their zero image is the mean
    image here, since the network sees standardised images.

    Attributes
    ----------
    wrt : {"stretched", "flux"}
        Whether the image lives in what the network sees, or in the flux (or display values)
        before its preprocessing.
    start : {"zero", "noise"}
        Of every pixel: zero, or Gaussian noise of a tenth of the contrast.
    nonnegative : bool
        Whether pixels may not go below zero: no galaxy takes light from the sky.
    ascent : AscentSettings
        Steps, penalty and further bounds, in the unit of the images.
    seed : int
        Of the noise, a stream for each target.
    """

    wrt: Space = "stretched"
    start: Start = "zero"
    nonnegative: bool = False
    ascent: AscentSettings = field(default_factory=AscentSettings)
    seed: int = 0

    def __post_init__(self) -> None:
        if self.start not in _STARTS:
            raise ValueError(message(f"start among {_STARTS}", "", start=self.start))

    def __call__(self, trained: TrainedModel, targets: Sequence[Target]) -> list[Synthesis]:
        """Make the images.

        Parameters
        ----------
        trained : galcnn.model.TrainedModel
            The model; left as it is.
        targets : sequence of Target
            Over its logits.

        Returns
        -------
        list of Synthesis
            One a target; a success where the prediction's best class has the target's largest
            weight.
        """
        network, unit = _network(trained, self.wrt)
        start = _start(trained, self.start, [t.name for t in targets], self.ascent.contrast, self.seed)
        settings = (
            replace(self.ascent, lower=max(self.ascent.lower or 0.0, 0.0))
            if self.nonnegative
            else self.ascent
        )
        order = list(targets)

        def objective(images: Images) -> tuple[npt.NDArray[np.float32], Images]:
            slope, score = target_gradient(network, images, order)
            return score, slope

        climb = ascend(objective, start, settings)
        logits, before = outputs(network, climb.images), outputs(network, climb.start)
        weights = np.array([target.weights for target in order])
        used = _settings(self)
        return [
            Synthesis(
                image,
                origin,
                trained.card.inputs.bands,
                "class_model",
                target,
                self.wrt,
                unit,
                float(after @ w),
                float(first @ w),
                bool(w[np.argmax(after)] == w.max()),
                tuple(after.tolist()),
                tuple(first.tolist()),
                used | {"penalty": float(penalty)},
                self.seed if self.start == "noise" else None,
            )
            for image, origin, target, after, first, w, penalty in zip(
                planes_from(climb.images),
                planes_from(climb.start),
                order,
                logits,
                before,
                weights,
                climb.penalties,
                strict=True,
            )
        ]


@dataclass(frozen=True)
class FilterImages:
    """For each filter of a network layer the image that excites it most, by gradient ascent.

    Erhan et al. 2009; Simonyan et al. 2013. A layer before its activation function can be
    climbed from anywhere; behind a ReLU that is off there is no slope to climb.

    Attributes
    ----------
    layer : str
        A network layer of `TrainedModel.network`.
    place : {"centre", "mean"}
        Excite the cell at the centre (what one neuron wants to see, as large as its receptive
        field), or the mean over all cells (a texture).
    start : {"noise", "zero"}
        Gaussian noise of a tenth of the contrast, or zero.
    ascent : AscentSettings
        Steps, penalty and bounds, in what the network sees.
    seed : int
        Of the noise, a stream for each filter.
    """

    layer: str
    place: Place = "centre"
    start: Start = "noise"
    ascent: AscentSettings = field(default_factory=AscentSettings)
    seed: int = 0

    def __post_init__(self) -> None:
        if self.start not in _STARTS or self.place not in PLACES:
            raise ValueError(
                message(
                    f"start among {_STARTS}, place among {PLACES}", "", start=self.start, place=self.place
                )
            )

    def __call__(self, trained: TrainedModel, filters: Sequence[int]) -> list[Synthesis]:
        """Make the images.

        Parameters
        ----------
        trained : galcnn.model.TrainedModel
            The model; left as it is.
        filters : sequence of int
            Channels of the layer, counted from 0.

        Returns
        -------
        list of Synthesis
            One a filter; a success where an independent pass finds the filter more excited than
            at the start.

        Raises
        ------
        ValueError
            No such layer or filter.
        """
        network, bands = trained.network, trained.card.inputs.bands
        channels = network_layer(network, self.layer).shape[-1] or 0
        wrong = [number for number in filters if not 0 <= number < channels]
        if wrong:
            raise ValueError(message(f"filters from 0 to {channels - 1}", "", filters=wrong))
        targets = [
            Target(f"filter {number}", tuple(float(i == number) for i in range(channels)))
            for number in filters
        ]
        names = [f"{self.layer}/{number}" for number in filters]
        start = _start(trained, self.start, names, self.ascent.contrast, self.seed)
        weights = np.array([target.weights for target in targets], dtype=np.float32)
        climb = ascend(
            lambda images: channel_gradient(network, images, weights, layer=self.layer, place=self.place),
            start,
            self.ascent,
        )
        scores, before = (
            channel_score(network, images, weights, layer=self.layer, place=self.place)
            for images in (climb.images, climb.start)
        )
        logits, first = outputs(network, climb.images), outputs(network, climb.start)
        return [
            Synthesis(
                planes_from(climb.images[i : i + 1])[0],
                planes_from(climb.start[i : i + 1])[0],
                bands,
                "filter_image",
                target,
                "stretched",
                "",
                float(scores[i]),
                float(before[i]),
                bool(scores[i] > before[i]),
                tuple(logits[i].tolist()),
                tuple(first[i].tolist()),
                _settings(self) | {"penalty": float(climb.penalties[i])},
                self.seed if self.start == "noise" else None,
                self.layer,
            )
            for i, target in enumerate(targets)
        ]


def _network(trained: TrainedModel, wrt: Space) -> tuple[keras.Model, str]:
    if wrt == "stretched":
        return trained.network, ""
    return trained.model, trained.card.inputs.unit


def _start(trained: TrainedModel, start: Start, names: Sequence[str], contrast: float, seed: int) -> Images:
    shape = trained.card.inputs.image_shape
    if start == "zero":
        return np.zeros((len(names), *shape), dtype=np.float32)
    draws = [seeding.generator(seed, "synthesis", name).normal(0, 0.1 * contrast, shape) for name in names]
    return np.array(draws, dtype=np.float32).reshape(len(names), *shape)


def _settings(method: ClassModels | FilterImages) -> dict[str, Any]:
    """Of the method and of its ascent, flat."""
    own: dict[str, Any] = asdict(method)
    ascent: dict[str, Any] = own["ascent"]
    return {
        key: value for key, value in own.items() if key not in ("ascent", "layer", "seed", "wrt")
    } | ascent
