"""Catalog: what is known of many galaxies; its files, classes, votes, and matches on the sky.

`Votes` holds the questions that people were asked of a galaxy (a decision tree), and the share of
them that gave each answer.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
