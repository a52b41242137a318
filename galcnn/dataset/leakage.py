"""Images that stand in two splits: the same object, the same pixels, or the same picture turned."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

from galcnn.dataset.dataset import Dataset

Descriptors = npt.NDArray[np.complex64]

#: Rings and directions at which an image is read.
_RINGS, _ANGLES = 16, 48
#: Waves around a ring that are kept. All galaxies are bright in the middle and many are elongated: even
#: waves are alike. Odd ones hold neighbours, noise and what is lopsided.
_WAVES = np.arange(1, 12, 2)
#: Power of a wave's size that is kept: with 1 a bright neighbour is all that counts, with 0 noise is.
_EMPHASIS = 0.25
_ROUNDING = 1e-5
_CHUNK = 256


@dataclass(frozen=True)
class Pair:
    """Two images of different splits that are too much alike.

    Attributes
    ----------
    split, id : str
        Of one.
    other_split, other_id : str
        Of the other.
    likeness : float
        Largest correlation over all turns and mirrorings; 1 where the pixels or the names are the same.
    """

    split: str
    id: str
    other_split: str
    other_id: str
    likeness: float


def shared_images(sides: Mapping[str, Dataset]) -> list[Pair]:
    """List what stands in two splits, by its name or by its very pixels."""
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
    """List images of which another split holds a copy, perhaps turned or mirrored, the worst first.

    The likeness of copies is 1, and mostly above 0.8 if they are turned by any angle; that of different
    galaxies is less. What is common is learned from the images: some ten are needed.
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
    """Waves around each ring, shape (n, rings, waves)."""
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
    # What is less than rounding has no phase.
    size = np.abs(rings).max(axis=(1, 2), keepdims=True)
    return np.where(np.abs(found) > _ROUNDING * size, found, 0).astype(np.complex64)


def _whitened(read: Mapping[str, Descriptors]) -> dict[str, Descriptors]:
    """Each wave in units of its size in most images, compressed; each image of unit length."""
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
    """Largest correlation over rotations and reflections, some rows at a time."""
    # Half a turn reverses the sign of every odd wave: half of the angles say all.
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
