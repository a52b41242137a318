"""Fetch: Catalog x Survey -> a folder of cutouts, many at once, resumable."""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import astropy.units as u
import numpy as np
import numpy.typing as npt
from filelock import FileLock, Timeout

from galcnn import atomic
from galcnn.catalog import Catalog
from galcnn.catalog.naming import file_stems
from galcnn.cutout import Cutout
from galcnn.errors import message
from galcnn.progress import Progress, silent
from galcnn.surveys.cache import Cache
from galcnn.surveys.jobs import FetchJob, Place
from galcnn.surveys.manifest import FAILED, FETCHED, FOLDER, NOT_COVERED, Manifest, Record
from galcnn.surveys.report import FetchReport, write_report
from galcnn.surveys.requests import Request, checked_bands, identity, requests_of
from galcnn.surveys.survey import RemoteSurvey, Survey
from galcnn.surveys.workers import run
from galcnn.transforms import extinction_coefficients

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
    atomic.check_writable(folder, folder=True)
    folder.mkdir(exist_ok=True)
    with _locked(folder):
        common = {"survey": survey.name, "bands": list(bands), "identity": identity(survey)}
        with contextlib.closing(Manifest(folder, common)) as manifest:
            stand = _standing(requests, manifest, progress)
            stems = file_stems(catalog.ids, taken=manifest.stems)
            place = Place(folder, manifest, survey, bands, settings.system, cache, dict(stand))
            jobs = [FetchJob(r, f"{FOLDER}/{stems[r.id]}.fits", place) for r in requests if r.id not in stand]
            kept = sum(record.status == FETCHED for record in stand.values())
            try:
                _work(jobs, settings, progress)
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


def _work(jobs: Sequence[FetchJob], settings: FetchSettings, progress: Progress) -> None:
    """Do the jobs, which keep their own records, until there were too many failures in a row."""
    if not jobs:
        return
    counts: Counter[str] = Counter()
    failures = 0

    def is_down(record: Record) -> bool:
        nonlocal failures
        if record.status != FAILED:
            failures = 0
        elif record.id not in jobs[0].place.impossible:
            failures += 1
        return failures >= settings.give_up_after

    records = run(jobs, at_once=settings.at_once, time_limit=settings.time_limit, enough=is_down)
    with progress("fetch", len(jobs)) as step, contextlib.closing(records):
        for record in records:
            counts[record.status] += 1
            step(", ".join(f"{counts[s]} {s}" for s in (NOT_COVERED, FAILED) if counts[s]))
