"""Progress of long tasks: shown by the command line, silent in scripts by default.

Functions that take long accept ``progress``, either `silent` or `bars`, and use it as follows::

    with progress("read images", len(paths)) as step:
        for path in paths:
            ...
            step()

On a terminal, a bar is shown for tasks that take longer than a second. Elsewhere, such as in the log
of a batch job, a line is written every 30 seconds. `parts` shows progress within one step of the
caller's task.
"""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from rich.progress import TaskID

#: Seconds before a bar is shown.
_PATIENCE = 1.0
#: Seconds between two lines of a log.
_INTERVAL = 30.0


class Step(Protocol):
    """Callback that counts steps as done."""

    def __call__(self, note: str = "", *, n: int = 1, log: bool = False) -> None:
        """Advance by `n` steps, with an optional note; with `log`, a log gets a line now."""


class Progress(Protocol):
    """Context manager that shows the progress of a task."""

    def __call__(self, description: str, total: int, *, done: int = 0) -> AbstractContextManager[Step]:
        """Start a task with a description and the total number of steps; `done` of an earlier run."""


class _Display(Protocol):
    """Display of a task and its parts."""

    def begin(self, description: str, total: int, done: int) -> _Task: ...

    def advance(self, task: _Task, note: str, n: int, log: bool) -> None: ...

    def end(self, task: _Task) -> None: ...


_DISPLAY: ContextVar[_Display | None] = ContextVar("display", default=None)


@dataclass
class _Task:
    description: str
    total: int
    #: Steps that an earlier run had done.
    earlier: int
    n: int
    note: str = ""
    begun: float = field(default_factory=lambda: time.monotonic())
    bar: TaskID | None = None
    #: Whether an earlier run still has to be reported.
    resumes: bool = False

    def resumed(self) -> str:
        """Return, once, the line that tells where an earlier run is continued."""
        if not self.resumes:
            return ""
        self.resumes = False
        return f"{self.description}: resumes after {self.earlier} of {self.total}"


def _task(description: str, total: int, done: int) -> _Task:
    return _Task(description, total, done, done, resumes=done > 0)


@contextlib.contextmanager
def silent(description: str, total: int, *, done: int = 0) -> Iterator[Step]:
    """Show nothing."""
    del description, total, done

    def step(note: str = "", *, n: int = 1, log: bool = False) -> None:
        del note, n, log

    yield step


@contextlib.contextmanager
def bars(description: str, total: int, *, done: int = 0) -> Iterator[Step]:
    """Show progress on standard error: a bar on a terminal, else a line now and then."""
    with (_bar_display if _on_terminal() else _log_display)() as display:
        shown = _DISPLAY.set(display)
        task = display.begin(description, total, done)

        def step(note: str = "", *, n: int = 1, log: bool = False) -> None:
            display.advance(task, note, n, log)

        try:
            yield step
        finally:
            _DISPLAY.reset(shown)


def _on_terminal() -> bool:
    return sys.stderr.isatty()


@contextlib.contextmanager
def parts(description: str, total: int) -> Iterator[Step]:
    """Show the parts of one step of the caller's task, if that is shown."""
    display = _DISPLAY.get()
    if display is None:
        with silent(description, total) as step:
            yield step
        return
    task = display.begin(description, total, 0)

    def advance(note: str = "", *, n: int = 1, log: bool = False) -> None:
        display.advance(task, note, n, log)

    try:
        yield advance
    finally:
        display.end(task)


class _Log:
    """Display as lines: one every 30 seconds, and where a step asks for it."""

    def __init__(self) -> None:
        self.tasks: list[_Task] = []
        self.last = time.monotonic()
        self.written = ""

    def begin(self, description: str, total: int, done: int) -> _Task:
        self.tasks.append(_task(description, total, done))
        return self.tasks[-1]

    def advance(self, task: _Task, note: str, n: int, log: bool) -> None:
        for line in filter(None, (one.resumed() for one in self.tasks)):
            self._write(line)
        task.n, task.note = task.n + n, note or task.note
        if log or time.monotonic() - self.last >= _INTERVAL:
            self._write(self._line())
            self.last, self.written = time.monotonic(), self._count()

    def end(self, task: _Task) -> None:
        self.tasks = [one for one in self.tasks if one is not task]

    def finish(self) -> None:
        """Write the last line of a task that has written others."""
        if self.written not in ("", self._count()):
            self._write(self._line())

    def _count(self) -> str:
        return " ".join(f"{task.n}" for task in self.tasks)

    def _write(self, line: str) -> None:
        with contextlib.suppress(OSError, ValueError):  # nobody reads the log any more: the work goes on
            sys.stderr.write(f"{line}\n")
            sys.stderr.flush()

    def _line(self) -> str:
        whole, *inner = self.tasks
        # An unfinished step counts by the share of its parts.
        share = 0.0
        for part in reversed(inner):
            share = min((part.n + share) / part.total, 1.0) if part.total else 0.0
        steps, seconds = whole.n - whole.earlier + share, time.monotonic() - whole.begun
        said = [f"{task.description} {task.n + 1}/{task.total}" for task in self.tasks[:-1]]
        said.append(f"{self.tasks[-1].description} {self.tasks[-1].n}/{self.tasks[-1].total}")
        said += [task.note for task in self.tasks[::-1] if task.note][:1]
        if steps > 0:
            rate = steps / max(seconds, 1e-9)
            said += [f"{rate:.3g}/s"] if rate >= 1 and not inner else []
            left = max(whole.total - whole.n - share, 0) / rate
            said.append(f"{duration(left)} left" if left else f"took {duration(seconds)}")
        return ", ".join(said)


@contextlib.contextmanager
def _log_display() -> Iterator[_Log]:
    display = _Log()
    yield display
    display.finish()


def duration(seconds: float) -> str:
    """Return a time in words: ``45 s``, ``12 min``, ``3 h 20 min``."""
    minutes = round(seconds / 60)
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"


class _Bars:
    """Display as bars on a terminal."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )
        from rich.progress import Progress as Bars

        self.bars = Bars(
            TextColumn("{task.description:<12}"),
            BarColumn(bar_width=16),
            MofNCompleteColumn(),
            TextColumn("elapsed"),
            TimeElapsedColumn(),
            TextColumn("remaining"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
            console=Console(stderr=True),
        )
        self.tasks: list[_Task] = []

    def begin(self, description: str, total: int, done: int) -> _Task:
        task = _task(description, total, done)
        task.bar = self.bars.add_task(
            description, total=total, completed=done, note="", visible=not self.tasks
        )
        self.tasks.append(task)
        return task

    def advance(self, task: _Task, note: str, n: int, log: bool) -> None:
        del log
        for line in filter(None, (one.resumed() for one in self.tasks)):
            self.bars.console.print(line)
        assert task.bar is not None
        visible = task is self.tasks[0] or time.monotonic() - task.begun >= _PATIENCE
        self.bars.update(task.bar, advance=n, note=note, visible=visible)

    def end(self, task: _Task) -> None:
        assert task.bar is not None
        self.bars.remove_task(task.bar)
        self.tasks = [one for one in self.tasks if one is not task]


@contextlib.contextmanager
def _bar_display() -> Iterator[_Bars]:
    display = _Bars()
    # Uses its own timer, since the first step may take long.
    timer = threading.Timer(_PATIENCE, display.bars.start)
    timer.daemon = True
    timer.start()
    try:
        yield display
    finally:
        timer.cancel()
        timer.join()
        if display.bars.live.is_started:
            display.bars.stop()
