"""Catalogs of galaxies: tables and their files, classes, vote fractions, and matches by position.

`Votes` describes a decision tree of questions, as volunteers answer them, and the columns that hold the
votes for each answer.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
