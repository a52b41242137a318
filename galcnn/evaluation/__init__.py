"""Scores with intervals. No Keras here."""

from galcnn.evaluation.metrics import (
    Score,
    bootstrap,
    calibration_error,
    confusion_matrix,
    evaluate,
    exact_share,
    expected_calibration_error,
)
from galcnn.evaluation.regions import Regions, Structure, energy_shares, segmented, structure
from galcnn.evaluation.votes import evaluate_votes

__all__ = [
    "Regions",
    "Score",
    "Structure",
    "bootstrap",
    "calibration_error",
    "confusion_matrix",
    "energy_shares",
    "evaluate",
    "evaluate_votes",
    "exact_share",
    "expected_calibration_error",
    "segmented",
    "structure",
]
