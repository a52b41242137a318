"""A catalog split into tasks, each a run of its own on whatever machine; and the runs joined."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout

from galcnn import atomic
from galcnn.catalog import Catalog
from galcnn.engines.work import Engine, Task, Work, do_task, in_turn
from galcnn.errors import message
from galcnn.pipeline.settings import MANIFEST, TABLE
from galcnn.pipeline.tables import catalog_sha256, join_parts
from galcnn.progress import Progress, silent

__all__ = ["run_one", "run_tasks", "split_rows"]

_TASKS, _LOCK = "tasks", "run.lock"
#: Chunks of a task, where nobody says how many tasks there are.
_CHUNKS = 8


def split_rows(n: int, chunk: int, tasks: int | None = None) -> list[range]:
    """Split rows into tasks of whole chunks, so that the batches are those of a single run.

    Parameters
    ----------
    n : int
        Number of rows.
    chunk : int
        Rows of a chunk.
    tasks : int, optional
        How many; fewer where there are not so many chunks. Tasks of 8 chunks by default.

    Returns
    -------
    list of range
        One a task, one behind the other.

    Examples
    --------
    >>> split_rows(10, 2, 3)
    [range(0, 4), range(4, 8), range(8, 10)]
    """
    chunks = -(-n // chunk)
    wanted = -(-chunks // _CHUNKS) if tasks is None else min(tasks, chunks)
    sizes = [len(part) * chunk for part in np.array_split(np.arange(chunks), max(wanted, 1))]
    stops = np.cumsum(sizes).tolist()
    return [range(stop - size, min(stop, n)) for stop, size in zip(stops, sizes, strict=True)]


def run_tasks(
    work: Work,
    catalog: Catalog,
    out: str | os.PathLike[str],
    *,
    tasks: int | None = None,
    engine: Engine = in_turn,
    progress: Progress = silent,
) -> dict[str, Any]:
    """Classify every galaxy of a catalog into ``OUT/table.parquet``, by tasks.

    Parameters
    ----------
    work : Work
        What is done.
    catalog : galcnn.catalog.Catalog
        The galaxies.
    out : path-like
        Folder of the run, which all workers can write to.
    tasks : int, optional
        See `split_rows`; the same when a run is taken up again.
    engine : callable
        Does the tasks; one after the other in this process by default.
    progress : galcnn.progress.Progress
        Shows the galaxies.

    Returns
    -------
    dict
        What ``OUT/manifest.json`` holds.

    Raises
    ------
    ValueError
        The folder holds something else.
    OSError
        It cannot be written, or another run is at work there.
    """
    place = _place(out)
    rows = split_rows(len(catalog), work.chunk, tasks)
    told = _sha256(work, catalog, len(rows))
    try:
        with FileLock(place / _LOCK, timeout=0):
            if (place / MANIFEST).exists() and (place / TABLE).exists():
                return _finished(place, told)
            folders = [place / _TASKS / _named(number, len(rows)) for number in range(1, len(rows) + 1)]
            todo = (
                Task(work, catalog.select(part), folder) for part, folder in zip(rows, folders, strict=True)
            )
            with progress("classify", len(catalog)) as step:
                for task in engine(todo):
                    for _ in range(len(task.catalog)):
                        step()
            return _join(folders, place, told)
    except Timeout as error:
        raise OSError(
            message("a folder that no other run is writing to", "Wait for it.", out=str(place))
        ) from error


def run_one(
    work: Work,
    catalog: Catalog,
    out: str | os.PathLike[str],
    *,
    number: int,
    tasks: int,
    progress: Progress = silent,
) -> dict[str, Any]:
    """Do one task of a run and leave the rest to others; `run_tasks` joins them.

    Parameters
    ----------
    work : Work
        What is done.
    catalog : galcnn.catalog.Catalog
        All galaxies of the run.
    out : path-like
        Folder of the run.
    number : int
        Which, from 1 to `tasks`.
    tasks : int
        How many there are, see `split_rows`.
    progress : galcnn.progress.Progress
        Shows the galaxies of the task.

    Returns
    -------
    dict
        The manifest of the task; empty where there are fewer tasks than that.

    Raises
    ------
    ValueError
        There is no such task, or the folder holds something else.
    """
    if not 1 <= number <= tasks:
        raise ValueError(message(f"a task from 1 to {tasks}", "", task=number))
    place = _place(out)
    rows = split_rows(len(catalog), work.chunk, tasks)
    if number > len(rows):
        return {}
    folder = place / _TASKS / _named(number, len(rows))
    return do_task(Task(work, catalog.select(rows[number - 1]), folder), progress=progress)


def _place(out: str | os.PathLike[str]) -> Path:
    place = Path(out).resolve()
    atomic.check_writable(place, folder=True)
    place.mkdir(parents=True, exist_ok=True)
    there = {file.name for file in place.iterdir() if not atomic.is_partial(file.name)}
    if foreign := there - {_TASKS, _LOCK, TABLE, MANIFEST}:
        raise ValueError(
            message(
                "a new folder, or one with a run by tasks",
                "Choose another one.",
                folder=str(place),
                holds=sorted(foreign)[:3],
            )
        )
    return place


def _named(number: int, tasks: int) -> str:
    return f"{number:06d}-of-{tasks:06d}"


def _sha256(work: Work, catalog: Catalog, tasks: int) -> str:
    """Of all that decides the table: words, models, doubts, galaxies."""
    digest = hashlib.sha256(json.dumps([asdict(work), tasks], sort_keys=True, default=str).encode())
    for folder in work.models:
        for name in ("card.json", "doubts.json"):
            if (file := Path(folder) / name).exists():
                digest.update(file.read_bytes())
    digest.update(catalog_sha256(catalog).encode())
    return digest.hexdigest()


def _finished(place: Path, told: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((place / MANIFEST).read_text(encoding="utf-8"))
    if found.get("work_sha256") != told:
        raise ValueError(
            message("a new folder, or one with this very run", "Choose another one.", folder=str(place))
        )
    # Left by a kill before the clean-up, or by a task that was done again after it.
    shutil.rmtree(place / _TASKS, ignore_errors=True)
    return found


def _join(folders: Sequence[Path], place: Path, told: str) -> dict[str, Any]:
    manifests = [json.loads((folder / MANIFEST).read_text(encoding="utf-8")) for folder in folders]
    join_parts([folder / TABLE for folder in folders], place / TABLE)
    sums = {name: sum(one[name] for one in manifests) for name in ("rows", "failed", "flagged")}
    manifest: dict[str, Any] = manifests[0] | sums | {"tasks": len(folders), "work_sha256": told}
    del manifest["catalog_sha256"]  # of the first task alone
    atomic.write_json(place / MANIFEST, manifest)
    shutil.rmtree(place / _TASKS, ignore_errors=True)
    return manifest
