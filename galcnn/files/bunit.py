"""Units as headers write them in BUNIT: linear units, and logarithms of a flux.

A logarithmic value v is the flux ``reference * 10**(decades * v)``: -0.4 decades a magnitude (Pogson), 1 a
dex, 0.1 a decibel. Magnitudes are of a system: AB, 3631 Jy at 0 mag (Oke & Gunn 1983, ApJ 266, 713), ST,
3.63e-9 erg/s/cm2/Angstrom (Koornneef et al. 1986), or Vega, which differs from band to band.
"""

from __future__ import annotations

import functools
import re
import warnings
from dataclasses import dataclass

import astropy.units as u

from galcnn.photometry import parse_unit

#: Spellings that astropy does not know, or takes for another unit (A for ampere, S for siemens).
_SPELLINGS = (
    (r"(?i)janskys?\b", "Jy"),
    (r"\bJY\b|\bjy\b", "Jy"),  # but MJY and mjy may be MJy or mJy
    (r"\b(?:micro|mu)[ \-]?Jy\b|\b(?:UJY|ujy)\b", "uJy"),
    (r"\bnano[ \-]?Jy\b|\b(?:NJY|njy)\b", "nJy"),
    (r"\bmilli[ \-]?Jy\b", "mJy"),
    (r"\b[Mm]ega[ \-]?Jy\b", "MJy"),
    (r"(?i)\bnano[ \-]?magg(?:ie|y)s?\b|\bnmgy\b", "nmgy"),
    (r"(?i)\bmicro[ \-]?magg(?:ie|y)s?\b|\bumgy\b", "umgy"),
    (r"(?i)\bmagg(?:ie|y)s?\b", "mgy"),
    (r"(?i)\b(?:steradians?|sterads?|ster|str|sr)(?=\b|[\-^*\d])", "sr"),
    (r"(?i)\b(?:square|sq)[. \-]*(arcsec|arcmin|deg)(?:ond|ute|ree)?s?\b", r"\g<1>2"),
    (r"(?i)\b(arcsec|arcmin)(?:ond|ute)s?(?=\b|[\-^*\d])", r"\g<1>"),
    (r"(?i)\b(?:pixels?|px)(?=\b|[\-^*\d])", "pix"),
    (r"(?i)\bbeam(?=\b|[\-^*\d])", "beam"),
    (r"(?i)\b(electron|photon)s(?=\b|[\-^*\d])", r"\g<1>"),
    (r"\be-(?=/|\s|$)", "electron"),
    (r"(?i)\b(?:counts?|cts?)(?=\b|[\-^*\d])", "ct"),
    (r"(?i)\b(adu)s?(?=\b|[\-^*\d])", "adu"),
    (r"(?i)\bergs\b", "erg"),
    (r"\bS(?=\b|[\-^*\d])|(?i:\bsec(?:ond)?s?)(?=\b|[\-^*\d])", "s"),
    (r"(?i)\bangstroms?(?=\b|[\-^*\d])", "Angstrom"),
    (r"(?i)\s+per\s+", "/"),
)
_AB = u.Unit(3631 * u.Jy)
_MAGNITUDE = (
    r"(?:(?<![a-z])|(?<=ab)|(?<=st)|(?<=vega))mag(?:nitude)?s?(?:(?![a-z])|(?=(?:ab|st|vega)(?![a-z])))"
)
_SYSTEM = re.compile(r"(?i)(?<![a-z])(ab|st|vega)(?![a-z])|(ab|st|vega)(?=[ _\-]?mag)|(?<=mag)(ab|st|vega)")
_DECADES = ((r"dex|log(?:10)?", 1.0), (r"dbm?|decibels?", 0.1))
_NONLINEAR = re.compile(r"(?i)(?<![a-z])(ln|log2|sqrt|a(?:rc)?sinh(?:mag)?s?|luptitudes?)(?![a-z])")

#: Parts of magnitudes, in which differences are given.
_FRACTIONS = re.compile(r"(?<![a-z])(?:m|milli|c)[ \-]?mags?(?![a-z])")


@dataclass(frozen=True)
class Logarithm:
    """A unit of logarithmic values.

    Attributes
    ----------
    decades : float
        Factors of ten in flux of a value of 1.
    reference : astropy.units.UnitBase or None
        Flux of a value of 0; None if it is not stated.
    system : str
        Photometric system of magnitudes: AB, ST, Vega, or empty.
    per : astropy.units.UnitBase
        What the flux of a magnitude without reference is per: 1, arcsec2, sr ...
    """

    decades: float
    reference: u.UnitBase | None
    system: str = ""
    per: u.UnitBase = u.dimensionless_unscaled


@functools.lru_cache(maxsize=256)
def stated_unit(text: str) -> u.UnitBase | None:
    """Parse a linear unit as headers write it; None if the text is none.

    Examples
    --------
    >>> stated_unit("10**(-9) JY/PIXEL"), stated_unit("ergs/cm2/s/A"), stated_unit("mag(AB)")
    (Unit("1e-09 Jy / pix"), Unit("erg / (Angstrom s cm2)"), None)
    """
    if not text.strip() or stated_logarithm(text) is not None:
        return None
    spelled = text
    for pattern, replacement in _SPELLINGS:
        spelled = re.sub(pattern, replacement, spelled)
    if re.search(r"(?i)\berg\b", spelled):
        spelled = re.sub(r"(?i)\b(?:A|Ang)(?=\b|[\-^*\d])", "Angstrom", spelled)
    for candidate in dict.fromkeys((spelled, spelled.lower(), text, text.lower())):
        with warnings.catch_warnings():
            # "a/b/c" is discouraged in FITS but common in headers, and its meaning is clear.
            warnings.simplefilter("ignore", u.UnitsWarning)
            try:
                return _in_jansky(parse_unit(candidate))
            except (ValueError, TypeError):
                continue
    return None


@functools.lru_cache(maxsize=256)
def stated_logarithm(text: str) -> Logarithm | None:
    """Parse a unit of logarithmic values as headers write it; None if the text is none.

    Examples
    --------
    >>> found = stated_logarithm("mag(AB/arcsec2)")
    >>> round(found.decades, 1), found.reference
    (-0.4, Unit("3631 Jy / arcsec2"))
    """
    found = _of_astropy(text)
    if found is not None:
        return found
    lower = text.lower()
    if _NONLINEAR.search(lower) or _FRACTIONS.search(lower):
        return Logarithm(0.0, None)
    if re.search(_MAGNITUDE, lower):
        systems = [next(filter(None, found.groups())) for found in _SYSTEM.finditer(lower)]
        rest = _SYSTEM.sub("", re.sub(_MAGNITUDE, "", lower))
        per = stated_unit("ct " + re.sub(r"[()\[\],_]", " ", rest).strip(" -"))
        system = {"ab": "AB", "st": "ST", "vega": "Vega"}[systems[0]] if len(set(systems)) == 1 else ""
        if per is None:  # what the magnitudes are per is not understood
            return Logarithm(-0.4, None)
        return _of_system(-0.4, system, per / u.ct)
    for word, decades in _DECADES:
        found_word = re.search(rf"(?i)(?<![a-z])(?:{word})(?![a-z])", text)
        if found_word is not None:
            plain = not text[: found_word.start()].strip()
            return Logarithm(decades, stated_unit(text[found_word.end() :].strip(" ()[]")) if plain else None)
    return None


def of_system(logarithm: Logarithm, system: str) -> Logarithm:
    """Return the logarithm with the system of its magnitudes, which another card states."""
    return _of_system(logarithm.decades, system, logarithm.per)


def _of_system(decades: float, system: str, per: u.UnitBase) -> Logarithm:
    known = {"AB": _AB, "ST": u.ST}.get(system)
    return Logarithm(decades, None if known is None else known * per, system, per)


def _of_astropy(text: str) -> Logarithm | None:
    """Parse the logarithmic units that astropy writes: mag(AB), mag(AB / arcsec2), dex(Jy), dB(Jy)."""
    try:
        found = u.Unit(text)
    except (ValueError, TypeError):
        return None
    if not isinstance(found, u.function.FunctionUnitBase):
        return None
    decades = float(found.function_unit.to(u.dex))
    reference = found.physical_unit
    return Logarithm(decades, None if reference == u.dimensionless_unscaled else _in_jansky(reference))


def _in_jansky(unit: u.UnitBase) -> u.UnitBase:
    """Return a unit in which AB and maggies are 3631 Jy: astropy's AB is 3630.78 Jy, its maggies are open."""
    for base, power in zip(unit.bases, unit.powers, strict=True):
        maggies = base.to(u.mgy) if base.is_equivalent(u.mgy) else 1.0 if base is u.AB else None
        if maggies is not None:
            unit = unit / base**power * u.Unit(maggies * _AB) ** power
    return unit
