"""Detection of suspicious cutouts, to be inspected before training."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from astropy.table import Table

from galcnn._runtime import seeding
from galcnn.cutout import Cutout
from galcnn.dataset.similar import ALL_PAIRS, Rows, Vectors, most_similar
from galcnn.errors import message
from galcnn.model import images_from
from galcnn.model.inputs import blank_bands
from galcnn.photometry import DISPLAY
from galcnn.transforms.background import SKY_FRAME, sky_statistics

#: Reasons in the order of the table, with the meaning of the value.
REASONS = {
    "unreadable": "the file cannot be read or does not fit the others",
    "blank": "share of bands in which all pixels are equal",
    "masked": "share of masked pixels",
    "saturated": "share of pixels at the highest value, in the worst band",
    "outlier": "robust standard deviations from the median of the set",
    "duplicate": "correlation of the signs of the gradient with those of another image",
}
_TOP_OF_DISPLAY = 255.0
_SIDE = 32  # pixels at which duplicates are compared
_CHUNK = 1024
_PROJECTED = 128  # dimensions in which similar images are sought if there are many


@dataclass(frozen=True)
class SuspicionLimits:
    """Limits beyond which a cutout is listed; NaN or infinity switches one off.

    Attributes
    ----------
    masked : float
        Fraction of masked pixels.
    saturated : float
        Fraction of pixels at the highest value: 255 in 8-bit pictures, otherwise the maximum of the
        image, which noise does not repeat.
    outlier : float
        Deviation from the median of the set, in robust standard deviations.
    duplicate : float
        Correlation of the signs of the gradient with another image; 1 for copies, well below for
        different galaxies.
    """

    masked: float = 0.5
    saturated: float = 0.003
    outlier: float = 6.0
    duplicate: float = 0.8


@dataclass(frozen=True, eq=False)
class CutoutMeasure:
    """Quantities of one cutout by which it is compared with the others.

    Attributes
    ----------
    masked : float
        Fraction of masked pixels.
    blank : float
        Fraction of bands in which all usable pixels are equal.
    saturated : float
        Fraction of pixels at the highest value, in the worst band.
    features : mapping of str to float
        Quantities whose outliers are searched: level and noise of the frame, mean light, colour.
    signs : numpy.ndarray
        Signs of the gradient along y and x of the image at a side of 32 pixels, int8.
    """

    masked: float
    blank: float
    saturated: float
    features: dict[str, float]
    signs: npt.NDArray[np.int8]


def measure_cutout(cutout: Cutout) -> CutoutMeasure:
    """Measure the quantities by which a cutout is compared with others."""
    planes = np.where(cutout.mask, 0.0, cutout.flux).astype(np.float64)
    return CutoutMeasure(
        masked=cutout.masked_fraction,
        blank=len(blank_bands(cutout)) / len(cutout.bands),
        saturated=_saturated(cutout),
        features=_features(planes, cutout.bands),
        signs=_signs(images_from([cutout])[0].mean(axis=-1)),
    )


def suspicious_table(
    ids: Sequence[str],
    measures: Sequence[CutoutMeasure | None],
    *,
    limits: SuspicionLimits | None = None,
    errors: Sequence[str] = (),
) -> Table:
    """List suspicious cutouts with reasons and values.

    Parameters
    ----------
    ids : sequence of str
        One id per cutout.
    measures : sequence of CutoutMeasure or None
        Measures of each cutout; None if the file could not be read.
    limits : SuspicionLimits, optional
        Limits; ``SuspicionLimits()`` by default.
    errors : sequence of str, optional
        Reason of each cutout that could not be read: one text per cutout, or none at all.

    Returns
    -------
    astropy.table.Table
        Columns `id`, `row`, `reason` (one of `REASONS`), `value`, `limit` and `detail`; a cutout
        with several reasons has several rows. Sorted by reason, then by decreasing value.
    """
    if len(ids) != len(measures):
        raise ValueError(message("one id per measure", "", n_ids=len(ids), n_measures=len(measures)))
    limits = limits or SuspicionLimits()
    rows: list[tuple[int, str, float, float, str]] = []
    for row, one in enumerate(measures):
        if one is None:
            rows.append((row, "unreadable", np.nan, np.nan, errors[row] if errors else ""))
            continue
        if one.blank > 0:
            rows.append((row, "blank", one.blank, 0.0, ""))
        if one.masked > limits.masked:
            rows.append((row, "masked", one.masked, limits.masked, ""))
        if one.saturated > limits.saturated:
            rows.append((row, "saturated", one.saturated, limits.saturated, ""))
    sound = [row for row, one in enumerate(measures) if one is not None and one.blank == 0]
    known = [one for one in measures if one is not None and one.blank == 0]
    rows += [
        (sound[i], "outlier", value, limits.outlier, detail)
        for i, value, detail in _outliers(known, limits.outlier)
    ]
    rows += [
        (sound[i], "duplicate", value, limits.duplicate, f"of {ids[sound[other]]}")
        for i, other, value in _duplicates(known, limits.duplicate)
    ]
    order = list(REASONS)
    rows.sort(key=lambda r: (order.index(r[1]), -r[2] if np.isfinite(r[2]) else 0.0, r[0]))
    table = Table(
        {
            "id": np.array([ids[r[0]] for r in rows], dtype=str),
            "row": np.array([r[0] for r in rows], dtype=int),
            "reason": np.array([r[1] for r in rows], dtype=str),
            "value": np.array([r[2] for r in rows], dtype=float),
            "limit": np.array([r[3] for r in rows], dtype=float),
            "detail": np.array([r[4] for r in rows], dtype=str),
        }
    )
    table["value"].description = "; ".join(f"{name}: {text}" for name, text in REASONS.items())
    return table


def _saturated(cutout: Cutout) -> float:
    shares = []
    for plane, mask in zip(cutout.flux, cutout.mask, strict=True):
        usable = plane[~mask]
        if not usable.size or np.ptp(usable) == 0:  # blank, which is another reason
            shares.append(0.0)
            continue
        top = _TOP_OF_DISPLAY if cutout.unit == DISPLAY else usable.max()
        at_top = int(np.sum(usable >= top))
        # A single pixel at the maximum is not saturation.
        shares.append(0.0 if at_top < 2 else at_top / plane.size)
    return max(shares)


def _features(planes: npt.NDArray[np.float64], bands: Sequence[str]) -> dict[str, float]:
    sky, noise = sky_statistics(planes, border=SKY_FRAME)
    light = planes.mean(axis=(1, 2)) - sky
    features: dict[str, float] = {}
    for i, band in enumerate(bands):
        if noise[i] > 0:  # arcsinh and log, since these quantities are skewed
            features[f"frame level in {band}"] = float(np.arcsinh(sky[i] / noise[i]))
            features[f"frame noise in {band}"] = float(np.log(noise[i]))
            features[f"mean light in {band}"] = float(np.arcsinh(light[i] / noise[i]))
    total = np.abs(light).sum()
    if len(bands) > 1 and total > 0:
        features[f"colour {bands[0]} against {bands[-1]}"] = float((light[0] - light[-1]) / total)
    return features


def _signs(image: npt.NDArray[np.float32]) -> npt.NDArray[np.int8]:
    small = _averaged(_averaged(image.astype(np.float64)).T).T
    steps = (np.diff(small, axis=0).ravel(), np.diff(small, axis=1).ravel())
    return np.sign(np.concatenate(steps)).astype(np.int8)


def _averaged(image: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    n = min(_SIDE, len(image))
    starts = np.linspace(0, len(image), n + 1).astype(int)
    sums = np.add.reduceat(image, starts[:-1], axis=0)
    averaged: npt.NDArray[np.float64] = sums / np.diff(starts)[:, np.newaxis]
    return averaged


def _outliers(measures: Sequence[CutoutMeasure], limit: float) -> list[tuple[int, float, str]]:
    """Return the worst outlying feature of each image that has one."""
    worst: dict[int, tuple[float, str]] = {}
    for name in sorted({name for one in measures for name in one.features}):
        values = np.array([one.features.get(name, np.nan) for one in measures])
        if not np.isfinite(values).any():
            continue
        middle = np.nanmedian(values)
        spread = 1.4826 * np.nanmedian(np.abs(values - middle))
        if spread == 0:
            continue
        for i in np.flatnonzero(np.abs(values - middle) > limit * spread):
            z = float((values[i] - middle) / spread)
            if abs(z) > abs(worst.get(int(i), (0.0, ""))[0]):
                worst[int(i)] = (z, f"{name}: {values[i]:.3g}, median {middle:.3g}")
    return [(i, abs(z), detail) for i, (z, detail) in worst.items()]


def _duplicates(measures: Sequence[CutoutMeasure], limit: float) -> list[tuple[int, int, float]]:
    """Return images that repeat an earlier one, with that one and the correlation."""
    if len(measures) < 2:
        return []
    signs = np.stack([one.signs for one in measures]).astype(np.float32)
    norms = np.linalg.norm(signs, axis=1, keepdims=True)
    signs = np.divide(signs, norms, out=np.zeros_like(signs), where=norms > 0)
    if len(signs) ** 2 > 2 * ALL_PAIRS:
        return list(_hashed(signs, limit))
    found = []
    for start in range(0, len(signs), _CHUNK):
        likeness = signs[start : start + _CHUNK] @ signs.T
        # Each image is compared with earlier ones only, so that a pair is listed once.
        likeness[np.arange(len(signs)) >= (start + np.arange(len(likeness)))[:, np.newaxis]] = -1
        for i in np.flatnonzero(likeness.max(axis=1) > limit):
            other = int(likeness[i].argmax())
            found.append((start + int(i), other, float(min(likeness[i, other], 1))))
    return found


def _hashed(signs: npt.NDArray[np.float32], limit: float) -> Iterator[tuple[int, int, float]]:
    """Find the repeated images among those that hashing of randomly projected signs proposes."""
    draw = seeding.generator(0, "duplicates").normal(size=(signs.shape[1], _PROJECTED)).astype(np.float32)
    vectors = signs @ draw
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors = np.divide(vectors, norms, out=np.zeros_like(vectors), where=norms > 0)

    def likeness(i: Rows, j: Rows) -> Vectors:
        # Each image is compared with earlier ones only.
        return np.where(j < i, np.einsum("nk,nk->n", signs[i], signs[j]), np.float32(-1))

    for i, j, value in most_similar(vectors, vectors, likeness, limit=limit):
        yield i, j, min(value, 1.0)
