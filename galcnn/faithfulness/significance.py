"""Which pixels of a map stand out: a map over its scatter, false discoveries under control.

The scatter is that of maps of the same galaxy in fresh noise; of maps of several models that were
trained alike; or of models that learned shuffled labels, which know galaxies but nothing true
about them. With few maps to measure a scatter, values follow Student's t and not a Gaussian, and
among thousands of pixels some are always large: p-values are adjusted for each galaxy by
Benjamini & Hochberg (1995).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from scipy.stats import false_discovery_control, t

from galcnn.errors import message
from galcnn.explain import Explainer
from galcnn.explain.baselines import noise_of, standard_normal
from galcnn.faithfulness.sample import Sample, maps_of, moved

_Maps = npt.NDArray[np.floating[Any]]
_Values = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Significance:
    """A map over its scatter.

    Attributes
    ----------
    ratio : numpy.ndarray
        Student's t of each value, shape (n, ny, nx, n_bands); infinite where there is no scatter,
        NaN where there is no map either.
    p_value : numpy.ndarray
        Two-sided, uniform where nothing but the scatter is there.
    q_value : numpy.ndarray
        Adjusted over the pixels and bands of each galaxy: of those below 0.05, at most 5 % are
        false in the mean.
    freedom : int
        Degrees of freedom.
    """

    ratio: _Values
    p_value: _Values
    q_value: _Values
    freedom: int


def maps_in_noise(
    network: keras.Model, explainer: Explainer, sample: Sample, *, draws: int = 16, seed: int = 0
) -> npt.NDArray[np.float32]:
    """Make maps of the same galaxies in fresh noise."""
    sigma = noise_of(sample.images, sample.context)
    noisy = (moved(sample, sigma, standard_normal, seed, "significance", draw) for draw in range(draws))
    return np.stack([maps_of(network, explainer, one) for one in noisy])


def over_noise(maps: _Maps, draws: _Maps) -> Significance:
    """Set a map against its scatter from noise, to see what is more than noise would make of nothing."""
    _enough(draws)
    return _judged(
        np.asarray(maps, dtype=np.float64), draws.std(axis=0, ddof=1, dtype=np.float64), len(draws)
    )


def over_seeds(maps: _Maps) -> Significance:
    """Set the mean map of several models (the first axis) against its scatter, to see where they agree."""
    _enough(maps)
    error = maps.std(axis=0, ddof=1, dtype=np.float64) / np.sqrt(len(maps))
    return _judged(maps.mean(axis=0, dtype=np.float64), error, len(maps))


def over_null(maps: _Maps, null: _Maps) -> Significance:
    """Set a map against those of models that learned shuffled labels, as one more draw of them."""
    _enough(null)
    error = null.std(axis=0, ddof=1, dtype=np.float64) * np.sqrt(1 + 1 / len(null))
    return _judged(np.asarray(maps, dtype=np.float64) - null.mean(axis=0, dtype=np.float64), error, len(null))


def significant_share(maps: _Maps, found: Significance, *, level: float = 0.05) -> _Values:
    """Give the share of each map's squares on significant values; NaN for a map of zeros."""
    energy = np.asarray(maps, dtype=np.float64) ** 2
    total = energy.sum(axis=(1, 2, 3))
    seen = np.where(found.q_value < level, energy, 0).sum(axis=(1, 2, 3))
    return np.asarray(np.divide(seen, total, out=np.full(len(total), np.nan), where=total > 0))


def _judged(excess: _Values, error: _Values, n: int) -> Significance:
    with np.errstate(divide="ignore", invalid="ignore"):  # no scatter at all: infinite, or NaN for zero
        ratio = excess / error
    p_value = np.asarray(2 * t.sf(np.abs(ratio), n - 1))
    q_value = np.full(p_value.shape, np.nan)
    for p, q in zip(p_value, q_value, strict=True):
        known = np.isfinite(p)
        if known.any():
            q[known] = false_discovery_control(p[known], method="bh")
    return Significance(ratio, p_value, q_value, n - 1)


def _enough(draws: Sequence[Any] | _Maps) -> None:
    if len(draws) < 3:
        raise ValueError(message("three maps or more to measure a scatter of", "", n=len(draws)))
