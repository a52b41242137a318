"""Units and zero points of images, and the instruments that took them.

Fluxes are in nJy inside the package: `parse_unit` and `ab_flux` convert units and zero points of
files and users. `Observation` holds the bands, pixel scale, depth and PSF of a survey.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
