"""Tasks on Dask: processes of this machine, or whatever cluster a scheduler stands for."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from galcnn.errors import message
from galcnn.pipeline import Engine, Task, do_task

#: Tasks that wait at each worker, so that it need not.
_WAITING = 2


@contextlib.contextmanager
def on_dask(*, scheduler: str | None = None, workers: int | None = None) -> Iterator[Engine]:
    """Give an engine that does tasks on Dask.

    A worker that dies loses its task to another one, which goes on behind the last whole part.

    Parameters
    ----------
    scheduler : str, optional
        Address of one that runs, ``tcp://host:8786``. Its workers have galcnn, and see the same
        files under the same paths; TensorFlow uses as many threads as a worker has.
    workers : int, optional
        Processes that are started on this machine instead, and share its cores.

    Yields
    ------
    callable
        See `galcnn.pipeline.Engine`.

    Raises
    ------
    ImportError
        Dask's scheduler is not installed.
    ValueError
        Neither a scheduler nor workers, or both.
    OSError
        No scheduler answers there.
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
    """Send tasks as workers take them, never all at once: a survey has more than a scheduler can hold."""
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
                message("workers that live", "Do they have enough memory?", error=str(error))
            ) from error
        yield sent.pop(future.key)
        send()


def _do(task: Task) -> None:
    from distributed import get_worker

    do_task(task if task.threads else replace(task, threads=get_worker().state.nthreads))
