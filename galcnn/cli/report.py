"""galcnn report."""

from __future__ import annotations

import click

from galcnn.cli import options


@click.command(name="report")
@click.argument("sources", nargs=-1, required=True, metavar="RUN_OR_LAYERS...")
@click.option(
    "--out", required=True, metavar="DIR", help="Output folder for index.html; an older report is replaced."
)
@options.overwrite
@click.option("--catalog", metavar="FILE", help="Catalog with positions, redshifts, true classes or images.")
@click.option(
    "--label", metavar="C", help="Column of the catalog with the true class, named as in the model."
)
@options.catalog_id
@options.catalog_image
@click.option(
    "--images", metavar="DIR", help="Folder of images of galaxies without layers, named by their ids."
)
@click.option("--title", help="Title of the report.  [default: the model's name]")
@options.quiet
def command(
    sources: tuple[str, ...],
    out: str,
    overwrite: bool,
    catalog: str | None,
    label: str | None,
    id_: str | None,
    image_column: str | None,
    images: str | None,
    title: str | None,
    quiet: bool,
) -> None:
    """Write an HTML report of predictions and maps.

    \b
    galcnn report run --images cutouts --out report
    galcnn report run layers --catalog galaxies.ecsv --label morphology --out report
    galcnn report model layers --out report
    galcnn report a-layers.fits b-layers.fits --out report

    Sources are folders or tables of galcnn classify, model folders of galcnn train (test set and model
    card), layers files, and folders of layers files, all of the same model. The report can be opened
    from disk.
    """
    if not catalog and (label or id_ or image_column):
        raise click.UsageError("Expected --catalog FILE with --label, --id and --image-column.")
    from galcnn.report import Known, write_report

    known = Known(catalog, label, id_, image_column, images)
    progress = options.progress(quiet)
    counts = write_report(sources, out, known=known, title=title, progress=progress, overwrite=overwrite)
    if missing := counts["objects"] - counts["pictures"]:
        click.echo(f"{missing} of {counts['objects']} objects have no picture; the report says why", err=True)
    click.echo(f"wrote {out}/index.html: {counts['objects']} objects, {counts['maps']} maps")
