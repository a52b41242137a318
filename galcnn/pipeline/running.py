"""A catalog and a source of cutouts -> one table: in chunks, resumable, in bounded memory."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from astropy.table import Table
from filelock import FileLock, Timeout

from galcnn import atomic
from galcnn.catalog import Catalog
from galcnn.cutout import Cutout
from galcnn.errors import message
from galcnn.pipeline.classifying import Classifier, ClassifySettings, classify_batch, open_classifier
from galcnn.pipeline.sources import CutoutSource
from galcnn.prediction import UNFIT, UNREADABLE
from galcnn.progress import Progress, silent

__all__ = ["MANIFEST", "TABLE", "RunSettings", "run_catalog"]

#: What a run leaves.
TABLE, MANIFEST = "table.parquet", "manifest.json"
_PARTS, _LOCK = "parts", "run.lock"
#: HATS' spatial index: the nested HEALPix cell at order 29.
_HEALPIX = "_healpix_29"


@dataclass(frozen=True)
class RunSettings:
    """How a catalog is run through.

    Attributes
    ----------
    classify : ClassifySettings
        What a row holds.
    chunk : int
        Galaxies of a part: read while the part before is classified, and written as one file.
    """

    classify: ClassifySettings = field(default_factory=ClassifySettings)
    chunk: int = 512

    def __post_init__(self) -> None:
        if self.chunk < 1:
            raise ValueError(message("parts of at least one galaxy", "", chunk=self.chunk))


def run_catalog(
    model: str | os.PathLike[str],
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
    are the batches that the network is given. Memory is bounded by two parts, whatever the
    catalog.

    Parameters
    ----------
    model : path-like
        Model folder.
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
        The folder holds a run of another model, catalog, source or settings.
    OSError
        It cannot be written, or another run is at work there.
    """
    settings = settings or RunSettings()
    place = Path(out)
    atomic.check_writable(place, folder=True)
    place.mkdir(parents=True, exist_ok=True)
    ready = open_classifier(model)
    identity = _identity(ready, catalog, source, settings)
    atomic.claim(place, ".run", json.dumps(identity, sort_keys=True), what="this very run")()
    try:
        with FileLock(place / _LOCK, timeout=0):
            if (place / MANIFEST).exists() and (place / TABLE).exists():
                finished: dict[str, Any] = json.loads((place / MANIFEST).read_text(encoding="utf-8"))
                return finished
            return _run(
                ready, catalog, source, place, settings=settings, identity=identity, progress=progress
            )
    except Timeout as error:
        raise OSError(
            message("a folder that no other run is writing to", "Wait for it.", out=str(place))
        ) from error


def _run(
    ready: Classifier,
    catalog: Catalog,
    source: CutoutSource,
    place: Path,
    *,
    settings: RunSettings,
    identity: dict[str, Any],
    progress: Progress,
) -> dict[str, Any]:
    ids, n = catalog.ids, len(catalog)
    sky = _sky(catalog)
    chunks = [range(start, min(start + settings.chunk, n)) for start in range(0, n, settings.chunk)]
    parts = [place / _PARTS / f"{number:06d}.parquet" for number in range(len(chunks))]
    with progress("classify", n) as step:
        missing = [number for number, part in enumerate(parts) if not part.exists()]
        for _ in range(sum(len(rows) for rows, part in zip(chunks, parts, strict=True) if part.exists())):
            step()
        for number, cutouts in zip(missing, _ahead(source, [chunks[k] for k in missing]), strict=True):
            rows = chunks[number]
            table = classify_batch(ready, cutouts, [ids[row] for row in rows], settings=settings.classify)
            _write(
                parts[number], table, {name: values[rows.start : rows.stop] for name, values in sky.items()}
            )
            for _ in rows:
                step()
    counts = _join(parts, place / TABLE)
    manifest = identity | {
        "rows": n,
        **counts,
        "table": TABLE,
        "versions": {name: importlib.metadata.version(name) for name in ("galcnn", "tensorflow", "keras")},
    }
    atomic.write_json(place / MANIFEST, manifest)
    shutil.rmtree(place / _PARTS, ignore_errors=True)
    return manifest


def _ahead(source: CutoutSource, chunks: Sequence[range]) -> Iterator[list[Cutout | Exception]]:
    """The cutouts of each chunk; the next is read while this one is classified."""
    with ThreadPoolExecutor(max_workers=1) as reader:
        waiting = reader.submit(source.read, chunks[0]) if chunks else None
        for following in [*chunks[1:], None]:
            if waiting is None:
                return
            cutouts = waiting.result()
            waiting = None if following is None else reader.submit(source.read, following)
            yield cutouts


def _identity(
    ready: Classifier, catalog: Catalog, source: CutoutSource, settings: RunSettings
) -> dict[str, Any]:
    """What must be the same for a run to go on."""
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
    used = ready.doubts if settings.classify.calibrated else None
    doubts = None if used is None else json.dumps(used.to_dict(), sort_keys=True)
    return {
        "format": 1,
        "model": ready.trained.card.name,
        "model_sha256": ready.trained.card.model_sha256,
        "doubts_sha256": None if doubts is None else _sha256(doubts),
        "catalog_sha256": digest.hexdigest(),
        "source_sha256": _sha256(source.described),
        "settings": settings.classify.to_dict() | {"chunk": settings.chunk},
    }


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _sky(catalog: Catalog) -> dict[str, Any]:
    """Position columns, where the catalog has positions."""
    positions = catalog.positions
    if positions is None:
        return {}
    import astropy.units as u
    from astropy_healpix import HEALPix

    cells = HEALPix(nside=2**29, order="nested").lonlat_to_healpix(positions.ra, positions.dec)
    ra, dec = positions.ra.to_value(u.deg), positions.dec.to_value(u.deg)
    return {"ra": ra, "dec": dec, _HEALPIX: np.asarray(cells, dtype=np.int64)}


def _write(part: Path, table: Table, sky: dict[str, Any]) -> None:
    columns: dict[str, Any] = {}
    for name in table.colnames:
        values = np.asarray(table[name])
        if values.ndim == 2:
            flat = pa.array(np.ascontiguousarray(values, dtype=np.float32).ravel())
            columns[name] = pa.FixedSizeListArray.from_arrays(flat, values.shape[1])
        else:
            columns[name] = pa.array(values.tolist(), pa.string()) if values.dtype.kind == "U" else values
        if name == "id":
            columns |= sky
    with atomic.writing(part) as temporary:
        pq.write_table(pa.table(columns), temporary)


def _join(parts: Sequence[Path], target: Path) -> dict[str, int]:
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
            flags = table["flag"].to_numpy()
            counts["failed"] += int(np.sum((flags & (UNREADABLE | UNFIT)) > 0))
            counts["flagged"] += int(np.sum(flags > 0))
            writer.write_table(table.replace_schema_metadata(told))
    return counts
