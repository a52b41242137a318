"""Figures of results, and export of layers and tables to DS9, SAMP, glue and Imviz."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
