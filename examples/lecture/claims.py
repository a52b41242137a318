"""Tests of claims, each with a criterion that is stated before the measurement.

A claim is measured once with each seed. The variants that it compares differ only in what the claim is
about, so that each effect is a difference within a pair. The verdict follows from the interval of the mean
effect and the smallest effect that matters.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
from astropy.table import Table
from lecture.trials import Trials
from scipy.stats import t

from galcnn._runtime import atomic
from galcnn._runtime.progress import Progress, silent
from galcnn.catalog import write_table
from galcnn.errors import message
from galcnn.evaluation.intervals import Word, decide

__all__ = [
    "Claim",
    "Criterion",
    "claims_table",
    "mean_interval",
    "measure_claim",
    "write_claims",
]

_LEVEL = 0.95


@dataclass(frozen=True)
class Criterion:
    """Criterion for a claim, or for a part of it.

    Attributes
    ----------
    effect : str
        Description of the effect measured with each seed; it is positive if the claim is right.
    delta : float
        Smallest effect that matters, above 0. The claim holds if the mean effect is shown to be larger.
    unit : str
        Unit of effect and `delta`, for the table.
    """

    effect: str
    delta: float
    unit: str = ""

    def __post_init__(self) -> None:
        if not 0 < self.delta < np.inf:
            raise ValueError(message("a smallest effect above 0", "", effect=self.effect, delta=self.delta))


@dataclass(frozen=True)
class Claim:
    """A claim, and how it is tested.

    Attributes
    ----------
    key : str
        Short name, used in file names.
    text : str
        The claim.
    criteria : mapping of str to Criterion
        Criterion of each part, by name. The claim holds if all criteria are met.
    measure : callable
        Function from a seed to the effect of each part; deterministic for a given seed.
    """

    key: str
    text: str
    criteria: Mapping[str, Criterion]
    measure: Callable[[int], Mapping[str, float]]

    @property
    def identity(self) -> dict[str, object]:
        """Text of claim and effects, by which saved effects of another claim are recognised."""
        return {"claim": self.text, "effects": {name: c.effect for name, c in self.criteria.items()}}


def mean_interval(values: npt.ArrayLike, level: float = _LEVEL) -> tuple[float, float]:
    """Compute the confidence interval of the mean of independent differences (Student's t).

    Parameters
    ----------
    values : array-like
        One difference for each seed, at least two.
    level : float
        Confidence level.

    Returns
    -------
    tuple of float
        Lower and upper end; both are the mean if all values are equal.

    Raises
    ------
    ValueError
        If there are fewer than two values, or one is not finite.

    Examples
    --------
    >>> low, high = mean_interval([1.0, 2.0, 3.0])
    >>> round(low, 3), round(high, 3)
    (-0.484, 4.484)
    """
    given = np.asarray(values, dtype=np.float64).ravel()
    if len(given) < 2 or not np.isfinite(given).all():
        raise ValueError(message("at least two finite differences", "Use more seeds.", values=given.tolist()))
    reach = given.std(ddof=1) / np.sqrt(len(given)) * float(t.ppf(0.5 + level / 2, len(given) - 1))
    return float(given.mean() - reach), float(given.mean() + reach)


def measure_claim(
    claim: Claim, seeds: Sequence[int], out: str | os.PathLike[str], *, progress: Progress = silent
) -> list[dict[str, float]]:
    """Measure a claim with each seed, or read the results of earlier runs.

    Parameters
    ----------
    claim : Claim
        The claim.
    seeds : sequence of int
        At least two different seeds.
    out : path-like
        Output folder, for files ``<key>-seed<seed>.json``.
    progress : galcnn._runtime.progress.Progress
        Progress bar over seeds.

    Returns
    -------
    list of dict of str to float
        Effect of each part, in the order of the seeds.

    Raises
    ------
    ValueError
        If seeds are repeated, a file belongs to another claim, or a measurement lacks a part.
    """
    if len(set(seeds)) != len(seeds) or len(seeds) < 2:
        raise ValueError(message("at least two distinct seeds", "", seeds=tuple(seeds)))
    trials = Trials(out)
    effects = []
    with progress(claim.key, len(seeds)) as step:
        for seed in seeds:
            found = trials.once(claim.key, seed, claim.identity, partial(_measured, claim, seed))
            effects.append(found)
            step(", ".join(f"{name} {value:+.3g}" for name, value in found.items()))
    return effects


def _measured(claim: Claim, seed: int) -> dict[str, float]:
    found = {name: float(value) for name, value in claim.measure(seed).items()}
    if set(found) != set(claim.criteria) or not np.isfinite(list(found.values())).all():
        raise ValueError(
            message(f"a finite effect for each of {tuple(claim.criteria)}", "", claim=claim.key, found=found)
        )
    return found


def claims_table(claims: Sequence[Claim], effects: Mapping[str, Sequence[Mapping[str, float]]]) -> Table:
    """Return the verdicts on claims as a table.

    Parameters
    ----------
    claims : sequence of Claim
        Claims, in the order of the table.
    effects : mapping of str to sequence of mapping
        Effects of each claim from `measure_claim`, by its key.

    Returns
    -------
    astropy.table.Table
        One row per part: `key`, `claim`, `part`, `effect`, `unit`, `delta`, `seeds`, `mean`, `low` and
        `high` (95 % interval), `part_verdict`, and `verdict` of the whole claim: it passes if all
        parts pass, and fails if any part fails (see `galcnn.evaluation.intervals.decide`).
    """
    rows = []
    for claim in claims:
        measured = effects[claim.key]
        values = {name: np.array([effect[name] for effect in measured]) for name in claim.criteria}
        ends = {name: mean_interval(values[name]) for name in claim.criteria}
        words = {name: decide(*ends[name], criterion.delta) for name, criterion in claim.criteria.items()}
        for name, criterion in claim.criteria.items():
            rows.append(
                {
                    "key": claim.key,
                    "claim": claim.text,
                    "part": name,
                    "effect": criterion.effect,
                    "unit": criterion.unit,
                    "delta": criterion.delta,
                    "seeds": len(measured),
                    "mean": float(values[name].mean()),
                    "low": ends[name][0],
                    "high": ends[name][1],
                    "part_verdict": words[name],
                    "verdict": _whole(list(words.values())),
                }
            )
    return Table(rows=rows)


def _whole(words: Sequence[Word]) -> Word:
    """Combine verdicts by an intersection-union test (Berger 1982): each part is tested at full level."""
    if all(word == "passes" for word in words):
        return "passes"
    return "fails" if "fails" in words else "undecided"


def write_claims(table: Table, out: str | os.PathLike[str]) -> Path:
    """Write the table and its figure.

    Parameters
    ----------
    table : astropy.table.Table
        Table from `claims_table`.
    out : path-like
        Output folder, for ``claims.ecsv`` and ``claims.png``.

    Returns
    -------
    pathlib.Path
        Path of the table.
    """
    from lecture.figures import claims_figure

    from galcnn.viewers import save_figure

    folder = Path(out)
    atomic.check_writable(folder / "claims.ecsv")
    write_table(table, folder / "claims.ecsv")
    save_figure(claims_figure(table), folder / "claims.png")
    return folder / "claims.ecsv"
