"""Read the next chunks of a catalog while one is classified: in a thread, or in processes."""

from __future__ import annotations

import contextlib
import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass

from galcnn.cutout import Cutout
from galcnn.dataset.sources import CutoutSource
from galcnn.inputs import InputSpec
from galcnn.prediction.files import Fitted, fitted

__all__ = ["ChunkReader", "Read", "read_ahead"]


@dataclass(frozen=True, eq=False)
class Read:
    """What reading gave of a chunk.

    Attributes
    ----------
    found : galcnn.prediction.files.Fitted
        As the network is given it.
    cutouts : list of galcnn.cutout.Cutout or Exception, or None
        As they were read, where they were to be kept.
    """

    found: Fitted
    cutouts: list[Cutout | Exception] | None


@dataclass(frozen=True, eq=False)
class ChunkReader:
    """Reads chunks of a catalog and brings them to what a network sees.

    Attributes
    ----------
    source : galcnn.dataset.sources.CutoutSource
        Of the cutouts.
    spec : galcnn.inputs.InputSpec
        Of the network.
    fit : bool
        See `galcnn.inputs.prepare`.
    keep : bool
        Whether the cutouts are kept as well.
    """

    source: CutoutSource
    spec: InputSpec
    fit: bool
    keep: bool

    def read(self, rows: range) -> Read:
        """Read one chunk.

        Parameters
        ----------
        rows : range
            Of the catalog.

        Returns
        -------
        Read
            One entry a row, whatever happens.
        """
        cutouts = self.source.read(rows)
        return Read(fitted(cutouts, self.spec, fit=self.fit), cutouts if self.keep else None)


def read_ahead(reader: ChunkReader, chunks: Sequence[range], *, readers: int = 0) -> Iterator[Read]:
    """Give what reading gives of each chunk, in order, while the next are read.

    Parameters
    ----------
    reader : ChunkReader
        Is sent to each process once.
    chunks : sequence of range
        Rows of the catalog.
    readers : int
        Processes that read; 0 for a thread of this one, which shares Python's lock with whatever is
        done meanwhile. While processes start, the thread reads.

    Yields
    ------
    Read
        At most ``readers + 2`` chunks are in memory.
    """
    left, waiting = deque(chunks), deque[Future[Read]]()
    with ThreadPoolExecutor(1) as thread, contextlib.ExitStack() as stack:
        pool = started = None
        if readers and len(chunks) > 1:
            # Spawned, never forked: a fork of a process that runs TensorFlow's threads may hang.
            context = multiprocessing.get_context("spawn")
            pool = ProcessPoolExecutor(readers, context, _begin, (reader,))
            # A caller who stops early must not wait for what nobody will use.
            stack.callback(pool.shutdown, wait=True, cancel_futures=True)
            started = pool.submit(os.getpid)
        while left or waiting:
            most = 2
            while left and len(waiting) < most:
                if pool is None or started is None or not started.done():
                    waiting.append(thread.submit(reader.read, left.popleft()))
                else:
                    waiting.append(pool.submit(_read, left.popleft()))
                    most = readers + 1
            yield waiting.popleft().result()


_READER: list[ChunkReader] = []


def _begin(reader: ChunkReader) -> None:
    """In a new process. Ctrl-C reaches all of a terminal; the one that asked answers it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _READER[:] = [reader]
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """One that was killed cannot tell its workers to end."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)


def _read(rows: range) -> Read:
    return _READER[0].read(rows)
