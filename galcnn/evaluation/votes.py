"""Scores of predicted vote fractions, question by question."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from galcnn.catalog import Votes
from galcnn.errors import message
from galcnn.evaluation.intervals import Floats, Ints, Score, bootstrap


def evaluate_votes(
    predicted: Floats,
    observed: Floats,
    votes: Votes,
    *,
    baseline: npt.ArrayLike,
    seed: int = 0,
    n_bootstrap: int = 1000,
) -> dict[str, Score]:
    """Score predicted against observed vote fractions.

    Parameters
    ----------
    predicted : numpy.ndarray
        Predicted cumulative fractions, shape (n, n_answers), of galaxies that were not used in
        training.
    observed : numpy.ndarray
        Observed cumulative fractions, same shape, see `galcnn.catalog.votes.observed_fractions`; NaN
        where a question was not asked.
    votes : galcnn.catalog.Votes
        Questions and answers, in the order of the columns.
    baseline : array-like
        Mean fractions of the training set, shape (n_answers,), as a reference.
    seed : int
        Random seed of the bootstrap.
    n_bootstrap : int
        Number of bootstrap samples.

    Returns
    -------
    dict of str to Score
        Three scores per question, over the galaxies for which it was asked:
        ``correlation_<question>`` (Pearson's, the mean over the answers that vary),
        ``rmse_<question>`` over all its answers, and ``rmse_of_mean_<question>``, the error of
        predicting the baseline for every galaxy.

    Raises
    ------
    ValueError
        If a question was asked for none of the galaxies.

    Examples
    --------
    >>> from galcnn.catalog import Question
    >>> votes = Votes((Question("bar", ("yes", "no")),))
    >>> seen = np.array([[0.0, 1.0], [1.0, 0.0]])
    >>> scores = evaluate_votes(0.5 * seen + 0.25, seen, votes, baseline=[0.5, 0.5])
    >>> [round(scores[f"{name}_bar"].value, 3) for name in ("correlation", "rmse", "rmse_of_mean")]
    [1.0, 0.25, 0.5]
    """
    mean = np.asarray(baseline, dtype=np.float64)
    scores: dict[str, Score] = {}
    for question, (columns, _) in zip(votes.questions, votes.groups, strict=True):
        asked = np.isfinite(observed[:, columns]).all(axis=1)
        said, guess, flat = observed[asked, columns], predicted[asked, columns], mean[columns]
        if not len(said):
            raise ValueError(message(f"votes on {question.name!r} in the test set", "Leave it out."))

        def measure(rows: Ints, a: Floats = said, b: Floats = guess, c: Floats = flat) -> Floats:
            return np.array([_correlation(a[rows], b[rows]), _rmse(a[rows], b[rows]), _rmse(a[rows], c)])

        found = bootstrap(measure, np.zeros(len(said), dtype=int), seed=seed, n_bootstrap=n_bootstrap)
        for name, value, low, high in zip(("correlation", "rmse", "rmse_of_mean"), *found, strict=True):
            scores[f"{name}_{question.name}"] = Score(float(value), float(low), float(high), len(said))
    return scores


def _rmse(a: Floats, b: Floats) -> float:
    return float(np.sqrt(np.mean((a - b) ** 2)))


def _correlation(a: Floats, b: Floats) -> float:
    """Mean correlation over the answers that vary in both; NaN if none does."""
    moving = [i for i in range(a.shape[1]) if np.ptp(a[:, i]) > 0 and np.ptp(b[:, i]) > 0]
    each = [np.corrcoef(a[:, i], b[:, i])[0, 1] for i in moving]
    return float(np.mean(each)) if each else float("nan")
