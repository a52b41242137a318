"""What services of the Virtual Observatory list: images in VOTables, and how SODA cuts them."""

from __future__ import annotations

import contextlib
import io
import re
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import astropy.units as u
from astropy.coordinates import SkyCoord

from galcnn.errors import BadResponseError, message
from galcnn.files.opening import WARNINGS_LOCK
from galcnn.surveys.limits import Answer

__all__ = ["Found", "found_by_sia1", "found_by_sia2", "quietly", "soda_of", "votable_of"]

#: Columns that name the filter, in the order in which they are believed.
_BANDS = ("bandpassId", "obs_bandpass", "bandpass_id", "filter", "filter_name", "band", "em_band")
_TITLES = ("obs_title", "imageTitle", "title", "obs_id")


@dataclass(frozen=True)
class Found:
    """One image that a service lists.

    Attributes
    ----------
    record : pyvo.dal.query.Record
        Its row.
    url, format : str
        Where it is, and as what.
    band : str
        Its filter as the service calls it; empty where no column says it.
    title : str
        Words about it.
    centre : astropy.coordinates.SkyCoord or None
        Of the image.
    """

    record: Any
    url: str
    format: str
    band: str
    title: str
    centre: SkyCoord | None

    def is_in(self, band: str, bands: Sequence[str]) -> bool:
        """Tell whether it is an image in a band.

        Parameters
        ----------
        band : str
            Wanted.
        bands : sequence of str
            All of the survey.

        Returns
        -------
        bool
            By the column of the filter: its name, or its first word ("g DECam SDSS"). Where there is
            none, by the only name of a band among the words of the title.
        """
        if self.band:
            return self.band == band or self.band.split()[0] == band
        words = set(re.split(r"[^A-Za-z0-9]+", self.title))
        return [one for one in bands if one in words] == [band]

    def distance(self, position: SkyCoord) -> float:
        """Give the distance of its centre.

        Parameters
        ----------
        position : astropy.coordinates.SkyCoord
            From here.

        Returns
        -------
        float
            Degrees; infinite where the service does not say where it is.
        """
        return float("inf") if self.centre is None else float(self.centre.separation(position).deg)


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """Parse what a service wrote without a word on each fault of its XML; one thread at a time.

    Yields
    ------
    None
        Nothing.
    """
    # The list of warning filters is one for all threads.
    with WARNINGS_LOCK, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def votable_of(answer: Answer) -> Any:
    """Read a VOTable.

    Parameters
    ----------
    answer : Answer
        Of a service.

    Returns
    -------
    astropy.io.votable.tree.VOTableFile
        Parsed.

    Raises
    ------
    galcnn.errors.BadResponseError
        It is none, ends too early, or says that there was an error.
    """
    from astropy.io.votable import parse

    if b"</VOTABLE>" not in answer.content[-200:] and b":VOTABLE>" not in answer.content[-200:]:
        raise BadResponseError(answer.refusal("a whole VOTable", "Try again later."))
    with quietly():
        return parse(io.BytesIO(answer.content), verify="ignore")


def found_by_sia2(votable: Any, url: str, session: Any) -> list[Found]:
    """Read the answer of an SIA2 service.

    Parameters
    ----------
    votable : astropy.io.votable.tree.VOTableFile
        Its answer.
    url : str
        That was asked.
    session : requests.Session
        For what is asked next.

    Returns
    -------
    list of Found
        Images in FITS, or behind DataLink.
    """
    from pyvo.dal.sia2 import SIA2Results

    with quietly():
        results = SIA2Results(votable, url=url, session=session)
        return _listed(results, ("s_ra", "s_dec"))


def found_by_sia1(votable: Any, url: str, session: Any) -> list[Found]:
    """Read the answer of an SIA1 service.

    Parameters
    ----------
    votable : astropy.io.votable.tree.VOTableFile
        Its answer.
    url : str
        That was asked.
    session : requests.Session
        For what is asked next.

    Returns
    -------
    list of Found
        Images in FITS, or behind DataLink.
    """
    from pyvo.dal.sia import SIAResults

    with quietly():
        results = SIAResults(votable, url=url, session=session)
        ra, dec = (results.fieldname_with_ucd(f"POS_EQ_{axis}_MAIN") for axis in ("RA", "DEC"))
        return _listed(results, (ra, dec), band=results.fieldname_with_ucd("VOX:BandPass_ID"))


def soda_of(image: Found, session: Any) -> Any:
    """Find the service that cuts an image.

    Parameters
    ----------
    image : Found
        Of a service.
    session : galcnn.surveys.download.RecordingSession
        Asks for DataLink, if that is needed.

    Returns
    -------
    astropy.io.votable.tree.Resource or None
        None where the image can only be fetched as it is.
    """
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
    votable = votable_of(answer)
    with quietly():
        return _adhoc(DatalinkResults(votable, url=answer.url, session=session), SODA_SYNC_IVOID)


def _adhoc(results: Any, name: str) -> Any:
    from pyvo.dal.exceptions import DALServiceError

    try:
        return results.get_adhocservice_by_ivoid(name)
    except DALServiceError:
        return None


def _listed(results: Any, centre: tuple[str | None, str | None], band: str | None = None) -> list[Found]:
    status = getattr(results, "status", ("OK", ""))
    if status[0] not in ("OK", "OVERFLOW"):
        raise BadResponseError(message("a list of images", "Try again later.", status=status))
    names = set(results.fieldnames)
    band = band or next((name for name in _BANDS if name in names), None)
    title = next((name for name in _TITLES if name in names), None)
    found = []
    for record in results:
        form = str(record.getdataformat() or "")
        # NOIRLab lists masks and weights among the images.
        kind = str(record["prodtype"]) if "prodtype" in names else "image"
        if kind != "image" or not ("fits" in form.lower() or "content=datalink" in form):
            continue
        found.append(
            Found(
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
