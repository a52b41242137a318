"""DeepDream: an image is changed until a network layer sees more of what it sees in it already."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from galcnn import seeding
from galcnn.cutout import Cutout
from galcnn.errors import message
from galcnn.explain.explanation import Target
from galcnn.explain.forward import compiled, forward, outputs, upright
from galcnn.explain.gradients import gradient_of
from galcnn.explain.graph import network_layer
from galcnn.explain.network_maps import activations
from galcnn.explain.strips import Maker, Strips, by_tiles, in_memory, run_tiles, scaled, spans, tiles
from galcnn.explain.synthesis import Synthesis
from galcnn.inputs import FILL, planes_from
from galcnn.model import TrainedModel
from galcnn.preprocessing import invert
from galcnn.progress import Progress, silent

__all__ = ["Dream", "energy_gradient"]

#: An octave is no smaller than this many pixels.
_SMALLEST = 8

Images = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Dream:
    """An image in which a layer's own activations are amplified: ascent on their mean square.

    Mordvintsev, Olah & Tyka 2015. The gradient of a layer's activations f with respect to half
    their mean square is f itself: what is seen grows. It starts from a galaxy, not from noise,
    in what the network sees, and comes back through the inverse of the preprocessing. Each band
    keeps within the range of its own values: what is little more behind an asinh stretch would be
    a million times more in flux.

    Attributes
    ----------
    layer : str
        A network layer of `TrainedModel.network`.
    channel : int or None
        One channel, or all of them.
    octaves : int
        Scales, from the coarsest to the image's own.
    ratio : float
        Of one scale to the next.
    steps : int
        At each scale.
    step : float
        RMS change of a pixel in one step, in what the network sees.
    seed : int
        Of the jitter: each step sees the image cut into tiles at another place, since the network
        reads images of one size; the seams are nowhere.
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
        """Dream.

        Parameters
        ----------
        trained : galcnn.model.TrainedModel
            The model; left as it is.
        cutout : galcnn.cutout.Cutout
            In the model's bands and unit; of any shape, a mosaic too.
        id : str
            With the seed, the key of the jitter.
        progress : galcnn.progress.Progress
            Shows the steps.

        Returns
        -------
        Synthesis
            On the cutout's grid, in its unit; NaN where it is masked. A success where an
            independent pass on the image as it is stored finds more energy in the layer.

        Raises
        ------
        ValueError
            No such layer or channel, or a preprocessing that cannot be undone.
        """
        flux = np.moveaxis(np.where(cutout.mask, np.float32(np.nan), cutout.flux), 0, -1)
        start = in_memory(flux.shape)
        start.write(slice(None), flux)
        made, scores = self.strips(trained, start, id=id, progress=progress)
        images = [planes_from(strips.read(slice(None))[np.newaxis])[0] for strips in (made, start)]
        return self.described(trained, (images[0], images[1]), cutout.bands, str(cutout.unit), scores)

    def described(
        self,
        trained: TrainedModel,
        images: tuple[Images, Images],
        bands: tuple[str, ...],
        unit: str,
        scores: tuple[float, float],
    ) -> Synthesis:
        """Say what was dreamt.

        Parameters
        ----------
        trained : galcnn.model.TrainedModel
            The model.
        images : tuple of numpy.ndarray
            Image and start, shape (n_bands, ny, nx).
        bands : tuple of str
            One a plane.
        unit : str
            Of the pixels.
        scores : tuple of float
            Of image and start, see `strips`.

        Returns
        -------
        Synthesis
            As of a call.
        """
        weights = self._weights(trained.network)
        name = "activations" if self.channel is None else f"channel {self.channel}"
        settings = {key: value for key, value in asdict(self).items() if key not in ("layer", "seed")}
        return Synthesis(
            *images,
            bands,
            "dream",
            Target(name, tuple(weights.tolist())),
            "flux",
            unit,
            *scores,
            scores[0] > scores[1],
            settings=settings,
            seed=self.seed,
            network_layer=self.layer,
        )

    def strips(
        self,
        trained: TrainedModel,
        start: Strips,
        *,
        make: Maker = in_memory,
        id: str = "",
        progress: Progress = silent,
    ) -> tuple[Strips, tuple[float, float]]:
        """Dream on an image that need not be in memory.

        Parameters
        ----------
        trained : galcnn.model.TrainedModel
            The model.
        start : galcnn.explain.strips.Strips
            The image, in the model's bands and unit; NaN where it is masked.
        make : callable
            Where arrays of the image's size go: `galcnn.explain.strips.in_files` for large ones.
        id : str
            With the seed, the key of the jitter.
        progress : galcnn.progress.Progress
            Shows the steps.

        Returns
        -------
        image : galcnn.explain.strips.Strips
            NaN where `start` is.
        scores : tuple of float
            Half the mean square of the chosen activations, in the image and in the start.

        Raises
        ------
        ValueError
            No such layer or channel, or a preprocessing that cannot be undone.
        """
        network, shape = trained.network, start.shape
        weights, tile = self._weights(network), _tile(network)
        seen, made = make(shape), make(shape)
        for rows in spans(shape[0], tile[0]):
            part = by_tiles(_filled(start, rows), tile, lambda x: outputs(trained.preprocessing, x))
            seen.write(rows, part)
        ends = _ends(seen, tile[0])
        stream = seeding.generator(self.seed, "dream", id)
        detail = self._dream(network, seen, (weights, ends), stream, (make, progress))
        for rows in spans(shape[0], tile[0]):
            before, flux = seen.read(rows), _filled(start, rows)
            dreamt = np.clip(before + detail.read(rows), *ends)
            # Only what was changed goes the way back: the stretch of a bright pixel loses digits.
            changed = invert(trained.preprocessing, dreamt[np.newaxis])[0]
            blank = np.where(np.isnan(start.read(rows)), np.float32(np.nan), np.float32(0))
            made.write(rows, np.where(dreamt == before, flux, changed).astype(np.float32) + blank)
        scores = [self._energy(trained, image, tile, weights) for image in (made, start)]
        return made, (scores[0], scores[1])

    def _weights(self, network: keras.Model) -> npt.NDArray[np.float32]:
        channels = int(network_layer(network, self.layer).shape[-1] or 0)
        if self.channel is not None and not 0 <= self.channel < channels:
            raise ValueError(message(f"a channel from 0 to {channels - 1}", "", channel=self.channel))
        chosen = range(channels) if self.channel is None else [self.channel]
        return np.array([float(i in chosen) / len(chosen) for i in range(channels)], dtype=np.float32)

    def _dream(
        self,
        network: keras.Model,
        seen: Strips,
        limits: tuple[npt.NDArray[np.float32], tuple[Images, Images]],
        stream: np.random.Generator,
        ways: tuple[Maker, Progress],
    ) -> Strips:
        """What is added to the image that the network sees; limits are weights and ends of the range."""
        (weights, ends), (make, progress), tile = limits, ways, _tile(network)
        ny, nx, n_bands = seen.shape
        divisors = [self.ratio**octave for octave in reversed(range(self.octaves))]
        high_and_wide = [[max(round(n / by), min(n, _SMALLEST)) for by in divisors] for n in (ny, nx)]
        shapes = list(zip(*high_and_wide, strict=True))
        detail = make((*shapes[0], n_bands))
        with progress("dream", len(shapes) * self.steps) as step:
            for high, wide in shapes:
                whole = (high, wide) == (ny, nx)
                base = seen if whole else scaled(seen, (high, wide), make, height=tile[0])
                detail = scaled(detail, (high, wide), make, height=tile[0])
                slope = make((high, wide, n_bands))
                for _ in range(self.steps):
                    shift = tuple(int(stream.integers(n)) for n in tile)
                    total = 0.0
                    for span in spans(high, tile[0]):
                        rows = (np.arange(span.start, span.stop) - shift[0]) % high
                        image = np.roll(base.read(rows) + detail.read(rows), shift[1], axis=1)
                        found = by_tiles(
                            image, tile, lambda x: energy_gradient(network, x, weights, self.layer)
                        )
                        slope.write(rows, np.roll(found, -shift[1], axis=1))
                        total += float(np.sum(np.square(found, dtype=np.float64)))
                    size = np.sqrt(total / (high * wide * n_bands))
                    for span in spans(high, tile[0]) if size > 0 else ():
                        before = base.read(span)
                        dreamt = before + detail.read(span) + np.float32(self.step / size) * slope.read(span)
                        detail.write(span, np.clip(dreamt, *ends) - before)
                    step()
        return detail

    def _energy(
        self, trained: TrainedModel, flux: Strips, tile: tuple[int, int], weights: npt.NDArray[np.float32]
    ) -> float:
        """Half the mean square of the chosen channels, by another way than the gradient takes."""

        def energies(images: Images) -> Images:
            seen = outputs(trained.preprocessing, images)
            cells = activations(trained.network, seen, layers=[self.layer])[self.layer].astype(np.float64)
            squares = cells.reshape(len(images), -1, len(weights)) ** 2 @ weights
            return np.asarray(0.5 * squares.mean(axis=1))

        found = [
            run_tiles(tiles(_filled(flux, rows), tile), energies) for rows in spans(flux.shape[0], tile[0])
        ]
        return float(np.mean(np.concatenate(found)))


def energy_gradient(
    network: keras.Model, images: Images, weights: npt.NDArray[np.float32], layer: str
) -> Images:
    """Differentiate half the weighted mean square of a layer's activations.

    Parameters
    ----------
    network : keras.Model
        Run in inference mode and left as it is.
    images : numpy.ndarray
        Shape (n, ny, nx, n_bands).
    weights : numpy.ndarray
        Of the channels, shape (channels,).
    layer : str
        A network layer.

    Returns
    -------
    numpy.ndarray
        float32, shape of `images`: of each image's own energy.
    """

    name = network_layer(network, layer).name

    def build(of: Callable[[], keras.Model]) -> Callable[..., Any]:
        def run(images: Any, weights: Any) -> Any:
            _, seen = forward(of(), images)
            values = tf.cast(upright(seen[name], images), tf.float32)
            cells = tf.reduce_sum(values**2 * weights, axis=-1)
            flat = tf.reshape(cells, (tf.shape(cells)[0], -1))
            return gradient_of(0.5 * tf.reduce_mean(flat, axis=1), images)

        return run

    signature = [
        tf.TensorSpec((None, *network.input_shape[1:]), tf.float32),
        tf.TensorSpec((len(weights),), tf.float32),
    ]
    run = compiled(network, ("energy gradient", name), build, signature=signature)
    return np.asarray(run(tf.convert_to_tensor(images), tf.convert_to_tensor(weights)).numpy())


def _tile(network: keras.Model) -> tuple[int, int]:
    return int(network.input_shape[1]), int(network.input_shape[2])


def _filled(image: Strips, rows: slice) -> Images:
    """What a network gets of an image with holes."""
    values = image.read(rows)
    return np.where(np.isnan(values), np.float32(FILL), values)


def _ends(image: Strips, height: int) -> tuple[Images, Images]:
    """Lowest and highest value in each band."""
    ends = [
        (part.min(axis=(0, 1)), part.max(axis=(0, 1)))
        for part in map(image.read, spans(image.shape[0], height))
    ]
    return np.min([low for low, _ in ends], axis=0), np.max([high for _, high in ends], axis=0)
