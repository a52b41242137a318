"""galcnn schema."""

from __future__ import annotations

import json

import click

from galcnn.pipeline import SCHEMAS, schema


@click.command(name="schema")
@click.argument("name", type=click.Choice(SCHEMAS))
def command(name: str) -> None:
    """Print the JSON Schema of an input or output of galcnn.

    \b
    galcnn schema answer      output of galcnn --json
    galcnn schema request     input line of galcnn classify --requests
    galcnn schema row         output line of galcnn classify --requests
    """
    click.echo(json.dumps(schema(name), indent=2))
