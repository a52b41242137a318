"""Intervals of figures, and the one way from an interval to a verdict.

A figure of galaxies alone has a bootstrap interval (`bootstrap`) or an exact one (`exact_share`).
One of several trainings that judge the same galaxies varies with both, and both count apart: many
galaxies do not make up for few seeds (`estimate`). Two models judge the same galaxies, so their
difference is taken galaxy by galaxy.
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

#: Fewer galaxies have no interval to speak of.
_FEWEST = 8


@dataclass(frozen=True)
class Score:
    """A figure with its interval.

    Attributes
    ----------
    value : float
        Of the sample; NaN where it is not defined (recall of a class without galaxies).
    low, high : float
        Bounds of the 95 % percentile bootstrap interval.
    n : int
        Galaxies that the figure rests on.
    """

    value: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


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
        """Give the interval that covers the true mean."""
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
class Criterion:
    """What is asked of a sample of galaxies.

    Attributes
    ----------
    name : str
        One word or two, joined by a hyphen.
    statistic : str
        What is measured of each galaxy.
    null : float
        Its value where there is nothing to find, such as for a map that knows nothing.
    limit : float
        Mean over galaxies that is asked for.
    above : bool
        Whether good means lie above the limit, or below.
    """

    name: str
    statistic: str
    null: float
    limit: float
    above: bool = True


@dataclass(frozen=True)
class Verdict:
    """What a sample says of one criterion, or a difference of two arms shows.

    Attributes
    ----------
    word : str
        Of a criterion see `decide`; of two arms ``better``, ``worse``, ``no difference larger than
        delta``, ``undecided`` or ``not judged``.
    text : str
        Of a criterion why it was not judged; of two arms a sentence with the figures.
    score : Score or None
        Of a criterion: mean over galaxies with its 95 % bootstrap interval.
    """

    word: str
    text: str = ""
    score: Score | None = None


def bootstrap(
    measure: Callable[[Ints], Floats], strata: Ints, *, seed: int = 0, n_bootstrap: int = 2000
) -> tuple[Floats, Floats, Floats]:
    """Give figures of a sample with their 95 % percentile intervals.

    Parameters
    ----------
    measure : callable
        From row numbers to figures.
    strata : numpy.ndarray
        Group of each row; each draw holds as many rows of each group as the sample.
    seed : int
        Of the draws.
    n_bootstrap : int
        Draws.

    Returns
    -------
    values, low, high : numpy.ndarray
        Of the sample, and the 2.5 % and 97.5 % quantiles of the draws (Efron 1979, Annals of
        Statistics 7, 1); NaN where a figure is never defined.
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
    """Give a share with its exact interval.

    Parameters
    ----------
    hits : numpy.ndarray
        bool, shape (n,).

    Returns
    -------
    Score
        With the 95 % interval of Clopper & Pearson (1934); NaN of nothing.
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


def decide(low: float, high: float, limit: float, *, above: bool = True) -> Word:
    """Turn a confidence interval into a verdict.

    Parameters
    ----------
    low, high : float
        Ends of the interval; NaN where there is none.
    limit : float
        What is asked for.
    above : bool
        Whether the figure is to lie above the limit, or below.

    Returns
    -------
    {"passes", "fails", "undecided", "not judged"}
        ``passes`` where the whole interval lies on the good side of the limit, ``fails`` where none
        of it does (a figure that is exactly the limit is no better than it), ``undecided`` where a
        part does, ``not judged`` without an interval.

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
    """Say whether galaxies keep a criterion.

    Parameters
    ----------
    values : array-like
        The statistic of each galaxy; NaN where it is not defined.
    asked : Criterion
        What is asked.
    seed : int
        Of the bootstrap.

    Returns
    -------
    Verdict
        Of the galaxies with a value; undecided of fewer than 8.

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
    """Say in words what a difference of two arms shows, and what not."""
    # That none was found is no proof of none: two one-sided tests at 5 % each (Schuirmann 1987) are.
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
