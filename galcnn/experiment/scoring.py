"""Score a trained model on the test set of its experiment: of classes, or of votes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from astropy.table import Table

from galcnn.evaluation import Score, evaluate, evaluate_votes
from galcnn.experiment.prepare import Prepared
from galcnn.prediction import Prediction, predict_images, prediction_table
from galcnn.training import class_frequency, trained_prior
from galcnn.votes import cumulative_fractions, fraction_table, observed_fractions

__all__ = ["Scored", "score"]


@dataclass(frozen=True, eq=False)
class Scored:
    """What a trained model does on the test set.

    Attributes
    ----------
    answers : mapping
        Fields of a `galcnn.model.Card`: what the network answers, and from which prior.
    scores : mapping of str to galcnn.evaluation.Score
        See `galcnn.evaluation.evaluate` and `evaluate_votes`.
    interval : str
        What their intervals are.
    table : astropy.table.Table
        The prediction of each test galaxy, beside the truth.
    """

    answers: Mapping[str, Any]
    scores: Mapping[str, Score]
    interval: str
    table: Table


def score(prepared: Prepared, model: keras.Model) -> Scored:
    """Score a model on the test set.

    Parameters
    ----------
    prepared : Prepared
        The data, of which the test side took no part in training.
    model : keras.Model
        From calibrated images to logits.

    Returns
    -------
    Scored
        Figures, and the prediction of every test galaxy.
    """
    logits = predict_images(model, prepared.sides["test"].images)
    return (_classes if prepared.dataset.votes is None else _votes)(prepared, logits)


def _classes(prepared: Prepared, logits: Any) -> Scored:
    experiment, training, test = prepared.experiment, prepared.sides["train"], prepared.sides["test"]
    prediction = Prediction(test.ids, logits, test.classes)
    labels = [test.classes[i] for i in test.labels]
    mirror = experiment.training.augmentation.mirror_of(test.classes)
    table = prediction_table(prediction)
    table.add_column(labels, name="true_class", index=1)
    answers = {
        "classes": test.classes,
        "class_prior": class_frequency(training),
        "trained_prior": trained_prior(training, experiment.training.balance, mirror),
    }
    interval = "95 % bootstrap, stratified by class; Wilson for a share of 0 or 1"
    return Scored(answers, evaluate(prediction, labels, seed=experiment.seed), interval, table)


def _votes(prepared: Prepared, logits: Any) -> Scored:
    votes, test = prepared.dataset.votes, prepared.sides["test"]
    assert votes is not None
    predicted, observed = cumulative_fractions(logits, votes), observed_fractions(test.labels, votes)
    baseline = np.nanmean(observed_fractions(prepared.sides["train"].labels, votes), axis=0)
    scores = evaluate_votes(predicted, observed, votes, baseline=baseline, seed=prepared.experiment.seed)
    table = fraction_table(test.ids, predicted, votes)
    for answer, values in zip(votes.answers, observed.T, strict=True):
        table[f"true_{answer}"] = values
    return Scored({"classes": (), "votes": votes}, scores, "95 % bootstrap", table)
