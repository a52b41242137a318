"""Progress of long tasks: shown by the command line, silent in scripts by default.

Functions that take long accept ``progress``, either `silent` or `bars`, and use it as follows::

    with progress("read images", len(paths)) as step:
        for path in paths:
            ...
            step()

Bars are shown for tasks that take longer than a second. `parts` shows progress within one step of
the caller's bar.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from rich.progress import Progress as Display


#: Seconds before a bar is shown.
_PATIENCE = 1.0
_DISPLAY: ContextVar[Display | None] = ContextVar("display", default=None)


class Step(Protocol):
    """Callback that counts one more step as done."""

    def __call__(self, note: str = "") -> None:
        """Advance by one step, with an optional note."""


class Progress(Protocol):
    """Context manager that shows the progress of a task."""

    def __call__(self, description: str, total: int) -> AbstractContextManager[Step]:
        """Start a task with a description and the total number of steps."""


@contextlib.contextmanager
def silent(description: str, total: int) -> Iterator[Step]:
    """Show nothing."""
    del description, total

    def step(note: str = "") -> None:
        del note

    yield step


@contextlib.contextmanager
def bars(description: str, total: int) -> Iterator[Step]:
    """Show a bar with the remaining time on standard error, if the task takes longer than a second."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    columns = (
        TextColumn("{task.description:<12}"),
        BarColumn(bar_width=16),
        MofNCompleteColumn(),
        TimeRemainingColumn(elapsed_when_finished=True),
        TextColumn("{task.fields[note]}"),
    )
    display = Bars(*columns, console=Console(stderr=True))
    task = display.add_task(description, total=total, note="")
    shown = _DISPLAY.set(display)
    # Uses its own timer, since the first step may take long.
    timer = threading.Timer(_PATIENCE, display.start)
    timer.daemon = True
    timer.start()

    def step(note: str = "") -> None:
        display.update(task, advance=1, note=note)

    try:
        yield step
    finally:
        timer.cancel()
        timer.join()
        _DISPLAY.reset(shown)
        if display.live.is_started:
            display.stop()


@contextlib.contextmanager
def parts(description: str, total: int) -> Iterator[Step]:
    """Show the parts of one step below the caller's bar, if there is one."""
    display = _DISPLAY.get()
    if display is None:
        with silent(description, total) as step:
            yield step
        return
    task, start = display.add_task(description, total=total, note="", visible=False), time.monotonic()

    def advance(note: str = "") -> None:
        late = time.monotonic() - start >= _PATIENCE
        display.update(task, advance=1, note=note, visible=late)

    try:
        yield advance
    finally:
        display.remove_task(task)
