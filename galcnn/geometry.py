"""Crop, pad, resample, fit: the last place where the pixel grid of a cutout may change.

Pixels are squares whose values are spread evenly over them; a new grid collects what falls into
each of its own (area weighting). Old and new grid are parallel, so that the overlaps are products
of overlaps along y and x: the sum of the flux is kept to rounding, the operation is linear, and
the WCS of the new grid is exact, distortions included. Orientation and parity never change.

Centring: `crop` and `pad` move by whole pixels, and pixel ``n // 2`` becomes pixel ``m // 2``
along each axis, so the middle of the field moves by half a pixel when one of n and m is odd and
the other even, and each undoes the other. `resample`, `resize` and `fit` (where it resamples)
keep the middle of the field exactly.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import astropy.units as u
import numpy as np
import numpy.typing as npt
from astropy.wcs import WCS, Sip

from galcnn.cutout import Cutout
from galcnn.errors import message
from galcnn.photometry import DISPLAY

__all__ = ["crop", "fit", "pad", "resample", "resize"]

#: A new pixel is masked where less than this share of it is covered by good old pixels.
MIN_COVERAGE = 0.5
#: Pixel scales that differ by less than this share are one: 0.1 pixel over 100.
_SAME_SCALE = 1e-3

_DISTORTING = ("TPV", "TPD", "TNX", "ZPX")

_Array = npt.NDArray[Any]


def crop(cutout: Cutout, shape: tuple[int, int], *, corner: tuple[int, int] | None = None) -> Cutout:
    """Cut a part out of a cutout.

    Parameters
    ----------
    cutout : galcnn.cutout.Cutout
        Any.
    shape : tuple of int
        Pixels as (ny, nx), not more than there are.
    corner : tuple of int, optional
        First row and column to keep; about the centre by default.

    Returns
    -------
    galcnn.cutout.Cutout
        `cutout` itself where the shape is its own.

    Raises
    ------
    ValueError
        The part reaches over the edge.

    Examples
    --------
    >>> import numpy as np
    >>> cutout = Cutout(np.arange(25.0).reshape(5, 5), ("r",))
    >>> crop(cutout, (1, 3)).flux.tolist()
    [[[11.0, 12.0, 13.0]]]
    """
    shape = _checked_shape(shape)
    start = _centred(cutout.shape, shape) if corner is None else (int(corner[0]), int(corner[1]))
    ends = (start[0] + shape[0], start[1] + shape[1])
    if min(start) < 0 or ends[0] > cutout.shape[0] or ends[1] > cutout.shape[1]:
        raise ValueError(
            message(
                f"a part of {cutout.shape} pixels (ny, nx)",
                "Use pad for more pixels.",
                shape=shape,
                corner=start,
            )
        )
    return _moved(cutout, shape, start, "crop")


def pad(cutout: Cutout, shape: tuple[int, int]) -> Cutout:
    """Add masked NaN pixels around a cutout.

    Parameters
    ----------
    cutout : galcnn.cutout.Cutout
        Any.
    shape : tuple of int
        Pixels as (ny, nx), not fewer than there are.

    Returns
    -------
    galcnn.cutout.Cutout
        `cutout` itself where the shape is its own.

    Raises
    ------
    ValueError
        Pixels would be lost.

    Examples
    --------
    >>> import numpy as np
    >>> padded = pad(Cutout(np.ones((1, 1)), ("r",)), (1, 3))
    >>> padded.flux.tolist(), padded.mask.tolist()
    ([[[nan, 1.0, nan]]], [[[True, False, True]]])
    """
    shape = _checked_shape(shape)
    if shape[0] < cutout.shape[0] or shape[1] < cutout.shape[1]:
        raise ValueError(
            message(f"at least {cutout.shape} pixels (ny, nx)", "Use crop for fewer pixels.", shape=shape)
        )
    return _moved(cutout, shape, _centred(cutout.shape, shape), "pad")


def resample(cutout: Cutout, pixel_scale: u.Quantity, shape: tuple[int, int] | None = None) -> Cutout:
    """Bring a cutout to another pixel scale; flux is conserved, the middle of the field is kept.

    Parameters
    ----------
    cutout : galcnn.cutout.Cutout
        With a WCS.
    pixel_scale : astropy.units.Quantity
        Wanted angle per pixel.
    shape : tuple of int, optional
        Pixels as (ny, nx) of the result; by default as many as are wholly inside the old field.

    Returns
    -------
    galcnn.cutout.Cutout
        Flux per pixel is multiplied by the area of the pixels, surface brightness and display
        values are not. Masked pixels add nothing: a new pixel with at least half of its area
        good has the mean of that part, others are NaN and masked. `sigma` is propagated as
        variance for independent pixels; the correlation between new pixels that share an old
        one is not recorded, so sums over many pixels have more noise than their sigma says when
        the new pixels are smaller. The PSF is resampled alike, with sum 1. `cutout` itself where
        there is nothing to do.

    Raises
    ------
    ValueError
        There is no WCS (use `resize`), or the scale is not a positive angle.

    Examples
    --------
    >>> import numpy as np
    >>> wcs = WCS(naxis=2)
    >>> wcs.wcs.ctype, wcs.wcs.cdelt = ["RA---TAN", "DEC--TAN"], [-1 / 3600, 1 / 3600]
    >>> binned = resample(Cutout(np.ones((1, 4, 4)), ("r",), wcs), 2 * u.arcsec)
    >>> binned.flux.tolist(), binned.pixel_scale.round(6)
    ([[[4.0, 4.0], [4.0, 4.0]]], <Quantity 2. arcsec>)
    """
    if not pixel_scale.unit.is_equivalent(u.arcsec) or not np.isfinite(pixel_scale) or not pixel_scale > 0:
        raise ValueError(message("a positive angle per pixel", "", pixel_scale=pixel_scale))
    own = cutout.pixel_scale
    if own is None:
        raise ValueError(
            message(
                "a cutout with a WCS, whose pixel scale is known",
                "Use resize to bring the whole field onto another grid.",
                wcs=None,
            )
        )
    ratio = float((pixel_scale / own).to_value(u.dimensionless_unscaled))
    if shape is None:
        ny, nx = (max(1, int(n / ratio + 1e-6)) for n in cutout.shape)
        shape = (ny, nx)
    shape = _checked_shape(shape)
    if abs(ratio - 1) < 1e-9 and shape == cutout.shape:
        return cutout
    step = {"step": "resample", "pixel_scale": float(pixel_scale.to_value(u.arcsec))}
    return _regridded(cutout, shape, (ratio, ratio), step)


def resize(cutout: Cutout, shape: tuple[int, int]) -> Cutout:
    """Bring the whole field of a cutout onto another number of pixels.

    For pictures, whose pixel scale is unknown. The area weighting averages what falls into a
    pixel, so nothing aliases; a field of another aspect ratio is stretched.

    Parameters
    ----------
    cutout : galcnn.cutout.Cutout
        With or without WCS.
    shape : tuple of int
        Pixels as (ny, nx).

    Returns
    -------
    galcnn.cutout.Cutout
        Display values and surface brightness are averaged, flux per pixel is conserved; mask,
        sigma and PSF as in `resample`. `cutout` itself where the shape is its own.

    Examples
    --------
    >>> import numpy as np
    >>> picture = Cutout(np.array([[0.0, 100.0], [50.0, 250.0]]), ("L",), unit=DISPLAY)
    >>> resize(picture, (1, 1)).flux.tolist()
    [[[100.0]]]
    """
    shape = _checked_shape(shape)
    if shape == cutout.shape:
        return cutout
    ratios = (cutout.shape[0] / shape[0], cutout.shape[1] / shape[1])
    return _regridded(cutout, shape, ratios, {"step": "resize"})


def fit(cutout: Cutout, shape: tuple[int, int], *, pixel_scale: u.Quantity | None = None) -> Cutout:
    """Bring a cutout to the grid a network was built for.

    Where both pixel scales are known: to this scale, then cropped or padded about the centre.
    Otherwise the whole field, cropped about the centre to the aspect ratio of `shape`, is
    resampled.

    Parameters
    ----------
    cutout : galcnn.cutout.Cutout
        Any.
    shape : tuple of int
        Pixels as (ny, nx).
    pixel_scale : astropy.units.Quantity, optional
        Wanted angle per pixel.

    Returns
    -------
    galcnn.cutout.Cutout
        Of this shape; what was done is listed in ``meta["geometry"]``. `cutout` itself where
        there is nothing to do.

    Examples
    --------
    >>> import numpy as np
    >>> fitted = fit(Cutout(np.ones((3, 6, 8)), ("R", "G", "B"), unit=DISPLAY), (3, 3))
    >>> [step["step"] for step in fitted.meta["geometry"]]
    ['crop', 'resize']
    """
    shape = _checked_shape(shape)
    own = cutout.pixel_scale
    if own is not None and pixel_scale is not None:
        if abs(float(pixel_scale / own) - 1) > _SAME_SCALE:
            return resample(cutout, pixel_scale, shape)
        smaller = (min(shape[0], cutout.shape[0]), min(shape[1], cutout.shape[1]))
        return pad(crop(cutout, smaller), shape)
    ny, nx = cutout.shape
    per_pixel = min(ny / shape[0], nx / shape[1])
    part = (max(1, round(per_pixel * shape[0])), max(1, round(per_pixel * shape[1])))
    return resize(crop(cutout, (min(part[0], ny), min(part[1], nx))), shape)


def _checked_shape(shape: tuple[int, int]) -> tuple[int, int]:
    numbers = tuple(shape)
    if len(numbers) != 2 or any(n != int(n) or n < 1 for n in numbers):
        raise ValueError(message("a shape of positive whole numbers (ny, nx)", "", shape=shape))
    return (int(numbers[0]), int(numbers[1]))


def _centred(old: tuple[int, int], new: tuple[int, int]) -> tuple[int, int]:
    return (old[0] // 2 - new[0] // 2, old[1] // 2 - new[1] // 2)


def _recorded(meta: Mapping[str, Any], step: Mapping[str, Any]) -> dict[str, Any]:
    return {**meta, "geometry": [*meta.get("geometry", []), dict(step)]}


def _moved(cutout: Cutout, shape: tuple[int, int], start: tuple[int, int], word: str) -> Cutout:
    """The same pixels on a window that may reach over the edge."""
    if shape == cutout.shape and start == (0, 0):
        return cutout
    old_rows, new_rows = _overlap(cutout.shape[0], shape[0], start[0])
    old_columns, new_columns = _overlap(cutout.shape[1], shape[1], start[1])

    def windowed(planes: _Array, fill: float | bool) -> _Array:
        window = np.full((len(planes), *shape), fill, dtype=planes.dtype)
        window[:, new_rows, new_columns] = planes[:, old_rows, old_columns]
        return window

    step = {"step": word, "from": list(cutout.shape), "shape": list(shape), "corner": list(start)}
    return replace(
        cutout,
        flux=windowed(cutout.flux, np.nan),
        mask=windowed(cutout.mask, True),
        sigma=None if cutout.sigma is None else windowed(cutout.sigma, np.nan),
        wcs=_scaled_wcs(cutout.wcs, (1.0, 1.0), (float(start[0]), float(start[1])), shape),
        meta=_recorded(cutout.meta, step),
    )


def _overlap(n_old: int, n_new: int, start: int) -> tuple[slice, slice]:
    first, last = max(0, start), min(n_old, start + n_new)
    return slice(first, last), slice(first - start, last - start)


def _regridded(
    cutout: Cutout, shape: tuple[int, int], ratios: tuple[float, float], step: Mapping[str, Any]
) -> Cutout:
    """Area-weighted onto `shape` pixels, each `ratios` (y, x) old pixels wide, about the middle."""
    along_y = _overlaps(cutout.shape[0], shape[0], ratios[0])
    along_x = _overlaps(cutout.shape[1], shape[1], ratios[1])
    good = ~cutout.mask
    if cutout.mask.any():
        coverage = along_y @ good.astype(np.float64) @ along_x.T
    else:
        inside = np.outer(along_y.sum(axis=1), along_x.sum(axis=1))
        coverage = np.broadcast_to(inside, (len(good), *shape))
    enough = coverage >= MIN_COVERAGE
    area = 1.0 if _per_area(cutout.unit) else ratios[0] * ratios[1]
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = along_y @ np.where(good, cutout.flux, 0.0) @ along_x.T / coverage
        flux = np.where(enough, mean * area, np.nan)
        sigma = None
        if cutout.sigma is not None:
            variance = np.where(good, cutout.sigma, 0.0) ** 2
            spread = np.sqrt(along_y**2 @ variance @ (along_x**2).T) / coverage
            sigma = np.where(enough, spread * area, np.nan).astype(np.float32)
    first = tuple((n - 1) / 2 - (m - 1) / 2 * r for n, m, r in zip(cutout.shape, shape, ratios, strict=True))
    facts = {"from": list(cutout.shape), "shape": list(shape), "ratio": list(ratios)}
    return replace(
        cutout,
        flux=flux.astype(np.float32),
        mask=~enough,
        sigma=sigma,
        psf=None if cutout.psf is None else _regridded_psf(cutout.psf, ratios),
        wcs=_scaled_wcs(cutout.wcs, ratios, (first[0], first[1]), shape),
        meta=_recorded(cutout.meta, {**step, **facts}),
    )


def _overlaps(n_old: int, n_new: int, ratio: float) -> npt.NDArray[np.float64]:
    """Share of each new pixel (row) that lies on each old pixel (column), about the middle."""
    middle = (n_old - 1) / 2 + (np.arange(n_new) - (n_new - 1) / 2) * ratio
    old = np.arange(n_old)
    upper = np.minimum(middle[:, np.newaxis] + ratio / 2, old + 0.5)
    lower = np.maximum(middle[:, np.newaxis] - ratio / 2, old - 0.5)
    shares: npt.NDArray[np.float64] = np.clip(upper - lower, 0, None) / ratio
    return shares


def _per_area(unit: u.UnitBase) -> bool:
    """Whether values are averaged, not added, when pixels merge."""
    return bool(unit == DISPLAY or u.rad in unit.decompose().bases)


def _regridded_psf(psf: _Array, ratios: tuple[float, float]) -> npt.NDArray[np.float32]:
    matrices = []
    for n, ratio in zip(psf.shape[1:], ratios, strict=True):
        m = int(np.ceil(n / ratio - 1e-9))
        m += (m - n) % 2  # odd stays odd: the middle of the stamp stays on a pixel
        matrices.append(_overlaps(n, m, ratio))
    planes = matrices[0] @ psf.astype(np.float64) @ matrices[1].T
    unit_sum: npt.NDArray[np.float32] = (planes / planes.sum(axis=(1, 2), keepdims=True)).astype(np.float32)
    return unit_sum


def _scaled_wcs(
    wcs: WCS | None, ratios: tuple[float, float], first: tuple[float, float], shape: tuple[int, int]
) -> WCS | None:
    """WCS of a grid whose pixel (0, 0) has its middle at `first` (y, x) of the old, `ratios` wide."""
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


def _scaled_sip(sip: Sip, ratio: _Array, crpix: _Array) -> Sip:
    """The same distortion in new pixels: u = r u', f' = f / r (Shupe et al. 2005, eq. 1-3)."""

    def scaled(coefficients: _Array | None, axis: int) -> _Array | None:
        if coefficients is None:
            return None
        powers = np.arange(len(coefficients))
        factors: _Array = np.outer(ratio[0] ** powers, ratio[1] ** powers) / ratio[axis]
        return coefficients * factors

    return Sip(scaled(sip.a, 0), scaled(sip.b, 1), scaled(sip.ap, 0), scaled(sip.bp, 1), crpix)
