"""Progress of long work: shown by the command line, silent in a script unless asked for.

Long functions take ``progress``, one of `silent` and `bars`, and use it so::

    with progress("read images", len(paths)) as step:
        for path in paths:
            ...
            step()

Bars are shown for work that takes longer than a second. What a caller's bar counts as one step may
say by `parts` how far it is.
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


#: Seconds before anything is shown.
_PATIENCE = 1.0
_DISPLAY: ContextVar[Display | None] = ContextVar("display", default=None)


class Step(Protocol):
    """Say that one more piece is done."""

    def __call__(self, note: str = "") -> None:
        """Advance by one."""


class Progress(Protocol):
    """Start to show a piece of work."""

    def __call__(self, description: str, total: int) -> AbstractContextManager[Step]:
        """Show a piece of work."""


@contextlib.contextmanager
def silent(description: str, total: int) -> Iterator[Step]:
    """Show nothing."""
    del description, total

    def step(note: str = "") -> None:
        del note

    yield step


@contextlib.contextmanager
def bars(description: str, total: int) -> Iterator[Step]:
    """Show a bar on the terminal's standard error, with the time that is left, once a second has passed."""
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
    # By a clock of its own: the first step itself may be the long one.
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
    """Show the parts of one step below the bar of the caller; nothing where there is none."""
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
