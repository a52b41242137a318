"""Vote fractions as targets: what share of people gave each answer to each question.

Questions form a tree: whether a disk is edge-on is asked only of those who saw a disk. The
network has one logit an answer, softmaxed within each question, so it says what share of those
who were asked gives each answer (the conditional fractions).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from galcnn.errors import message

__all__ = [
    "Question",
    "cumulative_fractions",
    "dirichlet_multinomial_loss",
    "question_scores",
    "vote_cross_entropy",
    "vote_targets",
]

Fractions = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Question:
    """One question and its answers.

    Attributes
    ----------
    name : str
        Of the question.
    answers : tuple of str
        Names of the columns, at least two.
    parent : str or None
        The answer to an earlier question on which this one was asked; None: of all.
    """

    name: str
    answers: tuple[str, ...]
    parent: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "answers", tuple(self.answers))
        if len(self.answers) < 2 or len(set(self.answers)) != len(self.answers):
            raise ValueError(message("two or more distinct answers", "", answers=self.answers))


def vote_targets(cumulative: npt.ArrayLike, questions: Sequence[Question]) -> npt.NDArray[np.float32]:
    """Turn cumulative fractions into what `vote_cross_entropy` wants.

    Parameters
    ----------
    cumulative : array-like
        Shape (n, number of answers of all questions), in their order: the share of all who gave
        the answer, so that the answers to a question sum to their parent's.
    questions : sequence of Question
        Parents before children.

    Returns
    -------
    numpy.ndarray
        float32, shape (n, n_answers): fraction given the parent, times the parent's fraction as
        the weight of the question: the cumulative fraction, but with a sum within each question
        that is exactly the parent's. Published sums are rounded.

    Raises
    ------
    ValueError
        The columns do not fit the questions, or a fraction is negative or not finite.
    """
    votes = np.array(cumulative, dtype=np.float64)
    places = _places(questions)
    if votes.ndim != 2 or votes.shape[1] != len(places) or not np.all(np.isfinite(votes) & (votes >= 0)):
        raise ValueError(
            message(f"finite fractions of 0 or more, shape (n, {len(places)})", "", shape=votes.shape)
        )
    targets = np.zeros(votes.shape)
    for rows, parent in _groups(questions):
        total = votes[:, rows].sum(axis=1, keepdims=True)
        share = np.divide(votes[:, rows], total, out=np.zeros_like(votes[:, rows]), where=total > 0)
        weight = np.ones_like(total) if parent is None else votes[:, [parent]]
        targets[:, rows] = share * np.where(total > 0, weight, 0)
    return targets.astype(np.float32)


def vote_cross_entropy(questions: Sequence[Question]) -> Any:
    """Make the loss of fractions without counts: soft cross-entropy, weighted by the parent.

    sum over questions of w sum_a f_a (-log p_a), with f the fractions given the parent, w the
    parent's fraction and p the softmax of the question's logits.

    Parameters
    ----------
    questions : sequence of Question
        In the order of the logits.

    Returns
    -------
    callable
        From (targets of `vote_targets`, logits) to the loss of each galaxy; for `Model.compile`.
    """
    groups = _groups(questions)

    def vote_loss(targets: Any, logits: Any) -> Any:
        logits = keras.ops.cast(logits, "float32")
        terms = []
        for rows, _ in groups:
            first, last = rows[0], rows[-1] + 1
            logs = keras.ops.log_softmax(logits[:, first:last], axis=-1)
            terms.append(-keras.ops.sum(targets[:, first:last] * logs, axis=-1))
        return sum(terms[1:], terms[0])

    return vote_loss


def dirichlet_multinomial_loss(questions: Sequence[Question]) -> Any:
    """Make the loss of counts: minus the log likelihood of a Dirichlet-multinomial each question.

    With counts k of N votes and concentrations alpha of sum A:
    log G(A + N) - log G(A) - sum_a [log G(alpha_a + k_a) - log G(alpha_a)], without the binomial
    coefficients, which no parameter moves (Walmsley et al. 2022, MNRAS 509, 3966). The network's
    outputs are the logarithms of alpha: their softmax is the expected fraction, their size says how
    sure it is. A question that nobody was asked weighs nothing.

    Parameters
    ----------
    questions : sequence of Question
        In the order of the outputs.

    Returns
    -------
    callable
        From (counts, outputs) to the loss of each galaxy; for `Model.compile`.
    """
    groups = _groups(questions)

    def dirichlet_multinomial(counts: Any, outputs: Any) -> Any:
        alpha = tf.exp(tf.cast(outputs, tf.float32))
        counts = tf.cast(counts, tf.float32)
        terms = []
        for rows, _ in groups:
            a, k = alpha[:, rows[0] : rows[-1] + 1], counts[:, rows[0] : rows[-1] + 1]
            total, n = tf.reduce_sum(a, axis=-1), tf.reduce_sum(k, axis=-1)
            each = tf.reduce_sum(tf.math.lgamma(a + k) - tf.math.lgamma(a), axis=-1)
            terms.append(tf.math.lgamma(total + n) - tf.math.lgamma(total) - each)
        return tf.add_n(terms)

    return dirichlet_multinomial


def cumulative_fractions(logits: npt.ArrayLike, questions: Sequence[Question]) -> Fractions:
    """Turn logits into the share of all people who give each answer.

    Parameters
    ----------
    logits : array-like
        Shape (n, n_answers).
    questions : sequence of Question
        In the order of the logits.

    Returns
    -------
    numpy.ndarray
        float64, shape (n, n_answers): the softmax within each question times the parent's share.
    """
    scores = np.asarray(logits, dtype=np.float64)
    shares = np.empty(scores.shape)
    for rows, parent in _groups(questions):
        part = np.exp(scores[:, rows] - scores[:, rows].max(axis=1, keepdims=True))
        part /= part.sum(axis=1, keepdims=True)
        shares[:, rows] = part if parent is None else part * shares[:, [parent]]
    return shares


def question_scores(
    predicted: Fractions, true: npt.ArrayLike, questions: Sequence[Question], *, baseline: npt.ArrayLike
) -> list[dict[str, Any]]:
    """Compare predicted with true fractions, question by question.

    Parameters
    ----------
    predicted : numpy.ndarray
        Cumulative fractions, shape (n, n_answers).
    true : array-like
        The same of the votes.
    questions : sequence of Question
        In the order of the columns.
    baseline : array-like
        Mean fractions of the training set, shape (n_answers,): what to beat.

    Returns
    -------
    list of dict
        One a question: `question`, `correlation` (Pearson, the mean over answers that vary), `rmse` over all
        its answers, and `rmse_of_mean` of predicting the baseline for every galaxy.
    """
    votes, mean = np.asarray(true, dtype=np.float64), np.asarray(baseline, dtype=np.float64)
    scores = []
    for question, (rows, _) in zip(questions, _groups(questions), strict=True):
        moving = [i for i in rows if np.ptp(votes[:, i]) > 0 and np.ptp(predicted[:, i]) > 0]
        correlations = [np.corrcoef(predicted[:, i], votes[:, i])[0, 1] for i in moving]
        scores.append(
            {
                "question": question.name,
                "correlation": float(np.mean(correlations)) if correlations else float("nan"),
                "rmse": float(np.sqrt(np.mean((predicted[:, rows] - votes[:, rows]) ** 2))),
                "rmse_of_mean": float(np.sqrt(np.mean((mean[rows] - votes[:, rows]) ** 2))),
            }
        )
    return scores


def _places(questions: Sequence[Question]) -> dict[str, int]:
    names = [answer for question in questions for answer in question.answers]
    if not names or len(set(names)) != len(names):
        raise ValueError(message("questions whose answers are all distinct", "", answers=names))
    return {name: i for i, name in enumerate(names)}


def _groups(questions: Sequence[Question]) -> list[tuple[list[int], int | None]]:
    """Columns of each question, and that of its parent, which must stand before it."""
    places = _places(questions)
    groups: list[tuple[list[int], int | None]] = []
    for question in questions:
        rows = [places[answer] for answer in question.answers]
        parent = None if question.parent is None else places.get(question.parent, len(places))
        if parent is not None and parent >= rows[0]:
            raise ValueError(
                message("a parent among the answers before", "Order the questions.", parent=question.parent)
            )
        groups.append((rows, parent))
    return groups
