"""Settings of redshifting, and the change of size and flux with redshift."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import astropy.units as u

from galcnn.errors import message
from galcnn.simulation.spectra import distances

if TYPE_CHECKING:
    from astropy.cosmology import FLRW


#: Kind of values of a cutout: flux density per frequency or per wavelength, or flux over all wavelengths
#: (nu f_nu).
Convention = Literal["f_nu", "f_lambda", "bolometric"]
CONVENTIONS: tuple[str, ...] = get_args(Convention)
_CHOICES = {
    "convention": CONVENTIONS,
    "bandpass": ("nearest", "sed", "same"),
    "noise": ("add", "whiten", "none"),
    "fill": ("refuse", "mask", "sky"),
}


def default_cosmology() -> FLRW:
    """Return the default cosmology, Planck 2018."""
    from astropy.cosmology import Planck18

    return Planck18


def magnification(z_from: float, z_to: float, *, ratio: float = 1.0, cosmology: FLRW | None = None) -> float:
    """Return the size of a galaxy at `z_to`, in pixels of the result, over its size in pixels at `z_from`.

    Parameters
    ----------
    z_from, z_to : float
        Redshifts, above zero.
    ratio : float
        Pixel scale of the input over that of the result.
    cosmology : astropy.cosmology.FLRW, optional
        Cosmology, by default `default_cosmology`.

    Returns
    -------
    float
        ``D_A(z_from) / D_A(z_to) * ratio``. D_A has its maximum near z = 1.6; beyond, galaxies appear larger.

    Raises
    ------
    ValueError
        If a redshift is not above zero.

    Examples
    --------
    >>> round(magnification(0.05, 0.3), 3)
    0.22
    """
    here, there = _distances(z_from, cosmology), _distances(z_to, cosmology)
    return here / there * ratio


def flux_factor(
    z_from: float, z_to: float, *, convention: Convention = "f_nu", cosmology: FLRW | None = None
) -> float:
    """Return the total flux of a galaxy at `z_to` over that at `z_from`, in the same rest-frame band.

    A bolometric flux scales with 1 / D_L^2, so that surface brightness decreases as (1 + z)^-4 (Tolman 1930).
    If both bands see the same part of the rest-frame spectrum, the surface brightness of a flux density
    decreases as (1 + z)^-3 per frequency and (1 + z)^-5 per wavelength (Hogg 1999, astro-ph/9905116, eq. 22
    and 23).

    Parameters
    ----------
    z_from, z_to : float
        Redshifts, above zero.
    convention : {"f_nu", "f_lambda", "bolometric"}
        Kind of flux. nJy and AB magnitudes are f_nu.
    cosmology : astropy.cosmology.FLRW, optional
        Cosmology, by default `default_cosmology`.

    Returns
    -------
    float
        Ratio of fluxes.

    Raises
    ------
    ValueError
        If a redshift is not above zero, or there is no such convention.

    Examples
    --------
    >>> import math
    >>> nu, wavelength = (flux_factor(0.05, 1, convention=c) for c in ("f_nu", "f_lambda"))
    >>> round(2.5 * math.log10(nu / wavelength), 2)  # 2 * 0.70 mag
    1.4
    """
    stretch = (1 + z_to) / (1 + z_from)
    dimming = (_distances(z_from, cosmology) / _distances(z_to, cosmology)) ** 2 * stretch**-4
    if convention == "bolometric":
        return dimming
    if convention == "f_nu":
        return dimming * stretch
    if convention == "f_lambda":
        return dimming / stretch
    raise ValueError(message(f"a convention among {CONVENTIONS}", "", convention=convention))


def _distances(redshift: float, cosmology: FLRW | None) -> float:
    """Return the angular-diameter distance, Mpc."""
    if not (redshift > 0 and math.isfinite(redshift)):
        raise ValueError(
            message("a redshift above 0", "Redshifts of zero have no distance.", redshift=redshift)
        )
    if cosmology is None:
        return distances(redshift)[0]
    return float(cosmology.angular_diameter_distance(redshift).to_value(u.Mpc))


@dataclass(frozen=True)
class Redshifting:
    """Settings of `redshift`.

    Attributes
    ----------
    convention : {"f_nu", "f_lambda", "bolometric"}
        Kind of values, see `galcnn.redshifting.settings.flux_factor`. Cutouts in nJy are f_nu.
    bandpass : {"nearest", "sed", "same"}
        Source of each observed band: the input band nearest in rest-frame wavelength, spectra fitted
        pixel by pixel, or the input band of the same name (without bandpass shift).
    max_mismatch : float
        Largest relative difference of rest-frame wavelengths for "nearest".
    evolution : float
        Brightening in magnitudes per unit of redshift, relative to the galaxy's own redshift.
    noise : {"add", "whiten", "none"}
        "add": add the noise of the observation that exceeds what remains of the input's. "whiten": the
        same, with noise as independent between pixels as possible. "none": add no noise.
    fill : {"refuse", "mask", "sky"}
        If the input's field is smaller than the output's: "refuse" raises an error, "mask" masks pixels,
        "sky" adds sky with the noise of the input.
    linear_counts : bool
        If True, accept linear values without a zero point (never 8-bit pictures).
    cosmology : astropy.cosmology.FLRW or None
        Cosmology; None is Planck 2018.

    Raises
    ------
    ValueError
        If a choice is unknown, or a number is invalid.
    """

    convention: Convention = "f_nu"
    bandpass: Literal["nearest", "sed", "same"] = "nearest"
    max_mismatch: float = 0.1
    evolution: float = 0.0
    noise: Literal["add", "whiten", "none"] = "add"
    fill: Literal["refuse", "mask", "sky"] = "refuse"
    linear_counts: bool = False
    cosmology: Any = None

    def __post_init__(self) -> None:
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise ValueError(message(f"{name} among {choices}", "", **{name: getattr(self, name)}))
        if not (math.isfinite(self.evolution) and self.max_mismatch >= 0):
            raise ValueError(
                message(
                    "a finite evolution and a mismatch of 0 or more",
                    "",
                    evolution=self.evolution,
                    max_mismatch=self.max_mismatch,
                )
            )
