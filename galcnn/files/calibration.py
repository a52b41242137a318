"""What a FITS header says of its pixels: band, survey, unit, zero point. Nothing is guessed.

A rule of calibration is one function ``header -> Calibration | None``; the first that is
certain wins. A file that no rule knows keeps the unit it states, or none.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import astropy.units as u
import numpy as np
from astropy.io import fits

from galcnn.photometry import UNCALIBRATED, ab_flux, ab_magnitude, parse_unit

__all__ = ["Calibration", "band_names", "calibration_of", "flux_unit", "survey_of"]


_PIPELINES: tuple[tuple[str, Callable[[fits.Header], bool]], ...] = (
    ("SDSS", lambda header: _text(header, "ORIGIN") == "SDSS"),
    ("DES", lambda header: "DES_EXT" in header),
    ("HSC", lambda header: "HSCPIPE_VERSION" in header),
    ("Pan-STARRS", lambda header: "TESS_ID" in header and "SKYCELL" in header),
)


@dataclass(frozen=True)
class Calibration:
    """What turns the numbers of a file into `unit`.

    Attributes
    ----------
    unit : astropy.units.UnitBase
        nJy where the header is certain; else what it states, or uncalibrated.
    factor : float
        Times the number in the file.
    source : str
        The cards this rests on.
    """

    unit: u.UnitBase
    factor: float
    source: str

    def facts(self) -> dict[str, object]:
        """Give what the meta of a cutout says of this.

        Returns
        -------
        dict
            The cards, and the AB magnitude of a number 1 in the file.
        """
        if self.unit != u.nJy:
            return {"calibration": self.source}
        return {
            "calibration": self.source,
            "zero_point_ab": round(ab_magnitude(self.factor), 6),
        }


def calibration_of(header: fits.Header, pixel_scale: float | None) -> Calibration:
    """Find unit and factor of an image.

    Parameters
    ----------
    header : astropy.io.fits.Header
        Of the image, with what it inherits from the primary header.
    pixel_scale : float or None
        Arcsec, of the WCS: the Legacy Surveys' resampled pixels are no flux.

    Returns
    -------
    Calibration
        To nJy where the header is certain.

    Examples
    --------
    >>> calibration_of(fits.Header({"BUNIT": "nanomaggy"}), None)
    Calibration(unit=Unit("nJy"), factor=3631.0, source='BUNIT = nanomaggy')
    >>> calibration_of(fits.Header({"BUNIT": "ELECTRONS/S"}), None).unit
    Unit("electron / s")
    """
    legacy = partial(_legacy_surveys, pixel_scale=pixel_scale)
    rules: tuple[Callable[[fits.Header], Calibration | None], ...]
    rules = (flux_unit, _fluxmag0, legacy, _stated_ab, _des_coadd)
    for rule in rules:
        found = rule(header)
        if found is not None:
            return found
    text = str(header.get("BUNIT", "")).strip()
    unit = _stated_unit(text)
    if unit is None or unit == u.dimensionless_unscaled:
        return Calibration(UNCALIBRATED, 1.0, f"none: BUNIT = {text}" if text else "none: no BUNIT")
    return Calibration(unit, 1.0, f"none: BUNIT = {text}, no AB zero point")


def band_names(header: fits.Header, n_planes: int) -> tuple[str | None, ...]:
    """Read the bands of an image's planes.

    Parameters
    ----------
    header : astropy.io.fits.Header
        Of the image, with what it inherits from the primary header.
    n_planes : int
        Length of the third axis, 1 for a plain image.

    Returns
    -------
    tuple of str or None
        None for each where the header does not name them all.

    Examples
    --------
    >>> band_names(fits.Header({"BANDS": "grz"}), 3), band_names(fits.Header({"FILTER": "HSC-R2"}), 1)
    (('g', 'r', 'z'), ('r',))
    """
    if n_planes == 1:
        one = _single_band(header)
        if one is not None:
            return (one,)
    for start in (0, 1):
        numbered = [_text(header, f"BAND{start + i}") for i in range(n_planes)]
        if all(numbered) and len(set(numbered)) == n_planes:
            return tuple(numbered)
    for key in ("BANDS", "FILTERS", "FILTER"):
        text = _text(header, key)
        names = re.split(r"[\s,;/]+", text.strip()) if re.search(r"[\s,;/]", text) else list(text)
        if len(names) == n_planes and all(names) and len(set(names)) == n_planes:
            return tuple(names)
    return (None,) * n_planes


def survey_of(header: fits.Header) -> str:
    """Name the source of an image as far as its header does.

    Parameters
    ----------
    header : astropy.io.fits.Header
        Of the image, with what it inherits from the primary header.

    Returns
    -------
    str
        SURVEY and VERSION, else SDSS, DES, HSC or Pan-STARRS by the cards of their pipelines, else
        TELESCOP and INSTRUME, else ``unknown``.
    """
    if not _text(header, "SURVEY"):
        for name, mark in _PIPELINES:
            if mark(header):
                return name
    for keys in (("SURVEY", "VERSION"), ("TELESCOP", "INSTRUME")):
        if _text(header, keys[0]):
            return " ".join(filter(None, (_text(header, key) for key in keys)))
    return "unknown"


def _single_band(header: fits.Header) -> str | None:
    for key in ("BAND", "FILTER", "FILTNAM1", "FILTER1", "FILTER2"):
        text = _text(header, key)
        # HST's wheels: the one that is not clear holds the filter.
        if not text or text.upper().startswith("CLEAR") or text.upper() in ("NONE", "UNKNOWN", "N/A"):
            continue
        if re.search(r"[,;/]", text):
            return None
        word = text.split()[0]  # DECam: "g DECam SDSS c0001 4720.0 1520.0"
        hsc = re.fullmatch(r"HSC-([GRIZY])2?", word)
        return hsc[1].lower() if hsc else word
    bands = _text(header, "BANDS")
    return bands if len(bands) == 1 else None


def _text(header: fits.Header, key: str) -> str:
    value = header.get(key)
    return value.strip() if isinstance(value, str) else ""


def _number(header: fits.Header, key: str) -> float | None:
    value = header.get(key)
    if isinstance(value, str):  # SDSS writes some numbers in quotes
        try:
            value = float(value)
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not np.isfinite(value):
        return None
    return float(value)


def _stated_unit(text: str) -> u.UnitBase | None:
    for candidate in (text, text.lower(), re.sub(r"\b(electron|count|photon)s\b", r"\1", text.lower())):
        with warnings.catch_warnings():
            # "a/b/c" is discouraged in FITS but is what headers hold; what it means is settled.
            warnings.simplefilter("ignore", u.UnitsWarning)
            try:
                return parse_unit(candidate)
            except (ValueError, TypeError):
                continue
    return None


def flux_unit(header: fits.Header) -> Calibration | None:
    """Apply the first rule of calibration: BUNIT is a unit of flux density.

    Parameters
    ----------
    header : astropy.io.fits.Header
        Of the image.

    Returns
    -------
    Calibration or None
        None where BUNIT is none.
    """
    text = _text(header, "BUNIT")
    unit = _stated_unit(text) if text else None
    if unit is None or not unit.is_equivalent(u.nJy):
        return None
    # 15 digits: unit conversion gives 3631.0000000000005 nJy for a nanomaggy.
    return Calibration(u.nJy, float(f"{unit.to(u.nJy):.15g}"), f"BUNIT = {text}")


def _fluxmag0(header: fits.Header) -> Calibration | None:
    """HSC and LSST pipelines: counts of a source of AB magnitude 0."""
    counts = _number(header, "FLUXMAG0")
    if counts is None or counts <= 0:
        return None
    return Calibration(u.nJy, ab_flux(0) / counts, f"FLUXMAG0 = {counts:g}")


def _legacy_surveys(header: fits.Header, pixel_scale: float | None) -> Calibration | None:
    """Legacy Surveys' viewer: nanomaggies, but no unit in the header; only at its native pixels."""
    survey = _text(header, "SURVEY").lower()
    ours = survey.startswith(("decals", "legacysurvey", "mzls", "bass"))
    if not ours or _text(header, "IMAGETYP") != "image" or pixel_scale is None:
        return None
    if abs(pixel_scale / 0.262 - 1) > 1e-3:
        return None
    return Calibration(u.nJy, ab_flux(22.5), f"SURVEY = {survey}, 0.262 arcsec: nanomaggies")


def _stated_ab(header: fits.Header) -> Calibration | None:
    """A zero point of the numbers in the file, where the header says AB, in a card or a comment."""
    system = next((_text(header, key) for key in ("MAGSYS", "PHOTSYS", "ZPSYS") if _text(header, key)), "")
    per_second = re.compile(r"/\s*s\b|/\s*sec|per sec|s-1", re.IGNORECASE)
    for key in ("MAGZERO", "MAGZPT", "PHOTZP", "ZEROPT", "ZPT", "MAGZP"):
        value = _number(header, key)
        if value is None:
            continue
        comment = header.comments[key]
        if system.upper() not in ("AB", "ABMAG") and not re.search(r"\bAB\b", comment):
            continue
        # A zero point for counts a second does not fit counts of a whole exposure.
        if per_second.search(comment) and not per_second.search(_text(header, "BUNIT")):
            continue
        return Calibration(u.nJy, ab_flux(value), f"{key} = {value:g} AB")
    return None


def _des_coadd(header: fits.Header) -> Calibration | None:
    """DES coadds are scaled to one AB zero point (Abbott et al. 2018, ApJS 239, 18)."""
    zero_point = _number(header, "MAGZERO")
    if zero_point is None or "DES_EXT" not in header or "TILENAME" not in header:
        return None
    return Calibration(u.nJy, ab_flux(zero_point), f"DES coadd, MAGZERO = {zero_point:g} AB")
