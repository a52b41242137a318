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
from galcnn.evaluation.regions import Regions, energy_shares, segmented

__all__ = [
    "Regions",
    "Score",
    "bootstrap",
    "calibration_error",
    "confusion_matrix",
    "energy_shares",
    "evaluate",
    "exact_share",
    "expected_calibration_error",
    "segmented",
]
