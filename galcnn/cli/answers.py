"""Record the results of commands for `galcnn --json`."""

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
from galcnn._runtime.answers import LONGEST_REQUEST, JsonAnswer


def tell(**facts: Any) -> None:
    """Add to the result of the running command; does nothing without --json or --manifest."""
    answer = click.get_current_context().find_object(JsonAnswer)
    if answer is not None:
        answer.result |= facts


def tell_rows(table: Any, *, show: bool = True) -> None:
    """Add a short table to the result of the running command, and print it."""
    tell(rows=[{name: row[name] for name in table.colnames} for row in table])
    if show:
        show_table(table)


def show_table(table: Any) -> None:
    """Print all rows and columns of a table."""
    for line in table.pformat(max_lines=-1, max_width=-1, align="<"):
        click.echo(line.rstrip())


def watched(command: click.Command, answer: JsonAnswer) -> click.Command:
    """Return a copy of a command that records its name and settings in an answer."""
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
    """Record the lines printed on standard output and the files written."""
    tee = _Tee(answer.messages, sys.stderr if aside else sys.stdout)
    with atomic.recording() as written, contextlib.redirect_stdout(tee):
        try:
            yield
        finally:
            answer.written = list(written)


class _Tee(io.TextIOBase):
    """Stream that also collects its lines in a list."""

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
    """Yield lines of a file or of standard input as they arrive; can be used in any thread."""
    # Not sys.stdin: a thread that waits for it would keep Python from exiting after Ctrl-C.
    with open(os.dup(0) if path == "-" else path, "rb") as stream:
        # Of a line that is longer than any request only the beginning is kept.
        while line := stream.readline(LONGEST_REQUEST + 1):
            yield line
            while not line.endswith(b"\n") and (line := stream.readline(LONGEST_REQUEST + 1)):
                pass


def row_writer() -> Callable[[str], None]:
    """Return a function that writes rows to standard output without recording them as messages."""
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
    """Write to standard output; return False if its reader has closed the pipe."""
    try:
        write()
        sys.stdout.flush()
    except BrokenPipeError:
        # Otherwise Python would report the broken pipe again when it flushes at exit.
        with contextlib.suppress(OSError, ValueError, AttributeError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, sys.stdout.fileno())
            os.close(nowhere)
        return False
    return True
