"""The level of the sky, measured where no source is."""

from __future__ import annotations

import warnings
from dataclasses import asdict, dataclass, replace

import numpy as np
import numpy.typing as npt

from galcnn.cutout import Cutout
from galcnn.errors import message
from galcnn.foreground.steps import recorded, refuse_pictures

__all__ = ["SkyLevel", "estimate_sky", "remove_sky"]

#: Sources are what stands out by this many sigma of the smoothed image, on this many pixels.
_THRESHOLD, _PIXELS = 3.0, 10
#: Sigma, in pixels, of the Gaussian that smooths the image for their detection.
_SMOOTHING = 1.5
#: Rounds of masking and measuring; each sees fainter wings than the one before.
_ROUNDS = 3
#: A level of fewer pixels than this share of the good ones is that of a galaxy's wings.
_LEAST = 0.05
#: Standard error of 2.5 median - 1.5 mean in that of the mean, for Gaussian noise: the variance of
#: the median is pi/2, its covariance with the mean 1.
_SPREAD = float(np.sqrt(2.5**2 * np.pi / 2 + 1.5**2 - 2 * 2.5 * 1.5))


@dataclass(frozen=True)
class SkyLevel:
    """The sky of one band.

    Attributes
    ----------
    level : float
        Per pixel, in the unit of the cutout.
    error : float
        Standard error of `level` for independent pixels.
    noise : float
        Standard deviation of the sky's pixels.
    share : float
        Of the good pixels that were taken for sky.
    """

    level: float
    error: float
    noise: float
    share: float


def estimate_sky(cutout: Cutout) -> tuple[SkyLevel, ...]:
    """Measure the level of the sky in each band, sources masked.

    Parameters
    ----------
    cutout : galcnn.cutout.Cutout
        Of a linear unit; masked pixels take no part.

    Returns
    -------
    tuple of SkyLevel
        One a band.

    Raises
    ------
    ValueError
        It is a picture, or sources cover nearly all of it.

    Notes
    -----
    Sources (photutils' image segmentation of the smoothed image) are masked with a margin of a
    twentieth of the image, in three rounds; the level is ``2.5 median - 1.5 mean`` of the clipped
    rest (`photutils.background.SExtractorBackground`; Bertin & Arnouts 1996, A&AS 117, 393). One
    level for the whole image: a surface of higher order would take the galaxy with it.

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
    """Subtract the level of the sky in each band.

    Parameters
    ----------
    cutout : galcnn.cutout.Cutout
        Of a linear unit.

    Returns
    -------
    galcnn.cutout.Cutout
        With level, error, noise and share of the sky by band in ``meta["foreground"]``; `sigma`
        stays as it is.

    Raises
    ------
    ValueError
        See `estimate_sky`.
    """
    levels = estimate_sky(cutout)
    offsets = np.array([sky.level for sky in levels])[:, np.newaxis, np.newaxis]
    step = {"step": "remove_sky", "sky": dict(zip(cutout.bands, map(asdict, levels), strict=True))}
    flux = (cutout.flux.astype(np.float64) - offsets).astype(np.float32)
    return replace(cutout, flux=flux, meta=recorded(cutout.meta, step))


def _level(plane: npt.NDArray[np.float64], mask: npt.NDArray[np.bool_], band: str) -> SkyLevel:
    from astropy.stats import SigmaClip
    from photutils.background import SExtractorBackground, StdBackgroundRMS
    from scipy.ndimage import gaussian_filter

    good = ~mask
    sky = good
    _check_enough(sky, good, band)
    clip = SigmaClip(sigma=3.0, maxiters=10)
    filled = np.where(good, plane, np.median(plane[good]))
    smooth = gaussian_filter(filled, _SMOOTHING, mode="nearest")
    for _ in range(_ROUNDS):
        # Measured in the smoothed image: noise of resampled images is correlated.
        values = clip(smooth[sky], masked=False)
        threshold = np.median(values) + _THRESHOLD * np.std(values)
        sky = good & ~_sources(smooth, float(threshold))
        _check_enough(sky, good, band)
    values = plane[sky]
    noise = float(StdBackgroundRMS(sigma_clip=clip)(values))
    return SkyLevel(
        float(SExtractorBackground(sigma_clip=clip)(values)),
        _SPREAD * noise / float(np.sqrt(len(values))),
        noise,
        float(sky.sum() / good.sum()),
    )


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
        warnings.simplefilter("ignore", NoDetectionsWarning)  # an empty sky is an answer
        segments = detect_sources(smooth, threshold, n_pixels=_PIXELS)
    if segments is None:
        return np.zeros(smooth.shape, dtype=np.bool_)
    margin = max(2, round(min(smooth.shape) / 20))
    found: npt.NDArray[np.bool_] = segments.make_source_mask(footprint=circular_footprint(margin))
    return found
