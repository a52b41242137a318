"""Memory of a run over N galaxies beside TensorFlow's own: a flat line, whatever N.

`python -m tests.benchmarks.run_memory 100000` prints megabytes as the run goes on: images of
8 x 8 pixels in shards and a tiny network, so that nothing but the number of galaxies counts. With a
second number, a run that is taken up again for that many galaxies, the parts before being there: the
catalog, the shards and the joining are those of all, in a fraction of the time.
"""

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from galcnn._runtime.progress import Progress, Step

_SIDE, _SHARD = 8, 512


def measured(n: int, left: int | None = None, *, looks: int = 10) -> list[tuple[int, float, float]]:
    """Galaxies done, megabytes beyond TensorFlow with its network, and seconds.

    Anonymous memory, since the pages of libraries come and go; in the last row the peak of all.
    """
    from galcnn.catalog import read_catalog
    from galcnn.dataset.sources import FromShards
    from galcnn.pipeline import ClassifySettings, classify_batch, run_catalog
    from galcnn.pipeline.classification import open_classifier
    from galcnn.pipeline.runs import RunSettings

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _model(folder / "model")
        _shards(folder / "shards", n)
        ids = pa.array([f"galaxy-{i:09d}" for i in range(n)])
        rng = np.random.default_rng(0)
        sky = {"ra": rng.uniform(0, 360, n), "dec": rng.uniform(-60, 60, n)}
        pq.write_table(pa.table({"id": ids, **sky}), folder / "catalog.parquet")
        del ids, sky
        settings = ClassifySettings(embeddings=True)
        images = np.zeros((_SHARD, _SIDE, _SIDE, 1), dtype=np.float32)
        classify_batch(folder / "model", images, [str(i) for i in range(_SHARD)], settings=settings)
        open_classifier(folder / "model")
        base, whole, start = _status("RssAnon"), _status("VmRSS"), time.monotonic()
        rows = []
        catalog = read_catalog(folder / "catalog.parquet")
        source = FromShards(catalog, folder / "shards")
        rows.append((0, _status("RssAnon") - base, time.monotonic() - start))
        done = [0]

        @contextmanager
        def watched(description: str, total: int) -> Iterator[Step]:
            del description

            def step(note: str = "", *, n: int = 1, log: bool = False) -> None:
                del note
                done[0] += 1
                if done[0] % max(total // looks, 1) == 0:
                    rows.append((done[0], _status("RssAnon") - base, time.monotonic() - start))

            yield step

        def run(progress: Progress) -> dict[str, Any]:
            model, out, asked = folder / "model", folder / "out", RunSettings(settings)
            return run_catalog(model, catalog, source, out, settings=asked, progress=progress)

        if left is not None:
            _begun(folder / "out" / "parts", (n - left) // _SHARD, run)
        manifest = run(watched)
        assert manifest["rows"] == pq.read_metadata(folder / "out" / "table.parquet").num_rows == n
        rows.append((n, _status("VmHWM") - whole, time.monotonic() - start))
        return rows


def _begun(parts: Path, whole: int, run: Callable[[Progress], object]) -> None:
    """A run that was stopped behind so many parts, each a copy of the first."""

    class Stop(Exception):
        pass

    @contextmanager
    def stopping(description: str, total: int, *, done: int = 0) -> Iterator[Step]:
        del description, total, done

        def step(note: str = "", *, n: int = 1, log: bool = False) -> None:
            raise Stop(note)

        yield step

    with suppress(Stop):
        run(stopping)
    for number in range(1, whole):
        os.link(parts / "000000.parquet", parts / f"{number:06d}.parquet")


def _model(folder: Path) -> None:
    from galcnn.model import (
        Card,
        InputSpec,
        NetworkSettings,
        TrainedModel,
        assemble,
        build_network,
        fit_preprocessing,
        save_model,
    )

    images = np.random.default_rng(0).normal(size=(64, _SIDE, _SIDE, 1)).astype(np.float32)
    network = build_network((_SIDE, _SIDE, 1), 3, settings=NetworkSettings(widths=(8,), depth=1), seed=0)
    model = assemble(fit_preprocessing(images), network)
    card = Card(("a", "b", "c"), InputSpec(("r",), "nJy", (_SIDE, _SIDE)))
    save_model(TrainedModel(model, card), folder)


def _shards(folder: Path, n: int) -> None:
    """As `galcnn pack` would write them, without a million files to pack."""
    import hashlib

    folder.mkdir()
    rng = np.random.default_rng(1)
    inputs = {"bands": ["r"], "unit": "nJy", "shape": [_SIDE, _SIDE], "pixel_scale": None, "render": None}
    for number, first in enumerate(range(0, n, _SHARD)):
        ids = [f"galaxy-{i:09d}" for i in range(first, min(first + _SHARD, n))]
        path = folder / f"shard-{number:05d}.npy"
        np.save(path, rng.normal(size=(len(ids), _SIDE, _SIDE, 1)).astype(np.float32))
        entry = {
            "ids": ids,
            "failed": {},
            "file": path.name,
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            "inputs": inputs,
        }
        path.with_suffix(".json").write_text(json.dumps(entry))


def _status(field: str) -> float:
    text = Path("/proc/self/status").read_text()
    return float(text.partition(f"{field}:")[2].split()[0]) / 1024


if __name__ == "__main__":
    for galaxies, megabytes, seconds in measured(*(int(word) for word in sys.argv[1:])):
        print(f"{galaxies:>9}  {megabytes:8.1f} MB  {seconds:8.1f} s", flush=True)  # noqa: T201
