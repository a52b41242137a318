"""Spectra and passbands of simulated galaxies: the flux of a rest-frame SED in a band at a redshift.

Templates are E, Sbc, Scd and Im of Coleman, Wu & Weedman (1980, ApJS 43, 393), and passbands are those
of LSST and of HST's ACS and WFC3, all as shipped with GalSim.
"""

from __future__ import annotations

import functools
import math
from types import ModuleType
from typing import Any

import numpy as np

from galcnn.errors import message

#: Templates, ordered from old to young.
SEDS = ("E", "Sbc", "Scd", "Im")

_LSST = {band: f"LSST_{band}.dat" for band in "ugrizy"}
_ACS = {f"F{n}W": f"ACS_wfc_F{n}W.dat" for n in (435, 606, 775, 814)} | {"F850LP": "ACS_wfc_F850LP.dat"}
_WFC3 = {f"F{n}W": f"WFC3_ir_F{n}W.dat" for n in (105, 125, 160)}
_FILES = _LSST | _ACS | _WFC3

#: Bands that can be simulated: LSST by letter, ACS/WFC and WFC3/IR by filter.
BANDS = tuple(_FILES)

#: Spectra are normalised to AB flux 1 in this band at redshift 0.
_REFERENCE = "r"


def galsim() -> ModuleType:
    """Import and return the module `galsim`."""
    try:
        import galsim as module
    except ImportError as error:
        raise ImportError(
            message(
                "GalSim, which draws the simulated galaxies",
                "Install galsim; on Windows, which has no wheel of it, work under WSL.",
                error=str(error),
            )
        ) from error
    return module  # type: ignore[no-any-return]


@functools.cache
def bandpass(band: str) -> Any:
    """Return the throughput of a band of `BANDS` as a GalSim bandpass in nm."""
    if band not in _FILES:
        raise ValueError(
            message(f"bands among {', '.join(BANDS)}", "Simulate the nearest one of these.", band=band)
        )
    return galsim().Bandpass(_FILES[band], wave_type="nm")


@functools.cache
def sed(name: str) -> Any:
    """Return a rest-frame spectrum, normalised to unit AB flux (1 nJy) in r at redshift 0."""
    # In photons/nm/cm^2/s, up to a constant common to all templates.
    if name not in SEDS:
        raise ValueError(message(f"a spectrum among {SEDS}", "", sed=name))
    raw = galsim().SED(f"CWW_{name}_ext.sed", wave_type="Ang", flux_type="flambda")
    return raw / _ab_flux(raw, _REFERENCE, 0.0)


@functools.lru_cache(maxsize=1 << 15)
def band_flux(name: str, band: str, redshift: float) -> float:
    """Return the AB flux of a spectrum in a band, without dimming by distance.

    With L the photon luminosity per wavelength, photons arrive as L(wave / (1 + z)) / (4 pi D_L^2).
    This is the average of that numerator in the band, in units of a source of constant f_nu. The flux
    ratio of one galaxy at two redshifts is therefore ``band_flux(z2) / band_flux(z1) *
    (D_L(z1) / D_L(z2))**2``, K correction included (Hogg et al. 2002, astro-ph/0210394).

    >>> round(band_flux("E", "r", 0.0), 6)
    1.0
    >>> band_flux("E", "g", 0.3) < band_flux("Im", "g", 0.3)  # the 4000 A break has moved into g
    True
    """
    return _ab_flux(sed(name), band, redshift)


@functools.lru_cache(maxsize=1 << 15)
def distances(redshift: float) -> tuple[float, float]:
    """Return angular-diameter and luminosity distance, Mpc, in the Planck 2018 cosmology."""
    if not (redshift > 0 and math.isfinite(redshift)):
        raise ValueError(message("a redshift above 0", "", redshift=redshift))
    from astropy.cosmology import Planck18

    angular = float(Planck18.angular_diameter_distance(redshift).to_value("Mpc"))
    return angular, angular * (1 + redshift) ** 2


def _ab_flux(spectrum: Any, band: str, redshift: float) -> float:
    throughput = bandpass(band)
    # Both curves are linear between these wavelengths; the even steps integrate their product.
    seen = np.asarray(spectrum.wave_list) * (1 + redshift)
    even = np.linspace(throughput.blue_limit, throughput.red_limit, 512)
    wave = np.unique(np.concatenate([throughput.wave_list, even, seen]))
    wave = wave[(wave >= throughput.blue_limit) & (wave <= throughput.red_limit)]
    weight = throughput(wave)
    detected = np.trapezoid(spectrum(wave / (1 + redshift)) * weight, wave)
    # For constant f_nu, photons/nm are proportional to 1/wave.
    return float(detected / np.trapezoid(weight / wave, wave))
