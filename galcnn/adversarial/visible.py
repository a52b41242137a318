"""Visibility of perturbations above the noise; independent of Keras."""

from __future__ import annotations

from dataclasses import dataclass

import astropy.units as u
import numpy as np
from astropy.table import Table
from scipy import stats

from galcnn.explain import Synthesis
from galcnn.photometry import parse_unit

#: Excess of the chi-square, in sigma, above which a perturbation is visible; p = 1/740 for noise alone.
_SEEN = 3.0


@dataclass(frozen=True)
class Visibility:
    """Size of a perturbation, absolute and relative to the noise.

    Values that need the noise or calibrated flux are NaN if these are not known.

    Attributes
    ----------
    rms, largest : float
        Root mean square and largest absolute value of the perturbation, over usable pixels, in the unit
        of the image.
    rms_sigma, largest_sigma : float
        The same in units of the noise of each pixel.
    norm_sigma : float
        Square root of the sum of squares, in units of the noise: the signal-to-noise ratio of a search
        for the known pattern.
    chi_square : float
        Mean of (d / sigma)^2 of the perturbation d. Residuals of a perfect galaxy model then have an
        expected reduced chi-square of 1 + this.
    degrees : int
        Degrees of freedom: number of usable pixels, over all bands.
    excess_sigma : float
        Significance of the residuals' chi-square under noise alone, as a one-sided number of standard
        deviations: the test without knowledge of the pattern.
    visible : bool
        True if `excess_sigma` is above 3; False if the noise is not known.
    magnitudes : tuple of float
        Change of the total magnitude per band; NaN if a total flux is not positive.
    moved_magnitude : float
        AB magnitude of the sum of absolute changes.
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
    """Measure the size of a perturbation relative to the noise.

    Parameters
    ----------
    synthesis : galcnn.explain.Synthesis
        Synthesis in flux or display values, with its noise in `sigma` if known. Masked pixels must be NaN
        or unchanged.

    Returns
    -------
    Visibility
        Measures over finite pixels, and if the noise is known, over those with positive noise.

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
    """Return the one-sided normal quantile of a chi-square's probability.

    If the probability underflows, the cube root of chi-square is taken as normal (Wilson & Hilferty 1931).
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


def summary(table: Table) -> list[str]:
    """Summarise the rows of each attack in a line: successes, and size of the change."""
    lines = []
    keys = list(dict.fromkeys(zip(table["attack"], table["settings"], strict=True)))
    for name, settings in keys:
        own = table[(table["attack"] == name) & (table["settings"] == settings)]
        won = own[own["success"]]
        words = f"{name}: {len(won)} of {len(own)} misclassified"
        if len(won) and np.isfinite(won["rms_sigma"]).any():
            words += (
                f"; largest change {np.median(won['largest_sigma']):.3g} sigma, chi-square per degree "
                f"{np.median(won['chi_square']):.2g} (medians), {int(won['visible'].sum())} visible"
            )
        elif len(won):
            words += (
                f"; largest change {np.median(won['largest']):.3g}, rms {np.median(won['rms']):.3g} (medians)"
            )
        if own["fitted"].any() and len(rest := own[~own["fitted"]]):
            words += f"; {int(rest['success'].sum())} of {len(rest)} galaxies that it was not fitted to"
        lines.append(words)
    return lines
