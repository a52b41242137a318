"""Fetch: Catalog x Survey -> a folder of cutouts, many at once, resumable."""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import astropy.units as u
import numpy as np
import numpy.typing as npt
from filelock import FileLock, Timeout

from galcnn import atomic
from galcnn.catalog import Catalog
from galcnn.catalog.naming import file_stems
from galcnn.cutout import Cutout
from galcnn.errors import BadResponseError, CoverageError, message
from galcnn.files import save_cutout
from galcnn.foreground import correct_extinction
from galcnn.progress import Progress, silent
from galcnn.surveys.cache import Cache
from galcnn.surveys.manifest import FAILED, FETCHED, FOLDER, NOT_COVERED, Manifest, Record, file_hash
from galcnn.surveys.report import FetchReport, write_report
from galcnn.surveys.requests import Request, checked_bands, identity, requests_of
from galcnn.surveys.survey import RemoteSurvey, Survey
from galcnn.surveys.workers import run

__all__ = ["FetchReport", "FetchSettings", "fetch", "planned"]

_LOCK = ".lock"


@dataclass(frozen=True)
class FetchSettings:
    """What to ask for, and how hard.

    Attributes
    ----------
    width : astropy.units.Quantity
        Angular side of the cutouts: one for all, or one a galaxy (NaN where it is not known).
    bands : tuple of str or None
        In the wanted order; all of the survey by default.
    ebv : numpy.ndarray or None
        E(B-V) of each galaxy, magnitudes, whose extinction is undone; none by default.
    system : str or None
        Photometric system of the bands for that, see `galcnn.foreground.extinction_coefficients`;
        by the name of the survey by default.
    at_once : int
        Galaxies that are asked for at the same time.
    time_limit : float
        Seconds for one galaxy, all bands and tries included. One that takes longer has failed.
    give_up_after : int
        Failures in a row after which the rest is not tried: the service is down.
    """

    width: u.Quantity
    bands: tuple[str, ...] | None = None
    ebv: npt.NDArray[np.float64] | None = None
    system: str | None = None
    at_once: int = 4
    time_limit: float = 600.0
    give_up_after: int = 20

    def __post_init__(self) -> None:
        width = u.Quantity(self.width)
        if not width.unit.is_equivalent(u.arcsec) or (width.isscalar and not 0 < width.value < np.inf):
            raise ValueError(message("a positive angle", "Give the width in arcsec.", width=self.width))
        if self.at_once < 1 or self.give_up_after < 1 or not self.time_limit > 0:
            raise ValueError(
                message(
                    "at_once and give_up_after of 1 or more, and a positive time_limit",
                    "",
                    at_once=self.at_once,
                    give_up_after=self.give_up_after,
                    time_limit=self.time_limit,
                )
            )


def fetch(
    catalog: Catalog,
    survey: Survey,
    *,
    out: str | os.PathLike[str],
    settings: FetchSettings,
    cache: Cache | None = None,
    progress: Progress = silent,
) -> FetchReport:
    """Fetch a cutout of each galaxy of a catalog.

    A run that was interrupted, or killed, goes on where it stopped when it is started again:
    files whose SHA-256 is that of the manifest are kept, galaxies that are not covered are not
    asked for again, those that failed are.

    Parameters
    ----------
    catalog : galcnn.catalog.Catalog
        With positions; a redshift goes into the cutout.
    survey : galcnn.surveys.survey.Survey
        Where to look.
    out : path-like
        Folder that gets ``cutouts/<name>.fits``, ``manifest.jsonl``, ``report.json`` and, for
        `galcnn train` and `galcnn classify`, ``catalog.ecsv``: the fetched galaxies with all
        columns and their `image`.
    settings : FetchSettings
        Width, bands, and how hard to try.
    cache : galcnn.surveys.cache.Cache, optional
        Where cutouts of earlier runs are looked for and new ones kept.
    progress : galcnn.progress.Progress
        Shows the galaxies.

    Returns
    -------
    FetchReport
        What became of each.

    Raises
    ------
    ValueError
        The catalog has no positions, the survey not these bands, or the folder holds something else.
    RuntimeError
        Another fetch is writing to this folder.
    OSError
        The folder cannot be written, or the disk is full. What stands is whole.

    Examples
    --------
    >>> import tempfile
    >>> from galcnn.surveys.simulated import SimulatedSurvey
    >>> survey = SimulatedSurvey(n_galaxies=30)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     settings = FetchSettings(12 * u.arcsec, ("r",))
    ...     report = fetch(survey.catalog.select([0, 1]), survey, out=folder, settings=settings)
    >>> report.counts["fetched"]
    2
    """
    folder = Path(out)
    bands = checked_bands(settings.bands, survey)
    requests = _requests(catalog, survey, bands, settings)
    atomic.check_writable(folder, folder=True)
    folder.mkdir(exist_ok=True)
    with _locked(folder):
        common = {"survey": survey.name, "bands": list(bands), "identity": identity(survey)}
        with contextlib.closing(Manifest(folder, common)) as manifest:
            # Not twice for one galaxy: what stands is asked of the disk, the rest of the survey.
            stand = {r.id: known for r in requests if (known := manifest.settled(r.id, r.hash)) is not None}
            stems = file_stems(catalog.ids, taken=manifest.stems)
            place = _Place(folder, manifest, survey, bands, settings.system, cache, dict(stand))
            jobs = [_Job(r, f"{FOLDER}/{stems[r.id]}.fits", place) for r in requests if r.id not in stand]
            kept = sum(record.status == FETCHED for record in stand.values())
            try:
                _work(jobs, place.done, settings, progress)
            finally:
                report = write_report(catalog, folder, place.done, kept=kept)
        return report


def planned(catalog: Catalog, survey: Survey, settings: FetchSettings) -> Iterator[str]:
    """Say what `fetch` would ask for, without asking.

    Parameters
    ----------
    catalog : galcnn.catalog.Catalog
        With positions.
    survey : galcnn.surveys.survey.Survey
        A `RemoteSurvey` says what it would ask its service.
    settings : FetchSettings
        Width and bands.

    Yields
    ------
    str
        Id, place, width and bands of a galaxy, then its addresses.

    Raises
    ------
    ValueError
        As `fetch`.
    """
    bands = checked_bands(settings.bands, survey)
    for request in _requests(catalog, survey, bands, settings):
        place = f"{request.ra:.6f} {request.dec:+.6f}"
        yield f"{request.id}: {survey.name} {place} {request.width:.2f} {','.join(bands)}"
        if isinstance(survey, RemoteSurvey) and np.isfinite(request.width):
            try:
                asked = list(survey.requests(request.position, request.width, bands))
            except ValueError as error:  # one that is too wide for the service is not the end of the list
                asked = [str(error)]
            yield from (f"  {one}" for one in asked)


def _requests(
    catalog: Catalog, survey: Survey, bands: tuple[str, ...], settings: FetchSettings
) -> list[Request]:
    asked = {"width": settings.width, "ebv": settings.ebv, "system": settings.system}
    return requests_of(catalog, survey, bands, **asked)


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """One fetch a folder; the system lets go of the lock of a killed process."""
    try:
        with FileLock(folder / _LOCK, timeout=0):
            # Nobody else writes here now: what is half-written was left by a kill.
            for left in (folder / FOLDER).glob(".*.partial*"):
                left.unlink()
            yield
    except Timeout as error:
        raise RuntimeError(
            message("a folder that no other fetch is writing to", "Wait for it.", folder=str(folder))
        ) from error


@dataclass(frozen=True)
class _Place:
    """Where cutouts come from and go to."""

    folder: Path
    manifest: Manifest
    survey: Survey
    bands: tuple[str, ...]
    system: str | None
    cache: Cache | None
    #: Id -> record of all that is settled, whether or not anybody waits for it.
    done: dict[str, Record]


@dataclass(frozen=True)
class _Job:
    """One galaxy: the question to the survey, and the file made of the answer."""

    request: Request
    file: str
    place: _Place

    def ask(self) -> Cutout | bytes:
        """The cutout, or the whole file out of the cache."""
        if not np.isfinite(self.request.width):
            raise ValueError(message("a width of the galaxy", "Give one for those without: --width."))
        cache = self.place.cache
        if cache is not None and (content := cache.get(self.request.key)) is not None:
            return content
        cutout = self.place.survey.cutout(self.request.position, self.request.width, self.place.bands)
        _check(cutout, self.request, self.place.bands)
        if self.request.ebv is not None:
            cutout = correct_extinction(cutout, self.request.ebv, system=self.place.system)
        return cutout if self.request.redshift is None else replace(cutout, redshift=self.request.redshift)

    def settle(self, answer: Cutout | bytes | Exception) -> Record:
        """Write the file and the record, the record first."""
        if isinstance(answer, Exception):
            status = NOT_COVERED if isinstance(answer, CoverageError) else FAILED
            record = self._record(status=status, reason=_reason(answer))
            self.place.manifest.add(record)
        else:
            record = self._write(answer)
        self.place.done[self.request.id] = record
        return record

    def _write(self, answer: Cutout | bytes) -> Record:
        cache = self.place.cache
        with atomic.writing(self.place.folder / self.file) as temporary:
            if isinstance(answer, bytes):
                temporary.write_bytes(answer)
            else:
                save_cutout(answer, temporary)
                if cache is not None:
                    cache.put(self.request.key, temporary.read_bytes())
            record = self._record(status=FETCHED, file=self.file, sha256=file_hash(temporary))
            self.place.manifest.add(record)
        return record

    def _record(self, **found: str) -> Record:
        return Record(id=self.request.id, request=self.request.hash, **found)


def _work(
    jobs: Sequence[_Job], done: Mapping[str, Record], settings: FetchSettings, progress: Progress
) -> None:
    """Do the jobs, which write into `done`."""
    if not jobs:
        return
    failures = 0
    records = run(jobs, at_once=settings.at_once, time_limit=settings.time_limit)
    with progress("fetch", len(jobs)) as step, contextlib.closing(records):
        for record in records:
            step(_note(done))
            failures = failures + 1 if record.status == FAILED else 0
            if failures >= settings.give_up_after:
                return


def _note(done: Mapping[str, Record]) -> str:
    """What to show behind the bar; counted anew, which is nothing beside a request."""
    counts = Counter(record.status for record in done.values())
    return ", ".join(f"{counts[status]} {status}" for status in (NOT_COVERED, FAILED) if counts[status])


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split())
    known = isinstance(error, ValueError | OSError)  # of our own grammar; others need their kind
    return text if known and text else f"{type(error).__name__}: {text}"


def _check(cutout: Cutout, request: Request, bands: tuple[str, ...]) -> None:
    """Refuse what was not asked for: a plugin may answer anything."""
    if not isinstance(cutout, Cutout):
        raise BadResponseError(message("a Cutout", "Report it.", received=type(cutout).__name__))
    if cutout.bands != bands:
        raise BadResponseError(message(f"the bands {bands}", "Report it.", bands=cutout.bands))
    if not np.isfinite(cutout.flux).any():
        raise CoverageError(message("a cutout with at least one number", "", found="all NaN"))
    if cutout.wcs is None:
        raise BadResponseError(message("a cutout with a WCS", "Report it.", wcs=None))
    x, y = cutout.wcs.world_to_pixel(request.position)
    off = max(abs(float(x) - (cutout.shape[1] - 1) / 2), abs(float(y) - (cutout.shape[0] - 1) / 2))
    if not off <= 0.51:
        raise BadResponseError(
            message("the galaxy within half a pixel of the centre", "Report it.", off_by_pixels=round(off, 2))
        )
