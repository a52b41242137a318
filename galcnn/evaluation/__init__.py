"""Scores with intervals. No Keras here."""

from galcnn.evaluation.metrics import (
    Score,
    bootstrap,
    calibration_error,
    confusion_matrix,
    evaluate,
    expected_calibration_error,
)

__all__ = [
    "Score",
    "bootstrap",
    "calibration_error",
    "confusion_matrix",
    "evaluate",
    "expected_calibration_error",
]
