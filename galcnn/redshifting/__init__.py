"""Artificial redshifting: a galaxy as it would look further away.

`redshift` does it; each step is a function of its own: `magnification` and `flux_factor` say how
much smaller and fainter, `nearest_band` which band sees the same light, `matched` grids the image
and gives it the PSF of an observation, `noised` adds the noise that is missing.
"""

from galcnn.redshifting.bandpass import nearest_band, rest_wavelength
from galcnn.redshifting.noise import noised
from galcnn.redshifting.psf_matching import matched
from galcnn.redshifting.redshifting import redshift
from galcnn.redshifting.settings import Redshifting, default_cosmology, flux_factor, magnification

__all__ = [
    "Redshifting",
    "default_cosmology",
    "flux_factor",
    "magnification",
    "matched",
    "nearest_band",
    "noised",
    "redshift",
    "rest_wavelength",
]
