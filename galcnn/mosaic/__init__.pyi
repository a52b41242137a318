from .cutting import Cut as Cut
from .cutting import cut as cut
from .mosaic import Mosaic as Mosaic
from .mosaic import MosaicFile as MosaicFile
from .opening import open_mosaic as open_mosaic
from .writing import write_cuts as write_cuts

__all__ = [
    "Cut",
    "Mosaic",
    "MosaicFile",
    "cut",
    "open_mosaic",
    "write_cuts",
]
