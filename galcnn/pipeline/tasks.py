"""Split a catalog into tasks that workers can do anywhere, and join their tables.

Every workflow engine calls `Task.do` or `Work.answer`. Keras is imported only when a task is done.
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
from galcnn.model import Card, model_folder, read_card
from galcnn.model.card import CARD
from galcnn.model.ready import no_model
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
    set_counts,
    set_test,
    to_arrow,
)
from galcnn.prediction.calibration import UNCERTAINTY_FILE
from galcnn.uncertainty import UncertaintyRecord
from galcnn.uncertainty.out_of_distribution import SET_TEST

if TYPE_CHECKING:
    import pyarrow as pa

    from galcnn.dataset.sources import CutoutSource


_TASKS = "tasks"
#: Chunks per task if the number of tasks is not given.
_CHUNKS = 8
#: TensorFlow uses all its threads for one batch, so that two tasks at a time would not be faster.
_ONE_AT_A_TIME = threading.Lock()


@dataclass(frozen=True)
class Work:
    """A classification job that can be sent to a worker: paths and settings, never a pickled model.

    Attributes
    ----------
    models : tuple of str
        Model folders, which all workers can read, or names of models that ship with galcnn; several are an
        ensemble. Made absolute.
    source : galcnn.dataset.SourceSettings
        Where the cutouts come from.
    classify : galcnn.pipeline.ClassifySettings
        Settings of the classification.
    chunk : int
        Number of galaxies per chunk, see `galcnn.pipeline.RunSettings`.
    """

    models: tuple[str, ...]
    source: SourceSettings = field(default_factory=SourceSettings)
    classify: ClassifySettings = field(default_factory=ClassifySettings)
    chunk: int = 512

    def __post_init__(self) -> None:
        object.__setattr__(self, "models", tuple(str(model_folder(one).resolve()) for one in self.models))
        object.__setattr__(self, "source", self.source.absolute())
        for folder in self.models:
            if not (Path(folder) / CARD).is_file():
                raise no_model(Path(folder))

    @classmethod
    def from_words(cls, words: Mapping[str, Any]) -> Work:
        """Create a job from the keys of a configuration file.

        Parameters
        ----------
        words : mapping
            Key -> value: `model` (a list of folders, or a string with commas), attributes of
            `SourceSettings` and `ClassifySettings`, and `chunk`. `mosaic`, `bands` and `hdu` may be
            lists or strings with commas, `zero_points` and `survey_options` mappings or strings such as
            ``g=25.3,r=26.1``. Empty values mean the default.

        Returns
        -------
        Work
            The job.

        Raises
        ------
        ValueError
            If a key is unknown, or there is no model.
        """
        given = {name: value for name, value in words.items() if value not in (None, "", [], ())}
        models = _listed(given.pop("model", ()))
        if not models:
            raise ValueError(message("a model", "", model=words.get("model")))
        chunk = int(given.pop("chunk", cls.chunk))
        for name in given:
            if name not in cls.words():
                raise ValueError(message(f"words among {sorted({'model', *cls.words()})}", "", word=name))
        given |= {name: _listed(given[name]) for name in ("mosaic", "bands") if name in given}
        if isinstance(given.get("hdu"), str):
            given["hdu"] = [int(one) if one.isdigit() else one for one in _listed(given["hdu"])]
        given |= {name: _named(given[name]) for name in ("zero_points", "survey_options") if name in given}
        if isinstance(points := given.get("zero_points"), Mapping):
            given["zero_points"] = {band: float(value) for band, value in points.items()}
        source = {name: value for name, value in given.items() if name in _SOURCE_WORDS}
        classify = {name: value for name, value in given.items() if name in _CLASSIFY_WORDS}
        return cls(models, SourceSettings(**source), ClassifySettings(**classify), chunk)

    @property
    def card(self) -> Card:
        """Card of the first model."""
        return read_card(self.models[0])

    def n_tasks(self, n: int, tasks: int | None = None) -> int:
        """Return the number of tasks that a catalog is split into.

        Parameters
        ----------
        n : int
            Number of galaxies.
        tasks : int, optional
            Number of tasks that is asked for, at most the number of chunks. By default, tasks of at most
            8 chunks.

        Returns
        -------
        int
            Number of tasks.

        Examples
        --------
        >>> Work((), chunk=2).n_tasks(10, 7)
        5
        """
        return len(split_rows(n, self.chunk, tasks))

    def answer(self, catalog: Catalog, source: CutoutSource | None = None) -> pa.Table:
        """Classify galaxies and return their rows as an Arrow table in memory.

        Parameters
        ----------
        catalog : galcnn.catalog.Catalog
            The galaxies. The table of results must fit in memory; the cutouts need not.
        source : galcnn.dataset.sources.CutoutSource, optional
            Their cutouts; by default those of `source`.

        Returns
        -------
        pyarrow.Table
            The rows of `galcnn.pipeline.run_catalog`, in catalog order.
        """
        with _ONE_AT_A_TIME, contextlib.ExitStack() as stack:
            if source is None:
                source = stack.enter_context(self.source.open(catalog, self.card.inputs))
            return to_arrow(classify(self.models, catalog, source, settings=self.run_settings))

    @classmethod
    def words(cls) -> dict[str, Any]:
        """Return the keys of `from_words` other than `model`, with their defaults.

        Returns
        -------
        dict
            Key -> default.
        """
        return {**_SOURCE_WORDS, **_CLASSIFY_WORDS, "chunk": cls.chunk}

    @property
    def run_settings(self) -> RunSettings:
        """Settings for `run_catalog`."""
        return RunSettings(self.classify, self.chunk)


_SOURCE_WORDS = {one.name: one.default for one in fields(SourceSettings)}
_CLASSIFY_WORDS = {one.name: one.default for one in fields(ClassifySettings)}


def _listed(value: str | Sequence[str]) -> tuple[str, ...]:
    parts = value.split(",") if isinstance(value, str) else value
    return tuple(part.strip() for part in parts)


def _named(value: Any) -> Any:
    """Parse ``g=25.3,r=26.1`` into a dict, and a bare number into a float."""
    if not isinstance(value, str):
        return value
    if "=" not in value:
        return float(value)
    return {name.strip(): one.strip() for name, _, one in (part.partition("=") for part in _listed(value))}


@dataclass(frozen=True, eq=False)
class Task:
    """A part of a job: some rows of the catalog, with an output folder of their own.

    Attributes
    ----------
    work : Work
        The job.
    catalog : galcnn.catalog.Catalog
        The galaxies of this task.
    folder : pathlib.Path
        Output folder of this task.
    threads : int or None
        Number of TensorFlow threads in the worker process; None for TensorFlow's default.
    """

    work: Work
    catalog: Catalog
    folder: Path
    threads: int | None = None

    def do(self, *, progress: Progress = silent) -> dict[str, Any]:
        """Do the task, or the rest of it if it was interrupted.

        Parameters
        ----------
        progress : galcnn._runtime.progress.Progress
            Progress display; one step per galaxy.

        Returns
        -------
        dict
            The manifest, see `galcnn.pipeline.run_catalog`.
        """
        work, catalog = self.work, self.catalog
        with _ONE_AT_A_TIME, work.source.open(catalog, work.card.inputs) as source:
            if self.threads is not None:
                _limit_threads(self.threads)
            return run_catalog(
                work.models, catalog, source, self.folder, settings=work.run_settings, progress=progress
            )


def _in_turn(tasks: Iterable[Task]) -> Iterator[Task]:
    """Do tasks one after the other in this process."""
    for task in tasks:
        task.do()
        yield task


def split_rows(n: int, chunk: int, tasks: int | None = None) -> list[range]:
    """Split rows into tasks of whole chunks, so that the batches equal those of a single run."""
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
    engine: Callable[[Iterable[Task]], Iterable[Task]] | None = None,
    overwrite: bool = False,
    progress: Progress = silent,
) -> dict[str, Any]:
    """Classify all galaxies of a catalog into ``OUT/table.parquet``, split into tasks.

    Parameters
    ----------
    work : Work
        The job.
    catalog : galcnn.catalog.Catalog
        The galaxies.
    out : path-like
        Output folder, which all workers can write to.
    tasks : int, optional
        Number of tasks, see `Work.n_tasks`. It must be the same when a run is continued.
    engine : callable
        Function that does the tasks in any order and yields each when its table is complete; by default
        one after the other in this process.
    overwrite : bool
        If True, discard an earlier run in the folder and start again.
    progress : galcnn._runtime.progress.Progress
        Progress display; one step per galaxy.

    Returns
    -------
    dict
        Content of ``OUT/manifest.json``.

    Raises
    ------
    ValueError
        If the folder holds something else.
    OSError
        If the folder cannot be written, or another run is writing to it.
    """
    rows = split_rows(len(catalog), work.chunk, tasks)

    def do(place: Path) -> dict[str, Any]:
        folders = [_folder(place, number, len(rows)) for number in range(1, len(rows) + 1)]
        todo = (Task(work, catalog.select(part), folder) for part, folder in zip(rows, folders, strict=True))
        with progress("classify", len(catalog)) as step:
            for task in (engine or _in_turn)(todo):
                step(n=len(task.catalog))
        first: dict[str, Any] = json.loads((folders[0] / MANIFEST).read_text(encoding="utf-8"))
        counts = join_parts([folder / TABLE for folder in folders], place / TABLE)
        record = UncertaintyRecord.read(work.models[0], work.card.model_sha256)
        judged = set_test(record if work.classify.calibrated else None, set_counts(place / TABLE))
        whole = {
            "rows": len(catalog),
            "tasks": len(rows),
            "catalog_sha256": catalog_sha256(catalog),
            SET_TEST: judged,
        }
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
    """Do a single task of a run; `run_tasks` later joins the tables.

    Parameters
    ----------
    work : Work
        The job.
    catalog : galcnn.catalog.Catalog
        All galaxies of the run.
    out : path-like
        Output folder of the run.
    number : int
        Number of the task, from 1 to `tasks`.
    tasks : int
        Number of tasks of the run, see `Work.n_tasks`.
    progress : galcnn._runtime.progress.Progress
        Progress display; one step per galaxy of the task.

    Returns
    -------
    dict
        The manifest of the task; empty if the catalog was split into fewer tasks than `number`.

    Raises
    ------
    ValueError
        If `number` is not from 1 to `tasks`, or the folder holds something else.
    """
    if not 1 <= number <= tasks:
        raise ValueError(message(f"a task from 1 to {tasks}", "", task=number))
    rows = split_rows(len(catalog), work.chunk, tasks)
    if number > len(rows):
        return {}
    claim = claimed(out, _described(work, catalog, len(rows)))
    claim.mark()
    task = Task(work, catalog.select(rows[number - 1]), _folder(claim.folder, number, len(rows)))
    return task.do(progress=progress)


def _folder(place: Path, number: int, tasks: int) -> Path:
    return place / _TASKS / f"{number:06d}-of-{tasks:06d}"


def _described(work: Work, catalog: Catalog, tasks: int) -> str:
    """Return what determines the table: settings, models, uncertainty records, galaxies."""
    files = [Path(folder) / name for folder in work.models for name in (CARD, UNCERTAINTY_FILE)]
    digests = [hashlib.sha256(file.read_bytes()).hexdigest() for file in files if file.exists()]
    return json.dumps([asdict(work), tasks, digests, catalog_sha256(catalog)], sort_keys=True, default=str)


@functools.cache
def _limit_threads(threads: int) -> None:
    """Limit the threads of TensorFlow; without effect once its devices have started."""
    import tensorflow as tf

    try:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)
    except RuntimeError:
        return
