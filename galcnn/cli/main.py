"""The command `galcnn`: finds its commands, and turns every error into one clear line."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module

import click

import galcnn

__all__ = ["cli", "main"]

#: Bad input, a full disk, a broken plugin: the user can mend these. Anything else is our fault.
_MENDABLE = (ValueError, TypeError, OSError, RuntimeError, ImportError, FloatingPointError, MemoryError)

#: In the order in which data travels; one a line, so that two additions do not meet.
COMMANDS = (
    "demo",
    "simulate",
    "redshift",
    "fetch",
    "cut",
    "catalog",
    "load",
    "data",
    "pack",
    "check",
    "train",
    "health",
    "compare",
    "calibrate",
    "evaluate",
    "classify",
    "run",
    "explain",
    "view",
    "report",
    "figures",
    "atlas",
    "trust",
    "roar",
    "dream",
    "fool",
    "networks",
    "devices",
    "shift",
    "drift",
    "landscape",
    "info",
    "plugins",
)


class _Commands(click.Group):
    """Commands are imported when they are used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"galcnn.cli.{cmd_name}").command
        return command


@click.command(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(galcnn.__version__, prog_name="galcnn")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def cli(debug: bool) -> None:
    """What is this galaxy, and why? Networks for galaxy morphology, and their explanations.

    \b
    galcnn demo                      the whole road in a few minutes
    galcnn train --catalog labels.csv --image-column file --label class --out model
    galcnn classify model *.fits --out classes.ecsv
    galcnn explain model galaxy.fits --method saliency --method cam -o layers.fits
    galcnn atlas model --catalog labels.csv --out atlas
    galcnn trust model --catalog labels.csv --out trust
    """


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    arguments : sequence of str, optional
        Of the process by default.

    Returns
    -------
    int
        Exit code: 0 done, 1 a fault of galcnn's own, 2 bad input, 3 some galaxies could not be fetched,
        4 a check failed, 130 interrupted.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in words
    try:
        code = cli.main(words, prog_name="galcnn", standalone_mode=False)
    except click.exceptions.Exit as exit_:
        return exit_.exit_code
    except click.ClickException as error:
        _say(error.format_message())
        return 2
    except (click.Abort, KeyboardInterrupt):
        _say("interrupted; nothing half-written was left behind")
        return 130
    except _MENDABLE as error:
        if debug:
            raise
        _say(_sentence(error))
        return 2
    except Exception as error:  # never a traceback: this one is our fault, and says so
        if debug:
            raise
        _say(f"unexpected {type(error).__name__}: {error}. Please report it, with the output of --debug.")
        return 1
    return code if isinstance(code, int) else 0  # an exit code, where a command ends with one


def _sentence(error: BaseException) -> str:
    """The system's own errors name a number and perhaps a file: say them in words."""
    if isinstance(error, OSError) and error.strerror:
        where = f" Received: path={error.filename!r}." if error.filename else ""
        return f"Expected to read and write files. {error.strerror}.{where}"
    return str(error) or type(error).__name__


def _say(text: str) -> None:
    click.echo(f"galcnn: {' '.join(text.split())}", err=True)


if __name__ == "__main__":
    sys.exit(main())
