"""Simulated galaxies: a population with known truth, drawn by GalSim through any telescope.

`simulate_catalog` draws the population, `draw` one galaxy and `simulate` many. `SIMULATED` is the
telescope of the embedded survey. GalSim is imported when the first galaxy is drawn.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
