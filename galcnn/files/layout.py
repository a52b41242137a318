"""FITS layout of cutouts: written as HDUs and read back without loss.

``SCI_<BAND>`` has one image per band, each with the number of bands in the card NBANDS. ``MASK`` (1 = do
not use, the bit of the card MP_BAD) is common to all bands, or ``MASK_<BAND>`` if they differ.
``SIGMA_<BAND>`` and ``PSF_<BAND>`` are present if known. ``META`` is a table of JSON values. Each HDU has
the card GALCNN, each image on the cutout's grid its whole WCS.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

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
from galcnn.files.text import escape, text_column, to_json, unescape, unique_name, word
from galcnn.photometry import parse_unit

_Card: TypeAlias = tuple[str, str | int, str] | fits.Card

_VERSION = 1
_LAYOUT_CARD = ("GALCNN", _VERSION, "version of the layout of this cutout")
_BAD_CARD = ("MP_BAD", 0, "number of the bit: do not use")
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

    def of_bands(kind: str, planes: npt.NDArray[Any], *cards: _Card) -> list[fits.ImageHDU]:
        return [
            _image(f"{kind}_{suffix}", plane, [("BAND", escape(band), "filter"), *cards])
            for suffix, band, plane in zip(suffixes, cutout.bands, planes, strict=True)
        ]

    n_bands = ("NBANDS", len(cutout.bands), "number of SCI layers of this cutout")
    hdus = of_bands("SCI", cutout.flux, n_bands, unit, *wcs.cards)
    hdus[0].header.update(_object_cards(cutout))
    mask = cutout.mask.astype(np.uint8)
    if (mask == mask[0]).all():
        hdus.append(_image("MASK", mask[0], [_BAD_CARD, *wcs.cards]))
    else:
        hdus += of_bands("MASK", mask, _BAD_CARD, *wcs.cards)
    if cutout.sigma is not None:
        hdus += of_bands("SIGMA", cutout.sigma, unit, *wcs.cards)
    if cutout.psf is not None:
        hdus += of_bands("PSF", cutout.psf)
    meta = dict(cutout.meta)
    if (lost := lost_tables(cutout.wcs)) is not None:
        meta["notes"] = [*meta.get("notes", []), lost]
    if meta:
        hdus.append(_meta_table(meta))
    return hdus


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
    # Cutouts of further stacks of a layers file have the card STACK.
    ours = {hdu.name: hdu for hdu in hdulist if "GALCNN" in hdu.header and "STACK" not in hdu.header}
    science = [name for name in ours if name.startswith("SCI_")]
    if not science:
        raise UnreadableImageError(
            message("layers named SCI_<BAND> written by galcnn", "Use load_cutout.", found=list(ours))
        )
    first = ours[science[0]]
    version = first.header["GALCNN"]
    if not isinstance(version, int) or not 1 <= version <= _VERSION:
        raise UnreadableImageError(
            message(f"a cutout layout of version {_VERSION} or older", "Update galcnn.", version=version)
        )
    # Files written before this card existed lack it.
    n_bands = first.header.get("NBANDS", len(science))
    if n_bands != len(science):
        raise UnreadableImageError(
            message(f"{n_bands} layers named SCI_<BAND>", "Restore the file.", found=science)
        )
    suffixes = [name.removeprefix("SCI_") for name in science]
    with reading("a whole cutout in layers", "Write it again."):
        flux = _planes(ours, "SCI", suffixes)
        mask = ours["MASK"].data if "MASK" in ours else _planes(ours, "MASK", suffixes)
        wcs, _ = celestial_wcs(first.header, (flux.shape[1], flux.shape[2]))
        return Cutout(
            flux,
            tuple(unescape(ours[name].header["BAND"]) for name in science),
            wcs=wcs,
            position=_position(first.header),
            survey=unescape(first.header.get("SURVEY", "unknown")),
            unit=_unit(first.header),
            mask=mask != 0,
            sigma=_planes_if_any(ours, "SIGMA", suffixes),
            psf=_planes_if_any(ours, "PSF", suffixes),
            redshift=first.header.get("REDSHIFT"),
            meta=_meta(ours["META"]) if "META" in ours else {},
        )


def is_our_layout(hdulist: Iterable[Any]) -> bool:
    """Return True if `cutout_from_hdus` can read this file."""
    return any(
        hdu.name.startswith("SCI_") and "GALCNN" in hdu.header and "STACK" not in hdu.header
        for hdu in hdulist
    )


def save_cutout(cutout: Cutout, path: str | os.PathLike[str]) -> None:
    """Write a cutout as FITS with checksums, atomically.

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
    primary = fits.PrimaryHDU()
    primary.header["FILETYPE"] = ("galcnn cutout", "kind of this file")
    primary.header["CREATOR"] = (f"galcnn {__version__}", "software that wrote this file")
    primary.header.update(_object_cards(cutout))
    extensions = cutout_hdus(cutout)
    primary.header["NEXTEND"] = (len(extensions), "number of extensions when first written")
    hdulist = fits.HDUList([primary, *extensions])
    for hdu in hdulist:
        hdu.add_checksum()
    # A file object, since astropy would compress or fail by the name of the temporary file.
    with atomic.writing(path) as temporary, open(temporary, "wb") as handle:
        # Not verified on writing, which is slow; the tests verify what is written here.
        hdulist.writeto(handle, output_verify="ignore")


def _image(name: str, plane: npt.NDArray[Any], cards: Sequence[_Card]) -> fits.ImageHDU:
    own = [("EXTNAME", name, "name of this layer"), _LAYOUT_CARD]
    return fits.ImageHDU(plane, fits.Header([*own, *cards]))  # copies the cards


def _object_cards(cutout: Cutout) -> fits.Header:
    header = fits.Header()
    header["SURVEY"] = (escape(cutout.survey), "source of the image")
    if cutout.redshift is not None:
        header["REDSHIFT"] = (float(cutout.redshift), "of the galaxy")
    if cutout.position is not None:
        icrs = cutout.position.icrs
        header["RA_OBJ"] = (float(icrs.ra.deg), "[deg] of the galaxy, ICRS")
        header["DEC_OBJ"] = (float(icrs.dec.deg), "[deg] of the galaxy, ICRS")
    return header


def _position(header: fits.Header) -> SkyCoord | None:
    if "RA_OBJ" not in header:
        return None
    return SkyCoord(float(header["RA_OBJ"]), float(header["DEC_OBJ"]), unit="deg", frame="icrs")


def _unit_card(unit: u.UnitBase) -> tuple[str, str, str]:
    """Return BUNIT if FITS has the unit, else the card GUNIT (electron, nanomaggy)."""
    try:
        return ("BUNIT", unit.to_string("fits"), "unit per pixel")
    except ValueError:
        return ("GUNIT", unit.to_string(), "unit per pixel, which FITS does not know")


def _unit(header: fits.Header) -> u.UnitBase:
    return parse_unit(str(header["GUNIT"] if "GUNIT" in header else header["BUNIT"]))


def _planes(ours: Mapping[str, Any], kind: str, suffixes: Sequence[str]) -> npt.NDArray[Any]:
    planes = np.stack([ours[f"{kind}_{suffix}"].data for suffix in suffixes])
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


def _meta_table(meta: Mapping[str, Any]) -> fits.BinTableHDU:
    values = [to_json(value, f"meta {key!r}", allow_nan=False) for key, value in meta.items()]
    columns = [text_column("KEY", [escape(key) for key in meta]), text_column("VALUE", values)]
    table = fits.BinTableHDU.from_columns(columns, name="META")
    table.header[_LAYOUT_CARD[0]] = _LAYOUT_CARD[1:]
    return table


def _meta(table: fits.BinTableHDU) -> dict[str, Any]:
    return {unescape(key): json.loads(value) for key, value in table.data}
