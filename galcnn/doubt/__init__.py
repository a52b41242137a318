"""How far an answer can be believed: calibrated probabilities, sets, scatter, and a domain warning.

No Keras in the records: `Calibration`, `ConformalSets`, `Domain` and `Doubts`, which holds them as
``doubts.json`` beside a model. Lazy, since `Uncertainty` lies beside what runs networks.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from galcnn.doubt.calibration import (
        Calibration,
        CalibrationTest,
        calibration_test,
        fit_calibration,
        reliability,
    )
    from galcnn.doubt.ensembles import Uncertainty
    from galcnn.doubt.out_of_distribution import Domain, fit_domain
    from galcnn.doubt.prediction_sets import ConformalSets, fit_conformal
    from galcnn.doubt.record import Doubts

__all__ = [
    "Calibration",
    "CalibrationTest",
    "ConformalSets",
    "Domain",
    "Doubts",
    "Uncertainty",
    "calibration_test",
    "fit_calibration",
    "fit_conformal",
    "fit_domain",
    "reliability",
]

_HOME = {
    "Calibration": "calibration",
    "CalibrationTest": "calibration",
    "ConformalSets": "prediction_sets",
    "Domain": "out_of_distribution",
    "Doubts": "record",
    "Uncertainty": "ensembles",
    "calibration_test": "calibration",
    "fit_calibration": "calibration",
    "fit_conformal": "prediction_sets",
    "fit_domain": "out_of_distribution",
    "reliability": "calibration",
}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f"galcnn.doubt.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
