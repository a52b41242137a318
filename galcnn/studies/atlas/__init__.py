"""An atlas of a model: pages that show what it is made of, what it sees, and how it decides."""

from galcnn.studies.atlas.subject import AtlasSettings
from galcnn.studies.atlas.writing import make_atlas

__all__ = ["AtlasSettings", "make_atlas"]
