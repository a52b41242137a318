"""Names of bands from the filters that headers name.

One table of patterns translates what observatories write ("Johnson V", "g.MP9401", "HSC-I2").
A text that no pattern recognises is the name of the band as a whole, so that two filters do not share a name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

#: Positions of filter wheels without a filter, and words for "no filter".
_EMPTY = re.compile(
    r"CLEAR(P|[12]?[SL]?)|OPEN[\d\-]*|EMPTY|NONE|NULL|N/?A|UNKNOWN|UNDEFINED|NO[ _]?FILTER|FREE|MULTI"
    r"|DETECTION|-*",
    re.IGNORECASE,
)
#: Ranges of wavelength, which some headers give as BAND.
_RANGES = re.compile(
    r"OPTICAL|(NEAR|MID|FAR)?[ \-]?(IR|INFRARED)|[NMF]IR|UV|ULTRAVIOLET|RADIO|X-?RAYS?", re.IGNORECASE
)

# Systems whose bands are those of SDSS in name (lower case, but Y of DECam is not y), of Johnson, Kron
# and Cousins (upper case), and of the near infrared (upper case). The system itself belongs to the survey:
# g of SDSS and g of DECam are both "g", as in galcnn's surveys and extinction coefficients.
_SLOAN = (
    r"SDSS|SLOAN|MEGACAM|MEGAPRIME|CFHT(?:LS)?|ZTF|SKYMAPPER|OMEGACAM|KIDS|VST|BASS|90PRIME|GMOS(?:-?[NS])?"
    r"|LEGACY(?:SURVEY)?"
)
_WITH_SMALL_Y = r"HSC|LSST(?:CAM|COMCAM)?|COMCAM|RUBIN|PS1|PAN-?STARRS1?|GPC1|P1"
_WITH_LARGE_Y = r"DECAM|DES|DECALS|DELVE"
_JOHNSON = r"(?:JOHNSON|COUSINS|KRON)(?:[/\- ]?(?:KRON|COUSINS))*|BESSELL?|BESS?|HARRIS|LANDOLT"
#: R and I of Johnson (7000, 9000 Angstrom) are not those of Cousins (6500, 7900), which all others mean.
_COUSINS = r"(?:(?:JOHNSON|KRON)[/\- ]?)*COUSINS|BESSELL?|BESS?|HARRIS|LANDOLT"
_INFRARED = r"2MASS|UKIDSS|UKIRT|WFCAM|VISTA|VIRCAM|VHS|VIKING|MKO|HAWK-?I|NEWFIRM|WIRCAM"
_SPACE = (
    r"HST|JWST|ACS|WFC3?|HRC|SBC|UVIS[12]?|IR|WFPC2|NIC[123]?|NICMOS|NIRCAM|NIRISS|MIRI|(?:UN|NEO)?WISE|GALEX"
)
#: NIRCam's narrow filters sit in the pupil wheel and are used with one wide filter each, which they narrow.
_NARROWED = {
    "F162M": "F150W2", "F164N": "F150W2", "F323N": "F322W2",
    "F405N": "F444W", "F466N": "F444W", "F470N": "F444W",
}  # fmt: skip

#: Bands that a text may list without their systems.
_LETTERS = frozenset("ugrizywUBVRIZYJHK")

#: Dispersing elements of HST and JWST, alone or beside a filter.
_GRISMS = re.compile(r"(^|\+)(GR(ISM)?[RC\d]\w*|G\d{3}L?|PR\d{3}L|P750L)(\+|$)")

_Namer = Callable[[re.Match[str]], str]


def _as_written(found: re.Match[str]) -> str:
    return found[1]


def _lower(found: re.Match[str]) -> str:
    return found[1].lower()


def _lower_but_y(found: re.Match[str]) -> str:
    return found[1].lower().replace("y", "Y")


def _upper(found: re.Match[str]) -> str:
    return found[1].upper()


def _infrared(found: re.Match[str]) -> str:
    return "Ks" if len(found[1]) > 1 else found[1].upper()


def _both_orders(system: str, letters: str, name: _Namer) -> list[tuple[re.Pattern[str], _Namer]]:
    """Return the patterns "system letter" and "letter system", with or without what stands between."""
    between, codes = r"[ _.:#\-]*", r"(?: [\w.]*\d[\w.]*)*"  # codes: "g_SDSS 480_145", "B Harris k1002"
    return [
        (
            re.compile(rf"(?:[\w\-]+/)?(?:(?:{system}){between})+({letters})['`]?{codes}", re.IGNORECASE),
            name,
        ),
        (re.compile(rf"({letters})['`]?{between}(?:{system}){codes}", re.IGNORECASE), name),
    ]


#: Patterns of a filter's whole text, and the name of the band; the first match is used.
PATTERNS: tuple[tuple[re.Pattern[str], _Namer], ...] = (
    # Space telescopes: F814W, FQ508N, WFC3_UVIS_F606W, ACS/F475W, SVO's HST/ACS_WFC.F814W.
    (re.compile(rf"(?:(?:{_SPACE})[ _./\-]+)*(FQ?\d{{3,4}}(?:W2|LP|[WMNXC]))", re.IGNORECASE), _upper),
    (re.compile(rf"(?:(?:{_SPACE})[ _./\-]*)*([NF]UV|W[1-4])", re.IGNORECASE), _upper),
    (re.compile(r"(?:SPITZER[ _./\-]*)?(IRAC)[ _./\-]*(?:CH|CHANNEL|I)?[ _]?([1-4])", re.IGNORECASE),
     lambda found: f"IRAC{found[2]}"),
    # DECam: "g DECam SDSS c0001 4720.0 1520.0", "VR DECam c0007 6300.0 2600.0".
    (re.compile(r"(\S+) DECam( SDSS)? c\d{4}.*"), _as_written),
    # HSC: HSC-R2 and HSC-I2 replaced HSC-R and HSC-I.
    (re.compile(r"HSC-([GRIZY])2?"), _lower),
    # Suprime-Cam's names of Johnson, Cousins and SDSS filters: W-J-V, W-C-RC, W-S-I+.
    (re.compile(r"W-J-([UBV])"), _as_written),
    (re.compile(r"W-C-([RI])C"), _as_written),
    (re.compile(r"W-S-([GRIZ])\+"), _lower),
    # CFHT MegaPrime "g.MP9401", Pan-STARRS "g.00000", Gemini "r_G0303", Rubin's cameras "r_03" and "i_39".
    (re.compile(r"([ugriz])\.MP\d{4}"), _as_written),
    (re.compile(r"([grizyw])\.0+"), _as_written),
    (re.compile(r"([ugriz])_G\d{4}"), _as_written),
    (re.compile(r"([ugrizy])_\d{1,2}"), _as_written),
    # SDSS's primed system: r', and rp of Las Cumbres; z_p1 of Pan-STARRS is a system below.
    (re.compile(r"([ugriz])(?:['`]|p)"), _as_written),
    (re.compile(r"([ugrizyUBVRIYJHK])[ _\-]band"), _as_written),
    (re.compile(r"K[ _\-]?[sS](?:hort)?"), lambda _: "Ks"),
    *_both_orders(_SLOAN, "[ugriz]", _lower),
    *_both_orders(_WITH_SMALL_Y, "[ugrizyw]", _lower),
    *_both_orders(_WITH_LARGE_Y, "[ugrizy]", _lower_but_y),
    *_both_orders(_JOHNSON, "[UBV]", _upper),
    *_both_orders(_COUSINS, "[RI]", _upper),
    *_both_orders("JOHNSON", "[RI]", lambda found: f"Johnson {found[1].upper()}"),
    *_both_orders(_INFRARED, "Ks|K_s|[ZYJHK]", _infrared),
)  # fmt: skip


def is_empty(text: str) -> bool:
    """Return True if a text says that there is no filter, or only a range of wavelengths."""
    return bool(_EMPTY.fullmatch(text) or _RANGES.fullmatch(text))


def band_of(text: str) -> str | None:
    """Return the band of a filter's text; None if it says that there is no filter, or lists several bands.

    Examples
    --------
    >>> [band_of(text) for text in ("Johnson V", "SDSS r'", "F444W;CLEAR", "Halpha 6563", "CLEAR")]
    ['V', 'r', 'F444W', 'Halpha 6563', None]
    """
    whole = " ".join(text.split())
    if is_empty(whole):
        return None
    known = _recognised(whole)
    if known is not None:
        return known
    parts = [part for part in re.split(r"\s*[,;|~/]\s*", whole) if not is_empty(part)]
    if len(parts) == 1 and parts[0] != whole:
        return band_of(parts[0])
    trimmed = re.sub(r"[ _\-+]CLEARP?\b|\bCLEARP?[ _\-+]", "", whole, flags=re.IGNORECASE)
    if trimmed != whole:
        return band_of(trimmed)
    bands = [_recognised(part) or part for part in parts]
    if len(parts) < 2 or _narrowed(bands) is not None:
        return _narrowed(bands) or whole
    if all(part in _LETTERS or _recognised(part) for part in parts):
        return None  # a list of bands, "g,r"
    return "+".join(bands) if re.search(r"[,;|~]", whole) else whole


def combined(texts: Sequence[str]) -> str | None:
    """Return the band of filters in two or more wheels: the one that is not clear, or all joined by "+".

    Examples
    --------
    >>> combined(["F150W2", "F162M"]), combined(["CLEAR1L", "F814W"]), combined(["F606W", "POL0V"])
    ('F162M', 'F814W', 'F606W+POL0V')
    """
    bands = list(dict.fromkeys(found for text in texts if (found := band_of(text)) is not None))
    narrowed = _narrowed(bands)
    if narrowed is not None:
        return narrowed
    return "+".join(bands) or None


def is_dispersed(band: str | None) -> bool:
    """Return True if a band is that of a grism or prism, which shows spectra."""
    return band is not None and _GRISMS.search(band) is not None


def _narrowed(bands: Sequence[str]) -> str | None:
    """Return the narrow filter of a pair of NIRCam's, else None."""
    return next((band for band in bands if len(bands) == 2 and _NARROWED.get(band) in bands), None)


def _recognised(text: str) -> str | None:
    plain = " ".join(re.sub(r"[()\[\]]", " ", text).split())  # "V (Johnson)"
    return next(
        (name(found) for pattern, name in PATTERNS if (found := pattern.fullmatch(plain)) is not None), None
    )
