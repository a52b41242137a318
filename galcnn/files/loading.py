"""Load image files (FITS, JPEG, PNG) as cutouts, and calibrate and correct them."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.io import fits

from galcnn.cutout import Cutout, held_position
from galcnn.errors import UnreadableImageError, message, reading
from galcnn.files.astrometry import central_place, pixel_of
from galcnn.files.companions import KINDS, Companions, attach, companion_of_file, companion_of_hdu
from galcnn.files.fits_images import HDUChoice, find_hdu, read_image
from galcnn.files.headers import role_of_name
from galcnn.files.layout import cutout_from_hdus, science_hdu
from galcnn.files.plain import NotPlain
from galcnn.files.planes import Planes, choose_bands, join, read_picture
from galcnn.files.sources import FileLike, Source, in_memory, kind_of, opened, source_of
from galcnn.photometry import ab_flux
from galcnn.photometry.units import UNCALIBRATED, is_count
from galcnn.transforms import combine, correct_extinction, crop_width, remove_sky

#: Entry of the meta of a cutout: HDUs that do not match their checksums.
CHANGED = "checksum_mismatch"
#: AB magnitude of a value of 1: of all bands, or of each.
ZeroPoint = float | Mapping[str, float]


@dataclass(frozen=True)
class Treatment:
    """Processing steps of a loaded image; by default none.

    Attributes
    ----------
    zero_point : float, mapping of str to float, or None
        AB magnitude of a value of 1 in the image, for all bands or band -> magnitude, if the file does
        not state it, see `calibrate`.
    sky : bool
        If True, subtract the sky level, see `galcnn.transforms.remove_sky`.
    ebv : float or None
        E(B-V) in magnitudes to correct for, see `galcnn.transforms.correct_extinction`.
    system : str or None
        Photometric system of the bands, if it cannot be found from the survey.
    width : astropy.units.Quantity or None
        Side of the central field to keep, an angle or pixels; this is the last step.
    pixel_scale : astropy.units.Quantity or None
        Angle per pixel of an image without a WCS, noted in ``meta["pixel_scale"]``.
    """

    zero_point: ZeroPoint | None = None
    sky: bool = False
    ebv: float | None = None
    system: str | None = None
    width: u.Quantity | None = None
    pixel_scale: u.Quantity | None = None


def treat(cutout: Cutout, treatment: Treatment) -> Cutout:
    """Apply the steps of a treatment in order."""
    if treatment.pixel_scale is not None:
        cutout = _with_scale(cutout, treatment.pixel_scale)
    if treatment.zero_point is not None:
        cutout = calibrate(cutout, treatment.zero_point)
    if treatment.sky:
        cutout = remove_sky(cutout)
    if treatment.ebv is not None:
        cutout = correct_extinction(cutout, treatment.ebv, system=treatment.system)
    if treatment.width is not None:
        cutout = crop_width(cutout, treatment.width)
    return cutout


def _with_scale(cutout: Cutout, pixel_scale: u.Quantity) -> Cutout:
    own, arcsec = cutout.pixel_scales, float(pixel_scale.to_value(u.arcsec))
    if cutout.wcs is not None and own is not None:
        raise ValueError(
            message(
                "an image without a WCS, for the pixel scale",
                "Leave the pixel scale out: --pixel-scale.",
                pixel_scale=f"{own[0]:.4f} along x, {own[1]:.4f} along y",
            )
        )
    return replace(cutout, meta={**cutout.meta, "pixel_scale": [arcsec, arcsec]})


def calibrate(cutout: Cutout, zero_point: ZeroPoint) -> Cutout:
    """Convert counts to nJy with known zero points.

    Parameters
    ----------
    cutout : galcnn.cutout.Cutout
        Uncalibrated cutout with linear values.
    zero_point : float or mapping of str to float
        AB magnitude of a source with a value of 1 in the image, for all bands or band -> magnitude.

    Returns
    -------
    galcnn.cutout.Cutout
        Cutout in nJy.

    Raises
    ------
    ValueError
        If the cutout is calibrated already, or a picture, or a band has no zero point.

    Examples
    --------
    >>> from galcnn.photometry.units import UNCALIBRATED
    >>> counts = Cutout(np.ones((1, 2, 2)), ("r",), unit=UNCALIBRATED)
    >>> round(float(calibrate(counts, 22.5).flux[0, 0, 0]), 3)
    3631.0
    """
    if not is_count(cutout.unit):
        raise ValueError(
            message(
                "an image of counts, for the zero point",
                "Leave the zero point out: --zero-point.",
                unit=str(cutout.unit),
                calibration=cutout.meta.get("calibration"),
            )
        )
    if isinstance(zero_point, Mapping):
        if missing := [band for band in cutout.bands if band not in zero_point]:
            raise ValueError(
                message(
                    f"a zero point of each band {cutout.bands}",
                    "Name all of them: --zero-point g=25.3,r=26.1.",
                    missing=missing,
                )
            )
        points = [float(zero_point[band]) for band in cutout.bands]
    else:
        points = [float(zero_point)] * len(cutout.bands)
    factor = np.array([ab_flux(one) for one in points])[:, np.newaxis, np.newaxis]
    alike = len(set(points)) == 1
    shown = f"{points[0]:g}" if alike else ", ".join(f"{one:g}" for one in points)
    said = {"calibration": f"zero point given: {shown} AB", "zero_point_ab": points[0] if alike else points}
    return replace(
        cutout,
        flux=(cutout.flux * factor).astype(np.float32),
        sigma=None if cutout.sigma is None else (cutout.sigma * factor).astype(np.float32),
        unit=u.nJy,
        meta={**cutout.meta, **said},
    )


def load_cutout(
    path: FileLike | Sequence[FileLike],
    *,
    bands: Sequence[str] | None = None,
    hdu: HDUChoice | None = None,
    companions: Companions | None = None,
    position: SkyCoord | None = None,
    redshift: float | None = None,
    strict: bool = False,
) -> Cutout:
    """Load an image file as a cutout, with flux in nJy if the file states its calibration.

    Formats are FITS (primary HDU or extension, several extensions or a cube of bands, one file per band,
    compressed or not), files of `save_cutout` and of `galcnn.layers`, and JPEG and PNG, whose rows are
    reversed since FITS counts them from the bottom. Mask, noise and PSF are loaded with the image if the
    file has them and their roles are certain.

    Parameters
    ----------
    path : path-like, bytes, binary file, HDUList, or sequence of them
        File, on disk or in memory; or one file per band, all on one grid (`load_bands` resamples them to
        one).
    bands : sequence of str, optional
        Bands to load, in the wanted order; names for all planes if the file names none.
    hdu : int, str or sequence of them, optional
        HDU of the image: index from 0, EXTNAME, or ``EXTNAME,EXTVER``; several for one band each. By
        default it is found, if it is certain.
    companions : Companions, optional
        Files or HDUs of mask, noise and PSF, instead of those found.
    position : astropy.coordinates.SkyCoord, optional
        Position of the galaxy; by default that of the central pixel, since cards such as RA and DEC are
        often those of the telescope.
    redshift : float, optional
        Redshift of the galaxy.
    strict : bool
        If True, a CHECKSUM or DATASUM that does not match is an error in every file. By default it is one
        in files of galcnn and tile-compressed images, else a note, and `meta` names the HDUs as
        "checksum_mismatch".

    Returns
    -------
    galcnn.cutout.Cutout
        Cutout. Its `meta` has path, format, calibration, AB zero point, the sources of position, mask,
        sigma and PSF, and notes on what was missing or repaired in the header.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    galcnn.errors.UnreadableImageError
        If no image can be read from the file; the text says what was found. Also if `position` is
        outside the image, often because of a wrong WCS.

    Examples
    --------
    >>> import tempfile, numpy as np
    >>> from pathlib import Path
    >>> from galcnn.files import save_cutout
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "galaxy.fits"
    ...     save_cutout(Cutout(np.ones((2, 8, 8)), ("g", "r"), redshift=0.1), path)
    ...     cutout = load_cutout(path, bands=("r",))
    >>> cutout.bands, cutout.unit, cutout.redshift
    (('r',), Unit("nJy"), 0.1)
    """
    sources = _sources(path)
    if isinstance(bands, str):
        raise TypeError(message("bands as a sequence of names", f"Write ({bands!r},).", bands=bands))
    if not sources:
        raise ValueError(message("at least one file", "", path=path))
    given = _given(companions or Companions())
    with reading("a readable image", "Fetch it again.", path=_shown(sources)):
        planes = join([_read_file(source, bands, hdu, given, strict=strict) for source in sources])
        for kind, companion in given.items():
            if isinstance(companion, Source):
                planes = attach(planes, companion_of_file(companion, kind, strict=strict), kind, bands)
        planes = choose_bands(planes, bands)
        if not np.isfinite(planes.values).any():
            raise UnreadableImageError(
                message(
                    "an image with at least one number",
                    "Leave it out.",
                    path=_shown(sources),
                    found="all NaN",
                )
            )
        place: Any = planes.position
        place_source = None
        if position is not None:
            _check_inside(planes, position, sources)
            place, place_source = position, "given"
        elif planes.wcs is not None and not planes.ours:
            place = functools.partial(central_place, planes.wcs, planes.shape)
            place_source = "centre of the image"
        return Cutout(
            planes.values,
            tuple(str(name) for name in planes.names),
            wcs=planes.wcs,
            position=place,
            survey=planes.survey,
            unit=planes.unit,
            mask=planes.mask,  # type: ignore[arg-type]  # None means: only NaN is masked
            sigma=planes.sigma,
            psf=planes.psf,
            redshift=planes.redshift if redshift is None else redshift,
            meta=_meta(planes, sources, place_source),
        )


def load_bands(
    paths: Sequence[FileLike],
    *,
    reference: str,
    bands: Sequence[str] | None = None,
    hdu: HDUChoice | None = None,
    position: SkyCoord | None = None,
    redshift: float | None = None,
    treatment: Treatment | None = None,
    strict: bool = False,
) -> Cutout:
    """Load files of one galaxy, on any pixel grids, as one cutout.

    Parameters
    ----------
    paths : sequence of path-like, bytes or binary files
        Files with one or more bands each.
    reference : str
        Band whose grid is kept; the others are resampled onto it with flux conserved
        (`galcnn.transforms.align`).
    bands : sequence of str, optional
        One name per file: the band to load, or its name if the file has none.
    hdu : int, str or sequence of them, optional
        HDU of the image in every file, see `load_cutout`.
    position : astropy.coordinates.SkyCoord, optional
        Position of the galaxy, see `load_cutout`.
    redshift : float, optional
        Redshift of the galaxy.
    treatment : Treatment, optional
        Steps applied to each file before resampling; its width is cut last.
    strict : bool
        See `load_cutout`.

    Returns
    -------
    galcnn.cutout.Cutout
        Cutout of all bands, see `galcnn.transforms.combine`.

    Raises
    ------
    FileNotFoundError, galcnn.errors.UnreadableImageError
        If `load_cutout` raises it.
    ValueError
        If the files do not combine: a band occurs twice, units differ, or there is no WCS or no overlap.
    """
    if bands is not None and len(bands) != len(paths):
        raise ValueError(
            message("one band per file", "Name the band of each.", bands=tuple(bands), n_files=len(paths))
        )
    wanted = [None] * len(paths) if bands is None else [(band,) for band in bands]
    each = replace(treatment or Treatment(), width=None)
    loaded = [
        load_cutout(path, bands=own, hdu=hdu, position=position, redshift=redshift, strict=strict)
        for path, own in zip(paths, wanted, strict=True)
    ]
    cutouts = [treat(one, each) for one in loaded]
    both = combine(cutouts, reference=reference)
    if changed := [name for one in loaded for name in one.meta.get(CHANGED, ())]:
        both = replace(both, meta={**both.meta, CHANGED: changed})
    return both if treatment is None else treat(both, Treatment(width=treatment.width))


def _read_file(
    source: Source,
    bands: Sequence[str] | None,
    hdu: HDUChoice | None,
    given: Mapping[str, Source | str],
    *,
    strict: bool,
) -> Planes:
    named = {kind: name for kind, name in given.items() if isinstance(name, str)}
    source = in_memory(source)
    if kind_of(source) == "picture":
        asked = [one for one in (hdu, *named.values()) if one is not None]
        if asked:
            raise UnreadableImageError(
                message("no HDU of a JPEG or PNG", "Leave it out.", path=source.name, hdu=asked[0])
            )
        return read_picture(source)
    kinds = [kind for kind in KINDS if kind not in given]

    def read(*, plain: bool) -> Planes:
        with opened(source, strict=strict, plain=plain) as (hdulist, notes):
            planes = _science(hdulist, bands, hdu, kinds)
            for kind, name in named.items():
                planes = attach(planes, companion_of_hdu(hdulist, find_hdu(hdulist, name)), kind, bands)
        changed = (*planes.changed, *notes.changed)
        return replace(planes, notes=(*planes.notes, *notes), changed=changed)

    try:
        planes = read(plain=True)
    except NotPlain:
        planes = read(plain=False)
    return _doubted(planes, source)


def _science(
    hdulist: fits.HDUList, bands: Sequence[str] | None, hdu: HDUChoice | None, kinds: Sequence[str]
) -> Planes:
    if hdu is None and science_hdu(hdulist) is not None:
        return _planes_of(cutout_from_hdus(hdulist))
    try:
        return read_image(hdulist, hdu, bands, kinds=kinds)
    except fits.VerifyError as error:  # a card that is not valid FITS, such as text without quotes
        if not isinstance(hdulist, fits.HDUList):
            raise NotPlain(str(error)) from error
        hdulist.verify("fix")  # repairs are recorded in the notes
        return read_image(hdulist, hdu, bands, kinds=kinds)


def _doubted(planes: Planes, source: Source) -> Planes:
    """Undo the calibration of noise, weight or segment maps, which often have the header of their image."""
    role = role_of_name(source.name)
    if planes.ours or role == "image":
        return planes
    notes = (*planes.notes, f"the name of the file says {role}: is this the image of a galaxy?")
    if not planes.linear:
        raise UnreadableImageError(
            message("an image of a galaxy", "Name its file.", path=source.name, name_says=role)
        )
    if planes.unit != u.nJy:
        return replace(planes, notes=notes)
    factors = planes.factor_planes.astype(np.float32)
    facts = {key: value for key, value in planes.facts.items() if key != "zero_point_ab"}
    return replace(
        planes,
        values=planes.values / factors,
        sigma=None if planes.sigma is None else planes.sigma / factors,
        unit=UNCALIBRATED,
        factors=(1.0,) * len(planes.factors),
        facts=facts | {"calibration": f"none: the name of the file says {role}"},
        notes=notes,
    )


def _planes_of(cutout: Cutout) -> Planes:
    return Planes(
        cutout.flux,
        cutout.bands,
        cutout.unit,
        factors=(1.0,) * len(cutout.bands),
        wcs=cutout.wcs,
        survey=cutout.survey,
        mask=cutout.mask,
        sigma=cutout.sigma,
        psf=cutout.psf,
        position=held_position(cutout),
        redshift=cutout.redshift,
        facts=dict(cutout.meta),
        ours=True,
    )


def _sources(path: FileLike | Sequence[FileLike]) -> list[Source]:
    single = str | bytes | bytearray | memoryview | fits.HDUList
    if isinstance(path, Sequence) and not isinstance(path, single):
        return [source_of(one) for one in path]
    return [source_of(path)]


def _given(companions: Companions) -> dict[str, Source | str]:
    """Return the companions that the user gave, each a file or the name of an HDU."""
    given = {kind: getattr(companions, kind) for kind in KINDS}
    return {kind: _file_or_hdu(value) for kind, value in given.items() if value is not None}


def _file_or_hdu(given: FileLike) -> Source | str:
    """Return a file, or the name of an HDU if a word neither is nor looks like a file."""
    source = source_of(given)
    if source.path is None or source.path.is_file():
        return source
    if isinstance(given, str) and not source.path.suffix and source.path.name == given:
        return given
    raise FileNotFoundError(f"File not found: {source.name}. It is not the name of an HDU either.")


def _check_inside(planes: Planes, position: SkyCoord, sources: Sequence[Source]) -> None:
    if planes.wcs is None:
        return
    ny, nx = planes.shape
    x, y = pixel_of(planes.wcs, position)
    if -0.5 <= x <= nx - 0.5 and -0.5 <= y <= ny - 0.5:
        return
    centre = central_place(planes.wcs, planes.shape)
    raise UnreadableImageError(
        message(
            "the galaxy inside of the image",
            "The WCS may be wrong; leave the position out to use the image as its header says.",
            path=_shown(sources),
            position=f"{position.icrs.to_string('decimal')} (ICRS)",
            from_centre=f"{centre.separation(position).to_value(u.arcsec):.1f} arcsec",
        )
    )


def _meta(planes: Planes, sources: Sequence[Source], position_source: str | None) -> dict[str, Any]:
    if planes.ours:
        return dict(planes.facts)
    meta: dict[str, Any] = {"path": _shown(sources), **planes.facts}
    if planes.wcs is None:
        meta["pixel_scale"] = None  # until it is stated, see `Treatment`
    if position_source is not None:
        meta["position_source"] = position_source
    if planes.notes:
        meta["notes"] = list(planes.notes)
    if planes.changed:
        meta[CHANGED] = list(planes.changed)
    return meta


def _shown(sources: Sequence[Source]) -> str | list[str]:
    return sources[0].name if len(sources) == 1 else [source.name for source in sources]
