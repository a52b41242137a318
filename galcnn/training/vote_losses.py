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
    """Refuse settings that mean something for classes alone."""
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
    """Turn votes into the targets of their loss: counts as they are, fractions times the parent's.

    The sum of fractions within a question is then exactly the parent's, as published sums, which
    are rounded, are not.
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
    """Loss of counts: minus the log likelihood of a Dirichlet-multinomial for each question.

    Outputs are the logarithms of its concentrations: their softmax is the expected fraction, their
    size says how sure the network is. The binomial coefficients, which no parameter moves, are left
    out (Walmsley et al. 2022, MNRAS 509, 3966).
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
    """Choose the loss of votes: cross-entropy of fractions, likelihood of counts."""
    return VoteCrossEntropy(votes) if votes.kind == "fractions" else DirichletMultinomial(votes)
