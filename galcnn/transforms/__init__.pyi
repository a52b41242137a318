from .alignment import align as align
from .alignment import combine as combine
from .background import estimate_sky as estimate_sky
from .background import remove_sky as remove_sky
from .cropping import crop as crop
from .cropping import crop_width as crop_width
from .cropping import fit as fit
from .cropping import pad as pad
from .extinction import correct_extinction as correct_extinction
from .extinction import ebv_of_map as ebv_of_map
from .extinction import extinction_coefficients as extinction_coefficients
from .petrosian import petrosian_radius as petrosian_radius
from .resampling import resample as resample
from .rgb import display_rgb as display_rgb
from .rgb import render as render

__all__ = [
    "align",
    "combine",
    "correct_extinction",
    "crop",
    "crop_width",
    "display_rgb",
    "ebv_of_map",
    "estimate_sky",
    "extinction_coefficients",
    "fit",
    "pad",
    "petrosian_radius",
    "remove_sky",
    "render",
    "resample",
]
