"""Any cutout -> a colour picture for human eyes, scaled to that one image."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import numpy.typing as npt

from galcnn.cutout import Cutout
from galcnn.photometry import DISPLAY
from galcnn.rendering.stated import into_box

__all__ = ["display_rgb"]

#: Middle of the bands in nm, for the order of colours only.
_WAVELENGTHS = {
    "FUV": 154, "NUV": 232, "U": 365, "u": 355, "B": 440, "g": 480, "V": 550, "r": 620, "R": 650,
    "i": 760, "I": 800, "z": 900, "y": 1000, "Y": 1020, "J": 1240, "H": 1650, "K": 2160, "Ks": 2160,
    "j": 1240, "h": 1650, "k": 2160, "VIS": 720, "W1": 3400, "W2": 4600, "W3": 12000, "W4": 22000,
}  # fmt: skip


def display_rgb(cutout: Cutout) -> npt.NDArray[np.uint8]:
    """Draw any cutout in colour for a figure, scaled by its own sky noise and brightest parts.

    One band becomes grey; of two the mean is green; of more the reddest, middle and bluest are
    taken, by wavelength where all names are known, else the last, middle and first. Calibrated
    bands are divided by their wavelengths, where these are known; others are balanced.

    Parameters
    ----------
    cutout : galcnn.cutout.Cutout
        Any; pictures are given back as they are.

    Returns
    -------
    numpy.ndarray
        uint8, shape (ny, nx, 3), row 0 at the bottom as in the cutout: ``imshow(...,
        origin="lower")``. Not-a-number pixels are black.

    Examples
    --------
    >>> import numpy as np
    >>> picture = Cutout(np.full((3, 2, 2), 7.0), ("R", "G", "B"), unit=DISPLAY)
    >>> display_rgb(picture)[0, 0].tolist()
    [7, 7, 7]
    """
    if cutout.unit == DISPLAY:
        planes = cutout.flux if cutout.bands == ("R", "G", "B") else _three(cutout.flux)
        return _bytes(planes / 255)
    order = _by_wavelength(cutout)
    planes = cutout.flux.astype(np.float64)[order]
    planes[np.isinf(planes)] = np.nan  # masked, too, but would meet other pixels below
    good = ~cutout.mask[order]
    for plane, usable in zip(planes, good, strict=True):
        plane -= _sky(plane[usable])[0]
    wavelengths = [_wavelength(cutout.bands[row], cutout.survey) for row in order]
    if not cutout.calibrated:
        levels = [_bright(plane[usable]) for plane, usable in zip(planes, good, strict=True)]
        planes /= np.array(levels)[:, np.newaxis, np.newaxis]
    elif all(wavelengths):  # as SDSS weighs g, r and i: galaxies are neither all red nor all blue
        planes *= 620 / np.array(wavelengths, dtype=float)[:, np.newaxis, np.newaxis]
    colours = _three(planes)
    intensity = colours.mean(axis=0)
    usable = good.all(axis=0)
    noise = _sky(intensity[usable])[1]
    white = _bright(intensity[usable])
    softening = max(3 * noise, white / 100)
    # Below 1 at the bright end: headroom for colours, which would all be clipped to one hue.
    stretched = 0.8 * np.arcsinh(intensity / softening) / np.arcsinh(white / softening)
    ratio = np.divide(stretched, intensity, out=np.zeros_like(intensity), where=intensity != 0)
    return _bytes(into_box(colours * ratio))


def _bytes(planes: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    shown = np.where(np.isfinite(planes), np.clip(planes, 0, 1), 0)
    return np.ascontiguousarray(np.moveaxis(np.rint(255 * shown), 0, -1)).astype(np.uint8)


def _three(planes: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Red, green, blue of planes that run from blue to red."""
    blue, red = planes[0], planes[-1]
    green = (blue + red) / 2 if len(planes) == 2 else planes[len(planes) // 2]
    return np.stack([red, green, blue])


def _by_wavelength(cutout: Cutout) -> list[int]:
    """Rows of the planes from blue to red; as they are where a name is unknown."""
    found = [_wavelength(band, cutout.survey) for band in cutout.bands]
    rows = list(range(len(found)))
    known = [w for w in found if w is not None]
    return rows if len(known) < len(found) else sorted(rows, key=lambda row: known[row])


def _wavelength(band: str, survey: str) -> float | None:
    if band in _WAVELENGTHS:
        return float(_WAVELENGTHS[band])
    space = re.fullmatch(r"F(\d{3,4})[A-Z]+\d?", band)
    if space is None:
        return None
    # HST counts nm for its optical cameras and tens of nm in the infrared, JWST always tens.
    number = float(space[1])
    return number * 10 if "JWST" in survey or number < 200 else number


def _sky(values: npt.NDArray[np.float64]) -> tuple[float, float]:
    """Level and noise of the sky: median and scaled MAD after clipping at 3 sigma."""
    if values.size == 0:
        return 0.0, 0.0
    kept = values
    for _ in range(5):
        level = np.median(kept)
        noise = 1.4826 * np.median(np.abs(kept - level))
        inside = kept[np.abs(kept - level) <= 3 * noise]
        if inside.size in (0, kept.size):
            break
        kept = inside
    return float(level), float(noise)


def _bright(values: npt.NDArray[np.float64]) -> float:
    """What is shown white: exceeded by 1 pixel in 1000; 1 for an image without any light."""
    top = float(np.quantile(values, 0.999)) if values.size else 0.0
    top = top if top > 0 else float(values.max(initial=0.0))
    return top if top > 0 else 1.0
