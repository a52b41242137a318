"""Convert cutouts to and from astropy's CCDData and NDData.

Importing this module registers the format ``galcnn`` with astropy: ``CCDData.read(path,
format="galcnn", band="r")`` reads all files that `galcnn.load_cutout` reads, and ``image.write(path,
format="galcnn")`` writes a cutout.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from astropy.coordinates import SkyCoord
from astropy.io import fits, registry
from astropy.nddata import CCDData, NDData, StdDevUncertainty
from astropy.wcs import WCS

from galcnn.cutout import Cutout
from galcnn.errors import message
from galcnn.files.astrometry import central_place
from galcnn.files.headers import band_names, survey_of
from galcnn.files.layout import save_cutout
from galcnn.files.loading import load_cutout
from galcnn.files.text import to_json
from galcnn.files.zero_points import Factor, calibration_of
from galcnn.photometry.units import UNCALIBRATED
from galcnn.transforms.grid import PixelAreas, pixel_degrees

FORMAT = "galcnn"


def to_ccddata(cutout: Cutout, band: str | None = None) -> CCDData:
    """Convert one band of a cutout to astropy's CCDData.

    Parameters
    ----------
    cutout : galcnn.cutout.Cutout
        Cutout to convert.
    band : str, optional
        Band to convert; may be omitted if there is only one.

    Returns
    -------
    astropy.nddata.CCDData
        Copies of flux, mask, sigma (as `StdDevUncertainty`) and PSF, with unit and WCS. Its `meta` has
        band, survey, position, redshift and, as JSON, the meta of the cutout.

    Raises
    ------
    ValueError
        If there is no such band, or there are several and none is named.

    Examples
    --------
    >>> image = to_ccddata(Cutout(np.ones((2, 8, 8)), ("g", "r"), redshift=0.1), "r")
    >>> image.shape, str(image.unit), image.meta["BAND"]
    ((8, 8), 'nJy', 'r')
    >>> from_nddata(image).redshift
    0.1
    """
    if band is None and len(cutout.bands) == 1:
        band = cutout.bands[0]
    if band not in cutout.bands:
        raise ValueError(message(f"a band among {cutout.bands}", "Name one.", band=band))
    row = cutout.bands.index(band)
    meta: dict[str, Any] = {"BAND": band, "SURVEY": cutout.survey}
    if cutout.redshift is not None:
        meta["REDSHIFT"] = cutout.redshift
    if cutout.position is not None:
        icrs = cutout.position.icrs
        meta |= {"RA_OBJ": float(icrs.ra.deg), "DEC_OBJ": float(icrs.dec.deg)}
    if cutout.meta:
        meta["META"] = to_json(dict(cutout.meta), "meta")
    return CCDData(
        cutout.flux[row].copy(),
        unit=cutout.unit,
        mask=cutout.mask[row].copy(),
        uncertainty=None if cutout.sigma is None else StdDevUncertainty(cutout.sigma[row].copy()),
        wcs=None if cutout.wcs is None else cutout.wcs.deepcopy(),
        psf=None if cutout.psf is None else cutout.psf[row].copy(),
        meta=meta,
    )


def from_nddata(images: NDData | Sequence[NDData], *, bands: Sequence[str] | None = None) -> Cutout:
    """Make a cutout from NDData: one image, one per band, or a cube with the bands first.

    Parameters
    ----------
    images : astropy.nddata.NDData or sequence of it
        Images on one grid. Their uncertainty may be a standard deviation, variance or inverse variance.
        A `meta` that is a FITS header or similar is read for unit, zero point, band and survey, as for
        files.
    bands : sequence of str, optional
        Names of all planes, if `meta` does not name them.

    Returns
    -------
    galcnn.cutout.Cutout
        Cutout, in nJy if unit or `meta` state the calibration.

    Raises
    ------
    ValueError
        If the images differ in shape or unit, or do not have two axes, or three with the bands first.
    """
    several = [images] if isinstance(images, NDData) else list(images)
    if not several:
        raise ValueError(message("at least one image", "", n=0))
    parts = [_part(image) for image in several]
    shapes = sorted({part["flux"].shape[1:] for part in parts})
    units = sorted({str(part["unit"]) for part in parts})
    if len(shapes) > 1 or len(units) > 1:
        raise ValueError(
            message(
                "images of one shape and one unit",
                "Bring them to one grid: galcnn.transforms.combine.",
                shapes=shapes,
                units=units,
            )
        )
    first = parts[0]
    names = [name for part in parts for name in part["bands"]]
    if bands is not None:
        names = list(bands)
    elif not all(names):
        names = [name or f"band{i + 1}" for i, name in enumerate(names)]

    def stacked(key: str) -> npt.NDArray[Any] | None:
        known = [part[key] for part in parts]
        return None if any(one is None for one in known) else np.concatenate(known)

    return Cutout(
        np.concatenate([part["flux"] for part in parts]),
        tuple(names),
        wcs=first["wcs"],
        position=first["position"],
        survey=first["survey"],
        unit=first["unit"],
        mask=np.concatenate([part["mask"] for part in parts]),
        sigma=stacked("sigma"),
        psf=stacked("psf"),
        redshift=first["redshift"],
        meta=first["meta"],
    )


def _part(image: NDData) -> dict[str, Any]:
    values = np.asarray(image.data)
    if values.ndim == 2:
        values = values[np.newaxis]
    if values.ndim != 3:
        raise ValueError(
            message("an image of two axes, or three with the bands first", "", shape=values.shape)
        )
    header = _header(image.meta, image.unit)
    wcs = _celestial(image.wcs, (values.shape[1], values.shape[2]))
    scale = None if wcs is None else 3600 * pixel_degrees(wcs)
    areas = None if wcs is None else PixelAreas(wcs, (values.shape[1], values.shape[2]))
    calibration = calibration_of(header, scale, values, areas=areas)
    own = json.loads(header["META"]) if "META" in header else {}
    unit = calibration.unit if image.unit is None or calibration.unit.is_equivalent("nJy") else image.unit
    flux = calibration.apply(values.copy())
    linear = calibration.decades is None
    factors = calibration.factors(values.shape) if linear else np.stack(calibration.slopes(flux))
    return {
        "flux": flux,
        "bands": band_names(header, len(values)),
        "unit": unit,
        "mask": _mask(image.mask, values.shape),
        "sigma": _sigma(image, values.shape, factors),
        "psf": _psf(image.psf),
        "wcs": wcs,
        "survey": survey_of(header),
        "redshift": header.get("REDSHIFT"),
        "position": _position(header, wcs, (values.shape[1], values.shape[2])),
        "meta": own or calibration.facts(),
    }


def _header(meta: Mapping[str, Any], unit: Any) -> fits.Header:
    """Return the entries of a `meta` that FITS can hold, and the unit, as a header."""
    header = meta.copy() if isinstance(meta, fits.Header) else fits.Header()
    if not isinstance(meta, fits.Header):
        for key, value in meta.items():
            if isinstance(value, str | int | float | bool):
                header[f"HIERARCH {key}" if len(str(key)) > 8 else str(key)] = value
    if unit is not None and unit != UNCALIBRATED:
        header["BUNIT"] = str(unit)
    return header


def _celestial(wcs: Any, shape: tuple[int, int]) -> WCS | None:
    if wcs is None:
        return None
    low = getattr(wcs, "low_level_wcs", wcs)
    if not isinstance(low, WCS) or not low.has_celestial:
        return None
    celestial = low.celestial.deepcopy() if low.naxis != 2 else low.deepcopy()
    celestial.array_shape = shape
    return celestial


def _mask(mask: Any, shape: tuple[int, ...]) -> npt.NDArray[np.bool_]:
    flags = np.zeros(shape, dtype=np.bool_) if mask is None else np.asarray(mask) != 0
    return np.broadcast_to(flags, shape)


def _sigma(image: NDData, shape: tuple[int, ...], factor: Factor) -> npt.NDArray[np.float32] | None:
    if image.uncertainty is None or image.uncertainty.uncertainty_type == "unknown":
        return None
    with np.errstate(divide="ignore", invalid="ignore"):
        sigma = image.uncertainty.represent_as(StdDevUncertainty)
    values = np.asarray(sigma.array, dtype=np.float64)
    if sigma.unit is not None and image.unit is not None:
        values = values * sigma.unit.to(getattr(image.unit, "function_unit", image.unit))
    values = np.where(np.isfinite(values) & (values >= 0), values * factor, np.nan)
    return np.broadcast_to(values, shape).astype(np.float32)


def _psf(psf: Any) -> npt.NDArray[np.float32] | None:
    if psf is None:
        return None
    planes = np.asarray(psf, dtype=np.float64)
    planes = planes[np.newaxis] if planes.ndim == 2 else planes
    unit_sum: npt.NDArray[np.float32] = (planes / planes.sum(axis=(1, 2), keepdims=True)).astype(np.float32)
    return unit_sum


def _position(header: fits.Header, wcs: WCS | None, shape: tuple[int, int]) -> SkyCoord | None:
    if "RA_OBJ" in header and "DEC_OBJ" in header:
        return SkyCoord(float(header["RA_OBJ"]), float(header["DEC_OBJ"]), unit="deg")
    return None if wcs is None else central_place(wcs, shape)


def _read(path: str | os.PathLike[str], *, band: str | None = None) -> CCDData:
    return to_ccddata(load_cutout(path), band)


def _write(image: CCDData, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
    if Path(path).exists() and not overwrite:
        raise OSError(message("a new file", "Use overwrite=True.", path=os.fspath(path)))
    save_cutout(from_nddata(image), path)


registry.register_reader(FORMAT, CCDData, _read, force=True)
registry.register_writer(FORMAT, CCDData, _write, force=True)
