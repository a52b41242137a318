"""Prediction: the logits of some galaxies, and the probabilities that follow from them.

No Keras is imported here: a model is called, not made.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
