"""Images in two splits: the same object, the same pixels, or a rotated or mirrored copy."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

from galcnn.dataset.dataset import Dataset

Descriptors = npt.NDArray[np.complex64]

#: Number of rings, and of angles per ring, at which an image is sampled.
_RINGS, _ANGLES = 16, 48
#: Fourier modes around a ring that are compared. Even modes are similar in many galaxies, which are
#: elongated; odd modes contain asymmetries, neighbours and noise.
_WAVES = np.arange(1, 12, 2)
#: Exponent of a mode's amplitude: with 1 bright neighbours dominate, with 0 noise does.
_EMPHASIS = 0.25
_ROUNDING = 1e-5
_CHUNK = 256


@dataclass(frozen=True)
class Pair:
    """Two similar images of different splits.

    Attributes
    ----------
    split, id : str
        Split and id of the first image.
    other_split, other_id : str
        Split and id of the second image.
    likeness : float
        Largest correlation over rotations and reflections; 1 if the pixels or the ids are equal.
    """

    split: str
    id: str
    other_split: str
    other_id: str
    likeness: float


def shared_images(sides: Mapping[str, Dataset]) -> list[Pair]:
    """List images that occur in two splits, by id or by identical pixels."""
    known: dict[str, dict[str, str]] = {}
    for name, side in sides.items():
        ids = {f"id {one}": one for one in side.ids}
        known[name] = ids | {_digest(image): one for one, image in zip(side.ids, _all(side), strict=True)}
    pairs: dict[tuple[str, str, str, str], Pair] = {}
    for one, other in combinations(sides, 2):
        for key in known[one].keys() & known[other].keys():
            place = (one, known[one][key], other, known[other][key])
            pairs[place] = Pair(*place, likeness=1.0)
    return [pairs[place] for place in sorted(pairs)]


def near_duplicates(sides: Mapping[str, Dataset], *, limit: float = 0.8) -> list[Pair]:
    """List images with a copy in another split, possibly rotated or mirrored, the most similar first.

    The likeness of identical copies is 1, and mostly above 0.8 if they are rotated by an arbitrary angle;
    that of different galaxies is lower. Amplitudes are normalised by their medians over the images, so
    some ten images are needed.
    """
    read = _whitened({name: _polar(side) for name, side in sides.items()})
    pairs = []
    for one, other in combinations(sides, 2):
        for i, j, value in _alike(read[one], read[other], limit):
            pairs.append(Pair(one, sides[one].ids[i], other, sides[other].ids[j], value))
    return sorted(pairs, key=lambda pair: -pair.likeness)


def _polar(side: Dataset) -> Descriptors:
    return np.concatenate([_coefficients(side.images[k : k + _CHUNK]) for k in range(0, len(side), _CHUNK)])


def _coefficients(images: npt.NDArray[np.float32]) -> Descriptors:
    """Return the Fourier modes around each ring, shape (n, rings, modes)."""
    flat = np.nan_to_num(images.mean(axis=-1, dtype=np.float64))
    ny, nx = flat.shape[1:]
    angle = 2 * np.pi * np.arange(_ANGLES) / _ANGLES
    radius = min(ny, nx) / 2 * (np.arange(_RINGS) + 0.5) / _RINGS - 0.5 / _RINGS
    y = (ny - 1) / 2 + np.outer(radius, np.sin(angle))
    x = (nx - 1) / 2 + np.outer(radius, np.cos(angle))
    y0 = np.clip(np.floor(y).astype(int), 0, ny - 2)
    x0 = np.clip(np.floor(x).astype(int), 0, nx - 2)
    fy, fx = y - y0, x - x0
    rings = (
        flat[:, y0, x0] * (1 - fy) * (1 - fx)
        + flat[:, y0, x0 + 1] * (1 - fy) * fx
        + flat[:, y0 + 1, x0] * fy * (1 - fx)
        + flat[:, y0 + 1, x0 + 1] * fy * fx
    )
    found = np.fft.rfft(rings, axis=-1)[..., _WAVES]
    # Modes at the level of rounding errors have no meaningful phase.
    size = np.abs(rings).max(axis=(1, 2), keepdims=True)
    return np.where(np.abs(found) > _ROUNDING * size, found, 0).astype(np.complex64)


def _whitened(read: Mapping[str, Descriptors]) -> dict[str, Descriptors]:
    """Divide each mode by its median amplitude, compress it, and normalise each image to unit norm."""
    usual = np.median(np.concatenate([np.abs(part) for part in read.values()]), axis=0)
    found = {}
    for name, part in read.items():
        size = np.divide(np.abs(part), usual, out=np.zeros(part.shape, np.float32), where=usual > 0)
        phase = np.exp(1j * np.angle(part))
        found[name] = _unit((phase * size**_EMPHASIS).astype(np.complex64))
    return found


def _unit(read: Descriptors) -> Descriptors:
    norm = np.sqrt((np.abs(read) ** 2).sum(axis=(1, 2), keepdims=True))
    unit: Descriptors = np.divide(read, norm, out=np.zeros_like(read), where=norm > 0)
    return unit


def _blocks(one: Descriptors, other: Descriptors) -> Iterator[tuple[int, npt.NDArray[np.float32]]]:
    """Yield the largest correlation over rotations and reflections, in blocks of rows."""
    # A rotation by 180 degrees reverses the sign of odd modes, so half of the angles are sufficient.
    turns = np.exp(2j * np.pi * np.outer(np.arange(_ANGLES // 2), _WAVES) / _ANGLES).astype(np.complex64)
    flat = _real(other.reshape(len(other), -1)).T
    for start in range(0, len(one), _CHUNK):
        part = one[start : start + _CHUNK]
        best = np.full((len(part), len(other)), -1, dtype=np.float32)
        for mirrored in (part, part.conj()):
            for turn in turns:
                turned = (mirrored * turn).reshape(len(part), -1)
                np.maximum(best, np.abs(_real(turned) @ flat), out=best)
        yield start, best


def _real(read: Descriptors) -> npt.NDArray[np.float32]:
    return np.concatenate([read.real, read.imag], axis=1)


def _alike(one: Descriptors, other: Descriptors, limit: float) -> Iterator[tuple[int, int, float]]:
    for start, block in _blocks(one, other):
        for i in np.flatnonzero(block.max(axis=1) > limit):
            j = int(block[i].argmax())
            yield start + int(i), j, float(min(block[i, j], 1.0))


def _all(side: Dataset) -> Iterator[npt.NDArray[np.float32]]:
    for start in range(0, len(side), _CHUNK):
        yield from side.images[start : start + _CHUNK]


def _digest(image: npt.NDArray[np.float32]) -> str:
    return hashlib.sha256(np.ascontiguousarray(image).data).hexdigest()
