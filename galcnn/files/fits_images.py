"""Read images from FITS files: find the HDUs of the image, and of its mask and noise."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from astropy.io import fits

from galcnn.errors import UnreadableImageError, message
from galcnn.files.axes import kind_of_hdu
from galcnn.files.companions import KINDS, with_own_companions
from galcnn.files.hdus import raw_planes, stored_image
from galcnn.files.headers import band_names, role_of
from galcnn.files.planes import Planes, join
from galcnn.files.sentinels import has_blank_floats, noted, sentinels, without

HDUChoice = int | str | Sequence[int | str]

_FILTER_LIKE = re.compile(r"(?:SCI_)?([A-Z]|F\d{3,4}[A-Z]\d?)", re.IGNORECASE)


def read_image(
    hdulist: fits.HDUList,
    hdu: HDUChoice | None,
    bands: Sequence[str] | None,
    *,
    kinds: Sequence[str] = KINDS,
) -> Planes:
    """Read the science image of an open file, in nJy if its header is certain."""
    alone = sum(_is_image(one) and role_of(one) == "image" for one in hdulist) == 1
    parts = []
    for one, name in chosen_hdus(hdulist, hdu, bands):
        planes = _read(hdulist, one, name, bands)
        parts.append(with_own_companions(planes, hdulist, one, bands, alone=alone, kinds=kinds))
    return join(parts)


def chosen_hdus(
    hdulist: fits.HDUList, hdu: HDUChoice | None, bands: Sequence[str] | None
) -> list[tuple[Any, str | None]]:
    """Return the HDUs of the science image, with band names where needed, without reading pixels."""
    if hdu is None:
        chosen = _science_hdus(hdulist, bands)
    else:
        wanted: Sequence[int | str] = [hdu] if isinstance(hdu, int | str) else hdu
        chosen = [find_hdu(hdulist, one) for one in wanted]
    named = _names_by_extension(chosen) if len(chosen) > 1 else [None] * len(chosen)
    return list(zip(chosen, named, strict=True))


def find_hdu(hdulist: fits.HDUList, wanted: int | str) -> Any:
    """Return the HDU with this index, EXTNAME or ``EXTNAME,EXTVER``."""
    if isinstance(wanted, str):
        name, _, version = wanted.partition(",")
        fits_name = name.strip().upper()
        found = [
            one
            for one in hdulist
            if one.name.upper() == fits_name and (not version.strip() or str(one.ver) == version.strip())
        ]
    else:
        found = [hdulist[wanted]] if -len(hdulist) <= wanted < len(hdulist) else []
    if len(found) == 1:
        return found[0]
    remedy = f"Name one, e.g. hdu='{wanted},1'." if found else "Name one of these."
    raise UnreadableImageError(
        message(f"one HDU {wanted!r} among {_listing(hdulist)}", remedy, n_found=len(found))
    )


def _science_hdus(hdulist: fits.HDUList, bands: Sequence[str] | None) -> list[Any]:
    science = [one for one in hdulist if _is_image(one) and role_of(one) == "image"]
    if not science:
        remedy = _remedy_of_tables(hdulist) or "Name it: hdu=..."
        raise UnreadableImageError(
            message("an HDU with an image of a galaxy", remedy, found=_listing(hdulist))
        )
    if len(science) == 1:
        return science
    names = _names_by_extension(science)
    if all(names) and len(set(names)) == len(names) and len({_shape(one) for one in science}) == 1:
        return science
    if bands is not None and len(bands) > 1:
        by_name = [[one for one in science if one.name.upper() == band.upper()] for band in bands]
        if all(len(found) == 1 for found in by_name):
            return [found[0] for found in by_name]
    plain = [one for one in science if one.name.upper() in ("SCI", "SCIENCE", "IMAGE", "DATA")]
    if len(plain) == 1:
        return plain
    raise UnreadableImageError(
        message(
            "one image, or one for each band",
            "Choose with hdu=..., an index or a name, or several.",
            found=_listing(hdulist),
        )
    )


def _names_by_extension(hdus: Sequence[Any]) -> list[str | None]:
    """Return the bands of several HDUs, from their cards, or else from EXTNAMEs that look like filters."""
    names: list[str | None] = [band_names(one.header, 1)[0] for one in hdus]
    if all(names):
        return names
    return [found[1] if (found := _FILTER_LIKE.fullmatch(one.name)) else None for one in hdus]


def _read(hdulist: fits.HDUList, hdu: Any, name: str | None, bands: Sequence[str] | None) -> Planes:
    floats = has_blank_floats(hdu.header)
    raw = raw_planes(hdu)
    raw, missing = without(raw, sentinels(raw, hdu.header, floats=floats))
    stored = stored_image(hdulist, hdu, name, values=raw, bands=bands)
    values = stored.calibration.apply(raw)
    return Planes(
        values,
        stored.names,
        stored.calibration.unit,
        wcs=stored.wcs,
        factors=stored.calibration.slopes(values),
        linear=stored.calibration.decades is None,
        survey=stored.survey,
        facts=stored.facts,
        notes=(*stored.notes, *noted(missing)),
        bunit=stored.bunit,
    )


def _listing(hdulist: fits.HDUList) -> str:
    parts = []
    for i, one in enumerate(hdulist[:12]):
        what = f"image {_shape(one)}" if one.is_image and _shape(one) else kind_of_hdu(one)
        parts.append(f"{i} {one.name or '-'}: {what}")
    rest = f", and {len(hdulist) - 12} more" if len(hdulist) > 12 else ""
    return "; ".join(parts) + rest


def _remedy_of_tables(hdulist: fits.HDUList) -> str:
    """Return how to write the images in a column of a table, if there is one."""
    for i, one in enumerate(hdulist):
        for column in getattr(one, "columns", ()):
            if re.fullmatch(r"\(\s*\d+\s*,\s*\d+.*\)", str(column.dim or "")):
                data = f"hdulist[{i}].data[{column.name!r}]"
                return f"A table holds images: write one, fits.writeto('a.fits', {data}[0])."
    return ""


def _shape(hdu: Any) -> tuple[int, ...]:
    """Return the shape of the image; () for extension types that astropy does not know."""
    return tuple(getattr(hdu, "shape", None) or ())


def _is_image(hdu: Any) -> bool:
    return hdu.is_image and len(_shape(hdu)) >= 2 and 0 not in _shape(hdu)
