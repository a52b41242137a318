"""One large image and a catalog -> many cutouts, fast and in little memory."""

from galcnn.mosaic.cutting import Cut, cut
from galcnn.mosaic.mosaic import Mosaic, MosaicFile
from galcnn.mosaic.opening import open_mosaic
from galcnn.mosaic.writing import CutReport, described_cuts, write_cuts

__all__ = ["Cut", "CutReport", "Mosaic", "MosaicFile", "cut", "described_cuts", "open_mosaic", "write_cuts"]
