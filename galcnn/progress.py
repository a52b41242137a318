"""Progress of long work: shown by the command line, silent in a script unless asked for.

Long functions take ``progress``, one of `silent` and `bars`, and use it so::

    with progress("read images", len(paths)) as step:
        for path in paths:
            ...
            step()
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Protocol

__all__ = ["Progress", "Step", "bars", "silent"]


class Step(Protocol):
    """Say that one more piece is done."""

    def __call__(self, note: str = "") -> None:
        """Advance by one.

        Parameters
        ----------
        note : str
            Shown behind the bar.
        """


class Progress(Protocol):
    """Start to show a piece of work."""

    def __call__(self, description: str, total: int) -> AbstractContextManager[Step]:
        """Show a piece of work.

        Parameters
        ----------
        description : str
            Two or three words.
        total : int
            Number of steps.

        Returns
        -------
        context manager
            Gives the function that advances it.
        """


@contextlib.contextmanager
def silent(description: str, total: int) -> Iterator[Step]:
    """Show nothing.

    Parameters
    ----------
    description : str
        Not shown.
    total : int
        Not shown.

    Yields
    ------
    Step
        Does nothing.
    """
    del description, total

    def step(note: str = "") -> None:
        del note

    yield step


@contextlib.contextmanager
def bars(description: str, total: int) -> Iterator[Step]:
    """Show a bar on the terminal's standard error, with the time that is left.

    Parameters
    ----------
    description : str
        Two or three words.
    total : int
        Number of steps.

    Yields
    ------
    Step
        Advances the bar.
    """
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
    with Bars(*columns, console=Console(stderr=True)) as shown:
        task = shown.add_task(description, total=total, note="")

        def step(note: str = "") -> None:
            shown.update(task, advance=1, note=note)

        yield step
