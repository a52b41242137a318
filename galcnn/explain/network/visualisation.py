"""Class models and filter visualisations by gradient ascent.

Many images are optimised at once; there is no learning rate to choose.
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
#: Function from images to scores, shape (n,), and gradients, shape of the images.
Objective = Callable[[Images], tuple[npt.NDArray[np.float32], Images]]


@dataclass(frozen=True)
class AscentSettings:
    """Settings of the gradient ascent.

    Attributes
    ----------
    steps : int
        Number of steps.
    contrast : float
        Largest RMS of the image, in its unit; used if `penalty` is None.
    penalty : float or None
        lambda in the objective ``score - lambda |I|^2``. With None, lambda is the Lagrange multiplier that
        limits the RMS of each image to `contrast`; suitable values differ by orders of magnitude
        between classes.
    lower, upper : float or None
        Bounds of all pixels; None for no bound.
    blur : float
        Standard deviation in pixels of a Gaussian G. The image is I = G J, where J maximises
        ``score(G J) - lambda |J|^2``; contrast and bounds apply to J. With the width of the PSF, the
        image is not sharper than observations can be.
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
            raise ValueError(message("a penalty, or both bounds", "The score has no maximum.", penalty=0))
        if self.lower is not None and self.upper is not None and not self.lower < self.upper:
            raise ValueError(message("lower < upper", "", lower=self.lower, upper=self.upper))


@dataclass(frozen=True, eq=False)
class Climb:
    """Result of a gradient ascent.

    Attributes
    ----------
    images : numpy.ndarray
        Best image found from each start, float32, shape (n, ny, nx, n_bands).
    start : numpy.ndarray
        Start images, clipped to the bounds and blurred, float32, shape of `images`.
    scores : numpy.ndarray
        Scores of `images` without the penalty, float64, shape (n,).
    penalties : numpy.ndarray
        lambda at `images`, float64, shape (n,).
    trace : numpy.ndarray
        Scores after each step, starting with those of the start, float64, shape (steps + 1, n).
    """

    images: Images
    start: Images
    scores: npt.NDArray[np.float64]
    penalties: npt.NDArray[np.float64]
    trace: npt.NDArray[np.float64]


def ascend(objective: Objective, start: Images, settings: AscentSettings) -> Climb:
    r"""Maximise score - lambda \|I\|^2 within bounds, for each image independently.

    Gradient ascent with the step g_t / (2 lambda), g_t = 2 / (t + 1):

    .. math:: I_{t+1} = I_t + \frac{\gamma_t}{2\lambda} \nabla (S - \lambda |I|^2)
              = (1 - \gamma_t) I_t + \gamma_t \frac{\nabla S}{2\lambda},

    where the last term is clipped to the bounds, as in the conditional gradient method (Frank & Wolfe
    1956). For a linear score, one step gives the exact optimum, with or without bounds. The steps are
    long enough to leave the kinks of ReLU and max-pooling at which a line search stalls, and do not
    depend on the unit of the images.

    Parameters
    ----------
    objective : callable
        Function from images (n, ny, nx, n_bands) to scores (n,) and their gradients.
    start : numpy.ndarray
        Start images, float32, shape (n, ny, nx, n_bands); they are clipped to the bounds.
    settings : AscentSettings
        Steps, contrast or penalty, bounds and blur.

    Returns
    -------
    Climb
        Best image found from each start.

    Raises
    ------
    FloatingPointError
        If a score is not finite.

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
    """Return the given lambda, or that for which the RMS is the contrast; blocked pixels do not count."""
    if settings.penalty is not None:
        return np.full(len(slope), float(settings.penalty))
    free = np.where((slope > 0) & (high <= 0) | (slope < 0) & (low >= 0), 0, slope)
    rms = np.sqrt(np.mean(free**2, axis=(1, 2, 3)))
    return np.asarray(rms / (2 * settings.contrast))


def _optimum(
    slope: npt.NDArray[np.float64], penalty: npt.NDArray[np.float64], images: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Return the optimum of a linear score; pixels with zero gradient and zero penalty are kept."""
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
    """Blur with reflection at the edges, which makes the blur self-adjoint."""
    if not blur:
        return images
    return np.asarray(gaussian_filter(images, (0, blur, blur, 0), mode="reflect"))


def _wide(values: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
    return values[:, np.newaxis, np.newaxis, np.newaxis]


def channel_gradient(
    network: keras.Model, images: Images, weights: npt.NDArray[np.float32], *, layer: str, place: Place
) -> tuple[npt.NDArray[np.floating[Any]], npt.NDArray[np.floating[Any]]]:
    """Return a weighted sum of a layer's channels and its gradient with respect to the images."""
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
    """Return a weighted sum of a layer's channels, computed from its activations."""
    units = _units(activations(network, images, layers=[layer])[layer].astype(np.float64), place)
    scores: npt.NDArray[np.float64] = np.sum(units * weights, axis=1)
    return scores


def _units(values: Any, place: Place) -> Any:
    """Reduce feature maps (n, y, x, channels) to (n, channels); vectors are returned unchanged."""
    if len(values.shape) == 2:
        return values
    if place == "centre":
        return values[:, values.shape[1] // 2, values.shape[2] // 2]
    return values.mean(axis=(1, 2)) if isinstance(values, np.ndarray) else tf.reduce_mean(values, axis=(1, 2))


@dataclass(frozen=True)
class ClassModels:
    """Class models: for each target, the image that maximises ``S(I) - lambda |I|^2``.

    Simonyan, Vedaldi & Zisserman 2013 (arXiv:1312.6034), section 2. If the preprocessing standardises
    the images, a stretched image of zeros is the mean image.

    Attributes
    ----------
    wrt : {"stretched", "flux"}
        Space of the images: ``"stretched"`` for preprocessed images, as the network sees them;
        ``"flux"`` for flux (or display values) before the preprocessing.
    start : {"zero", "noise"}
        Start image: zero, or Gaussian noise with a standard deviation of a tenth of the contrast.
    nonnegative : bool
        If True, pixels are at least zero, since a galaxy does not remove light from the sky.
    ascent : AscentSettings
        Steps, penalty and bounds, in the unit of the images.
    seed : int
        Seed of the noise; each target has its own stream.
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
        """Compute the class models.

        Parameters
        ----------
        trained : galcnn.model.TrainedModel
            Trained model; it is not modified.
        targets : sequence of Target
            Targets over the logits of the model.

        Returns
        -------
        list of Synthesis
            One image per target. `success` is True if the predicted class is the one with the
            largest weight in the target.
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
    """Filter visualisation: the images that maximise the activation of filters, by gradient ascent.

    Erhan et al. 2009; Simonyan et al. 2013. Use a layer before the activation function: the gradient
    vanishes behind a ReLU whose input is negative.

    Attributes
    ----------
    layer : str
        Network layer of `TrainedModel.network`.
    place : {"centre", "mean"}
        ``"centre"``: maximise the central cell, which gives an image of the size of its receptive
        field. ``"mean"``: maximise the mean over all cells, which gives a texture.
    start : {"noise", "zero"}
        Start image: Gaussian noise with a standard deviation of a tenth of the contrast, or zero.
    ascent : AscentSettings
        Steps, penalty and bounds, in units of the stretched image.
    seed : int
        Seed of the noise; each filter has its own stream.
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
        """Compute the filter visualisations.

        Parameters
        ----------
        trained : galcnn.model.TrainedModel
            Trained model; it is not modified.
        filters : sequence of int
            Channels of the layer, counted from 0.

        Returns
        -------
        list of Synthesis
            One image per filter. `success` is True if a separate forward pass finds a larger
            activation of the filter than at the start.

        Raises
        ------
        ValueError
            If the layer or a filter does not exist.
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
    """Return the settings of the method and of its ascent in one flat dict."""
    own: dict[str, Any] = asdict(method)
    ascent: dict[str, Any] = own["ascent"]
    return {
        key: value for key, value in own.items() if key not in ("ascent", "layer", "seed", "wrt")
    } | ascent
