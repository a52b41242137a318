"""galcnn neighbours."""

from __future__ import annotations

from typing import Any

import click

from galcnn.cli import options
from galcnn.cli.answers import tell_rows


@click.command(name="neighbours", cls=options.Command)
@click.argument("run")
@options.section(
    "Galaxy",
    click.option("--galaxy", metavar="ID", help="Identifier of a galaxy of the run."),
    click.option(
        "--image",
        "files",
        multiple=True,
        metavar="FILE",
        help="Image of another galaxy, with --model; may be repeated, one file per band.",
    ),
    click.option("--model", metavar="MODEL", help="Model of the run, which embeds --image."),
    options.number(10, "Number of neighbours."),
    click.option(
        "--metric",
        type=click.Choice(["cosine", "euclidean"]),
        default="cosine",
        show_default=True,
        help="Distance between two embeddings.",
    ),
)
@options.pictures
@options.files
@options.table_out
@options.save("Draw the galaxy and its neighbours to this file (PNG or PDF).")
@options.overwrite
@options.device
def command(
    run: str,
    galaxy: str | None,
    files: tuple[str, ...],
    model: str | None,
    number: int,
    metric: str,
    catalog: str | None,
    images: str | None,
    id_: str | None,
    image_column: str | tuple[str, ...] | None,
    out: str | None,
    save: str | None,
    overwrite: bool,
    device: str,
    **given: Any,
) -> None:
    """Find the galaxies most like one, by embeddings of the network.

    \b
    galcnn classify model --catalog galaxies.ecsv --images cutouts --embeddings --out run
    galcnn neighbours run --galaxy NGC1300 -n 20 --out like.ecsv
    galcnn neighbours run --galaxy NGC1300 --images cutouts --save like.png
    galcnn neighbours run --image new.fits --model model

    RUN is an output folder of galcnn classify --embeddings, its table, or a table of embeddings: of galcnn
    embed, or of another program (id, embedding). The embedding of a galaxy is
    the vector of features that the last layer of the network reads.
    """
    from galcnn.catalog import write_table

    if bool(galaxy) == bool(files) or bool(files) != bool(model):
        raise click.UsageError("Expected --galaxy ID, or --image FILE with --model MODEL.")
    if not save and (catalog or images):
        raise click.UsageError(
            "Expected --save FILE.png with --catalog and --images, which are for the picture."
        )
    if not catalog and (image_column or id_):
        raise click.UsageError("Expected --catalog FILE with --image-column and --id.")
    if not files and (given["fit"] or given["render"]):
        raise click.UsageError("Expected --image FILE with --fit and --render.")
    reading = options.reading(given)
    if not (files or save) and any(reading.values()):
        raise click.UsageError("Expected --image FILE or --save FILE.png with options of image files.")
    inputs = [*files, *([catalog] if catalog else [])]
    options.check_table(out, inputs=inputs, overwrite=overwrite)
    if save:
        options.check_figure(save, inputs=inputs, overwrite=overwrite)
    from galcnn.pipeline import nearest, read_embedded

    embedded = read_embedded(run)
    if files and model is not None:
        from galcnn.cli.quiet import load_tensorflow

        load_tensorflow(device=device)
        from galcnn.pipeline import features_of_files

        features = features_of_files(
            files, model, run, fit=given["fit"], render=given["render"], reading=reading
        )
        table = nearest(embedded, features, n=number, metric=metric)
    else:
        table = nearest(embedded, str(galaxy), n=number, metric=metric)
    tell_rows(table)
    if out:
        write_table(table, out)
        click.echo(f"wrote {out}: {len(table)} rows")
    if save:
        from galcnn.pipeline import neighbour_sheet

        query = files or str(galaxy)
        columns = options.chosen(id=id_, image=image_column)
        sheet = neighbour_sheet(
            table, query, run, catalog=catalog, images=images, columns=columns, reading=reading
        )
        options.save_sheet(sheet, save)
