"""Grids of pixels: their shapes and WCS, PSFs on them, and the record of what was done to an image."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import astropy.units as u
import numpy as np
import numpy.typing as npt
from astropy.wcs import WCS, Sip, WCSBase

from galcnn.cutout import Cutout
from galcnn.errors import message
from galcnn.photometry import DISPLAY

#: A new pixel is masked where less than this share of it is covered by good old pixels.
MIN_COVERAGE = 0.5
#: Grids whose corners differ by less than this, in pixels, are one.
SAME_GRID = 1e-3

_DISTORTING = ("TPV", "TPD", "TNX", "ZPX")

_Array = npt.NDArray[Any]


def checked_shape(shape: tuple[int, int]) -> tuple[int, int]:
    """Refuse what is no shape of an image."""
    numbers = tuple(shape)
    if len(numbers) != 2 or any(n != int(n) or n < 1 for n in numbers):
        raise ValueError(message("a shape of positive whole numbers (ny, nx)", "", shape=shape))
    return (int(numbers[0]), int(numbers[1]))


def per_area(unit: u.UnitBase) -> bool:
    """Tell whether values are averaged, not added, when pixels merge."""
    return bool(unit == DISPLAY or u.rad in unit.decompose().bases)


def refuse_pictures(cutout: Cutout, what: str) -> None:
    """Refuse stretched values, in which neither sums nor factors mean anything."""
    if cutout.unit == DISPLAY:
        raise ValueError(
            message(
                f"an image linear in flux, to correct {what}", "Load the FITS file.", unit=str(cutout.unit)
            )
        )


def recorded(meta: Mapping[str, Any], kind: str, step: Mapping[str, Any]) -> dict[str, Any]:
    """Add a step, in plain values, to the list ``meta[kind]``, "geometry" or "foreground"."""
    return {**meta, kind: [*meta.get(kind, []), dict(step)]}


def pixel_degrees(wcs: WCS) -> float:
    """Side of a square with the area of a pixel."""
    return float(np.sqrt(abs(np.linalg.det(wcs.pixel_scale_matrix))))


def scaled_wcs(
    wcs: WCS | None, ratios: tuple[float, float], first: tuple[float, float], shape: tuple[int, int]
) -> WCS | None:
    """Give the WCS of a parallel grid with other pixels, its distortions scaled along."""
    # `ratios` are sides of the new pixels in old ones, `first` the middle of the first new pixel,
    # counted from 0 in the old grid; both (y, x).
    if wcs is None:
        return None
    ratio, origin = np.array(ratios[::-1]), np.array(first[::-1])  # FITS has x first
    crpix = (wcs.wcs.crpix - 1 - origin) / ratio + 1
    matrix = (wcs.wcs.cd if wcs.wcs.has_cd() else wcs.wcs.get_pc()) * ratio  # columns are pixel axes
    header = wcs.to_header(relax=True)
    if header["CTYPE1"][-3:] in _DISTORTING:
        # wcslib keeps these as they were read and ignores a changed matrix: read a changed header.
        old = WCS(header).wcs
        for i in (0, 1):
            header[f"CRPIX{i + 1}"] = crpix[i]
            for j in (0, 1):
                header[f"PC{i + 1}_{j + 1}"] = old.get_pc()[i, j] * ratio[j]
        new = WCS(header)
    else:
        new = wcs.deepcopy()
        new.wcs.crpix = crpix
        if new.wcs.has_cd():
            new.wcs.cd = matrix
        else:
            new.wcs.pc = matrix
    if wcs.sip is not None:
        new.sip = _scaled_sip(wcs.sip, ratio, (np.array(wcs.sip.crpix) - 1 - origin) / ratio + 1)
    new.array_shape = shape
    new.wcs.set()
    return new


def shifted_wcs(wcs: WCS, corner: tuple[int, int], shape: tuple[int, int]) -> WCS:
    """Give the WCS of a window of a grid: the same pixels, counted from another one."""
    # For a WCS without look-up tables. What costs most of copying a WCS is to make an empty one
    # first, which is left out: thousands of windows of one mosaic are made so.
    first = np.array([corner[1], corner[0]])
    sip, basis = wcs.sip, copy.deepcopy(wcs.wcs)
    if sip is not None:
        sip = Sip(sip.a, sip.b, sip.ap, sip.bp, sip.crpix - first)
    basis.crpix = basis.crpix - first
    new: WCS = WCS.__new__(WCS)
    WCSBase.__init__(new, sip, (None, None), basis, (None, None))
    new.__dict__.update(wcs.__dict__)
    new.array_shape = shape
    return new


def grid_offset(one: WCS, other: WCS, shape: tuple[int, ...]) -> float:
    """Tell how far apart two grids of one shape are."""
    # The most that a corner lies apart, in pixels; NaN where one of them has no sky there.
    ny, nx = shape
    corners = np.array([[0, 0], [nx - 1, 0], [0, ny - 1], [nx - 1, ny - 1]], dtype=float)
    sky = other.pixel_to_world(corners[:, 0], corners[:, 1])
    back = np.stack(one.world_to_pixel(sky), axis=1)
    return float(np.hypot(*(back - corners).T).max())


def stacked_psfs(psfs: Sequence[npt.NDArray[np.float32] | None]) -> npt.NDArray[np.float32] | None:
    """Put PSFs on one size, zeros around the smaller ones.

    Parameters
    ----------
    psfs : sequence of numpy.ndarray or None
        Each of some bands, shape (bands, py, px).

    Returns
    -------
    numpy.ndarray or None
        All bands, shape (n, py, px). None where one is unknown, or where their middles lie differently
        on the pixels (sides of odd and of even numbers).

    Examples
    --------
    >>> stacked_psfs([np.ones((1, 1, 1)), np.ones((2, 3, 1))])[:, :, 0].tolist()
    [[0.0, 1.0, 0.0], [1.0, 1.0, 1.0], [1.0, 1.0, 1.0]]
    """
    known = [psf for psf in psfs if psf is not None]
    sides = np.array([psf.shape[1:] for psf in known])
    if len(known) < len(psfs) or len({tuple(side % 2) for side in sides}) > 1:
        return None
    margins = (sides.max(axis=0) - sides) // 2
    return np.concatenate(
        [np.pad(psf, ((0, 0), (dy, dy), (dx, dx))) for psf, (dy, dx) in zip(known, margins, strict=True)]
    )


def _scaled_sip(sip: Sip, ratio: _Array, crpix: _Array) -> Sip:
    """The same distortion in new pixels: u = r u', f' = f / r (Shupe et al. 2005)."""

    def scaled(coefficients: _Array | None, axis: int) -> _Array | None:
        if coefficients is None:
            return None
        powers = np.arange(len(coefficients))
        factors: _Array = np.outer(ratio[0] ** powers, ratio[1] ** powers) / ratio[axis]
        return coefficients * factors

    return Sip(scaled(sip.a, 0), scaled(sip.b, 1), scaled(sip.ap, 0), scaled(sip.bp, 1), crpix)
