"""What a survey costs: a model measured on some galaxies, and the table that follows on paper.

python -m tests.benchmarks.survey_costs MODEL --catalog FILE [--images DIR] [--rows 1024]

Processor time, not wall time, so that a busy machine disturbs little. No GPU is measured: its hours
are the network's operations over what an NVIDIA A100 is said to reach (19.5 TFLOP/s in float32, its
data sheet), of which a small network is assumed to reach a tenth.
"""

from __future__ import annotations

import argparse
import contextlib
import resource
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from galcnn.catalog import read_catalog
from galcnn.dataset import SourceSettings
from galcnn.pipeline import Work, run_tasks

GPU_FLOPS, GPU_SHARE = 19.5e12, 0.1
SIZES = (10**6, 10**8, 10**9)
#: Galaxies of a task by default: 8 chunks of 512.
TASK = 4096


@dataclass
class Figures:
    """Of one galaxy, but for `task` and `worker`."""

    read: float
    classify: float
    write: float
    task: float
    worker: float
    image: float
    row: float
    flops: float

    def columns(self, n: int) -> list[str]:
        """The costs of n galaxies, in words."""
        parts = {"reading": self.read, "network": self.classify, "tables": self.write + self.task / TASK}
        core = n * sum(parts.values()) / 3600
        gpu = n * self.flops / (GPU_FLOPS * GPU_SHARE) / 3600
        beside = n * (parts["reading"] + parts["tables"]) / 3600
        slowest = max(parts, key=lambda name: parts[name])
        return [
            f"{n:.0e}".replace("e+0", "e"),
            f"{_short(core)} ({slowest} {parts[slowest] / sum(parts.values()):.0%})",
            f"{_short(gpu)}, and {_short(beside)} core hours: {beside / gpu:,.0f} cores a GPU",
            f"{self.worker / 1e9:.1f} a worker",
            _short(n * self.image / 1e9),
            _short(n * self.row / 1e9),
            f"{n / TASK:,.0f}",
        ]


def _short(value: float) -> str:
    return f"{float(f'{value:.2g}'):,g}"


HEAD = ["galaxies", "core hours without a GPU", "GPU hours", "memory, GB", "images, GB", "table, GB", "tasks"]


def measured(model: str, catalog: str, images: str | None, rows: int) -> Figures:
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    from galcnn.model.profile import network_cost
    from galcnn.pipeline import classify_batch
    from galcnn.pipeline.classification import open_classifier

    columns = {"id": "objid", "image": "file"} if "file" in _names(catalog) else None
    read = read_catalog(catalog, columns=columns)
    read = read.select(range(min(rows, len(read))))
    work = Work((model,), SourceSettings(images))
    ready = open_classifier(model)
    n = len(read)
    with work.source.open(read) as source, tempfile.TemporaryDirectory() as place:
        with _cpu() as reading:
            cutouts = source.read(range(n))
        classify_batch(ready, cutouts, read.ids)
        with _cpu() as classifying:
            classify_batch(ready, cutouts, read.ids)
        del cutouts
        with _cpu() as whole:
            run_tasks(work, read, Path(place) / "one", tasks=1)
        many = Work((model,), work.source, chunk=32)
        with _cpu() as few_chunks:
            run_tasks(many, read, Path(place) / "chunks", tasks=1)
        with _cpu() as tasks:
            manifest = run_tasks(many, read, Path(place) / "many", tasks=n // 32)
        row = (Path(place) / "one" / "table.parquet").stat().st_size / n
    folder = Path(images) if images else Path(str(read.table["image"][0])).parent
    size = float(np.mean([file.stat().st_size for file in folder.iterdir()]))
    return Figures(
        reading[0] / n,
        classifying[0] / n,
        max(whole[0] - reading[0] - classifying[0], 0) / n,
        max(tasks[0] - few_chunks[0], 0) / max(manifest["tasks"] - 1, 1),
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        size,
        row,
        network_cost(ready.trained.model).flops,
    )


def _names(catalog: str) -> list[str]:
    return Path(catalog).read_text(encoding="utf-8").splitlines()[0].split(",")


@contextlib.contextmanager
def _cpu() -> Iterator[list[float]]:
    spent = [0.0]
    start = time.process_time()
    yield spent
    spent[0] = time.process_time() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("--catalog", required=True)
    parser.add_argument("--images")
    parser.add_argument("--rows", type=int, default=1024)
    asked = parser.parse_args()
    found = measured(asked.model, asked.catalog, asked.images, asked.rows)
    pieces = [("reading", found.read), ("network", found.classify), ("tables", found.write)]
    times = ", ".join(f"{name} {seconds * 1e3:.2f} ms" for name, seconds in pieces)
    sizes = f"{found.flops / 1e6:.0f} MFLOP, image {found.image / 1e3:.1f} kB, row {found.row:.0f} bytes"
    lines = [
        f"a galaxy: {times}; {sizes}; a task: {found.task * 1e3:.0f} ms",
        "",
        "| " + " | ".join(HEAD) + " |",
        "|" + "---|" * len(HEAD),
        *("| " + " | ".join(found.columns(n)) + " |" for n in SIZES),
    ]
    print("\n".join(lines))  # noqa: T201


if __name__ == "__main__":
    main()
