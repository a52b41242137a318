"""Fetch: Catalog x Survey -> a folder of cutouts, many at once, resumable."""

from __future__ import annotations

import contextlib
import os
import queue
import threading
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import astropy.units as u
import numpy as np
import numpy.typing as npt
from filelock import FileLock, Timeout

from galcnn._runtime import atomic
from galcnn._runtime.progress import Progress, silent
from galcnn._runtime.version import __version__
from galcnn.catalog import Catalog, write_table
from galcnn.catalog.names import file_stems
from galcnn.cutout import Cutout
from galcnn.errors import BadResponseError, CoverageError, message
from galcnn.files import save_cutout
from galcnn.surveys.cache import Cache
from galcnn.surveys.http import within
from galcnn.surveys.manifest import (
    FAILED,
    FETCHED,
    FOLDER,
    MANIFEST,
    NOT_COVERED,
    Manifest,
    Record,
    file_hash,
)
from galcnn.surveys.requests import Request, checked_bands, identity, requests_of
from galcnn.surveys.survey import RemoteSurvey, Survey
from galcnn.transforms import correct_extinction, extinction_coefficients

Item = TypeVar("Item")
Found = TypeVar("Found")
Result = TypeVar("Result")

NOT_TRIED = "not tried"
CATALOG, REPORT = "catalog.ecsv", "report.json"
_LOCK = ".lock"
#: Seconds between two looks at whether Ctrl-C was pressed, which a whole wait does not see everywhere.
_TICK = 0.25


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
        Photometric system of the bands for that, see `galcnn.transforms.extinction_coefficients`;
        by the name of the survey by default.
    at_once : int
        Galaxies that are asked for at the same time.
    time_limit : float
        Seconds for one galaxy, all bands and tries included. One that takes longer has failed.
    give_up_after : int
        Failures in a row after which the rest is not tried: the service is down. Galaxies for which
        the catalog lacks a width or an E(B-V) do not count.
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


@dataclass(frozen=True)
class FetchReport:
    """What became of each galaxy.

    Attributes
    ----------
    folder : pathlib.Path
        Of the fetch.
    outcomes : dict of str to tuple of str
        Id -> status and reason, in the catalog's order. Statuses are ``fetched``,
        ``not covered``, ``failed`` and ``not tried``.
    kept : int
        How many of the fetched stood already.
    """

    folder: Path
    outcomes: Mapping[str, tuple[str, str]]
    kept: int = 0

    @property
    def counts(self) -> dict[str, int]:
        """Galaxies of each status."""
        found = Counter(status for status, _ in self.outcomes.values())
        return {status: found[status] for status in (FETCHED, NOT_COVERED, FAILED, NOT_TRIED)}

    @property
    def missing(self) -> list[dict[str, str]]:
        """Id, status and reason of each galaxy that has no cutout."""
        return [
            {"id": name, "status": status, "reason": reason}
            for name, (status, reason) in self.outcomes.items()
            if status != FETCHED
        ]

    def lines(self, longest: int = 20) -> list[str]:
        """Say it in words: the counts, then a line for each of some galaxies without a cutout."""
        counts = ", ".join(f"{n} {status}" for status, n in self.counts.items() if n or status == FETCHED)
        said = [f"{counts}; {self.kept} of the fetched stood already" if self.kept else counts]
        rows = [row for row in self.missing if row["status"] != NOT_TRIED]
        wide = max((len(row["id"]) for row in rows[:longest]), default=0)
        said += [f"  {row['id']:<{wide}}  {row['status']:<11}  {row['reason']}" for row in rows[:longest]]
        if len(rows) > longest:
            said.append(f"  and {len(rows) - longest} more: {self.folder / REPORT}")
        return said

    def to_dict(self) -> dict[str, Any]:
        """Give plain values for JSON."""
        return {"counts": self.counts, "kept": self.kept, "missing": self.missing}


def fetch(
    catalog: Catalog,
    survey: Survey,
    *,
    out: str | os.PathLike[str],
    settings: FetchSettings,
    cache: Cache | None = None,
    progress: Progress = silent,
    overwrite: bool = False,
) -> FetchReport:
    """Fetch a cutout of each galaxy of a catalog.

    A run that was interrupted, or killed, goes on where it stopped when it is started again:
    files whose SHA-256 is that of the manifest are kept, galaxies that are not covered are not
    asked for again, those that failed are.

    Parameters
    ----------
    catalog : galcnn.catalog.Catalog
        With positions; a redshift goes into the cutout.
    survey : galcnn.surveys.Survey
        Where to look.
    out : path-like
        Folder that gets ``cutouts/<name>.fits``, ``manifest.jsonl``, ``report.json`` and, for
        `galcnn train` and `galcnn classify`, ``catalog.ecsv``: the fetched galaxies with all
        columns and their `image`.
    settings : FetchSettings
        Width, bands, and how hard to try.
    cache : galcnn.surveys.cache.Cache, optional
        Where cutouts of earlier runs are looked for and new ones kept.
    progress : galcnn._runtime.progress.Progress
        Shows the galaxies.
    overwrite : bool
        Fetch all anew, whatever the folder holds.

    Returns
    -------
    FetchReport
        What became of each: `folder`, `outcomes`, `counts`, `missing`, `kept`.

    Raises
    ------
    ValueError
        The catalog has no positions, the survey not these bands, the bands no coefficients of
        extinction where it is to be undone, or the folder holds something else.
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
    own = (MANIFEST, FOLDER, CATALOG, REPORT)
    what = "one of a fetch"
    claim = atomic.claim(folder, what=what, own=own, overwrite=overwrite)
    if not claim.written(MANIFEST):  # without it nothing tells what the cutouts there are
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
    """Say what `fetch` would ask for, without asking.

    Parameters
    ----------
    catalog : galcnn.catalog.Catalog
        With positions.
    survey : galcnn.surveys.Survey
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
    if settings.ebv is not None:  # not found out galaxy by galaxy, with each image in hand
        shown = Cutout(np.zeros((len(bands), 1, 1), np.float32), bands, survey=survey.name)
        extinction_coefficients(shown, settings.system)
    asked = {"width": settings.width, "ebv": settings.ebv, "system": settings.system}
    return requests_of(catalog, survey, bands, **asked)


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """One fetch a folder; the system lets go of the lock of a killed process."""
    try:
        with FileLock(folder / _LOCK, timeout=0):
            # Nobody else writes here now: what is half-written was left by a kill.
            for left in (folder / FOLDER).glob(".*.partial*"):
                if atomic.is_partial(left.name):
                    left.unlink()
            yield
    except Timeout as error:
        raise RuntimeError(
            message("a folder that no other fetch is writing to", "Wait for it.", folder=str(folder))
        ) from error


def _standing(requests: Sequence[Request], manifest: Manifest, progress: Progress) -> dict[str, Record]:
    """What need not be asked for again, by id."""
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
    """The catalog lacks what the question needs."""


@dataclass(frozen=True)
class _Work:
    """Where cutouts come from and go to, and what became of each so far.

    Attributes
    ----------
    folder, manifest, survey, bands, system, cache
        As in `fetch`; `system` is that of the bands, for the extinction.
    stems : mapping of str to str
        Id -> name of the file, without its suffix.
    done : dict of str to Record
        Id -> record of all that is settled, whether or not anybody waits for it.
    impossible : set of str
        Ids of those for which nothing was asked, for lack of a width or an E(B-V): that says
        nothing about the service.
    """

    folder: Path
    manifest: Manifest
    survey: Survey
    bands: tuple[str, ...]
    system: str | None
    cache: Cache | None
    stems: Mapping[str, str]
    done: dict[str, Record]
    impossible: set[str] = field(default_factory=set)

    def run(self, requests: Sequence[Request], settings: FetchSettings, progress: Progress) -> None:
        """Fetch until there were too many failures in a row."""
        if not requests:
            return
        counts: Counter[str] = Counter()
        failures = 0

        def is_down(record: Record) -> bool:
            nonlocal failures
            if record.status != FAILED:
                failures = 0
            elif record.id not in self.impossible:
                failures += 1
            return failures >= settings.give_up_after

        records = run(
            requests,
            self.ask,
            self.settle,
            at_once=settings.at_once,
            time_limit=settings.time_limit,
            enough=is_down,
        )
        with progress("fetch", len(requests)) as step, contextlib.closing(records):
            for record in records:
                counts[record.status] += 1
                step(", ".join(f"{counts[s]} {s}" for s in (NOT_COVERED, FAILED) if counts[s]))

    def ask(self, request: Request) -> Cutout | bytes:
        """Get the cutout from the survey, checked; or the whole file out of the cache."""
        if not np.isfinite(request.width):
            raise _ImpossibleError(message("a width of the galaxy", "Give one for those without: --width."))
        ebv = request.ebv
        if ebv is not None and not ebv >= 0:
            raise _ImpossibleError(message("E(B-V) >= 0 in magnitudes", "Fill in the column.", ebv=ebv))
        if self.cache is not None and (content := self.cache.get(_cache_key(request))) is not None:
            return content
        cutout = self.survey.cutout(request.position, request.width, self.bands)
        _check(cutout, request, self.bands)
        if ebv is not None:
            cutout = correct_extinction(cutout, ebv, system=self.system)
        return cutout if request.redshift is None else replace(cutout, redshift=request.redshift)

    def settle(self, request: Request, answer: Cutout | bytes | Exception) -> Record:
        """Write the file and the record, the record first."""
        try:
            record = (
                self._refused(request, answer)
                if isinstance(answer, Exception)
                else self._written(request, answer)
            )
        except (TypeError, ValueError) as error:  # a cutout that FITS cannot hold
            record = self._refused(request, error)
        self.done[request.id] = record
        return record

    def _refused(self, request: Request, error: Exception) -> Record:
        status = NOT_COVERED if isinstance(error, CoverageError) else FAILED
        if isinstance(error, _ImpossibleError):
            self.impossible.add(request.id)
        record = Record(request.id, status, request.hash, reason=_reason(error))
        self.manifest.add(record)
        return record

    def _written(self, request: Request, answer: Cutout | bytes) -> Record:
        file = f"{FOLDER}/{self.stems[request.id]}.fits"
        with atomic.writing(self.folder / file) as temporary:
            if isinstance(answer, bytes):
                temporary.write_bytes(answer)
            else:
                save_cutout(answer, temporary)
                if self.cache is not None:
                    self.cache.put(_cache_key(request), temporary.read_bytes())
            record = Record(request.id, FETCHED, request.hash, file, file_hash(temporary))
            self.manifest.add(record)
        return record


def _cache_key(request: Request) -> str:
    """Another version may read the same answer otherwise."""
    return f"{__version__} {request.key}"


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


def run(
    items: Sequence[Item],
    ask: Callable[[Item], Found],
    settle: Callable[[Item, Found | Exception], Result],
    *,
    at_once: int,
    time_limit: float,
    enough: Callable[[Result], bool] = lambda result: False,
) -> Generator[Result, None, None]:
    """Ask about items, a number of them at once, and settle each with its answer or error, as it comes."""
    results: queue.SimpleQueue[Future[list[Result]]] = queue.SimpleQueue()
    stopped, judging = threading.Event(), threading.Lock()

    def work(item: Item) -> list[Result]:
        if stopped.is_set():
            return []
        answer: Found | Exception
        try:
            answer = within(time_limit, lambda: ask(item), name="galcnn-fetch", stopped=stopped)
        except Exception as error:  # noqa: BLE001  foreign code: its error is one object's
            answer = error
        if stopped.is_set():
            return []
        try:
            result = settle(item, answer)
            with judging:
                if enough(result):
                    stopped.set()
        except BaseException:
            stopped.set()
            raise
        return [result]

    with ThreadPoolExecutor(at_once) as pool:
        try:
            for item in items:
                pool.submit(work, item).add_done_callback(results.put)
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
    """Write ``report.json`` and ``catalog.ecsv``, the catalog of what stands."""
    outcomes = {
        name: (done[name].status, done[name].reason) if name in done else (NOT_TRIED, "")
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
