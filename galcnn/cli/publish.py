"""galcnn publish."""

from __future__ import annotations

import click

from galcnn.cli import options
from galcnn.cli.answers import tell


@click.command(name="publish", cls=options.Command)
@click.argument("model")
@click.option("--to", required=True, metavar="hf://OWNER/NAME", help="Repository on the Hugging Face hub.")
@options.overwrite
def command(model: str, to: str, overwrite: bool) -> None:
    """Publish a model on the Hugging Face hub.

    \b
    galcnn publish model --to hf://owner/rings
    galcnn publish model --to hf://owner/rings --overwrite

    Model, card and a README made of the card are written, in one commit. Others start from it: galcnn train
    --from hf://owner/rings. You log in once by hf auth login. Requires pip install "galcnn[hub]".
    """
    from galcnn.cli.quiet import load_tensorflow

    load_tensorflow(start=False)
    from galcnn.model.publishing import publish

    address = publish(model, to, overwrite=overwrite)
    tell(address=address)
    click.echo(f"wrote {address}")
