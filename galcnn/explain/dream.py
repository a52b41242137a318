"""DeepDream: an image is changed until a network layer sees more of what it sees in it already."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf
from skimage.transform import resize

from galcnn import seeding
from galcnn.cutout import Cutout
from galcnn.errors import message
from galcnn.explain.explanation import Target
from galcnn.explain.forward import compiled, forward, outputs, upright
from galcnn.explain.gradients import gradient_of
from galcnn.explain.graph import network_layer
from galcnn.explain.network_maps import activations
from galcnn.explain.synthesis import Synthesis
from galcnn.inputs import images_from, planes_from
from galcnn.model import TrainedModel
from galcnn.preprocessing import invert
from galcnn.progress import Progress, silent

__all__ = ["Dream", "energy_gradient"]

#: Tiles that are run together: what the network needs does not grow with the image, of which a
#: handful of arrays of its own size are held.
_BATCH = 16
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
        network = trained.network
        channels = int(network_layer(network, self.layer).shape[-1] or 0)
        if self.channel is not None and not 0 <= self.channel < channels:
            raise ValueError(message(f"a channel from 0 to {channels - 1}", "", channel=self.channel))
        chosen = range(channels) if self.channel is None else [self.channel]
        weights = np.array([float(i in chosen) / len(chosen) for i in range(channels)], dtype=np.float32)
        flux = images_from([cutout])[0]
        tile = (int(network.input_shape[1]), int(network.input_shape[2]))
        seen = _by_tiles(flux, tile, lambda tiles: outputs(trained.preprocessing, tiles))
        dreamt = self._dream(network, seen, weights, seeding.generator(self.seed, "dream", id), progress)
        # Only what was changed goes the way back: the stretch of a bright pixel loses digits.
        changed = invert(trained.preprocessing, dreamt[np.newaxis])[0]
        made = np.where(dreamt == seen, flux, changed).astype(np.float32)
        scores = [self._energy(trained, image, tile, weights) for image in (made, flux)]
        blank = np.where(cutout.mask, np.float32(np.nan), np.float32(0))
        name = "activations" if self.channel is None else f"channel {self.channel}"
        settings = {key: value for key, value in asdict(self).items() if key not in ("layer", "seed")}
        return Synthesis(
            planes_from(made[np.newaxis])[0] + blank,
            planes_from(flux[np.newaxis])[0] + blank,
            cutout.bands,
            "dream",
            Target(name, tuple(weights.tolist())),
            "flux",
            str(cutout.unit),
            scores[0],
            scores[1],
            scores[0] > scores[1],
            settings=settings,
            seed=self.seed,
            network_layer=self.layer,
        )

    def _dream(
        self,
        network: keras.Model,
        seen: Images,
        weights: npt.NDArray[np.float32],
        stream: np.random.Generator,
        progress: Progress,
    ) -> Images:
        tile = (int(network.input_shape[1]), int(network.input_shape[2]))
        shapes = [
            tuple(max(round(n / self.ratio**octave), min(n, _SMALLEST)) for n in seen.shape[:2])
            for octave in reversed(range(self.octaves))
        ]
        low, high = seen.min(axis=(0, 1)), seen.max(axis=(0, 1))
        detail = np.zeros((*shapes[0], seen.shape[2]), dtype=np.float32)
        with progress("dream", len(shapes) * self.steps) as step:
            for shape in shapes:
                base = seen if shape == seen.shape[:2] else _resized(seen, shape)
                detail = _resized(detail, shape)
                for _ in range(self.steps):
                    shift = tuple(int(stream.integers(n)) for n in tile)
                    image = np.roll(base + detail, shift, axis=(0, 1))
                    slope = _by_tiles(image, tile, lambda x: energy_gradient(network, x, weights, self.layer))
                    slope = np.roll(slope, (-shift[0], -shift[1]), axis=(0, 1))
                    size = float(np.sqrt(np.mean([np.mean(np.square(row, dtype=float)) for row in slope])))
                    if size > 0:
                        dreamt = base + detail + np.float32(self.step / size) * slope
                        detail = np.clip(dreamt, low, high) - base
                    step()
        return np.asarray(np.clip(seen + detail, low, high))

    def _energy(
        self, trained: TrainedModel, flux: Images, tile: tuple[int, int], weights: npt.NDArray[np.float32]
    ) -> float:
        """Half the mean square of the chosen channels, by another way than the gradient takes."""

        def energies(tiles: Images) -> Images:
            seen = outputs(trained.preprocessing, tiles)
            cells = activations(trained.network, seen, layers=[self.layer])[self.layer].astype(np.float64)
            squares = cells.reshape(len(tiles), -1, len(weights)) ** 2 @ weights
            return np.asarray(0.5 * squares.mean(axis=1))

        strips = (flux[top : top + tile[0]] for top in range(0, len(flux), tile[0]))
        return float(np.mean(np.concatenate([e for s in strips for e in _run_tiles(s, tile, energies)])))


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


def _by_tiles(image: Images, tile: tuple[int, int], compute: Callable[[Images], Images]) -> Images:
    """Compute on an image of any size by tiles of the one that a network reads."""
    joined = None
    for top in range(0, len(image), tile[0]):
        strip = image[top : top + tile[0]]
        done = np.concatenate(list(_run_tiles(strip, tile, compute)))
        if joined is None:
            joined = np.empty((*image.shape[:2], done.shape[-1]), dtype=done.dtype)
        row = done.swapaxes(0, 1).reshape(tile[0], -1, done.shape[-1])
        joined[top : top + tile[0]] = row[: len(strip), : image.shape[1]]
    assert joined is not None  # a cutout has pixels
    return joined


def _run_tiles(strip: Images, tile: tuple[int, int], compute: Callable[[Images], Images]) -> Iterator[Images]:
    tiles = _tiles(strip, tile)
    for start in range(0, len(tiles), _BATCH):
        yield compute(tiles[start : start + _BATCH])


def _tiles(image: Images, tile: tuple[int, int]) -> Images:
    """Shape (n, ny, nx, n_bands); beyond its edges an image goes on mirrored."""
    rows, columns = (-(-n // t) for n, t in zip(image.shape[:2], tile, strict=True))
    pads = [(0, count * t - n) for count, t, n in zip((rows, columns), tile, image.shape[:2], strict=True)]
    padded = np.pad(image, [*pads, (0, 0)], mode="symmetric")
    cut = padded.reshape(rows, tile[0], columns, tile[1], -1).swapaxes(1, 2)
    return np.ascontiguousarray(cut.reshape(rows * columns, *tile, image.shape[2]))


def _resized(image: Images, shape: tuple[int, ...]) -> Images:
    smaller = shape[0] < image.shape[0]
    return np.asarray(
        resize(image, (*shape, image.shape[2]), order=1, mode="reflect", anti_aliasing=smaller),
        dtype=np.float32,
    )
