"""Noise of redshifted images: the observation's noise minus what remains of the input's."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from galcnn._runtime import seeding
from galcnn.cutout import Cutout
from galcnn.errors import message
from galcnn.photometry import Observation

_Array = npt.NDArray[np.float64]


def digest(cutout: Cutout) -> str:
    """Return a hash of the pixels, as key of random streams that depend neither on order nor process."""
    return hashlib.sha256(np.ascontiguousarray(cutout.flux).tobytes()).hexdigest()[:24]


def noised(
    cutout: Cutout,
    observation: Observation,
    *,
    seed: int,
    key: str,
    whiten: _Array | None = None,
) -> Cutout:
    """Add the noise of an observation that the image lacks."""
    # The final variance is sky_sigma^2 + flux / electrons_per_njy, of which the propagated variance of the
    # input is a part. The missing source noise is drawn as Poisson electrons, the missing sky noise from a
    # Gaussian. `whiten` shapes the latter so that the total noise is uncorrelated between pixels, as far as
    # the noise present allows.
    if cutout.sigma is None:
        raise ValueError(
            message(
                "sigma, so that the noise of the input is not counted twice",
                "Use files with the standard deviation of the noise, or add none: noise='none'.",
                sigma=None,
            )
        )
    own = np.nan_to_num(cutout.sigma.astype(np.float64)) ** 2  # NaN where masked: not used
    sky = np.array(observation.sky_sigma)
    present = np.array(
        [np.median(v[~m]) if not m.all() else 0 for v, m in zip(own, cutout.mask, strict=True)]
    )
    if np.any(present > sky**2):
        raise ValueError(
            message(
                f"an input whose noise, once moved, is below that of {observation.name}",
                "Choose a shallower observation, a higher redshift or a deeper input.",
                sigma_njy=np.sqrt(present).round(4).tolist(),
                observation_njy=sky.round(4).tolist(),
            )
        )
    electrons = np.array(observation.electrons_per_njy)[:, None, None]
    source = np.clip(np.where(cutout.mask, 0, cutout.flux), 0, None).astype(np.float64) / electrons
    missing = np.clip(sky[:, None, None] ** 2 + source - own, 0, None)
    photons = np.minimum(source, missing)
    added = np.empty_like(missing)
    for i, band in enumerate(observation.bands):
        rng = seeding.generator(seed, "redshifting", key, band)
        white = rng.standard_normal(missing.shape[1:])
        if whiten is not None:
            white = _shaped(white, present[i] / sky[i] ** 2, whiten[i])
        counts = photons[i] * electrons[i] ** 2
        shot = (rng.poisson(counts) - counts) / electrons[i]
        added[i] = white * np.sqrt(missing[i] - photons[i]) + shot
    return replace(
        cutout,
        flux=(cutout.flux + added).astype(np.float32),
        sigma=np.where(cutout.mask, np.nan, np.sqrt(own + missing)).astype(np.float32),
    )


def _shaped(white: _Array, share: float, correlation: _Array) -> _Array:
    """Return noise of variance 1 that makes a share of correlated noise as white as possible."""
    power = np.fft.fft2(correlation).real
    lacking = np.sqrt(np.clip(1 - share * power, 0, None))
    norm = np.sqrt(np.mean(lacking**2))
    shaped: _Array = np.fft.ifft2(np.fft.fft2(white) * lacking).real / (norm if norm > 0 else 1)
    return shaped
