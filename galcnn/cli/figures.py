"""galcnn figures."""

from __future__ import annotations

import click

from galcnn.cli import options


@click.command(name="figures")
@click.argument("folder")
@click.option("--out", metavar="DIR", help="Folder of the figures.  [default: FOLDER/figures]")
@options.overwrite
@click.option(
    "--images",
    "paths",
    multiple=True,
    metavar="PATH",
    help="Images of the galaxies, or a folder of them, named by their ids; may be repeated.",
)
@click.option("--catalog", metavar="FILE", help="With the images instead.  [default: as in training]")
@click.option("--image-column", metavar="C", help="Of the catalog.  [default: as in training, else image]")
@click.option("--id", "id_", metavar="C", help="Of the catalog.  [default: as in training]")
@options.seed
@options.quiet
def command(
    folder: str,
    out: str | None,
    overwrite: bool,
    paths: tuple[str, ...],
    catalog: str | None,
    image_column: str | None,
    id_: str | None,
    seed: int,
    quiet: bool,
) -> None:
    """Draw all figures of a folder of train, evaluate or run, or of a table of classify.

    \b
    galcnn figures model
    galcnn figures scores --catalog new.ecsv
    galcnn figures classes.ecsv --images cutouts --out figures

    Learning curves; where the true classes are known, confusion matrix, reliability, ROC and
    precision-recall of each class with their bootstrap bands; where the images are found, contact
    sheets of the surest answers, the least certain and the worst mistakes.
    """
    from galcnn.report import draw_run
    from galcnn.report.figures import images_of

    if paths and (catalog or image_column or id_):
        raise click.UsageError("Expected --images, or --catalog with its columns, and not both.")
    if out is not None:
        options.check_folder(out, overwrite=overwrite)
    try:
        images = (
            options.paths_by_id(paths)
            if paths
            else images_of(folder, catalog, image_column=image_column, id_column=id_)
        )
    except (OSError, ValueError) as error:
        if paths or catalog:
            raise
        click.echo(f"no contact sheets: {error}", err=True)  # the catalog of the training is gone
        images = {}
    progress = options.progress(quiet)
    for path in draw_run(folder, out, images=images, seed=seed, progress=progress, overwrite=overwrite):
        click.echo(f"wrote {path}")
