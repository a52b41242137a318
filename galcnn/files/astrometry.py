"""Read a celestial WCS from a FITS header, and write one as cards."""

from __future__ import annotations

import copy
import functools
import re

import numpy as np
from astropy.coordinates import (
    BarycentricMeanEcliptic,
    SkyCoord,
    SphericalRepresentation,
    Supergalactic,
    UnitSphericalRepresentation,
)
from astropy.coordinates.baseframe import BaseCoordinateFrame
from astropy.io import fits
from astropy.wcs import WCS, NoConvergence, WCSBase, WcsError, Wcsprm
from astropy.wcs.utils import wcs_to_celestial_frame

from galcnn.files.plain import Cards

#: Positions that have longitude and latitude without a conversion.
_SPHERICAL = (SphericalRepresentation, UnitSphericalRepresentation)
# astropy gets these cards only: dates, observatories, third axes and alternate systems do not affect sky
# positions, but most faulty headers are faulty there.
_KEYS = re.compile(
    r"(CTYPE|CRPIX|CRVAL|CDELT|CUNIT|CROTA)[12]|(CD|PC)[12]_[12]|PV[12]_\d{1,2}"
    r"|LONPOLE|LATPOLE|RADESYS|EQUINOX|EPOCH|(A|B|AP|BP)_(ORDER|\d_\d)"
    r"|AMD[XY]\d{1,2}|CNPIX[12]|PLTRA[HMS]|PLTDEC(SN|[DMS])|PPO\d|[XY]PIXELSZ|PLTSCALE|PLATEID"
    r"|WAT[0-2]_\d{3}|C[PQ]DIS[12]|CPERR[12]|D[PQ][12]|D2IM(DIS|ERR)?[12]|AXISCORR"
)
#: Those of them that wcslib alone reads, as they are.
_CORE = re.compile(
    r"(CTYPE|CRPIX|CRVAL|CDELT|CUNIT|CROTA)[12]|(CD|PC)[12]_[12]|PV[12]_[0-4]|LONPOLE|LATPOLE|RADESYS|EQUINOX"
)
_SIP = re.compile(r"(A|B|AP|BP)_(ORDER|DMAX|\d_\d)")
_PV = re.compile(r"PV([12])_(\d{1,2})")
#: The cards of a plate of the Digitized Sky Survey; wcslib makes its WCS from them if all are there.
_PLATE = re.compile(
    r"AMD[XY]\d{1,2}|CNPIX[12]|PLTRA[HMS]|PLTDEC(SN|[DMS])|PPO\d|[XY]PIXELSZ|PLTSCALE|PLATEID"
)
#: Cards of look-up tables, which are in HDUs of their own.
_TABLES = re.compile(r"CPDIS[12]|CPERR[12]|DP[12](\..*)?|D2IM(DIS|ERR)?[12](\..*)?|AXISCORR")
#: Cards of images drizzled from HST exposures.
_DRIZZLED = re.compile(r"D\d{3}(VER|DATA|OUDA)|NDRIZIM")
#: Keywords of drafts of the standard; Pan-STARRS writes its matrix with them.
_OLD_NAMES = {"RADECSYS": "RADESYS"} | {f"PC00{i}00{j}": f"PC{i}_{j}" for i in (1, 2) for j in (1, 2)}
#: Equinoxes written for the frame.
_FRAMES = {"J2000": "FK5", "J2000.0": "FK5", "B1950": "FK4", "B1950.0": "FK4"}
#: Longitudes of which astropy does not know the frame.
_TURNED = ("ELON", "SLON")
#: Units of CUNIT as some write them.
_UNITS = (
    ("deg", re.compile(r"deg(ree)?s?\.?", re.IGNORECASE)),
    ("arcmin", re.compile(r"arcmin(ute)?s?", re.IGNORECASE)),
    ("arcsec", re.compile(r"arcsec(ond)?s?", re.IGNORECASE)),
    ("rad", re.compile(r"rad(ian)?s?", re.IGNORECASE)),
)
#: Frames of the sky; others are those of the Earth and the planets.
_SKY = ("icrs", "fk5", "fk4", "fk4noeterms", "galactic")
#: PVi_m with m >= 5, or of the latitude, on a tangent plane are the polynomial of SCAMP: TAN itself has none.
_SCAMP = 5
#: Sine of the angle between the sides of a pixel below which it has no area.
_FLAT = 1e-6


def celestial_wcs(
    header: fits.Header, shape: tuple[int, int], hdulist: fits.HDUList | None = None
) -> tuple[WCS | None, list[str]]:
    """Read the celestial WCS of the first two axes; return it, or None, and notes.

    Sky positions are those of `astropy.wcs.WCS`: all projections and frames, SIP, TPV, SCAMP's PV, the
    plate solutions of the DSS and, from the HDUs of `hdulist`, look-up tables.

    Examples
    --------
    >>> celestial_wcs(fits.Header(), (8, 8))
    (None, [])
    """
    core, notes = None, list[str]()
    if isinstance(header, Cards):
        names = [key for key in header if _belongs(key)]
        core = _core_cards(header, names)
        if core is None:
            header = fits.Header.fromstring(header.images(names))
    if core is None:
        cards, notes = _cards_of_wcs(header)
        if "AMDX1" not in cards and not ("CTYPE1" in cards and "CTYPE2" in cards):
            return None, notes
    try:
        wcs = _wcs_of(cards, hdulist, notes) if core is None else _core_wcs(core)
        fixes = wcs.wcs.fix()
        wcs.wcs.set()
        if not wcs.has_celestial:
            return None, [*notes, f"no WCS: axes are not celestial: {list(wcs.wcs.ctype)}"]
        if wcs.wcs.lngtyp in _TURNED:
            if core is not None:
                cards = fits.Header.fromstring(core)
            said = "/".join(wcs.wcs.ctype)
            wcs = _equatorial(wcs, cards, hdulist)
            notes.append(f"{said}: axes are turned to right ascension and declination, ICRS")
        frame = _frame(wcs)  # raises an error for an invalid RADESYS or EQUINOX
        if frame.name not in _SKY:
            return None, [*notes, f"no WCS: {frame.name} coordinates are not those of a galaxy"]
        ny, nx = shape
        x, y = (nx - 1) / 2, (ny - 1) / 2  # the middle, whose pixel has four sides
        corners = [[0, 0], [2 * x, 0], [0, 2 * y], [2 * x, 2 * y]]
        middle = [[x, y], [x - 0.5, y], [x + 0.5, y], [x, y - 0.5], [x, y + 0.5]]
        places = wcs.all_pix2world(corners + middle, 0)
        matrix = wcs.pixel_scale_matrix
        if not abs(np.linalg.det(matrix)) > _FLAT * np.prod(np.linalg.norm(matrix, axis=0)):
            return None, [*notes, "no valid WCS: pixels without an area"]
    except (WcsError, ValueError, TypeError, KeyError) as error:
        reason = " ".join(str(error).split())
        return None, [*notes, f"no valid WCS: {type(error).__name__}: {reason}"]
    if not np.isfinite(places).all():
        return None, [*notes, "no valid WCS: pixels without a place on the sky"]
    # datfix reports on dates, although it got none.
    mended = {name: said for name, said in fixes.items() if said != "No change" and name != "datfix"}
    notes += [f"WCS mended ({name}): {said}" for name, said in mended.items()]
    wcs.array_shape = shape
    if core is None and "AMDX1" in cards:
        notes.append(_plate_note(cards, wcs, shape))
    return wcs, notes


def central_place(wcs: WCS, shape: tuple[int, int]) -> SkyCoord:
    """Return the sky position of the middle of an image, in the frame of its WCS."""
    sky = wcs.all_pix2world([[(shape[1] - 1) / 2, (shape[0] - 1) / 2]], 0)[0]
    return SkyCoord(sky[wcs.wcs.lng], sky[wcs.wcs.lat], unit="deg", frame=_frame(wcs))


def pixel_of(wcs: WCS, position: SkyCoord) -> tuple[float, float]:
    """Return x and y of a sky position, as `WCS.world_to_pixel`, which is ten times slower.

    NaN where a distortion, which is defined for the image only, has no inverse.
    """
    wcs.wcs.set()
    frame, sky = _frame(wcs), position.data
    if not position.is_equivalent_frame(frame) or not isinstance(sky, _SPHERICAL):
        sky = position.transform_to(frame).spherical
    world = np.empty((1, 2))
    world[0, wcs.wcs.lng], world[0, wcs.wcs.lat] = sky.lon.deg, sky.lat.deg
    try:
        x, y = wcs.all_world2pix(world, 0)[0].tolist()
    except NoConvergence:
        return float("nan"), float("nan")
    return x, y


def wcs_cards(wcs: WCS | None) -> fits.Header:
    """Write a celestial WCS as cards, including RADESYS; look-up tables are left out, see `lost_tables`."""
    if wcs is None:
        return fits.Header()
    full = wcs.to_header(relax=True)
    kept = [card for card in full.cards if _KEYS.fullmatch(card.rawkeyword) or card.keyword == "WCSAXES"]
    header = fits.Header(kept)
    if "RADESYS" not in header and wcs.wcs.lngtyp == "RA":
        header["RADESYS"] = ("ICRS", "Equatorial coordinate system")
    return header


def lost_tables(wcs: WCS | None) -> str | None:
    """Return a note on what cards cannot hold of a WCS; None if nothing."""
    tables = [] if wcs is None else [wcs.cpdis1, wcs.cpdis2, wcs.det2im1, wcs.det2im2]
    largest = [float(np.abs(table.data).max(initial=0)) for table in tables if table is not None]
    if not largest:
        return None
    return f"look-up tables of the WCS are not written: up to {sum(largest):.2g} pixels"


@functools.lru_cache(maxsize=4096)
def _belongs(key: str) -> bool:
    """Return True for a keyword that `_cards_of_wcs` looks at."""
    return key in _OLD_NAMES or any(one.fullmatch(key) for one in (_KEYS, _DRIZZLED))


def _core_cards(header: Cards, names: list[str]) -> bytes | None:
    """Return the text of the cards of a WCS which wcslib alone makes of them; None if there are others."""
    scamp = any(name.startswith("PV") for name in names) and any(
        str(header.get(key)).strip().endswith("-TAN") for key in ("CTYPE1", "CTYPE2")
    )
    if scamp or not {"CTYPE1", "CTYPE2"} <= set(names) or not all(map(_CORE.fullmatch, names)):
        return None
    if str(header.get("RADESYS", "")).strip().upper() in _FRAMES:
        return None
    if any(_unit_named(header.get(key)) for key in ("CUNIT1", "CUNIT2")):
        return None
    return header.images(names, undefined=False) + b" " * 80  # wcslib does not read the last one


def _unit_named(value: object) -> str:
    """Return the unit that another spelling of CUNIT means; empty for all others."""
    text = str(value or "").strip()
    return next((unit for unit, spelt in _UNITS if text != unit and spelt.fullmatch(text)), "")


def _core_wcs(cards: bytes) -> WCS:
    """Return the WCS without look-up tables and SIP that `WCS` would make of these cards."""
    # Which parses them three times, and makes headers of them.
    wcs: WCS = WCS.__new__(WCS)
    WCSBase.__init__(wcs, None, (None, None), Wcsprm(cards, relax=True).sub(2), (None, None))
    wcs.__dict__.update(copy.deepcopy(_empty_wcs().__dict__))
    return wcs


@functools.cache
def _empty_wcs() -> WCS:
    return WCS(naxis=2)


def _frame(wcs: WCS) -> BaseCoordinateFrame:
    """Return the frame of a WCS, see `astropy.wcs.utils.wcs_to_celestial_frame`."""
    core = wcs.wcs
    if core.lngtyp not in ("RA", "GLON"):
        return wcs_to_celestial_frame(wcs)
    equinox = float(core.equinox) if np.isfinite(core.equinox) else None
    types = (core.ctype[core.lng][:4], core.ctype[core.lat][:4])
    return _frame_of(types, core.radesys, equinox)


@functools.lru_cache(maxsize=64)
def _frame_of(types: tuple[str, str], radesys: str, equinox: float | None) -> BaseCoordinateFrame:
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = [f"{one}-TAN" for one in types]
    wcs.wcs.radesys = radesys
    if equinox is not None:
        wcs.wcs.equinox = equinox
    wcs.wcs.set()
    return wcs_to_celestial_frame(wcs)


def _wcs_of(cards: fits.Header, hdulist: fits.HDUList | None, notes: list[str]) -> WCS:
    tables = [keyword for keyword in cards if _TABLES.fullmatch(keyword)]
    if not tables:
        return WCS(cards, naxis=2, fix=False)
    if hdulist is not None:
        try:
            return WCS(cards, fobj=hdulist, naxis=2, fix=False)
        except (KeyError, IndexError, AttributeError):  # a table is not in the file
            pass
    notes.append("distortion look-up tables of the WCS are left out: they are not in the file")
    return WCS(_without(cards, _TABLES), naxis=2, fix=False)


def _equatorial(wcs: WCS, cards: fits.Header, hdulist: fits.HDUList | None) -> WCS:
    """Return the same WCS in ICRS: astropy has no frame for these axes, or takes them for ICRS."""
    lng, lat = wcs.wcs.lng, wcs.wcs.lat
    if any(axis == lng + 1 and m in (3, 4) for axis, m, _ in wcs.wcs.get_pv()):
        raise ValueError(f"LONPOLE as PV cards of {wcs.wcs.lngtyp} axes")
    equinox = "B1950" if wcs.wcs.radesys.startswith("FK4") else "J2000"
    if np.isfinite(wcs.wcs.equinox):
        equinox = f"{equinox[0]}{wcs.wcs.equinox}"
    frame = Supergalactic() if wcs.wcs.lngtyp == "SLON" else BarycentricMeanEcliptic(equinox=equinox)
    centre = SkyCoord(wcs.wcs.crval[lng], wcs.wcs.crval[lat], unit="deg", frame=frame).icrs
    pole = SkyCoord(0, 90, unit="deg", frame="icrs").transform_to(frame).spherical
    place = np.empty((1, 2))
    place[0, lng], place[0, lat] = pole.lon.deg, pole.lat.deg
    native = wcs.deepcopy().wcs
    native.bounds_check(False, False)  # the pole may be behind the plane of projection
    found = native.s2p(place, 0)
    for axis, name, value in ((lng, "RA--", centre.ra.deg), (lat, "DEC-", centre.dec.deg)):
        cards[f"CTYPE{axis + 1}"] = name + wcs.wcs.ctype[axis][4:]
        cards[f"CRVAL{axis + 1}"], cards[f"CUNIT{axis + 1}"] = float(value), "deg"
    cards["LONPOLE"], cards["LATPOLE"] = float(found["phi"][0]), float(found["theta"][0])
    cards["RADESYS"] = "ICRS"
    for key in ("EQUINOX", "EPOCH"):
        cards.remove(key, ignore_missing=True)
    turned = _wcs_of(cards, hdulist, [])
    turned.wcs.set()
    return turned


def _without(cards: fits.Header, pattern: re.Pattern[str]) -> fits.Header:
    return fits.Header([card for card in cards.cards if not pattern.fullmatch(card.keyword)])


def _plate_note(cards: fits.Header, wcs: WCS, shape: tuple[int, int]) -> str:
    """Say that the plate solution was used, and how far the header's other WCS is from it."""
    said = "WCS of the plate solution of the Digitized Sky Survey (AMDX1, AMDY1 ...)"
    if "CTYPE1" not in cards:
        return said
    try:
        other = WCS(_without(cards, _PLATE), naxis=2)
        apart = central_place(other, shape).separation(central_place(wcs, shape)).arcsec
    except (WcsError, ValueError):
        return said
    return f"{said}, {apart:.2f} arcsec from that of CTYPE1"


def _cards_of_wcs(header: fits.Header) -> tuple[fits.Header, list[str]]:
    notes = []
    # The last one of a keyword counts. Copies, since headers change their cards; they keep their text.
    kept: dict[str, fits.Card] = {}
    for card in header.cards:
        keyword = card.rawkeyword
        if keyword in _OLD_NAMES:
            keyword = _OLD_NAMES[keyword]
            if keyword in header:
                continue
        if not _KEYS.fullmatch(keyword) or isinstance(card.value, fits.card.Undefined):
            continue
        # DP1 = 'EXTVER: 1' is one of several cards of this keyword.
        name = keyword if card.field_specifier is None else card.keyword
        kept[name] = copy.copy(card) if keyword == card.rawkeyword else fits.Card(keyword, card.value)
    cards = fits.Header(kept.values())
    frame = str(cards.get("RADESYS", "")).strip().upper()
    if frame in _FRAMES:
        cards["RADESYS"] = _FRAMES[frame]
        notes.append(f"RADESYS = {frame} is taken for {_FRAMES[frame]}")
    for key in ("CUNIT1", "CUNIT2"):
        if unit := _unit_named(cards.get(key)):
            notes.append(f"{key} = {str(cards[key]).strip()} is taken for {unit}")
            cards[key] = unit
    for key in ("CPDIS1", "CPDIS2"):
        if key in cards and str(cards[key]).lower() != "lookup":
            notes.append(f"{key} = {cards[key]} is left out: astropy applies look-up tables only")
            del cards[key]
    if "AMDX1" in cards and not all(key in cards for key in ("AMDY1", "PLTRAH", "PPO3", "PPO6", "XPIXELSZ")):
        notes.append("an incomplete plate solution (AMDX1) is left out")
        cards = _without(cards, _PLATE)
    return _one_distortion(header, cards, notes), notes


def _of_scamp(key: str, value: object, types: list[str]) -> bool:
    """Return True if a card of a tangent plane is a coefficient of SCAMP."""
    found = _PV.fullmatch(key)
    if found is None:
        return False
    latitude = re.match(r"DEC|.LAT", types[int(found[1]) - 1]) is not None
    return int(found[2]) >= _SCAMP or (latitude and bool(value))


def _one_distortion(header: fits.Header, cards: fits.Header, notes: list[str]) -> fits.Header:
    """Drop what states a distortion a second time, as astropy does, and name the one in use in CTYPE."""
    types = [str(cards.get(key, "")).strip() for key in ("CTYPE1", "CTYPE2")]
    has_sip = "A_ORDER" in cards and "B_ORDER" in cards
    scamp = any(_of_scamp(key, value, types) for key, value in cards.items())
    if all(one.endswith("-TPV") for one in types):
        if has_sip:
            notes.append("SIP coefficients are left out: CTYPE says TPV")
        return _without(cards, _SIP)
    if scamp and all(one.endswith("-TAN") for one in types):
        # SCAMP before 2012. See Shupe et al. 2012, SPIE 8451, section 7.
        if has_sip:
            notes.append("SIP coefficients are left out: the PV cards of SCAMP, meant as TPV, are applied")
        else:
            notes.append("PV cards of SCAMP are applied: CTYPE means TPV")
        cards = _without(cards, _SIP)
        for key, one in zip(("CTYPE1", "CTYPE2"), types, strict=True):
            cards[key] = f"{one.removesuffix('-TAN')}-TPV"
        return cards
    if not has_sip:
        return cards
    if all(one.endswith("-SIP") for one in types):
        if scamp and all("-TAN" in one for one in types):
            notes.append("PV cards of SCAMP are left out: the SIP coefficients state the distortion")
            return _without(cards, _PV)
        return cards
    if any(_DRIZZLED.fullmatch(key) for key in header):
        # Left over from the exposures: drizzling has removed their distortion.
        notes.append("SIP coefficients without -SIP in CTYPE are left out: the image is drizzled")
        return _without(cards, _SIP)
    # Written by pipelines (Spitzer, HST exposures) that mean SIP, so the coefficients are used.
    for key, one in zip(("CTYPE1", "CTYPE2"), types, strict=True):
        cards[key] = f"{one.removesuffix('-SIP')}-SIP"
    notes.append("SIP coefficients without -SIP in CTYPE are applied")
    return cards
