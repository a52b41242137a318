"""Flux calibration of files: their unit, and zero points as pipelines state them, only where certain.

A calibration rule is a function ``(header, pixels) -> Scale | None``; the first one that recognises the
file is used. A file that no rule recognises keeps the unit it states, or is uncalibrated.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import astropy.units as u
import numpy as np
import numpy.typing as npt
from astropy.io import fits

from galcnn.errors import UnreadableImageError, message
from galcnn.files.bunit import Logarithm, of_system, stated_logarithm, stated_unit
from galcnn.files.headers import card_number, card_text, survey_of
from galcnn.photometry import ab_flux, ab_magnitude
from galcnn.photometry.units import UNCALIBRATED, VEGA_TO_AB, VegaOffset, is_count
from galcnn.transforms.background import sky_statistics
from galcnn.transforms.grid import PixelAreas

#: Pogson's 2.5 log10(e): asinh-scaled values are asinh magnitudes of opposite sign.
_POGSON = 2.5 * np.log10(np.e)
#: Maximum of asinh-scaled values, for 1e15 counts.
_LARGEST_ASINH = 40.0
#: Plausible sky noise of an exposure, electrons per pixel: from read noise alone to a very bright sky.
_ELECTRONS = (0.5, 5000.0)
#: Magnitudes of this size and beyond, such as 99, -99 and infinity, are none.
_NO_MAGNITUDE = 90.0
#: Units of counts that astropy does not parse, and words for no unit.
_COUNTS = re.compile(
    r"(?i)count|cnt|\bct|adu|\bdn|electron|\be-|photon|cps|unknown|none|n/a|arbitrary|relative"
)
_LIGHT = 2.99792458e18  # Angstrom per second

#: One factor for all pixels, or one for each, shape (ny, nx).
Factor = float | npt.NDArray[np.float64]


@dataclass(frozen=True)
class PixelFacts:
    """Properties of the pixels that rules may use beside the header.

    Attributes
    ----------
    scale : float or None
        Pixel scale at the reference point of the WCS, arcsec per pixel.
    values : numpy.ndarray or None
        Values in the file.
    areas : galcnn.transforms.grid.PixelAreas or None
        Area of each pixel.
    """

    scale: float | None
    values: npt.NDArray[np.generic] | None = None
    areas: PixelAreas | None = None

    def has_scale(self, arcsec: float) -> bool:
        """Return True if the pixels have this size; pixels that a survey resampled may not hold flux."""
        return self.scale is not None and abs(self.scale / arcsec - 1) < 1e-3


@dataclass(frozen=True)
class Scale:
    """Result of a calibration rule.

    Attributes
    ----------
    njy : float or None
        Flux density of a value of 1 in the file, nJy; None if the file is recognised but not certain.
    source : str
        Cards that it is based on, or the reason for None.
    asinh : tuple of float or None
        Softening and offset, see `FluxCalibration`.
    areas : galcnn.transforms.grid.PixelAreas or None
        See `FluxCalibration`.
    """

    njy: float | None
    source: str
    asinh: tuple[float, float] | None = None
    areas: PixelAreas | None = None


def linear(values: npt.NDArray[np.float64], softening: float, offset: float) -> npt.NDArray[np.float64]:
    """Undo the asinh scaling of Pan-STARRS skycells.

    Examples
    --------
    >>> float(linear(np.array(2.5 * np.log10(np.e) * np.arcsinh(3 / (2 * 4.0))), 4.0, 10.0).round(9))
    13.0
    """
    scaled: npt.NDArray[np.float64] = offset + 2 * softening * np.sinh(values / _POGSON)
    return scaled


def _surface_brightness(header: fits.Header, pixels: PixelFacts) -> Scale | None:
    """Apply surface brightness in BUNIT (MJy/sr and others): multiply by the area of each pixel."""
    text = card_text(header, "BUNIT")
    unit = stated_unit(text)
    if unit is not None and "beam" in [getattr(base, "name", "") for base in unit.bases]:
        return Scale(None, f"BUNIT = {text}: a beam is no pixel")
    if unit is None or not unit.is_equivalent(u.nJy / u.sr):
        return None
    areas = pixels.areas
    if areas is None and pixels.scale is None:
        return Scale(None, f"BUNIT = {text}, but no WCS to give the area of a pixel")
    area = (pixels.scale or 0) ** 2 * u.arcsec**2 if areas is None else areas.middle * u.sr
    njy, side = float((1 * unit * area).to_value(u.nJy)), np.sqrt(area.to_value(u.arcsec**2))
    if areas is not None and areas.varies:
        return Scale(
            njy, f"BUNIT = {text}, area of each pixel, {side:.6g}^2 arcsec^2 in the middle", None, areas
        )
    return Scale(njy, f"BUNIT = {text}, pixels of {side:.6g} arcsec")


def _fluxmag0(header: fits.Header, _: PixelFacts) -> Scale | None:
    """Apply FLUXMAG0 of the HSC and LSST pipelines: counts of a source of AB magnitude 0."""
    counts = card_number(header, "FLUXMAG0")
    if counts is None or counts <= 0:
        return None
    return Scale(ab_flux(0) / counts, f"FLUXMAG0 = {counts:g}")


def _legacy_surveys(header: fits.Header, pixels: PixelFacts) -> Scale | None:
    """Apply nanomaggies of the Legacy Surveys' viewer, which writes no unit; at native pixels only."""
    survey = card_text(header, "SURVEY").lower()
    ours = survey.startswith(("decals", "legacysurvey", "mzls", "bass"))
    if not ours or card_text(header, "IMAGETYP").lower() != "image":
        return None
    if not pixels.has_scale(0.262):
        return Scale(None, f"SURVEY = {survey}, but resampled from 0.262 arcsec: surface brightness is kept")
    return Scale(ab_flux(22.5), f"SURVEY = {survey}, 0.262 arcsec: nanomaggies")


def _pan_starrs(header: fits.Header, pixels: PixelFacts) -> Scale | None:
    """Apply the zero point of Pan-STARRS, FPA.ZP + 2.5 log10(EXPTIME) (Waters et al. 2020)."""
    exposure, base = card_number(header, "EXPTIME"), card_number(header, "FPA.ZP")
    if base is None or survey_of(header) != "Pan-STARRS":
        return None
    if exposure is None or exposure <= 0:
        return Scale(None, "Pan-STARRS without EXPTIME")
    if not pixels.has_scale(0.25):
        return Scale(None, "Pan-STARRS, but resampled from 0.25 arcsec")
    zero_point = base + 2.5 * np.log10(exposure)
    source = f"FPA.ZP = {base:g} + 2.5 log10(EXPTIME = {exposure:g})"
    softening, offset = card_number(header, "BSOFTEN"), card_number(header, "BOFFSET")
    if softening is None and offset is None:
        return Scale(ab_flux(zero_point), source)
    if softening is None or offset is None or softening <= 0:
        return Scale(None, "asinh-scaled, but BSOFTEN and BOFFSET are not both there")
    if pixels.values is None:
        return Scale(None, "asinh-scaled, perhaps undone by a cutout service: only its numbers tell")
    largest = np.nanmax(np.abs(pixels.values.astype(float)), initial=0.0)
    if largest > _LARGEST_ASINH:
        return Scale(None, f"BSOFTEN says asinh-scaled, which numbers of {largest:g} are not")
    source = f"{source}, asinh by BSOFTEN = {softening:g}, BOFFSET = {offset:g} undone"
    return Scale(ab_flux(zero_point), source, (softening, offset))


def _hubble(header: fits.Header, pixels: PixelFacts) -> Scale | None:
    """Apply HST's PHOTFLAM, the flux per wavelength of one electron (or DN) per second, at PHOTPLAM."""
    flam, pivot = card_number(header, "PHOTFLAM"), card_number(header, "PHOTPLAM")
    if card_text(header, "TELESCOP") != "HST" or not flam or not pivot or flam < 0 or pivot < 0:
        return None
    text = card_text(header, "BUNIT")
    unit = stated_unit(text)
    what = re.match(r"electron|count|ct|dn", text.lower())
    if unit is None or what is None:
        return Scale(None, f"PHOTFLAM, but BUNIT = {text}" if text else "PHOTFLAM, but no BUNIT")
    counted = "electron" if what[0] == "electron" else "count"
    of = re.search(r"/\s*(electron|count|dn)", header.comments["PHOTFLAM"].lower())
    if of is not None and ("electron" if of[1] == "electron" else "count") != counted:
        return Scale(None, f"PHOTFLAM is of {of[1]}s, but BUNIT = {text}")
    njy = flam * pivot**2 / _LIGHT * 1e32
    source = f"PHOTFLAM = {flam:g}, PHOTPLAM = {pivot:g}"
    exposure = card_number(header, "EXPTIME") or 0.0
    said = {"cps": True, "counts": False}.get(card_text(header, "D001OUUN"))
    per_second = u.s in unit.bases
    if said is not None and said != per_second:
        found = _rate_by_noise(pixels.values, exposure) if counted == "electron" else None
        doubt = f"BUNIT = {text} but Drizzle wrote {card_text(header, 'D001OUUN')}"
        if found is None:
            return Scale(None, doubt)
        per_second = found
        source += f"; {doubt}: the noise is that of {'electrons per second' if found else 'electrons'}"
    if per_second:
        if pixels.values is not None and _whole(pixels.values):
            return Scale(None, "whole numbers are no rate: a segmentation map or mask?")
        return Scale(njy, source)
    if exposure <= 0:
        return Scale(None, f"BUNIT = {text} without EXPTIME")
    return Scale(njy / exposure, f"{source}; EXPTIME = {exposure:g}")


def _rate_by_noise(values: npt.NDArray[np.generic] | None, exposure: float) -> bool | None:
    """Return True if the noise fits electrons per second, False if electrons, None if undecided."""
    if values is None or exposure <= 0:
        return None
    steps = np.diff(values.astype(float), axis=-1)
    steps = steps[np.isfinite(steps)]
    noise = float(sky_statistics(steps[np.newaxis])[1]) / np.sqrt(2)
    total, rate = (_ELECTRONS[0] <= noise * factor <= _ELECTRONS[1] for factor in (1.0, exposure))
    return rate if total != rate else None


def _whole(values: npt.NDArray[np.generic]) -> bool:
    finite = values[np.isfinite(values)]
    return bool((finite == np.round(finite)).all())


def _stated_ab(header: fits.Header, _: PixelFacts) -> Scale | None:
    """Apply a zero point that the header states to be AB, in a card or a comment."""
    system = _stated_system(header)
    per_second = re.compile(r"/\s*s\b|/\s*sec|per sec|s-1", re.IGNORECASE)
    for key in _AB_KEYS:
        value = card_number(header, key)
        if value is None or abs(value) >= _NO_MAGNITUDE:
            continue
        comment = header.comments[key]
        named = "AB" in key.replace("ZPAB", "ZP_AB").split("_") or key.startswith("AB")
        if not named and system.upper() not in ("AB", "ABMAG") and not re.search(r"\bAB\b", comment):
            continue
        # A zero point for counts per second does not apply to counts of a whole exposure.
        if per_second.search(comment) and not per_second.search(card_text(header, "BUNIT")):
            continue
        return Scale(ab_flux(value), f"{key} = {value:g} AB")
    return None


def _stated_system(header: fits.Header) -> str:
    """Return the system of magnitudes that a card names."""
    return next(
        (card_text(header, key) for key in ("MAGSYS", "PHOTSYS", "ZPSYS") if card_text(header, key)), ""
    )


_AB_KEYS = ("ABMAGZP", "ABZP", "ZP_AB", "ZPAB", "MAGZERO", "MAGZPT", "PHOTZP", "ZEROPT", "ZPT", "MAGZP", "ZP")


def _des_coadd(header: fits.Header, _: PixelFacts) -> Scale | None:
    """Apply the AB zero point of DES coadds (Abbott et al. 2018, ApJS 239, 18)."""
    zero_point = card_number(header, "MAGZERO")
    if zero_point is None or "DES_EXT" not in header or "TILENAME" not in header:
        return None
    return Scale(ab_flux(zero_point), f"DES coadd, MAGZERO = {zero_point:g} AB")


def _vega(header: fits.Header, pixels: PixelFacts) -> Scale | None:
    """Apply the Vega zero point MAGZP of 2MASS and WISE Atlas images, with published offsets to AB."""
    zero_point = card_number(header, "MAGZP")
    if zero_point is None:
        return None
    survey = survey_of(header)
    native = {"2MASS": 1.0, "WISE": 1.375}.get(survey)
    if native is None:
        return None
    offset = _vega_offset(header)
    if offset is None:
        return None
    if not pixels.has_scale(native):
        return Scale(None, f"{survey}, but resampled from {native:g} arcsec")
    source = f"MAGZP = {zero_point:g} Vega + {offset.magnitude:g} ({offset.source})"
    return Scale(ab_flux(zero_point + offset.magnitude), source)


def _vega_offset(header: fits.Header) -> VegaOffset | None:
    """Return the offset from Vega to AB magnitudes of an image of 2MASS or WISE."""
    survey = survey_of(header)
    band = card_text(header, "FILTER").upper() if survey == "2MASS" else f"W{header.get('BAND')}"
    return VEGA_TO_AB.get(f"{survey} {band}")


Rule = Callable[[fits.Header, PixelFacts], Scale | None]
RULES: tuple[Rule, ...] = (
    _fluxmag0,
    _legacy_surveys,
    _pan_starrs,
    _hubble,
    _stated_ab,
    _des_coadd,
    _vega,
)


@dataclass(frozen=True)
class FluxCalibration:
    """Conversion of the values in a file to `unit`.

    Attributes
    ----------
    unit : astropy.units.UnitBase
        nJy if the header is certain; else the unit it states, or uncalibrated.
    factor : float
        Factor that multiplies the values in the file.
    source : str
        Cards that it is based on.
    asinh : tuple of float or None
        Softening and offset of asinh-scaled values; the scaling is undone before the factor is applied.
    areas : galcnn.transforms.grid.PixelAreas or None
        Areas of the pixels, if they differ and the file holds surface brightness; `factor` is then that of
        the pixel in the middle.
    decades : float or None
        Factors of ten in flux of a value of 1 (-0.4 for magnitudes), if the file holds logarithms; `factor`
        is then the flux of a value of 0.
    """

    unit: u.UnitBase
    factor: float
    source: str
    asinh: tuple[float, float] | None = field(default=None, repr=False)
    areas: PixelAreas | None = field(default=None, repr=False, compare=False)
    decades: float | None = field(default=None, repr=False)

    def factors(self, shape: tuple[int, ...], corner: tuple[int, int] = (0, 0)) -> Factor:
        """Return the factor of each pixel of a window, or of all; `corner` is its first pixel, (y, x)."""
        if self.areas is None:
            return self.factor
        return self.factor * self.areas.relative((shape[-2], shape[-1]), corner)

    def apply(
        self, raw: npt.NDArray[np.generic], corner: tuple[int, int] = (0, 0)
    ) -> npt.NDArray[np.float32]:
        """Convert values of the file, or of a window of it, to `unit`."""
        with np.errstate(over="ignore", invalid="ignore"):
            if self.asinh is None and self.decades is None and self.factor == 1:
                return raw.astype(np.float32, copy=False)
            if self.asinh is None and self.decades is None:
                # In double precision, a piece at a time: large arrays of it take longer than the numbers.
                flux = np.empty(raw.shape, np.float32)
                factors = self.factors(raw.shape, corner)
                np.multiply(raw, factors, out=flux, dtype=np.float64, casting="same_kind")
                return flux
            values = raw.astype(np.float64)
            if self.asinh is not None:
                values = linear(values, *self.asinh)
            if self.decades is not None:
                most = _NO_MAGNITUDE if self.decades < 0 else np.inf
                values = np.where(np.abs(values) < most, 10 ** (self.decades * values), np.nan)
            return (values * self.factors(raw.shape, corner)).astype(np.float32)

    def slopes(self, flux: npt.NDArray[np.float32]) -> tuple[Factor, ...]:
        """Return the flux of a difference of 1 in the values of each plane, which converts their noise."""
        if self.decades is None:
            return (self.factors(flux.shape),) * len(flux)
        known = np.where(flux > 0, flux, np.nan).astype(np.float64)
        return tuple(known * (np.log(10) * abs(self.decades)))

    def facts(self) -> dict[str, object]:
        """Return the entries for the meta of a cutout."""
        if self.unit != u.nJy or self.areas is not None or self.decades is not None:
            return {"calibration": self.source}
        return {"calibration": self.source, "zero_point_ab": round(ab_magnitude(self.factor), 6)}


def calibration_of(
    header: fits.Header,
    pixel_scale: float | None,
    values: npt.NDArray[np.generic] | None = None,
    *,
    areas: PixelAreas | None = None,
) -> FluxCalibration:
    """Return the calibration of an image: unit and factor.

    Examples
    --------
    >>> calibration_of(fits.Header({"BUNIT": "nanomaggy"}), None)
    FluxCalibration(unit=Unit("nJy"), factor=3631.0, source='BUNIT = nanomaggy')
    >>> calibration_of(fits.Header({"BUNIT": "ELECTRONS/S"}), None).unit
    Unit("electron / s")
    """
    text = card_text(header, "BUNIT")
    pixels = PixelFacts(pixel_scale, values, areas)
    logarithm = stated_logarithm(text)
    if logarithm is not None:
        return _of_logarithm(header, pixels, logarithm)
    unit = stated_unit(text)
    kept = UNCALIBRATED if unit is None or unit.is_equivalent(u.dimensionless_unscaled) else unit
    own = flux_unit(header)
    if own is not None:
        return own
    surface = _surface_brightness(header, pixels)
    if surface is not None:
        return _calibration(surface, kept)
    if not (is_count(kept) if unit is not None or not text else _COUNTS.search(text)):
        return FluxCalibration(kept, 1.0, f"none: BUNIT = {text}, neither a flux density nor counts")
    for rule in RULES:
        scale = rule(header, pixels)
        if scale is not None:
            return _calibration(scale, kept)
    if kept == UNCALIBRATED:
        return FluxCalibration(kept, 1.0, f"none: BUNIT = {text}" if text else "none: no BUNIT")
    return FluxCalibration(kept, 1.0, f"none: BUNIT = {text}, no AB zero point")


def flux_unit(header: fits.Header) -> FluxCalibration | None:
    """Return the calibration if BUNIT is a unit of flux density, the first rule; else None."""
    text = card_text(header, "BUNIT")
    unit = stated_unit(text)
    if unit is not None and u.pix in unit.bases:
        unit = unit * u.pix
    if unit is None:
        return None
    if unit.is_equivalent(u.nJy):
        # 15 digits: unit conversion gives 3631.0000000000005 nJy for a nanomaggy.
        return FluxCalibration(u.nJy, float(f"{unit.to(u.nJy):.15g}"), f"BUNIT = {text}")
    pivot = card_number(header, "PHOTPLAM")
    if not unit.is_equivalent(u.ST) or pivot is None or pivot <= 0:
        return None
    njy = float(unit.to(u.nJy, equivalencies=u.spectral_density(pivot * u.AA)))
    return FluxCalibration(u.nJy, njy, f"BUNIT = {text}, PHOTPLAM = {pivot:g}")


def _of_logarithm(header: fits.Header, pixels: PixelFacts, logarithm: Logarithm) -> FluxCalibration:
    """Return the calibration of magnitudes, dex or decibels by their definition, or raise an error."""
    text = card_text(header, "BUNIT")
    found = logarithm if logarithm.reference is not None else _with_system(header, logarithm)
    reason = "which flux has the value 0"
    if found.reference is not None:
        linear_header = header.copy()
        linear_header["BUNIT"] = found.reference.to_string()
        flux = flux_unit(linear_header)
        scale = _surface_brightness(linear_header, pixels)
        if flux is not None or (scale is not None and scale.njy is not None):
            known = flux if flux is not None or scale is None else _calibration(scale, u.nJy)
            assert known is not None  # for the type checker
            said = known.source.replace(f"BUNIT = {linear_header['BUNIT']}", f"BUNIT = {text}")
            undone = "magnitudes undone (none from +-90)" if found.decades < 0 else "logarithms undone"
            source = f"{said}, {undone}"
            return replace(known, source=source, decades=found.decades)
        reason = "how to make it a flux density" if scale is None else scale.source
    raise UnreadableImageError(
        message(
            "values in a linear unit, or logarithms of a stated flux density",
            "Convert them first; AB magnitudes m are 3631 Jy * 10**(-0.4 m), and BUNIT = mag(AB).",
            BUNIT=text,
            unknown=reason,
        )
    )


def _with_system(header: fits.Header, logarithm: Logarithm) -> Logarithm:
    """Return magnitudes with the system that other cards state, if they are no instrumental ones."""
    instrumental = any(card_number(header, key) is not None for key in _AB_KEYS)
    if logarithm.decades >= 0 or (instrumental and not logarithm.system):
        return logarithm
    system = logarithm.system or _stated_system(header)
    if not system and re.search(r"\bAB\b", header.comments["BUNIT"]):
        system = "AB"
    offset = _vega_offset(header) if system.upper().startswith("VEGA") else None
    if offset is not None:
        return replace(logarithm, reference=u.Unit(ab_flux(offset.magnitude) * u.nJy) * logarithm.per)
    return of_system(
        logarithm, {"AB": "AB", "ABMAG": "AB", "ST": "ST", "STMAG": "ST"}.get(system.upper(), "")
    )


def _calibration(scale: Scale, kept: u.UnitBase) -> FluxCalibration:
    if scale.njy is None:
        return FluxCalibration(kept, 1.0, f"none: {scale.source}")
    return FluxCalibration(u.nJy, scale.njy, scale.source, scale.asinh, scale.areas)
