"""The command `galcnn`: loads its subcommands, and reports every error in one line."""

from __future__ import annotations

import contextlib
import json
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from keyword import iskeyword
from typing import Any

import click

from galcnn._runtime import atomic
from galcnn._runtime.answers import JsonAnswer, error_record
from galcnn._runtime.version import __version__
from galcnn.cli.answers import heard, send_away, watched
from galcnn.cli.wording import sentence

#: Errors that the user can fix, such as bad input or a full disk. Any other error is a bug of galcnn.
_MENDABLE = (ValueError, TypeError, OSError, RuntimeError, ImportError, FloatingPointError, MemoryError)

#: Subcommands by group, in the order of use.
GROUPS = {
    "Start here": ("demo", "models"),
    "Data": ("simulate", "fetch", "cut", "convert", "catalog", "redshift", "inspect", "pack"),
    "Train": ("preflight", "train", "import", "compare", "diagnose", "profile", "landscape"),
    "Answer": (
        "classify",
        "calibrate",
        "evaluate",
        "embed",
        "neighbours",
        "label-next",
        "label",
        "shift",
        "drift",
    ),
    "Reason": ("explain", "atlas", "attack", "dream", "concepts", "faithfulness"),
    "Show": ("view", "report", "export", "publish", "info", "plugins"),
}
COMMANDS = tuple(name for names in GROUPS.values() for name in names)


class _Commands(click.Group):
    """Group that imports subcommands when they are used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        name = f"{cmd_name}_" if iskeyword(cmd_name) else cmd_name.replace("-", "_")
        command: click.Command = import_module(f"galcnn.cli.{name}").command
        answer = ctx.find_object(JsonAnswer)
        if answer is None:
            return command
        answer.command = cmd_name
        return watched(command, answer)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        widest = max(map(len, COMMANDS))
        for heading, names in GROUPS.items():
            rows = []
            for name in names:
                command = self.get_command(ctx, name)
                rows.append((name, "" if command is None else command.get_short_help_str(200)))
            with formatter.section(heading):
                formatter.write_dl(rows, col_max=widest, col_spacing=widest - max(map(len, names)) + 2)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            raise click.exceptions.NoSuchCommand(args[0], possibilities=COMMANDS, ctx=ctx)
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return self._invoke(ctx)
        except KeyboardInterrupt as stopped:  # click would print an empty line, and drop the notes
            raise _InterruptedError(stopped) from None

    def _invoke(self, ctx: click.Context) -> Any:
        asked, as_json, manifest = ctx.find_object(_Asked), ctx.params["as_json"], ctx.params["manifest"]
        if asked is None or not (as_json or manifest):
            return super().invoke(ctx)
        if manifest:
            atomic.check_writable(manifest, overwrite="--overwrite" in asked.words)
        asked.as_json, asked.manifest, asked.answer = as_json, manifest, JsonAnswer(tuple(asked.words))
        ctx.obj = asked.answer
        with heard(asked.answer, aside=as_json):
            return super().invoke(ctx)


def _run_modules(paths: Sequence[str]) -> None:
    """Run the Python files of the user, which register classes with Keras."""
    if paths:
        from galcnn.cli.quiet import load_tensorflow
        from galcnn.plugins import run_file

        load_tensorflow(start=False)
        for path in paths:
            run_file(path)


@click.command(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="galcnn")
@click.option("--debug", is_flag=True, expose_value=False, help="Show the traceback of an error.")
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Print one JSON object on standard output, for programs.",
)
@click.option("--manifest", metavar="FILE", help="Write the JSON object to a file.")
@click.option("--overwrite", is_flag=True, expose_value=False, help="Overwrite the manifest.")
@click.option(
    "--module",
    "modules",
    multiple=True,
    metavar="FILE.py",
    expose_value=False,
    callback=lambda context, option, value: _run_modules(value),
    help="Run this Python file of your own first, which registers classes with Keras; may be repeated.",
)
def cli(as_json: bool, manifest: str | None) -> None:
    """Classify the morphology of galaxies with neural networks, and explain the predictions.

    \b
    galcnn demo
    galcnn train --catalog labels.csv --label class --out model
    galcnn classify model *.fits --out classes.ecsv
    galcnn explain model galaxy.fits --method cam --out layers.fits

    The commands are in five groups: get data, train, answer (classes, scores, neighbours), reason (why
    a model answers so) and show. galcnn COMMAND --help gives examples and all options of a command.
    """


class _InterruptedError(Exception):
    """Interruption of a command by Ctrl-C or SIGTERM."""

    def __init__(self, stopped: KeyboardInterrupt) -> None:
        super().__init__()
        self.stopped = stopped


class _TerminatedError(KeyboardInterrupt):
    """SIGTERM, handled like Ctrl-C."""


@dataclass
class _Asked:
    """Requests of the command line for JSON output."""

    words: Sequence[str]
    as_json: bool = False
    manifest: str | None = None
    answer: JsonAnswer | None = None


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return an exit code of `galcnn._runtime.answers.EXIT_CODES`."""
    words = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
    asked = _Asked(words)
    with _terminable():
        code, error, text = _run(words, asked)
    if error is not None:
        _say(text)
    if asked.answer is None:
        return code
    if error is not None:
        asked.answer.error = error_record(error, text)
    document = asked.answer.document(code)
    if asked.manifest is not None:
        atomic.write_json(asked.manifest, document)
    if asked.as_json and not send_away(lambda: print(json.dumps(document, allow_nan=False))):  # noqa: T201
        return 141
    return code


@contextlib.contextmanager
def _terminable() -> Iterator[None]:
    """Handle SIGTERM like Ctrl-C: files are closed, partial ones removed, processes ended."""
    if threading.current_thread() is not threading.main_thread() or (
        signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
    ):
        yield
        return

    def stop(*_: object) -> None:
        raise _TerminatedError

    signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _run(words: Sequence[str], asked: _Asked) -> tuple[int, BaseException | None, str]:
    """Run a command; return the exit code, the error if there was one, and its message."""
    debug = "--debug" in words
    with atomic.recording() as written:
        try:
            code = cli.main(list(words), prog_name="galcnn", standalone_mode=False, obj=asked)
        except click.exceptions.Exit as exit_:
            return exit_.exit_code, None, ""
        except click.ClickException as error:
            return 2, error, error.format_message()
        except SystemExit:  # raised by click on a broken pipe
            send_away(lambda: None)
            return 141, None, ""
        except _InterruptedError as error:
            code = 143 if isinstance(error.stopped, _TerminatedError) else 130
            return code, KeyboardInterrupt(), _interruption(error.stopped, written)
        except (click.Abort, KeyboardInterrupt) as error:
            code = 143 if isinstance(error, _TerminatedError) else 130
            return code, KeyboardInterrupt(), "Interrupted; no file was written."
        except _MENDABLE as error:
            if debug:
                raise
            return 2, error, sentence(error, _command(words), words)
        except Exception as error:  # a bug: reported in a sentence, not as a traceback
            if debug:
                raise
            return (
                1,
                error,
                f"unexpected {type(error).__name__}: {error}. Please report it, with the output of --debug.",
            )
    return (code if isinstance(code, int) else 0), None, ""  # some commands return an exit code


def _interruption(stopped: KeyboardInterrupt, written: atomic.WrittenPaths) -> str:
    """Say how an interrupted command is continued, and what it has written."""
    notes: list[str] = getattr(stopped, "__notes__", [])
    if notes:
        return f"Interrupted. {' '.join(notes)}"
    if written.claimed:
        return f"Interrupted. The same command continues; {written.claimed[-1]} holds what is finished."
    if written:
        return f"Interrupted. Written, and complete: {', '.join(map(str, written[:3]))}."
    return "Interrupted; no file was written."


def _command(words: Sequence[str]) -> click.Command:
    """Return the command that the words name, else `galcnn` itself."""
    command: click.Command = cli
    for word in words:
        if isinstance(command, click.Group) and not word.startswith("-"):
            command = command.get_command(click.Context(command), word) or command
    return command


def _say(text: str) -> None:
    click.echo(f"galcnn: {' '.join(text.split())}", err=True)


if __name__ == "__main__":
    sys.exit(main())
