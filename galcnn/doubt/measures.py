"""What can be measured of an image without a network: how bright, how large, how deep, how sharp."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from galcnn.inputs import InputSpec
from galcnn.transforms.background import sky_statistics

__all__ = ["PIXEL_SCALE", "REDSHIFT", "image_measures"]

#: Measures that no image tells: of the cutout before it was fitted, arcsec; of the catalog.
PIXEL_SCALE, REDSHIFT = "pixel_scale", "redshift"

Floats = npt.NDArray[np.float64]
_AB = 31.4  # magnitude of 1 nJy
_SMOOTHEST = 1e-6
_EDGE = 0.1  # share of the side, at each border, that counts as sky


def image_measures(images: npt.NDArray[np.float32], spec: InputSpec) -> dict[str, Floats]:
    """Measure brightness, size, depth and sharpness of galaxies in the middle of their images.

    Sky level and noise are median and scaled median deviation of the outer tenth of the side. The
    half-light radius is that of the circle about the centre that holds half of the flux of the
    widest one, bands averaged.

    Parameters
    ----------
    images : numpy.ndarray
        Shape (n, ny, nx, n_bands), as a network of `spec` is given them.
    spec : galcnn.inputs.InputSpec
        Unit, bands and pixel scale.

    Returns
    -------
    dict of str to numpy.ndarray
        ``magnitude_<band>`` (AB; or ``brightness_<band>``, the logarithm of the counts, of
        uncalibrated images), ``half_light_radius`` (arcsec; pixels where the scale is unknown),
        ``signal_to_noise`` (common logarithm, within the half-light radius, brightest band) and
        ``sharpness`` (common logarithm of 1 less the correlation of neighbouring pixels of the sky,
        bands averaged: 0 for white noise, the lower the smoother). Flux below its noise counts as its
        noise, so that all are finite.
    """
    ny, nx = images.shape[1:3]
    y, x = np.mgrid[:ny, :nx]
    radius = np.hypot(y - (ny - 1) / 2, x - (nx - 1) / 2)
    widest = min(ny, nx) / 2
    inside = radius <= widest
    my, mx = max(1, round(_EDGE * ny)), max(1, round(_EDGE * nx))
    planes = images.astype(np.float64)
    sky, noise = sky_statistics(np.moveaxis(planes, -1, 1), border=(my, mx))
    noise = np.maximum(noise, 1e-6 * np.abs(planes).max(axis=(1, 2)) + 1e-12)
    sharpness = _sharpness(planes, my, mx)
    planes -= sky[:, np.newaxis, np.newaxis]
    total = np.maximum(planes[:, inside].sum(axis=1), noise * np.sqrt(inside.sum()))
    half = _half_light(planes.mean(axis=-1)[:, inside], radius[inside])
    area = np.pi * half**2
    ratio = 0.5 * total / (noise * np.sqrt(area)[:, np.newaxis])
    scale = spec.pixel_scale or 1.0
    bright = _AB - 2.5 * np.log10(total) if spec.unit == "nJy" else np.log10(total)
    name = "magnitude" if spec.unit == "nJy" else "brightness"
    found = {f"{name}_{band}": bright[:, k] for k, band in enumerate(spec.bands)}
    return found | {
        "half_light_radius": half * scale,
        "signal_to_noise": np.log10(ratio.max(axis=1)),
        "sharpness": sharpness,
    }


def _sharpness(planes: Floats, my: int, mx: int) -> Floats:
    """Mean square of the differences of neighbours over twice the variance, along each border's strip.

    The median of the four: a neighbour in one of them, smooth itself, does not count.
    """
    across = planes.transpose(0, 2, 1, 3)
    found = []
    for strip in (planes[:, :my], planes[:, -my:], across[:, :mx], across[:, -mx:]):
        variance = strip.var(axis=(1, 2))
        steps = (np.diff(strip, axis=2) ** 2).mean(axis=(1, 2))
        found.append(np.where(variance > 0, steps / np.maximum(2 * variance, 1e-300), 1.0))
    sharp: Floats = np.log10(np.clip(np.median(found, axis=0), _SMOOTHEST, None).mean(axis=1))
    return sharp


def _half_light(flux: Floats, radius: Floats) -> Floats:
    """Radius at which the curve of growth reaches half of its end, interpolated between rings of pixels."""
    order = np.argsort(radius, kind="stable")
    rings, starts = np.unique(np.round(radius[order], 9), return_index=True)
    grown = np.add.reduceat(flux[:, order], starts, axis=1).cumsum(axis=1)
    half = 0.5 * grown[:, -1]
    reached = np.maximum((grown >= half[:, np.newaxis]).argmax(axis=1), 1)
    rows = np.arange(len(flux))
    below, above = grown[rows, reached - 1], grown[rows, reached]
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.clip(np.nan_to_num((half - below) / (above - below)), 0.0, 1.0)
    found = rings[reached - 1] + share * (rings[reached] - rings[reached - 1])
    found[half <= 0] = rings[-1]  # no flux at all: as wide as the image
    half_light: Floats = np.maximum(found, 0.5)
    return half_light
