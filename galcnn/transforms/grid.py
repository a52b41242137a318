"""Pixel grids: shapes, WCS and PSFs, and the record of steps in the meta of a cutout."""

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

#: New pixels are masked if less than this fraction of them is covered by unmasked old pixels.
MIN_COVERAGE = 0.5
#: Grids are equal if their corners differ by less than this, in pixels.
SAME_GRID = 1e-3

_DISTORTING = ("TPV", "TPD", "TNX", "ZPX")

_Array = npt.NDArray[Any]


def checked_shape(shape: tuple[int, int]) -> tuple[int, int]:
    """Return an image shape (ny, nx) as integers; raise an error if it is invalid."""
    numbers = tuple(shape)
    if len(numbers) != 2 or any(n != int(n) or n < 1 for n in numbers):
        raise ValueError(message("a shape of positive whole numbers (ny, nx)", "", shape=shape))
    return (int(numbers[0]), int(numbers[1]))


def per_area(unit: u.UnitBase) -> bool:
    """Return True if values of this unit are averaged, not added, when pixels are merged."""
    return bool(unit == DISPLAY or u.rad in unit.decompose().bases)


def refuse_pictures(cutout: Cutout, what: str) -> None:
    """Raise an error if a cutout is an 8-bit picture, whose values are not linear in flux."""
    if cutout.unit == DISPLAY:
        raise ValueError(
            message(
                f"an image linear in flux, to correct {what}", "Load the FITS file.", unit=str(cutout.unit)
            )
        )


def recorded(meta: Mapping[str, Any], kind: str, step: Mapping[str, Any]) -> dict[str, Any]:
    """Append a step, as plain values, to ``meta[kind]``: "geometry", "background" or "extinction"."""
    return {**meta, kind: [*meta.get(kind, []), dict(step)]}


def pixel_degrees(wcs: WCS) -> float:
    """Return the square root of the area of a pixel, deg."""
    return float(np.sqrt(abs(np.linalg.det(wcs.pixel_scale_matrix))))


def scaled_wcs(
    wcs: WCS | None, ratios: tuple[float, float], first: tuple[float, float], shape: tuple[int, int]
) -> WCS | None:
    """Return the WCS of a parallel grid of another pixel size, with distortions scaled accordingly."""
    # `ratios`: sides of the new pixels in old pixels; `first`: centre of the first new pixel on the old
    # grid, counted from 0; both (y, x).
    if wcs is None:
        return None
    ratio, origin = np.array(ratios[::-1]), np.array(first[::-1])  # FITS has x first
    crpix = (wcs.wcs.crpix - 1 - origin) / ratio + 1
    matrix = (wcs.wcs.cd if wcs.wcs.has_cd() else wcs.wcs.get_pc()) * ratio  # columns are pixel axes
    header = wcs.to_header(relax=True)
    if header["CTYPE1"][-3:] in _DISTORTING:
        # wcslib keeps distortions as read and ignores a changed matrix, so a changed header is read.
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
    """Return the WCS of a window of a grid; `corner` is its first pixel, (y, x)."""
    # For a WCS without look-up tables. Creating an empty WCS takes most of the time of a copy and is
    # avoided here, since one mosaic has thousands of windows.
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
    """Return the largest distance, in pixels, between corners of two grids of the same shape."""
    # NaN if one of them has no sky position there.
    ny, nx = shape
    corners = np.array([[0, 0], [nx - 1, 0], [0, ny - 1], [nx - 1, ny - 1]], dtype=float)
    sky = other.pixel_to_world(corners[:, 0], corners[:, 1])
    back = np.stack(one.world_to_pixel(sky), axis=1)
    return float(np.hypot(*(back - corners).T).max())


def stacked_psfs(psfs: Sequence[npt.NDArray[np.float32] | None]) -> npt.NDArray[np.float32] | None:
    """Stack PSFs, with zeros around the smaller ones.

    Parameters
    ----------
    psfs : sequence of numpy.ndarray or None
        PSFs, each of one or more bands, shape (n_bands, py, px).

    Returns
    -------
    numpy.ndarray or None
        PSFs of all bands, shape (n, py, px). None if one is unknown, or if some sides are odd and others
        even, so that the centres cannot be aligned.

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
    """Return the same distortion in new pixels: u = r u', f' = f / r (Shupe et al. 2005)."""

    def scaled(coefficients: _Array | None, axis: int) -> _Array | None:
        if coefficients is None:
            return None
        powers = np.arange(len(coefficients))
        factors: _Array = np.outer(ratio[0] ** powers, ratio[1] ** powers) / ratio[axis]
        return coefficients * factors

    return Sip(scaled(sip.a, 0), scaled(sip.b, 1), scaled(sip.ap, 0), scaled(sip.bp, 1), crpix)
