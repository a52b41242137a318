"""Files of images -> Cutout, and Cutout -> FITS."""

from galcnn.files.companions import Companions
from galcnn.files.layout import cutout_from_hdus, cutout_hdus, save_cutout
from galcnn.files.loading import load_bands, load_cutout
from galcnn.files.several import files_of, load_files
from galcnn.files.treating import Treatment, calibrate, treat

__all__ = [
    "Companions",
    "Treatment",
    "calibrate",
    "cutout_from_hdus",
    "cutout_hdus",
    "files_of",
    "load_bands",
    "load_cutout",
    "load_files",
    "save_cutout",
    "treat",
]
