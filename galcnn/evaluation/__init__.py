"""Scores with intervals. No Keras here."""

from galcnn.evaluation.extremes import most_confident, most_uncertain, worst_mistakes
from galcnn.evaluation.metrics import (
    Score,
    bootstrap,
    calibration_error,
    confusion_matrix,
    evaluate,
    exact_share,
    expected_calibration_error,
)
from galcnn.evaluation.ranking import Ranking, ranking_table, rankings
from galcnn.evaluation.regions import Regions, Structure, energy_shares, segmented, structure
from galcnn.evaluation.votes import evaluate_votes

__all__ = [
    "Ranking",
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
    "most_confident",
    "most_uncertain",
    "ranking_table",
    "rankings",
    "segmented",
    "structure",
    "worst_mistakes",
]
