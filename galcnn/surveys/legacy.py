"""The DESI Legacy Imaging Surveys (DECaLS, BASS, MzLS; Dey et al. 2019, AJ 157, 168), by their viewer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import astropy.units as u
import numpy as np
import numpy.typing as npt
from astropy.io import fits

from galcnn.cutout import Cutout
from galcnn.errors import BadResponseError, CoverageError, UnreadableImageError, message
from galcnn.files.astrometry import celestial_wcs
from galcnn.files.opening import opened
from galcnn.photometry import NANOMAGGY
from galcnn.surveys.checking import Wanted, fits_bytes, received, wanted
from galcnn.surveys.download import address, get
from galcnn.surveys.limits import Answer, Limits

if TYPE_CHECKING:
    from astropy.coordinates import SkyCoord

__all__ = ["LegacySurvey"]

#: Bands of the releases. `filters` gives those of another layer.
LAYERS: Mapping[str, tuple[str, ...]] = {
    "ls-dr10": ("g", "r", "i", "z"),
    "ls-dr10-south": ("g", "r", "i", "z"),
    "ls-dr9": ("g", "r", "z"),
    "ls-dr9-north": ("g", "r", "z"),
    "ls-dr9-south": ("g", "r", "z"),
    "ls-dr8": ("g", "r", "z"),
}
_ARCSEC = 0.262
#: The service gives no more pixels a side, and does not say so.
_MOST = 3000
#: SATUR (saturated) and ALLMASK (masked in every exposure) of each band, in the bits of MASKBITS
#: (legacysurvey.org/dr10/bitmasks). GALAXY and stars nearby are no fault of a pixel.
_BAD_BITS = {"g": (2, 5), "r": (3, 6), "z": (4, 7), "i": (14, 15)}
_Planes = npt.NDArray[Any]


@dataclass(frozen=True)
class LegacySurvey:
    """Cutouts of the DESI Legacy Imaging Surveys, in nJy, with sigma, mask and PSF.

    Pixels are asked for at their native size alone: the service keeps the surface brightness of
    others and says nothing of it. The sky is subtracted by the survey.

    Attributes
    ----------
    layer : str
        Release, as the viewer names it.
    filters : str
        Bands of a layer that galcnn does not know, a letter each.
    psf : bool
        Whether to fetch the PSF too, one more request.
    server : str
        Address of the viewer.
    limits : Limits
        Of time and size.

    Examples
    --------
    >>> import astropy.units as u
    >>> from astropy.coordinates import SkyCoord
    >>> survey = LegacySurvey(psf=False)
    >>> survey.requests(SkyCoord(150.1, 2.2, unit="deg"), 30 * u.arcsec, ("g", "r"))[0]
    'https://www.legacysurvey.org/viewer/fits-cutout?ra=150.1&dec=2.2&layer=ls-dr10&pixscale=0.262&size=115&bands=gr&invvar=1&maskbits=1'
    """

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
        """With the layer."""
        return f"Legacy Surveys {self.layer}"

    @property
    def bands(self) -> tuple[str, ...]:
        """Of the layer."""
        return tuple(self.filters) or LAYERS[self.layer]

    @property
    def pixel_scale(self) -> u.Quantity:
        """Native, 0.262 arcsec."""
        return _ARCSEC * u.arcsec

    def requests(
        self, position: SkyCoord, width: u.Quantity, bands: tuple[str, ...] | None = None
    ) -> tuple[str, ...]:
        """Give the addresses that `cutout` would ask for.

        Parameters
        ----------
        position : astropy.coordinates.SkyCoord
            Centre of the image.
        width : astropy.units.Quantity
            Angular side.
        bands : tuple of str, optional
            Wanted bands; all by default.

        Returns
        -------
        tuple of str
            Image, then PSF.
        """
        return self._addresses(wanted(self, position, width=width, bands=bands, most=_MOST))

    def cutout(self, position: SkyCoord, width: u.Quantity, bands: tuple[str, ...] | None = None) -> Cutout:
        """Give the image around a position.

        Parameters
        ----------
        position : astropy.coordinates.SkyCoord
            Centre of the image.
        width : astropy.units.Quantity
            Angular side, at most 3000 pixels.
        bands : tuple of str, optional
            Wanted bands in the wanted order; all by default.

        Returns
        -------
        galcnn.cutout.Cutout
            nJy. NaN where nothing was observed; masked where saturated, or masked in every exposure.

        Raises
        ------
        galcnn.errors.CoverageError
            A band was not observed here.
        galcnn.errors.DownloadError
            The service did not answer, or not with what was asked for.
        ValueError
            A band is not of the layer, or the width is no angle or too large.
        """
        want = wanted(self, position, width=width, bands=bands, most=_MOST)
        asked = self._addresses(want)
        answers = [get(asked[0], limits=self.limits, accept=(200, 404))]
        cutout = _image(answers[0], want)
        facts: dict[str, Any] = {
            "release": self.layer,
            "calibration": "nanomaggies, AB zero point 22.5, native pixels",
            "zero_point_ab": 22.5,
            "sky": "subtracted by the survey",
            "psf_source": "none",
        }
        found = received(cutout, want, survey=self.name, answers=answers, facts=facts)
        if not self.psf:
            return found
        answers.append(get(asked[1], limits=self.limits))
        facts |= {"psf_source": "coadd-psf of the survey", "requests": [one.provenance for one in answers]}
        return replace(found, psf=_psf(answers[1], want), meta={**found.meta, **facts})

    def _addresses(self, want: Wanted) -> tuple[str, ...]:
        letters = "".join(want.bands)
        place = {"ra": want.ra, "dec": want.dec, "layer": self.layer}
        size = {"pixscale": _ARCSEC, "size": want.side, "bands": letters}
        server = self.server.rstrip("/")
        image = address(f"{server}/fits-cutout", {**place, **size, "invvar": 1, "maskbits": 1})
        if not self.psf:
            return (image,)
        return image, address(f"{server}/coadd-psf/", {**place, "bands": letters})


def _image(answer: Answer, want: Wanted) -> Cutout:
    """Read image, inverse variance and mask, told apart by IMAGETYP."""
    if not answer.content.startswith(b"SIMPLE") and "overlap" in answer.excerpt().lower():
        raise _no_overlap(answer, want)
    kinds = {
        str(header.get("IMAGETYP", "image")).strip().lower(): (header, data) for header, data in _hdus(answer)
    }
    if "image" not in kinds:
        raise _no_overlap(answer, want)
    header, data = kinds["image"]
    sent = tuple(str(header.get("BANDS", "")).strip())
    values = _stack(data).astype(np.float64)
    if set(sent) != set(want.bands) or len(values) != len(sent):
        raise BadResponseError(
            message(
                f"the bands {want.bands}",
                "This layer may not have them.",
                bands=sent,
                n_planes=len(values),
                url=answer.url,
            )
        )
    order = [sent.index(band) for band in want.bands]
    wcs, notes = celestial_wcs(header, (values.shape[1], values.shape[2]))
    flux, sigma, mask = _measured(values, _companion(kinds, "invvar", values.shape))
    bits = _companion(kinds, "maskbits", values[:1].shape)
    if bits is not None:
        mask |= np.stack([_bad(bits[0], band) for band in sent])
    version = " ".join(str(header.get(key, "")).strip() for key in ("SURVEY", "VERSION")).strip()
    return Cutout(
        flux[order],
        want.bands,
        wcs=wcs,
        mask=mask[order],
        sigma=None if sigma is None else sigma[order],
        meta={"version": version} | ({"notes": notes} if notes else {}),
    )


def _measured(values: _Planes, weights: _Planes | None) -> tuple[_Planes, _Planes | None, _Planes]:
    """Nanomaggies and their inverse variance to nJy, sigma, and what is not to be used."""
    njy = NANOMAGGY.to(u.nJy)
    # What was not observed is exactly 0. Without weight but not 0 are doubtful pixels, such as the
    # cores of bright stars, for which nothing better is known.
    empty = values == 0 if weights is None else (weights <= 0) & (values == 0)
    flux = np.where(empty, np.nan, values * njy)
    if weights is None:
        return flux, None, empty
    with np.errstate(divide="ignore"):
        sigma = np.where(weights > 0, njy / np.sqrt(np.abs(weights)), np.nan)
    return flux, sigma, weights <= 0


def _bad(bits: _Planes, band: str) -> _Planes:
    flags = sum(1 << bit for bit in _BAD_BITS.get(band, ()))
    bad: _Planes = (bits & flags) != 0
    return bad


def _psf(answer: Answer, want: Wanted) -> _Planes:
    """Read the PSF of each band, an HDU each, told apart by BAND."""
    planes = {str(header.get("BAND", "")).strip(): data for header, data in _hdus(answer)}
    missing = [band for band in want.bands if band not in planes or not planes[band].sum() > 0]
    if missing or len({planes[band].shape for band in want.bands}) != 1:
        raise BadResponseError(
            message(
                f"one PSF for each of {want.bands}",
                "Try again later, or leave it out: psf=false.",
                bands=sorted(planes),
                url=answer.url,
            )
        )
    stack: _Planes = np.stack([planes[band].astype(np.float64) for band in want.bands])
    stack /= stack.sum(axis=(1, 2), keepdims=True)
    return stack


def _hdus(answer: Answer) -> list[tuple[fits.Header, _Planes]]:
    """Header and data of each HDU that has data."""
    content = fits_bytes(answer)
    try:
        with opened(content) as (hdulist, _):
            return [(hdu.header, np.asarray(hdu.data)) for hdu in hdulist if hdu.data is not None]
    except UnreadableImageError as error:
        raise BadResponseError(
            message("a whole FITS file", "Try again later.", error=str(error), url=answer.url)
        ) from error


def _stack(data: _Planes) -> _Planes:
    """One band comes as a plane, several as a cube."""
    return data[np.newaxis] if data.ndim == 2 else data


def _companion(
    kinds: Mapping[str, tuple[fits.Header, _Planes]], kind: str, shape: tuple[int, ...]
) -> _Planes | None:
    if kind not in kinds:
        return None
    planes = _stack(kinds[kind][1])
    numbers = "iu" if kind == "maskbits" else "fiu"
    if planes.shape != shape or planes.dtype.kind not in numbers:
        raise BadResponseError(
            message(
                f"{kind} of shape {shape}", "Try again later.", shape=planes.shape, dtype=str(planes.dtype)
            )
        )
    return planes


def _no_overlap(answer: Answer, want: Wanted) -> CoverageError:
    where = want.position.to_string("hmsdms")
    return CoverageError(message("a position in the layer", "", position=where, answer=answer.excerpt()))
