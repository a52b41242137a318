"""How far an answer can be believed: calibrated probabilities, sets, scatter, and a domain warning.

No Keras in the records: `Calibration`, `ConformalSets`, `Domain` and `Doubts`, which holds them as
``doubts.json`` beside a model. `sampling` and `embedding` run networks and are imported by name.
"""

from galcnn.doubt.calibration import (
    Calibration,
    CalibrationTest,
    calibration_test,
    fit_calibration,
    reliability,
)
from galcnn.doubt.conformal import ConformalSets, fit_conformal
from galcnn.doubt.domain import Domain, fit_domain
from galcnn.doubt.doubts import Doubts
from galcnn.doubt.uncertainty import Uncertainty

__all__ = [
    "Calibration",
    "ConformalSets",
    "Domain",
    "Doubts",
    "CalibrationTest",
    "Uncertainty",
    "fit_calibration",
    "fit_conformal",
    "fit_domain",
    "reliability",
    "calibration_test",
]
