"""What a FITS header calls its image: bands and survey. Nothing is guessed."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
from astropy.io import fits

__all__ = ["band_names", "card_number", "card_text", "survey_of"]

_PIPELINES: tuple[tuple[str, Callable[[fits.Header], bool]], ...] = (
    ("SDSS", lambda header: card_text(header, "ORIGIN") == "SDSS"),
    ("DES", lambda header: "DES_EXT" in header),
    ("HSC", lambda header: "HSCPIPE_VERSION" in header or card_text(header, "FILTER").startswith("HSC-")),
    ("Pan-STARRS", lambda header: "TESS_ID" in header and "SKYCELL" in header),
    ("WISE", lambda header: card_text(header, "TELESCOP") == "WISE"),
    ("2MASS", lambda header: card_text(header, "ORIGIN") == "2MASS"),
    ("GALEX", lambda header: "MPSTYPE" in header and "TILENUM" in header),
)
#: Bands that a header gives as a number.
_NUMBERED = {
    "WISE": {1: "W1", 2: "W2", 3: "W3", 4: "W4"},
    "GALEX": {1: "NUV", 2: "FUV"},
}


def card_text(header: fits.Header, key: str) -> str:
    """Give a card's text without the spaces about it.

    Parameters
    ----------
    header : astropy.io.fits.Header
        Any.
    key : str
        Keyword.

    Returns
    -------
    str
        Empty where there is no such card, or it holds no text.
    """
    value = header.get(key)
    return value.strip() if isinstance(value, str) else ""


def card_number(header: fits.Header, key: str) -> float | None:
    """Give a card's number, quoted or not.

    Parameters
    ----------
    header : astropy.io.fits.Header
        Any.
    key : str
        Keyword.

    Returns
    -------
    float or None
        None where there is no such card, or it holds no finite number.
    """
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
        numbered = [card_text(header, f"BAND{start + i}") for i in range(n_planes)]
        if all(numbered) and len(set(numbered)) == n_planes:
            return tuple(numbered)
    for key in ("BANDS", "FILTERS", "FILTER"):
        text = card_text(header, key)
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
        SURVEY and VERSION, else the survey by the cards of its pipeline, else TELESCOP and
        INSTRUME, else ``unknown``.
    """
    if not card_text(header, "SURVEY"):
        for name, mark in _PIPELINES:
            if mark(header):
                return name
    for keys in (("SURVEY", "VERSION"), ("TELESCOP", "INSTRUME")):
        if card_text(header, keys[0]):
            return " ".join(filter(None, (card_text(header, key) for key in keys)))
    return "unknown"


def _single_band(header: fits.Header) -> str | None:
    if "BAND" in header and isinstance(header["BAND"], int):
        return _NUMBERED.get(survey_of(header), {}).get(header["BAND"])
    for key in ("BAND", "FILTER", "FILTNAM1", "FILTER1", "FILTER2", "FPA.FILTERID"):
        text = card_text(header, key)
        # HST's wheels: the one that is not clear holds the filter.
        if not text or text.upper().startswith("CLEAR") or text.upper() in ("NONE", "UNKNOWN", "N/A"):
            continue
        if re.search(r"[,;/]", text):
            return None
        word = text.split()[0]  # DECam: "g DECam SDSS c0001 4720.0 1520.0"
        if key == "FPA.FILTERID":  # Pan-STARRS: "g.00000"
            word = word.partition(".")[0]
        hsc = re.fullmatch(r"HSC-([GRIZY])2?", word)
        return hsc[1].lower() if hsc else word
    bands = card_text(header, "BANDS")
    return bands if len(bands) == 1 else None
