"""What the Legacy Surveys' viewer answers: image, inverse variance, mask and PSF out of its FITS files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import astropy.units as u
import numpy as np
import numpy.typing as npt
from astropy.io import fits
from astropy.wcs import WCS

from galcnn.cutout import Cutout
from galcnn.errors import BadResponseError, CoverageError, UnreadableImageError, message
from galcnn.files.astrometry import celestial_wcs
from galcnn.files.opening import opened
from galcnn.files.roles import bad_pixels
from galcnn.photometry import NANOMAGGY
from galcnn.surveys.checking import Wanted, fits_bytes
from galcnn.surveys.limits import Answer

__all__ = ["read_image", "read_psf"]

#: What an HDU says of itself.
_CARDS = ("IMAGETYP", "BANDS", "BAND", "OVERLAP", "SURVEY", "VERSION")

_Planes = npt.NDArray[Any]


@dataclass(frozen=True)
class _Sent:
    """One image HDU of an answer."""

    kind: str
    cards: Mapping[str, str]
    planes: _Planes | None
    wcs: WCS | None
    notes: tuple[str, ...]


def read_image(answer: Answer, want: Wanted) -> Cutout:
    """Read image, inverse variance and mask, told apart by IMAGETYP.

    Parameters
    ----------
    answer : Answer
        Of ``fits-cutout``.
    want : Wanted
        What was asked for.

    Returns
    -------
    galcnn.cutout.Cutout
        nJy, in the wanted order of bands.

    Raises
    ------
    galcnn.errors.CoverageError
        The service says that it has nothing here.
    galcnn.errors.BadResponseError
        It is no whole FITS file, or has other bands.
    """
    if not answer.content.startswith(b"SIMPLE") and "overlap" in answer.excerpt().lower():
        raise _no_overlap(answer, want)
    sent = {one.kind: one for one in _read(answer)}
    if "image" not in sent:
        raise BadResponseError(answer.refusal("an HDU with the image", "Try again later."))
    image = sent["image"]
    if image.cards["OVERLAP"] == "False":
        raise _no_overlap(answer, want)
    bands, planes = tuple(image.cards["BANDS"]), image.planes
    if planes is None or set(bands) != set(want.bands) or len(planes) != len(bands):
        raise BadResponseError(
            message(
                f"an image in the bands {want.bands}",
                "This layer may not have them.",
                bands=bands,
                shape=None if planes is None else planes.shape,
                url=answer.url,
            )
        )
    shape = planes.shape
    flux, sigma, mask = _measured(planes, _companion(sent, "invvar", shape, answer))
    bits = _companion(sent, "maskbits", (1, *shape[1:]), answer)
    if bits is not None:
        mask |= bad_pixels(bits, fits.Header({"IMAGETYP": "maskbits"}), bands)
    order = [bands.index(band) for band in want.bands]
    version = f"{image.cards['SURVEY']} {image.cards['VERSION']}".strip()
    return Cutout(
        flux[order],
        want.bands,
        wcs=image.wcs,
        mask=mask[order],
        sigma=None if sigma is None else sigma[order],
        meta={"version": version} | ({"notes": list(image.notes)} if image.notes else {}),
    )


def _measured(values: _Planes, weights: _Planes | None) -> tuple[_Planes, _Planes | None, _Planes]:
    """Nanomaggies and their inverse variance to nJy, sigma, and what is not to be used."""
    njy = np.float32(NANOMAGGY.to(u.nJy))
    # What was not observed is exactly 0. Without weight but not 0 are doubtful pixels, such as the
    # cores of bright stars, for which nothing better is known.
    unweighted = values == 0 if weights is None else ~(weights > 0)
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):  # what is not finite is masked
        flux = np.where(unweighted & (values == 0), np.nan, values.astype(np.float32) * njy)
        sigma = None if weights is None else np.where(unweighted, np.nan, njy / np.sqrt(weights))
    return flux, sigma, unweighted


def read_psf(answer: Answer, want: Wanted) -> npt.NDArray[np.float32]:
    """Read the PSF of each band, an HDU each, told apart by BAND.

    Parameters
    ----------
    answer : Answer
        Of ``coadd-psf``.
    want : Wanted
        What was asked for.

    Returns
    -------
    numpy.ndarray
        Shape (n_bands, py, px), each of sum 1.

    Raises
    ------
    galcnn.errors.BadResponseError
        It is no whole FITS file, or a band is missing.
    """
    planes = {one.cards["BAND"]: one.planes[0] for one in _read(answer) if one.planes is not None}
    found = [planes[band].astype(np.float64) for band in want.bands if band in planes]
    sound = [one for one in found if np.isfinite(one).all() and 0 < one.sum() < np.inf]
    if len(sound) != len(want.bands) or len({one.shape for one in sound}) != 1:
        raise BadResponseError(
            message(
                f"one PSF for each of {want.bands}",
                "Try again later, or leave it out: psf=false.",
                bands=sorted(planes),
                url=answer.url,
            )
        )
    return np.stack([one / one.sum() for one in sound]).astype(np.float32)


def _read(answer: Answer) -> list[_Sent]:
    """Read all image HDUs of an answer."""
    content = fits_bytes(answer)
    try:
        with opened(content) as (hdulist, _):
            return [_sent(hdu) for hdu in hdulist if getattr(hdu, "is_image", False)]
    except UnreadableImageError as error:
        raise BadResponseError(
            message("a whole FITS file", "Try again later.", error=str(error), url=answer.url)
        ) from error


def _sent(hdu: Any) -> _Sent:
    cards = {key: str(hdu.header.get(key, "")).strip() for key in _CARDS}
    # One band comes as a plane, several as a cube.
    data = getattr(hdu, "data", None)  # an HDU that astropy cannot make out has none
    planes = None if data is None else np.asarray(data)
    if planes is not None and planes.ndim == 2:
        planes = planes[np.newaxis]
    if planes is None or planes.ndim != 3 or planes.dtype.kind not in "fiu" or 0 in planes.shape:
        return _Sent(cards["IMAGETYP"].lower(), cards, None, None, ())
    wcs, notes = celestial_wcs(hdu.header, (planes.shape[1], planes.shape[2]))
    return _Sent(cards["IMAGETYP"].lower(), cards, planes, wcs, tuple(notes))


def _companion(
    sent: Mapping[str, _Sent], kind: str, shape: tuple[int, ...], answer: Answer
) -> _Planes | None:
    if kind not in sent:
        return None
    planes = sent[kind].planes
    if planes is None or planes.shape != shape or (kind == "maskbits" and planes.dtype.kind == "f"):
        found = None if planes is None else (planes.shape, str(planes.dtype))
        raise BadResponseError(
            message(f"{kind} of shape {shape}", "Try again later.", found=found, url=answer.url)
        )
    return planes


def _no_overlap(answer: Answer, want: Wanted) -> CoverageError:
    where = want.position.to_string("hmsdms")
    return CoverageError(message("a position in the layer", "", position=where, answer=answer.excerpt()))
