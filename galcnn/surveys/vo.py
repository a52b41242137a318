"""Archives of the Virtual Observatory: images found by SIA2 or SIA1 and cut by SODA."""

from __future__ import annotations

import contextlib
import functools
import io
import re
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar
from urllib.parse import urlsplit

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord

from galcnn.catalog.votable import parse_votable
from galcnn.cutout import Cutout
from galcnn.errors import BadResponseError, CoverageError, message
from galcnn.files.filters import band_of
from galcnn.files.sources import WARNINGS_LOCK
from galcnn.surveys.checks import Wanted, fits_bytes, received
from galcnn.surveys.http import Answer, Limits, Session, address, speaking, without_credentials
from galcnn.surveys.images import coverage_of, loaded, stacked
from galcnn.surveys.served import NamedBands

#: Maximum number of images per band that are compared by coverage.
_TRIED = 3
#: Pixels that are requested beyond the cutout.
_MARGIN = 4
#: Largest list of images, in bytes: pyvo makes an object of every cell.
_LONGEST_LIST = 1 << 24
#: Columns that may name the filter, in order of preference.
_BANDS = ("bandpassId", "obs_bandpass", "bandpass_id", "filter", "filter_name", "band", "em_band")
_TITLES = ("obs_title", "imageTitle", "title", "obs_id")


@dataclass(frozen=True)
class _Found:
    """One image in the list of a service.

    Attributes
    ----------
    record : pyvo.dal.query.Record
        Row of the image.
    url, format : str
        Address and format of the image.
    band : str
        Filter as named by the service; empty if no column gives it.
    title : str
        Title of the image.
    centre : astropy.coordinates.SkyCoord or None
        Centre of the image.
    """

    record: Any
    url: str
    format: str
    band: str
    title: str
    centre: SkyCoord | None

    def is_in(self, band: str, bands: Sequence[str]) -> bool:
        """Return True if it is an image in a band, one of those of the survey."""
        # The filter column decides, by its full text or as in a header ("g DECam SDSS c0001", "Johnson V").
        # Without one, the title must contain the name of this band and of no other.
        if self.band:
            return self.band == band or band_of(self.band) == band
        words = set(re.split(r"[^A-Za-z0-9]+", self.title))
        return [one for one in bands if one in words] == [band]

    def distance(self, position: SkyCoord) -> float:
        """Return the distance of the centre in degrees; infinite if the service does not give the centre."""
        return float("inf") if self.centre is None else float(self.centre.separation(position).deg)


@dataclass(frozen=True)
class VOSurvey(NamedBands):
    """Images from a service of the Virtual Observatory, given its address.

    SIA2 is used if the capabilities of the service list it, else SIA1. Images are cut by the service
    if it offers SODA (in its answer or by DataLink) or returns cutouts; else they are fetched whole
    and cut locally. Values are in nJy if the header allows it. Parts of the cutout outside the image
    are NaN.

    Attributes
    ----------
    server : str
        Address of the service. By default NOIRLab's service of the Dark Energy Survey.
    filters : str
        Names of the bands as used by the service, separated by commas.
    arcsec : float
        Pixel scale of the images in arcsec. Images of another scale are refused.
    collection : str
        Collection to search; empty for all. SIA2 only.
    protocol : str
        ``sia2``, ``sia1``, or ``auto`` to read the capabilities of the service.
    limits : Limits
        Limits of time and size.

    Examples
    --------
    >>> VOSurvey("https://example.org/sia", filters="g,r", arcsec=0.5).bands
    ('g', 'r')
    """

    most: ClassVar[int] = 4000
    server: str = "https://datalab.noirlab.edu/sia/des_dr1"
    filters: str = "g,r,i,z,Y"
    arcsec: float = 0.263
    collection: str = ""
    protocol: str = "auto"
    limits: Limits = field(default=Limits(), repr=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.protocol not in ("auto", "sia1", "sia2"):
            raise ValueError(message("auto, sia1 or sia2", "", protocol=self.protocol))

    @property
    def name(self) -> str:
        # The full address is recorded in the meta of each cutout.
        return f"VO {urlsplit(without_credentials(self.server)).netloc} {self.collection}".strip()

    def _requests(self, want: Wanted) -> tuple[str, ...]:
        # The query (by SIA1 unless the protocol is stated as SIA2), then one image per band.
        query = self._query(want, self.server, self.protocol == "sia2", Session(self.limits))
        return (
            address(query.queryurl, dict(query)),
            *(f"{self.server}/<image in {band}>" for band in want.bands),
        )

    def _cutout(self, want: Wanted) -> Cutout:
        one = Session(self.limits)
        with speaking(self.name):
            found = self._found(want, one)
            images = [self._best(band, found, want, one) for band in want.bands]
        facts = {
            "release": without_credentials(self.server),
            "psf_source": "none",
            "sky": "as the archive left it",
        }
        stack = stacked(images, want.position, want.side)
        return received(stack, want, survey=self.name, answers=one.answers, facts=facts, mirrored=True)

    @functools.cached_property
    def _endpoint(self) -> tuple[str, bool]:
        """Address for queries, and True for SIA2; requested once."""
        if self.protocol != "auto":
            return self.server, self.protocol == "sia2"
        from pyvo.utils.url import url_sibling

        # pyvo would request them itself, while warnings are off for all threads.
        root, one = self.server.partition("?")[0], Session(self.limits)
        for url in (f"{root}/capabilities", url_sibling(root, "capabilities")):
            one.get(url)
            if one.answers[-1].status != 404:
                break
        found = _sia2_of(one.answers[-1])
        return (self.server, False) if found is None else (found, True)

    def _query(self, want: Wanted, url: str, sia2: bool, one: Session) -> Any:
        width = (want.side + _MARGIN) * want.pixel_scale
        if sia2:
            from pyvo.dal.sia2 import SIA2Query

            circle = (want.position.icrs.ra, want.position.icrs.dec, width / 2)
            more = {"collection": self.collection} if self.collection else {}
            return SIA2Query(url, pos=circle, session=one, **more)
        from pyvo.dal.sia import SIAQuery

        degrees = float(width.to_value(u.deg))
        # The side along right ascension is in degrees of RA, which are shorter towards the poles.
        along_ra = min(360.0, degrees / max(np.cos(np.radians(want.dec)), 1e-6))
        place = (want.ra, want.dec)
        return SIAQuery(url, pos=place, size=(along_ra, degrees), format="all", session=one)

    def _found(self, want: Wanted, one: Session) -> list[_Found]:
        url, sia2 = self._endpoint
        query = self._query(want, url, sia2, one)
        query.execute_stream()
        answer = one.answers[-1]
        if answer.status == 204:
            return []
        read = _found_by_sia2 if sia2 else _found_by_sia1
        return read(_votable_of(answer), query.queryurl, one)

    def _best(self, band: str, found: Sequence[_Found], want: Wanted, one: Session) -> Cutout:
        """Return the nearest image that covers most of the cutout."""
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

    def _fetched(self, image: _Found, want: Wanted, one: Session) -> Cutout | None:
        """Fetch an image, cut by the service if possible; None if the service says that there is none."""
        resource = _soda_of(image, one)
        if resource is None:
            one.get(image.url)
        else:
            from pyvo.dal.adhoc import SodaQuery

            # Radius = half of the diagonal, so that the circle contains the square.
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


def _sia2_of(answer: Answer) -> str | None:
    """Return the address of SIA2 in the capabilities of a service, or None if it offers none."""
    from pyvo.dal.sia2 import SIA2_STANDARD_ID
    from pyvo.io.vosi import parse_capabilities

    if answer.status != 200:
        return None
    with _quietly():
        capabilities = parse_capabilities(io.BytesIO(answer.content))
    for one in capabilities:
        if str(one.standardid).lower() != SIA2_STANDARD_ID.lower():
            continue
        for interface in one.interfaces:
            methods = [method.standardid for method in interface.securitymethods]
            if interface.accessurls and methods != ["ivo://ivoa.net/sso#BasicAA"]:
                return str(interface.accessurls[0].content)
    return None


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Parse XML of a service without warnings about its faults; one thread at a time."""
    # Warning filters are global to all threads.
    with WARNINGS_LOCK, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _votable_of(answer: Answer) -> Any:
    """Read a VOTable; raise an error if it is truncated or larger than a list of images."""
    if b"</VOTABLE>" not in answer.content[-200:] and b":VOTABLE>" not in answer.content[-200:]:
        raise BadResponseError(answer.refusal("a whole VOTable", "Try again later."))
    if len(answer.content) > _LONGEST_LIST:
        raise BadResponseError(
            message(f"a list of at most {_LONGEST_LIST} bytes", "Ask for a smaller field.", url=answer.url)
        )
    with _quietly():
        return parse_votable(answer.content, verify="ignore")


def _found_by_sia2(votable: Any, url: str, session: Any) -> list[_Found]:
    """Read the answer of an SIA2 service: FITS images, directly or by DataLink."""
    from pyvo.dal.sia2 import SIA2Results

    with _quietly():
        results = SIA2Results(votable, url=url, session=session)
        return _listed(results, ("s_ra", "s_dec"))


def _found_by_sia1(votable: Any, url: str, session: Any) -> list[_Found]:
    """Read the answer of an SIA1 service: FITS images, directly or by DataLink."""
    from pyvo.dal.sia import SIAResults

    with _quietly():
        results = SIAResults(votable, url=url, session=session)
        ra, dec = (results.fieldname_with_ucd(f"POS_EQ_{axis}_MAIN") for axis in ("RA", "DEC"))
        return _listed(results, (ra, dec), band=results.fieldname_with_ucd("VOX:BandPass_ID"))


def _soda_of(image: _Found, session: Any) -> Any:
    """Return the cutout service of an image, or None if it can only be fetched whole."""
    from pyvo.dal.adhoc import DATALINK_IVOID, SODA_SYNC_IVOID, DatalinkQuery, DatalinkResults

    here = _adhoc(image.record._results, SODA_SYNC_IVOID)
    if here is not None:
        return here
    if "content=datalink" in image.format:
        session.get(image.url)
    else:
        links = _adhoc(image.record._results, DATALINK_IVOID)
        if links is None:
            return None
        DatalinkQuery.from_resource(image.record, links, session=session).execute_stream()
    answer = session.answers[-1]
    votable = _votable_of(answer)
    with _quietly():
        return _adhoc(DatalinkResults(votable, url=answer.url, session=session), SODA_SYNC_IVOID)


def _adhoc(results: Any, name: str) -> Any:
    from pyvo.dal.exceptions import DALServiceError

    try:
        return results.get_adhocservice_by_ivoid(name)
    except DALServiceError:
        return None


def _listed(results: Any, centre: tuple[str | None, str | None], band: str | None = None) -> list[_Found]:
    status = getattr(results, "status", ("OK", ""))
    if status[0] not in ("OK", "OVERFLOW"):
        raise BadResponseError(message("a list of images", "Try again later.", status=status))
    names = set(results.fieldnames)
    band = band or next((name for name in _BANDS if name in names), None)
    title = next((name for name in _TITLES if name in names), None)
    found = []
    for record in results:
        form = str(record.getdataformat() or "")
        # NOIRLab also lists masks and weights.
        kind = str(record["prodtype"]) if "prodtype" in names else "image"
        if kind != "image" or not ("fits" in form.lower() or "content=datalink" in form):
            continue
        found.append(
            _Found(
                record,
                str(record.getdataurl()),
                form,
                "" if band is None else str(record[band]).strip(),
                "" if title is None else str(record[title]),
                _centre(record, centre, names),
            )
        )
    return found


def _centre(record: Any, columns: tuple[str | None, str | None], names: set[str]) -> SkyCoord | None:
    if not {name for name in columns if name} <= names or None in columns:
        return None
    try:
        return SkyCoord(float(record[columns[0]]), float(record[columns[1]]), unit=u.deg)
    except (TypeError, ValueError):
        return None
