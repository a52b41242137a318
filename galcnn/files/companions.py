"""Mask, noise and PSF of an image, from other HDUs of its file or from files and HDUs that users name.

A noise map is converted to a standard deviation, or raises an error.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

import astropy.units as u
import numpy as np
import numpy.typing as npt
from astropy.io import fits

from galcnn.errors import UnreadableImageError, message
from galcnn.files.bunit import stated_logarithm, stated_unit
from galcnn.files.flags import in_one, meaning_of, names_planes, table_of_flags
from galcnn.files.hdus import inherited, raw_planes
from galcnn.files.headers import band_names, card_text, role_of, role_of_name
from galcnn.files.planes import Planes, read_picture
from galcnn.files.sentinels import beyond
from galcnn.files.sources import FileLike, Source, kind_of, opened
from galcnn.files.zero_points import flux_unit
from galcnn.photometry.units import is_count

#: Roles (`galcnn.files.headers.role_of`) that can be converted to a standard deviation.
NOISE_ROLES = ("sigma", "variance", "inverse variance", "inverse sigma", "image")
KINDS = ("mask", "sigma", "psf")

#: Roles that can be used as each kind, the best first.
_SERVES = {
    "mask": ("mask",),
    "sigma": ("sigma", "variance", "inverse variance", "inverse sigma"),
    "psf": ("psf",),
}


def refuse_other_roles(role: str, name: str) -> None:
    """Raise an error if a map is not a noise map."""
    if role not in NOISE_ROLES:
        raise UnreadableImageError(
            message(
                "a standard deviation, variance or inverse variance",
                "Turn it into a standard deviation first.",
                hdu=name,
                kind=role,
            )
        )


def refuse_no_mask(role: str, name: str, header: fits.Header) -> None:
    """Raise an error if a map is known not to be a mask, such as a weight map (good pixels are not 0)."""
    if card_text(header, "HDUCLAS3").upper() == "MASKONE":
        raise UnreadableImageError(
            message("a mask that is 0 where a pixel is good", "Invert it.", hdu=name, HDUCLAS3="MASKONE")
        )
    if role not in ("mask", "image", "other"):
        raise UnreadableImageError(
            message(
                "a mask", "A map of weights or noise also says which pixels are bad.", hdu=name, kind=role
            )
        )


def noise_factor(header: fits.Header, role: str, unit: u.UnitBase) -> float | None:
    """Return the factor to `unit` of a standard deviation whose header states its own unit, else None."""
    if role not in ("sigma", "image"):
        return None
    own = flux_unit(header)
    return own.factor if own is not None and unit == own.unit else None


def noise_in_unit_of(bunit: str, header: fits.Header, role: str, name: str) -> float:
    """Return the factor of standard deviations from the unit of a noise map to that of the file's image."""
    text = card_text(header, "BUNIT")
    unit, image = stated_unit(text), stated_unit(bunit)
    if unit is None or image is None or unit == image or (is_count(unit) and is_count(image)):
        return 1.0  # not stated, or the header is that of the image
    power = {"variance": 2, "inverse variance": -2, "inverse sigma": -1}.get(role, 1)
    try:
        return float(_without_pixels(unit ** Fraction(1, power)).to(_without_pixels(image)))
    except u.UnitConversionError as error:
        raise UnreadableImageError(
            message(
                "noise in the unit of the image", "Convert it first.", found=name, BUNIT=text, image=bunit
            )
        ) from error


def _without_pixels(unit: u.UnitBase) -> u.UnitBase:
    powers = dict(zip(unit.bases, unit.powers, strict=True))
    return unit * u.pix ** -powers[u.pix] if u.pix in powers else unit


def standard_deviation(
    noise: npt.NDArray[Any], role: str, factor: float | npt.NDArray[np.float64]
) -> npt.NDArray[np.float32]:
    """Convert the values of a noise map to the standard deviation of each pixel."""
    values = noise.astype(np.float64)
    unknown = no_noise(values, role)
    with np.errstate(invalid="ignore", divide="ignore"):
        if role == "variance":
            values = np.sqrt(values)
        elif role == "inverse variance":
            values = 1 / np.sqrt(values)
        elif role == "inverse sigma":
            values = 1 / values
        known = np.where(unknown, np.nan, values * factor)
    return known.astype(np.float32)


def no_noise(noise: npt.NDArray[Any], role: str) -> npt.NDArray[np.bool_]:
    """Return where a map of noise or weights says that nothing was measured: 0, negative or not finite."""
    with np.errstate(invalid="ignore"):
        unknown: npt.NDArray[np.bool_] = ~((noise > 0) & (noise < np.inf))
    infinite = beyond(noise) if role in ("sigma", "variance", "image") else None  # SExtractor's 1e30
    return unknown if infinite is None else unknown | infinite


@dataclass(frozen=True)
class Companions:
    """Files or HDUs of mask, noise and PSF, instead of those found in the image's file.

    Each is another file (a path, bytes or an open binary file) or the name of an HDU in the image's file.

    Attributes
    ----------
    mask : path-like, bytes or str, optional
        Mask of pixels not to use. Flag bits are read as the file names them or as its mission defines
        them (`galcnn.files.flags`); in other masks every pixel that is not 0 is masked.
    sigma : path-like, bytes or str, optional
        Standard deviation in the unit of the image or, if the name of the HDU or file says so, variance
        or inverse variance.
    psf : path-like, bytes or str, optional
        PSF on pixels of the image's size, one plane per band or one for all; it is divided by its sum.
    """

    mask: FileLike | None = None
    sigma: FileLike | None = None
    psf: FileLike | None = None


@dataclass(frozen=True)
class CompanionPlanes:
    """Planes of a mask, noise map or PSF.

    Attributes
    ----------
    values : numpy.ndarray
        Values of the file, shape (n_planes, ny, nx).
    role : str
        Kind of values, see `galcnn.files.headers.role_of`.
    bands : tuple of str or None
        Names of the bands; None if the file does not name them.
    header : astropy.io.fits.Header
        Header of the first plane, with cards inherited from the primary header.
    source : str
        Name of the file or HDU.
    flags : mapping of str to int
        Planes of a mask that a table of the file names, with their values.
    changed : tuple of str
        HDUs of its file that do not match their checksums.
    """

    values: npt.NDArray[Any]
    role: str
    bands: tuple[str | None, ...]
    header: fits.Header
    source: str
    flags: Mapping[str, int] = field(default_factory=dict)
    changed: tuple[str, ...] = ()


def companion_of_hdu(hdulist: fits.HDUList, hdu: Any) -> CompanionPlanes:
    """Read one HDU as a companion."""
    header = inherited(hdulist, hdu)
    role = role_of(hdu)
    values = raw_planes(hdu)
    name = hdu.name or hdulist.index(hdu)
    bands = band_names(hdu.header, len(values))
    return CompanionPlanes(values, role, bands, header, f"HDU {name}", table_of_flags(hdulist, hdu.name))


def companion_of_file(source: Source, kind: str, *, strict: bool = False) -> CompanionPlanes:
    """Read a mask, noise map or PSF from a file of its own."""
    if kind_of(source) == "picture":
        picture = read_picture(source).values
        return CompanionPlanes(picture, "image", (None,) * len(picture), fits.Header(), source.name)
    with opened(source, strict=strict) as (hdulist, notes):
        images = [one for one in hdulist if one.is_image and len(getattr(one, "shape", None) or ()) >= 2]
        fitting = [one for one in images if role_of(one) in _SERVES[kind]] or images
        companions = [companion_of_hdu(hdulist, one) for one in fitting]
    bands = [companion.bands[0] for companion in companions]
    apart = all(bands) and len(set(bands)) == len(bands) and all(len(one.values) == 1 for one in companions)
    if (len(companions) > 1 and not apart) or not companions:
        raise UnreadableImageError(
            message(f"one image of {kind}, or one per band", "", path=source.name, n_images=len(companions))
        )
    first = companions[0]
    role = role_of_name(source.name) if first.role == "image" else first.role
    if len(companions) == 1:
        return replace(first, role=role, source=source.name, changed=tuple(notes.changed))
    if len({one.values.shape for one in companions}) > 1:
        raise UnreadableImageError(message(f"{kind} planes of one shape", "", path=source.name))
    return CompanionPlanes(
        np.concatenate([one.values for one in companions]),
        role,
        tuple(bands),
        first.header,
        source.name,
        first.flags,
        tuple(notes.changed),
    )


def attach(
    planes: Planes, companion: CompanionPlanes, kind: str, bands: Sequence[str] | None = None
) -> Planes:
    """Add a mask, noise map, PSF, or map of weights or contexts (its gaps); users may name `bands`."""
    if companion.changed:
        said = [f"{name} of the {kind}" for name in companion.changed]
        notes = [f"HDU {one} ({companion.source}) does not match its checksum" for one in said]
        planes = replace(planes, notes=(*planes.notes, *notes), changed=(*planes.changed, *said))
    if kind in ("weight", "context"):
        return _without_gaps(planes, companion)
    planes = replace(planes, facts=planes.facts | {f"{kind}_source": _said(companion, kind)})
    if kind == "psf":
        return replace(planes, psf=_psf(planes, companion))
    if kind == "mask":
        companion = _in_one(companion)
    _check_shape(planes, companion, kind)
    if kind == "mask":
        refuse_no_mask(companion.role, companion.source, companion.header)
        return _with_flags(planes, companion, bands)
    return _with_sigma(planes, companion)


def with_own_companions(
    planes: Planes,
    hdulist: fits.HDUList,
    hdu: Any,
    bands: Sequence[str] | None,
    *,
    alone: bool,
    kinds: Sequence[str],
) -> Planes:
    """Add mask, noise map and PSF from the image's own file, if their roles are certain."""
    others = [(one, role_of(one)) for one in hdulist if one is not hdu and one.is_image and _planes_of(one)]
    if not others:
        return planes

    def of_role(role: str, kind: str) -> list[Any]:
        of_shape = [one for one, its in others if its == role and _fits(one, planes, kind)]
        return [one for one in of_shape if alone or _belongs(one, hdu)]

    for role in ("weight", "context"):
        for one in of_role(role, "mask"):
            planes = _attached_if_good(planes, companion_of_hdu(hdulist, one), role, bands)
    for kind in kinds:
        for role in _SERVES[kind]:
            fitting = of_role(role, kind)
            if kind == "mask" and len(fitting) > 1 and all(names_planes(one.header) for one in fitting):
                # A mask of many planes continues in further HDUs.
                for one in fitting:
                    planes = _attached_if_good(planes, companion_of_hdu(hdulist, one), kind, bands)
                break
            plain = [one for one in fitting if "_" not in one.name]
            chosen = fitting if len(fitting) == 1 else plain
            if len(chosen) == 1:
                planes = _attached_if_good(planes, companion_of_hdu(hdulist, chosen[0]), kind, bands)
                break
            if fitting:
                note = f"{len(fitting)} HDUs of {role}, not told apart: name one"
                planes = replace(planes, notes=(*planes.notes, note))
    return planes


def _attached_if_good(
    planes: Planes, companion: CompanionPlanes, kind: str, bands: Sequence[str] | None
) -> Planes:
    try:
        found = attach(planes, companion, kind, bands)
    except UnreadableImageError as error:
        return replace(planes, notes=(*planes.notes, f"{companion.source} is left out: {error}"))
    if found.mask is not None and found.mask.all() and kind != "psf":
        note = f"{companion.source} is left out: no pixel would be good"
        return replace(planes, notes=(*planes.notes, note))
    return found


def _planes_of(hdu: Any) -> tuple[int, ...]:
    """Return the shape of an HDU's image, or () if it has none."""
    shape = tuple(getattr(hdu, "shape", None) or ())
    return shape if len(shape) >= 2 and 0 not in shape else ()


def _fits(hdu: Any, planes: Planes, kind: str) -> bool:
    return kind == "psf" or _planes_of(hdu)[-2:] == planes.shape


def _belongs(companion: Any, image: Any) -> bool:
    own, its = _key(companion), _key(image)
    # A companion without band or name ending belongs to all images that have one.
    return own == its or (own[0] == "version" and its[0] != "version")


def _key(hdu: Any) -> tuple[str, object]:
    """Return what an image shares with its companions: band, ending of the EXTNAME, or EXTVER."""
    start, dot, _ = hdu.name.rpartition(".")
    if dot:  # a quadrant of Euclid: "3-4.E.SCI"
        return ("name", start)
    band = band_names(hdu.header, 1)[0]
    if band is not None:
        return ("band", band)
    _, underscore, end = hdu.name.partition("_")
    return ("name", end) if underscore else ("version", hdu.ver)


def _said(companion: CompanionPlanes, kind: str) -> str:
    plain = companion.role in (kind, "image")
    return companion.source if plain else f"{companion.source} ({companion.role})"


def _check_shape(planes: Planes, companion: CompanionPlanes, kind: str) -> None:
    n_planes, *shape = companion.values.shape
    if tuple(shape) != planes.values.shape[1:] or n_planes not in (1, len(planes.values)):
        raise UnreadableImageError(
            message(f"{kind} for planes of shape {planes.values.shape}", "", shape=companion.values.shape)
        )


def _by_band(companion: CompanionPlanes, planes: Planes) -> npt.NDArray[Any]:
    """Return the planes of a companion in the order of the image's."""
    named = set(companion.bands) == set(planes.names) and None not in companion.bands
    if not named or companion.bands == planes.names:
        return companion.values
    return companion.values[[companion.bands.index(name) for name in planes.names]]


def _masked(planes: Planes, bad: npt.NDArray[np.bool_], note: str = "") -> Planes:
    fresh = np.broadcast_to(bad, planes.values.shape)
    mask = fresh if planes.mask is None else fresh | planes.mask
    return replace(planes, mask=mask, notes=(*planes.notes, note) if note else planes.notes)


def _in_one(companion: CompanionPlanes) -> CompanionPlanes:
    """Return a mask whose planes of bytes are one plane."""
    whole = in_one(companion.values, companion.header)
    if whole is companion.values:
        return companion
    return replace(companion, values=whole, bands=(None,))


def _with_flags(planes: Planes, companion: CompanionPlanes, bands: Sequence[str] | None) -> Planes:
    flags = _by_band(companion, planes)
    names: Sequence[str | None] = planes.names
    if bands is not None and len(bands) == len(names) and not set(bands) <= set(names):
        names = bands  # the planes will have these names, see `choose_bands`
    meaning = meaning_of(companion.header, companion.flags)
    said = meaning.said(flags, names)
    bad = meaning.bad_pixels(flags, names)
    return _masked(planes, bad, f"{companion.source}: {said}" if said else "")


def _without_gaps(planes: Planes, companion: CompanionPlanes) -> Planes:
    """Mask pixels of weight 0, or to which no exposure contributes."""
    planes = replace(planes, facts=planes.facts | {"mask_source": _said(companion, "mask")})
    if companion.role == "context":  # 32 exposures a plane
        gaps = (companion.values == 0).all(axis=0, keepdims=True)
        return _masked(planes, gaps, _counted(gaps, f"{companion.source}: pixels of no exposure"))
    _check_shape(planes, companion, "weights")
    gaps = no_noise(_by_band(companion, planes), companion.role)
    return _masked(planes, gaps, _counted(gaps, f"{companion.source}: pixels without weight"))


def _counted(bad: npt.NDArray[np.bool_], what: str) -> str:
    n = int(np.count_nonzero(bad))
    return f"{what} are masked ({n})" if n else ""


def _with_sigma(planes: Planes, companion: CompanionPlanes) -> Planes:
    refuse_other_roles(companion.role, companion.source)
    values = _by_band(companion, planes)
    unknown = no_noise(values, companion.role)
    if unknown.all():
        raise UnreadableImageError(
            message("a noise map with positive numbers", "", found=companion.source, kind=companion.role)
        )
    factors = _noise_factors(planes, companion)
    what = "weight" if companion.role.startswith("inverse") else "noise"
    planes = _masked(planes, unknown, _counted(unknown, f"{companion.source}: pixels without {what}"))
    values = np.broadcast_to(values, planes.values.shape)
    return replace(planes, sigma=standard_deviation(values, companion.role, factors))


def _noise_factors(planes: Planes, companion: CompanionPlanes) -> float | npt.NDArray[np.float64]:
    """Return the factors to the unit of the image of standard deviations in the unit of a noise map."""
    own = noise_factor(companion.header, companion.role, planes.unit)
    if own is not None:
        return own
    text = card_text(companion.header, "BUNIT")
    logarithm, unit = stated_logarithm(text), stated_unit(text)
    if logarithm is None and (planes.linear or unit is None):
        within = noise_in_unit_of(planes.bunit, companion.header, companion.role, companion.source)
        return planes.factor_planes * within
    if logarithm is None or not logarithm.decades or planes.unit != u.nJy:
        raise UnreadableImageError(
            message("noise in the unit of the image", "Convert it first.", found=companion.source, BUNIT=text)
        )
    # sigma of a magnitude m is that of ln(flux), times 1 / (0.4 ln 10)
    flux = np.where(planes.values > 0, planes.values, np.nan).astype(np.float64)
    scaled: npt.NDArray[np.float64] = flux * (np.log(10) * abs(logarithm.decades))
    return scaled


def _psf(planes: Planes, companion: CompanionPlanes) -> npt.NDArray[np.float32]:
    if companion.role not in ("psf", "image") or len(companion.values) not in (1, len(planes.values)):
        raise UnreadableImageError(
            message(
                f"a PSF for {len(planes.values)} bands",
                "",
                found=companion.source,
                kind=companion.role,
                shape=companion.values.shape,
            )
        )
    values = np.broadcast_to(
        _by_band(companion, planes), (len(planes.values), *companion.values.shape[1:])
    ).astype(np.float64)
    sums = values.sum(axis=(1, 2), keepdims=True)
    if not np.isfinite(values).all() or not (sums > 0).all():
        raise UnreadableImageError(
            message(
                "a PSF of finite numbers with a positive sum",
                "",
                found=companion.source,
                sums=sums.ravel().tolist(),
            )
        )
    unit_sum: npt.NDArray[np.float32] = (values / sums).astype(np.float32)
    return unit_sum
