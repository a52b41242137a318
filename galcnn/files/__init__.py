"""Files of images -> Cutout, and Cutout -> FITS."""

from galcnn.files.companions import Companions
from galcnn.files.layout import cutout_from_hdus, cutout_hdus, save_cutout
from galcnn.files.loading import load_cutout

__all__ = ["Companions", "cutout_from_hdus", "cutout_hdus", "load_cutout", "save_cutout"]
