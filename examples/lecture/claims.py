"""Claims put to the test: each with a criterion that is stated before anything is measured.

A claim is measured once with each seed, its arms alike in everything but what the claim is about,
so that effects are differences within a pair. The verdict is computed from the interval of their
mean and the smallest effect that would matter.
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
    """What must be seen for a claim, or a part of it, to hold.

    Attributes
    ----------
    effect : str
        What is measured with each seed; positive where the claim is right.
    delta : float
        Smallest effect that would matter, above 0: the mean effect must be shown to be larger.
    unit : str
        Of both, for the table.
    """

    effect: str
    delta: float
    unit: str = ""

    def __post_init__(self) -> None:
        if not 0 < self.delta < np.inf:
            raise ValueError(message("a smallest effect above 0", "", effect=self.effect, delta=self.delta))


@dataclass(frozen=True)
class Claim:
    """A sentence that may be wrong, and how to find out.

    Attributes
    ----------
    key : str
        Short name, of its file.
    text : str
        The sentence.
    criteria : mapping of str to Criterion
        By the name of a part. The claim holds where all of them do.
    measure : callable
        Seed -> effect of each part; the same seed always gives the same.
    """

    key: str
    text: str
    criteria: Mapping[str, Criterion]
    measure: Callable[[int], Mapping[str, float]]

    @property
    def identity(self) -> dict[str, object]:
        """What is asked: effects that were measured for another question do not count."""
        return {"claim": self.text, "effects": {name: c.effect for name, c in self.criteria.items()}}


def mean_interval(values: npt.ArrayLike, level: float = _LEVEL) -> tuple[float, float]:
    """Give the interval that covers the true mean of independent differences (Student's t).

    Parameters
    ----------
    values : array-like
        One difference for each seed, at least two.
    level : float
        Share of experiments in which it does.

    Returns
    -------
    tuple of float
        Lower and upper end; both the mean where all are equal.

    Raises
    ------
    ValueError
        Fewer than two values, or one that is not finite.

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
    """Measure a claim with each seed; what stands in the folder is not measured again.

    Parameters
    ----------
    claim : Claim
        What to measure.
    seeds : sequence of int
        Distinct, at least two.
    out : path-like
        Folder; gets ``<key>-seed<seed>.json``, each whole or not at all.
    progress : galcnn._runtime.progress.Progress
        Shows the seeds.

    Returns
    -------
    list of dict of str to float
        Effect of each part, in the order of the seeds.

    Raises
    ------
    ValueError
        Seeds repeat, a file belongs to another question, or a measurement lacks a part.
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
    """Judge claims by their effects.

    Parameters
    ----------
    claims : sequence of Claim
        In the order of the table.
    effects : mapping of str to sequence of mapping
        Of each claim, by its key: see `measure_claim`.

    Returns
    -------
    astropy.table.Table
        A row a part: `key`, `claim`, `part`, `effect`, `unit`, `delta`, `seeds`, `mean`, `low` and
        `high` (95 % interval), `part_verdict`, and `verdict` of the whole claim: passes where all
        parts pass, fails where any does (see `galcnn.evaluation.intervals.decide`).
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
    """An intersection-union test (Berger 1982): each part by itself at full level."""
    if all(word == "passes" for word in words):
        return "passes"
    return "fails" if "fails" in words else "undecided"


def write_claims(table: Table, out: str | os.PathLike[str]) -> Path:
    """Write the table and its figure.

    Parameters
    ----------
    table : astropy.table.Table
        From `claims_table`.
    out : path-like
        Folder; gets ``claims.ecsv`` and ``claims.png``.

    Returns
    -------
    pathlib.Path
        The table.
    """
    from lecture.figures import claims_figure

    from galcnn.viewers import save_figure

    folder = Path(out)
    atomic.check_writable(folder / "claims.ecsv")
    write_table(table, folder / "claims.ecsv")
    save_figure(claims_figure(table), folder / "claims.png")
    return folder / "claims.ecsv"
