"""Prediction: the logits of some galaxies, and the probabilities that follow from them.

No Keras is imported here: a model is called, not made.
"""

from galcnn.prediction.files import (
    BLANK,
    MASKED,
    MASKED_LIMIT,
    OUTSIDE,
    UNANSWERED,
    UNFIT,
    UNREADABLE,
    Answers,
    classify_files,
    flagged,
    predict_files,
    prediction_table,
)
from galcnn.prediction.prediction import Prediction, shannon_entropy
from galcnn.prediction.prior import prior_of
from galcnn.prediction.running import predict, predict_images

__all__ = [
    "BLANK",
    "MASKED",
    "MASKED_LIMIT",
    "OUTSIDE",
    "UNANSWERED",
    "UNFIT",
    "UNREADABLE",
    "Answers",
    "Prediction",
    "classify_files",
    "flagged",
    "predict",
    "predict_files",
    "predict_images",
    "prediction_table",
    "prior_of",
    "shannon_entropy",
]
