"""How certain an answer is: calibrated probabilities, prediction sets, out-of-distribution warnings.

The records hold no Keras: `Calibration`, `ConformalSets`, `Domain`, and the file beside a model that
keeps them. `galcnn.uncertainty.ensembles` runs networks: dropout samples and deep ensembles.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
