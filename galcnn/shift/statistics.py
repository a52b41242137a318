"""Statistics of arms that are trained with several seeds and judge the same galaxies.

The accuracy of an arm varies with the training and with the galaxies. Both count, and they count
apart: many galaxies do not make up for few seeds. Two arms judge the same galaxies, so their
difference is taken galaxy by galaxy.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import t

__all__ = ["Estimate", "Verdict", "estimate", "falls_at", "verdict"]

_Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds and galaxies, with what is not known of it.

    Attributes
    ----------
    mean : float
        Over both.
    error : float
        Standard error: the seeds' and the galaxies' together; NaN for one seed.
    freedom : float
        Degrees of freedom of Student's t (Satterthwaite 1946).
    n_seeds, n_galaxies : int
        How many of each.
    """

    mean: float
    error: float
    freedom: float
    n_seeds: int
    n_galaxies: int

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Give the interval that covers the true mean.

        Parameters
        ----------
        level : float
            Share of experiments in which it does.

        Returns
        -------
        tuple of float
            Lower and upper end; NaN for one seed.
        """
        if not np.isfinite(self.error):
            return float("nan"), float("nan")
        reach = self.error * float(t.ppf(0.5 + level / 2, self.freedom)) if self.error > 0 else 0.0
        return self.mean - reach, self.mean + reach

    @property
    def p_value(self) -> float:
        """Chance of a mean so far from zero if it were zero; NaN for one seed."""
        if not np.isfinite(self.error):
            return float("nan")
        if self.error == 0:
            return 1.0 if self.mean == 0 else 0.0
        return float(2 * t.sf(abs(self.mean) / self.error, self.freedom))


@dataclass(frozen=True)
class Verdict:
    """What a difference of two arms shows.

    Attributes
    ----------
    word : str
        ``better``, ``worse``, ``no difference larger than delta``, ``undecided`` or ``no verdict``.
    text : str
        A sentence with the figures.
    """

    word: str
    text: str


def estimate(values: npt.ArrayLike) -> Estimate:
    """Estimate a mean from one value for each seed and galaxy.

    Parameters
    ----------
    values : array-like
        Shape (n_seeds, n_galaxies): right or wrong, or differences of two arms.

    Returns
    -------
    Estimate
        With the variance of the two-way random model, ``var(seed means) / n_seeds + var(galaxy
        means) / n_galaxies - var(rest) / (n_seeds n_galaxies)``, and not below either of the
        first two: the bootstrap over five seeds covers too little (83 %, not 95 %).

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> found = estimate(rng.normal(0.1, 1, (5, 400)) + rng.normal(0, 0.1, (5, 1)))
    >>> found.n_seeds, found.interval()[0] < 0.1 < found.interval()[1]
    (5, True)
    """
    table = np.atleast_2d(np.asarray(values, dtype=np.float64))
    n_seeds, n_galaxies = table.shape
    mean = float(table.mean())
    if n_seeds < 2 or n_galaxies < 2:
        return Estimate(mean, float("nan"), float("nan"), n_seeds, n_galaxies)
    by_seed, by_galaxy = table.mean(axis=1), table.mean(axis=0)
    rest = table - by_seed[:, np.newaxis] - by_galaxy + mean
    spread = float((rest**2).sum() / ((n_seeds - 1) * (n_galaxies - 1)))
    seeds, galaxies = by_seed.var(ddof=1) / n_seeds, by_galaxy.var(ddof=1) / n_galaxies
    variance = max(seeds + galaxies - spread / (n_seeds * n_galaxies), seeds, galaxies)
    parts = seeds**2 / (n_seeds - 1) + galaxies**2 / (n_galaxies - 1)
    freedom = (seeds + galaxies) ** 2 / parts if parts > 0 else float(n_seeds - 1)
    return Estimate(mean, float(np.sqrt(variance)), float(freedom), n_seeds, n_galaxies)


def verdict(difference: Estimate, names: tuple[str, str], *, delta: float, p_value: float) -> Verdict:
    """Say in words what a difference of two arms shows, and what not.

    Parameters
    ----------
    difference : Estimate
        Of the accuracies, first arm less second.
    names : tuple of str
        Of the two arms.
    delta : float
        Differences up to this are of no interest.
    p_value : float
        Of the difference, adjusted for the number of questions.

    Returns
    -------
    Verdict
        "No difference larger than delta" needs the 90 % interval within delta on both sides (two
        one-sided tests, Schuirmann 1987): a difference that was not found is no proof of none.
    """
    first, second = names
    low, high = difference.interval()
    figures = (
        f"{first} - {second} = {100 * difference.mean:+.1f} points "
        f"[{100 * low:+.1f}, {100 * high:+.1f}], {difference.n_seeds} seeds, {difference.n_galaxies} galaxies"
    )
    if difference.n_seeds < 3:
        points = f"{first} - {second} = {100 * difference.mean:+.1f} points"
        return Verdict("no verdict", f"{points} with {difference.n_seeds} seed(s): no verdict.")
    inner = difference.interval(0.90)
    if -delta <= inner[0] and inner[1] <= delta:
        return Verdict(
            "no difference larger than delta",
            f"No difference larger than {100 * delta:g} points: {figures}.",
        )
    if p_value < 0.05 and (low > 0 or high < 0):
        word = "better" if difference.mean > 0 else "worse"
        return Verdict(word, f"{first} is {word} than {second}: {figures}, p = {p_value:.2g}.")
    return Verdict("undecided", f"Undecided: {figures}, p = {p_value:.2g}.")


def falls_at(redshifts: npt.ArrayLike, accuracies: npt.ArrayLike, points: float) -> float:
    """Find the redshift at which accuracy has fallen by so many points.

    Parameters
    ----------
    redshifts, accuracies : array-like
        Of one arm; the first is what it falls from.
    points : float
        In hundredths of the accuracy.

    Returns
    -------
    float
        By straight lines between the redshifts; NaN where it never falls so far.

    Examples
    --------
    >>> falls_at([0.05, 0.1, 0.2], [0.9, 0.88, 0.78], 5)
    0.13
    """
    z, accuracy = np.asarray(redshifts, dtype=np.float64), np.asarray(accuracies, dtype=np.float64)
    goal = accuracy[0] - points / 100
    for i in range(1, len(z)):
        if accuracy[i] <= goal:
            share = (accuracy[i - 1] - goal) / (accuracy[i - 1] - accuracy[i])
            return float(round(z[i - 1] + share * (z[i] - z[i - 1]), 9))
    return float("nan")
