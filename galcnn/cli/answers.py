"""Where commands leave what a program wants to know, for `galcnn --json`."""

from __future__ import annotations

import contextlib
import copy
import io
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any, TextIO

import click

from galcnn._runtime import atomic
from galcnn.pipeline import JsonAnswer


def tell(**facts: Any) -> None:
    """Add to the result of the command that runs; nothing happens where nobody asked.

    Parameters
    ----------
    **facts
        Plain values, by name.
    """
    answer = click.get_current_context().find_object(JsonAnswer)
    if answer is not None:
        answer.result |= facts


def tell_rows(table: Any, *, show: bool = True) -> None:
    """Add a table to the result of the command that runs, and print it.

    Parameters
    ----------
    table : astropy.table.Table
        A short one.
    show : bool
        Whether to print it too.
    """
    tell(rows=[{name: row[name] for name in table.colnames} for row in table])
    for line in table.pformat(max_lines=-1, max_width=-1, align="<") if show else ():
        click.echo(line.rstrip())


def watched(command: click.Command, answer: JsonAnswer) -> click.Command:
    """Give the same command, which leaves its name and settings in an answer.

    Parameters
    ----------
    command : click.Command
        Left as it is.
    answer : JsonAnswer
        Gets them.

    Returns
    -------
    click.Command
        To be run in its place.
    """
    watching, run = copy.copy(command), command.callback

    def callback(*words: Any, **settings: Any) -> Any:
        context = click.get_current_context()
        answer.command = context.command_path.partition(" ")[2]
        answer.settings |= context.params
        return run(*words, **settings) if run else None

    watching.callback = callback
    if isinstance(watching, click.Group):
        watching.commands = {name: watched(one, answer) for name, one in watching.commands.items()}
    return watching


@contextlib.contextmanager
def heard(answer: JsonAnswer, *, aside: bool) -> Iterator[None]:
    """Keep what is said on standard output, and what is written.

    Parameters
    ----------
    answer : JsonAnswer
        Gets both.
    aside : bool
        Whether it is said on standard error, so that standard output is left for the answer.

    Yields
    ------
    None
        Nothing.
    """
    tee = _Tee(answer.messages, sys.stderr if aside else sys.stdout)
    with atomic.recording() as written, contextlib.redirect_stdout(tee):
        try:
            yield
        finally:
            answer.written = list(written)


class _Tee(io.TextIOBase):
    """Text to a stream, and its lines to a list."""

    def __init__(self, lines: list[str], stream: TextIO) -> None:
        self._lines, self.stream, self._open = lines, stream, ""

    def write(self, text: str) -> int:
        self.stream.write(text)
        *whole, self._open = (self._open + text).split("\n")
        self._lines.extend(whole)
        return len(text)

    def flush(self) -> None:
        self.stream.flush()


def request_lines(path: str) -> Iterator[bytes]:
    """Read lines as they come, in whatever thread asks for them.

    Parameters
    ----------
    path : str
        A file, or - for standard input.

    Yields
    ------
    bytes
        One line.
    """
    # Not sys.stdin: a thread that still waits in it would keep Python from ending after Ctrl-C.
    with open(os.dup(0) if path == "-" else path, "rb") as stream:
        yield from stream


def row_writer() -> Callable[[str], None]:
    """Give a function that writes rows for programs: lines that are no messages.

    Returns
    -------
    callable
        Writes one line to standard output at once.

    Raises
    ------
    click.UsageError
        Standard output is kept for the answer of ``--json``.
    """
    stream: TextIO = sys.stdout
    if isinstance(stream, _Tee):
        if stream.stream is sys.stderr:
            raise click.UsageError("Expected --manifest FILE in place of --json, where rows are written.")
        stream = stream.stream

    def write(row: str) -> None:
        stream.write(row + "\n")
        stream.flush()

    return write


def send_away(write: Callable[[], object]) -> bool:
    """Write to standard output, unless whoever read it has gone.

    Parameters
    ----------
    write : callable
        Writes and flushes.

    Returns
    -------
    bool
        Whether somebody still reads; if not, what is left to be written goes nowhere.
    """
    try:
        write()
        sys.stdout.flush()
    except BrokenPipeError:
        # Else Python would complain once more when it flushes at its end.
        with contextlib.suppress(OSError, ValueError, AttributeError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, sys.stdout.fileno())
            os.close(nowhere)
        return False
    return True
