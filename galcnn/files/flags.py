"""Flags of pixels: which bit of a mask means what, and which meanings spoil a pixel.

What a file states about its bits decides: cards of the mask's header, else a table of the file that names
bits. Files of missions that name no bits are read by the mission's published list. What nothing explains is
said in a note.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from astropy.io import fits

from galcnn.files.headers import card_text
from galcnn.files.plain import PlainTable


@dataclass(frozen=True)
class Mission:
    """Planes of the masks of a mission.

    Attributes
    ----------
    name : str
        Name for notes.
    good : str
        Names of planes of measured pixels: sources, surroundings of bright stars, corrected pixels.
    bad : str
        Names of planes whose pixels are not used; by default those of `bits` that are not good.
    bits : str
        Names of bits 0, 1, 2 ... of masks whose header does not name them; ``-`` is a bit without meaning.
    known_by : callable
        ``known_by(header)`` is True for headers of the mission.
    codes : bool
        If True, values are numbered reasons (`bits` names them from 0), not bits.
    by_band : bool
        If True, planes such as SATUR_G and ALL_M411 spoil the pixels of their band only.
    needs : str
        Plane without which a header that names planes is not of this mission.
    """

    name: str
    good: str = ""
    bad: str = ""
    bits: str = ""
    known_by: Callable[[fits.Header], bool] = field(default=lambda header: False, repr=False)
    codes: bool = False
    by_band: bool = False
    needs: str = ""

    def spoils(self, plane: str) -> bool | None:
        """Return True if a plane is bad, False if its pixels were measured, None if it is not known."""
        if plane in self.good.split():
            return False
        return True if plane in (self.bad or self.bits).split() else None

    def knows(self, plane: str) -> bool:
        """Return True if the mission has such a plane."""
        return self.spoils(plane) is not None or (self.by_band and _OF_A_BAND.fullmatch(plane) is not None)

    def numbered(self) -> dict[str, int]:
        """Return the planes of a mask that does not name them."""
        named = {name: n for n, name in enumerate(self.bits.split()) if name != "-"}
        return named if self.codes else {name: 1 << n for name, n in named.items()}


def _of(telescope: str, *instruments: str) -> Callable[[fits.Header], bool]:
    """Return a test for TELESCOP, and for INSTRUME or DETECTOR."""

    def known(header: fits.Header) -> bool:
        if not card_text(header, "TELESCOP").upper().startswith(telescope):
            return False
        named = {card_text(header, key).upper() for key in ("INSTRUME", "DETECTOR")}
        return not instruments or set(instruments) <= named

    return known


def _pipeline_version(header: fits.Header) -> tuple[int, int] | None:
    """Return the version of the NOIRLab Community Pipeline (PLVER), (3, 5) for ``V3.5.0``; None without."""
    found = re.search(r"(\d+)\.(\d+)", card_text(header, "PLVER"))
    return (int(found[1]), int(found[2])) if found and "DES_EXT" not in header else None


def _is_maskbits(header: fits.Header) -> bool:
    return any(card_text(header, key).lower().startswith("maskbits") for key in ("IMAGETYP", "EXTNAME"))


_HST_CCD = (
    "SOFTERR DATALOST DETECTORPROB DATAMASKED HOTPIX CTETAIL WARMPIX BADCOL SATPIXEL CALIBDEFECT TRAP "
    "ATODSAT CRDRIZ CRREJ USER"
)
MISSIONS = (
    # Coadds of lsst.images (Rubin DP2): exposures that were saturated, hit or rejected are left out,
    # which is a defect only where none is left (NO_DATA).
    Mission(
        "Rubin coadd",
        bad="BAD NO_DATA UNMASKED_NAN",
        good="CELL_EDGE CLIPPED COSMIC_RAY CROSSTALK DETECTED DETECTED_NEGATIVE DETECTION_EDGE HIGH_VARIANCE "
        "INEXACT_PSF INJECTED INJECTED_CORE INTERPOLATED NOT_DEBLENDED REJECTED SATURATED SENSOR_EDGE "
        "SUSPECT",
        needs="INEXACT_PSF",
    ),
    # lsst.afw (HSC, Rubin DP0, DP1) and exposures of lsst.images.
    Mission(
        "Rubin, HSC",
        bad="BAD CR COSMIC_RAY CROSSTALK EDGE ITL_DIP NO_DATA SAT SATURATED SAT_TEMPLATE STREAK SUSPECT "
        "UNMASKEDNAN UNMASKED_NAN VIGNETTED",
        good="ASTEROID BRIGHT_OBJECT CELL_EDGE CLIPPED DETECTED DETECTED_NEGATIVE DETECTION_EDGE FAKE "
        "HIGH_VARIANCE INEXACT_PSF INJECTED INJECTED_CORE INJECTED_CORE_TEMPLATE INJECTED_TEMPLATE "
        "INTERPOLATED INTRP NOT_DEBLENDED PARTLY_VIGNETTED REJECTED SENSOR_EDGE SPIKE",
    ),
    Mission(
        "SPHEREx",
        bad="COLD DICHROIC HOT MISSING_DATA NONFUNC NONLINEAR OUTLIER OVERFLOW PERSIST REFERENCE SUR_ERROR "
        "TRANSIENT",
        good="FULLSAMPLE PHANMISS PHANTOM SOURCE",
        known_by=_of("SPHEREX"),
    ),
    # Planes of one band, SATUR_G or SAT_M411 and ALLMASK_G or ALL_M411, see `_OF_A_BAND`.
    Mission(
        "Legacy Surveys",
        good="BAIL BAILOUT BRIGH BRIGHT CLUST CLUSTER GAL GALAXY MED MEDIUM NPRIM NPRIMARY SUB_BLOB WISEM1 "
        "WISEM2",
        bits="NPRIMARY BRIGHT SATUR_G SATUR_R SATUR_Z ALLMASK_G ALLMASK_R ALLMASK_Z WISEM1 WISEM2 BAILOUT "
        "MEDIUM GALAXY CLUSTER SATUR_I ALLMASK_I SUB_BLOB",
        known_by=_is_maskbits,
        by_band=True,
    ),
    # DO_NOT_USE alone spoils a pixel; the others give its reasons, or are harmless.
    Mission(
        "JWST",
        bad="DO_NOT_USE",
        good="SATURATED JUMP_DET DROPOUT OUTLIER PERSISTENCE AD_FLOOR CHARGELOSS UNDERSAMP UNRELIABLE_ERROR "
        "NON_SCIENCE DEAD HOT WARM LOW_QE RC TELEGRAPH NONLINEAR BAD_REF_PIXEL NO_FLAT_FIELD NO_GAIN_VALUE "
        "NO_LIN_CORR NO_SAT_CHECK UNRELIABLE_BIAS UNRELIABLE_DARK UNRELIABLE_SLOPE UNRELIABLE_FLAT OPEN "
        "ADJ_OPEN UNRELIABLE_RESET FLUX_ESTIMATED MSA_FAILED_OPEN OTHER_BAD_PIXEL REFERENCE_PIXEL GOOD "
        "GW_AFFECTED_DATA RESERVED_1 RESERVED_2 RESERVED_3 RESERVED_4",
        bits="DO_NOT_USE SATURATED JUMP_DET DROPOUT OUTLIER PERSISTENCE AD_FLOOR CHARGELOSS UNRELIABLE_ERROR "
        "NON_SCIENCE DEAD HOT WARM LOW_QE RC TELEGRAPH NONLINEAR BAD_REF_PIXEL NO_FLAT_FIELD NO_GAIN_VALUE "
        "NO_LIN_CORR NO_SAT_CHECK UNRELIABLE_BIAS UNRELIABLE_DARK UNRELIABLE_SLOPE UNRELIABLE_FLAT OPEN "
        "ADJ_OPEN FLUX_ESTIMATED MSA_FAILED_OPEN OTHER_BAD_PIXEL REFERENCE_PIXEL",
        known_by=lambda header: card_text(header, "TELESCOP").upper() in ("JWST", "ROMAN"),
        needs="DO_NOT_USE",
    ),
    Mission(
        "HST ACS",
        good="CTETAIL WARMPIX",
        bits=_HST_CCD,
        known_by=_of("HST", "ACS"),
    ),
    # Blobs (BADFLAT), warm pixels, corrected zero reads and cosmic rays fitted out of the ramp are measured.
    Mission(
        "HST WFC3 IR",
        good="WARMPIX BADFLAT ZEROSIG CRRAMP",
        bits="SOFTERR DATALOST DETECTORPROB BADZERO HOTPIX UNSTABLE WARMPIX BADREF SATPIXEL BADFLAT - "
        "ZEROSIG CRDRIZ CRRAMP GHOST",
        known_by=_of("HST", "WFC3", "IR"),
    ),
    Mission(
        "HST WFC3 UVIS",
        good="CTETAIL WARMPIX",
        bits=_HST_CCD,
        known_by=_of("HST", "WFC3"),
    ),
    Mission(
        "HST WFPC2",
        good="REPAIRED",
        bits="SOFTERR CALIBDEFECT CAMERADEFECT ATODSAT DATALOST BADPIX - TRAP QUESTIONABLE HOTPIX REPAIRED "
        "CHIPMASKED CRDRIZ",
        known_by=_of("HST", "WFPC2"),
    ),
    # Its list of bits could not be verified: set bits are noted, and not masked.
    Mission("HST NICMOS", bits="-", known_by=_of("HST", "NICMOS")),
    Mission(
        "HST STIS",
        bits="SOFTERR DATALOST DETECTORPROB DATAMASKED HOTPIX LARGEBLEM - OVERSCAN SATPIXEL CALIBDEFECT "
        "SMALLBLEM - - CRREJ",
        known_by=_of("HST", "STIS"),
    ),
    # Single exposures; masks of coadds (TILENAME) are 0 where a pixel is good.
    Mission(
        "DES",
        good="INTERP STAR SUSPECT FIXED NEAREDGE TAPEBUMP",
        bits="BPM SATURATE INTERP BADAMP CRAY STAR TRAIL EDGEBLEED SSXTALK EDGE STREAK SUSPECT FIXED "
        "NEAREDGE TAPEBUMP",
        known_by=lambda header: "DES_EXT" in header and "TILENAME" not in header,
    ),
    Mission(
        "DECam Community Pipeline",
        bits="- BADPIX NO_VALUE SATURATED BLEED COSMIC_RAY LOW_WEIGHT DIFF_DETECT LONG_STREAK",
        known_by=lambda header: (_pipeline_version(header) or (0, 0)) >= (3, 5),
        codes=True,
    ),
    Mission(
        "DECam Community Pipeline before 3.5",
        good="INTERPOLATED",
        bits="BADPIX SATURATED INTERPOLATED - COSMIC_RAY - BLEED TRANSIENT EDGE EDGE2",
        known_by=lambda header: _pipeline_version(header) is not None,
    ),
    Mission(
        "SDSS",
        good="INTERP NOTCHECKED OBJECT BRIGHTOBJECT BINOBJECT CATOBJECT SUBTRACTED",
        bits="INTERP SATUR NOTCHECKED OBJECT BRIGHTOBJECT BINOBJECT CATOBJECT SUBTRACTED GHOST CR",
        known_by=lambda header: card_text(header, "ORIGIN") == "SDSS",
    ),
    Mission(
        "Euclid VIS",
        good="GHOST QUADEDGE CR_REGION EXTOBJ SCATLIGHT SATXTALKGHOST STARSIGNAL SATURATEDSTAR CTICORRECTION "
        "STITCHBLOCK OBJECTS",
        bits="INVALID HOT COLD SAT COSMIC GHOST QUADEDGE BAD_COLUMN BAD_CLUSTER CR_REGION - - OVRCOL EXTOBJ "
        "SCATLIGHT CHARINJ - SATXTALKGHOST STARSIGNAL SATURATEDSTAR CTICORRECTION ADCMAX NO_DATA STITCHBLOCK "
        "OBJECTS",
        known_by=_of("EUCLID", "VIS"),
    ),
    # Of the flags of NISP and MER, bit 0 alone is certain: no value to be used for anything.
    Mission(
        "Euclid",
        bad="INVALID BADBASE COSMIC DISCONNECTED HOT RTN SATUR SNOWBALL SUPERQE ZEROQE",
        bits="INVALID",
        known_by=_of("EUCLID"),
    ),
    Mission(
        "ZTF",
        good="CONTAINS_SEXTRACTOR_DETECTION CONTAINS_PSF-EXTRACTED_SOURCE_POSITION",
        bits="AIRCRAFT/SATELLITE_TRACK CONTAINS_SEXTRACTOR_DETECTION LOW_RESPONSIVITY HIGH_RESPONSIVITY "
        "NOISY GHOST_FROM_BRIGHT_SOURCE GHOST_FROM_CHARGE_SPILLAGE PIXEL_SPIKE SATURATED DEAD NAN "
        "CONTAINS_PSF-EXTRACTED_SOURCE_POSITION HALO_FROM_BRIGHT_SOURCE",
        known_by=lambda header: card_text(header, "INSTRUME").upper().startswith("ZTF"),
    ),
    Mission(
        "Pan-STARRS",
        good="SUSPECT BURNTOOL SPIKE STARCORE CONV.POOR MASK.VALUE MARK.VALUE",
        bits="DETECTOR FLAT DARK BLANK CTE SAT LOW SUSPECT CR SPIKE GHOST STREAK STARCORE CONV.BAD CONV.POOR",
        known_by=lambda header: "SKYCELL" in header or "FPA.FILTERID" in header,
    ),
)
#: Words that mean the same everywhere, for planes that files name and no mission above has.
ANY = Mission(
    "any",
    bad="BAD BADCOL BADCOLUMN BADPIX BADPIXEL BLEED BPM COLD COSMIC COSMICRAY CR CRAY DEAD DO_NOT_USE HOT "
    "INVALID MASKED MISSING MISSING_DATA NAN NODATA NO_DATA NO_VALUE SAT SATELLITE SATUR SATURATE SATURATED "
    "SATURATION STREAK TRAIL UNDEFINED UNMEASURED",
    good="DETECTED DETECTION GOOD INTERP INTERPOLATED OBJECT SOURCE",
)
#: Words of names that are not certain, whatever else they say.
_HEDGED = {"CANDIDATE", "CORRECTED", "FIXED", "NEAR", "NO", "NON", "NOT", "POSSIBLE", "REPAIRED"}
_OF_A_BAND = re.compile(r"(?:SAT|SATUR|ALL|ALLMASK)_(.+)")

# Cards that name planes: MP_<name> = bit, MB_<name> = value, and numbered names with values in a second card.
_NUMBERED = re.compile(r"(MSKN(?=\d{4}$)|MSKNAM(?=\d\d$)|MBIT_(?=\d)|BIT(?=\d\d$))(\d+)$")
_PARTNER = {"MSKN": "MSKM", "MSKNAM": "MSKVAL"}
# Titles of columns of a table that names bits, such as DQ_DEF of JWST.
_NAME_TITLES = ("NAME", "FLAG_NAME", "FLAGNAME", "BIT_NAME", "BITNAME", "PLANE", "MASK_NAME", "LABEL", "FLAG")
_VALUE_TITLES = ("VALUE", "FLAG_VALUE", "FLAGVALUE", "BIT_VALUE", "BITVALUE", "BITMASK", "BIT_MASK", "MASK")
_BIT_TITLES = ("BIT", "BIT_NUMBER", "BITNUM", "BIT_NUM", "BITNO", "BIT_INDEX", "INDEX", "NUMBER")
_OF_FLAGS = re.compile(r"DQ|FLAG|MASK|MSK|BIT|PLANE")
#: Most planes or bits that a note lists.
_MOST = 12


@dataclass(frozen=True)
class Meaning:
    """Meaning of the values of a mask, see `meaning_of`.

    Attributes
    ----------
    planes : mapping of str to int
        Value of each plane that the file or its mission names.
    mission : Mission or None
        Mission whose list is used first; None if nothing names the bits: all pixels but those of 0 are bad.
    """

    planes: Mapping[str, int] = field(default_factory=dict)
    mission: Mission | None = None
    codes: bool = False

    @property
    def by_band(self) -> bool:
        """True if the bad planes depend on the band."""
        return self.mission is not None and self.mission.by_band

    def bad_pixels(self, flags: npt.NDArray[Any], bands: Sequence[str | None]) -> npt.NDArray[np.bool_]:
        """Return the pixels not to use, shape of `flags`, or (n_bands, ny, nx) if they depend on the band."""
        if self.mission is None:
            nonzero: npt.NDArray[np.bool_] = flags != 0  # NaN is not 0 either
            return nonzero
        if not self.by_band:
            return self._bad(flags, None)
        own = np.broadcast_to(flags, (len(bands), *flags.shape[1:]))
        return np.stack([self._bad(plane, band) for plane, band in zip(own, bands, strict=True)])

    def verdicts(self, band: str | None) -> dict[str, bool | None]:
        """Return for each plane True if it is bad in a band, False if it is not, None if it is not known."""
        found: dict[str, bool | None] = {}
        for name in self.planes:
            own = _OF_A_BAND.fullmatch(name) if self.by_band else None
            # Planes of all bands are bad where the band has no name.
            found[name] = self._spoils(name) if own is None else band is None or own[1] == band.upper()
        return found

    def said(self, flags: npt.NDArray[Any], bands: Sequence[str | None]) -> str:
        """Return what is masked and what is not, with numbers of pixels; empty if there is nothing to say."""
        whole, _ = _integers(flags)
        rest = int(np.bitwise_or.reduce(whole.ravel(), initial=np.uint64(0)))
        if self.mission is None:
            n = int(np.count_nonzero(flags))
            if np.isin(whole, (0, rest)).all():  # 0 and one other value: a plain mask
                doubt = f"{n} of {flags.size} pixels are masked: are those of 0 the bad ones?"
                return doubt if 2 * n > flags.size else ""
            bits = _listed(_counted(whole, rest))
            return f"nothing names its bits: all pixels but those of 0 are masked ({n}; {bits})"
        held = {name: value for name, value in self.planes.items() if self.codes or rest & value}
        counts = {name: int(np.count_nonzero(self._set(whole, value))) for name, value in held.items()}
        if self.codes:
            known = np.array([0, *self.planes.values()], np.uint64)
            codes, numbers = np.unique(whole[~np.isin(whole, known)], return_counts=True)
            unnamed = {f"value {code}": int(n) for code, n in zip(codes, numbers, strict=True)}
        else:
            unnamed = _counted(whole, rest & ~_united(self.planes.values()))
        each = [self.verdicts(band) for band in (bands if self.by_band else bands[:1])]
        bad = {name for found in each for name, spoils in found.items() if spoils}
        unknown = {name for found in each for name, spoils in found.items() if spoils is None} - bad
        set_planes = {name: n for name, n in counts.items() if n}
        parts = {
            "masked": {name: n for name, n in set_planes.items() if name in bad},
            "measured": {name: n for name, n in set_planes.items() if name not in bad | unknown},
            "of unknown meaning, not masked": {name: n for name, n in set_planes.items() if name in unknown}
            | unnamed,
        }
        if self.by_band and None in bands and parts["masked"]:
            parts["masked, since the image names no band"] = parts.pop("masked")
        return "; ".join(f"{text}: {_listed(named)}" for text, named in parts.items() if named)

    def stated(self) -> str:
        """Return which planes are masked and which are not known; empty if nothing names planes."""
        if self.mission is None:
            return ""
        verdicts = self.verdicts(None)
        parts = {
            "masked": [name for name, spoils in verdicts.items() if spoils],
            "of unknown meaning, not masked": [name for name, spoils in verdicts.items() if spoils is None],
        }
        return "; ".join(f"{text}: {', '.join(names)}" for text, names in parts.items() if names)

    def _bad(self, flags: npt.NDArray[Any], band: str | None) -> npt.NDArray[np.bool_]:
        whole, holes = _integers(flags)
        values = [self.planes[name] for name, spoils in self.verdicts(band).items() if spoils]
        chosen = np.array(values, np.uint64) if self.codes else _united(values)
        return self._set(whole, chosen) | holes

    def _set(self, whole: npt.NDArray[np.uint64], value: Any) -> npt.NDArray[np.bool_]:
        found: npt.NDArray[np.bool_] = (
            np.isin(whole, value) if self.codes else (whole & np.uint64(value)) != 0
        )
        return found

    def _spoils(self, name: str) -> bool | None:
        own = self.mission.spoils(name) if self.mission is not None else None
        if own is not None:
            return own
        said = {mission.spoils(name) for mission in MISSIONS} - {None}
        if len(said) == 1:
            return said.pop()
        words = set(re.split(r"[^A-Z0-9]+", name))
        if name in ANY.bad.split() + ANY.good.split():
            return ANY.spoils(name)
        of_words = {ANY.spoils(word) for word in words} - {None}
        return of_words.pop() if len(of_words) == 1 and not words & _HEDGED else None


def meaning_of(header: fits.Header, table: Mapping[str, int] | None = None) -> Meaning:
    """Return the meaning of a mask's values from its header, or else from a table or its mission.

    Examples
    --------
    >>> header = fits.Header({"HIERARCH MP_NO_DATA": 0, "HIERARCH MP_DETECTED": 5})
    >>> meaning_of(header).bad_pixels(np.array([[[0, 1, 32, 33]]]), ("r",)).tolist()
    [[[False, True, False, True]]]
    """
    planes = _named(header) or dict(table or {})
    if planes:
        return Meaning(planes, _mission_of(planes, header))
    mission = next((one for one in MISSIONS if one.bits and one.known_by(header)), None)
    if mission is None:
        return Meaning()
    return Meaning(mission.numbered(), mission, mission.codes)


def table_of_flags(hdulist: Iterable[Any], mask: str) -> dict[str, int]:
    """Return the planes that a table of a file names: DQ_DEF and the like; of several, that of the mask."""
    found = {}
    for hdu in hdulist:
        is_table = isinstance(hdu, fits.BinTableHDU | fits.TableHDU | PlainTable)
        if is_table and _OF_FLAGS.search(hdu.name.upper()) and (planes := _planes_of_table(hdu)):
            found[hdu.name.upper()] = planes
    own = {name: planes for name, planes in found.items() if mask and name.startswith(mask.upper())}
    chosen = own or found
    return next(iter(chosen.values())) if len(chosen) == 1 else {}


def in_one(flags: npt.NDArray[Any], header: fits.Header) -> npt.NDArray[Any]:
    """Return one plane of integers for a mask whose planes of bytes hold the bits that the header numbers."""
    # Planes of a mask of the lsst.images format continue in the next byte: plane 9 is bit 1 of byte 1.
    highest = max((value.bit_length() for value in _named(header).values()), default=0)
    width = 8 * flags.dtype.itemsize
    n_planes = len(flags)
    if flags.dtype.kind not in "iu" or n_planes == 1 or not width < highest <= n_planes * width <= 64:
        return flags
    whole, _ = _integers(flags)
    shifts = np.arange(n_planes, dtype=np.uint64)[:, np.newaxis, np.newaxis] * np.uint64(width)
    packed: npt.NDArray[np.uint64] = np.bitwise_or.reduce(whole << shifts, axis=0, keepdims=True)
    return packed


def names_planes(header: fits.Header) -> bool:
    """Return True if a header names the planes of a mask."""
    return bool(_named(header))


def _named(header: fits.Header) -> dict[str, int]:
    """Return the planes that cards name."""
    planes: dict[str, int] = {}
    for card in header.cards:
        key, value = str(card.keyword).upper(), card.value
        if key.startswith("MP_") and _is_bit(value):
            planes[_plain(key[3:])] = 1 << value
        elif key.startswith("MB_") and _is_number(value):
            planes[_plain(key[3:])] = _unsigned(value)
        elif match := _NUMBERED.match(key):
            kind, number = match[1], int(match[2])
            name = value if isinstance(value, str) else card.comment if kind == "BIT" else ""
            stated = header.get(f"{_PARTNER[kind]}{match[2]}") if kind in _PARTNER else None
            if not _plain(name) or (stated is None and number > 63):
                continue
            planes[_plain(name)] = _unsigned(stated) if isinstance(stated, int) else 1 << number
    return {name: value for name, value in planes.items() if value}


def _planes_of_table(hdu: Any) -> dict[str, int]:
    """Return the planes that a table names, {} if it is no such table."""
    titles = {name.upper(): name for name in hdu.columns.names}
    name, value, bit = (
        next((titles[title] for title in choice if title in titles), None)
        for choice in (_NAME_TITLES, _VALUE_TITLES, _BIT_TITLES)
    )
    if name is None or (value is None and bit is None):
        return {}
    read = [_whole(one) for one in hdu.data[value if value is not None else bit]]
    numbers = [number for number in read if number is not None and 0 <= number < 1 << 64]
    if len(numbers) < len(read):
        return {}
    if value is None and all(number < 64 for number in numbers):
        numbers = [1 << number for number in numbers]
    named = zip((_plain(str(one)) for one in hdu.data[name]), numbers, strict=True)
    return {plane: number for plane, number in named if plane and number}


def _mission_of(planes: Mapping[str, int], header: fits.Header) -> Mission:
    """Return the mission whose list has most of the planes that a file names."""
    best, most = ANY, len(planes) / 2
    for mission in MISSIONS:
        known = mission.known_by(header)
        if mission.needs and mission.needs not in planes and not known:
            continue
        score = sum(mission.knows(plane) for plane in planes) + known / 2
        if score > most or (score == most and best is ANY):
            best, most = mission, score
    return best


def _integers(flags: npt.NDArray[Any]) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.bool_]]:
    """Return flags as unsigned integers, and where they are no whole numbers."""
    kind = flags.dtype.kind
    if kind == "i":  # the sign is the highest bit; the byte order stays
        unsigned = flags.view(flags.dtype.str.replace("i", "u"))
        return unsigned.astype(np.uint64), np.zeros(flags.shape, np.bool_)
    if kind in "ub":
        return flags.astype(np.uint64), np.zeros(flags.shape, np.bool_)
    with np.errstate(invalid="ignore"):
        whole = (flags == np.round(flags)) & (flags >= 0) & (flags < 2.0**63)
    return np.where(whole, flags, 0).astype(np.uint64), ~whole


def _counted(whole: npt.NDArray[np.uint64], bits: int) -> dict[str, int]:
    """Return the number of pixels of each bit."""
    chosen = [n for n in range(64) if bits >> n & 1]
    return {f"bit {n}": int(np.count_nonzero(whole & np.uint64(1 << n))) for n in chosen}


def _listed(counts: Mapping[str, int]) -> str:
    shown = [f"{name} {n}" for name, n in list(counts.items())[:_MOST]]
    more = [f"{len(counts) - _MOST} more"] if len(counts) > _MOST else []
    return ", ".join(shown + more)


def _united(values: Iterable[int]) -> int:
    united = 0
    for value in values:
        united |= value
    return united


def _plain(name: str) -> str:
    """Return the name of a plane in capitals, without explanation in brackets."""
    return re.sub(r"\s+", "_", name.partition("(")[0].strip().upper())


def _is_number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_bit(value: object) -> bool:
    return _is_number(value) and 0 <= value < 64  # type: ignore[operator]


def _unsigned(value: int) -> int:
    """Return the bits of a value that may be written as a negative number of 32 or 64 bits."""
    return value % (1 << 32 if value >= -(1 << 31) and value < 0 else 1 << 64)


def _whole(value: object) -> int | None:
    """Return a number of a table, which may be text such as 0x10; None if it is none."""
    try:
        return int(str(value).strip(), 0)
    except ValueError:
        return None
