"""Simulated galaxies: a population with known properties, drawn by GalSim for any observation.

`simulate_catalog` makes a population, `draw` draws one galaxy and `simulate` many. `SIMULATED` is the
observation of the built-in survey. GalSim is imported when the first galaxy is drawn.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
