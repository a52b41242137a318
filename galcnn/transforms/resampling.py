"""Area-weighted resampling onto a parallel grid."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import astropy.units as u
import numpy as np
import numpy.typing as npt

from galcnn.cutout import Cutout
from galcnn.errors import message
from galcnn.transforms.grid import MIN_COVERAGE, checked_shape, per_area, pixel_sides, recorded, scaled_wcs

_Array = npt.NDArray[Any]


def resample(cutout: Cutout, pixel_scale: u.Quantity, shape: tuple[int, int] | None = None) -> Cutout:
    """Resample a cutout to another pixel scale; flux and the middle of the field are kept.

    Parameters
    ----------
    cutout : galcnn.cutout.Cutout
        Cutout with a WCS, or of which ``meta["pixel_scale"]`` states the scale.
    pixel_scale : astropy.units.Quantity
        Pixel scale of the result, along x and y: oblong pixels become square.
    shape : tuple of int, optional
        Shape of the result in pixels, (ny, nx); by default the pixels that fit into the old field.

    Returns
    -------
    galcnn.cutout.Cutout
        Resampled cutout; `cutout` itself if nothing changes. Flux is added up per new pixel; surface
        brightness and display values are averaged. Masked pixels are ignored: a new pixel with at least
        half of its area unmasked has the mean of that part, others are NaN and masked. `sigma` is
        propagated as for independent pixels; the correlation of new pixels that share an old one is not
        recorded, so that sums over many smaller pixels have more noise than their sigma says. The PSF
        is resampled likewise, with sum 1.

    Raises
    ------
    ValueError
        If the pixel scale is unknown (use `resize`), it is not a positive angle, or pixels are oblique.

    Examples
    --------
    >>> import numpy as np
    >>> from astropy.wcs import WCS
    >>> wcs = WCS(naxis=2)
    >>> wcs.wcs.ctype, wcs.wcs.cdelt = ["RA---TAN", "DEC--TAN"], [-1 / 3600, 1 / 3600]
    >>> binned = resample(Cutout(np.ones((1, 4, 4)), ("r",), wcs), 2 * u.arcsec)
    >>> binned.flux.tolist(), binned.pixel_scale.round(6)
    ([[[4.0, 4.0], [4.0, 4.0]]], <Quantity 2. arcsec>)
    """
    if not pixel_scale.unit.is_equivalent(u.arcsec) or not np.isfinite(pixel_scale) or not pixel_scale > 0:
        raise ValueError(message("a positive angle per pixel", "", pixel_scale=pixel_scale))
    arcsec = float(pixel_scale.to_value(u.arcsec))
    if cutout.sky_steps is None:
        raise ValueError(
            message(
                "a cutout with a WCS, whose pixel scale is known",
                "Use resize to bring the whole field onto another grid.",
                wcs=None,
            )
        )
    y_side, x_side = pixel_sides(cutout)
    ratios = (arcsec / y_side, arcsec / x_side)
    if shape is None:
        ny, nx = (max(1, int(n / r + 1e-6)) for n, r in zip(cutout.shape, ratios, strict=True))
        shape = (ny, nx)
    shape = checked_shape(shape)
    if max(abs(r - 1) for r in ratios) < 1e-9 and shape == cutout.shape:
        return cutout
    step = {"step": "resample", "pixel_scale": float(pixel_scale.to_value(u.arcsec))}
    return _regridded(cutout, shape, ratios, step)


def resize(cutout: Cutout, shape: tuple[int, int]) -> Cutout:
    """Resample the whole field of a cutout to another number of pixels.

    For pictures, whose pixel scale is unknown. Values are averaged over the area of a pixel, which avoids
    aliasing. A field with another aspect ratio is stretched.

    Parameters
    ----------
    cutout : galcnn.cutout.Cutout
        Cutout with or without WCS.
    shape : tuple of int
        Shape of the result in pixels, (ny, nx).

    Returns
    -------
    galcnn.cutout.Cutout
        Resampled cutout; `cutout` itself if the shape is unchanged. Display values and surface
        brightness are averaged, flux is conserved; mask, sigma and PSF are as in `resample`.

    Examples
    --------
    >>> import numpy as np
    >>> from galcnn.photometry import DISPLAY
    >>> picture = Cutout(np.array([[0.0, 100.0], [50.0, 250.0]]), ("L",), unit=DISPLAY)
    >>> resize(picture, (1, 1)).flux.tolist()
    [[[100.0]]]
    """
    shape = checked_shape(shape)
    if shape == cutout.shape:
        return cutout
    ratios = (cutout.shape[0] / shape[0], cutout.shape[1] / shape[1])
    return _regridded(cutout, shape, ratios, {"step": "resize"})


def _regridded(
    cutout: Cutout, shape: tuple[int, int], ratios: tuple[float, float], step: Mapping[str, Any]
) -> Cutout:
    """Resample to `shape` pixels, each `ratios` (y, x) old pixels wide, about the middle."""
    along_y = _overlaps(cutout.shape[0], shape[0], ratios[0])
    along_x = _overlaps(cutout.shape[1], shape[1], ratios[1])
    good = ~cutout.mask
    if cutout.mask.any():
        coverage = along_y @ good.astype(np.float64) @ along_x.T
    else:
        inside = np.outer(along_y.sum(axis=1), along_x.sum(axis=1))
        coverage = np.broadcast_to(inside, (len(good), *shape))
    enough = coverage > MIN_COVERAGE - 1e-6  # rounding must not decide about exactly half
    area = 1.0 if per_area(cutout.unit) else ratios[0] * ratios[1]
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
    meta = recorded(cutout.meta, "geometry", {**step, **facts})
    if meta.get("pixel_scale") is not None:
        meta["pixel_scale"] = [side * r for side, r in zip(meta["pixel_scale"], ratios[::-1], strict=True)]
    return replace(
        cutout,
        flux=flux.astype(np.float32),
        mask=~enough,
        sigma=sigma,
        psf=None if cutout.psf is None else _regridded_psf(cutout.psf, ratios),
        wcs=scaled_wcs(cutout.wcs, ratios, (first[0], first[1]), shape),
        meta=meta,
    )


def _overlaps(n_old: int, n_new: int, ratio: float) -> npt.NDArray[np.float64]:
    """Return the share of each new pixel (row) within each old pixel (column), about the middle."""
    middle = (n_old - 1) / 2 + (np.arange(n_new) - (n_new - 1) / 2) * ratio
    old = np.arange(n_old)
    upper = np.minimum(middle[:, np.newaxis] + ratio / 2, old + 0.5)
    lower = np.maximum(middle[:, np.newaxis] - ratio / 2, old - 0.5)
    shares: npt.NDArray[np.float64] = np.clip(upper - lower, 0, None) / ratio
    return shares


def _regridded_psf(psf: _Array, ratios: tuple[float, float]) -> npt.NDArray[np.float32]:
    matrices = []
    for n, ratio in zip(psf.shape[1:], ratios, strict=True):
        m = int(np.ceil(n / ratio - 1e-9))
        m += (m - n) % 2  # odd stays odd: the middle of the PSF stays on a pixel
        matrices.append(_overlaps(n, m, ratio))
    planes = matrices[0] @ psf.astype(np.float64) @ matrices[1].T
    unit_sum: npt.NDArray[np.float32] = (planes / planes.sum(axis=(1, 2), keepdims=True)).astype(np.float32)
    return unit_sum
