"""Uncertainty of predictions: calibrated probabilities, prediction sets, out-of-distribution warnings.

`Calibration`, `ConformalSets`, `OutOfDistribution` and the file in the model folder that stores them are
independent of Keras. `galcnn.uncertainty.ensembles` runs networks: MC dropout and deep ensembles.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
