"""A criterion with its null and its limit, and what a sample of galaxies says of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from galcnn.errors import message
from galcnn.evaluation import Score, bootstrap

__all__ = ["CRITERIA", "Criterion", "Finding", "Word", "criterion", "judge"]

Word = Literal["passes", "fails", "undecided", "does not apply"]

#: Fewer galaxies have no interval to speak of.
_FEWEST = 8


@dataclass(frozen=True)
class Criterion:
    """What is asked of a map.

    Attributes
    ----------
    name : str
        One word or two, joined by a hyphen.
    statistic : str
        What is measured of each galaxy.
    null : float
        Its value for a map that knows nothing.
    limit : float
        Mean over galaxies that is asked for.
    above : bool
        Whether good maps lie above the limit, or below.
    """

    name: str
    statistic: str
    null: float
    limit: float
    above: bool = True


@dataclass(frozen=True)
class Finding:
    """What a sample says of one criterion.

    Attributes
    ----------
    criterion : Criterion
        What was asked.
    word : str
        ``passes`` or ``fails`` where the whole interval lies on one side of the limit,
        ``undecided`` where it does not, ``does not apply`` where nothing could be measured.
    score : galcnn.evaluation.Score or None
        Mean over galaxies with its 95 % bootstrap interval.
    reason : str
        Why it does not apply.
    """

    criterion: Criterion
    word: Word
    score: Score | None = None
    reason: str = ""


CRITERIA: tuple[Criterion, ...] = (
    Criterion(
        "randomisation",
        "rank correlation of |map| with that of a network all of whose layers are drawn anew: 1 for a "
        "map of the image alone",
        null=1.0,
        limit=0.5,
        above=False,
    ),
    Criterion(
        "deletion",
        "area under the target's score while the map's first pixels become sky, below that of a random "
        "order, over the sample's mean drop from image to sky",
        null=0.0,
        limit=0.1,
    ),
    Criterion(
        "deletion-light",
        "the same, below that of the image's own brightness",
        null=0.0,
        limit=0.0,
    ),
    Criterion(
        "insertion",
        "area while the map's first pixels return to a sky, above that of a random order, over the mean drop",
        null=0.0,
        limit=0.1,
    ),
    Criterion(
        "insertion-light",
        "the same, above that of the image's own brightness",
        null=0.0,
        limit=0.0,
    ),
    Criterion(
        "pointing",
        "whether the peak of |map| lies on the galaxy, less the chance of a random pixel, over 1 less that "
        "chance",
        null=0.0,
        limit=0.5,
    ),
    Criterion(
        "energy",
        "density of the map's squares on the galaxy's segment, over that of the whole image",
        null=1.0,
        limit=2.0,
    ),
    Criterion(
        "energy-re",
        "the same within the half-light radius",
        null=1.0,
        limit=2.0,
    ),
    Criterion(
        "equivariance",
        "norm of the change of the map, turned back, when the image is turned or mirrored, over the map's "
        "norm; mean over orientations; 1.41 for an unrelated map of that norm",
        null=float(np.sqrt(2)),
        limit=1.0,
        above=False,
    ),
    Criterion(
        "sensitivity",
        "largest norm of the change of the map, over its norm, when every pixel moves within one sigma of "
        "noise",
        null=float(np.sqrt(2)),
        limit=1.0,
        above=False,
    ),
    Criterion(
        "fragility",
        "share of the map's top pixels that stay there under an attack within one sigma that keeps the class",
        null=0.05,
        limit=0.5,
    ),
    Criterion(
        "significance",
        "share of the map's squares on pixels above its scatter under noise, false discoveries below 5 %",
        null=0.0,
        limit=0.5,
    ),
    Criterion(
        "significance-seeds",
        "the same for the mean map of several models, over its scatter from model to model",
        null=0.0,
        limit=0.5,
    ),
    Criterion(
        "significance-labels",
        "the same for the map, over the scatter of maps of models that learned shuffled labels",
        null=0.0,
        limit=0.5,
    ),
)


def criterion(name: str) -> Criterion:
    """Find a criterion.

    Parameters
    ----------
    name : str
        Such as ``deletion``.

    Returns
    -------
    Criterion
        Of `CRITERIA`.

    Raises
    ------
    ValueError
        There is none of this name.
    """
    for one in CRITERIA:
        if one.name == name:
            return one
    raise ValueError(message(f"a criterion among {[one.name for one in CRITERIA]}", "", name=name))


def judge(values: npt.ArrayLike, asked: Criterion, *, seed: int = 0) -> Finding:
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
    Finding
        Of the galaxies with a value; undecided of fewer than 8.

    Examples
    --------
    >>> judge(np.linspace(0.6, 0.8, 20), criterion("pointing")).word
    'passes'
    >>> judge(np.linspace(-1, 1, 20), criterion("pointing")).word
    'fails'
    """
    sample = np.asarray(values, dtype=np.float64)
    known = sample[np.isfinite(sample)]
    if not len(known):
        return Finding(asked, "does not apply", reason="no galaxy has a value")
    if len(known) < 2:
        return Finding(asked, "undecided", Score(float(known[0]), float("nan"), float("nan"), 1))
    means, lows, highs = bootstrap(
        lambda rows: known[rows].mean(keepdims=True), np.zeros(len(known), dtype=int), seed=seed
    )
    score = Score(float(means[0]), float(lows[0]), float(highs[0]), len(known))
    word: Word = "undecided"
    if len(known) >= _FEWEST:
        beyond, short = (score.low, score.high) if asked.above else (-score.high, -score.low)
        limit = asked.limit if asked.above else -asked.limit
        word = "passes" if beyond > limit else "fails" if short <= limit else "undecided"
    return Finding(asked, word, score)
