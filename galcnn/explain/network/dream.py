"""DeepDream: gradient ascent on the activations of a network layer, starting from an image."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf
from scipy import ndimage

from galcnn._runtime import seeding
from galcnn._runtime.progress import Progress, silent
from galcnn.cutout import Cutout
from galcnn.errors import message
from galcnn.explain.network.activations import activations
from galcnn.explain.synthesis import Synthesis
from galcnn.model import Target, TrainedModel, invert, planes_from
from galcnn.model.forward import compiled, forward, outputs, upright
from galcnn.model.gradients import gradient_of
from galcnn.model.graph import network_layer
from galcnn.model.inputs import FILL

#: Smallest side of an octave in pixels.
_SMALLEST = 8
#: Number of tiles per call of the network.
_BATCH = 16
#: Truncation of the Gaussian filter, in standard deviations.
_TRUNCATE = 4.0

Images = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Dream:
    """DeepDream: gradient ascent on the mean square of a layer's activations, from an image.

    Mordvintsev, Olah & Tyka 2015. The gradient of half the square of the activations f with respect
    to f is f itself, so that features already present are amplified. The ascent starts from a galaxy
    and changes the stretched image; the result is converted to flux by the inverse of the
    preprocessing. Each band is clipped to its original range of stretched values, since a small
    excess in an asinh stretch may be a factor of a million in flux.

    Attributes
    ----------
    layer : str
        Network layer of `TrainedModel.network`.
    channel : int or None
        Channel of the layer; None for all channels.
    octaves : int
        Number of scales, from the coarsest to the full resolution.
    ratio : float
        Ratio between successive scales.
    steps : int
        Number of steps at each scale.
    step : float
        RMS change of a pixel in one step, in units of the stretched image.
    seed : int
        Seed of the random shifts. The image is cut into tiles of the network's input size, at
        another position in each step, which avoids seams.
    """

    layer: str
    channel: int | None = None
    octaves: int = 3
    ratio: float = 1.4
    steps: int = 10
    step: float = 0.05
    seed: int = 0

    def __post_init__(self) -> None:
        if self.octaves < 1 or self.steps < 1 or not self.ratio > 1 or not self.step > 0:
            raise ValueError(
                message(
                    "at least one octave and step, a ratio above 1 and a positive step",
                    "",
                    octaves=self.octaves,
                    steps=self.steps,
                    ratio=self.ratio,
                    step=self.step,
                )
            )

    def __call__(
        self, trained: TrainedModel, cutout: Cutout, *, id: str = "", progress: Progress = silent
    ) -> Synthesis:
        """Compute the DeepDream image of a cutout.

        Parameters
        ----------
        trained : galcnn.model.TrainedModel
            Trained model; it is not modified.
        cutout : galcnn.cutout.Cutout
            Cutout or mosaic in the bands and unit of the model, of any shape.
        id : str
            Id which, with the seed, is the key of the random shifts.
        progress : galcnn._runtime.progress.Progress
            Display of the progress.

        Returns
        -------
        Synthesis
            Image on the grid and in the unit of the cutout; NaN where it is masked. `success` is
            True if a separate forward pass finds a larger mean square activation in the stored image
            than in the start.

        Raises
        ------
        ValueError
            If the layer or channel does not exist, or the preprocessing cannot be inverted.
        """
        network = trained.network
        weights, tile = self._weights(network), _tile(network)
        start = np.moveaxis(np.where(cutout.mask, np.float32(np.nan), cutout.flux), 0, -1)
        flux = np.where(np.isnan(start), np.float32(FILL), start)
        seen = by_tiles(flux, tile, lambda x: outputs(trained.preprocessing, x))
        low, high = seen.min(axis=(0, 1)), seen.max(axis=(0, 1))
        stream = seeding.generator(self.seed, "dream", id)
        detail = self._dream(network, seen, weights, low, high, stream, progress)
        dreamt = np.clip(seen + detail, low, high)
        # Only changed pixels are inverted, since stretching bright pixels loses precision.
        changed = invert(trained.preprocessing, dreamt[np.newaxis])[0]
        made = np.where(dreamt == seen, flux, changed).astype(np.float32)
        score, start_score = (self._energy(trained, image, weights) for image in (made, flux))
        made[np.isnan(start)] = np.nan
        name = "activations" if self.channel is None else f"channel {self.channel}"
        settings = {key: value for key, value in asdict(self).items() if key not in ("layer", "seed")}
        return Synthesis(
            planes_from(made[np.newaxis])[0],
            planes_from(start[np.newaxis])[0],
            cutout.bands,
            "dream",
            Target(name, tuple(weights.tolist())),
            "flux",
            str(cutout.unit),
            score,
            start_score,
            score > start_score,
            settings=settings,
            seed=self.seed,
            network_layer=self.layer,
        )

    def _weights(self, network: keras.Model) -> npt.NDArray[np.float32]:
        channels = int(network_layer(network, self.layer).shape[-1] or 0)
        if self.channel is not None and not 0 <= self.channel < channels:
            raise ValueError(message(f"a channel from 0 to {channels - 1}", "", channel=self.channel))
        chosen = range(channels) if self.channel is None else [self.channel]
        return np.array([float(i in chosen) / len(chosen) for i in range(channels)], dtype=np.float32)

    def _dream(
        self,
        network: keras.Model,
        seen: Images,
        weights: npt.NDArray[np.float32],
        lowest: npt.NDArray[np.float32],
        highest: npt.NDArray[np.float32],
        stream: np.random.Generator,
        progress: Progress,
    ) -> Images:
        """Return the image added to the stretched image, clipped to the range of each band."""
        tile, (ny, nx, n_bands) = _tile(network), seen.shape
        divisors = [self.ratio**octave for octave in reversed(range(self.octaves))]
        high_and_wide = [[max(round(n / by), min(n, _SMALLEST)) for by in divisors] for n in (ny, nx)]
        shapes = list(zip(*high_and_wide, strict=True))
        detail = np.zeros((*shapes[0], n_bands), dtype=np.float32)
        with progress("dream", len(shapes) * self.steps) as step:
            for shape in shapes:
                base, detail = scaled(seen, shape), scaled(detail, shape)
                for _ in range(self.steps):
                    shift = tuple(int(stream.integers(n)) for n in tile)
                    image = np.roll(base + detail, shift, axis=(0, 1))
                    found = by_tiles(image, tile, lambda x: energy_gradient(network, x, weights, self.layer))
                    size = np.sqrt(np.mean(np.square(found, dtype=np.float64)))
                    if size > 0:
                        slope = np.roll(found, (-shift[0], -shift[1]), axis=(0, 1))
                        dreamt = base + detail + np.float32(self.step / size) * slope
                        detail = np.clip(dreamt, lowest, highest) - base
                    step()
        return detail

    def _energy(self, trained: TrainedModel, flux: Images, weights: npt.NDArray[np.float32]) -> float:
        """Return half the mean square of the chosen channels, computed independently of the gradient."""

        def energies(images: Images) -> Images:
            seen = outputs(trained.preprocessing, images)
            cells = activations(trained.network, seen, layers=[self.layer])[self.layer].astype(np.float64)
            squares = cells.reshape(len(images), -1, len(weights)) ** 2 @ weights
            return np.asarray(0.5 * squares.mean(axis=1))

        return float(np.mean(run_tiles(tiles(flux, _tile(trained.network)), energies)))


def energy_gradient(
    network: keras.Model, images: Images, weights: npt.NDArray[np.float32], layer: str
) -> Images:
    """Return the gradient of half the weighted mean square of a layer's activations."""
    name = network_layer(network, layer).name

    def build(of: Callable[[], keras.Model]) -> Callable[..., Any]:
        def run(images: Any, weights: Any) -> Any:
            _, seen = forward(of(), images)
            values = tf.cast(upright(seen[name], images), images.dtype)
            cells = tf.reduce_sum(values**2 * weights, axis=-1)
            flat = tf.reshape(cells, (tf.shape(cells)[0], -1))
            return gradient_of(0.5 * tf.reduce_mean(flat, axis=1), images)

        return run

    run = compiled(network, ("energy gradient", name), build, (images, weights))
    return np.asarray(run(images, weights))


def _tile(network: keras.Model) -> tuple[int, int]:
    return int(network.input_shape[1]), int(network.input_shape[2])


def scaled(image: Images, shape: tuple[int, int]) -> Images:
    """Resample an image (ny, nx, n_bands) to another number of pixels that cover the same field."""
    for axis, wanted in enumerate(shape):
        n = image.shape[axis]
        if n == wanted:
            continue
        if n > wanted:
            blur = (n / wanted - 1) / 2
            image = ndimage.gaussian_filter1d(image, blur, axis=axis, mode="reflect", truncate=_TRUNCATE)
        position = np.clip((np.arange(wanted) + 0.5) * n / wanted - 0.5, 0, n - 1)
        before = np.floor(position).astype(int)
        share = (position - before).astype(np.float32).reshape((-1, 1, 1) if axis == 0 else (1, -1, 1))
        first, second = (image.take(np.minimum(before + one, n - 1), axis) for one in (0, 1))
        image = np.asarray(first + share * (second - first), dtype=np.float32)
    return image


def by_tiles(image: Images, tile: tuple[int, int], compute: Callable[[Images], Images]) -> Images:
    """Apply a function that preserves the number of pixels to an image (ny, nx, n_bands), tile by tile."""
    done = run_tiles(tiles(image, tile), compute)
    down = -(-image.shape[0] // tile[0])
    rows = done.reshape(down, -1, *tile, done.shape[-1]).swapaxes(1, 2)
    whole = rows.reshape(down * tile[0], -1, done.shape[-1])
    return np.asarray(whole[: image.shape[0], : image.shape[1]])


def run_tiles(those: Images, compute: Callable[[Images], Images]) -> Images:
    """Apply a function to tiles in batches and concatenate the results."""
    return np.concatenate([compute(those[at : at + _BATCH]) for at in range(0, len(those), _BATCH)])


def tiles(image: Images, tile: tuple[int, int]) -> Images:
    """Cut an image into tiles, row by row, after padding it by reflection."""
    down, across = (-(-n // size) for n, size in zip(image.shape, tile, strict=False))
    pads = [(0, down * tile[0] - image.shape[0]), (0, across * tile[1] - image.shape[1]), (0, 0)]
    padded = np.pad(image, pads, mode="symmetric")
    cut = padded.reshape(down, tile[0], across, tile[1], -1).swapaxes(1, 2)
    return np.ascontiguousarray(cut.reshape(-1, *tile, image.shape[-1]))
