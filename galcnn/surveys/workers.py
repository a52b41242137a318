"""Many jobs at once, in threads, each with a time limit: one that hangs holds nobody up."""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from galcnn.errors import message

__all__ = ["Job", "run"]

Answer = TypeVar("Answer")
Result_co = TypeVar("Result_co", covariant=True)
Result = TypeVar("Result")

#: Seconds between two looks at the clock.
_TICK = 0.25
#: Seconds that a job which is being settled may take after an interruption.
_GRACE = 60.0


class Job(Protocol[Answer, Result_co]):
    """A question that may take long or fail, and what is to be done with its answer."""

    def ask(self) -> Answer:
        """Get the answer; may be left behind at any moment.

        Returns
        -------
        object
            For `settle`.
        """
        ...

    def settle(self, answer: Answer | Exception) -> Result_co:
        """Do what must not be left half-done; an error of this ends the whole run.

        Parameters
        ----------
        answer : object or Exception
            What `ask` gave or raised; `TimeoutError` when it took too long.

        Returns
        -------
        object
            For the caller of `run`.
        """
        ...


@dataclass(frozen=True)
class _Broken:
    """What settling a job raised."""

    error: BaseException


class _Task(Generic[Answer, Result]):
    """A job and who settles it: the thread that has the answer, or the one that waited in vain."""

    def __init__(self, job: Job[Answer, Result]) -> None:
        self.job = job
        self.began: float | None = None
        self.settled = threading.Event()
        self._lock = threading.Lock()
        self._taken = False

    def take(self) -> bool:
        with self._lock:
            first, self._taken = not self._taken, True
        return first


class _End:
    """Behind the result that was enough."""


def run(
    jobs: Sequence[Job[Answer, Result]],
    *,
    at_once: int,
    time_limit: float,
    enough: Callable[[Result], bool] = lambda result: False,
) -> Generator[Result, None, None]:
    """Do jobs, a number of them at once.

    The threads are daemons: one that hangs in a system call does not keep Python from ending.
    When the iterator is closed early, by an error or Ctrl-C, nothing is settled any more.

    Parameters
    ----------
    jobs : sequence of Job
        In the order in which they are started.
    at_once : int
        Threads.
    time_limit : float
        Seconds for `ask`; after that its thread is left behind and another takes its place.
    enough : callable
        Told each result, one at a time, before its thread takes another job: whether no further
        one is to be begun. Asked there and not by the caller, who may be slower than the threads.

    Yields
    ------
    object
        What `settle` returns, as it comes.
    """
    tasks = [_Task(job) for job in jobs]
    waiting = deque(tasks)
    results: queue.SimpleQueue[Result | _Broken | _End] = queue.SimpleQueue()
    judging = threading.Lock()

    def is_last(result: Result) -> bool:
        with judging:
            last = enough(result)
            if last:
                waiting.clear()
        return last

    def work() -> None:
        while True:
            try:
                task = waiting.popleft()
            except IndexError:
                return
            task.began = time.monotonic()
            answer: Answer | Exception
            try:
                answer = task.job.ask()
            except Exception as error:  # noqa: BLE001  foreign code: its error is one object's
                answer = error
            if not task.take():  # too late: another thread has taken the place of this one
                return
            try:
                result = task.job.settle(answer)
                last = is_last(result)
                results.put(result)
                if last:
                    results.put(_End())
            except BaseException as error:  # noqa: BLE001  raised by the thread that waits
                results.put(_Broken(error))
            finally:
                task.settled.set()

    def start() -> None:
        threading.Thread(target=work, daemon=True, name="galcnn-fetch").start()

    try:
        for _ in range(min(at_once, len(tasks))):
            start()
        left = len(tasks)
        while left:
            try:
                found = results.get(timeout=min(_TICK, time_limit / 4))
            except queue.Empty:
                for late in _late(tasks, time_limit):
                    result = late.job.settle(_timeout(time_limit))
                    last = is_last(result)
                    if not last:
                        start()
                    yield result
                    if last:
                        return
                    left -= 1
                continue
            if isinstance(found, _Broken):
                raise found.error
            if isinstance(found, _End):
                return
            yield found
            left -= 1
    finally:
        waiting.clear()
        for task in tasks:
            if task.began is not None and not task.take():
                task.settled.wait(_GRACE)


def _late(tasks: Sequence[_Task[Answer, Result]], time_limit: float) -> Iterator[_Task[Answer, Result]]:
    now = time.monotonic()
    for task in tasks:
        if task.began is not None and now - task.began > time_limit and task.take():
            task.settled.set()
            yield task


def _timeout(time_limit: float) -> TimeoutError:
    return TimeoutError(
        message(f"an answer within {time_limit:g} s", "Try again later, or with a longer time limit.")
    )
