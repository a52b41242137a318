"""Tasks on Dask: in processes on this machine, or on a cluster with a scheduler."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any

from galcnn.errors import message
from galcnn.pipeline import Task

_Engine = Callable[[Iterable[Task]], Iterator[Task]]
#: Tasks sent per worker thread, so that one is always waiting.
_WAITING = 2


@contextlib.contextmanager
def on_dask(*, scheduler: str | None = None, workers: int | None = None) -> Iterator[_Engine]:
    """Create an engine that does tasks on Dask.

    If a worker dies, another one takes its task and continues after the last complete chunk.

    Parameters
    ----------
    scheduler : str, optional
        Address of a running scheduler, e.g. ``tcp://host:8786``. galcnn must be installed on its workers,
        which must see all files under the same paths. TensorFlow uses as many threads as the worker has.
    workers : int, optional
        Number of worker processes to start on this machine instead. They share its cores.

    Yields
    ------
    callable
        Engine for `galcnn.pipeline.run_tasks`.

    Raises
    ------
    ImportError
        If ``dask.distributed`` is not installed.
    ValueError
        If neither or both of `scheduler` and `workers` are given.
    OSError
        If the scheduler cannot be reached.
    """
    if (scheduler is None) == (workers is None):
        raise ValueError(message("a scheduler or workers", "", scheduler=scheduler, workers=workers))
    try:
        from distributed import Client, LocalCluster
    except ImportError as error:
        raise ImportError(
            message("dask.distributed", "pip install 'galcnn[dask]' installs it.", error=str(error))
        ) from error
    with contextlib.ExitStack() as stack:
        threads = None
        if workers is not None:
            threads = max((os.cpu_count() or 1) // workers, 1)
            scheduler = stack.enter_context(
                LocalCluster(
                    n_workers=workers, threads_per_worker=1, processes=True, dashboard_address="127.0.0.1:0"
                )
            )
        client = stack.enter_context(Client(scheduler))

        def engine(tasks: Iterable[Task]) -> Iterator[Task]:
            return _through(client, (replace(task, threads=threads) for task in tasks))

        yield engine


def _through(client: Any, tasks: Iterator[Task]) -> Iterator[Task]:
    """Send tasks as workers become free, since a survey has too many to send all at once."""
    from distributed import KilledWorker, as_completed

    sent: dict[str, Task] = {}
    running = as_completed()

    def send() -> None:
        room = _WAITING * max(sum(client.nthreads().values()), 1)  # asks the scheduler
        while len(sent) < room:
            if (task := next(tasks, None)) is None:
                return
            future = client.submit(_do, task, pure=False)
            sent[future.key] = task
            running.add(future)

    send()
    for future in running:
        try:
            future.result()
        except KilledWorker as error:
            raise RuntimeError(
                message(
                    "Dask workers that keep running", "A worker was killed; out of memory?", error=str(error)
                )
            ) from error
        yield sent.pop(future.key)
        send()


def _do(task: Task) -> None:
    from distributed import get_worker

    (task if task.threads else replace(task, threads=get_worker().state.nthreads)).do()
