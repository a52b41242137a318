"""Scores with intervals, and verdicts from them. No Keras here."""

from galcnn.evaluation.intervals import (
    Criterion,
    Estimate,
    Finding,
    Score,
    Verdict,
    bootstrap,
    decide,
    estimate,
    exact_share,
    judge,
    verdict,
)
from galcnn.evaluation.metrics import calibration_error, confusion_matrix, evaluate
from galcnn.evaluation.ranking import (
    Ranking,
    most_confident,
    most_uncertain,
    ranking_table,
    rankings,
    worst_mistakes,
)
from galcnn.evaluation.segmentation import Regions, Structure, energy_shares, segmented, structure
from galcnn.evaluation.votes import evaluate_votes

__all__ = [
    "Criterion",
    "Estimate",
    "Finding",
    "Ranking",
    "Regions",
    "Score",
    "Structure",
    "Verdict",
    "bootstrap",
    "calibration_error",
    "confusion_matrix",
    "decide",
    "energy_shares",
    "estimate",
    "evaluate",
    "evaluate_votes",
    "exact_share",
    "judge",
    "most_confident",
    "most_uncertain",
    "ranking_table",
    "rankings",
    "segmented",
    "structure",
    "verdict",
    "worst_mistakes",
]
