"""Training: fit a network to a training set, watched on a validation set. Never scores."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
