"""Any archive of the Virtual Observatory that speaks SIA: images found by SIA2 or SIA1, cut by SODA."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import astropy.units as u
import numpy as np

from galcnn.cutout import Cutout
from galcnn.errors import BadResponseError, CoverageError, DownloadError, message
from galcnn.surveys.checking import Wanted, fits_bytes, received, wanted
from galcnn.surveys.download import Limits, RecordingSession, address, session, speaking
from galcnn.surveys.framing import coverage_of, loaded, stacked
from galcnn.surveys.vo_tables import Found, found_by_sia1, found_by_sia2, quietly, soda_of, votable_of

if TYPE_CHECKING:
    from astropy.coordinates import SkyCoord

__all__ = ["VOSurvey"]

_MOST = 4000
#: Images of one band that are looked at before the fullest of them is taken.
_TRIED = 3
#: Pixels that are asked for beyond the cutout.
_MARGIN = 4


@dataclass(frozen=True)
class VOSurvey:
    """Images of a service of the Virtual Observatory, by its address.

    SIA2 is spoken where the capabilities of the service say so, SIA1 else. An image is cut by the
    service where it offers SODA (in its answer or by DataLink), or answers with cutouts; else it is
    fetched whole and cut here. What the archive clips at the edge of an image is NaN.

    Attributes
    ----------
    server : str
        Address of the service; NOIRLab's of the Dark Energy Survey by default.
    filters : str
        Names of the bands as the service has them, with commas between.
    arcsec : float
        Pixel scale of its images; images with another are refused.
    collection : str
        Only images of this collection; of all where empty. SIA2 alone knows collections.
    protocol : str
        ``sia2`` or ``sia1``; ``auto`` asks for the capabilities of the service.
    limits : Limits
        Of time and size.

    Examples
    --------
    >>> VOSurvey("https://example.org/sia", filters="g,r", arcsec=0.5).bands
    ('g', 'r')
    """

    server: str = "https://datalab.noirlab.edu/sia/des_dr1"
    filters: str = "g,r,i,z,Y"
    arcsec: float = 0.263
    collection: str = ""
    protocol: str = "auto"
    limits: Limits = field(default=Limits(), repr=False)

    def __post_init__(self) -> None:
        if not self.bands or len(set(self.bands)) != len(self.bands):
            raise ValueError(message("names of bands, each once", "", filters=self.filters))
        if not self.arcsec > 0:
            raise ValueError(message("a positive pixel scale", "", arcsec=self.arcsec))
        if self.protocol not in ("auto", "sia1", "sia2"):
            raise ValueError(message("auto, sia1 or sia2", "", protocol=self.protocol))
        address(self.server)

    @property
    def name(self) -> str:
        """With host and collection; the whole address is in the meta of each cutout."""
        return f"VO {urlsplit(self.server).netloc} {self.collection}".strip()

    @property
    def bands(self) -> tuple[str, ...]:
        """That were named."""
        return tuple(name.strip() for name in self.filters.split(",") if name.strip())

    @property
    def pixel_scale(self) -> u.Quantity:
        """As stated."""
        return self.arcsec * u.arcsec

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
            The question for images, then one a band. By SIA1 where the protocol is not stated.
        """
        want = wanted(self, position, width=width, bands=bands, most=_MOST)
        query = self._query(want, self.server, self.protocol == "sia2", session(self.limits))
        return (
            address(query.queryurl, dict(query)),
            *(f"{self.server}/<image in {band}>" for band in want.bands),
        )

    def cutout(self, position: SkyCoord, width: u.Quantity, bands: tuple[str, ...] | None = None) -> Cutout:
        """Give the image around a position.

        Parameters
        ----------
        position : astropy.coordinates.SkyCoord
            Centre of the image.
        width : astropy.units.Quantity
            Angular side, at most 4000 pixels.
        bands : tuple of str, optional
            Wanted bands in the wanted order; all by default.

        Returns
        -------
        galcnn.cutout.Cutout
            In nJy where the headers allow it.

        Raises
        ------
        galcnn.errors.CoverageError
            The service has no image of this place in one of the bands.
        galcnn.errors.DownloadError
            The service did not answer, or not with what was asked for.
        ValueError
            A band is none of the named, or the width is no angle or too large.
        """
        want = wanted(self, position, width=width, bands=bands, most=_MOST)
        one = session(self.limits)
        with speaking(self.name):
            found = self._found(want, one)
            images = [self._best(band, found, want, one) for band in want.bands]
        facts = {"release": self.server, "psf_source": "none", "sky": "as the archive left it"}
        stack = stacked(images, want.position, want.side)
        return received(stack, want, survey=self.name, answers=one.answers, facts=facts)

    @functools.cached_property
    def _endpoint(self) -> tuple[str, bool]:
        """Where to ask, and whether by SIA2; asked for once."""
        if self.protocol != "auto":
            return self.server, self.protocol == "sia2"
        from pyvo.dal.exceptions import DALServiceError
        from pyvo.dal.sia2 import SIA2Service

        one = session(self.limits)
        try:
            with quietly():
                return str(SIA2Service(self.server, session=one).query_ep), True
        except DALServiceError as error:
            if not one.answers:  # it did not answer at all, which says nothing of what it speaks
                raise DownloadError(
                    message("the capabilities of a service", "Try again later.", server=self.server)
                ) from error
            return self.server, False  # none, or others

    def _query(self, want: Wanted, url: str, sia2: bool, one: RecordingSession) -> Any:
        width = (want.side + _MARGIN) * want.pixel_scale
        if sia2:
            from pyvo.dal.sia2 import SIA2Query

            circle = (want.position.icrs.ra, want.position.icrs.dec, width / 2)
            more = {"collection": self.collection} if self.collection else {}
            return SIA2Query(url, pos=circle, session=one, **more)
        from pyvo.dal.sia import SIAQuery

        degrees = float(width.to_value(u.deg))
        # The side along right ascension is in its own degrees, which shrink towards the poles.
        along_ra = min(360.0, degrees / max(np.cos(np.radians(want.dec)), 1e-6))
        place = (want.ra, want.dec)
        return SIAQuery(url, pos=place, size=(along_ra, degrees), format="all", session=one)

    def _found(self, want: Wanted, one: RecordingSession) -> list[Found]:
        url, sia2 = self._endpoint
        query = self._query(want, url, sia2, one)
        query.execute_stream()
        answer = one.answers[-1]
        if answer.status == 204:
            return []
        read = found_by_sia2 if sia2 else found_by_sia1
        return read(votable_of(answer), query.queryurl, one)

    def _best(self, band: str, found: Sequence[Found], want: Wanted, one: RecordingSession) -> Cutout:
        """The fullest of the nearest images."""
        near = [image for image in found if image.is_in(band, self.bands)]
        near.sort(key=lambda image: image.distance(want.position))
        best: tuple[float, Cutout | None] = (0.0, None)
        for image in near[:_TRIED]:
            cutout = self._fetched(image, want, one)
            if cutout is None:
                continue
            share = coverage_of(cutout, want.position, want.side)
            if share > best[0]:
                best = (share, replace(cutout, bands=(band,)))
            if share == 1:
                break
        if best[1] is None:
            raise CoverageError(
                message(
                    f"a position that {self.name} has observed in {band}",
                    "Leave out the galaxy or this band.",
                    position=want.position.to_string("hmsdms"),
                    n_images=len(found),
                )
            )
        return best[1]

    def _fetched(self, image: Found, want: Wanted, one: RecordingSession) -> Cutout | None:
        """The image, cut where the service can; None where it says that there is nothing."""
        resource = soda_of(image, one)
        if resource is None:
            one.get(image.url)
        else:
            from pyvo.dal.adhoc import SodaQuery

            # Half of the diagonal: nothing of the square is beyond the circle.
            radius = (want.side + _MARGIN) * want.pixel_scale / np.sqrt(2)
            circle = (want.position.icrs.ra, want.position.icrs.dec, radius)
            SodaQuery.from_resource(image.record, resource, session=one, circle=circle).execute_stream()
        answer = one.answers[-1]
        if answer.status in (204, 404):
            return None
        try:
            cutout = loaded(fits_bytes(answer), answer)
        except CoverageError:
            return None
        if len(cutout.bands) != 1:
            raise BadResponseError(answer.refusal("an image of one band", "Ask another service."))
        return cutout
