"""Units and zero points: conversion to nJy per pixel, and units for values that are not flux.

1 nanomaggy is 3631 nJy (AB zero point 22.5); FITS has no nanomaggy, so galcnn stores nJy.
"""

from __future__ import annotations

from dataclasses import dataclass

import astropy.units as u
import numpy as np

from galcnn.errors import message

#: 8-bit colour pictures (JPEG, PNG): stretched and clipped, not proportional to flux.
DISPLAY: u.UnitBase = u.def_unit("display", doc="8-bit display value, 0 to 255; not a flux")
#: Linear or unknown pixel values without a zero point.
UNCALIBRATED: u.UnitBase = u.def_unit("uncalibrated", doc="pixel value without a zero point")
#: Flux unit of SDSS and the Legacy Surveys; 1 is AB magnitude 22.5.
NANOMAGGY: u.UnitBase = u.def_unit("nanomaggy", 3631 * u.nJy)


@dataclass(frozen=True)
class VegaOffset:
    """Offset from Vega to AB magnitudes.

    Attributes
    ----------
    magnitude : float
        AB minus Vega magnitude.
    source : str
        Publication.
    """

    magnitude: float
    source: str


_BLANTON = "Blanton & Roweis 2007, AJ 133, 734"
_WISE = "WISE All-Sky Explanatory Supplement, IV.4.h"
#: Offsets by survey and band.
VEGA_TO_AB = {
    "2MASS J": VegaOffset(0.91, _BLANTON),
    "2MASS H": VegaOffset(1.39, _BLANTON),
    "2MASS K": VegaOffset(1.85, _BLANTON),
    "WISE W1": VegaOffset(2.699, _WISE),
    "WISE W2": VegaOffset(3.339, _WISE),
    "WISE W3": VegaOffset(5.174, _WISE),
    "WISE W4": VegaOffset(6.620, _WISE),
}


def ab_flux(magnitude: float) -> float:
    """Return the flux density of an AB magnitude; for a zero point, that of one count.

    Parameters
    ----------
    magnitude : float
        AB magnitude.

    Returns
    -------
    float
        Flux density in nJy, ``3631e9 * 10**(-0.4 * magnitude)`` (Oke & Gunn 1983, ApJ 266, 713).

    Raises
    ------
    ValueError
        If the magnitude is not finite.

    Examples
    --------
    >>> round(ab_flux(22.5), 6)
    3631.0
    """
    if not np.isfinite(magnitude):
        raise ValueError(message("a finite AB magnitude", "", magnitude=magnitude))
    return float(3631e9 * 10 ** (-0.4 * magnitude))


def ab_magnitude(flux: float) -> float:
    """Return the AB magnitude of a flux density.

    Parameters
    ----------
    flux : float
        Flux density in nJy.

    Returns
    -------
    float
        AB magnitude; NaN if the flux is not positive.

    Examples
    --------
    >>> round(ab_magnitude(3631.0), 4)
    22.5
    """
    return float(-2.5 * np.log10(flux / 3631e9)) if flux > 0 else float("nan")


def parse_unit(text: str) -> u.UnitBase:
    """Parse a unit, including galcnn's `display`, `uncalibrated` and `nanomaggy`.

    Parameters
    ----------
    text : str
        A unit string of astropy, or one of galcnn's three (also ``nanomaggies``, ``nmgy``; case is ignored).

    Returns
    -------
    astropy.units.UnitBase
        Parsed unit.

    Raises
    ------
    ValueError
        If there is no such unit, or it is logarithmic (mag, dex, dB), so that its values are not linear.
    """
    own = {unit.name: unit for unit in (DISPLAY, UNCALIBRATED, NANOMAGGY)}
    own |= {"nanomaggies": NANOMAGGY, "nmgy": NANOMAGGY}
    known = own.get(text.strip().lower())
    if known is not None:
        return known
    try:
        unit = u.Unit(text)
    except ValueError as error:
        raise ValueError(
            message("a unit that astropy knows", "Give the unit yourself.", unit=text)
        ) from error
    if is_logarithmic(unit):
        raise ValueError(message("a linear unit", "Convert the values to a flux.", unit=text))
    return unit


def is_logarithmic(unit: object) -> bool:
    """Return True for magnitudes, dex and decibels, also within a unit."""
    if isinstance(unit, u.function.FunctionUnitBase):
        return True
    return any(base.is_equivalent(u.dex) for base in getattr(unit, "bases", ()))


def is_count(unit: u.UnitBase) -> bool:
    """Return True for counts of a detector, in a pixel or a second or not, and for numbers without unit."""
    if unit == UNCALIBRATED:
        return True
    names = ("ct", "adu", "DN", "electron", "ph")
    others = [base for base in unit.bases if getattr(base, "name", "") not in names]
    beside = all(base.is_equivalent(u.s) or base.is_equivalent(u.pix) for base in others)
    return beside and (len(others) < len(unit.bases) or not others)
