"""galcnn import."""

from __future__ import annotations

import click

from galcnn.cli import options
from galcnn.cli.answers import tell


@click.command(name="import", cls=options.Command)
@click.argument("network", metavar="NETWORK.keras")
@click.option("--classes", required=True, metavar="A,B,...", help="Classes in the order of the outputs.")
@click.option("--bands", required=True, metavar="B,B,...", help="Bands in the order of the channels.")
@options.section(
    "Images of the training",
    click.option(
        "--unit",
        metavar="UNIT",
        help="Unit of the images: display (0 to 255), nJy, nanomaggy ...  "
        "[default: display if the network reads integers or --render is given, else nJy]",
    ),
    click.option(
        "--pixel-scale",
        type=click.FloatRange(min=0, min_open=True),
        metavar="ARCSEC",
        help="Pixel scale in arcsec.  [default: any]",
    ),
    click.option(
        "--scale",
        type=click.FloatRange(min=0, min_open=True),
        default=1.0,
        show_default=True,
        help="Divide the images by this number, such as 255.",
    ),
    click.option(
        "--size",
        type=click.IntRange(min=1),
        metavar="N",
        help="Side of the images in pixels, for a network that accepts any.",
    ),
    click.option(
        "--render",
        metavar="NAME",
        help="Render calibrated FITS as the 8-bit colour images that the network reads: sdss.",
    ),
)
@click.option("--out", required=True, metavar="MODEL", help="Output folder of the model.")
@options.overwrite
def command(
    network: str,
    classes: str,
    bands: str,
    unit: str | None,
    pixel_scale: float | None,
    scale: float,
    size: int | None,
    render: str | None,
    out: str,
    overwrite: bool,
) -> None:
    """Make a model of any Keras network.

    \b
    galcnn import own.keras --classes smooth,disk --bands g,r,i --pixel-scale 0.262 --out model
    galcnn import own.h5 --classes a,b,c --bands R,G,B --unit display --scale 255 --out model
    galcnn --module my_layers.py import own.keras --classes a,b --bands r --out model

    Sequential, functional and subclassed networks, nested, of channels first or last, of logits, a softmax or
    one sigmoid. All commands then work on the model. No code of the file is run; classes of your own must be
    registered with Keras in a Python file that you name by --module. It is checked that the model answers as
    the network.
    """
    from galcnn.cli.quiet import load_tensorflow
    from galcnn.model.bundle import refuse_foreign_folder

    refuse_foreign_folder(out, overwrite=overwrite)
    load_tensorflow()
    from galcnn.model import import_model, save_model

    trained = import_model(
        network,
        classes=options.words(classes) or (),
        bands=options.band_names(bands) or (),
        unit=unit,
        pixel_scale=pixel_scale,
        scale=scale,
        size=size,
        render=render,
    )
    saved = save_model(trained, out, overwrite=overwrite)
    spec = saved.card.inputs
    scale_said = "any scale" if spec.pixel_scale is None else f"{spec.pixel_scale:g} arcsec per pixel"
    click.echo(
        f"reads {', '.join(spec.bands)}: {spec.shape[1]} x {spec.shape[0]} pixels, {scale_said}, {spec.unit}"
    )
    for note in saved.card.notes:
        click.echo(f"note: {note}")
    tell(sha256=saved.card.model_sha256, notes=list(saved.card.notes))
    click.echo(f"wrote {out}/: model.keras, card.json")
    click.echo(f"next: galcnn classify {out} IMAGE... --out classes.ecsv")
