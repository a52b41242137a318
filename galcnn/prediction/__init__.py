"""Prediction: the logits of some galaxies, and the probabilities that follow from them.

No Keras is imported here: a model is called, not made.
"""

from galcnn.prediction.logits import predict, predict_images, prior_of
from galcnn.prediction.prediction import Prediction, shannon_entropy
from galcnn.prediction.tables import (
    BLANK,
    MASKED,
    MASKED_LIMIT,
    NO_ANSWER,
    OUTSIDE,
    UNANSWERED,
    UNFIT,
    UNREADABLE,
    classes_of,
    flagged,
    prediction_table,
)

__all__ = [
    "BLANK",
    "MASKED",
    "MASKED_LIMIT",
    "NO_ANSWER",
    "OUTSIDE",
    "UNANSWERED",
    "UNFIT",
    "UNREADABLE",
    "Prediction",
    "classes_of",
    "flagged",
    "predict",
    "predict_images",
    "prediction_table",
    "prior_of",
    "shannon_entropy",
]
