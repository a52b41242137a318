"""galcnn atlas."""

from __future__ import annotations

from typing import Any

import click

from galcnn.cli import options


@click.command(name="atlas", cls=options.Command)
@click.argument("model")
@click.option("--catalog", required=True, metavar="FILE", help="Catalog of galaxies with images.")
@options.model_columns
@options.images_folder
@click.option(
    "-n",
    "--number",
    type=click.IntRange(min=3),
    metavar="N",
    default=240,
    show_default=True,
    help="Use at most N galaxies, drawn at random.",
)
@click.option("--out", required=True, metavar="DIR", help="Output folder: index.html, pages/, arrays/.")
@options.overwrite
@click.option(
    "--shown", type=click.IntRange(min=1), default=6, show_default=True, help="Number of galaxies with pages."
)
@click.option(
    "--filters",
    type=click.IntRange(min=1),
    default=16,
    show_default=True,
    help="Number of filters per layer.",
)
@click.option(
    "--stages",
    type=click.IntRange(min=1),
    default=10,
    show_default=True,
    help="Number of convolutions with pages.",
)
@click.option(
    "--steps",
    type=click.IntRange(min=1),
    default=100,
    show_default=True,
    help="Number of steps of gradient ascent.",
)
@click.option(
    "--blur",
    type=click.FloatRange(min=0),
    metavar="X",
    default=1.5,
    show_default=True,
    help="Smoothing of filter images and class models: sigma in pixels.",
)
@options.files
@options.max_unreadable
@options.seed
@options.device
@options.quiet
def command(
    model: str,
    catalog: str,
    image_column: str | tuple[str, ...] | None,
    label: str | None,
    id_: str | None,
    images: str | None,
    number: int,
    out: str,
    overwrite: bool,
    shown: int,
    filters: int,
    stages: int,
    steps: int,
    blur: float,
    render: str | None,
    max_unreadable: float,
    seed: int,
    device: str,
    quiet: bool,
    **given: Any,
) -> None:
    """Draw an atlas of a model: filters, feature maps, class models.

    \b
    galcnn atlas model --catalog sky/catalog.ecsv --out atlas
    galcnn atlas gz1 --catalog labels.csv --shown 4 --filters 8 --out atlas

    An interrupted run is continued by the same command.
    """
    from galcnn._runtime import atomic
    from galcnn.cli.quiet import load_tensorflow

    reading = options.reading(given)
    atomic.check_writable(out, folder=True, own=(), what="an older atlas", overwrite=overwrite)
    load_tensorflow(device=device)
    from galcnn.experiment import galaxies_of
    from galcnn.model import load_model
    from galcnn.pipeline import AtlasSettings, make_atlas

    trained = load_model(model).with_render(render)
    columns = options.chosen(image=image_column, class_=label, id=id_)
    index = make_atlas(
        trained,
        galaxies_of(trained.card, catalog, columns=columns, folder=images),
        out,
        settings=AtlasSettings(number, shown, filters, stages, steps, blur, seed),
        images=images,
        reading=reading,
        max_unreadable=max_unreadable,
        progress=options.progress(quiet),
        overwrite=overwrite,
    )
    options.tell_table_left_out(out)
    click.echo(f"wrote {index}")
