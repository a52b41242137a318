"""galcnn info."""

from __future__ import annotations

import click

from galcnn.cli.answers import tell
from galcnn.pipeline import SCHEMAS


@click.command(name="info")
@click.argument("path", required=False)
@click.option(
    "--schema", type=click.Choice(SCHEMAS), help="Print the JSON Schema of an input or output of galcnn."
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
    from pathlib import Path

    from galcnn import pipeline

    if schema is not None:
        if path is not None:
            raise click.UsageError("Expected a PATH or --schema NAME, not both.")
        click.echo(json.dumps(pipeline.schema(schema), indent=2))
        return
    from galcnn.model import Card
    from galcnn.pipeline import describe_installation, describe_path

    click.echo(describe_path(path) if path else describe_installation())
    if path and Path(path).is_dir():
        tell(card=Card.read(Path(path) / "card.json").to_dict())
