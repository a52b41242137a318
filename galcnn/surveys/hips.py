"""HiPS (hierarchical progressive surveys), requested from CDS's hips2fits through astroquery."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import astropy.units as u
import numpy as np

from galcnn.cutout import Cutout
from galcnn.errors import BadResponseError, message
from galcnn.photometry import ab_flux
from galcnn.photometry.units import UNCALIBRATED
from galcnn.surveys.checks import Wanted, fits_bytes, received
from galcnn.surveys.http import Answer, Limits, Session, address, speaking
from galcnn.surveys.images import BETA, loaded, moffat_planes, stacked
from galcnn.surveys.served import ServedSurvey
from galcnn.transforms import remove_sky


@dataclass(frozen=True)
class HipsSurvey(ServedSurvey):
    """Cutouts of any HiPS, resampled by the service to the requested pixels.

    A HiPS is one band; several make a survey. The service preserves the surface brightness of the
    HiPS's own pixels and does not state its unit, so the images are *uncalibrated* unless the user
    gives a zero point and the native pixel scale for which it holds. Then flux = value x zero point
    x (pixel scale / native scale)^2. galcnn has no built-in zero points of HiPS: those of 2MASS, for
    example, differ from image to image, and the HiPS does not record them.

    Attributes
    ----------
    hips : str
        Complete ids with band names, ``J=CDS/P/2MASS/J,H=CDS/P/2MASS/H``. Without a name, the last
        part of the id is the band. Ids must be complete, since the service accepts any partial match.
    arcsec : float
        Pixel scale of the images in arcsec.
    zero_point : str
        AB magnitude that corresponds to a value of 1: ``J=20.9,H=20.7``, or one number for all bands.
    native_arcsec : float
        Native pixel scale in arcsec for which the zero point holds.
    fwhm : str
        FWHM of the PSF in arcsec, in the format of `zero_point`. By default the images have no PSF.
    sky : bool
        If True, estimate the sky level and subtract it, see `galcnn.transforms.remove_sky`.
    server : str
        Address of the service.
    limits : Limits
        Limits of time and size.

    Examples
    --------
    >>> HipsSurvey("g=CDS/P/PanSTARRS/DR1/g,CDS/P/PanSTARRS/DR1/r").bands
    ('g', 'r')
    """

    #: The service refuses images of more than 50 million pixels.
    most: ClassVar[int] = 7071
    hips: str = "J=CDS/P/2MASS/J,H=CDS/P/2MASS/H,K=CDS/P/2MASS/K"
    arcsec: float = 1.0
    zero_point: str = ""
    native_arcsec: float = 0.0
    fwhm: str = ""
    sky: bool = True
    server: str = "https://alasky.cds.unistra.fr/hips-image-services/hips2fits"
    limits: Limits = field(default=Limits(), repr=False)

    def __post_init__(self) -> None:
        address(self.server)
        bare = [name for name in self._ids.values() if name.count("/") < 2]
        if bare or not self._ids:
            raise ValueError(message("whole ids of HiPS, such as CDS/P/2MASS/J", "", hips=self.hips))
        if not 0 < self.arcsec < np.inf:
            raise ValueError(message("a positive pixel scale", "", arcsec=self.arcsec))
        if bool(self._zero_points) != (self.native_arcsec > 0):
            raise ValueError(
                message(
                    "zero_point and native_arcsec together",
                    "A zero point holds for the HiPS's own pixels.",
                    zero_point=self.zero_point,
                    native_arcsec=self.native_arcsec,
                )
            )
        if any(not width > 0 for width in self._widths.values()):
            raise ValueError(message("positive widths", "", fwhm=self.fwhm))

    @property
    def name(self) -> str:
        # The common part of the ids is named once.
        ids = list(self._ids.values())
        roots = {name.rpartition("/")[0] for name in ids}
        return f"HiPS {roots.pop()}" if len(roots) == 1 else f"HiPS {' '.join(ids)}"

    @property
    def bands(self) -> tuple[str, ...]:
        return tuple(self._ids)

    @property
    def pixel_scale(self) -> u.Quantity:
        return self.arcsec * u.arcsec

    def _requests(self, want: Wanted) -> tuple[str, ...]:
        client = _client(self.server)
        return tuple(
            address(self.server, _ask(client, self._ids[band], want, get_query_payload=True))
            for band in want.bands
        )

    def _cutout(self, want: Wanted) -> Cutout:
        answers = [self._answer(self._ids[band], want) for band in want.bands]
        facts: dict[str, Any] = {
            "release": [self._ids[band] for band in want.bands],
            "calibration": "none: resampled by hips2fits, which keeps surface brightness",
            "sky": "estimated and subtracted" if self.sky else "as in the HiPS",
            "psf_source": "none",
        }
        images = []
        for band, answer in zip(want.bands, answers, strict=True):
            image = _image(self._ids[band], band, answer)
            one = replace(want, bands=(band,))
            images.append(
                received(image, one, survey=self.name, answers=[answer], facts=facts, north_up=True)
            )
        stack = stacked(images, want.position, want.side)
        found = received(stack, want, survey=self.name, answers=answers, facts=facts, north_up=True)
        return self._with_psf(self._calibrated(remove_sky(found) if self.sky else found))

    def _answer(self, hips: str, want: Wanted) -> Answer:
        client = _client(self.server)
        with Session(self.limits) as one, speaking("hips2fits"):
            client._session = one  # set on this instance only; astroquery's shared client keeps its session
            _ask(client, hips, want, get_query_payload=False)
            return one.answers[-1]

    def _calibrated(self, cutout: Cutout) -> Cutout:
        if not self._zero_points:
            return cutout
        area = (self.arcsec / self.native_arcsec) ** 2
        points = [self._zero_points[band] for band in cutout.bands]
        factors = np.array([ab_flux(point) * area for point in points])[:, np.newaxis, np.newaxis]
        said = f"zero points {points} AB of the user, for pixels of {self.native_arcsec:g} arcsec"
        meta = {**cutout.meta, "calibration": said, "zero_point_ab": points}
        return replace(cutout, flux=cutout.flux * factors, unit=u.nJy, meta=meta)

    def _with_psf(self, cutout: Cutout) -> Cutout:
        if not self._widths:
            return cutout
        psf = moffat_planes([self._widths[band] for band in cutout.bands], self.arcsec)
        source = f"Moffat, beta {BETA}, FWHM {self.fwhm} arcsec stated by the user"
        return replace(cutout, psf=psf, meta={**cutout.meta, "psf_source": source})

    @functools.cached_property
    def _ids(self) -> dict[str, str]:
        named = {}
        for part in filter(None, (part.strip() for part in self.hips.split(","))):
            band, equals, name = part.partition("=")
            band = band.strip() if equals else part.rpartition("/")[2]
            if not band or band in named:
                raise ValueError(message("a name of its own for each band", "Write band=id.", hips=self.hips))
            named[band] = name.strip() if equals else part
        return named

    @functools.cached_property
    def _zero_points(self) -> dict[str, float]:
        return _by_band(self.zero_point, self._ids, "zero_point")

    @functools.cached_property
    def _widths(self) -> dict[str, float]:
        return _by_band(self.fwhm, self._ids, "fwhm")


def _client(server: str) -> Any:
    from astroquery.hips2fits import hips2fitsClass  # slow to import

    client = hips2fitsClass()
    client.server = server
    return client


def _ask(client: Any, hips: str, want: Wanted, *, get_query_payload: bool) -> Any:
    # The full WCS is sent: with width, height and fov the service is half a pixel off the centre.
    return client.query_with_wcs_async(
        hips=hips,
        wcs=want.wcs,
        format="fits",
        min_cut=0.5,
        max_cut=99.5,
        stretch="linear",
        cmap="Greys_r",
        get_query_payload=get_query_payload,
    )


def _image(hips: str, band: str, answer: Answer) -> Cutout:
    """Read one band; raise an error if HISTORY names another HiPS."""
    content = fits_bytes(answer)
    for name in re.findall(rb"HISTORY From HiPS (\S+)", content):
        said = name.decode("latin-1")
        if said != hips:
            raise BadResponseError(
                message(f"an image of the HiPS {hips}", "Give its whole id.", hips=said, url=answer.url)
            )
    image = loaded(content, answer)
    if len(image.bands) != 1:
        raise BadResponseError(answer.refusal("an image of one plane", "Try again later."))
    # A unit in the header refers to the HiPS's own pixels, not to the resampled ones.
    factor = ab_flux(image.meta["zero_point_ab"]) if image.calibrated else 1.0
    meta = {key: value for key, value in image.meta.items() if key not in ("zero_point_ab", "calibration")}
    return replace(
        image, flux=image.flux / factor, bands=(band,), unit=UNCALIBRATED, sigma=None, psf=None, meta=meta
    )


def _by_band(text: str, bands: Mapping[str, str], name: str) -> dict[str, float]:
    """Parse ``J=20.9,H=20.7``, or one number for all bands."""
    if not str(text).strip():
        return {}
    parts = [part.partition("=") for part in str(text).split(",")]
    try:
        if len(parts) == 1 and not parts[0][1]:
            return dict.fromkeys(bands, float(parts[0][0]))
        values = {band.strip(): float(value) for band, _, value in parts}
    except ValueError as error:
        raise ValueError(message("a number, or band=number for each band", "", **{name: text})) from error
    if set(values) != set(bands) or not all(np.isfinite(list(values.values()))):
        raise ValueError(message(f"a number for each of {tuple(bands)}", "", **{name: text}))
    return values
