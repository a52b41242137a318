"""Confidence intervals of scores, and verdicts derived from them.

A score of one model on a sample of galaxies has a bootstrap interval (`bootstrap`) or an exact one
(`exact_share`). The mean score of several trainings on the same galaxies varies with the seeds and
with the galaxies; `estimate` treats them separately, because many galaxies do not compensate for few
seeds. Two models are compared galaxy by galaxy, on the same galaxies.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.stats import binomtest, t

from galcnn._runtime import seeding

Word = Literal["passes", "fails", "undecided", "not judged"]

Ints = npt.NDArray[np.int_]
Floats = npt.NDArray[np.float64]

#: Minimum number of galaxies for a verdict: with fewer, a bootstrap interval is not reliable.
_FEWEST = 8


@dataclass(frozen=True)
class Score:
    """A score with its 95 % interval.

    Attributes
    ----------
    value : float
        Value for the sample; NaN where it is not defined (recall of a class without galaxies).
    low, high : float
        Bounds of the 95 % interval: percentile bootstrap, unless the function that returns the score
        states another kind.
    n : int
        Number of galaxies that the score is computed from.
    """

    value: float
    low: float
    high: float
    n: int

    def __repr__(self) -> str:
        return f"<Score {self}, n = {self.n}>"

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds and galaxies, with its uncertainty.

    Attributes
    ----------
    mean : float
        Mean over seeds and galaxies.
    error : float
        Standard error from seeds and galaxies together; NaN for one seed or one galaxy.
    freedom : float
        Degrees of freedom of Student's t (Satterthwaite 1946).
    n_seeds, n_galaxies : int
        Number of seeds and of galaxies.
    """

    mean: float
    error: float
    freedom: float
    n_seeds: int
    n_galaxies: int

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Return the confidence interval of the mean (Student's t)."""
        if not np.isfinite(self.error):
            return float("nan"), float("nan")
        reach = self.error * float(t.ppf(0.5 + level / 2, self.freedom)) if self.error > 0 else 0.0
        return self.mean - reach, self.mean + reach

    @property
    def p_value(self) -> float:
        """Two-sided p-value of the hypothesis that the true mean is zero; NaN for one seed."""
        if not np.isfinite(self.error):
            return float("nan")
        if self.error == 0:
            return 1.0 if self.mean == 0 else 0.0
        return float(2 * t.sf(abs(self.mean) / self.error, self.freedom))


@dataclass(frozen=True)
class Criterion:
    """A criterion that the mean of a statistic over galaxies must meet.

    Attributes
    ----------
    name : str
        One word or two, joined by a hyphen.
    statistic : str
        Description of the statistic, which has one value per galaxy.
    null : float
        Expected value of the statistic without any effect, for example for an uninformative map.
    limit : float
        Limit for the mean over galaxies.
    above : bool
        If True, the mean must lie above the limit; if False, below.
    """

    name: str
    statistic: str
    null: float
    limit: float
    above: bool = True


@dataclass(frozen=True)
class Verdict:
    """Verdict on one criterion, or on the difference of two variants.

    Attributes
    ----------
    word : str
        For a criterion, one of the verdicts of `decide`; for two variants ``better``, ``worse``,
        ``no difference larger than delta``, ``undecided`` or ``not judged``.
    text : str
        For a criterion, the reason why it was not judged; for two variants, a sentence with the
        difference and its interval.
    score : Score or None
        For a criterion, the mean over galaxies with its 95 % bootstrap interval; else None.
    """

    word: str
    text: str = ""
    score: Score | None = None


def bootstrap(
    measure: Callable[[Ints], Floats], strata: Ints, *, seed: int = 0, n_bootstrap: int = 2000
) -> tuple[Floats, Floats, Floats]:
    """Compute scores of a sample with their 95 % percentile bootstrap intervals.

    Parameters
    ----------
    measure : callable
        Function of an array of row numbers that returns an array of scores.
    strata : numpy.ndarray
        Group of each row, shape (n,). Every bootstrap sample has as many rows of each group as the
        original sample.
    seed : int
        Random seed of the bootstrap.
    n_bootstrap : int
        Number of bootstrap samples.

    Returns
    -------
    values, low, high : numpy.ndarray
        Scores of the sample, and the 2.5 % and 97.5 % quantiles over the bootstrap samples (Efron
        1979, Annals of Statistics 7, 1), ignoring NaN; NaN where every bootstrap sample gives NaN.
    """
    rng = seeding.generator(seed, "bootstrap")
    groups = [np.flatnonzero(strata == name) for name in np.unique(strata)]
    draws = np.array(
        [
            measure(np.concatenate([rng.choice(group, len(group)) for group in groups]))
            for _ in range(n_bootstrap)
        ]
    )
    values = measure(np.arange(len(strata)))
    bounds = np.full((2, len(values)), np.nan)
    defined = np.isfinite(draws).any(axis=0)
    bounds[:, defined] = np.nanquantile(draws[:, defined], [0.025, 0.975], axis=0)
    return values, bounds[0], bounds[1]


def exact_share(hits: npt.NDArray[np.bool_]) -> Score:
    """Compute the fraction of True values with its exact interval.

    Parameters
    ----------
    hits : numpy.ndarray
        Boolean values, shape (n,).

    Returns
    -------
    Score
        Fraction with its 95 % Clopper-Pearson (1934) interval; NaN if `hits` is empty.
    """
    if not len(hits):
        return Score(np.nan, np.nan, np.nan, 0)
    interval = binomtest(int(hits.sum()), len(hits)).proportion_ci(0.95, method="exact")
    return Score(float(hits.mean()), float(interval.low), float(interval.high), len(hits))


def estimate(values: npt.ArrayLike) -> Estimate:
    """Estimate a mean from one value for each seed and galaxy.

    Parameters
    ----------
    values : array-like
        Shape (n_seeds, n_galaxies): 1 for right and 0 for wrong, or differences of two variants.

    Returns
    -------
    Estimate
        Mean and standard error. The variance is that of the two-way random-effects model,
        ``var(seed means) / n_seeds + var(galaxy means) / n_galaxies - var(rest) / (n_seeds
        n_galaxies)``, but at least as large as each of its first two terms. A bootstrap over five
        seeds would give intervals that are too narrow (83 % coverage instead of 95 %).

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


def decide(low: float, high: float, limit: float, *, above: bool = True) -> Word:
    """Derive a verdict from a confidence interval.

    Parameters
    ----------
    low, high : float
        Ends of the interval; NaN if there is none.
    limit : float
        Required limit.
    above : bool
        If True, the value must lie above the limit; if False, below.

    Returns
    -------
    {"passes", "fails", "undecided", "not judged"}
        ``passes`` if the whole interval lies on the required side of the limit, ``fails`` if none of
        it does (a value equal to the limit does not count), ``undecided`` if a part of it does,
        ``not judged`` if there is no interval.

    Examples
    --------
    >>> decide(0.6, 0.8, 0.5), decide(0.4, 0.6, 0.5), decide(0.6, 0.8, 0.5, above=False)
    ('passes', 'undecided', 'fails')
    """
    if np.isnan(low) or np.isnan(high):
        return "not judged"
    worst, best = (low, high) if above else (-high, -low)
    bar = limit if above else -limit
    return "passes" if worst > bar else "fails" if best <= bar else "undecided"


def judge(values: npt.ArrayLike, asked: Criterion, *, seed: int = 0) -> Verdict:
    """Judge whether a sample of galaxies meets a criterion.

    Parameters
    ----------
    values : array-like
        Statistic of each galaxy, shape (n,); NaN where it is not defined.
    asked : Criterion
        The criterion.
    seed : int
        Random seed of the bootstrap.

    Returns
    -------
    Verdict
        Verdict from the galaxies with a finite value: ``not judged`` if there are none,
        ``undecided`` if there are fewer than 8.

    Examples
    --------
    >>> asked = Criterion("pointing", "hits", null=0.0, limit=0.5)
    >>> judge(np.linspace(0.6, 0.8, 20), asked).word, judge(np.linspace(-1, 1, 20), asked).word
    ('passes', 'fails')
    """
    sample = np.asarray(values, dtype=np.float64)
    known = sample[np.isfinite(sample)]
    if not len(known):
        return Verdict("not judged", "no galaxy has a value")
    if len(known) < 2:
        return Verdict("undecided", score=Score(float(known[0]), float("nan"), float("nan"), 1))
    means, lows, highs = bootstrap(
        lambda rows: known[rows].mean(keepdims=True), np.zeros(len(known), dtype=int), seed=seed
    )
    score = Score(float(means[0]), float(lows[0]), float(highs[0]), len(known))
    word = decide(score.low, score.high, asked.limit, above=asked.above)
    return Verdict("undecided" if len(known) < _FEWEST else word, score=score)


def verdict(difference: Estimate, names: tuple[str, str], *, delta: float, p_value: float) -> Verdict:
    """Judge the difference of two variants, and describe it in a sentence."""
    # A difference that is not significant does not show equivalence: that takes two one-sided tests at
    # 5 % each (Schuirmann 1987).
    first, second = names
    low, high = difference.interval()
    figures = (
        f"{first} - {second} = {100 * difference.mean:+.1f} points "
        f"[{100 * low:+.1f}, {100 * high:+.1f}], {difference.n_seeds} seeds, {difference.n_galaxies} galaxies"
    )
    if difference.n_seeds < 3:
        points = f"{first} - {second} = {100 * difference.mean:+.1f} points"
        return Verdict("not judged", f"{points} with {difference.n_seeds} seed(s): no verdict.")
    inner = difference.interval(0.90)
    if decide(*inner, -delta) == decide(*inner, delta, above=False) == "passes":
        return Verdict(
            "no difference larger than delta",
            f"No difference larger than {100 * delta:g} points: {figures}.",
        )
    word = {"passes": "better", "fails": "worse"}.get(decide(low, high, 0.0))
    if word is not None and p_value < 0.05:
        return Verdict(word, f"{first} is {word} than {second}: {figures}, p = {p_value:.2g}.")
    return Verdict("undecided", f"Undecided: {figures}, p = {p_value:.2g}.")
