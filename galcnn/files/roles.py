"""What an HDU or a file holds: the image, or its mask, noise, PSF; and which pixels a flag calls bad."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import numpy.typing as npt
from astropy.io import fits

from galcnn.files.naming import card_text

__all__ = ["bad_pixels", "role_of", "role_of_name"]

_ROLES = (
    ("mask", r"MASK|MASKBITS|DQ|FLAGS?|BPM|MSK"),
    ("inverse variance", r"INVVAR|IVAR|INVVARIANCE"),
    ("variance", r"VAR|VARIANCE"),
    ("sigma", r"SIGMA|ERR|ERROR|RMS|STD|STDDEV|NOISE|UNCERT"),
    ("weight", r"WGT|WHT|WEIGHT|WEIGHTS|EXPMAP|EXP|NEXP|COVERAGE"),
    ("psf", r"PSF|COPSF"),
    ("other", r"SEG|SEGMAP|SEGMENTATION|MODEL|RESID|RESIDUAL|CTX|CON|SKY|BKG|BACKGROUND|THUMB|CHI2"),
)
#: Of file names; the last one is Pan-STARRS' word for its variances.
_OF_NAMES = (
    *_ROLES[:4],
    ("weight", r"WGT|WHT|WEIGHT|WEIGHTS|EXPMAP"),
    ("psf", r"PSF|COPSF"),
    ("other", r"SEG|SEGMAP|SEGMENTATION"),
    ("variance", r"WT"),
)

# Planes of the LSST and HSC pipelines that spoil a pixel. DETECTED, BRIGHT_OBJECT, INEXACT_PSF,
# SENSOR_EDGE, CLIPPED and their like mark pixels that were measured.
_LSST = ("BAD", "CR", "CROSSTALK", "EDGE", "NO_DATA", "SAT", "SUSPECT", "UNMASKEDNAN", "VIGNETTED")
# Bits of the Legacy Surveys, DR8 to DR10 (legacysurvey.org/dr10/bitmasks): saturated, and bad in
# all exposures, by band. The others say where stars, galaxies and clusters are.
_LEGACY = {"g": (2, 5), "r": (3, 6), "z": (4, 7), "i": (14, 15)}


def role_of(hdu: Any) -> str:
    """Tell what an HDU holds by EXTNAME, EXTTYPE or IMAGETYP.

    Parameters
    ----------
    hdu : astropy HDU
        Any.

    Returns
    -------
    str
        ``mask``, ``sigma``, ``variance``, ``inverse variance``, ``weight``, ``psf``, ``other``;
        ``image`` where nothing speaks against it.
    """
    if "LAYERFMT" in hdu.header:
        return "other"  # of galcnn.layers: maps stand beside the image, also in a survey's own file
    if card_text(hdu.header, "DES_EXT") == "WEIGHT":
        return "inverse variance"  # Morganson et al. 2018, PASP 130, 074501
    for text in (hdu.name, hdu.header.get("EXTTYPE"), hdu.header.get("IMAGETYP")):
        word = re.split(r"[\s_\-]", str(text or "").strip().upper())[0]
        for role, pattern in _ROLES:
            if re.fullmatch(pattern, word):
                return role
    return "image"


def role_of_name(name: str) -> str:
    """Tell what a file holds by the last word of its name.

    Parameters
    ----------
    name : str
        ``folder/galaxy_rms.fits.gz``.

    Returns
    -------
    str
        As `role_of`.

    Examples
    --------
    >>> role_of_name("a/galaxy_rms.fits.gz"), role_of_name("stk.g.unconv.wt.fits"), role_of_name("m51.fits")
    ('sigma', 'variance', 'image')
    """
    stem = re.sub(r"\.(fits?|fz|gz|bz2|zip|xz)\b", "", re.split(r"[/\\]", name)[-1], flags=re.IGNORECASE)
    word = re.split(r"[\s._\-]", stem.upper())[-1]
    for role, pattern in _OF_NAMES:
        if re.fullmatch(pattern, word):
            return role
    return "image"


def bad_pixels(
    flags: npt.NDArray[Any], header: fits.Header, bands: tuple[str | None, ...]
) -> npt.NDArray[np.bool_]:
    """Tell which pixels must not be used, by what the bits of a mask mean.

    Parameters
    ----------
    flags : numpy.ndarray
        Shape (n_planes, ny, nx), of a mask HDU.
    header : astropy.io.fits.Header
        Of the mask, with what it inherits.
    bands : tuple of str or None
        Of the image's planes: some flags are of one band.

    Returns
    -------
    numpy.ndarray
        bool, shape (n_planes, ny, nx), or (n_bands, ny, nx) where the flags tell bands apart.
        Where the meaning of bits is not known, whatever is not 0 is bad.
    """
    planes = {key[3:]: header[key] for key in header if key.startswith("MP_")}
    if planes:
        return _any_bit(flags, [int(bit) for name, bit in planes.items() if name in _LSST])
    if card_text(header, "IMAGETYP").lower().startswith("maskbits"):
        own = [_any_bit(flags, _LEGACY.get(str(band), ())) for band in bands]
        return np.concatenate(own)
    if card_text(header, "TELESCOP") == "JWST":  # DO_NOT_USE; the other bits say why, or are harmless
        return _any_bit(flags, [0])
    bad: npt.NDArray[np.bool_] = flags != 0  # NaN too is not 0
    return bad


def _any_bit(flags: npt.NDArray[Any], bits: Any) -> npt.NDArray[np.bool_]:
    chosen = sum(1 << bit for bit in set(bits))
    bad: npt.NDArray[np.bool_] = (flags.astype(np.int64) & chosen) != 0
    return bad
