"""How galcnn lays a cutout out in FITS: Cutout -> HDUs -> Cutout, bit by bit.

``SCI_<BAND>`` one image a band; ``MASK`` (1 = do not use) one for all bands, or ``MASK_<BAND>``
where they differ; ``SIGMA_<BAND>`` and ``PSF_<BAND>`` where known; ``META`` a table of JSON
values. Each carries the card GALCNN, each image on the cutout's grid its whole WCS.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping
from typing import Any

import astropy.units as u
import numpy as np
import numpy.typing as npt
from astropy.coordinates import SkyCoord
from astropy.io import fits

from galcnn import __version__, atomic
from galcnn.cutout import Cutout
from galcnn.errors import UnreadableImageError, message
from galcnn.files.astrometry import celestial_wcs, wcs_cards
from galcnn.photometry import parse_unit

__all__ = ["cutout_from_hdus", "cutout_hdus", "is_our_layout", "save_cutout"]

_VERSION = 1


def cutout_hdus(cutout: Cutout) -> list[fits.ImageHDU | fits.BinTableHDU]:
    """Lay a cutout out as FITS HDUs: SCI, MASK, SIGMA, PSF by band, and META.

    Parameters
    ----------
    cutout : galcnn.cutout.Cutout
        Any.

    Returns
    -------
    list of astropy.io.fits.ImageHDU and BinTableHDU
        To follow a primary HDU. The first holds position, redshift and survey beside the image.

    Raises
    ------
    TypeError, ValueError
        A value of `meta` has no JSON, or the WCS has no cards.

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
    wcs = wcs_cards(cutout.wcs)
    unit = _unit_cards(cutout.unit)
    hdus = []
    for suffix, band, plane in zip(suffixes, cutout.bands, cutout.flux, strict=True):
        hdus.append(_image(f"SCI_{suffix}", plane, wcs, unit, band))
    hdus[0].header.update(_object_cards(cutout))
    if (cutout.mask == cutout.mask[0]).all():
        hdus.append(_image("MASK", cutout.mask[0].astype(np.uint8), wcs))
    else:
        for suffix, band, plane in zip(suffixes, cutout.bands, cutout.mask, strict=True):
            hdus.append(_image(f"MASK_{suffix}", plane.astype(np.uint8), wcs, band=band))
    if cutout.sigma is not None:
        for suffix, band, plane in zip(suffixes, cutout.bands, cutout.sigma, strict=True):
            hdus.append(_image(f"SIGMA_{suffix}", plane, wcs, unit, band))
    if cutout.psf is not None:
        for suffix, band, plane in zip(suffixes, cutout.bands, cutout.psf, strict=True):
            hdus.append(_image(f"PSF_{suffix}", plane, band=band))
    if cutout.meta:
        hdus.append(_meta_table(cutout.meta))
    return hdus


def cutout_from_hdus(hdulist: Iterable[Any]) -> Cutout:
    """Read what `cutout_hdus` gave; other HDUs are passed over.

    Parameters
    ----------
    hdulist : astropy.io.fits.HDUList or list of HDUs
        Of a cutout or layers file.

    Returns
    -------
    galcnn.cutout.Cutout
        In native byte order.

    Raises
    ------
    galcnn.errors.UnreadableImageError
        No such layers, one is missing or damaged, or they are of a newer version.
    """
    ours = {hdu.name: hdu for hdu in hdulist if "GALCNN" in hdu.header}
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
    suffixes = [name.removeprefix("SCI_") for name in science]
    try:
        flux = _planes(ours, "SCI", suffixes)
        if flux is None:
            raise UnreadableImageError(message("an image in each SCI layer", "", found=science))
        masks = _planes(ours, "MASK", suffixes)
        mask = (ours["MASK"].data if masks is None else masks) != 0
        wcs, _ = celestial_wcs(first.header, (flux.shape[1], flux.shape[2]))
        return Cutout(
            flux,
            tuple(_unescape(ours[name].header["BAND"]) for name in science),
            wcs=wcs,
            position=_position(first.header),
            survey=_unescape(first.header.get("SURVEY", "unknown")),
            unit=_unit(first.header),
            mask=mask,
            sigma=_planes(ours, "SIGMA", suffixes),
            psf=_planes(ours, "PSF", suffixes),
            redshift=first.header.get("REDSHIFT"),
            meta=_meta(ours["META"]) if "META" in ours else {},
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UnreadableImageError(
            message("a whole cutout in layers", "Write it again.", error=f"{type(error).__name__}: {error}")
        ) from error


def is_our_layout(hdulist: Iterable[Any]) -> bool:
    """Tell whether `cutout_from_hdus` is the one to read this.

    Parameters
    ----------
    hdulist : astropy.io.fits.HDUList or list of HDUs
        Of any FITS file.

    Returns
    -------
    bool
        True where an image layer was written by galcnn.
    """
    return any(hdu.name.startswith("SCI_") and "GALCNN" in hdu.header for hdu in hdulist)


def save_cutout(cutout: Cutout, path: str | os.PathLike[str]) -> None:
    """Write a cutout as FITS with checksums, whole or not at all.

    `load_cutout` gives it back bit by bit: flux with its NaN, mask, sigma, PSF, bands, unit,
    meta; the position in ICRS to 1e-9 degrees; the WCS to 1e-9 degrees.

    Parameters
    ----------
    cutout : galcnn.cutout.Cutout
        Any whose `meta` has JSON.
    path : path-like
        Usually ends in ``.fits``. An older file is replaced.

    Raises
    ------
    TypeError, ValueError
        A value of `meta` has no JSON, or the WCS has no cards.
    OSError
        The file cannot be written; an older one is then as it was.
    """
    primary = fits.PrimaryHDU()
    header = primary.header
    header["FILETYPE"] = ("galcnn cutout", "kind of this file")
    header["CREATOR"] = (f"galcnn {__version__}", "software that wrote this file")
    layers = cutout_hdus(cutout)
    header.update(_object_cards(cutout))
    hdulist = fits.HDUList([primary, *layers])
    for hdu in hdulist:
        hdu.add_checksum()
    # A file object: astropy would compress or refuse by the name of the temporary file.
    with atomic.writing(path) as temporary, open(temporary, "wb") as handle:
        hdulist.writeto(handle)


def _image(
    name: str,
    plane: npt.NDArray[Any],
    wcs: fits.Header | None = None,
    unit: fits.Header | None = None,
    band: str | None = None,
) -> fits.ImageHDU:
    header = fits.Header()
    header["GALCNN"] = (_VERSION, "version of the layout of this cutout")
    if band is not None:
        header["BAND"] = (_escape(band), "filter")
    for cards in (unit, wcs):
        if cards is not None:
            header.extend(cards, strip=False)
    return fits.ImageHDU(plane, header, name=name)


def _object_cards(cutout: Cutout) -> fits.Header:
    header = fits.Header()
    header["SURVEY"] = (_escape(cutout.survey), "source of the image")
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


def _unit_cards(unit: u.UnitBase) -> fits.Header:
    """BUNIT where FITS knows the unit; a card of our own where it does not (electron, nanomaggy)."""
    header = fits.Header()
    try:
        header["BUNIT"] = (unit.to_string("fits"), "unit per pixel")
    except ValueError:
        header["GUNIT"] = (unit.to_string(), "unit per pixel, which FITS does not know")
    return header


def _unit(header: fits.Header) -> u.UnitBase:
    return parse_unit(str(header["GUNIT"] if "GUNIT" in header else header["BUNIT"]))


def _planes(ours: Mapping[str, Any], kind: str, suffixes: list[str]) -> npt.NDArray[Any] | None:
    names = [f"{kind}_{suffix}" for suffix in suffixes]
    if not any(name in ours for name in names):
        return None
    planes = np.stack([ours[name].data for name in names])
    return planes.astype(planes.dtype.newbyteorder("="), copy=False)


def _suffixes(bands: tuple[str, ...]) -> list[str]:
    """Band names as EXTNAME can have them: upper case, plain, unique."""
    found: list[str] = []
    for band in bands:
        plain = re.sub("[^A-Z0-9]+", "_", band.upper()).strip("_")[:40] or "X"
        name, number = plain, 2
        while name in found:
            name, number = f"{plain}_{number}", number + 1
        found.append(name)
    return found


def _meta_table(meta: Mapping[str, Any]) -> fits.BinTableHDU:
    keys, values = [], []
    for key, value in meta.items():
        try:
            text = json.dumps(value, allow_nan=False, default=_plain)
        except (TypeError, ValueError) as error:
            raise type(error)(
                message(
                    "meta that JSON can write", "Use text, finite numbers and lists.", **{str(key): value}
                )
            ) from error
        keys.append(_escape(key))
        values.append(text)
    columns = [
        fits.Column("KEY", f"{max(map(len, keys), default=1) or 1}A", array=np.array(keys)),
        fits.Column("VALUE", f"{max(map(len, values), default=1)}A", array=np.array(values)),
    ]
    table = fits.BinTableHDU.from_columns(columns, name="META")
    table.header["GALCNN"] = (_VERSION, "version of the layout of this cutout")
    return table


def _meta(table: fits.BinTableHDU) -> dict[str, Any]:
    return {_unescape(key): json.loads(value) for key, value in table.data}


def _plain(value: object) -> object:
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    raise TypeError(type(value).__name__)


def _escape(text: str) -> str:
    r"""Printable ASCII for a card, reversibly: backslash escapes; FITS drops spaces at the end."""
    escaped = text.encode("unicode_escape").decode("ascii")
    kept = escaped.rstrip(" ")
    return kept + r"\x20" * (len(escaped) - len(kept))


def _unescape(text: str) -> str:
    return text.encode("ascii").decode("unicode_escape")
