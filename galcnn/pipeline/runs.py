"""Classify a whole catalog in chunks, into a table in memory or, resumable, into a folder.

Keras is imported only when a model is opened, see `galcnn.pipeline.classification`.
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
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from astropy.table import Column, QTable, Table, vstack
from filelock import FileLock, Timeout

from galcnn._runtime import atomic
from galcnn._runtime.progress import Progress, silent
from galcnn.catalog import Catalog
from galcnn.catalog.catalog import HEALPIX, as_numbers
from galcnn.catalog.formats import FITS_SUFFIXES, as_catalog, is_table, table_file
from galcnn.dataset import InputFiles
from galcnn.dataset.sources import CutoutSource, FromImages, FromShards
from galcnn.errors import message
from galcnn.model import InputSpec
from galcnn.pipeline.classification import (
    Answered,
    Classifier,
    ClassifySettings,
    Models,
    answered,
    open_classifiers,
)
from galcnn.prediction.flags import counts_of
from galcnn.prediction.logits import Fitted, fitted
from galcnn.uncertainty import UncertaintyRecord
from galcnn.uncertainty.out_of_distribution import REDSHIFT, SET_TEST

if TYPE_CHECKING:
    from galcnn.pipeline.explanations import ExplainSettings


#: Output files of a run.
TABLE, MANIFEST = "table.parquet", "manifest.json"
_PARTS, _LOCK = "parts", "run.lock"
#: Metadata of a part or table: counts for the test of the whole set.
_COUNTS = "galcnn:set_counts"


@dataclass(frozen=True)
class RunSettings:
    """Settings of a run over a catalog.

    Attributes
    ----------
    classify : ClassifySettings
        Settings of the classification.
    chunk : int
        Number of galaxies per chunk. A chunk is read while the previous one is classified, and is
        written as one file.
    explain : ExplainSettings or None
        Explanations, and for which galaxies layers files are written; None for none.
    readers : int
        Number of processes that read cutouts; 0 to read in a thread. The processes are spawned, so
        that a script must call this below ``if __name__ == "__main__":``.
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
    galaxies: Any,
    source: CutoutSource | None = None,
    *,
    ids: Sequence[str] | None = None,
    fit: bool = False,
    settings: RunSettings | None = None,
    progress: Progress = silent,
) -> Table:
    """Classify galaxies and return a table with one row per galaxy, even if its image cannot be used.

    The rows equal those of `run_catalog`.

    Parameters
    ----------
    model : path-like, galcnn.model.TrainedModel or Classifier, or sequence of them
        The model, or the members of a deep ensemble, see `galcnn.pipeline.classify_batch`.
    galaxies : Catalog, Table, DataFrame, path-like, or one or more images
        Catalog of the galaxies, or the path of one (``.csv``, ``.ecsv``, ``.parquet`` ...; read a FITS
        table by `galcnn.read_catalog`). Or images: cutouts, paths, NDData, HDULists, or an array with the
        model's bands first, see `galcnn.files.as_cutout`.
    source : CutoutSource, optional
        Cutouts of the catalog, in its row order, of which only a few chunks are in memory at a time; by
        default the files in its column `image`. Not with images.
    ids : sequence of str, optional
        Id of each image; by default the file names, else numbers. Not with a catalog.
    fit : bool
        If True, images are resampled and cropped to the model's pixel grid, whatever `settings` state.
    settings : RunSettings, optional
        Settings; the defaults if not given. `explain` must be None.
    progress : galcnn._runtime.progress.Progress
        Progress display; one step per galaxy.

    Returns
    -------
    astropy.table.Table
        One row per galaxy, in the given order: columns of `galcnn.pipeline.classify_batch`, and, after
        `id`, the columns `ra` and `dec` (degrees) and ``_healpix_29`` if the catalog has positions.
        ``meta["set_test"]``: whether the galaxies as a set are unlike those of the training, in words, see
        `run_catalog`.

    Raises
    ------
    TypeError
        If an argument has a type that is not accepted; the text says which are.
    ValueError
        If the settings do not suit the model, or ask for explanations.
    """
    settings = settings or RunSettings()
    if fit:
        settings = replace(settings, classify=replace(settings.classify, fit=True))
    if settings.explain is not None:
        raise ValueError(message("no explanations in a table", "run_catalog writes them into its folder."))
    ready, tables, counts = _ready(model, settings), [], dict[str, Any]()
    catalog, source = _galaxies(galaxies, source, ids, ready[0].trained.card.inputs)
    with progress("classify", len(catalog)) as step:
        chunks = chunked(len(catalog), settings.chunk)
        for answers in classified(ready, catalog, source, settings, chunks):
            tables.append(answers.table)
            _add(counts, answers.counts)
            step(n=len(answers.table))
    table = vstack(tables, metadata_conflicts="silent")
    if found := set_test(_record_of(ready, settings.classify), counts):
        table.meta[SET_TEST] = found["text"]
    return table


def _galaxies(
    galaxies: Any, source: CutoutSource | None, ids: Sequence[str] | None, inputs: InputSpec
) -> tuple[Catalog, CutoutSource]:
    """Return the catalog and the source of cutouts of a catalog, or of images at hand."""
    if isinstance(galaxies, str | os.PathLike):
        file, hdu = table_file(galaxies)
        table = is_table(file) and (hdu is not None or file.suffix.lower() not in FITS_SUFFIXES)
    else:
        table = isinstance(galaxies, Catalog) or hasattr(galaxies, "columns")
    if table or source is not None:
        if ids is not None:
            raise ValueError(message("no ids beside a catalog, which has its own", "", ids=ids))
        catalog = as_catalog(galaxies)
        return catalog, InputFiles.of(catalog) if source is None else source
    images = FromImages(galaxies, inputs)
    names = images.ids if ids is None else [str(name) for name in ids]
    if len(names) != len(images) or not names:
        raise ValueError(
            message("at least one image, and one id for each", "", n_images=len(images), n_ids=len(names))
        )
    return Catalog(QTable({"id": names})), images


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
    """Classify all galaxies of a catalog into ``OUT/table.parquet``, one row per galaxy.

    Each chunk is written as a file, atomically. An interrupted run continues after the last complete
    chunk and gives the same rows as an uninterrupted one, because chunks and batches are the same.
    Memory beyond the catalog itself does not grow with its length: at most two chunks of images, plus
    one per reader process, are held.

    Parameters
    ----------
    model : path-like, galcnn.model.TrainedModel or Classifier, or sequence of them
        The model, or the members of a deep ensemble, see `galcnn.pipeline.classify_batch`.
    catalog : galcnn.catalog.Catalog
        The galaxies. Positions, if known, are copied to the table, with ``_healpix_29``.
    source : CutoutSource
        Their cutouts, in the row order of the catalog.
    out : path-like
        Output folder.
    settings : RunSettings, optional
        Settings; the defaults if not given.
    overwrite : bool
        If True, discard an earlier run in the folder and start again.
    progress : galcnn._runtime.progress.Progress
        Progress display; one step per galaxy.

    Returns
    -------
    dict
        Content of ``OUT/manifest.json``: numbers of rows and failures, model, settings, versions; and
        `set_test`: whether the galaxies as a set are unlike those of the training, by a two-sample test of
        all image measures, see `OutOfDistribution.set_test` (None for fewer than 50 galaxies, and without
        an uncertainty record).

    Raises
    ------
    ValueError
        If the folder holds a run with another model, catalog, source or settings, or the settings do
        not suit the model.
    OSError
        If the folder cannot be written, or another run is writing to it.
    """
    settings = settings or RunSettings()
    ready = _ready(model, settings)
    n, chunks = len(catalog), chunked(len(catalog), settings.chunk)
    identity = _identity(ready, catalog, source, settings)

    def work(place: Path) -> dict[str, Any]:
        parts = [place / _PARTS / f"{number:06d}.parquet" for number in range(len(chunks))]
        missing = [number for number, part in enumerate(parts) if not part.exists()]
        finished = n - sum(len(chunks[number]) for number in missing)
        with progress("classify", n, done=finished) as step:
            chosen = [chunks[number] for number in missing]
            done = classified(ready, catalog, source, settings, chosen)
            for number, answers in zip(missing, done, strict=True):
                if settings.explain is not None:
                    from galcnn.pipeline.explanations import LAYERS, write_layers

                    folder = place / LAYERS / parts[number].stem
                    write_layers(
                        ready[0], answers, folder, settings=settings.explain, classify=settings.classify
                    )
                # Written last: the part file marks the layers of its chunk as complete.
                with atomic.writing(parts[number]) as temporary:
                    part = to_arrow(answers.table)
                    pq.write_table(part.replace_schema_metadata(_in_metadata(answers.counts)), temporary)
                step(n=len(answers.table))
        names = ("galcnn", "tensorflow", "keras")
        return identity | {
            "rows": n,
            **join_parts(parts, place / TABLE),
            SET_TEST: set_test(_record_of(ready, settings.classify), set_counts(place / TABLE)),
            "table": TABLE,
            "images": getattr(source, "folder", None),
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
    """Lock the folder of a run and complete it; return the manifest at once if it is complete.

    `described` holds everything that determines the table. The folder `pieces` is removed once the
    manifest is written.
    """
    claim = claimed(out, described, overwrite=overwrite)
    place = claim.folder
    if not overwrite:
        claim.mark()
    place.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(place / _LOCK, timeout=0):
            claim.mark()  # with overwrite, removes an earlier run, now that the folder is locked
            if (place / MANIFEST).exists() and (place / TABLE).exists():
                manifest: dict[str, Any] = json.loads((place / MANIFEST).read_text(encoding="utf-8"))
            else:
                manifest = work(place)
                atomic.write_json(place / MANIFEST, manifest)
            # Also removes pieces of a run that was killed before this line, or of a repeated task.
            shutil.rmtree(place / pieces, ignore_errors=True)
            return manifest
    except Timeout as error:
        raise OSError(
            message("a folder that no other run is writing to", "Wait for it.", out=str(place))
        ) from error


def claimed(out: str | os.PathLike[str], described: str, *, overwrite: bool = False) -> atomic.Claim:
    """Claim the folder of a run, see `galcnn._runtime.atomic.claim`."""
    own = (_PARTS, "tasks", "layers", TABLE, MANIFEST)
    what = "one with the same run"
    return atomic.claim(Path(out).resolve(), described, what=what, own=own, overwrite=overwrite)


def _ready(model: Models, settings: RunSettings) -> tuple[Classifier, ...]:
    """Open the models and check the settings, so that errors come before a long run."""
    ready = open_classifiers(model, orientations=settings.classify.orientations)
    for one in ready:
        one.check(settings.classify)
    if settings.explain is not None:
        from galcnn.pipeline.explanations import working_methods

        if len(ready) > 1:
            raise ValueError(message("one model to explain", "Leave out the others.", models=len(ready)))
        working_methods(ready[0].trained, settings.explain, named=settings.explain.explainers)
    return ready


def chunked(n: int, size: int) -> list[range]:
    """Split rows into chunks of `size` rows; the last may be smaller."""
    return [range(start, min(start + size, n)) for start in range(0, n, size)]


def classified(
    ready: Sequence[Classifier],
    catalog: Catalog,
    source: CutoutSource,
    settings: RunSettings,
    chunks: Sequence[range],
) -> Iterator[Answered]:
    """Read and classify the chunks, in order; their cutouts are kept if they are to be explained."""
    classify, keep = settings.classify, settings.explain is not None
    read = functools.partial(_read_chunk, source, ready[0].inputs(classify), fit=classify.fit, keep=keep)
    redshifts = {
        name: as_numbers(catalog.table[name], name) for name in (REDSHIFT,) if name in catalog.table.colnames
    }
    sky = _sky_columns(catalog)
    readers = settings.readers if source.portable else 0
    for rows, found in zip(chunks, _read_ahead(read, chunks, readers=readers), strict=True):
        piece = slice(rows.start, rows.stop)
        measures = {name: values[piece] for name, values in redshifts.items()}
        answers = answered(ready, found, catalog.ids[piece], settings=classify, measures=measures)
        answers.table.add_columns([column[piece] for column in sky], indexes=[1] * len(sky))
        yield answers


def _identity(
    ready: Sequence[Classifier], catalog: Catalog, source: CutoutSource, settings: RunSettings
) -> dict[str, Any]:
    """Return what must be unchanged for a run to be continued."""
    cards = [one.trained.card for one in ready]
    used = [one.uncertainty for one in ready if settings.classify.calibrated and one.uncertainty is not None]
    uncertainty = json.dumps([one.to_dict() for one in used], sort_keys=True) if used else None
    explain = None if settings.explain is None else settings.explain.to_dict()
    return {
        "format": 1,
        "model": ",".join(card.name for card in cards),
        "model_sha256": ",".join(card.model_sha256 for card in cards),
        "uncertainty_sha256": None if uncertainty is None else _sha256(uncertainty),
        "catalog_sha256": catalog_sha256(catalog),
        "source_sha256": _sha256(source.described),
        "settings": settings.classify.to_dict() | {"chunk": settings.chunk, "explain": explain},
    }


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


#: Function that reads a chunk of a catalog; sent to each process once.
Reading = Callable[[range], Fitted]


def _read_chunk(
    source: CutoutSource, spec: InputSpec, rows: range, *, fit: bool, keep: bool = False
) -> Fitted:
    """Read a chunk of a catalog and prepare its images for the network."""
    packed = source.inputs_of(rows, spec) if isinstance(source, FromShards) and not (fit or keep) else None
    if packed is None:
        return fitted(source.read(rows), spec, fit=fit, keep=keep)
    images, good = packed
    others = np.flatnonzero(~good)
    found = fitted(source.read([rows[i] for i in others.tolist()]), spec, fit=fit)
    flags, reasons = np.zeros(len(rows), dtype=np.int16), [""] * len(rows)
    flags[others] = found.flags
    for row, reason in zip(others.tolist(), found.reasons, strict=True):
        reasons[row] = reason
    images[others[found.rows]] = found.images
    good[others[found.rows]] = True
    chosen = images if good.all() else images[good]
    return Fitted(np.flatnonzero(good), chosen, flags, reasons, np.full(len(rows), np.nan))


def _read_ahead(read: Reading, chunks: Sequence[range], *, readers: int = 0) -> Iterator[Fitted]:
    """Read chunks ahead and yield them in order.

    At most ``readers + 2`` chunks are in memory. With ``readers=0``, and while the reader processes
    start, a thread reads, which competes with the caller for the GIL.
    """
    left, waiting = deque(chunks), deque[Future[Fitted]]()
    with ThreadPoolExecutor(1) as thread, contextlib.ExitStack() as stack:
        pool = started = None
        if readers and len(chunks) > 1:
            # Spawned, never forked: a fork of a process with TensorFlow threads may hang.
            context = multiprocessing.get_context("spawn")
            pool = ProcessPoolExecutor(readers, context, _begin, (read,))
            # If the caller stops early, chunks that have not been started are cancelled.
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
    """Initialise a reader process. It ignores Ctrl-C, which the parent process handles."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _READING[:] = [read]
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Exit when the parent process has died: if it was killed, it cannot stop its workers."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)


def _read_there(rows: range) -> Fitted:
    return _READING[0](rows)


def catalog_sha256(catalog: Catalog) -> str:
    """Hash the columns of a catalog that determine the result of a run."""
    digest = hashlib.sha256()
    for name in catalog.ids:
        digest.update(name.encode() + b"\0")
    positions = catalog.positions
    if positions is not None:
        digest.update(np.ascontiguousarray(positions.ra.deg).tobytes())
        digest.update(np.ascontiguousarray(positions.dec.deg).tobytes())
    if "image" in catalog.table.colnames:
        for name in np.asarray(catalog.table["image"], dtype=str).ravel():
            digest.update(str(name).encode() + b"\0")
    if REDSHIFT in catalog.table.colnames:  # used by the out-of-distribution test
        digest.update(as_numbers(catalog.table[REDSHIFT], REDSHIFT).tobytes())
    return digest.hexdigest()


def _sky_columns(catalog: Catalog) -> list[Column]:
    """Return `ra` and `dec` in degrees and ``_healpix_29``, or nothing if there are no positions."""
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
    """Convert the table of a batch to Arrow; 2-d columns become fixed-size lists of float32."""
    columns: dict[str, Any] = {}
    for name in table.colnames:
        values = np.asarray(table[name])
        if values.ndim == 2:
            flat = pa.array(np.ascontiguousarray(values, dtype=np.float32).ravel())
            columns[name] = pa.FixedSizeListArray.from_arrays(flat, values.shape[1])
        else:
            columns[name] = pa.array(values.tolist(), pa.string()) if values.dtype.kind == "U" else values
    return pa.table(columns)


def _record_of(ready: Sequence[Classifier], settings: ClassifySettings) -> UncertaintyRecord | None:
    return ready[0].uncertainty if settings.calibrated else None


def _add(whole: dict[str, Any], counts: Mapping[str, Any]) -> None:
    """Add the counts of a part of a set to those of the whole."""
    for name, own in counts.items():
        whole[name] = whole.get(name, 0) + np.asarray(own)


def _in_metadata(counts: Mapping[str, npt.NDArray[np.int64]]) -> dict[str, str]:
    """Return counts as metadata of a Parquet file."""
    return {_COUNTS: json.dumps({name: own.tolist() for name, own in counts.items()})} if counts else {}


def set_counts(path: Path) -> dict[str, Any]:
    """Read the counts for the test of the whole set from the metadata of a Parquet file."""
    content = (pq.read_schema(path).metadata or {}).get(_COUNTS.encode(), b"{}")
    counts: dict[str, Any] = json.loads(content)
    return counts


def set_test(record: UncertaintyRecord | None, counts: Mapping[str, Any]) -> dict[str, Any] | None:
    """Test whether a set is unlike the galaxies of the training, as plain values."""
    found = None if record is None else record.out_of_distribution.set_test(counts)
    return None if found is None else found.to_dict()


def join_parts(parts: Sequence[Path], target: Path) -> dict[str, int]:
    """Concatenate the parts, one row group each; return the numbers of failed and flagged galaxies.

    The counts for the test of the whole set, in the metadata of the parts, are added up in the table's.
    """
    counts, whole = {"failed": 0, "flagged": 0}, dict[str, Any]()
    schema = pq.read_schema(parts[0])
    texts = [column.name for column in schema if pa.types.is_string(column.type)]
    longest = dict.fromkeys(texts, 1)
    for part in parts:
        table = pq.read_table(part, columns=texts)
        for name in texts:
            longest[name] = max(longest[name], pc.max(pc.utf8_length(table[name])).as_py() or 0)
        _add(whole, set_counts(part))
    # String lengths for astropy's reader, which otherwise has to scan the columns.
    told = {f"table::len::{name}": str(length) for name, length in longest.items()} | _in_metadata(whole)
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
