"""Numbers that stand for "nothing was measured" in images: stated by the header, or seen by their pile-up.

Integers with BLANK are NaN already: astropy applies BLANK to all but unsigned integers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from astropy.io import fits

from galcnn.files.headers import card_number

#: Where all others are far smaller, no flux, count or weight is as large: SExtractor and SWarp write 1e30,
#: others 1e20 or the largest float.
LARGEST = 1e20
#: Cards that state the value of pixels without data; BLANK, too, is found in images of floats.
_STATED = {
    *("BLANK", "NODATA", "NO_DATA", "NULL", "NULLVAL", "NULVAL", "MISSVAL", "MISSING", "MISSDATA", "FILLVAL"),
    *("FILVAL", "FILLVALUE", "_FILLVALUE", "BADVAL", "BADPIXVA", "UNDEF", "UNDEFVAL", "INDEF", "EMPTYVAL"),
}
#: Values that are written where nothing was measured.
_USUAL = (-99.0, -999.0, -9999.0, -99999.0, -999999.0, -32767.0, -32768.0, -2147483648.0)
#: Least number of pixels of a pile-up: at a usual value, and at any other.
_FEW, _MANY = 4, 16
#: Least distance of a pile-up from the other pixels, in units of their own extent below the median.
_NEAR, _FAR = 3.0, 10.0
_SAMPLE = 16_384
#: Distance from a usual value of pixels that have it: compression of floats is lossy.
_SPREAD = 0.5
#: Share of the distance to the median, and of the pixels of a lower limit that are there at least.
_CLOSE = 0.25
#: Most values of missing data in one image.
_VALUES = 4


def has_blank_floats(header: fits.Header) -> bool:
    """Return True if BLANK is of floating-point numbers; asked before astropy scales integers on reading."""
    return "BLANK" in header and header["BITPIX"] < 0


@dataclass(frozen=True)
class Sentinel:
    """A value that stands for missing data: all pixels that differ from it by `spread` at most."""

    value: float
    spread: float = 0.0

    def held(self, values: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
        """Return the pixels that have the value."""
        if not self.spread:
            exact = values.dtype.type(self.value) if values.dtype.kind == "f" else self.value
            same: npt.NDArray[np.bool_] = values == exact
            return same
        near: npt.NDArray[np.bool_] = np.abs(values.astype(np.float64) - self.value) <= self.spread
        return near


def sentinels(values: npt.NDArray[Any], header: fits.Header, *, floats: bool = True) -> tuple[Sentinel, ...]:
    """Return the values of an image that stand for missing data.

    Values are stated by the header, or are negative, lie far below all others and are held by many pixels.
    Zeros and saturated pixels, of which images may have many, are none.

    Parameters
    ----------
    values : numpy.ndarray
        Values of the file.
    header : astropy.io.fits.Header
        Header of the image.
    floats : bool
        If True, BLANK is of an image of floating-point numbers, to which astropy does not apply it.

    Returns
    -------
    tuple of Sentinel
        Values; those beyond `LARGEST` are not listed.

    Examples
    --------
    >>> image = np.append(np.random.default_rng(1).normal(size=500), np.full(20, -999.0))
    >>> sentinels(image, fits.Header()), sentinels(np.maximum(image, -2), fits.Header())
    ((Sentinel(value=-999.0, spread=0.5),), ())
    """
    planes = values.reshape(-1, *values.shape[-2:]) if values.ndim > 2 else values[np.newaxis]
    found = stated(values, header, floats) + [one for plane in planes for one in piled_up(plane)]
    return tuple(dict.fromkeys(found))


def without(values: npt.NDArray[Any], missing: Iterable[Sentinel]) -> tuple[npt.NDArray[Any], dict[str, int]]:
    """Replace missing values by NaN; return the number of pixels of each value."""
    counts: dict[str, int] = {}
    holes = beyond(values)
    if holes is not None:
        counts[f"beyond {LARGEST:g}"] = int(np.count_nonzero(holes))
    for one in missing:
        held = one.held(values)
        if n := int(np.count_nonzero(held)):
            counts[f"{one.value:.15g}"] = n
            holes = held if holes is None else holes | held
    if holes is None:
        return values, counts
    if values.dtype.kind != "f":
        values = values.astype(np.float32 if values.dtype.itemsize < 4 else np.float64)
    return np.where(holes, values.dtype.type(np.nan), values), counts


def measured(values: npt.NDArray[Any], missing: Sequence[Sentinel]) -> npt.NDArray[Any]:
    """Replace by NaN, in a part of an image, the missing values of the image and those piled up there."""
    if values.dtype.kind == "f" and values.size and not missing:
        low, high = np.fmin.reduce(values, axis=None), np.fmax.reduce(values, axis=None)
        if low > -LARGEST and high < LARGEST and not _may_pile_up(values, low):
            return values
    return without(values, (*missing, *piled_up(values)))[0]


def noted(counts: dict[str, int]) -> list[str]:
    """Return the note on missing values, [] if there are none."""
    shown = ", ".join(f"{value} ({n} pixels)" for value, n in counts.items())
    return [f"values that stand for missing data are masked: {shown}"] if counts else []


def beyond(values: npt.NDArray[Any]) -> npt.NDArray[np.bool_] | None:
    """Return the finite pixels beyond `LARGEST`, None if there are none or all others are as large."""
    if values.dtype.kind != "f" or not values.size:
        return None
    if max(float(np.fmax.reduce(values, axis=None)), -float(np.fmin.reduce(values, axis=None))) < LARGEST:
        return None
    size = np.abs(values)
    huge: npt.NDArray[np.bool_] = (size >= LARGEST) & np.isfinite(values)
    others = size[size < LARGEST]  # luminosities in erg/s are as large, all of them
    alone = others.size == 0 and len(np.unique(size[huge])) == 1
    apart = others.size > 0 and float(others.max()) < LARGEST * 1e-6
    return huge if huge.any() and (alone or apart) else None


def stated(values: npt.NDArray[Any], header: fits.Header, floats: bool) -> list[Sentinel]:
    """Return the values of missing data that a header states, as `values` has them."""
    found = []
    for key in sorted(_STATED.intersection(header)):
        value = card_number(header, key)
        if value is None or (key == "BLANK" and not floats and values.dtype.kind != "u"):
            continue
        if key == "BLANK" and values.dtype.kind == "u" and values.dtype.itemsize > 1:
            value += 2.0 ** (8 * values.dtype.itemsize - 1)  # stored as signed integers with this BZERO
        found.append(Sentinel(value))
    return found


def piled_up(plane: npt.NDArray[Any]) -> list[Sentinel]:
    """Return the negative values that many pixels have and that lie apart from all others."""
    if plane.dtype.kind not in "fi" or not plane.size:
        return []
    if not _may_pile_up(plane, np.fmin.reduce(plane, axis=None)):
        return []
    pixels = rest = plane[np.abs(plane.astype(np.float64)) < LARGEST]  # without NaN
    found: list[Sentinel] = []
    lower: list[Sentinel] = []  # piled up, but not yet seen to lie apart from all that are above
    while rest.size and rest.min() < 0 and len(lower) < _VALUES:
        one = _near_usual(float(rest.min()))
        others = rest[rest > one.value + one.spread]
        n, usual = rest.size - others.size, one.spread > 0
        if n < (_FEW if usual else _MANY) or (not usual and n > pixels.size / 2):
            break
        lower.append(one)
        if not others.size:  # nothing was measured at all
            return found + lower
        extent = float(np.median(others[:: 1 + others.size // _SAMPLE])) - float(others.min())
        apart = float(others.min()) - one.value > (_NEAR if usual else _FAR) * extent
        if apart and (extent > 0 or usual):
            found, lower = [*found, *lower], []
        rest = others
    for one in found:
        pixels = pixels[~one.held(pixels)]
    return found + [Sentinel(value) for value in _repeated(pixels)]


def _may_pile_up(plane: npt.NDArray[Any], lowest: Any) -> bool:
    """Return True if the lowest value is negative, and a usual one or that of some pixels."""
    return bool(lowest < 0) and bool(
        lowest <= _USUAL[0] + _SPREAD or np.count_nonzero(plane == lowest) >= _FEW
    )


def _near_usual(value: float) -> Sentinel:
    """Return the usual value that a number is, but for lossy compression; else the number itself."""
    usual = min(_USUAL, key=lambda one: abs(one - value))
    return Sentinel(usual, _SPREAD) if abs(usual - value) <= _SPREAD else Sentinel(value)


def _repeated(values: npt.NDArray[Any]) -> list[float]:
    """Return the usual values that many pixels have, where no others repeat: at or inside of the noise."""
    if values.dtype.kind != "f" or not values.size or values.min() > _USUAL[0]:
        return []
    found = [value for value in _USUAL if np.count_nonzero(values == value) >= _MANY]
    others = values[~np.isin(values, [0.0, *found])]
    sample = others[:: 1 + others.size // _SAMPLE]
    if not found or not sample.size or len(np.unique(sample)) < 0.9 * sample.size:
        return []
    return [value for value in found if not _clipped(values, others, value)]


def _clipped(values: npt.NDArray[Any], others: npt.NDArray[Any], value: float) -> bool:
    """Return True if a value is the lower limit of an image: then many pixels are little above it."""
    if others.min() < value:
        return False
    above = np.count_nonzero(others < value + _CLOSE * (float(np.median(others)) - value))
    return bool(above > _CLOSE * np.count_nonzero(values == value))
