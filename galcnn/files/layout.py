"""FITS layouts of cutouts: written as HDUs and read back without loss.

Layout 2, that of files of cutouts, has one HDU a role. ``SCI`` is a cube of the bands, which NBANDS counts
and BAND1, BAND2 ... name. ``MASK`` (1 = do not use, the bit of the card MP_BAD) is an image common to all
bands, or a cube if they differ. ``SIGMA`` and ``PSF`` are cubes, present if known. ``META`` is a table of
JSON values.

Layout 1, that of layers files, in which viewers show one image at a time, and of older files of cutouts, has
one HDU a band: ``SCI_<BAND>`` with NBANDS, ``MASK`` or ``MASK_<BAND>``, ``SIGMA_<BAND>``, ``PSF_<BAND>``.

Each HDU has the number of its layout in the card GALCNN, each image on the cutout's grid its whole WCS.
"""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import astropy.units as u
import numpy as np
import numpy.typing as npt
from astropy.coordinates import SkyCoord
from astropy.io import fits

from galcnn._runtime import atomic
from galcnn._runtime.version import __version__
from galcnn.cutout import Cutout
from galcnn.errors import UnreadableImageError, message, reading, wrong_type
from galcnn.files.astrometry import celestial_wcs, lost_tables, wcs_cards
from galcnn.files.plain import PlainTable
from galcnn.files.text import escape, text_column, to_json, unescape, unique_name, word
from galcnn.files.writing import Card, image_bytes, primary_bytes, text_table_bytes
from galcnn.photometry import parse_unit

#: Layouts of one HDU a band, and of one HDU a role.
_BY_BAND, _BY_ROLE = 1, 2
_LAYOUT_CARD = "GALCNN"
_THIRD_AXIS: tuple[Card, ...] = (
    ("CTYPE3", "BAND", "number of the band"),
    ("CRPIX3", 1.0, ""),
    ("CRVAL3", 1.0, ""),
    ("CDELT3", 1.0, ""),
)
_BAD_CARD = ("MP_BAD", 0, "number of the bit: do not use")
_parsed_unit = functools.lru_cache(maxsize=64)(parse_unit)
#: Maximum number of letters of a band in EXTNAME.
_LONGEST_BAND = 40


def cutout_hdus(cutout: Cutout) -> list[fits.ImageHDU | fits.BinTableHDU]:
    """Write a cutout as FITS HDUs: SCI, MASK, SIGMA and PSF by band, and META.

    Parameters
    ----------
    cutout : galcnn.cutout.Cutout
        Cutout to write.

    Returns
    -------
    list of astropy.io.fits.ImageHDU and BinTableHDU
        HDUs to follow a primary HDU. The first one also has cards of position, redshift and survey.

    Raises
    ------
    TypeError, ValueError
        If a value of `meta` cannot be written as JSON, or the WCS cannot be written as cards.

    Examples
    --------
    >>> import numpy as np
    >>> hdus = cutout_hdus(Cutout(np.ones((2, 8, 8)), ("g", "r"), meta={"seed": 1}))
    >>> [hdu.name for hdu in hdus]
    ['SCI_G', 'SCI_R', 'MASK', 'META']
    >>> cutout_from_hdus(hdus).meta
    {'seed': 1}
    """
    suffixes = _suffixes(cutout.bands)
    wcs, unit = wcs_cards(cutout.wcs), _unit_card(cutout.unit)
    wcs.tostring()  # formats the cards once, so that their copies need no formatting

    def of_bands(kind: str, planes: npt.NDArray[Any], *cards: Any) -> list[fits.ImageHDU]:
        return [
            _image(f"{kind}_{suffix}", plane, _BY_BAND, [("BAND", escape(band), "filter"), *cards])
            for suffix, band, plane in zip(suffixes, cutout.bands, planes, strict=True)
        ]

    n_bands = ("NBANDS", len(cutout.bands), "number of SCI layers of this cutout")
    hdus = of_bands("SCI", cutout.flux, n_bands, unit, *wcs.cards)
    hdus[0].header.extend(_object_cards(cutout), update=True)
    mask = cutout.mask.astype(np.uint8)
    if (mask == mask[0]).all():
        hdus.append(_image("MASK", mask[0], _BY_BAND, [_BAD_CARD, *wcs.cards]))
    else:
        hdus += of_bands("MASK", mask, _BAD_CARD, *wcs.cards)
    if cutout.sigma is not None:
        hdus += of_bands("SIGMA", cutout.sigma, unit, *wcs.cards)
    if cutout.psf is not None:
        hdus += of_bands("PSF", cutout.psf)
    return hdus + _meta_hdus(cutout)


def cutout_bytes(cutout: Cutout) -> bytes:
    """Return the content of the file of a cutout, see `save_cutout`."""
    n, unit = len(cutout.bands), _unit_card(cutout.unit)
    bands: list[Card] = [("NBANDS", n, "number of bands")]
    bands += [(f"BAND{i + 1}", escape(band), "filter") for i, band in enumerate(cutout.bands)]
    plane: list[Card] = [card.image.encode("ascii") for card in wcs_cards(cutout.wcs).cards]
    # Of three axes only the first two are those of the WCS.
    cube = [*plane[1:], *_THIRD_AXIS] if plane else []

    def image(name: str, values: npt.NDArray[Any], *cards: Card) -> bytes:
        return image_bytes(values, [*_own_cards(name, _BY_ROLE), *cards])

    about = _object_cards(cutout)
    extensions = [image("SCI", cutout.flux, *bands, unit, *cube, *about)]
    mask = cutout.mask.astype(np.uint8)
    if (mask == mask[0]).all():
        extensions.append(image("MASK", mask[0], _BAD_CARD, *plane))
    else:
        extensions.append(image("MASK", mask, *bands, _BAD_CARD, *cube))
    if cutout.sigma is not None:
        extensions.append(image("SIGMA", cutout.sigma, *bands, unit, *cube))
    if cutout.psf is not None:
        extensions.append(image("PSF", cutout.psf, *bands))
    if columns := _meta_columns(cutout):
        own = ("EXTNAME", "META", "extension name"), _layout_card(_BY_ROLE)
        extensions.append(text_table_bytes(columns, own))
    kind = ("FILETYPE", "galcnn cutout", "kind of this file")
    creator = ("CREATOR", f"galcnn {__version__}", "software that wrote this file")
    count = ("NEXTEND", len(extensions), "number of extensions when first written")
    return primary_bytes([kind, creator, *about, count]) + b"".join(extensions)


def cutout_from_hdus(hdulist: Iterable[Any]) -> Cutout:
    """Read a cutout from HDUs of `cutout_hdus`; other HDUs are ignored.

    Parameters
    ----------
    hdulist : astropy.io.fits.HDUList or list of HDUs
        HDUs of a cutout or layers file.

    Returns
    -------
    galcnn.cutout.Cutout
        Cutout in native byte order.

    Raises
    ------
    galcnn.errors.UnreadableImageError
        If there are no such HDUs, one is missing or damaged, or their layout is newer.
    """
    first = science_hdu(hdulist)
    # Cutouts of further stacks of a layers file have the card STACK.
    ours = {hdu.name: hdu for hdu in hdulist if _LAYOUT_CARD in hdu.header and "STACK" not in hdu.header}
    if first is None:
        raise UnreadableImageError(
            message("layers named SCI or SCI_<BAND> written by galcnn", "Use load_cutout.", found=list(ours))
        )
    version = first.header[_LAYOUT_CARD]
    if not isinstance(version, int) or not 1 <= version <= _BY_ROLE:
        raise UnreadableImageError(
            message(f"a cutout layout of version {_BY_ROLE} or older", "Update galcnn.", version=version)
        )
    with reading("a whole cutout in layers", "Write it again."):
        arrays = _arrays_by_role(ours) if version == _BY_ROLE else _arrays_by_band(ours)
        wcs, _ = celestial_wcs(first.header, (arrays["flux"].shape[1], arrays["flux"].shape[2]))
        return Cutout(
            **arrays,
            wcs=wcs,
            position=_position(first.header),
            survey=unescape(first.header.get("SURVEY", "unknown")),
            unit=_unit(first.header),
            redshift=first.header.get("REDSHIFT"),
            meta=_meta(ours["META"]) if "META" in ours else {},
        )


def science_hdu(hdulist: Iterable[Any]) -> Any | None:
    """Return the first HDU of the flux of a cutout; None if `cutout_from_hdus` cannot read this file."""
    for hdu in hdulist:
        named = hdu.name == "SCI" or hdu.name.startswith("SCI_")
        if named and _LAYOUT_CARD in hdu.header and "STACK" not in hdu.header:
            return hdu
    return None


def cube_bands(header: fits.Header, shape: Sequence[int]) -> tuple[str, ...]:
    """Return the bands of a cube of layout 2; () for other HDUs."""
    if header.get(_LAYOUT_CARD) != _BY_ROLE or len(shape) != 3:
        return ()
    return tuple(unescape(header[f"BAND{i + 1}"]) for i in range(shape[0]))


def _arrays_by_role(ours: Mapping[str, Any]) -> dict[str, Any]:
    """Return the bands and arrays of layout 2."""
    science = ours["SCI"]
    bands = cube_bands(science.header, science.shape)
    if len(bands) != (n_bands := science.header["NBANDS"]):
        raise UnreadableImageError(
            message(f"a cube SCI of {n_bands} bands", "Restore the file.", shape=science.shape)
        )
    found = {"bands": bands, "flux": _native(science.data), "mask": ours["MASK"].data != 0}
    for kind in ("sigma", "psf"):
        if kind.upper() in ours:
            found[kind] = _native(ours[kind.upper()].data)
    return found


def _arrays_by_band(ours: Mapping[str, Any]) -> dict[str, Any]:
    """Return the bands and arrays of layout 1."""
    science = [name for name in ours if name.startswith("SCI_")]
    # Files written before this card existed lack it.
    n_bands = ours[science[0]].header.get("NBANDS", len(science))
    if n_bands != len(science):
        raise UnreadableImageError(
            message(f"{n_bands} layers named SCI_<BAND>", "Restore the file.", found=science)
        )
    suffixes = [name.removeprefix("SCI_") for name in science]
    mask = ours["MASK"].data if "MASK" in ours else _planes(ours, "MASK", suffixes)
    return {
        "bands": tuple(unescape(ours[name].header["BAND"]) for name in science),
        "flux": _planes(ours, "SCI", suffixes),
        "mask": mask != 0,
        "sigma": _planes_if_any(ours, "SIGMA", suffixes),
        "psf": _planes_if_any(ours, "PSF", suffixes),
    }


def save_cutout(cutout: Cutout, path: str | os.PathLike[str]) -> None:
    """Write a cutout as FITS, one HDU a role, with checksums, atomically.

    `load_cutout` reads it back: flux with NaN, mask, sigma, PSF, bands, unit and meta are identical, position
    (ICRS) and WCS agree to 1e-9 degrees.

    Parameters
    ----------
    cutout : galcnn.cutout.Cutout
        Cutout whose `meta` can be written as JSON.
    path : path-like
        Output file, usually ending in ``.fits``. An existing file is replaced.

    Raises
    ------
    TypeError, ValueError
        If a value of `meta` cannot be written as JSON, or the WCS cannot be written as cards.
    OSError
        If the file cannot be written; an existing one is then unchanged.
    """
    if not isinstance(cutout, Cutout):
        raise wrong_type("a Cutout", "Convert other images with galcnn.files.as_cutout.", cutout=cutout)
    content = cutout_bytes(cutout)
    with atomic.writing(path) as temporary:
        temporary.write_bytes(content)


def _image(name: str, values: npt.NDArray[Any], layout: int, cards: Sequence[Any]) -> fits.ImageHDU:
    return fits.ImageHDU(values, fits.Header([*_own_cards(name, layout), *cards]))  # copies the cards


def _own_cards(name: str, layout: int) -> tuple[tuple[str, str | int, str], ...]:
    return ("EXTNAME", name, "name of this layer"), _layout_card(layout)


def _layout_card(layout: int) -> tuple[str, int, str]:
    return (_LAYOUT_CARD, layout, "version of the layout of this cutout")


def _object_cards(cutout: Cutout) -> list[tuple[str, str | float, str]]:
    cards: list[tuple[str, str | float, str]] = [("SURVEY", escape(cutout.survey), "source of the image")]
    if cutout.redshift is not None:
        cards.append(("REDSHIFT", float(cutout.redshift), "of the galaxy"))
    if cutout.position is not None:
        icrs = cutout.position.icrs
        cards.append(("RA_OBJ", float(icrs.ra.deg), "[deg] of the galaxy, ICRS"))
        cards.append(("DEC_OBJ", float(icrs.dec.deg), "[deg] of the galaxy, ICRS"))
    return cards


def _position(header: fits.Header) -> Any:
    if "RA_OBJ" not in header:
        return None
    ra, dec = float(header["RA_OBJ"]), float(header["DEC_OBJ"])
    return functools.partial(SkyCoord, ra, dec, unit="deg", frame="icrs")


def _unit_card(unit: u.UnitBase) -> tuple[str, str, str]:
    """Return BUNIT if FITS has the unit, else the card GUNIT (electron, nanomaggy)."""
    try:
        return ("BUNIT", unit.to_string("fits"), "unit per pixel")
    except ValueError:
        return ("GUNIT", unit.to_string(), "unit per pixel, which FITS does not know")


def _unit(header: fits.Header) -> u.UnitBase:
    return _parsed_unit(str(header["GUNIT"] if "GUNIT" in header else header["BUNIT"]))


def _planes(ours: Mapping[str, Any], kind: str, suffixes: Sequence[str]) -> npt.NDArray[Any]:
    return _native(np.stack([ours[f"{kind}_{suffix}"].data for suffix in suffixes]))


def _native(planes: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return planes.astype(planes.dtype.newbyteorder("="), copy=False)


def _planes_if_any(ours: Mapping[str, Any], kind: str, suffixes: Sequence[str]) -> npt.NDArray[Any] | None:
    known = any(f"{kind}_{suffix}" in ours for suffix in suffixes)
    return _planes(ours, kind, suffixes) if known else None


def _suffixes(bands: tuple[str, ...]) -> list[str]:
    """Return band names for EXTNAME: upper case, ASCII letters and digits, unique."""
    found: list[str] = []
    for band in bands:
        found.append(unique_name(word(band, _LONGEST_BAND), found))
    return found


def _meta_hdus(cutout: Cutout) -> list[fits.BinTableHDU]:
    """Return the table of `meta` of layout 1, if there is any."""
    columns = [text_column(name, values) for name, values in _meta_columns(cutout).items()]
    if not columns:
        return []
    table = fits.BinTableHDU.from_columns(columns, name="META")
    table.header[_LAYOUT_CARD] = _layout_card(_BY_BAND)[1:]
    return [table]


def _meta_columns(cutout: Cutout) -> dict[str, list[str]]:
    """Return the columns of the table of `meta`; none if there is nothing."""
    meta = dict(cutout.meta)
    if (lost := lost_tables(cutout.wcs)) is not None:
        meta["notes"] = [*meta.get("notes", []), lost]
    if not meta:
        return {}
    values = [to_json(value, f"meta {key!r}", allow_nan=False) for key, value in meta.items()]
    return {"KEY": [escape(key) for key in meta], "VALUE": values}


def _meta(table: Any) -> dict[str, Any]:
    own = isinstance(table, PlainTable) and table.holds_texts
    rows = table.texts() if own else table.data
    return {unescape(key): json.loads(value) for key, value in rows}
