"""DESI Legacy Imaging Surveys (DECaLS, BASS, MzLS; Dey et al. 2019, AJ 157, 168), from their viewer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import astropy.units as u
import numpy as np
import numpy.typing as npt
from astropy.io import fits
from astropy.wcs import WCS

from galcnn.cutout import Cutout
from galcnn.errors import BadResponseError, CoverageError, UnreadableImageError, message
from galcnn.files.astrometry import celestial_wcs
from galcnn.files.flags import meaning_of
from galcnn.files.sources import opened, untrusted
from galcnn.photometry.units import NANOMAGGY
from galcnn.surveys.checks import Wanted, fits_bytes, received
from galcnn.surveys.http import Answer, Limits, address, get
from galcnn.surveys.served import ServedSurvey

#: Bands of the known layers. For another layer they are given by `filters`.
LAYERS: Mapping[str, tuple[str, ...]] = {
    "ls-dr10": ("g", "r", "i", "z"),
    "ls-dr10-south": ("g", "r", "i", "z"),
    "ls-dr9": ("g", "r", "z"),
    "ls-dr9-north": ("g", "r", "z"),
    "ls-dr9-south": ("g", "r", "z"),
    "ls-dr8": ("g", "r", "z"),
}
_ARCSEC = 0.262
#: Header cards that identify an HDU.
_CARDS = ("IMAGETYP", "BANDS", "BAND", "OVERLAP", "SURVEY", "VERSION")

_Planes = npt.NDArray[Any]


@dataclass(frozen=True)
class LegacySurvey(ServedSurvey):
    """Cutouts of the DESI Legacy Imaging Surveys, in nJy, with sigma, mask and PSF.

    Images are requested at their native pixel scale only: at other scales the service preserves
    surface brightness without saying so. The sky is subtracted by the survey. Pixels that were not
    observed are NaN. Pixels that are saturated, or masked in every exposure, are masked.

    Attributes
    ----------
    layer : str
        Name of the data release in the viewer.
    filters : str
        Bands of a layer that galcnn does not know, one letter per band.
    psf : bool
        If True, also fetch the PSF; this takes one more request.
    server : str
        Address of the viewer.
    limits : Limits
        Limits of time and size.

    Examples
    --------
    >>> import astropy.units as u
    >>> from astropy.coordinates import SkyCoord
    >>> survey = LegacySurvey(psf=False)
    >>> survey.requests(SkyCoord(150.1, 2.2, unit="deg"), 30 * u.arcsec, ("g", "r"))[0]
    'https://www.legacysurvey.org/viewer/fits-cutout?ra=150.1&dec=2.2&layer=ls-dr10&pixscale=0.262&size=115&bands=gr&invvar=1&maskbits=1'
    """

    #: The service returns at most this size, without an error for larger ones.
    most: ClassVar[int] = 3000
    layer: str = "ls-dr10"
    filters: str = ""
    psf: bool = True
    server: str = "https://www.legacysurvey.org/viewer"
    limits: Limits = field(default=Limits(), repr=False)

    def __post_init__(self) -> None:
        if not self.filters and self.layer not in LAYERS:
            raise ValueError(
                message(
                    f"a layer of {', '.join(LAYERS)}",
                    "Name the bands of another by filters.",
                    layer=self.layer,
                )
            )
        if len(set(self.filters)) != len(self.filters):
            raise ValueError(message("each band once", "", filters=self.filters))
        address(self.server)

    @property
    def name(self) -> str:
        return f"Legacy Surveys {self.layer}"

    @property
    def bands(self) -> tuple[str, ...]:
        return tuple(self.filters) or LAYERS[self.layer]

    @property
    def pixel_scale(self) -> u.Quantity:
        return _ARCSEC * u.arcsec

    def _cutout(self, want: Wanted) -> Cutout:
        asked = self._requests(want)
        answers = [get(asked[0], limits=self.limits, accept=(200, 404))]
        cutout = _read_image(answers[0], want)
        facts: dict[str, Any] = {
            "release": self.layer,
            "calibration": "nanomaggies, AB zero point 22.5, native pixels",
            "zero_point_ab": 22.5,
            "sky": "subtracted by the survey",
            "psf_source": "none",
        }
        found = received(cutout, want, survey=self.name, answers=answers, facts=facts, north_up=True)
        if not self.psf:
            return found
        answers.append(get(asked[1], limits=self.limits))
        facts |= {"psf_source": "coadd-psf of the survey", "requests": [one.provenance for one in answers]}
        return replace(found, psf=_read_psf(answers[1], want), meta={**found.meta, **facts})

    def _requests(self, want: Wanted) -> tuple[str, ...]:
        letters = "".join(want.bands)
        place = {"ra": want.ra, "dec": want.dec, "layer": self.layer}
        size = {"pixscale": _ARCSEC, "size": want.side, "bands": letters}
        server = self.server.rstrip("/")
        image = address(f"{server}/fits-cutout", {**place, **size, "invvar": 1, "maskbits": 1})
        if not self.psf:
            return (image,)
        return image, address(f"{server}/coadd-psf/", {**place, "bands": letters})


@dataclass(frozen=True)
class _Sent:
    """One image HDU of an answer."""

    kind: str
    cards: Mapping[str, str]
    planes: _Planes | None
    wcs: WCS | None
    notes: tuple[str, ...]


def _read_image(answer: Answer, want: Wanted) -> Cutout:
    """Read image, inverse variance and mask, identified by IMAGETYP, in the requested order of bands."""
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
        mask |= meaning_of(fits.Header({"IMAGETYP": "maskbits"})).bad_pixels(bits, bands)
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
    """Convert nanomaggies and inverse variance to flux and sigma in nJy, and the mask."""
    njy = np.float32(NANOMAGGY.to(u.nJy))
    # Unobserved pixels are exactly 0. Pixels without weight that are not 0 are doubtful, such as the
    # cores of bright stars, but nothing better is known: their flux is kept and masked.
    unweighted = values == 0 if weights is None else ~(weights > 0)
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):  # non-finite pixels are masked
        flux = np.where(unweighted & (values == 0), np.nan, values.astype(np.float32) * njy)
        sigma = None if weights is None else np.where(unweighted, np.nan, njy / np.sqrt(weights))
    return flux, sigma, unweighted


def _read_psf(answer: Answer, want: Wanted) -> npt.NDArray[np.float32]:
    """Read the PSF of each band, one HDU per band identified by BAND; each plane sums to 1."""
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
        with opened(untrusted(content)) as (hdulist, _):
            return [_sent(hdu) for hdu in hdulist if getattr(hdu, "is_image", False)]
    except UnreadableImageError as error:
        raise BadResponseError(
            message("a whole FITS file", "Try again later.", error=str(error), url=answer.url)
        ) from error


def _sent(hdu: Any) -> _Sent:
    cards = {key: str(hdu.header.get(key, "")).strip() for key in _CARDS}
    # One band is sent as a plane, several as a cube.
    data = getattr(hdu, "data", None)  # astropy cannot read the data of every HDU
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
