"""What the SDSS writes: its table of fields, frames with calibration and sky, and psField files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import astropy.units as u
import numpy as np
import numpy.typing as npt
from astropy.coordinates import SkyCoord

from galcnn.cutout import Cutout
from galcnn.errors import BadResponseError, UnreadableImageError, message
from galcnn.files.astrometry import celestial_wcs
from galcnn.files.opening import opened
from galcnn.photometry import NANOMAGGY
from galcnn.surveys.limits import Answer

__all__ = ["Field", "fields_of", "psf_of", "read_frame"]

_SHAPE = (1489, 2048)
#: A frame whose middle is farther from the field's has the place of another.
_STALE = 1 * u.arcmin
_Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Field:
    """One field of the imaging.

    Attributes
    ----------
    run, rerun, camcol, field : int
        Its name.
    centre : astropy.coordinates.SkyCoord
        As the database has it.
    psf_width : mapping of str to float
        Full width at half maximum, arcsec, by band.
    gain : mapping of str to float
        Electrons per count.
    dark_variance : mapping of str to float
        Counts squared: of read-out and dark current.
    """

    run: int
    rerun: int
    camcol: int
    field: int
    centre: SkyCoord
    psf_width: Mapping[str, float]
    gain: Mapping[str, float]
    dark_variance: Mapping[str, float]


def fields_of(table: Any, bands: Iterable[str], answer: Answer) -> list[Field]:
    """Read the rows of the table of fields.

    Parameters
    ----------
    table : astropy.table.Table
        As the client gives it.
    bands : iterable of str
        Whose figures it has.
    answer : Answer
        It was made of; named in the error.

    Returns
    -------
    list of Field
        In the table's order.

    Raises
    ------
    galcnn.errors.BadResponseError
        A column is missing, or is no number.
    """
    names = tuple(bands)
    try:
        return [
            Field(
                int(row["run"]),
                int(row["rerun"]),
                int(row["camcol"]),
                int(row["field"]),
                SkyCoord(float(row["ra"]), float(row["dec"]), unit="deg"),
                psf_width={band: float(row[f"psfWidth_{band}"]) for band in names},
                gain={band: float(row[f"gain_{band}"]) for band in names},
                dark_variance={band: float(row[f"darkVariance_{band}"]) for band in names},
            )
            for row in table
        ]
    except (KeyError, ValueError, TypeError) as error:
        said = f"{type(error).__name__}: {error}"
        raise BadResponseError(
            message("a table of fields", "Try again later.", url=answer.url, error=said)
        ) from error


def read_frame(answer: Answer, one: Field, band: str) -> Cutout:
    """Read a corrected frame, and work out its noise.

    The pixel values and the sky are brought back to counts: their variance is that of the
    electrons, ``counts / gain``, and the dark variance (data model of the frame files).

    Parameters
    ----------
    answer : Answer
        Packed by bzip2, or not.
    one : Field
        Which field it is to be.
    band : str
        Which band it is to be.

    Returns
    -------
    galcnn.cutout.Cutout
        The whole frame in nJy, with sigma.

    Raises
    ------
    galcnn.errors.BadResponseError
        It is no such frame.
    """
    if not answer.content.startswith((b"BZh", b"SIMPLE  =")):
        raise BadResponseError(answer.refusal("a frame", "Try again later."))
    try:
        with opened(answer.content) as (hdulist, _):
            header, image = hdulist[0].header, hdulist[0].data
            calibration = np.asarray(hdulist[1].data, dtype=float)
            sky = _sky(hdulist[2].data[0])
    except (UnreadableImageError, IndexError, KeyError, TypeError) as error:
        raise BadResponseError(_refusal(answer, f"{type(error).__name__}: {error}")) from error
    wcs, notes = celestial_wcs(header, _SHAPE)
    _check(header, None if image is None else image.shape, wcs, one, band, answer)
    counts = image / calibration + sky
    # Far below the sky, which only damaged pixels are, nothing is known of the noise.
    variance = np.where(counts > 0, counts, np.nan) / one.gain[band] + one.dark_variance[band]
    factor = NANOMAGGY.to(u.nJy)
    return Cutout(
        (image * factor).astype(np.float32),
        (band,),
        wcs=wcs,
        sigma=(np.sqrt(variance) * calibration * factor).astype(np.float32),
        meta={"notes": notes} if notes else {},
    )


def psf_of(answer: Answer, index: int, *, row: float, column: float) -> npt.NDArray[np.float32]:
    """Make the PSF at a place of a field.

    The psField file holds eigenimages and, for each, a polynomial in row and column / 1000 for
    its weight (Lupton et al. 2001, ASPC 238, 269; as SDSS's own read_PSF).

    Parameters
    ----------
    answer : Answer
        A psField file.
    index : int
        Of the band in u g r i z.
    row, column : float
        Place on the frame, from 0.

    Returns
    -------
    numpy.ndarray
        float32, odd sides, sum 1.

    Raises
    ------
    galcnn.errors.BadResponseError
        It is no such file.
    """
    try:
        with opened(answer.content) as (hdulist, _):
            psf: _Array = np.zeros(())
            for eigen in hdulist[1 + index].data:
                rows, columns = int(eigen["nrow_b"]), int(eigen["ncol_b"])
                powers = np.outer((row / 1000) ** np.arange(rows), (column / 1000) ** np.arange(columns))
                weight = float(np.sum(powers * np.asarray(eigen["c"], dtype=float)[:rows, :columns]))
                shape = (int(eigen["rnrow"]), int(eigen["rncol"]))
                psf = psf + weight * np.asarray(eigen["rrows"], dtype=float).reshape(shape)
    except (UnreadableImageError, IndexError, KeyError, TypeError, ValueError) as error:
        raise BadResponseError(_refusal(answer, f"{type(error).__name__}: {error}")) from error
    if psf.ndim != 2 or not np.isfinite(psf).all() or not psf.sum() > 0:
        raise BadResponseError(_refusal(answer, "no PSF with a positive sum"))
    unit: npt.NDArray[np.float32] = (psf / psf.sum()).astype(np.float32)
    return unit


def _sky(table: Any) -> _Array:
    """The sky in counts, interpolated as the frame's own table says."""
    from scipy.ndimage import map_coordinates

    x, y = np.asarray(table["XINTERP"], dtype=float), np.asarray(table["YINTERP"], dtype=float)
    grid = np.meshgrid(y, x, indexing="ij")
    sky: _Array = map_coordinates(np.asarray(table["ALLSKY"], dtype=float), grid, order=1, mode="nearest")
    return sky


def _check(header: Any, shape: Any, wcs: Any, one: Field, band: str, answer: Answer) -> None:
    unit = str(header.get("BUNIT", "")).strip().lower()
    found = str(header.get("FILTER", "")).strip()
    if shape != _SHAPE or unit != "nanomaggy" or found != band or wcs is None:
        raise BadResponseError(
            message(
                f"a frame of {_SHAPE} pixels in {band}, in nanomaggies",
                "Try again later; the service may have changed.",
                shape=shape,
                unit=unit,
                filter=found,
                url=answer.url,
            )
        )
    middle = wcs.pixel_to_world((_SHAPE[1] - 1) / 2, (_SHAPE[0] - 1) / 2)
    if not middle.separation(one.centre) < _STALE:
        raise BadResponseError(
            message(
                f"a frame about {one.centre.to_string('hmsdms')}, where the database has its field",
                "Its place on the sky is wrong: leave the galaxy out.",
                middle=middle.to_string("hmsdms"),
                url=answer.url,
            )
        )


def _refusal(answer: Answer, error: str) -> str:
    return message("a file of the SDSS", "Try again later.", url=answer.url, error=error)
