"""Images in two splits: the same object, the same pixels, or a rotated or mirrored copy."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

from galcnn._runtime import seeding
from galcnn.dataset.dataset import Dataset
from galcnn.dataset.similar import ALL_PAIRS, Vectors, most_similar

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
#: Phases of the modes at each rotation. By 180 degrees odd modes change sign: half of the angles suffice.
_TURNS = np.exp(2j * np.pi * np.outer(np.arange(_ANGLES // 2), _WAVES) / _ANGLES).astype(np.complex64)
#: Rings whose modes are multiplied with each other in vectors that rotations do not change.
_PRODUCTS = np.triu_indices(_RINGS)
#: Number of principal components of these vectors, and of images from which they are found.
_COMPONENTS, _SAMPLE = 128, 20000


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
    some ten images are needed. Splits with more than 10^8 pairs are searched by hashing, in time proportional
    to the number of images; a pair with a likeness above 0.8 is then missed in about one case of a thousand.
    """
    read = _whitened({name: _polar(side) for name, side in sides.items()})
    pairs = []
    for one, other in combinations(sides, 2):
        alike = _alike if len(read[one]) * len(read[other]) <= ALL_PAIRS else _hashed
        for i, j, value in alike(read[one], read[other], limit):
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
    flat = _real(other.reshape(len(other), -1)).T
    for start in range(0, len(one), _CHUNK):
        part = one[start : start + _CHUNK]
        best = np.full((len(part), len(other)), -1, dtype=np.float32)
        for mirrored in (part, part.conj()):
            for turn in _TURNS:
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


def _hashed(one: Descriptors, other: Descriptors, limit: float) -> Iterator[tuple[int, int, float]]:
    """Find the pairs of `_alike` among those that hashing proposes."""
    n = len(other)
    vectors = _invariant(one, other)
    for i, j, value in most_similar(*vectors, lambda i, j: _likeness(one[i], other[j % n]), limit=limit):
        yield i, j % n, min(value, 1.0)


def _invariant(one: Descriptors, other: Descriptors) -> tuple[Vectors, Vectors]:
    """Return unit vectors that rotations of an image do not change; those of `other` also mirrored.

    A rotation multiplies each mode by one phase on all rings, so that products of a mode on one ring with its
    conjugate on another do not change, and a reflection conjugates them. The cosine of these vectors is about
    the likeness of the images.
    """
    rng = seeding.generator(0, "near duplicates")
    pooled = len(one) + len(other)
    drawn = np.sort(rng.permutation(pooled)[:_SAMPLE])
    parts = _products(
        np.concatenate([one[drawn[drawn < len(one)]], other[drawn[drawn >= len(one)] - len(one)]])
    )
    centre = parts[0].mean(axis=0)  # the imaginary parts have none: galaxies have no handedness
    axes, sizes = [], []
    for part in (parts[0] - centre, parts[1]):
        values, vectors = np.linalg.eigh(part.T @ part)
        axes.append(vectors)
        sizes.append(values)
    least = np.sort(np.concatenate(sizes))[-_COMPONENTS:][0]
    even, odd = (vectors[:, values >= least] for vectors, values in zip(axes, sizes, strict=True))

    def turned(read: Descriptors) -> tuple[Vectors, Vectors]:
        pieces = [
            (real - centre) @ even if which == 0 else imaginary @ odd
            for start in range(0, len(read), 16 * _CHUNK)
            for real, imaginary in [_products(read[start : start + 16 * _CHUNK])]
            for which in (0, 1)
        ]
        a, b = np.concatenate(pieces[::2]), np.concatenate(pieces[1::2])
        norm = np.sqrt((a**2).sum(axis=1) + (b**2).sum(axis=1))[:, np.newaxis]
        blank = ~read.any(axis=(1, 2))
        for part in (a, b):
            np.divide(part, norm, out=part, where=norm > 0)
            part[blank] = 0
        return a, b

    first, (a, b) = turned(one), turned(other)
    return np.concatenate(first, axis=1), np.concatenate([np.hstack([a, b]), np.hstack([a, -b])])


def _products(read: Descriptors) -> tuple[Vectors, Vectors]:
    """Return real and imaginary parts of the products of a mode on two rings, shape (n, products)."""
    first, second = _PRODUCTS
    products = read[:, first] * read[:, second].conj()
    products[:, first != second] *= np.float32(np.sqrt(2))
    return products.real.reshape(len(read), -1), products.imag.reshape(len(read), -1)


def _likeness(one: Descriptors, other: Descriptors) -> npt.NDArray[np.float32]:
    """Return the largest correlation over rotations and reflections of pairs of images."""
    straight = np.einsum("nrm,nrm->nm", one, other.conj())
    mirrored = np.einsum("nrm,nrm->nm", one.conj(), other.conj())
    values = np.abs((np.concatenate([straight, mirrored]) @ _TURNS.T).real).max(axis=1)
    return np.asarray(np.maximum(values[: len(one)], values[len(one) :]))


def _all(side: Dataset) -> Iterator[npt.NDArray[np.float32]]:
    for start in range(0, len(side), _CHUNK):
        yield from side.images[start : start + _CHUNK]


def _digest(image: npt.NDArray[np.float32]) -> str:
    return hashlib.sha256(np.ascontiguousarray(image).data).hexdigest()
