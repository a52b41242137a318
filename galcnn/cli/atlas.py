"""galcnn atlas."""

from __future__ import annotations

import click

from galcnn.cli import options


@click.command(name="atlas")
@click.argument("model")
@click.option("--catalog", required=True, metavar="FILE", help="Catalog of galaxies with images.")
@options.model_columns
@click.option("--out", required=True, metavar="DIR", help="Output folder: index.html, pages/, arrays/.")
@options.overwrite
@click.option("--galaxies", type=click.IntRange(min=3), default=240, show_default=True, help="At most.")
@click.option(
    "--shown", type=click.IntRange(min=1), default=6, show_default=True, help="Galaxies with pages."
)
@click.option("--filters", type=click.IntRange(min=1), default=16, show_default=True, help="Per layer.")
@click.option(
    "--stages", type=click.IntRange(min=1), default=10, show_default=True, help="Convolutions shown."
)
@click.option(
    "--steps", type=click.IntRange(min=1), default=100, show_default=True, help="Of gradient ascent."
)
@options.fit
@options.render
@options.seed
@options.quiet
def command(
    model: str,
    catalog: str,
    image_column: str | None,
    label: str | None,
    id_: str | None,
    out: str,
    overwrite: bool,
    galaxies: int,
    shown: int,
    filters: int,
    stages: int,
    steps: int,
    fit: bool,
    render: str | None,
    seed: int,
    quiet: bool,
) -> None:
    """Draw an atlas of a model: filters, feature maps, class models.

    \b
    galcnn atlas model --catalog sky/catalog.ecsv --out atlas
    galcnn atlas gz1 --catalog labels.csv --shown 4 --filters 8 --out atlas

    An interrupted run is continued by the same command.
    """
    from galcnn._runtime import atomic
    from galcnn.cli.quiet import load_tensorflow

    atomic.check_writable(out, folder=True, own=(), what="an older atlas", overwrite=overwrite)
    load_tensorflow()
    from galcnn.experiment import galaxies_of
    from galcnn.model import load_model
    from galcnn.pipeline import AtlasSettings, make_atlas

    trained = load_model(model).with_render(render)
    index = make_atlas(
        trained,
        galaxies_of(trained.card, catalog, columns=options.chosen(image=image_column, class_=label, id=id_)),
        out,
        settings=AtlasSettings(galaxies, shown, filters, stages, steps, seed),
        fit=fit,
        progress=options.progress(quiet),
        overwrite=overwrite,
    )
    click.echo(f"wrote {index}")
