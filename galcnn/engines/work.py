"""What is done to galaxies, in words that travel; and the one function that every engine calls."""

from __future__ import annotations

import functools
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from galcnn.catalog import Catalog
from galcnn.dataset import SourceSettings
from galcnn.errors import message
from galcnn.model import Card
from galcnn.pipeline.settings import TABLE, ClassifySettings
from galcnn.progress import Progress, silent

if TYPE_CHECKING:
    import pyarrow as pa

    from galcnn.dataset.sources import CutoutSource

__all__ = ["WORDS", "Engine", "Task", "Work", "answers", "do_task", "in_turn"]

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
    classify : galcnn.pipeline.settings.ClassifySettings
        What a row holds.
    chunk : int
        See `galcnn.pipeline.running.RunSettings`.
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
        found: dict[str, dict[str, Any]] = {"source": {}, "classify": {}}
        for name, value in given.items():
            if name in _SOURCE_WORDS:
                found["source"][name] = _listed(value) if name in ("mosaic", "bands") else value
            elif name in _CLASSIFY_WORDS:
                found["classify"][name] = value
            else:
                known = sorted({"model", "chunk", *_SOURCE_WORDS, *_CLASSIFY_WORDS})
                raise ValueError(message(f"words among {known}", "", word=name))
        source, classify = SourceSettings(**found["source"]), ClassifySettings(**found["classify"])
        return cls(models, source, classify, chunk)

    @property
    def card(self) -> Card:
        """Of the first model."""
        return Card.read(Path(self.models[0]) / "card.json")


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
    progress : galcnn.progress.Progress
        Shows its galaxies.

    Returns
    -------
    dict
        The manifest, see `galcnn.pipeline.running.run_catalog`.
    """
    with _ONE_AT_A_TIME, task.work.source.open(task.catalog, task.work.card.inputs) as source:
        if task.threads is not None:
            _limit_threads(task.threads)
        return _run(task.work, task.catalog, source, task.folder, progress=progress)


def _run(
    work: Work, catalog: Catalog, source: CutoutSource, folder: Path, *, progress: Progress = silent
) -> dict[str, Any]:
    from galcnn.pipeline.running import RunSettings, run_catalog

    settings = RunSettings(work.classify, work.chunk)
    manifest: dict[str, Any] = run_catalog(
        work.models, catalog, source, folder, settings=settings, progress=progress
    )
    return manifest


def answers(work: Work, catalog: Catalog, source: CutoutSource | None = None) -> pa.Table:
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
        As `galcnn.pipeline.running.run_catalog` writes it.
    """
    import pyarrow.parquet as pq

    with tempfile.TemporaryDirectory(prefix="galcnn-") as folder:
        if source is None:
            do_task(Task(work, catalog, Path(folder)))
        else:
            with _ONE_AT_A_TIME:
                _run(work, catalog, source, Path(folder))
        return pq.read_table(Path(folder) / TABLE)


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


@functools.cache
def _limit_threads(threads: int) -> None:
    """Once a process, before TensorFlow starts its devices: later it refuses, and what it has it keeps."""
    import tensorflow as tf

    try:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)
    except RuntimeError:
        return
