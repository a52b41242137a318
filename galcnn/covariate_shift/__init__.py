"""Does the answer change because the galaxy is further away? Covariate shift, measured and met."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
