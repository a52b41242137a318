"""Significance of the pixels of a map: its ratio to a standard deviation, with false-discovery control.

The standard deviation is measured from maps of the same galaxy with new noise, of several models
trained alike, or of models trained on shuffled labels. Because it is estimated from few maps, the ratio
follows Student's t, not a Gaussian. Because a map has thousands of pixels, some ratios are always large:
p-values are adjusted for each galaxy by the method of Benjamini & Hochberg (1995).
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
    """Ratio of maps to their standard deviation, with p-values.

    Attributes
    ----------
    ratio : numpy.ndarray
        Student's t of each value, shape (n, ny, nx, n_bands); infinite where the standard
        deviation is zero, NaN where the map is zero as well.
    p_value : numpy.ndarray
        Two-sided p-values, same shape.
    q_value : numpy.ndarray
        p-values adjusted over the pixels and bands of each galaxy, same shape: among values below
        0.05, the expected share of false discoveries is at most 5 %.
    freedom : int
        Degrees of freedom of Student's t.
    """

    ratio: _Values
    p_value: _Values
    q_value: _Values
    freedom: int


def maps_in_noise(
    network: keras.Model, explainer: Explainer, sample: Sample, *, draws: int = 16, seed: int = 0
) -> npt.NDArray[np.float32]:
    """Compute maps of the same galaxies with added noise, shape (n_draws, n, ny, nx, n_bands)."""
    sigma = noise_of(sample.images, sample.context)
    noisy = (moved(sample, sigma, standard_normal, seed, "significance", draw) for draw in range(draws))
    return np.stack([maps_of(network, explainer, one) for one in noisy])


def over_noise(maps: _Maps, draws: _Maps) -> Significance:
    """Compare maps with their standard deviation under noise (first axis of `draws`)."""
    _enough(draws)
    return _judged(
        np.asarray(maps, dtype=np.float64), draws.std(axis=0, ddof=1, dtype=np.float64), len(draws)
    )


def over_seeds(maps: _Maps) -> Significance:
    """Compare the mean map of several models (first axis of `maps`) with its standard error."""
    _enough(maps)
    error = maps.std(axis=0, ddof=1, dtype=np.float64) / np.sqrt(len(maps))
    return _judged(maps.mean(axis=0, dtype=np.float64), error, len(maps))


def over_null(maps: _Maps, null: _Maps) -> Significance:
    """Compare maps with those of models trained on shuffled labels (first axis of `null`)."""
    _enough(null)
    # Standard deviation of the difference between one more draw and the mean of the draws.
    error = null.std(axis=0, ddof=1, dtype=np.float64) * np.sqrt(1 + 1 / len(null))
    return _judged(np.asarray(maps, dtype=np.float64) - null.mean(axis=0, dtype=np.float64), error, len(null))


def significant_share(maps: _Maps, found: Significance, *, level: float = 0.05) -> _Values:
    """Return the share of each map's energy on significant values, shape (n,); NaN for a map of zeros."""
    energy = np.asarray(maps, dtype=np.float64) ** 2
    total = energy.sum(axis=(1, 2, 3))
    seen = np.where(found.q_value < level, energy, 0).sum(axis=(1, 2, 3))
    return np.asarray(np.divide(seen, total, out=np.full(len(total), np.nan), where=total > 0))


def _judged(excess: _Values, error: _Values, n: int) -> Significance:
    with np.errstate(divide="ignore", invalid="ignore"):  # by zero: infinite, or NaN for a map of zero
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
        raise ValueError(message("at least three maps for a standard deviation", "", n=len(draws)))
