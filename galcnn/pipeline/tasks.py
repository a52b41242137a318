"""What is done to galaxies, in words that travel; a catalog split into tasks; and their tables joined.

Every engine calls `do_task`, or `answer_work`. No Keras is imported before a task is done.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from galcnn._runtime.progress import Progress, silent
from galcnn.catalog import Catalog
from galcnn.dataset import SourceSettings
from galcnn.errors import message
from galcnn.model import Card
from galcnn.pipeline.classification import ClassifySettings
from galcnn.pipeline.runs import (
    MANIFEST,
    TABLE,
    RunSettings,
    catalog_sha256,
    claimed,
    classify,
    join_parts,
    resumed,
    run_catalog,
    to_arrow,
)
from galcnn.uncertainty.record import DOUBTS

if TYPE_CHECKING:
    import pyarrow as pa

    from galcnn.dataset.sources import CutoutSource


_TASKS = "tasks"
#: Chunks of a task, where nobody says how many tasks there are.
_CHUNKS = 8
#: TensorFlow uses all the threads it has for one batch: two at a time would only fight.
_ONE_AT_A_TIME = threading.Lock()


@dataclass(frozen=True)
class Work:
    """What is done to galaxies, in words that travel to a worker: paths, never a pickled model.

    Attributes
    ----------
    models : tuple of str
        Model folders, which every worker can read.
    source : galcnn.dataset.SourceSettings
        Where the cutouts come from.
    classify : galcnn.pipeline.ClassifySettings
        What a row holds.
    chunk : int
        See `galcnn.pipeline.runs.RunSettings`.
    """

    models: tuple[str, ...]
    source: SourceSettings = field(default_factory=SourceSettings)
    classify: ClassifySettings = field(default_factory=ClassifySettings)
    chunk: int = 512

    def __post_init__(self) -> None:
        object.__setattr__(self, "models", tuple(str(Path(model).resolve()) for model in self.models))
        object.__setattr__(self, "source", self.source.absolute())
        for folder in self.models:
            if not (Path(folder) / "card.json").is_file():
                raise FileNotFoundError(
                    message("a model folder with card.json", "Check the path, or train again.", model=folder)
                )

    @classmethod
    def from_words(cls, words: Mapping[str, Any]) -> Work:
        """Read the words of a configuration file.

        Parameters
        ----------
        words : mapping
            `model` (folders, joined by commas), and attributes of `SourceSettings`,
            `ClassifySettings` and of this class by name. Lists may be texts joined by commas; what
            is empty has its default.

        Returns
        -------
        Work
            The same in types.

        Raises
        ------
        ValueError
            A word that is not known, or no model.
        """
        given = {name: value for name, value in words.items() if value not in (None, "", [], ())}
        models = _listed(given.pop("model", ()))
        if not models:
            raise ValueError(message("a model", "", model=words.get("model")))
        chunk = int(given.pop("chunk", cls.chunk))
        for name in given:
            if name not in WORDS:
                raise ValueError(message(f"words among {sorted({'model', *WORDS})}", "", word=name))
        given |= {name: _listed(given[name]) for name in ("mosaic", "bands") if name in given}
        source = {name: value for name, value in given.items() if name in _SOURCE_WORDS}
        classify = {name: value for name, value in given.items() if name in _CLASSIFY_WORDS}
        return cls(models, SourceSettings(**source), ClassifySettings(**classify), chunk)

    @property
    def card(self) -> Card:
        """Of the first model."""
        return Card.read(Path(self.models[0]) / "card.json")

    @property
    def run_settings(self) -> RunSettings:
        """As `run_catalog` takes them."""
        return RunSettings(self.classify, self.chunk)


_SOURCE_WORDS = {one.name: one.default for one in fields(SourceSettings)}
_CLASSIFY_WORDS = {one.name: one.default for one in fields(ClassifySettings)}
#: What `Work.from_words` knows beside `model`, with the defaults.
WORDS: dict[str, Any] = {**_SOURCE_WORDS, **_CLASSIFY_WORDS, "chunk": Work.chunk}


def _listed(value: str | Sequence[str]) -> tuple[str, ...]:
    parts = value.split(",") if isinstance(value, str) else value
    return tuple(part.strip() for part in parts)


@dataclass(frozen=True, eq=False)
class Task:
    """A run of some rows in a folder of its own.

    Attributes
    ----------
    work : Work
        What is done.
    catalog : galcnn.catalog.Catalog
        The galaxies of this task.
    folder : pathlib.Path
        Gets its table.
    threads : int or None
        Of TensorFlow in the process that does it; None leaves that to TensorFlow.
    """

    work: Work
    catalog: Catalog
    folder: Path
    threads: int | None = None


#: Does tasks in any order; gives each when its table is whole.
Engine = Callable[[Iterable[Task]], Iterator[Task]]


def do_task(task: Task, *, progress: Progress = silent) -> dict[str, Any]:
    """Do a task, or what is left of it: what every engine calls.

    Parameters
    ----------
    task : Task
        Done again without harm: a run that was finished stays, one that was stopped goes on.
    progress : galcnn._runtime.progress.Progress
        Shows its galaxies.

    Returns
    -------
    dict
        The manifest, see `galcnn.pipeline.run_catalog`.
    """
    work, catalog = task.work, task.catalog
    with _ONE_AT_A_TIME, work.source.open(catalog, work.card.inputs) as source:
        if task.threads is not None:
            _limit_threads(task.threads)
        return run_catalog(
            work.models, catalog, source, task.folder, settings=work.run_settings, progress=progress
        )


def answer_work(work: Work, catalog: Catalog, source: CutoutSource | None = None) -> pa.Table:
    """Classify galaxies and give their rows, in the order of the catalog.

    Parameters
    ----------
    work : Work
        What is done.
    catalog : galcnn.catalog.Catalog
        As many as the table, not the cutouts, has room in memory.
    source : galcnn.dataset.sources.CutoutSource, optional
        Their cutouts, where they do not come from where `work` says.

    Returns
    -------
    pyarrow.Table
        As `galcnn.pipeline.run_catalog` writes it.
    """
    with _ONE_AT_A_TIME, contextlib.ExitStack() as stack:
        if source is None:
            source = stack.enter_context(work.source.open(catalog, work.card.inputs))
        return to_arrow(classify(work.models, catalog, source, settings=work.run_settings))


def in_turn(tasks: Iterable[Task]) -> Iterator[Task]:
    """Do tasks one after the other in this process.

    Parameters
    ----------
    tasks : iterable of Task
        To be done.

    Yields
    ------
    Task
        Each when it is done.
    """
    for task in tasks:
        do_task(task)
        yield task


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
    overwrite: bool = False,
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
    overwrite : bool
        Whether to begin anew, whatever run the folder holds.
    progress : galcnn._runtime.progress.Progress
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
    rows = split_rows(len(catalog), work.chunk, tasks)

    def do(place: Path) -> dict[str, Any]:
        folders = [_folder(place, number, len(rows)) for number in range(1, len(rows) + 1)]
        todo = (Task(work, catalog.select(part), folder) for part, folder in zip(rows, folders, strict=True))
        with progress("classify", len(catalog)) as step:
            for task in engine(todo):
                for _ in range(len(task.catalog)):
                    step()
        first: dict[str, Any] = json.loads((folders[0] / MANIFEST).read_text(encoding="utf-8"))
        counts = join_parts([folder / TABLE for folder in folders], place / TABLE)
        whole = {"rows": len(catalog), "tasks": len(rows), "catalog_sha256": catalog_sha256(catalog)}
        return first | whole | counts

    return resumed(out, _described(work, catalog, len(rows)), do, pieces=_TASKS, overwrite=overwrite)


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
    progress : galcnn._runtime.progress.Progress
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
    rows = split_rows(len(catalog), work.chunk, tasks)
    if number > len(rows):
        return {}
    claim = claimed(out, _described(work, catalog, len(rows)))
    claim.mark()
    task = Task(work, catalog.select(rows[number - 1]), _folder(claim.folder, number, len(rows)))
    return do_task(task, progress=progress)


def _folder(place: Path, number: int, tasks: int) -> Path:
    return place / _TASKS / f"{number:06d}-of-{tasks:06d}"


def _described(work: Work, catalog: Catalog, tasks: int) -> str:
    """All that decides the table: words, models, what was measured of them, galaxies."""
    files = [Path(folder) / name for folder in work.models for name in ("card.json", DOUBTS)]
    digests = [hashlib.sha256(file.read_bytes()).hexdigest() for file in files if file.exists()]
    return json.dumps([asdict(work), tasks, digests, catalog_sha256(catalog)], sort_keys=True, default=str)


@functools.cache
def _limit_threads(threads: int) -> None:
    """Once a process, before TensorFlow starts its devices: later it refuses, and what it has it keeps."""
    import tensorflow as tf

    try:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)
    except RuntimeError:
        return
