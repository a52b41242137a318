"""Read bands, survey and role from FITS headers, only where they are certain."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from astropy.io import fits

from galcnn.files.filters import band_of, combined

_PIPELINES: tuple[tuple[str, Callable[[fits.Header], bool]], ...] = (
    ("SDSS", lambda header: card_text(header, "ORIGIN") == "SDSS"),
    ("DES", lambda header: "DES_EXT" in header),
    ("HSC", lambda header: "HSCPIPE_VERSION" in header or card_text(header, "FILTER").startswith("HSC-")),
    ("Pan-STARRS", lambda header: "TESS_ID" in header and "SKYCELL" in header),
    ("WISE", lambda header: card_text(header, "TELESCOP") == "WISE"),
    ("2MASS", lambda header: card_text(header, "ORIGIN") == "2MASS"),
    ("GALEX", lambda header: "MPSTYPE" in header and "TILENUM" in header),
)
#: Bands that headers give as numbers.
_NUMBERED = {
    "WISE": {1: "W1", 2: "W2", 3: "W3", 4: "W4"},
    "GALEX": {1: "NUV", 2: "FUV"},
}
#: Cards that name the filter of an image, one tuple for the wheels of one instrument; JWST has the narrow
#: filters of NIRCam, and the blue ones of NIRISS, in the pupil wheel. Rubin's cutouts have the last one.
_WHEELS = (
    ("BAND",),
    ("FILTER", "PUPIL"),
    ("FILTNAM1", "FILTNAM2", "FILTNAM3", "FILTNAM4"),
    ("FILTER1", "FILTER2", "FILTER3"),
    ("FILTER01", "FILTER02", "FILTER03"),
    ("FILTNAM",),
    ("FILTNAME",),
    ("FPA.FILTERID",),
    ("ESO INS FILT1 NAME", "ESO INS FILT2 NAME", "ESO INS FILT3 NAME"),
    ("LSST BUTLER DATAID BAND",),
)
_ROLES = (
    ("mask", r"MASK|MASKBITS|DQM?|FLAGS?|FLG|BPM|MSK|BADPIX"),
    ("inverse variance", r"INVVAR|IVAR|INVVARIANCE"),
    ("variance", r"VAR|VARIANCE|STAT"),  # STAT of MUSE
    ("sigma", r"SIGMA|ERR|ERROR|RMS|STD|STDD?EV|NOISE|UNC|UNCERT|UNCERTAINTY"),
    ("weight", r"WGT|WHT|WEIGHT|WEIGHTS|EXPMAP|EXP|EXPTIME|NEXP|COVERAGE|COV|CVG|CONF|CONFIDENCE"),
    ("context", r"CTX|CON|CONTEXT"),  # of Drizzle: which exposures contribute, as bits
    ("psf", r"PSF|COPSF"),
    ("other", r"SEG|SEGMAP|SEGMENTATION|MODEL|RESID|RESIDUAL|SKY|BKG|BACKGROUND|THUMB|CHI2"),
)
#: Roles by words in file names.
_OF_NAMES = (
    *_ROLES[:4],
    ("weight", r"WGT|WHT|WT|WEIGHT|WEIGHTS|EXPMAP|COV|CVG"),
    ("psf", r"PSF|COPSF"),
    ("other", r"SEG|SEGMAP|SEGMENTATION"),
)
#: Names of files of Pan-STARRS, whose word for variances is "wt".
_SKYCELL = re.compile(r"SKYCELL|\.UNCONV\.", re.IGNORECASE)
#: Roles that cards state: HDUCLAS3 of ESO's pipelines and MaNGA, and UTYPE of astropy's CCDData.
_NOISE = {"MSE": "variance", "RMSE": "sigma", "INVMSE": "inverse variance", "INVRMSE": "inverse sigma"}
_UNCERTAINTIES = {
    "STDDEVUNCERTAINTY": "sigma",
    "VARIANCEUNCERTAINTY": "variance",
    "INVERSEVARIANCE": "inverse variance",
}


def card_text(header: fits.Header, key: str) -> str:
    """Return the text of a card without surrounding spaces; empty if there is none."""
    value = header.get(key)
    return value.strip() if isinstance(value, str) else ""


def card_number(header: fits.Header, key: str) -> float | None:
    """Return the number of a card, quoted or not; None if there is none."""
    value = header.get(key)
    if isinstance(value, str):  # SDSS writes some numbers in quotes
        try:
            value = float(value)
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not np.isfinite(value):
        return None
    return float(value)


def band_names(header: fits.Header, n_planes: int) -> tuple[str | None, ...]:
    """Return the bands of an image's planes; None where the header does not name them.

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
        numbered = [card_text(header, f"BAND{start + i}") for i in range(n_planes)]
        if all(numbered) and len(set(numbered)) == n_planes:
            return _unique(numbered)
    for key in ("BANDS", "FILTERS", "FILTER"):
        text = card_text(header, key)
        separator = next((one for one in (r"[,;/]", r"\s") if re.search(one, text)), None)
        names = list(text) if separator is None else [one.strip() for one in re.split(f"{separator}+", text)]
        if len(names) == n_planes and all(names) and len(set(names)) == n_planes:
            return _unique(names)
    return (None,) * n_planes


def _unique(texts: Sequence[str]) -> tuple[str, ...]:
    """Return the bands of filters, or their texts where two would have one name."""
    bands = tuple(band_of(text) or text for text in texts)
    return bands if len(set(bands)) == len(bands) else tuple(texts)


def survey_of(header: fits.Header) -> str:
    """Return the survey or telescope that a header names, or "unknown"."""
    if not card_text(header, "SURVEY"):
        for name, mark in _PIPELINES:
            if mark(header):
                return name
    for keys in (("SURVEY", "VERSION"), ("TELESCOP", "INSTRUME")):
        if card_text(header, keys[0]):
            return " ".join(filter(None, (card_text(header, key) for key in keys)))
    return "unknown"


def _single_band(header: fits.Header) -> str | None:
    number = header.get("BAND")
    if isinstance(number, int) and not isinstance(number, bool):
        return _NUMBERED.get(survey_of(header), {}).get(number)
    for keys in _WHEELS:
        texts = [text for key in keys if (text := card_text(header, key))]
        band = combined(texts)
        if band is not None:
            return band
        if any(re.search(r"[,;/|]", text) for text in texts):
            return None  # several bands in one image
    if card_text(header, "INSTRUME") == "IRAC" and (channel := card_number(header, "CHNLNUM")) is not None:
        return f"IRAC{channel:g}"
    bands = card_text(header, "BANDS")
    return bands if len(bands) == 1 else None


def role_of(hdu: Any) -> str:
    """Return the role of an HDU (image, mask, sigma ...) from EXTNAME, EXTTYPE or IMAGETYP."""
    if "LAYERFMT" in hdu.header:
        return "other"  # maps written by galcnn.layers
    if card_text(hdu.header, "DES_EXT") == "WEIGHT":
        return "inverse variance"  # Morganson et al. 2018, PASP 130, 074501
    uncertainty = card_text(hdu.header, "UTYPE").upper()
    if uncertainty.endswith(("UNCERTAINTY", "INVERSEVARIANCE")):
        return _UNCERTAINTIES.get(uncertainty, "other")
    stated = card_text(hdu.header, "HDUCLAS2").upper()
    if stated == "ERROR" and (noise := card_text(hdu.header, "HDUCLAS3").upper()):
        return _NOISE.get(noise, "other")
    if stated == "QUALITY":
        return "mask"
    for text in (hdu.name, hdu.header.get("EXTTYPE"), hdu.header.get("IMAGETYP")):
        word = re.split(r"[\s_\-]", str(text or "").strip().upper().rpartition(".")[2])[0]
        for role, pattern in _ROLES:
            if re.fullmatch(pattern, word):
                return role
    return "image"


def role_of_name(name: str) -> str:
    """Return the role of a file (image, mask, sigma ...) from the last word of its name.

    Examples
    --------
    >>> role_of_name("a/galaxy_rms.fits.gz"), role_of_name("stk.g.unconv.wt.fits"), role_of_name("m51.fits")
    ('sigma', 'variance', 'image')
    """
    stem = re.sub(r"\.(fits?|fz|gz|bz2|zip|xz)\b", "", re.split(r"[/\\]", name)[-1], flags=re.IGNORECASE)
    word = re.split(r"[\s._\-]", stem.upper())[-1]
    if word == "WT" and _SKYCELL.search(stem):
        return "variance"
    for role, pattern in _OF_NAMES:
        if re.fullmatch(pattern, word):
            return role
    return "image"
