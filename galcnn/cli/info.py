"""galcnn info."""

from __future__ import annotations

import click

from galcnn.cli.answers import tell


@click.command(name="info")
@click.argument("path", required=False)
def command(path: str | None) -> None:
    """Describe a model, an image, a layers file or a catalog.

    \b
    galcnn info
    galcnn info model
    galcnn info galaxy.fits
    galcnn info catalog.ecsv

    Without PATH: the versions of installed packages, and plugins.
    """
    from pathlib import Path

    from galcnn.model import Card
    from galcnn.pipeline import describe_installation, describe_path

    click.echo(describe_path(path) if path else describe_installation())
    if path and Path(path).is_dir():
        tell(card=Card.read(Path(path) / "card.json").to_dict())
