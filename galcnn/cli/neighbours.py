"""galcnn neighbours."""

from __future__ import annotations

import click

from galcnn.cli import options
from galcnn.cli.answers import tell_rows


@click.command(name="neighbours")
@click.argument("run")
@click.option("--id", "id_", metavar="ID", help="Id of the galaxy in the run.")
@click.option("--image", metavar="FILE", help="Image file of another galaxy; with --model.")
@click.option("--model", metavar="MODEL", help="Model of the run, to embed --image.")
@click.option("-n", "number", type=click.IntRange(min=1), default=10, show_default=True, help="Neighbours.")
@click.option("--metric", type=click.Choice(["cosine", "euclidean"]), default="cosine", show_default=True)
@options.bands
@options.fit
@options.table_out
@click.option("--figure", metavar="PNG", help="Draw the galaxy and its neighbours; with --catalog.")
@options.overwrite
@click.option("--catalog", metavar="FILE", help="Catalog of the run, to find the images.")
@click.option("--images", metavar="DIR", help="Folder of the images.  [default: column 'image']")
@options.catalog_image
@click.option("--id-column", metavar="C", help="Column of the catalog with the identifier.")
def command(
    run: str,
    id_: str | None,
    image: str | None,
    model: str | None,
    number: int,
    metric: str,
    bands: str | None,
    fit: bool,
    out: str | None,
    figure: str | None,
    overwrite: bool,
    catalog: str | None,
    images: str | None,
    image_column: str | None,
    id_column: str | None,
) -> None:
    """Find the galaxies most similar to one, by network features.

    \b
    galcnn classify model --catalog galaxies.ecsv --images cutouts --embeddings --out run
    galcnn neighbours run --id NGC1300 -n 20 --out like.ecsv
    galcnn neighbours run --image new.fits --model model
    galcnn neighbours run --id NGC1300 --figure like.png --catalog galaxies.ecsv --images cutouts

    RUN is an output folder of galcnn classify --embeddings, or its table.
    """
    from galcnn._runtime import atomic
    from galcnn.catalog import write_table
    from galcnn.catalog.catalog import image_paths

    if bool(id_) == bool(image) or bool(image) != bool(model):
        raise click.UsageError("Expected --id ID, or --image FILE with --model MODEL.")
    if bool(figure) != bool(catalog):
        raise click.UsageError("Expected --catalog FILE with --figure PNG, and with nothing else.")
    if not catalog and (images or image_column or id_column):
        raise click.UsageError("Expected --catalog FILE with --images, --image-column and --id-column.")
    if not image and (bands or fit):
        raise click.UsageError("Expected --image FILE with --bands and --fit.")
    inputs = [path for path in (image, catalog) if path]
    options.check_table(out, inputs=inputs, overwrite=overwrite)
    if figure:
        atomic.check_writable(figure, inputs=inputs, overwrite=overwrite)
    from galcnn.pipeline import nearest, read_embedded

    embedded = read_embedded(run)
    query = id_
    if image is not None and model is not None:
        from galcnn.cli.quiet import load_tensorflow

        load_tensorflow()
        from galcnn.pipeline import features_of_files

        features = features_of_files(image_paths(image), model, run, bands=options.words(bands), fit=fit)
        table = nearest(embedded, features, n=number, metric=metric)
    else:
        assert query is not None  # for the type checker
        table = nearest(embedded, query, n=number, metric=metric)
    tell_rows(table)
    if out:
        write_table(table, out)
        click.echo(f"wrote {out}: {len(table)} rows")
    if figure and catalog:
        from galcnn.pipeline import neighbour_sheet
        from galcnn.viewers import save_figure

        first = image_paths(image) if image else str(id_)
        named = options.chosen(id=id_column, image=image_column)
        save_figure(neighbour_sheet(table, first, catalog, images=images, columns=named), figure)
        click.echo(f"wrote {figure}")
