"""Read a celestial WCS from a FITS header, and write one as cards."""

from __future__ import annotations

import re

import numpy as np
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.wcs import WCS, WcsError
from astropy.wcs.utils import wcs_to_celestial_frame

from galcnn.errors import message

# wcslib gets these cards only: dates, observatories, third axes and alternate systems do not affect sky
# positions, but most faulty headers are faulty there.
_KEYS = re.compile(
    r"(CTYPE|CRPIX|CRVAL|CDELT|CUNIT|CROTA)[12]|(CD|PC)[12]_[12]|PV[12]_\d{1,2}"
    r"|LONPOLE|LATPOLE|RADESYS|EQUINOX|EPOCH|(A|B|AP|BP)_(ORDER|\d_\d)"
)
_SIP = re.compile(r"(A|B|AP|BP)_(ORDER|DMAX|\d_\d)")
#: Cards of images drizzled from HST exposures.
_DRIZZLED = re.compile(r"D\d{3}(VER|DATA|OUDA)|NDRIZIM")
#: Keywords of drafts of the standard; Pan-STARRS writes its matrix with them.
_OLD_NAMES = {"RADECSYS": "RADESYS"} | {f"PC00{i}00{j}": f"PC{i}_{j}" for i in (1, 2) for j in (1, 2)}
_LOOKUP_TABLES = ("CPDIS1", "CPDIS2", "D2IMDIS1", "D2IMDIS2")


def celestial_wcs(header: fits.Header, shape: tuple[int, int]) -> tuple[WCS | None, list[str]]:
    """Read the celestial WCS of the first two axes; return it, or None, and notes.

    Parity, rotation, swapped axes, SIP and TPV distortions are kept.

    Examples
    --------
    >>> celestial_wcs(fits.Header(), (8, 8))
    (None, [])
    """
    cards, notes = _cards_of_wcs(header)
    if "CTYPE1" not in cards or "CTYPE2" not in cards:
        return None, notes
    try:
        wcs = WCS(cards, naxis=2, fix=False)
        fixes = wcs.wcs.fix()
        wcs.wcs.set()
        if not wcs.has_celestial:
            return None, [*notes, f"axes are not celestial: {list(wcs.wcs.ctype)}"]
        wcs_to_celestial_frame(wcs)  # raises an error for an invalid RADESYS or EQUINOX
        ny, nx = shape
        x, y = nx - 1, ny - 1
        places = wcs.all_pix2world([[0, 0], [x, 0], [0, y], [x, y], [x / 2, y / 2]], 0)
    except (WcsError, ValueError, TypeError, KeyError) as error:
        reason = " ".join(str(error).split())
        return None, [*notes, f"no valid WCS: {type(error).__name__}: {reason}"]
    if not np.isfinite(places).all():
        return None, [*notes, "no valid WCS: pixels without a place on the sky"]
    # datfix reports on dates, although it got none.
    mended = {name: said for name, said in fixes.items() if said != "No change" and name != "datfix"}
    notes += [f"WCS mended ({name}): {said}" for name, said in mended.items()]
    wcs.array_shape = shape
    return wcs, notes


def central_place(wcs: WCS, shape: tuple[int, int]) -> SkyCoord:
    """Return the sky position of the middle of an image."""
    sky = wcs.all_pix2world([[(shape[1] - 1) / 2, (shape[0] - 1) / 2]], 0)[0]
    return SkyCoord(sky[wcs.wcs.lng], sky[wcs.wcs.lat], unit="deg", frame=wcs_to_celestial_frame(wcs))


def wcs_cards(wcs: WCS | None) -> fits.Header:
    """Write a celestial WCS as cards, including RADESYS."""
    if wcs is None:
        return fits.Header()
    if any(table is not None for table in (wcs.cpdis1, wcs.cpdis2, wcs.det2im1, wcs.det2im2)):
        raise ValueError(
            message(
                "a WCS that header cards can hold",
                "Resample the image to a plain WCS: galcnn.transforms.resample.",
                distortion="look-up tables",
            )
        )
    full = wcs.to_header(relax=True)
    kept = [card for card in full.cards if _KEYS.fullmatch(card.keyword) or card.keyword == "WCSAXES"]
    header = fits.Header(kept)
    if "RADESYS" not in header:
        header["RADESYS"] = ("ICRS", "Equatorial coordinate system")
    return header


def _cards_of_wcs(header: fits.Header) -> tuple[fits.Header, list[str]]:
    notes = []
    cards = fits.Header()
    for card in header.cards:
        keyword = card.keyword
        if keyword in _OLD_NAMES:
            keyword = _OLD_NAMES[keyword]
            if keyword in header:
                continue
        if _KEYS.fullmatch(keyword) and not isinstance(card.value, fits.card.Undefined):
            cards[keyword] = card.value
    if any(keyword in header for keyword in _LOOKUP_TABLES):
        notes.append("distortion look-up tables of the WCS are left out")
    suffixed = [str(cards.get(key, "")).endswith("-SIP") for key in ("CTYPE1", "CTYPE2")]
    if "A_ORDER" in cards and "B_ORDER" in cards and not all(suffixed):
        if any(_DRIZZLED.fullmatch(key) for key in header):
            # Left over from the exposures: drizzling has removed their distortion.
            for key in [key for key in cards if _SIP.fullmatch(key)]:
                del cards[key]
            notes.append("SIP coefficients without -SIP in CTYPE are left out: the image is drizzled")
        else:
            # Written by pipelines (Spitzer, HST exposures) that mean SIP, so the coefficients are used.
            for key in ("CTYPE1", "CTYPE2"):
                cards[key] = f"{str(cards.get(key, '')).removesuffix('-SIP')}-SIP"
            notes.append("SIP coefficients without -SIP in CTYPE are applied")
    return cards, notes
