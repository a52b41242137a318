"""Predictions: logits of galaxies, and the class probabilities computed from them.

Keras is not imported here.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
