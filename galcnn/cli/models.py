"""galcnn models."""

from __future__ import annotations

from typing import Any

import click

from galcnn.cli import options
from galcnn.cli.answers import tell


@click.command(name="models", cls=options.Command)
@click.argument("folder", default=".", metavar="[FOLDER]")
@click.option("--for", "image", multiple=True, metavar="IMAGE", help="Say which models fit this image.")
@options.bands
@options.hdu
@options.zero_point
@options.pixel_scale
def command(folder: str, image: tuple[str, ...], **given: Any) -> None:
    """List the models at hand, and which fit an image.

    \b
    galcnn models
    galcnn models --for galaxy.fits
    galcnn models --for a_g.fits --for a_r.fits --for a_i.fits
    galcnn models trained

    The models that ship with galcnn, and those in FOLDER (the current folder by default). Their names stand
    for them in all commands: galcnn classify gz1 picture.jpg. galcnn info NAME says what a model was
    trained on, whom to cite and what it is not for. A model fits an image by its bands, unit, pixel scale
    and number of pixels; several files of --for are one galaxy, one per band.
    """
    if not image and options.typed("bands", "hdu", "zero_point", "pixel_scale"):
        raise click.UsageError("Expected --for IMAGE with options of image files.")
    from galcnn.model.card import card_lines
    from galcnn.pipeline import known_models

    reading = options.reading({"grid": None, "strict": False, "width": None} | given)
    rows = []
    for one in known_models(folder, image=image, reading=reading):
        told = " (ships with galcnn)" if one.ships else ""
        click.echo(f"{one.name}{told}")
        for line in ("cannot be read",) if one.card is None else card_lines(one.card):
            click.echo(f"  {line}")
        fits = {None: None, False: "does not fit", True: f"fits with {one.needs}" if one.needs else "fits"}
        if said := ": ".join(part for part in (fits[one.fits], one.reason) if part):
            click.echo(f"  {said}")
        row = {"name": one.name, "ships": one.ships, "sha256": one.card and one.card.model_sha256}
        rows.append(row | {"fits": one.fits, "needs": one.needs, "reason": one.reason})
    tell(models=rows)
