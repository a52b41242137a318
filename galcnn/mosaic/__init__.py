"""One large image and a catalog -> many cutouts, fast and in little memory."""

from galcnn.mosaic.cutting import Cut, cut
from galcnn.mosaic.mosaic import Mosaic, MosaicFile, open_mosaic

__all__ = ["Cut", "Mosaic", "MosaicFile", "cut", "open_mosaic"]
