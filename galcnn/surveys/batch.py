"""Fetch the cutouts of a catalog from a survey into a folder, in parallel and resumable."""

from __future__ import annotations

import contextlib
import hashlib
import os
import queue
import threading
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import astropy.units as u
import numpy as np
import numpy.typing as npt
from astropy.coordinates import SkyCoord
from filelock import FileLock, Timeout

from galcnn._runtime import atomic
from galcnn._runtime.progress import Progress, silent
from galcnn._runtime.version import __version__
from galcnn.catalog import Catalog, write_table
from galcnn.catalog.formats import Galaxies, as_catalog
from galcnn.catalog.names import file_stems
from galcnn.cutout import Cutout
from galcnn.errors import BadResponseError, CoverageError, UnreadableImageError, message, wrong_type
from galcnn.files.astrometry import pixel_of
from galcnn.files.layout import cutout_bytes
from galcnn.surveys.cache import Cache
from galcnn.surveys.http import within, without_credentials
from galcnn.surveys.manifest import (
    FAILED,
    FETCHED,
    FOLDER,
    MANIFEST,
    NOT_COVERED,
    Manifest,
    Record,
    read_records,
)
from galcnn.surveys.requests import Request, checked_bands, identity, requests_of
from galcnn.surveys.survey import RemoteSurvey, Survey, as_survey
from galcnn.transforms import correct_extinction, extinction_coefficients

Item = TypeVar("Item")
Found = TypeVar("Found")
Result = TypeVar("Result")

NOT_TRIED = "not tried"
#: Reason of a galaxy that was not tried.
_STOPPED = "The fetch ended before it, by too many failures in a row or an interrupt; start it again."
CATALOG, REPORT = "catalog.ecsv", "report.json"
#: Bytes of a pixel in a cutout: flux and sigma.
_BYTES = 8
_LOCK = ".lock"
#: Seconds between two checks for Ctrl-C: on some systems an unlimited wait cannot be interrupted.
_TICK = 0.25


@dataclass(frozen=True)
class FetchSettings:
    """Settings of a fetch: size, bands, extinction, parallel requests and limits.

    Attributes
    ----------
    width : astropy.units.Quantity
        Angular side of the cutouts: one value for all galaxies, or one per galaxy (NaN where unknown).
    bands : tuple of str or None
        Bands in output order. By default all bands of the survey.
    ebv : numpy.ndarray or None
        E(B-V) of each galaxy in magnitudes, used to correct Galactic extinction. By default no correction.
    system : str or None
        Photometric system of the bands for the extinction correction, see
        `galcnn.transforms.extinction_coefficients`. By default inferred from the name of the survey.
    jobs : int
        Number of galaxies requested in parallel.
    time_limit : float
        Seconds allowed per galaxy, including all bands and retries. A galaxy that takes longer fails.
    give_up_after : int
        Number of consecutive failures after which the fetch stops, since the service is probably
        down. Galaxies without a width or E(B-V) in the catalog, and images that cannot be read, are
        not counted.
    """

    width: u.Quantity
    bands: tuple[str, ...] | None = None
    ebv: npt.NDArray[np.float64] | None = None
    system: str | None = None
    jobs: int = 4
    time_limit: float = 600.0
    give_up_after: int = 20

    def __post_init__(self) -> None:
        width = u.Quantity(self.width)
        if not width.unit.is_equivalent(u.arcsec) or (width.isscalar and not 0 < width.value < np.inf):
            raise ValueError(message("a positive angle", "Give the width in arcsec.", width=self.width))
        if self.jobs < 1 or self.give_up_after < 1 or not self.time_limit > 0:
            raise ValueError(
                message(
                    "jobs and give_up_after of 1 or more, and a positive time_limit",
                    "",
                    jobs=self.jobs,
                    give_up_after=self.give_up_after,
                    time_limit=self.time_limit,
                )
            )


@dataclass(frozen=True)
class FetchReport:
    """Status of each galaxy after a fetch.

    Attributes
    ----------
    folder : pathlib.Path
        Output folder of the fetch.
    outcomes : dict of str to tuple of str
        Status and reason by id, in catalog order. The status is ``fetched``, ``not covered``,
        ``failed`` or ``not tried``.
    kept : int
        Number of fetched galaxies that were already in the folder.
    """

    folder: Path
    outcomes: Mapping[str, tuple[str, str]]
    kept: int = 0

    @property
    def counts(self) -> dict[str, int]:
        """Number of galaxies with each status."""
        found = Counter(status for status, _ in self.outcomes.values())
        return {status: found[status] for status in (FETCHED, NOT_COVERED, FAILED, NOT_TRIED)}

    @property
    def missing(self) -> list[dict[str, str]]:
        """Id, status and reason of each galaxy without a cutout."""
        return [
            {"id": name, "status": status, "reason": reason}
            for name, (status, reason) in self.outcomes.items()
            if status != FETCHED
        ]

    def lines(self, longest: int = 20) -> list[str]:
        """Return a text summary: the counts, then up to `longest` galaxies not covered or failed."""
        counts = ", ".join(f"{n} {status}" for status, n in self.counts.items() if n or status == FETCHED)
        said = [f"{counts}; {self.kept} of the fetched stood already" if self.kept else counts]
        rows = [row for row in self.missing if row["status"] != NOT_TRIED]
        wide = max((len(row["id"]) for row in rows[:longest]), default=0)
        said += [f"  {row['id']:<{wide}}  {row['status']:<11}  {row['reason']}" for row in rows[:longest]]
        if len(rows) > longest:
            said.append(f"  and {len(rows) - longest} more: {self.folder / REPORT}")
        return said

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain values for JSON."""
        return {"counts": self.counts, "kept": self.kept, "missing": self.missing}


def fetch(
    catalog: Galaxies,
    survey: Survey | str,
    *,
    out: str | os.PathLike[str],
    settings: FetchSettings,
    cache: Cache | None = None,
    progress: Progress = silent,
    overwrite: bool = False,
) -> FetchReport:
    """Fetch a cutout of each galaxy of a catalog.

    An interrupted or killed fetch continues when it is started again: files whose SHA-256 matches
    the manifest are kept, galaxies that are not covered are not requested again, and failed
    galaxies are retried.

    Parameters
    ----------
    catalog : galcnn.catalog.Catalog, Table, DataFrame or path-like
        Catalog with positions. If it has redshifts, they are stored in the cutouts.
    survey : galcnn.surveys.Survey or str
        Survey that provides the images, or its name, see `open_survey`.
    out : path-like
        Output folder. It receives ``cutouts/<name>.fits``, ``manifest.jsonl``, ``report.json`` and
        ``catalog.ecsv``: the fetched galaxies with all columns and the column `image`, as input
        for `galcnn train` and `galcnn classify`.
    settings : FetchSettings
        Width, bands, extinction correction and limits.
    cache : galcnn.surveys.cache.Cache, optional
        Cache that is searched before the survey is asked, and in which new cutouts are stored.
    progress : galcnn._runtime.progress.Progress
        Callback that shows the progress. By default none is shown.
    overwrite : bool
        If True, discard an earlier fetch in the folder and fetch all galaxies again.

    Returns
    -------
    FetchReport
        Status of each galaxy: `folder`, `outcomes`, `counts`, `missing`, `kept`.

    Raises
    ------
    ValueError
        If the catalog has no positions, the survey does not have the bands, extinction
        coefficients are needed but unknown, or the folder holds something else.
    RuntimeError
        If another fetch is writing to this folder.
    OSError
        If the folder cannot be written or the disk is full. Files written so far are complete.

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
    catalog, survey = as_catalog(catalog), as_survey(survey)
    if not isinstance(settings, FetchSettings):
        raise wrong_type("FetchSettings, such as FetchSettings(40 * u.arcsec)", settings=settings)
    folder = Path(out)
    bands = checked_bands(settings.bands, survey)
    requests = _requests(catalog, survey, bands, settings)
    own = (MANIFEST, FOLDER, CATALOG, REPORT)
    what = "one of a fetch"
    claim = atomic.claim(folder, what=what, own=own, overwrite=overwrite)
    if not claim.written(MANIFEST):  # the manifest lists the cutouts of a fetch
        atomic.check_writable(folder, folder=True, own=(".*",), what=what, overwrite=overwrite)
    folder.mkdir(exist_ok=True)
    with _locked(folder):
        claim.mark()
        common = {"survey": survey.name, "bands": list(bands), "identity": identity(survey)}
        with contextlib.closing(Manifest(folder, common)) as manifest:
            stand = _standing(requests, manifest, progress)
            stems = file_stems(catalog.ids, taken=manifest.stems)
            work = _Work(folder, manifest, survey, bands, settings.system, cache, stems, dict(stand))
            kept = sum(record.status == FETCHED for record in stand.values())
            try:
                work.run([request for request in requests if request.id not in stand], settings, progress)
            finally:
                report = _write_report(catalog, folder, work.done, kept)
        return report


def planned(catalog: Catalog, survey: Survey, settings: FetchSettings) -> Iterator[str]:
    """List the requests that `fetch` would make, without sending them.

    Parameters
    ----------
    catalog : galcnn.catalog.Catalog
        Catalog with positions.
    survey : galcnn.surveys.Survey
        Survey to ask. Addresses are listed for a `RemoteSurvey` only.
    settings : FetchSettings
        Width and bands.

    Yields
    ------
    str
        One line per galaxy with id, position, width and bands, followed by one line per address.

    Raises
    ------
    ValueError
        As for `fetch`.
    """
    bands = checked_bands(settings.bands, survey)
    for request in _requests(catalog, survey, bands, settings):
        place = f"{request.ra:.6f} {request.dec:+.6f}"
        yield f"{request.id}: {survey.name} {place} {request.width:.2f} {','.join(bands)}"
        if isinstance(survey, RemoteSurvey) and np.isfinite(request.width):
            try:
                asked = list(survey.requests(request.position, request.width, bands))
            except ValueError as error:  # e.g. too wide for the service; go on with the next
                asked = [str(error)]
            yield from (f"  {without_credentials(one)}" for one in asked)


def fetch_size(
    catalog: Catalog, survey: Survey, settings: FetchSettings, *, out: str | os.PathLike[str] | None
) -> tuple[int, int]:
    """Return the number of galaxies that `fetch` would still request, and the size of their files, bytes."""
    bands = checked_bands(settings.bands, survey)
    records = {} if out is None else read_records(Path(out))
    widths = [
        request.width.to_value(u.arcsec)
        for request in _requests(catalog, survey, bands, settings)
        if not _is_settled(records.get(request.id), request)
    ]
    scale = u.Quantity(survey.pixel_scale).to_value(u.arcsec)
    pixels = np.nansum(np.ceil(np.array(widths) / scale) ** 2)
    return len(widths), int(pixels * len(bands) * _BYTES) if np.isfinite(pixels) else 0


def _is_settled(record: Record | None, request: Request) -> bool:
    return record is not None and record.status != FAILED and record.request == request.hash


def _requests(
    catalog: Catalog, survey: Survey, bands: tuple[str, ...], settings: FetchSettings
) -> list[Request]:
    if settings.ebv is not None:  # check once, before any image is fetched
        shown = Cutout(np.zeros((len(bands), 1, 1), np.float32), bands, survey=survey.name)
        extinction_coefficients(shown, settings.system)
    asked = {"width": settings.width, "ebv": settings.ebv, "system": settings.system}
    return requests_of(catalog, survey, bands, **asked)


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Allow one fetch per folder; the system releases the lock if the process is killed."""
    try:
        with FileLock(folder / _LOCK, timeout=0):
            # The lock is held, so that any partial file was left by a killed process.
            for left in (folder / FOLDER).glob(".*.partial*"):
                if atomic.is_partial(left.name):
                    left.unlink()
            yield
    except Timeout as error:
        raise RuntimeError(
            message("a folder that no other fetch is writing to", "Wait for it.", folder=str(folder))
        ) from error


def _standing(requests: Sequence[Request], manifest: Manifest, progress: Progress) -> dict[str, Record]:
    """Return the records of galaxies that need not be requested again, by id."""
    stand: dict[str, Record] = {}
    if not manifest.records:
        return stand
    with progress("check", len(requests)) as step:
        for request in requests:
            record = manifest.settled(request.id, request.hash)
            if record is not None:
                stand[request.id] = record
            step()
    return stand


class _ImpossibleError(ValueError):
    """Error for a galaxy without a width or a valid E(B-V) in the catalog."""


@dataclass(frozen=True)
class _Work:
    """Source and destination of the cutouts, and the records so far.

    Attributes
    ----------
    folder, manifest, survey, bands, system, cache
        As in `fetch`; `system` is the photometric system for the extinction correction.
    stems : mapping of str to str
        File name without suffix, by id.
    done : dict of str to Record
        Record of each galaxy that is settled, by id.
    """

    folder: Path
    manifest: Manifest
    survey: Survey
    bands: tuple[str, ...]
    system: str | None
    cache: Cache | None
    stems: Mapping[str, str]
    done: dict[str, Record]

    def run(self, requests: Sequence[Request], settings: FetchSettings, progress: Progress) -> None:
        """Fetch until all are done or there are too many consecutive failures."""
        if not requests:
            return
        counts: Counter[str] = Counter()
        failures, earlier = 0, len(self.done)  # galaxies settled by an earlier fetch

        def is_down(answer: Cutout | bytes | Exception) -> bool:
            nonlocal failures
            if not isinstance(answer, Exception) or isinstance(answer, CoverageError):
                failures = 0
            elif not _is_of_one(answer):
                failures += 1
            return failures >= settings.give_up_after

        records = run(
            requests,
            self.ask,
            self.settle,
            jobs=settings.jobs,
            time_limit=settings.time_limit,
            enough=is_down,
        )
        with progress("fetch", earlier + len(requests), done=earlier) as step, contextlib.closing(records):
            for record in records:
                counts[record.status] += 1
                step(", ".join(f"{counts[s]} {s}" for s in (NOT_COVERED, FAILED) if counts[s]))

    def ask(self, request: Request) -> Cutout | bytes:
        """Return the checked cutout of the survey, or the bytes of the file from the cache."""
        if not np.isfinite(request.width):
            raise _ImpossibleError(
                message("a width of the galaxy", "Use width=... to give one for galaxies without.")
            )
        ebv = request.ebv
        if ebv is not None and not ebv >= 0:
            raise _ImpossibleError(message("E(B-V) >= 0 in magnitudes", "Fill in the column.", ebv=ebv))
        if self.cache is not None and (content := self.cache.get(_cache_key(request))) is not None:
            return content
        position = request.position
        cutout = self.survey.cutout(position, request.width, self.bands)
        _check(cutout, position, self.bands)
        if ebv is not None:
            cutout = correct_extinction(cutout, ebv, system=self.system)
        return cutout if request.redshift is None else replace(cutout, redshift=request.redshift)

    def settle(self, request: Request, answer: Cutout | bytes | Exception) -> Record:
        """Write the record, then give the file its final name."""
        try:
            record = (
                self._refused(request, answer)
                if isinstance(answer, Exception)
                else self._written(request, answer)
            )
        except OSError:  # the folder cannot be written
            raise
        except Exception as error:  # noqa: BLE001  a cutout that FITS cannot hold: of a plugin, anything
            record = self._refused(request, error)
        self.done[request.id] = record
        return record

    def _refused(self, request: Request, error: Exception) -> Record:
        status = NOT_COVERED if isinstance(error, CoverageError) else FAILED
        record = Record(request.id, status, request.hash, reason=_reason(error))
        self.manifest.add(record)
        return record

    def _written(self, request: Request, answer: Cutout | bytes) -> Record:
        file = f"{FOLDER}/{self.stems[request.id]}.fits"
        content = answer if isinstance(answer, bytes) else cutout_bytes(answer)
        if content is not answer and self.cache is not None:
            self.cache.put(_cache_key(request), content)
        # The manifest flushes all names at its end; a fetch that goes on checks each file against it.
        with atomic.writing(self.folder / file, name_at_once=False) as temporary:
            temporary.write_bytes(content)
            record = Record(request.id, FETCHED, request.hash, file, hashlib.sha256(content).hexdigest())
            self.manifest.add(record)
        return record


def _is_of_one(error: Exception) -> bool:
    """Return True for a failure that says nothing about the service: a gap in the catalog, a bad image."""
    kinds = _ImpossibleError | UnreadableImageError
    return isinstance(error, kinds) or isinstance(error.__cause__, kinds)


def _cache_key(request: Request) -> str:
    """Return the cache key, with the version, since other versions may read the same answer differently."""
    return f"{__version__} {request.key}"


def _reason(error: Exception) -> str:
    text = without_credentials(" ".join(str(error).split()))
    known = isinstance(error, ValueError | OSError)  # other errors are shown with their type
    return text if known and text else f"{type(error).__name__}: {text}"


def _check(cutout: Cutout, position: SkyCoord, bands: tuple[str, ...]) -> None:
    """Raise an error unless the cutout matches the request: plugins may return anything."""
    if not isinstance(cutout, Cutout):
        raise BadResponseError(message("a Cutout", "Report it.", received=type(cutout).__name__))
    if cutout.bands != bands:
        raise BadResponseError(message(f"the bands {bands}", "Report it.", bands=cutout.bands))
    if not np.isfinite(cutout.flux).any():
        raise CoverageError(message("a cutout with at least one number", "", found="all NaN"))
    if cutout.wcs is None:
        raise BadResponseError(message("a cutout with a WCS", "Report it.", wcs=None))
    x, y = pixel_of(cutout.wcs, position)
    off = max(abs(x - (cutout.shape[1] - 1) / 2), abs(y - (cutout.shape[0] - 1) / 2))
    if not off <= 0.51:
        raise BadResponseError(
            message("the galaxy within half a pixel of the centre", "Report it.", off_by_pixels=round(off, 2))
        )


def run(
    items: Sequence[Item],
    ask: Callable[[Item], Found],
    settle: Callable[[Item, Found | Exception], Result],
    *,
    jobs: int,
    time_limit: float,
    enough: Callable[[Found | Exception], bool] = lambda answer: False,
) -> Generator[Result, None, None]:
    """Call `ask` for `jobs` items at once and `settle` for each answer or error, as they arrive.

    Once `enough`, called with each answer or error in turn, returns True, nothing is asked any more, and
    answers that are still awaited are given up.
    """
    results: queue.SimpleQueue[Future[list[Result]]] = queue.SimpleQueue()
    stopped, judging = threading.Event(), threading.Lock()
    asking, waiting = threading.Semaphore(jobs), deque(items)

    def work() -> list[Result]:
        answer: Found | Exception
        with asking:
            if stopped.is_set():
                return []
            item = waiting.popleft()  # here, so that items are asked in their order
            try:
                answer = within(time_limit, lambda: ask(item), name="galcnn-fetch", stopped=stopped)
            except Exception as error:  # noqa: BLE001  code of a plugin: its error concerns one object only
                answer = error
            with judging:
                if stopped.is_set():
                    return []
                if enough(answer):
                    stopped.set()
        try:
            result = settle(item, answer)
        except BaseException:
            stopped.set()
            raise
        return [result]

    # Twice as many threads: while one waits for the disk, another asks.
    with ThreadPoolExecutor(2 * jobs) as pool:
        try:
            for _ in items:
                pool.submit(work).add_done_callback(results.put)
            for _ in items:
                yield from _next(results).result()
        finally:
            stopped.set()
            pool.shutdown(wait=False, cancel_futures=True)


def _next(results: queue.SimpleQueue[Found]) -> Found:
    while True:
        with contextlib.suppress(queue.Empty):
            return results.get(timeout=_TICK)


def _write_report(catalog: Catalog, folder: Path, done: Mapping[str, Record], kept: int) -> FetchReport:
    """Write ``report.json`` and ``catalog.ecsv``, the catalog of the fetched galaxies."""
    outcomes = {
        name: (done[name].status, done[name].reason) if name in done else (NOT_TRIED, _STOPPED)
        for name in catalog.ids
    }
    report = FetchReport(folder, outcomes, kept)
    atomic.write_json(folder / REPORT, report.to_dict())
    rows = [row for row, name in enumerate(catalog.ids) if outcomes[name][0] == FETCHED]
    if rows:
        images = [done[catalog.ids[row]].file for row in rows]
        write_table(catalog.select(rows).with_column("image", images).table, folder / CATALOG)
    else:
        (folder / CATALOG).unlink(missing_ok=True)
    return report
