"""Galaxies ready to train on or to classify: one reader of images, splits that keep neighbours together."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
