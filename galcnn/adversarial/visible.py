"""Whether an astronomer could see what was done to an image. NumPy alone."""

from __future__ import annotations

from dataclasses import dataclass

import astropy.units as u
import numpy as np
from scipy import stats

from galcnn.explain import Synthesis
from galcnn.photometry import parse_unit

#: What astronomers call seen: the excess of a chi-square that noise alone has once in 740 images.
_SEEN = 3.0


@dataclass(frozen=True)
class Visibility:
    """How large a perturbation is. What needs the noise, or calibrated flux, is NaN without it.

    Attributes
    ----------
    rms, largest : float
        Of the perturbation over the usable pixels, in the unit of the image.
    rms_sigma, largest_sigma : float
        The same in standard deviations of the noise of each pixel.
    norm_sigma : float
        Root of the sum of squares in sigmas: the signal to noise that one who knew the pattern
        would find it with.
    chi_square : float
        Chi-square per degree of freedom of the perturbation against the noise: the mean of
        (d / sigma)^2. A perfect model of the galaxy leaves residuals of 1 + this.
    degrees : int
        Of freedom: usable pixels, bands counted.
    excess_sigma : float
        How improbable noise alone would make such residuals, in sigmas of one side: the test of
        one who does not know the pattern.
    visible : bool
        Whether that is above 3. False without noise.
    magnitudes : tuple of float
        Change of the total magnitude in each band; NaN where a total is not positive.
    moved_magnitude : float
        AB magnitude of the sum of all absolute changes.
    """

    rms: float
    largest: float
    rms_sigma: float
    largest_sigma: float
    norm_sigma: float
    chi_square: float
    degrees: int
    excess_sigma: float
    visible: bool
    magnitudes: tuple[float, ...]
    moved_magnitude: float


def visibility(synthesis: Synthesis) -> Visibility:
    """Measure a perturbation.

    Parameters
    ----------
    synthesis : galcnn.explain.Synthesis
        Made in flux or display values; its `sigma` tells the noise. Masked pixels are NaN or
        without change.

    Returns
    -------
    Visibility
        Over the pixels with a value and, where the noise is known, with noise.

    Examples
    --------
    >>> from galcnn.explain import Target
    >>> start, noise = np.ones((1, 10, 10)), np.full((1, 10, 10), 2.0)
    >>> target = Target("t", (1.0,))
    >>> made = Synthesis(start + 1, start, ("r",), "pgd", target, "flux", "nJy", 0, 0, True, sigma=noise)
    >>> seen = visibility(made)
    >>> seen.chi_square, seen.norm_sigma, seen.visible, round(seen.magnitudes[0], 3)
    (0.25, 5.0, False, -0.753)
    """
    change = synthesis.perturbation.astype(np.float64)
    usable = np.isfinite(change)
    if synthesis.sigma is not None:
        usable &= np.isfinite(synthesis.sigma) & (synthesis.sigma > 0)
    n = int(usable.sum())
    sizes = np.abs(change[usable])
    nothing = float("nan")
    rms_sigma = largest_sigma = norm_sigma = chi_square = excess = nothing
    if synthesis.sigma is not None and n:
        counted = sizes / synthesis.sigma[usable]
        largest_sigma, total = float(counted.max()), float(np.sum(counted**2))
        norm_sigma, chi_square = np.sqrt(total), total / n
        rms_sigma = np.sqrt(chi_square)
        excess = _excess(n + total, n)
    start = np.where(usable, synthesis.start, 0).astype(np.float64).sum(axis=(1, 2))
    end = np.where(usable, synthesis.image, 0).astype(np.float64).sum(axis=(1, 2))
    with np.errstate(divide="ignore", invalid="ignore"):
        changes = np.where((start > 0) & (end > 0), -2.5 * np.log10(end / start), np.nan)
    return Visibility(
        rms=float(np.sqrt(np.mean(sizes**2))) if n else nothing,
        largest=float(sizes.max(initial=0.0)),
        rms_sigma=float(rms_sigma),
        largest_sigma=largest_sigma,
        norm_sigma=float(norm_sigma),
        chi_square=float(chi_square),
        degrees=n,
        excess_sigma=excess,
        visible=bool(excess > _SEEN),
        magnitudes=tuple(float(value) for value in changes),
        moved_magnitude=_magnitude(float(sizes.sum()), synthesis.unit),
    )


def _excess(chi_square: float, degrees: int) -> float:
    """Sigmas of one side at which a normal deviate is as improbable (Wilson & Hilferty 1931).

    Where the probability itself is too small for a number, the cube root of chi-square is nearly normal.
    """
    probability = float(stats.chi2.sf(chi_square, degrees))
    if probability > 1e-300:
        return float(stats.norm.isf(probability))
    spread = 2 / (9 * degrees)
    return float((np.cbrt(chi_square / degrees) - (1 - spread)) / np.sqrt(spread))


def _magnitude(total: float, unit: str) -> float:
    known = parse_unit(unit) if unit else None
    if known is None or not known.is_equivalent(u.nJy) or total <= 0:
        return float("nan")
    return float((total * known).to_value(u.ABmag))
