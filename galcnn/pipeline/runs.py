"""A catalog and a source of cutouts -> one table, in chunks: in memory, or in a folder, resumable.

No Keras is imported before a model is opened, see `galcnn.pipeline.classification`.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib.metadata
import json
import multiprocessing
import multiprocessing.connection
import os
import shutil
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from astropy.table import Column, Table, vstack
from filelock import FileLock, Timeout

from galcnn._runtime import atomic
from galcnn._runtime.progress import Progress, silent
from galcnn.catalog import Catalog
from galcnn.catalog.catalog import as_numbers
from galcnn.dataset.sources import CutoutSource
from galcnn.errors import message
from galcnn.model import InputSpec
from galcnn.pipeline.classification import (
    Classifier,
    ClassifySettings,
    Models,
    classify_batch,
    open_classifiers,
)
from galcnn.prediction.logits import Fitted, fitted
from galcnn.prediction.tables import NO_ANSWER
from galcnn.uncertainty.out_of_distribution import REDSHIFT

if TYPE_CHECKING:
    from galcnn.pipeline.explanations import ExplainSettings


#: What a run leaves.
TABLE, MANIFEST = "table.parquet", "manifest.json"
#: HATS' spatial index: the nested HEALPix cell at order 29.
HEALPIX = "_healpix_29"
_PARTS, _LOCK = "parts", "run.lock"


@dataclass(frozen=True)
class RunSettings:
    """How a catalog is run through.

    Attributes
    ----------
    classify : ClassifySettings
        What a row holds.
    chunk : int
        Galaxies of a part: read while the part before is classified, and written as one file.
    explain : ExplainSettings or None
        Which galaxies get a layers file; none by default.
    readers : int
        Processes that read; 0 for a thread of this one. They start as this process did: in a script of
        yours, behind ``if __name__ == "__main__"``.
    """

    classify: ClassifySettings = field(default_factory=ClassifySettings)
    chunk: int = 512
    explain: ExplainSettings | None = None
    readers: int = 0

    def __post_init__(self) -> None:
        if self.chunk < 1 or self.readers < 0:
            raise ValueError(
                message(
                    "parts of at least one galaxy and no fewer readers than 0",
                    "",
                    chunk=self.chunk,
                    readers=self.readers,
                )
            )


def classify(
    model: Models,
    catalog: Catalog,
    source: CutoutSource,
    *,
    settings: RunSettings | None = None,
    progress: Progress = silent,
) -> Table:
    """Classify every galaxy of a catalog into a table in memory: the rows of `run_catalog`.

    Parameters
    ----------
    model : path-like, galcnn.model.TrainedModel or Classifier, or sequence of them
        Several are a deep ensemble, see `galcnn.pipeline.classify_batch`.
    catalog : galcnn.catalog.Catalog
        The galaxies.
    source : CutoutSource
        Their cutouts, row by row of the catalog; a chunk at a time is in memory.
    settings : RunSettings, optional
        The defaults when not given; no explanations, for which there is no place.
    progress : galcnn._runtime.progress.Progress
        Shows the galaxies.

    Returns
    -------
    astropy.table.Table
        See `galcnn.pipeline.classify_batch`; behind `id`, where the catalog has
        positions, `ra` and `dec` in degrees and ``_healpix_29``.

    Raises
    ------
    ValueError
        What is asked for does not fit the model.
    """
    settings = settings or RunSettings()
    if settings.explain is not None:
        raise ValueError(message("no explanations in a table", "run_catalog writes them into its folder."))
    ready, tables = _ready(model, settings), []
    with progress("classify", len(catalog)) as step:
        chunks = chunked(len(catalog), settings.chunk)
        for _, table in _classified(ready, catalog, source, settings, chunks):
            tables.append(table)
            for _ in range(len(table)):
                step()
    return vstack(tables, metadata_conflicts="silent")


def run_catalog(
    model: Models,
    catalog: Catalog,
    source: CutoutSource,
    out: str | os.PathLike[str],
    *,
    settings: RunSettings | None = None,
    overwrite: bool = False,
    progress: Progress = silent,
) -> dict[str, Any]:
    """Classify every galaxy of a catalog into ``OUT/table.parquet``, one row each, in its order.

    Parts are written whole or not at all. A run that was stopped at any moment goes on behind the
    last whole part, and ends with the same rows as one that was not: chunks are the same, and so
    are the batches that the network is given. Beside the catalog itself, memory is bounded by two
    parts (three and one a reader), whatever its length.

    Parameters
    ----------
    model : path-like, galcnn.model.TrainedModel or Classifier, or sequence of them
        See `classify`.
    catalog : galcnn.catalog.Catalog
        The galaxies; positions, where known, go into the table, with their ``_healpix_29``.
    source : CutoutSource
        Their cutouts, row by row of the catalog.
    out : path-like
        Folder of the run.
    settings : RunSettings, optional
        The defaults when not given.
    overwrite : bool
        Whether to begin anew, whatever run the folder holds.
    progress : galcnn._runtime.progress.Progress
        Shows the galaxies.

    Returns
    -------
    dict
        What ``OUT/manifest.json`` holds: rows, failures, model, settings, versions.

    Raises
    ------
    ValueError
        The folder holds a run of another model, catalog, source or settings; or what is asked for
        does not fit the model.
    OSError
        It cannot be written, or another run is at work there.
    """
    settings = settings or RunSettings()
    ready = _ready(model, settings)
    n, chunks = len(catalog), chunked(len(catalog), settings.chunk)
    identity = _identity(ready, catalog, source, settings)

    def work(place: Path) -> dict[str, Any]:
        parts = [place / _PARTS / f"{number:06d}.parquet" for number in range(len(chunks))]
        missing = [number for number, part in enumerate(parts) if not part.exists()]
        with progress("classify", n) as step:
            for _ in range(n - sum(len(chunks[number]) for number in missing)):
                step()
            chosen = [chunks[number] for number in missing]
            done = _classified(ready, catalog, source, settings, chosen)
            for number, (found, table) in zip(missing, done, strict=True):
                if settings.explain is not None:
                    from galcnn.pipeline.explanations import LAYERS, write_layers

                    folder = place / LAYERS / parts[number].stem
                    write_layers(
                        ready[0],
                        found,
                        table,
                        folder,
                        settings=settings.explain,
                        classify=settings.classify,
                    )
                # Last: a part tells that its layers are there.
                with atomic.writing(parts[number]) as temporary:
                    pq.write_table(to_arrow(table), temporary)
                for _ in range(len(table)):
                    step()
        names = ("galcnn", "tensorflow", "keras")
        return identity | {
            "rows": n,
            **join_parts(parts, place / TABLE),
            "table": TABLE,
            "versions": {name: importlib.metadata.version(name) for name in names},
        }

    described = json.dumps(identity, sort_keys=True)
    return resumed(out, described, work, pieces=_PARTS, overwrite=overwrite)


def resumed(
    out: str | os.PathLike[str],
    described: str,
    work: Callable[[Path], dict[str, Any]],
    *,
    pieces: str,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Do what is left of a run in its folder, alone; nothing where it is finished.

    `described` is all that decides the table; the folder `pieces` goes once the manifest is written.
    """
    claim = claimed(out, described, overwrite=overwrite)
    place = claim.folder
    if not overwrite:
        claim.mark()
    place.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(place / _LOCK, timeout=0):
            claim.mark()  # what an older run left goes when none is at work there
            if (place / MANIFEST).exists() and (place / TABLE).exists():
                manifest: dict[str, Any] = json.loads((place / MANIFEST).read_text(encoding="utf-8"))
            else:
                manifest = work(place)
                atomic.write_json(place / MANIFEST, manifest)
            # Also those that a kill before the clean-up left, or a task that was done again.
            shutil.rmtree(place / pieces, ignore_errors=True)
            return manifest
    except Timeout as error:
        raise OSError(
            message("a folder that no other run is writing to", "Wait for it.", out=str(place))
        ) from error


def claimed(out: str | os.PathLike[str], described: str, *, overwrite: bool = False) -> atomic.Claim:
    """Claim the folder of a run, see `galcnn._runtime.atomic.claim`."""
    own = (_PARTS, "tasks", "layers", TABLE, MANIFEST)
    what = "one with this very run"
    return atomic.claim(Path(out).resolve(), described, what=what, own=own, overwrite=overwrite)


def _ready(model: Models, settings: RunSettings) -> tuple[Classifier, ...]:
    """The models, after all has been tried that could end a long run."""
    ready = open_classifiers(model)
    for one in ready:
        one.check(settings.classify)
    if settings.explain is not None:
        from galcnn.pipeline.explanations import working_methods

        if len(ready) > 1:
            raise ValueError(message("one model to explain", "Leave out the others.", models=len(ready)))
        working_methods(ready[0].trained, settings.explain, named=settings.explain.explainers)
    return ready


def chunked(n: int, size: int) -> list[range]:
    """Split rows into chunks of a size; the last may be smaller."""
    return [range(start, min(start + size, n)) for start in range(0, n, size)]


def _classified(
    ready: Sequence[Classifier],
    catalog: Catalog,
    source: CutoutSource,
    settings: RunSettings,
    chunks: Sequence[range],
) -> Iterator[tuple[Fitted, Table]]:
    """What was read and answered of each chunk, in order."""
    classify = settings.classify
    spec = ready[0].trained.with_render(classify.render).card.inputs
    keep = settings.explain is not None
    read = functools.partial(read_chunk, source, spec, fit=classify.fit, keep=keep)
    redshifts = {
        name: as_numbers(catalog.table[name], name) for name in (REDSHIFT,) if name in catalog.table.colnames
    }
    sky = _sky_columns(catalog)
    readers = settings.readers if source.portable else 0
    for rows, found in zip(chunks, read_ahead(read, chunks, readers=readers), strict=True):
        piece = slice(rows.start, rows.stop)
        measures = {name: values[piece] for name, values in redshifts.items()}
        table = classify_batch(ready, found, catalog.ids[piece], settings=classify, measures=measures)
        table.add_columns([column[piece] for column in sky], indexes=[1] * len(sky))
        yield found, table


def _identity(
    ready: Sequence[Classifier], catalog: Catalog, source: CutoutSource, settings: RunSettings
) -> dict[str, Any]:
    """What must be the same for a run to go on."""
    cards = [one.trained.card for one in ready]
    used = [one.doubts for one in ready if settings.classify.calibrated and one.doubts is not None]
    doubts = json.dumps([one.to_dict() for one in used], sort_keys=True) if used else None
    explain = None if settings.explain is None else settings.explain.to_dict()
    return {
        "format": 1,
        "model": ",".join(card.name for card in cards),
        "model_sha256": ",".join(card.model_sha256 for card in cards),
        "doubts_sha256": None if doubts is None else _sha256(doubts),
        "catalog_sha256": catalog_sha256(catalog),
        "source_sha256": _sha256(source.described),
        "settings": settings.classify.to_dict() | {"chunk": settings.chunk, "explain": explain},
    }


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


#: Reads a chunk of a catalog; sent to each process once.
Reading = Callable[[range], Fitted]


def read_chunk(
    source: CutoutSource, spec: InputSpec, rows: range, *, fit: bool, keep: bool = False
) -> Fitted:
    """Read a chunk of a catalog and bring it to what a network sees."""
    return fitted(source.read(rows), spec, fit=fit, keep=keep)


def read_ahead(read: Reading, chunks: Sequence[range], *, readers: int = 0) -> Iterator[Fitted]:
    """Give what reading gives of each chunk, in order, while the next are read.

    At most ``readers + 2`` are in memory. Readers are processes; without any, and while they start, a
    thread reads, which shares Python's lock with whatever is done meanwhile.
    """
    left, waiting = deque(chunks), deque[Future[Fitted]]()
    with ThreadPoolExecutor(1) as thread, contextlib.ExitStack() as stack:
        pool = started = None
        if readers and len(chunks) > 1:
            # Spawned, never forked: a fork of a process that runs TensorFlow's threads may hang.
            context = multiprocessing.get_context("spawn")
            pool = ProcessPoolExecutor(readers, context, _begin, (read,))
            # A caller who stops early must not wait for what nobody will use.
            stack.callback(pool.shutdown, wait=True, cancel_futures=True)
            started = pool.submit(os.getpid)
        while left or waiting:
            most = 2
            while left and len(waiting) < most:
                if pool is None or started is None or not started.done():
                    waiting.append(thread.submit(read, left.popleft()))
                else:
                    waiting.append(pool.submit(_read_there, left.popleft()))
                    most = readers + 1
            yield waiting.popleft().result()


_READING: list[Reading] = []


def _begin(read: Reading) -> None:
    """In a new process. Ctrl-C reaches all of a terminal; the one that asked answers it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _READING[:] = [read]
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """One that was killed cannot tell its workers to end."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)


def _read_there(rows: range) -> Fitted:
    return _READING[0](rows)


def catalog_sha256(catalog: Catalog) -> str:
    """Hash all of a catalog that decides what a run makes of it."""
    digest = hashlib.sha256()
    for name in catalog.ids:
        digest.update(name.encode() + b"\0")
    positions = catalog.positions
    if positions is not None:
        digest.update(np.ascontiguousarray(positions.ra.deg).tobytes())
        digest.update(np.ascontiguousarray(positions.dec.deg).tobytes())
    if "image" in catalog.table.colnames:
        for name in catalog.table["image"]:
            digest.update(str(name).encode() + b"\0")
    if REDSHIFT in catalog.table.colnames:  # the domain warning asks for it
        digest.update(as_numbers(catalog.table[REDSHIFT], REDSHIFT).tobytes())
    return digest.hexdigest()


def _sky_columns(catalog: Catalog) -> list[Column]:
    """`ra` and `dec` in degrees and ``_healpix_29``; none where the catalog has no positions."""
    positions = catalog.positions
    if positions is None:
        return []
    import astropy.units as u
    from astropy_healpix import HEALPix

    cells = HEALPix(nside=2**29, order="nested").lonlat_to_healpix(positions.ra, positions.dec)
    ra, dec = (Column(angle.to_value(u.deg), unit=u.deg) for angle in (positions.ra, positions.dec))
    ra.name, dec.name = "ra", "dec"
    return [ra, dec, Column(np.asarray(cells, dtype=np.int64), name=HEALPIX)]


def to_arrow(table: Table) -> pa.Table:
    """Turn the table of a batch into one of Arrow; arrays of a row are fixed-size lists of float32."""
    columns: dict[str, Any] = {}
    for name in table.colnames:
        values = np.asarray(table[name])
        if values.ndim == 2:
            flat = pa.array(np.ascontiguousarray(values, dtype=np.float32).ravel())
            columns[name] = pa.FixedSizeListArray.from_arrays(flat, values.shape[1])
        else:
            columns[name] = pa.array(values.tolist(), pa.string()) if values.dtype.kind == "U" else values
    return pa.table(columns)


def counts_of(flags: npt.NDArray[np.integer[Any]]) -> dict[str, int]:
    """Count the galaxies that have no answer, or one that is in doubt.

    Parameters
    ----------
    flags : numpy.ndarray
        The column `flag`.

    Returns
    -------
    dict of str to int
        ``failed``, those without an answer, and ``flagged``, all whose flag is not 0.
    """
    return {"failed": int(np.sum((flags & NO_ANSWER) > 0)), "flagged": int(np.sum(flags > 0))}


def join_parts(parts: Sequence[Path], target: Path) -> dict[str, int]:
    """Write the parts one behind the other, a row group each; count what failed or is in doubt."""
    counts = {"failed": 0, "flagged": 0}
    schema = pq.read_schema(parts[0])
    texts = [column.name for column in schema if pa.types.is_string(column.type)]
    longest = dict.fromkeys(texts, 1)
    for part in parts:
        table = pq.read_table(part, columns=texts)
        for name in texts:
            longest[name] = max(longest[name], pc.max(pc.utf8_length(table[name])).as_py() or 0)
    # What astropy's reader asks for, so that it need not guess.
    told = {f"table::len::{name}": str(length) for name, length in longest.items()}
    with (
        atomic.writing(target) as temporary,
        pq.ParquetWriter(temporary, schema.with_metadata(told)) as writer,
    ):
        for part in parts:
            table = pq.read_table(part)
            for name, number in counts_of(table["flag"].to_numpy()).items():
                counts[name] += number
            writer.write_table(table.replace_schema_metadata(told))
    return counts
