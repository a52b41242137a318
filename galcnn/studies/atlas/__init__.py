"""An atlas of a model: pages that show what it is made of, what it sees, and how it decides."""

from galcnn.studies.atlas.galaxies import AtlasSettings
from galcnn.studies.atlas.making import make_atlas

__all__ = ["AtlasSettings", "make_atlas"]
