from .ceci import Morphology as Morphology
from .dask import on_dask as on_dask
from .lsdb import classify_catalog as classify_catalog
from .lsst import MorphologyTask as MorphologyTask

__all__ = [
    "Morphology",
    "MorphologyTask",
    "classify_catalog",
    "on_dask",
]
