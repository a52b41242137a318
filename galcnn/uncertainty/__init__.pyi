from .calibration import calibration_test as calibration_test
from .calibration import fit_calibration as fit_calibration
from .calibration import reliability as reliability
from .ensembles import Uncertainty as Uncertainty
from .ensembles import ensemble as ensemble
from .ensembles import mc_dropout as mc_dropout
from .out_of_distribution import fit_out_of_distribution as fit_out_of_distribution
from .out_of_distribution import image_measures as image_measures
from .prediction_sets import fit_conformal as fit_conformal
from .record import UncertaintyRecord as UncertaintyRecord

__all__ = [
    "UncertaintyRecord",
    "Uncertainty",
    "calibration_test",
    "ensemble",
    "fit_calibration",
    "fit_conformal",
    "fit_out_of_distribution",
    "image_measures",
    "mc_dropout",
    "reliability",
]
