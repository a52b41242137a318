from .batch import simulate as simulate
from .concepts import CONCEPTS as CONCEPTS
from .concepts import concept_pairs as concept_pairs
from .drawing import draw as draw
from .galaxy import CLASSES as CLASSES
from .galaxy import Galaxy as Galaxy
from .galaxy import from_catalog as from_catalog
from .galaxy import to_catalog as to_catalog
from .population import simulate_catalog as simulate_catalog
from .telescope import SIMULATED as SIMULATED
from .telescope import psf_planes as psf_planes
from .telescope import telescope_of as telescope_of

__all__ = [
    "CLASSES",
    "CONCEPTS",
    "Galaxy",
    "SIMULATED",
    "concept_pairs",
    "draw",
    "from_catalog",
    "psf_planes",
    "simulate",
    "simulate_catalog",
    "telescope_of",
    "to_catalog",
]
