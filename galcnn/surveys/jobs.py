"""One galaxy of a fetch: asked for, checked, written."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from galcnn import atomic
from galcnn._runtime.version import __version__
from galcnn.cutout import Cutout
from galcnn.errors import BadResponseError, CoverageError, message
from galcnn.files import save_cutout
from galcnn.surveys.cache import Cache
from galcnn.surveys.manifest import FAILED, FETCHED, NOT_COVERED, Manifest, Record, file_hash
from galcnn.surveys.requests import Request
from galcnn.surveys.survey import Survey
from galcnn.transforms import correct_extinction

__all__ = ["FetchJob", "Place"]


class _ImpossibleError(ValueError):
    """The catalog lacks what the question needs."""


@dataclass(frozen=True)
class Place:
    """Where cutouts come from and go to.

    Attributes
    ----------
    folder : pathlib.Path
        Of the fetch.
    manifest : Manifest
        Of the folder.
    survey : galcnn.surveys.survey.Survey
        Is asked.
    bands : tuple of str
        For these.
    system : str or None
        Photometric system of the bands.
    cache : Cache or None
        Is asked before.
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
    done: dict[str, Record]
    impossible: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class FetchJob:
    """One galaxy: the question to the survey, and the file made of the answer.

    Attributes
    ----------
    request : Request
        What is asked for.
    file : str
        Path in the folder.
    place : Place
        Where.
    """

    request: Request
    file: str
    place: Place

    def ask(self) -> Cutout | bytes:
        """Get the cutout.

        Returns
        -------
        galcnn.cutout.Cutout or bytes
            From the survey, checked; or the whole file out of the cache.
        """
        if not np.isfinite(self.request.width):
            raise _ImpossibleError(message("a width of the galaxy", "Give one for those without: --width."))
        ebv = self.request.ebv
        if ebv is not None and not ebv >= 0:
            raise _ImpossibleError(message("E(B-V) >= 0 in magnitudes", "Fill in the column.", ebv=ebv))
        cache = self.place.cache
        if cache is not None and (content := cache.get(self._cache_key)) is not None:
            return content
        cutout = self.place.survey.cutout(self.request.position, self.request.width, self.place.bands)
        _check(cutout, self.request, self.place.bands)
        if ebv is not None:
            cutout = correct_extinction(cutout, ebv, system=self.place.system)
        return cutout if self.request.redshift is None else replace(cutout, redshift=self.request.redshift)

    def settle(self, answer: Cutout | bytes | Exception) -> Record:
        """Write the file and the record, the record first.

        Parameters
        ----------
        answer : galcnn.cutout.Cutout, bytes or Exception
            Of `ask`.

        Returns
        -------
        Record
            Of the galaxy.

        Raises
        ------
        OSError
            The folder or the cache cannot be written: the same would happen to all others.
        """
        try:
            record = self._refused(answer) if isinstance(answer, Exception) else self._written(answer)
        except (TypeError, ValueError) as error:  # a cutout that FITS cannot hold
            record = self._refused(error)
        self.place.done[self.request.id] = record
        return record

    def _refused(self, error: Exception) -> Record:
        status = NOT_COVERED if isinstance(error, CoverageError) else FAILED
        if isinstance(error, _ImpossibleError):
            self.place.impossible.add(self.request.id)
        record = self._record(status=status, reason=_reason(error))
        self.place.manifest.add(record)
        return record

    def _written(self, answer: Cutout | bytes) -> Record:
        cache = self.place.cache
        with atomic.writing(self.place.folder / self.file) as temporary:
            if isinstance(answer, bytes):
                temporary.write_bytes(answer)
            else:
                save_cutout(answer, temporary)
                if cache is not None:
                    cache.put(self._cache_key, temporary.read_bytes())
            record = self._record(status=FETCHED, file=self.file, sha256=file_hash(temporary))
            self.place.manifest.add(record)
        return record

    @property
    def _cache_key(self) -> str:
        """Another version may read the same answer otherwise."""
        return f"{__version__} {self.request.key}"

    def _record(self, **found: str) -> Record:
        return Record(id=self.request.id, request=self.request.hash, **found)


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
