"""Scores with confidence intervals, and verdicts derived from them; independent of Keras."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
