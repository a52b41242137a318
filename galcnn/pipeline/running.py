"""A catalog and a source of cutouts -> one table: in chunks, resumable, in bounded memory."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from filelock import FileLock, Timeout

from galcnn import atomic
from galcnn.catalog import Catalog
from galcnn.catalog.catalog import as_numbers
from galcnn.dataset.sources import CutoutSource
from galcnn.doubt.out_of_distribution import REDSHIFT
from galcnn.errors import message
from galcnn.pipeline.classifying import (
    Classifier,
    ClassifySettings,
    Models,
    classify_batch,
    open_classifiers,
)
from galcnn.pipeline.explained import LAYERS, ExplainSettings, check_methods, write_layers
from galcnn.pipeline.reading import ChunkReader, read_ahead
from galcnn.pipeline.settings import MANIFEST, TABLE
from galcnn.pipeline.tables import catalog_sha256, join_parts, sky_columns, write_part
from galcnn.progress import Progress, silent

__all__ = ["MANIFEST", "TABLE", "RunSettings", "run_catalog"]

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
        Processes that read, see `galcnn.pipeline.reading.read_ahead`. They start as this process
        did: in a script of yours, behind ``if __name__ == "__main__"``.
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


def run_catalog(
    model: Models,
    catalog: Catalog,
    source: CutoutSource,
    out: str | os.PathLike[str],
    *,
    settings: RunSettings | None = None,
    progress: Progress = silent,
) -> dict[str, Any]:
    """Classify every galaxy of a catalog into ``OUT/table.parquet``, one row each, in its order.

    Parts are written whole or not at all. A run that was stopped at any moment goes on behind the
    last whole part, and ends with the same rows as one that was not: chunks are the same, and so
    are the batches that the network is given. Beside the catalog itself, memory is bounded by two
    parts (three and one a reader), whatever its length.

    Parameters
    ----------
    model : path-like or Classifier, or sequence of them
        Model folder; several are a deep ensemble, see `galcnn.pipeline.classifying.classify_batch`.
    catalog : galcnn.catalog.Catalog
        The galaxies; positions, where known, go into the table, with their ``_healpix_29``.
    source : CutoutSource
        Their cutouts, row by row of the catalog.
    out : path-like
        Folder of the run.
    settings : RunSettings, optional
        The defaults when not given.
    progress : galcnn.progress.Progress
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
    place = Path(out)
    atomic.check_writable(place, folder=True)
    place.mkdir(parents=True, exist_ok=True)
    ready = open_classifiers(model)
    if settings.explain is not None:
        if len(ready) > 1:
            raise ValueError(message("one model to explain", "Leave out the others.", models=len(ready)))
        check_methods(ready[0].trained, settings.explain.question)
    identity = _identity(ready, catalog, source, settings)
    atomic.claim(place, json.dumps(identity, sort_keys=True), what="one with this very run").mark()
    try:
        with FileLock(place / _LOCK, timeout=0):
            if (place / MANIFEST).exists() and (place / TABLE).exists():
                finished: dict[str, Any] = json.loads((place / MANIFEST).read_text(encoding="utf-8"))
                shutil.rmtree(place / _PARTS, ignore_errors=True)  # where a kill came before the clean-up
                return finished
            return _run(
                ready, catalog, source, place, settings=settings, identity=identity, progress=progress
            )
    except Timeout as error:
        raise OSError(
            message("a folder that no other run is writing to", "Wait for it.", out=str(place))
        ) from error


def _run(
    ready: Sequence[Classifier],
    catalog: Catalog,
    source: CutoutSource,
    place: Path,
    *,
    settings: RunSettings,
    identity: dict[str, Any],
    progress: Progress,
) -> dict[str, Any]:
    n = len(catalog)
    chunks = [range(start, min(start + settings.chunk, n)) for start in range(0, n, settings.chunk)]
    parts = [place / _PARTS / f"{number:06d}.parquet" for number in range(len(chunks))]
    known, classify = _Known.of(catalog), settings.classify
    spec = ready[0].trained.with_render(classify.render).card.inputs
    reader = ChunkReader(source, spec, classify.fit, settings.explain is not None)
    with progress("classify", n) as step:
        missing = [number for number, part in enumerate(parts) if not part.exists()]
        for _ in range(sum(len(rows) for rows, part in zip(chunks, parts, strict=True) if part.exists())):
            step()
        chosen = [chunks[number] for number in missing]
        readers = settings.readers if source.portable else 0
        for number, read in zip(missing, read_ahead(reader, chosen, readers=readers), strict=True):
            own = known.rows(chunks[number])
            table = classify_batch(ready, read.found, own.ids, settings=classify, measures=own.measures)
            if settings.explain is not None and read.cutouts is not None:
                folder = place / LAYERS / parts[number].stem
                write_layers(
                    ready[0], read.cutouts, table, folder, settings=settings.explain, classify=classify
                )
            write_part(parts[number], table, own.sky)  # last: a part tells that its layers are there
            for _ in chunks[number]:
                step()
    counts = join_parts(parts, place / TABLE)
    manifest = identity | {
        "rows": n,
        **counts,
        "table": TABLE,
        "versions": {name: importlib.metadata.version(name) for name in ("galcnn", "tensorflow", "keras")},
    }
    atomic.write_json(place / MANIFEST, manifest)
    shutil.rmtree(place / _PARTS, ignore_errors=True)
    return manifest


@dataclass(frozen=True, eq=False)
class _Known:
    """What the catalog says of each galaxy and the table repeats or the domain warning asks for."""

    ids: Sequence[str]
    sky: Mapping[str, npt.NDArray[Any]]
    measures: Mapping[str, npt.NDArray[np.float64]]

    @classmethod
    def of(cls, catalog: Catalog) -> _Known:
        table = catalog.table
        measures = {name: as_numbers(table[name], name) for name in (REDSHIFT,) if name in table.colnames}
        return cls(catalog.ids, sky_columns(catalog), measures)

    def rows(self, rows: range) -> _Known:
        piece = slice(rows.start, rows.stop)
        sky, measures = ({k: v[piece] for k, v in one.items()} for one in (self.sky, self.measures))
        return _Known(self.ids[piece], sky, measures)


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
