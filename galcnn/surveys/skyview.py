"""SkyView: any of its surveys, resampled by the service; not calibrated."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from galcnn.cutout import Cutout
from galcnn.errors import BadResponseError, CoverageError, message
from galcnn.photometry.units import UNCALIBRATED
from galcnn.surveys.checks import Wanted, fits_bytes, received
from galcnn.surveys.http import Answer, Limits, Session, address, get, speaking
from galcnn.surveys.images import loaded, stacked
from galcnn.surveys.served import NamedBands


@dataclass(frozen=True)
class SkyViewSurvey(NamedBands):
    """Images of the SkyView Virtual Observatory.

    SkyView resamples the survey's pixels by nearest neighbour, so that neither flux nor noise is
    preserved, and most of its surveys have no zero point: images are marked as uncalibrated.

    Attributes
    ----------
    surveys : str
        Names of surveys in SkyView, separated by commas. Each is a band of this name.
    arcsec : float
        Requested pixel scale in arcsec.
    server : str
        Address of the query form.
    limits : Limits
        Limits of time and size.

    Examples
    --------
    >>> SkyViewSurvey("DSS2 Red,2MASS-K").bands
    ('DSS2 Red', '2MASS-K')
    """

    most: ClassVar[int] = 3000  # larger images take long
    option: ClassVar[str] = "surveys"
    named: ClassVar[str] = "SkyView's surveys"
    surveys: str = "SDSSg,SDSSr,SDSSi"
    arcsec: float = 0.4
    server: str = "https://skyview.gsfc.nasa.gov/current/cgi/basicform.pl"
    limits: Limits = field(default=Limits(), repr=False)
    #: Survey list of the form when it was first read.
    _known: dict[str, Mapping[str, Any]] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def name(self) -> str:
        return "SkyView"

    def _requests(self, want: Wanted) -> tuple[str, ...]:
        # The form, the submitted form, and one image per band.
        filled = {"Position": f"{want.ra} {want.dec}", "survey": ",".join(want.bands), "pixels": want.side}
        return (
            address(self.server),
            address(self.server, filled),
            *(f"{self.server}/<image of {band}>" for band in want.bands),
        )

    def _cutout(self, want: Wanted) -> Cutout:
        images, answers = [], []
        for band, url in zip(want.bands, self._addresses(want), strict=True):
            answer = get(url, limits=self.limits, accept=(200, 404))
            if answer.status == 404:
                where = want.position.to_string("hmsdms")
                raise CoverageError(
                    message(f"a position that {band} has observed", "Leave the galaxy out.", position=where)
                )
            answers.append(answer)
            images.append(_image(answer, band))
        facts = {
            "release": ", ".join(want.bands),
            "calibration": "none: resampled by SkyView",
            "psf_source": "none",
            "sky": "not subtracted",
        }
        stack = stacked(images, want.position, want.side)
        return received(stack, want, survey=self.name, answers=answers, facts=facts, north_up=True)

    def _addresses(self, want: Wanted) -> list[str]:
        """Return the addresses of the images that SkyView made."""
        from astroquery.skyview import SkyViewClass

        client = SkyViewClass()
        client.URL = self.server
        client._session = Session(self.limits)
        # By default the client caches pages on disk for a week, including failures.
        client._request = functools.partial(client._request, cache=False)
        if "surveys" in self._known:  # saves one request
            client._survey_dict = self._known["surveys"]
        side = want.side * self.pixel_scale
        with speaking(f"SkyView ({self.server})"):
            urls: list[str] = client.get_image_list(
                want.position,
                list(want.bands),
                projection="Tan",
                coordinates="J2000",
                scaling="Linear",
                pixels=str(want.side),
                width=side,
                height=side,
                cache=False,
            )
            self._known["surveys"] = client.survey_dict
        *forms, last = client._session.answers
        for form in forms:
            if b"</html>" not in form.content[-100:].lower():
                raise BadResponseError(form.refusal("a whole form", "Try again later."))
        if len(urls) != len(want.bands):
            raise BadResponseError(last.refusal(f"{len(want.bands)} images", "Try again later."))
        return urls


def _image(answer: Answer, band: str) -> Cutout:
    """Read one band as uncalibrated: the headers describe the survey's pixels, not the resampled ones."""
    image = loaded(fits_bytes(answer), answer)
    if len(image.bands) != 1:
        raise BadResponseError(answer.refusal("an image of one plane", "Try again later."))
    return replace(image, bands=(band,), unit=UNCALIBRATED, psf=None, sigma=None)
