"""Vote fractions or counts as targets: their losses.

The network has one logit an answer, softmaxed within each question, so it says what share of
those who were asked gives each answer (the conditional fractions).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from galcnn.catalog import Votes
from galcnn.errors import message
from galcnn.training.settings import TrainingSettings


def check_vote_settings(settings: TrainingSettings) -> None:
    """Refuse settings that mean something for classes alone.

    Parameters
    ----------
    settings : TrainingSettings
        Of a training on votes.

    Raises
    ------
    ValueError
        Labels are smoothed or classes balanced.
    """
    if settings.label_smoothing or settings.balance != "none":
        raise ValueError(
            message(
                "label_smoothing 0 and balance 'none' to train on votes",
                "Fractions are soft already, and of no class: say so in [training].",
                label_smoothing=settings.label_smoothing,
                balance=settings.balance,
            )
        )


def vote_targets(observed: npt.ArrayLike, votes: Votes) -> npt.NDArray[np.float32]:
    """Turn votes into the targets of their loss.

    Parameters
    ----------
    observed : array-like
        Shape (n, n_answers), of `galcnn.catalog.read_votes`.
    votes : galcnn.catalog.Votes
        In the order of the columns.

    Returns
    -------
    numpy.ndarray
        float32, shape (n, n_answers). Counts as they are. Of fractions: the fraction given the
        parent, times the parent's fraction as the weight of the question: the cumulative fraction,
        but with a sum within each question that is exactly the parent's. Published sums are
        rounded. Zeros where a question was not asked.

    Raises
    ------
    ValueError
        The columns do not fit the questions, or a number is negative or infinite.
    """
    found = np.array(observed, dtype=np.float64)
    if found.ndim != 2 or found.shape[1] != len(votes.answers) or np.isinf(found).any() or (found < 0).any():
        raise ValueError(
            message(f"votes of 0 or more, shape (n, {len(votes.answers)})", "", shape=found.shape)
        )
    found[np.isnan(found)] = 0.0  # not asked
    if votes.kind == "counts":
        return found.astype(np.float32)
    targets = np.zeros(found.shape)
    for columns, parent in votes.groups:
        part = found[:, columns]
        total = part.sum(axis=1, keepdims=True)
        share = np.divide(part, total, out=np.zeros_like(part), where=total > 0)
        targets[:, columns] = share if parent is None else share * found[:, [parent]]
    return targets.astype(np.float32)


class _VoteLoss(keras.losses.Loss):
    """Base: the tree of questions, saved with a compiled model."""

    def __init__(
        self, votes: Votes | Mapping[str, Any], reduction: str | None = "sum_over_batch_size", **kwargs: Any
    ) -> None:
        super().__init__(reduction=reduction, **kwargs)
        self.votes = votes if isinstance(votes, Votes) else Votes.from_dict(votes)

    def get_config(self) -> dict[str, Any]:
        config: dict[str, Any] = super().get_config()
        return config | {"votes": asdict(self.votes)}


@keras.saving.register_keras_serializable(package="galcnn")
class VoteCrossEntropy(_VoteLoss):
    """Loss of fractions without counts: soft cross-entropy, weighted by the parent.

    sum over questions of w sum_a f_a (-log p_a), with f the fractions given the parent, w the
    parent's fraction and p the softmax of the question's logits.

    Parameters
    ----------
    votes : galcnn.catalog.Votes
        In the order of the logits.
    reduction : str or None
        Of `keras.losses.Loss`; None gives the loss of each galaxy.
    **kwargs
        Of `keras.losses.Loss`.
    """

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Give the loss of each galaxy.

        Parameters
        ----------
        y_true : tensor
            From `vote_targets`, shape (n, n_answers).
        y_pred : tensor
            Logits, of the same shape.

        Returns
        -------
        tensor
            float32, shape (n,).
        """
        logits = keras.ops.cast(y_pred, "float32")
        terms = []
        for columns, _ in self.votes.groups:
            logs = keras.ops.log_softmax(logits[:, columns], axis=-1)
            terms.append(-keras.ops.sum(y_true[:, columns] * logs, axis=-1))
        return sum(terms[1:], terms[0])


@keras.saving.register_keras_serializable(package="galcnn")
class DirichletMultinomial(_VoteLoss):
    """Loss of counts: minus the log likelihood of a Dirichlet-multinomial for each question.

    With counts k of N votes and concentrations alpha of sum A:
    log G(A + N) - log G(A) - sum_a [log G(alpha_a + k_a) - log G(alpha_a)], without the binomial
    coefficients, which no parameter moves (Walmsley et al. 2022, MNRAS 509, 3966). The network's
    outputs are the logarithms of alpha: their softmax is the expected fraction, their size says how
    sure it is. A question that nobody was asked weighs nothing.

    Parameters
    ----------
    votes : galcnn.catalog.Votes
        In the order of the outputs.
    reduction : str or None
        Of `keras.losses.Loss`; None gives the loss of each galaxy.
    **kwargs
        Of `keras.losses.Loss`.
    """

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Give the loss of each galaxy.

        Parameters
        ----------
        y_true : tensor
            Counts, shape (n, n_answers).
        y_pred : tensor
            Logarithms of the concentrations, of the same shape.

        Returns
        -------
        tensor
            float32, shape (n,).
        """
        alpha = tf.exp(tf.cast(y_pred, tf.float32))
        counts = tf.cast(y_true, tf.float32)
        terms = []
        for columns, _ in self.votes.groups:
            a, k = alpha[:, columns], counts[:, columns]
            total, n = tf.reduce_sum(a, axis=-1), tf.reduce_sum(k, axis=-1)
            each = tf.reduce_sum(tf.math.lgamma(a + k) - tf.math.lgamma(a), axis=-1)
            terms.append(tf.math.lgamma(total + n) - tf.math.lgamma(total) - each)
        return tf.add_n(terms)


def loss_of_votes(votes: Votes) -> keras.losses.Loss:
    """Choose the loss of votes: cross-entropy of fractions, likelihood of counts.

    Parameters
    ----------
    votes : galcnn.catalog.Votes
        In the order of the logits.

    Returns
    -------
    keras.losses.Loss
        Of targets of `vote_targets` and logits; for `Model.compile`.
    """
    return VoteCrossEntropy(votes) if votes.kind == "fractions" else DirichletMultinomial(votes)
