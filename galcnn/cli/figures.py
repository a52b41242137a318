"""galcnn figures."""

from __future__ import annotations

import click

from galcnn.cli import options


@click.command(name="figures")
@click.argument("folder")
@click.option("--out", metavar="DIR", help="Output folder.  [default: FOLDER/figures]")
@options.overwrite
@click.option(
    "--images",
    "paths",
    multiple=True,
    metavar="PATH",
    help="Image, or folder of images, named by the ids of the galaxies; may be repeated.",
)
@click.option("--catalog", metavar="FILE", help="Catalog with the images.  [default: as in training]")
@click.option(
    "--image-column", metavar="C", help="Column of image paths.  [default: as in training, else image]"
)
@click.option("--id", "id_", metavar="C", help="Column of identifiers.  [default: as in training]")
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
    """Draw the figures of a training, an evaluation or a run.

    \b
    galcnn figures model
    galcnn figures scores --catalog new.ecsv
    galcnn figures classes.ecsv --images cutouts --out figures

    FOLDER is a folder of train, evaluate or classify, or a table of classify. The figures are learning
    curves; if the true classes are known, confusion matrix, reliability diagram, ROC and
    precision-recall curves of each class with bootstrap intervals; and, if the images are found,
    contact sheets of the most certain and least certain predictions and of the worst errors.
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
