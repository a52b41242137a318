"""galcnn schema."""

from __future__ import annotations

import json

import click

from galcnn.pipeline import SCHEMAS, schema


@click.command(name="schema")
@click.argument("name", type=click.Choice(SCHEMAS))
def command(name: str) -> None:
    """Print the JSON Schema of what programs read from galcnn, or write to it.

    \b
    galcnn schema answer      of galcnn --json
    galcnn schema request     of a line that galcnn classify --requests reads
    galcnn schema row         of a line that it writes
    """
    click.echo(json.dumps(schema(name), indent=2))
