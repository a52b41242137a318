"""Why a network does not learn: checks before training, initialisation, gradients, loss landscape."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
