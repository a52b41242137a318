"""One large image and a catalog -> many cutouts, fast and in little memory."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
