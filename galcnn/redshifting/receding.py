"""How much smaller and fainter: the geometry and dimming of a galaxy that is put further away."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal, get_args

import astropy.units as u

from galcnn.errors import message
from galcnn.simulation.spectra import distances

if TYPE_CHECKING:
    from astropy.cosmology import FLRW

__all__ = ["CONVENTIONS", "Convention", "default_cosmology", "flux_factor", "magnification"]

#: What the values of a cutout are: a flux density per frequency, per wavelength, or a flux over
#: all wavelengths (nu f_nu).
Convention = Literal["f_nu", "f_lambda", "bolometric"]
CONVENTIONS: tuple[str, ...] = get_args(Convention)


def default_cosmology() -> FLRW:
    """Give the cosmology that is used where none is named.

    Returns
    -------
    astropy.cosmology.FLRW
        Planck 2018 (1807.06209), as in `galcnn.simulation`.
    """
    from astropy.cosmology import Planck18

    return Planck18


def magnification(z_from: float, z_to: float, *, ratio: float = 1.0, cosmology: FLRW | None = None) -> float:
    """Give the size of a galaxy at `z_to`, in pixels there, over its size at `z_from`, in pixels here.

    Parameters
    ----------
    z_from, z_to : float
        Redshifts above zero.
    ratio : float
        Pixel scale here over pixel scale there.
    cosmology : astropy.cosmology.FLRW, optional
        See `default_cosmology`.

    Returns
    -------
    float
        ``D_A(z_from) / D_A(z_to) * ratio``. D_A turns over near z = 1.6: beyond, galaxies grow.

    Raises
    ------
    ValueError
        A redshift is not above zero.

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
    """Give the total flux of a galaxy at `z_to` over that at `z_from`, in one rest-frame band.

    A bolometric flux goes with 1 / D_L^2, so that surface brightness falls with (1 + z)^4 (Tolman
    1930). A flux density in bands that see the same part of the rest-frame spectrum falls with
    (1 + z)^3 per frequency and with (1 + z)^5 per wavelength (Hogg 1999, astro-ph/9905116, eq. 22
    and 23).

    Parameters
    ----------
    z_from, z_to : float
        Redshifts above zero.
    convention : {"f_nu", "f_lambda", "bolometric"}
        What the flux is. nJy and AB magnitudes are f_nu.
    cosmology : astropy.cosmology.FLRW, optional
        See `default_cosmology`.

    Returns
    -------
    float
        Below 1 for a galaxy that recedes.

    Raises
    ------
    ValueError
        A redshift is not above zero, or no such convention.

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
    """Angular-diameter distance, Mpc."""
    if not (redshift > 0 and math.isfinite(redshift)):
        raise ValueError(
            message("a redshift above 0", "Redshifts of zero have no distance.", redshift=redshift)
        )
    if cosmology is None:
        return distances(redshift)[0]
    return float(cosmology.angular_diameter_distance(redshift).to_value(u.Mpc))
