"""Artificial redshifting: images of galaxies as they would appear at a higher redshift.

`redshift` does all steps, which are also separate functions: `magnification` and `flux_factor` give the
change of size and flux, `nearest_band` the band that saw the same rest-frame light, `matched` resamples
the image and matches the PSF of an observation, `noised` adds the missing noise.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
