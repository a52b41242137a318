"""What lies between a galaxy and its image: the level of the sky, and dust of our own Galaxy.

Both steps give a new cutout and are listed in its ``meta["foreground"]``.
"""

from galcnn.foreground.dust import correct_extinction, extinction_coefficients
from galcnn.foreground.maps import ebv_of_map
from galcnn.foreground.sky import SkyLevel, estimate_sky, remove_sky

__all__ = [
    "SkyLevel",
    "correct_extinction",
    "ebv_of_map",
    "estimate_sky",
    "extinction_coefficients",
    "remove_sky",
]
