"""Level and noise of the sky, with sources masked or values clipped."""

from __future__ import annotations

import warnings
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from galcnn.cutout import Cutout
from galcnn.errors import message
from galcnn.transforms.grid import recorded, refuse_pictures

#: Width in pixels of the border of an image; around a centred galaxy it is mostly sky.
SKY_FRAME = 4
#: Standard deviation of a normal distribution per median absolute deviation; clipping limit in sigma.
_MAD, _CLIP = 1.4826, 3.0

#: Sources exceed the sky of the smoothed image by this many sigma, on at least this many pixels.
_THRESHOLD, _PIXELS = 3.0, 10
#: Standard deviation, in pixels, of the Gaussian that smooths the image for source detection.
_SMOOTHING = 1.5
#: Rounds of masking and measuring; each detects fainter wings than the one before.
_ROUNDS = 3
#: Maximum number of clipping rounds in each.
_CLIPPINGS = 10
#: Minimum fraction of good pixels that must be sky; with fewer, the level would be that of galaxy wings.
_LEAST = 0.05
#: Standard error of 2.5 median - 1.5 mean over that of the mean, for Gaussian noise: the variance of
#: the median is pi/2, its covariance with the mean 1.
_SPREAD = float(np.sqrt(2.5**2 * np.pi / 2 + 1.5**2 - 2 * 2.5 * 1.5))


@dataclass(frozen=True)
class SkyLevel:
    """Level and noise of the sky in one band.

    Attributes
    ----------
    level : float
        Sky level per pixel, in the unit of the cutout.
    error : float
        Standard error of `level` for independent pixels.
    noise : float
        Standard deviation of the sky pixels.
    share : float
        Fraction of the good pixels that were used as sky.
    """

    level: float
    error: float
    noise: float
    share: float


def estimate_sky(cutout: Cutout) -> tuple[SkyLevel, ...]:
    """Measure the sky level of each band, with sources masked.

    Parameters
    ----------
    cutout : galcnn.cutout.Cutout
        Cutout with a linear unit; masked pixels are ignored.

    Returns
    -------
    tuple of SkyLevel
        Sky of each band.

    Raises
    ------
    ValueError
        If the cutout is a picture, or sources cover nearly all of it.

    Notes
    -----
    Sources (photutils' image segmentation of the smoothed image) are masked with a margin of a
    twentieth of the image, in three rounds. The level is ``2.5 median - 1.5 mean`` of the clipped
    remaining pixels (`photutils.background.SExtractorBackground`; Bertin & Arnouts 1996, A&AS 117,
    393). It is constant over the image: a varying surface would subtract part of the galaxy.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(1)
    >>> sky = estimate_sky(Cutout(rng.normal(100, 3, (64, 64)), ("r",)))[0]
    >>> abs(sky.level - 100) < 0.3, round(sky.noise)
    (True, 3)
    """
    refuse_pictures(cutout, "the sky")
    return tuple(
        _level(plane.astype(np.float64), mask, band)
        for band, plane, mask in zip(cutout.bands, cutout.flux, cutout.mask, strict=True)
    )


def remove_sky(cutout: Cutout) -> Cutout:
    """Subtract the sky level of each band.

    Parameters
    ----------
    cutout : galcnn.cutout.Cutout
        Cutout with a linear unit.

    Returns
    -------
    galcnn.cutout.Cutout
        Cutout with the sky subtracted. ``meta["background"]`` lists level, error, noise and share of the
        sky by band; `sigma` is unchanged.

    Raises
    ------
    ValueError
        If `estimate_sky` raises it.
    """
    levels = estimate_sky(cutout)
    offsets = np.array([sky.level for sky in levels])[:, np.newaxis, np.newaxis]
    step = {"step": "remove_sky", "sky": dict(zip(cutout.bands, map(asdict, levels), strict=True))}
    flux = (cutout.flux.astype(np.float64) - offsets).astype(np.float32)
    return replace(cutout, flux=flux, meta=recorded(cutout.meta, "background", step))


def sky_statistics(
    planes: npt.NDArray[np.floating[Any]],
    mask: npt.NDArray[np.bool_] | None = None,
    *,
    border: int | tuple[int, int] | None = None,
    clip: Literal["mad", "std"] | None = None,
    rounds: int = 5,
    mode: bool = False,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Measure level and noise of the sky in each plane, in double precision.

    Parameters
    ----------
    planes : numpy.ndarray
        Planes, shape (..., ny, nx).
    mask : numpy.ndarray, optional
        True for pixels to ignore; shape of `planes`.
    border : int or tuple of int, optional
        Width of the border that is measured, in pixels or as (y, x); by default the whole plane.
    clip : {"mad", "std"}, optional
        If given, values further than three times the noise from the median are removed, repeatedly. The
        noise is 1.4826 times the median absolute deviation ("mad", also without clipping) or the
        standard deviation ("std").
    rounds : int
        Maximum number of clipping rounds.
    mode : bool
        If True, the level is ``2.5 median - 1.5 mean`` of the clipped values (Bertin & Arnouts 1996,
        A&AS 117, 393) instead of their median. Used only with `clip` or masked pixels.

    Returns
    -------
    level, noise : numpy.ndarray
        Level and noise, shape (...); zero where all pixels are masked.

    Examples
    --------
    >>> plane = np.random.default_rng(1).normal(100, 3, (64, 64))
    >>> plane[24:40, 24:40] += 50  # a galaxy
    >>> [value.round().tolist() for value in sky_statistics(plane, border=SKY_FRAME)]
    [100.0, 3.0]
    >>> [value.round().tolist() for value in sky_statistics(plane, clip="std")]
    [100.0, 3.0]
    """
    region = np.ones(planes.shape[-2:], dtype=bool)
    if border is not None:
        y, x = (border, border) if isinstance(border, int) else border
        region[y:-y, x:-x] = False
    values = planes[..., region].astype(np.float64)
    hidden = None if mask is None else mask[..., region]
    if clip is None and (hidden is None or not hidden.any()):
        level = np.median(values, axis=-1)
        return level, _MAD * np.median(np.abs(values - level[..., np.newaxis]), axis=-1)
    level, noise = np.zeros(values.shape[:-1]), np.zeros(values.shape[:-1])
    for i in np.ndindex(level.shape):
        seen = values[i] if hidden is None else values[i][~hidden[i]]
        if seen.size:
            level[i], noise[i] = _clipped(seen, clip, rounds, mode)
    return level, noise


def _clipped(
    values: npt.NDArray[np.float64], clip: str | None, rounds: int, mode: bool
) -> tuple[float, float]:
    """Return level and noise of the values that remain after clipping."""
    for left in range(rounds if clip else 0, -1, -1):
        level = np.median(values)
        offsets = np.abs(values - level)
        noise = np.std(values) if clip == "std" else _MAD * np.median(offsets)
        inside = offsets <= _CLIP * noise
        if not left or inside.all() or not inside.any():
            break
        values = values[inside]
    if mode:
        from photutils.background import SExtractorBackground

        level = SExtractorBackground(sigma_clip=None)(values)
    return float(level), float(noise)


def _level(plane: npt.NDArray[np.float64], mask: npt.NDArray[np.bool_], band: str) -> SkyLevel:
    """Measure the sky of one band, with sources masked."""
    from scipy.ndimage import gaussian_filter

    good = ~mask
    sky = good
    _check_enough(sky, good, band)
    filled = np.where(good, plane, np.median(plane[good]))
    smooth = gaussian_filter(filled, _SMOOTHING, mode="nearest")
    for _ in range(_ROUNDS):
        # Measured in the smoothed image, since the noise of resampled images is correlated.
        level, noise = sky_statistics(smooth, ~sky, clip="std", rounds=_CLIPPINGS)
        sky = good & ~_sources(smooth, float(level + _THRESHOLD * noise))
        _check_enough(sky, good, band)
    level, noise = sky_statistics(plane, ~sky, clip="std", rounds=_CLIPPINGS, mode=True)
    error = _SPREAD * float(noise) / float(np.sqrt(sky.sum()))
    return SkyLevel(float(level), error, float(noise), float(sky.sum() / good.sum()))


def _check_enough(sky: npt.NDArray[np.bool_], good: npt.NDArray[np.bool_], band: str) -> None:
    share = float(sky.sum() / max(good.sum(), 1))
    if share < _LEAST:
        raise ValueError(
            message(
                f"sky on at least {_LEAST:.0%} of the image",
                "Take a wider cutout, or leave the sky in.",
                band=band,
                share=round(share, 4),
            )
        )


def _sources(smooth: npt.NDArray[np.float64], threshold: float) -> npt.NDArray[np.bool_]:
    from photutils.segmentation import detect_sources
    from photutils.utils import NoDetectionsWarning, circular_footprint

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NoDetectionsWarning)  # an image without sources is valid
        segments = detect_sources(smooth, threshold, n_pixels=_PIXELS)
    if segments is None:
        return np.zeros(smooth.shape, dtype=np.bool_)
    margin = max(2, round(min(smooth.shape) / 20))
    found: npt.NDArray[np.bool_] = segments.make_source_mask(footprint=circular_footprint(margin))
    return found
