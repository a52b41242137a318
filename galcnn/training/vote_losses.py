"""Losses of vote fractions or counts.

The network has one logit per answer. A softmax within each question gives the fraction of each answer
among those who were asked the question (conditional fractions).
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
    """Check that no settings for classes are used with votes."""
    if settings.label_smoothing or settings.balance != "none":
        raise ValueError(
            message(
                "label_smoothing 0 and balance 'none' to train on votes",
                "Fractions are soft labels already: --set training.label_smoothing=0.",
                label_smoothing=settings.label_smoothing,
                balance=settings.balance,
            )
        )


def vote_targets(observed: npt.ArrayLike, votes: Votes) -> npt.NDArray[np.float32]:
    """Convert votes to the targets of their loss: counts unchanged, fractions times the parent's fraction.

    The fractions of a question are normalised first, since published fractions are rounded. Their sum
    is then that of the parent answer.
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
    """Base class of vote losses; its configuration holds the decision tree of questions."""

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
    """Loss of vote fractions: cross-entropy of each question, weighted by the parent's fraction.

    The loss is the sum over questions of w sum_a f_a (-log p_a), where f are the fractions given the
    parent, w is the parent's fraction and p is the softmax of the question's logits.
    """

    def call(self, y_true: Any, y_pred: Any) -> Any:
        logits = keras.ops.cast(y_pred, "float32")
        terms = []
        for columns, _ in self.votes.groups:
            logs = keras.ops.log_softmax(logits[:, columns], axis=-1)
            terms.append(-keras.ops.sum(y_true[:, columns] * logs, axis=-1))
        return sum(terms[1:], terms[0])


@keras.saving.register_keras_serializable(package="galcnn")
class DirichletMultinomial(_VoteLoss):
    """Loss of vote counts: negative log likelihood of a Dirichlet-multinomial per question.

    The outputs of the network are the logarithms of the concentrations. Their softmax is the expected
    fraction; the larger the concentrations, the smaller the expected variance. The multinomial coefficient
    does not depend on the network and is omitted (Walmsley et al. 2022, MNRAS 509, 3966).
    """

    def call(self, y_true: Any, y_pred: Any) -> Any:
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
    """Return the loss of votes: cross-entropy for fractions, Dirichlet-multinomial for counts."""
    return DirichletMultinomial(votes) if votes.kind == "counts" else VoteCrossEntropy(votes)
