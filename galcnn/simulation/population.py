"""Population of simulated galaxies: distances, magnitudes and sizes.

The distributions have forms that are usual for galaxies and plausible parameters, which are stated here;
they are not fitted to any survey.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import astropy.units as u
import numpy as np
import numpy.typing as npt
from astropy.coordinates import SkyCoord

from galcnn._runtime import seeding
from galcnn.catalog import Catalog
from galcnn.errors import did_you_mean, message
from galcnn.simulation.galaxy import CLASSES, Galaxy, to_catalog
from galcnn.simulation.shapes import shape

#: Centre of the simulated patch of sky (ICRS), chosen arbitrarily.
CENTRE = SkyCoord(150.0 * u.deg, 2.0 * u.deg, frame="icrs")

#: Galaxy i is ``SPACING * sqrt(i + 1/2)`` from the centre; no two are closer than 1.5 times `SPACING`.
SPACING = 40 * u.arcsec

#: r-band luminosity function of Schechter (1976, ApJ 203, 297) with arbitrary parameters.
_M_STAR, _ALPHA = -21.2, -1.05

#: Counts rise as 10**(slope * mag): flatter than the Euclidean 0.6, for more bright galaxies.
_COUNTS_SLOPE = 0.3

#: Standard deviation of log10(size) about the median, dex.
_SIZE_SCATTER = 0.12

_GOLDEN_ANGLE = math.pi * (3 - math.sqrt(5))


def simulate_catalog(
    n: int,
    *,
    seed: int,
    classes: Sequence[str] = CLASSES,
    redshift_range: tuple[float, float] = (0.02, 0.09),
    magnitude_range: tuple[float, float] = (14.0, 18.0),
) -> Catalog:
    """Simulate a catalog of galaxies.

    Row i has its own random stream, so it is the same in a catalog of any length. Classes alternate in the
    given order. Magnitudes are drawn from counts proportional to ``10**(0.3 mag)`` in `magnitude_range`;
    redshifts, given the magnitude, from comoving volume times the Schechter function (M* = -21.2,
    alpha = -1.05, without K correction) in `redshift_range`; sizes from `half_light_radius_kpc` with a
    log-normal scatter of 0.12 dex; shapes from `galcnn.simulation.shapes`. Positions form a sunflower spiral
    around `CENTRE`.

    Parameters
    ----------
    n : int
        Number of galaxies.
    seed : int
        Seed of the population.
    classes : sequence of str
        Classes, from `CLASSES`, which alternate in this order.
    redshift_range : tuple of float
        Lowest and highest redshift.
    magnitude_range : tuple of float
        Brightest and faintest r magnitude (AB).

    Returns
    -------
    Catalog
        Catalog with one column per field of `Galaxy`.

    Raises
    ------
    ValueError
        If a number or range is invalid, or a class is unknown.
    ImportError
        If GalSim is not installed.

    Examples
    --------
    >>> few, many = simulate_catalog(3, seed=1), simulate_catalog(30, seed=1)
    >>> bool((few.table == many.table[:3]).all())
    True
    >>> few.labels.tolist()
    ['elliptical', 'spiral', 'barred_spiral']
    """
    _check_request(n, classes, redshift_range, magnitude_range)
    galaxies = []
    for i in range(n):
        name = f"sim{seed}-{i:06d}"
        rng = seeding.generator(seed, "galaxy", i)
        morphology = classes[i % len(classes)]
        mag = _magnitude(rng.random(), *magnitude_range)
        redshift, modulus, kpc_per_arcsec = _redshift(rng.random(), mag, *redshift_range)
        fields = shape(morphology, rng)
        radius = half_light_radius_kpc(mag - modulus, early=morphology == "elliptical")
        radius *= 10 ** rng.normal(0, _SIZE_SCATTER)
        ra, dec = place(i)
        galaxies.append(
            Galaxy(
                id=name,
                ra=ra,
                dec=dec,
                redshift=redshift,
                morphology=morphology,
                mag_r=mag,
                half_light_radius=radius / kpc_per_arcsec,
                position_angle=float(rng.uniform(0, 180)),
                structure_seed=int(rng.integers(1, 2**31 - 1)),
                **fields,
            )
        )
    meta: Mapping[str, Any] = {
        "origin": "galcnn.simulation",
        "seed": seed,
        "redshift_range": list(redshift_range),
        "magnitude_range": list(magnitude_range),
    }
    return to_catalog(galaxies, meta=meta)


def half_light_radius_kpc(absolute_magnitude: float, *, early: bool) -> float:
    """Return the median half-light radius, kpc, of simulated galaxies of an absolute magnitude.

    Early types follow R ~ L^0.65; late types R ~ L^0.26 far below and L^0.51 far above M = -20.9.
    The parameters are arbitrary, similar to those of Shen et al. (2003, MNRAS 343, 978).

    >>> round(half_light_radius_kpc(-20.9, early=False), 2)
    3.5
    """
    brighter = 0.4 * (-20.9 - absolute_magnitude)
    if early:
        return float(2.6 * 10 ** (0.65 * brighter))
    # Both slopes meet smoothly at M = -20.9.
    return float(3.5 * 10 ** (0.26 * brighter) * ((1 + 10**brighter) / 2) ** 0.25)


def place(i: int) -> tuple[float, float]:
    """Return RA and Dec (ICRS, deg) of galaxy i."""
    # A sunflower spiral (Vogel 1979) fills a disc evenly, whatever its size, so positions do not depend on
    # the number of galaxies.
    angle = i * _GOLDEN_ANGLE % (2 * math.pi)
    distance = float(SPACING.to_value(u.rad)) * math.sqrt(i + 0.5)
    dec0 = float(CENTRE.dec.rad)
    # Spherical triangle with the pole, in plain numbers: one SkyCoord per galaxy would be slow.
    east, north = math.sin(distance) * math.sin(angle), math.sin(distance) * math.cos(angle)
    dec = math.asin(math.sin(dec0) * math.cos(distance) + math.cos(dec0) * north)
    shift = math.atan2(east, math.cos(dec0) * math.cos(distance) - math.sin(dec0) * north)
    return (float(CENTRE.ra.deg) + math.degrees(shift)) % 360, math.degrees(dec)


def patch_radius(n: int) -> u.Quantity:
    """Return the radius around `CENTRE` that contains n galaxies: half a spacing beyond the outermost."""
    return SPACING * (math.sqrt(n) + 0.5)


def _magnitude(chance: float, bright: float, faint: float) -> float:
    low, high = 10 ** (_COUNTS_SLOPE * bright), 10 ** (_COUNTS_SLOPE * faint)
    return math.log10(low + chance * (high - low)) / _COUNTS_SLOPE


def _redshift(chance: float, mag: float, low: float, high: float) -> tuple[float, float, float]:
    """Return redshift, distance modulus and kpc per arcsec of a galaxy of a given magnitude."""
    redshifts, volume, modulus, scale = _cosmology(low, high)
    luminosity = 10 ** (-0.4 * (mag - modulus - _M_STAR))
    density = volume * luminosity ** (_ALPHA + 1) * np.exp(-luminosity)
    steps = (density[1:] + density[:-1]) * np.diff(redshifts)
    if not steps.sum() > 0:
        # Too bright for any redshift in range: the Schechter function underflows, so use the lowest redshift.
        return low, float(modulus[0]), float(scale[0])
    cumulative = np.concatenate([[0.0], np.cumsum(steps)]) / steps.sum()
    redshift = float(np.interp(chance, cumulative, redshifts))
    return (
        redshift,
        float(np.interp(redshift, redshifts, modulus)),
        float(np.interp(redshift, redshifts, scale)),
    )


@functools.lru_cache(maxsize=16)
def _cosmology(low: float, high: float) -> tuple[npt.NDArray[np.float64], ...]:
    from astropy.cosmology import Planck18

    redshifts = np.linspace(low, high, 256)
    volume = Planck18.differential_comoving_volume(redshifts).value
    modulus = Planck18.distmod(redshifts).value
    scale = (Planck18.angular_diameter_distance(redshifts) * u.arcsec).to_value(
        u.kpc, equivalencies=u.dimensionless_angles()
    )
    return redshifts, volume, modulus, scale


def _check_request(
    n: int,
    classes: Sequence[str],
    redshift_range: tuple[float, float],
    magnitude_range: tuple[float, float],
) -> None:
    if n < 1:
        raise ValueError(message("at least one galaxy", "", n=n))
    unknown = [name for name in classes if name not in CLASSES]
    if unknown or not classes or isinstance(classes, str):
        raise ValueError(
            message(
                f"some of the classes {CLASSES}",
                did_you_mean(unknown[0], CLASSES) if unknown else "",
                classes=classes,
            )
        )
    if not 0 < redshift_range[0] < redshift_range[1]:
        raise ValueError(message("0 < low < high", "", redshift_range=redshift_range))
    if not -math.inf < magnitude_range[0] < magnitude_range[1] < math.inf:
        raise ValueError(message("bright < faint", "", magnitude_range=magnitude_range))
