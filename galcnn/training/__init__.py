"""Training of a network: the validation set decides when to stop; the test set is not used."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
