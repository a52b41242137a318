"""Pixel grids: shapes, WCS and PSFs, and the record of steps in the meta of a cutout."""

from __future__ import annotations

import copy
import functools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import astropy.units as u
import numpy as np
import numpy.typing as npt
from astropy.wcs import WCS, DistortionLookupTable, Sip, WCSBase
from astropy.wcs.utils import wcs_to_celestial_frame

from galcnn.cutout import Cutout, pixel_steps
from galcnn.errors import UnfitImageError, message
from galcnn.photometry import DISPLAY

#: New pixels are masked if less than this fraction of them is covered by unmasked old pixels.
MIN_COVERAGE = 0.5
#: Grids are equal if their corners differ by less than this, in pixels.
SAME_GRID = 1e-3

#: Cards of distortions that wcslib applies itself; those read as TPV have TAN in the CTYPE of the object.
_DISTORTING = re.compile(r"CQDIS1|-(TPV|TPD|TNX|ZPX) *'")
#: Cosine of the angle between the sides of a pixel up to which it counts as a right angle.
_OBLIQUE = 0.02
#: Relative difference of the sides of a pixel up to which it counts as square.
_SQUARE = 0.01
#: Areas of pixels count as equal if they differ by less than this.
_SAME_AREA = 1e-4

#: Attributes of a WCS with look-up tables, and the axis that each of them shifts.
_TABLES = {"cpdis1": 0, "cpdis2": 1, "det2im1": 0, "det2im2": 1}

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
    """Return the square root of the area of a pixel by the matrix of a WCS, deg: at its reference point."""
    return float(np.sqrt(abs(np.linalg.det(wcs.pixel_scale_matrix))))


def pixel_sides(cutout: Cutout) -> tuple[float, float]:
    """Return the sides (y, x) of the pixel in the middle, arcsec; raise an error if unknown or oblique."""
    # Equal sides of pixels that a distortion makes slightly oblong: grids stay parallel, squares square.
    steps = cutout.sky_steps
    if steps is None:
        raise UnfitImageError(
            message(
                "an image with a WCS, whose pixel scale is known",
                "State a width in pixels (--width 96pix), or the scale (--pixel-scale 0.4arcsec).",
                wcs=None,
            )
        )
    sides = np.linalg.norm(steps, axis=0)
    along_x, along_y = (steps / sides).T
    if not abs(along_x @ along_y) < _OBLIQUE:
        raise UnfitImageError(
            message(
                "pixels with right angles",
                "Resample the image onto another grid first: galcnn.transforms.align.",
                angle=f"{np.degrees(np.arccos(along_x @ along_y)):.1f} deg",
            )
        )
    x_side, y_side = sides.tolist()
    if abs(x_side / y_side - 1) < _SQUARE:
        x_side = y_side = float(np.sqrt(abs(np.linalg.det(steps))))
    return y_side, x_side


def icrs_steps(wcs: WCS, shape: tuple[int, int]) -> _Array:
    """Return the steps of one pixel at the middle, arcsec, ICRS: [[east/x, east/y], [north/x, north/y]]."""
    if wcs_to_celestial_frame(wcs).name == "icrs":
        return pixel_steps(wcs, shape)
    x, y = (shape[1] - 1) / 2, (shape[0] - 1) / 2
    xs, ys = np.array([[x + 0.5, y], [x - 0.5, y], [x, y + 0.5], [x, y - 0.5], [x, y]]).T
    places = wcs.pixel_to_world(xs, ys).icrs
    sky = np.stack([angle.to_value(u.arcsec) for angle in places[-1].spherical_offsets_to(places[:4])])
    steps: _Array = sky[:, [0, 2]] - sky[:, [1, 3]]
    return steps


def pixel_areas(wcs: WCS, shape: tuple[int, int], corner: tuple[int, int] = (0, 0)) -> _Array:
    """Return the solid angle of each pixel of a window, sr, with distortions."""
    x, y = np.meshgrid(np.arange(shape[1] + 1) - 0.5 + corner[1], np.arange(shape[0] + 1) - 0.5 + corner[0])
    world = np.radians(wcs.all_pix2world(np.stack([x.ravel(), y.ravel()], axis=1), 0))
    lon, lat = (world[:, axis].reshape(x.shape) for axis in (wcs.wcs.lng, wcs.wcs.lat))
    xyz = np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)])
    # Half the cross product of the diagonals.
    one, two = xyz[:, 1:, 1:] - xyz[:, :-1, :-1], xyz[:, 1:, :-1] - xyz[:, :-1, 1:]
    areas: _Array = np.linalg.norm(np.cross(one, two, axis=0), axis=0) / 2
    return areas


@dataclass(frozen=True, eq=False)
class PixelAreas:
    """Areas of the pixels of an image with this WCS and shape (ny, nx)."""

    wcs: WCS
    shape: tuple[int, int]

    @functools.cached_property
    def middle(self) -> float:
        """Area of the pixel in the middle, sr."""
        return self._at((self.shape[0] - 1) // 2, (self.shape[1] - 1) // 2)

    @functools.cached_property
    def varies(self) -> bool:
        """True if the areas of pixels differ; eight pixels along the edges are compared with the middle."""
        rows, columns = ([0, (n - 1) // 2, n - 1] for n in self.shape)
        areas = np.array([self._at(y, x) for y in rows for x in columns])
        return bool(np.nanmax(np.abs(areas / self.middle - 1)) > _SAME_AREA)

    def _at(self, y: int, x: int) -> float:
        return float(pixel_areas(self.wcs, (1, 1), (y, x))[0, 0])

    def relative(self, shape: tuple[int, int], corner: tuple[int, int] = (0, 0)) -> _Array:
        """Return the area of each pixel of a window, in units of that in the middle."""
        relative: _Array = pixel_areas(self.wcs, shape, corner) / self.middle
        return relative


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
    if _DISTORTING.search(wcs.wcs.to_header(True)):
        header = wcs.to_header(relax=True)
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
    for name, axis in _TABLES.items():
        setattr(new, name, _scaled_table(getattr(wcs, name), ratio, origin, axis))
    new.array_shape = shape
    new.wcs.set()
    return new


def shifted_wcs(wcs: WCS, corner: tuple[int, int], shape: tuple[int, int]) -> WCS:
    """Return the WCS of a window of a grid; `corner` is its first pixel, (y, x)."""
    # Creating an empty WCS takes most of the time of a copy and is avoided here, since one mosaic has
    # thousands of windows.
    first = np.array([corner[1], corner[0]])
    sip, basis = wcs.sip, copy.deepcopy(wcs.wcs)
    if sip is not None:
        sip = Sip(sip.a, sip.b, sip.ap, sip.bp, sip.crpix - first)
    basis.crpix = basis.crpix - first
    new: WCS = WCS.__new__(WCS)
    cpdis1 = cpdis2 = det2im1 = det2im2 = None
    if any(getattr(wcs, name) is not None for name in _TABLES):
        cpdis1, cpdis2, det2im1, det2im2 = (
            _scaled_table(getattr(wcs, name), np.ones(2), first, axis) for name, axis in _TABLES.items()
        )
    WCSBase.__init__(new, sip, (cpdis1, cpdis2), basis, (det2im1, det2im2))
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


def _scaled_table(
    table: DistortionLookupTable | None, ratio: _Array, origin: _Array, axis: int
) -> DistortionLookupTable | None:
    """Return the same shifts along an axis (0 is x), in new pixels, for new pixels."""
    if table is None:
        return None
    crval = (np.array(table.crval) - 1 - origin) / ratio + 1
    cdelt = np.array(table.cdelt) / ratio
    shifts = np.asarray(table.data / ratio[axis], dtype=np.float32)
    return DistortionLookupTable(shifts, tuple(table.crpix), tuple(crval), tuple(cdelt))


def _scaled_sip(sip: Sip, ratio: _Array, crpix: _Array) -> Sip:
    """Return the same distortion in new pixels: u = r u', f' = f / r (Shupe et al. 2005)."""

    def scaled(coefficients: _Array | None, axis: int) -> _Array | None:
        if coefficients is None:
            return None
        powers = np.arange(len(coefficients))
        factors: _Array = np.outer(ratio[0] ** powers, ratio[1] ** powers) / ratio[axis]
        return coefficients * factors

    return Sip(scaled(sip.a, 0), scaled(sip.b, 1), scaled(sip.ap, 0), scaled(sip.bp, 1), crpix)
