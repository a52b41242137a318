"""Open files as a Mosaic."""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
import numpy.typing as npt
from astropy.io import fits

from galcnn.errors import UnreadableImageError, message
from galcnn.files.bunit import stated_logarithm
from galcnn.files.companions import noise_factor, noise_in_unit_of, refuse_no_mask, refuse_other_roles
from galcnn.files.fits_images import chosen_hdus
from galcnn.files.flags import meaning_of
from galcnn.files.hdus import StoredImage, plane_indices, stored_image
from galcnn.files.headers import card_text
from galcnn.files.loading import CHANGED
from galcnn.files.planes import Planes, choose_bands, joined_facts
from galcnn.files.sentinels import Sentinel, has_blank_floats, sentinels, without
from galcnn.mosaic.mosaic import Flags, Mosaic, MosaicBand, MosaicFile, NoiseMap
from galcnn.mosaic.pixels import Files

_FilePath = str | os.PathLike[str]

#: Side in pixels of the central part that is read for the calibration.
_SAMPLE = 512
#: Side in pixels of the parts in corners, edges and centre where values of missing data are looked for.
_PART = 64
#: Places (y, x), as fractions of the sides, of smaller parts that are read instead of a damaged centre.
_ELSEWHERE = ((0.25, 0.25), (0.25, 0.75), (0.75, 0.25), (0.75, 0.75))


@contextmanager
def open_mosaic(
    files: _FilePath | MosaicFile | Sequence[_FilePath | MosaicFile],
    *,
    bands: Sequence[str] | None = None,
    strict: bool = False,
) -> Iterator[Mosaic]:
    """Open one or more mosaics of the same part of the sky.

    Bands, unit, zero point and WCS are read from headers as by `galcnn.load_cutout`; where the calibration
    depends on pixel values, those of the central part are used. Files that are compressed as a whole are
    decompressed to the folder for temporary files. Checksums are verified once, on opening.

    Parameters
    ----------
    files : path-like, MosaicFile, or sequence of them
        One file with one or more bands, or several files.
    bands : sequence of str, optional
        Bands to use, in the wanted order; or names for all planes if the files name none.
    strict : bool
        If True, a CHECKSUM or DATASUM that does not match is an error, see `galcnn.load_cutout`. By default,
        the meta of every cutout names the HDUs as "checksum_mismatch".

    Yields
    ------
    Mosaic
        Mosaic, open within the ``with`` block.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    galcnn.errors.UnreadableImageError
        If a file has no image with a WCS, or the bands do not fit together.

    Examples
    --------
    >>> import tempfile
    >>> from astropy.io import fits
    >>> header = fits.Header({"BUNIT": "nJy", "FILTER": "r", "CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN"})
    >>> header.update({"CDELT1": -1e-4, "CDELT2": 1e-4, "CRVAL1": 150.0, "CRVAL2": 2.0})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "mosaic.fits"
    ...     fits.PrimaryHDU(np.zeros((60, 80), ">f4"), header).writeto(path)
    ...     with open_mosaic(path) as mosaic:
    ...         print(mosaic.bands, mosaic.unit, mosaic.shape)
    ('r',) nJy (60, 80)
    """
    if isinstance(bands, str):
        raise TypeError(message("bands as a sequence of names", f"Write ({bands!r},).", bands=bands))
    given = [files] if isinstance(files, str | os.PathLike | MosaicFile) else list(files)
    if not given:
        raise ValueError(message("at least one mosaic", "", files=given))
    wanted = [one if isinstance(one, MosaicFile) else MosaicFile(one) for one in given]
    with ExitStack() as stack:
        opener = Files(stack, strict=strict)
        found = [plane for one in wanted for plane in _planes_of(opener, one, bands)]
        layers = _named(found, bands)
        facts = [layer.facts for layer in layers]
        paths = list(dict.fromkeys(str(one.image) for one in wanted))
        meta = {"path": paths[0] if len(paths) == 1 else paths, **joined_facts(facts)}
        if opener.changed:
            meta[CHANGED] = opener.changed
        yield Mosaic(tuple(layers), found[0].stored.calibration.unit, found[0].stored.survey, meta)


@dataclass(frozen=True)
class _Plane:
    """A plane before its band is named."""

    stored: StoredImage
    number: int
    layer: MosaicBand


def _planes_of(opener: Files, file: MosaicFile, bands: Sequence[str] | None) -> list[_Plane]:
    path = Path(file.image)
    if file.sigma is not None and file.weight is not None:
        raise ValueError(message("sigma or weight, not both", "", sigma=file.sigma, weight=file.weight))
    with opener.headers(path) as (hdulist, notes):
        try:
            chosen = chosen_hdus(hdulist, file.hdu, bands)
            images = []
            for hdu, name in chosen:
                missing, noted = _missing(opener, path, hdulist, hdu)
                sample = _sample(opener, path, hdulist, hdu, missing)
                image = stored_image(hdulist, hdu, name, values=sample, bands=bands)
                images.append((image, missing, noted))
        except UnreadableImageError as error:
            raise UnreadableImageError(f"{path}: {error}") from error
    n_planes = sum(len(image.indices) for image, *_ in images)
    planes: list[_Plane] = []
    for image, missing, noted in images:
        if image.wcs is None:
            raise UnreadableImageError(
                message("a mosaic with a WCS, to find galaxies on it", "Use another file.", path=str(path))
            )
        for number, index in enumerate(image.indices):
            facts = dict(image.facts)
            mask, noise = _beside(opener, file, image, len(planes), n_planes)
            said = [*image.notes, *notes, *noted]
            if mask is not None and (meant := mask.meaning.stated()):
                said.append(f"{file.mask}: {meant}")
            if said:
                facts["notes"] = said
            pixels = opener.source(path, image.hdu, index)
            band = image.names[number] or ""
            layer = MosaicBand(band, image.wcs, pixels, image.calibration, mask, noise, facts, missing)
            planes.append(_Plane(image, number, layer))
    return planes


def _sample(
    opener: Files, path: Path, hdulist: fits.HDUList, hdu: Any, missing: Sequence[Sentinel]
) -> npt.NDArray[Any] | None:
    """Return the central pixels of an image, for headers that leave the calibration to the noise."""
    indices, shape = plane_indices(hdu)
    source = opener.source(path, hdulist.index(hdu), indices[0])
    for part, (y, x) in ((1, (0.5, 0.5)), *((4, place) for place in _ELSEWHERE)):
        sides = [min(_SAMPLE, max(1, n // part)) for n in shape]
        y0, x0 = (
            max(0, int(n * place) - side // 2) for n, place, side in zip(shape, (y, x), sides, strict=True)
        )
        try:
            values, _ = without(source.read((y0, y0 + sides[0], x0, x0 + sides[1])), missing)
        except UnreadableImageError:  # damaged there
            continue
        return values if np.isfinite(values).any() else None
    raise UnreadableImageError(message("an image of which the middle can be read", "Fetch it again."))


def _missing(
    opener: Files, path: Path, hdulist: fits.HDUList, hdu: Any
) -> tuple[tuple[Sentinel, ...], list[str]]:
    """Return the values of missing data, by the header and small parts of each plane, and their note."""
    indices, (ny, nx) = plane_indices(hdu)
    sides = [
        [(start, min(start + _PART, n)) for start in sorted({0, max(0, (n - _PART) // 2), max(0, n - _PART)})]
        for n in (ny, nx)
    ]
    found: list[Sentinel] = []
    seen: dict[str, int] = {}
    floats = has_blank_floats(hdu.header)
    for index in indices:
        source = opener.source(path, hdulist.index(hdu), index)
        parts = []
        for rows, columns in itertools.product(*sides):
            with contextlib.suppress(UnreadableImageError):  # damaged there
                parts.append(source.read((*rows, *columns)).ravel())
        if not parts:
            raise UnreadableImageError(message("an image that can be read", "Fetch it again."))
        pixels = np.concatenate(parts)[np.newaxis]
        found += sentinels(pixels, hdu.header, floats=floats)
        seen |= without(pixels, found)[1]
    shown = [f"{one.value:.15g}" for one in found] + list(seen)
    note = f"values that stand for missing data are masked: {', '.join(dict.fromkeys(shown))}"
    return tuple(dict.fromkeys(found)), [note] if shown else []


def _beside(
    opener: Files, file: MosaicFile, image: StoredImage, plane: int, n_planes: int
) -> tuple[Flags | None, NoiseMap | None]:
    path = Path(file.image)
    mask = noise = None
    if file.mask is not None:
        flags = opener.companion(path, os.fspath(file.mask))
        refuse_no_mask(flags.role, flags.name, flags.header)
        mask = Flags(flags.of(plane, image.shape, n_planes), meaning_of(flags.header, flags.flags))
    said = file.sigma if file.weight is None else file.weight
    if said is not None:
        companion = opener.companion(path, os.fspath(said))
        role = companion.role if file.weight is None else "inverse variance"
        refuse_other_roles(role, companion.name)
        if image.calibration.decades is not None or stated_logarithm(card_text(companion.header, "BUNIT")):
            raise UnreadableImageError(
                message("image and noise in linear units", "Leave the noise out.", hdu=companion.name)
            )
        own = noise_factor(companion.header, role, image.calibration.unit)
        within = noise_in_unit_of(image.bunit, companion.header, role, companion.name)
        factor = image.calibration.factor * within if own is None else own
        areas = image.calibration.areas if own is None else None
        noise = NoiseMap(companion.of(plane, image.shape, n_planes), role, factor, areas)
    return mask, noise


def _named(planes: Sequence[_Plane], bands: Sequence[str] | None) -> list[MosaicBand]:
    """Return the wanted bands in the wanted order, by the rules of `load_cutout`."""
    units = {str(plane.stored.calibration.unit) for plane in planes}
    if len(units) > 1:
        raise UnreadableImageError(message("bands in one unit", "Calibrate them first.", units=sorted(units)))
    # Planes that hold their own number show which of them were chosen.
    numbers: npt.NDArray[np.float32] = np.arange(len(planes), dtype=np.float32)[:, np.newaxis, np.newaxis]
    names = tuple(plane.stored.names[plane.number] for plane in planes)
    chosen = choose_bands(Planes(numbers, names, u.one, factors=(1.0,) * len(planes)), bands)
    rows = chosen.values[:, 0, 0].astype(int)
    layers = [
        replace(planes[row].layer, band=str(name)) for row, name in zip(rows, chosen.names, strict=True)
    ]
    for layer in layers:
        said = layer.facts.get("notes")
        if chosen.notes:
            layer.facts["notes"] = [*(said if isinstance(said, list) else []), *chosen.notes]
    return layers
