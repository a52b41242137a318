"""Files of images -> Cutout, and Cutout -> FITS."""

from galcnn.files.companions import Companions
from galcnn.files.layout import cutout_from_hdus, cutout_hdus, save_cutout
from galcnn.files.loading import Treatment, calibrate, load_bands, load_cutout, treat

__all__ = [
    "Companions",
    "Treatment",
    "calibrate",
    "cutout_from_hdus",
    "cutout_hdus",
    "load_bands",
    "load_cutout",
    "save_cutout",
    "treat",
]
