"""Simulated galaxies: a population with known truth, drawn by GalSim through any telescope.

`simulate_catalog` draws the population, `draw` one galaxy and `simulate` many. `SIMULATED` is the
telescope of the embedded survey. GalSim is imported when the first galaxy is drawn.
"""

from galcnn.simulation.batch import simulate
from galcnn.simulation.drawing import draw, model_image
from galcnn.simulation.galaxy import CLASSES, Galaxy, from_catalog, to_catalog
from galcnn.simulation.population import simulate_catalog
from galcnn.simulation.spectra import BANDS
from galcnn.simulation.telescope import SIMULATED

__all__ = [
    "BANDS",
    "CLASSES",
    "SIMULATED",
    "Galaxy",
    "draw",
    "from_catalog",
    "model_image",
    "simulate",
    "simulate_catalog",
    "to_catalog",
]
