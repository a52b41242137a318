"""From logits, or from counts, to the share of all people who give each answer."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from astropy.table import Table

from galcnn.votes.questions import Votes

__all__ = ["cumulative_fractions", "fraction_table", "observed_fractions"]

Fractions = npt.NDArray[np.float64]


def cumulative_fractions(logits: npt.ArrayLike, votes: Votes) -> Fractions:
    """Turn logits into the share of all people who give each answer.

    Parameters
    ----------
    logits : array-like
        Shape (n, n_answers).
    votes : Votes
        In the order of the logits.

    Returns
    -------
    numpy.ndarray
        float64, shape (n, n_answers): the softmax within each question times the parent's share.
        NaN where a logit is. For a network of counts, whose outputs are the logarithms of
        concentrations, it is the expected share.
    """
    scores = np.asarray(logits, dtype=np.float64)
    shares = np.empty(scores.shape)
    for columns, parent in votes.groups:
        part = np.exp(scores[:, columns] - scores[:, columns].max(axis=1, keepdims=True))
        part /= part.sum(axis=1, keepdims=True)
        shares[:, columns] = part if parent is None else part * shares[:, [parent]]
    return shares


def observed_fractions(observed: npt.ArrayLike, votes: Votes) -> Fractions:
    """Give the share of all people who gave each answer, from votes of either kind.

    Parameters
    ----------
    observed : array-like
        Of `read_votes`.
    votes : Votes
        In the order of the columns.

    Returns
    -------
    numpy.ndarray
        float64, shape (n, n_answers); NaN for a question that nobody was asked, unless nobody
        gave the answer before it.
    """
    found = np.array(observed, dtype=np.float64)
    if votes.kind == "fractions":
        return found
    for columns, parent in votes.groups:
        counts = found[:, columns]
        total = counts.sum(axis=1, keepdims=True)
        share = np.divide(counts, total, out=np.full(counts.shape, np.nan), where=total > 0)
        if parent is not None:
            share = np.where(found[:, [parent]] == 0, 0.0, share * found[:, [parent]])
        found[:, columns] = share
    return found


def fraction_table(ids: Sequence[str], fractions: Fractions, votes: Votes) -> Table:
    """Lay fractions out as a table.

    Parameters
    ----------
    ids : sequence of str
        One a galaxy.
    fractions : numpy.ndarray
        Shape (n, n_answers).
    votes : Votes
        In the order of the columns.

    Returns
    -------
    astropy.table.Table
        Columns `id` and ``f_<answer>`` for each answer.
    """
    table = Table({"id": np.array(list(ids), dtype=str)})
    for question, (columns, _) in zip(votes.questions, votes.groups, strict=True):
        for answer, values in zip(question.answers, fractions[:, columns].T, strict=True):
            table[f"f_{answer}"] = values
            table[f"f_{answer}"].description = f"share of all people who answer {answer} to {question.name}"
    return table
