"""galcnn info."""

from __future__ import annotations

import click

from galcnn._runtime import answers
from galcnn.cli import options
from galcnn.cli.answers import tell


@click.command(name="info", cls=options.Command)
@click.argument("path", required=False)
@click.option(
    "--schema",
    type=click.Choice(answers.SCHEMAS),
    help="Print the JSON Schema of an input or output of galcnn.",
)
def command(path: str | None, schema: str | None) -> None:
    """Describe a model, an image, a layers file or a catalog.

    \b
    galcnn info
    galcnn info model
    galcnn info galaxy.fits
    galcnn info catalog.ecsv
    galcnn info --schema answer

    Without PATH: the versions of installed packages, and plugins. The schemas are of the output of
    galcnn --json (answer), and of the input and output lines of galcnn classify --requests (request, row).
    """
    import json

    if schema is not None:
        if path is not None:
            raise click.UsageError("Expected a PATH or --schema NAME, not both.")
        click.echo(json.dumps(answers.schema(schema), indent=2))
        return
    from galcnn.model import model_folder, read_card
    from galcnn.pipeline import describe

    click.echo(describe(path))
    if path and model_folder(path).is_dir():
        tell(card=read_card(path).to_dict())
