"""Artificial redshifting: a galaxy as it would look further away.

`redshift` does it; each step is a function of its own: `magnification` and `flux_factor` say how
much smaller and fainter, `nearest_band` which band sees the same light, `matched` grids the image
and gives it the PSF of an observation, `noised` adds the noise that is missing.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
