"""Scores with intervals, and the verdict that follows from an interval. No Keras here."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
