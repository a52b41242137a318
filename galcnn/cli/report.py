"""galcnn report."""

from __future__ import annotations

import click

from galcnn.cli import options


@click.command(name="report", cls=options.Command)
@click.argument("sources", nargs=-1, required=True, metavar="RUN_OR_LAYERS...")
@click.option("--figures", is_flag=True, help="Write figures of one source (PNG), in place of the HTML page.")
@click.option("--catalog", metavar="FILE", help="Catalog with positions, redshifts, true classes or images.")
@click.option(
    "--label", metavar="C", help="Column of the catalog with the true class, named as in the model."
)
@options.catalog_id
@options.catalog_image
@click.option(
    "--images", metavar="DIR", help="Folder of images of galaxies without layers, named by their ids."
)
@click.option("--title", metavar="TITLE", help="Title of the page.  [default: the model's name]")
@click.option("--out", required=True, metavar="DIR", help="Output folder; an older report is replaced.")
@options.overwrite
@options.seed
@options.quiet
def command(
    sources: tuple[str, ...],
    figures: bool,
    catalog: str | None,
    label: str | None,
    id_: str | None,
    image_column: str | None,
    images: str | None,
    title: str | None,
    out: str,
    overwrite: bool,
    seed: int,
    quiet: bool,
) -> None:
    """Write an HTML report of predictions and maps, or figures.

    \b
    galcnn report run --images cutouts --out report
    galcnn report run layers --catalog galaxies.ecsv --label morphology --out report
    galcnn report model layers --out report
    galcnn report a-layers.fits b-layers.fits --out report
    galcnn report model --figures --out figures
    galcnn report classes.ecsv --images cutouts --figures --out figures

    Sources are folders or tables of galcnn classify, model folders of galcnn train (test set and model
    card), layers files, and folders of layers files, all of the same model. The report can be opened
    from disk.

    Figures (--figures, of one folder or table of classify, evaluate or train) are learning curves; if
    the true classes are known, confusion matrix, reliability diagram, ROC and precision-recall curves;
    if the images are found, contact sheets of the most and least certain predictions and the worst
    mistakes.
    """
    if not catalog and (label or id_ or image_column):
        raise click.UsageError("Expected --catalog FILE with --label, --id and --image-column.")
    if figures:
        if len(sources) > 1 or title:
            raise click.UsageError("Expected one folder or table, and no --title, with --figures.")
        options.check_folder(out, overwrite=overwrite)
    from galcnn.report import Known, write_report

    known = Known(catalog, label, id_, image_column, images)
    progress = options.progress(quiet)
    if figures:
        from galcnn.report import draw_run

        written, trouble = draw_run(
            sources[0], out, known=known, seed=seed, progress=progress, overwrite=overwrite
        )
        if trouble:
            click.echo(f"no contact sheets: {trouble}", err=True)
        for path in written:
            click.echo(f"wrote {path}")
        return
    counts = write_report(sources, out, known=known, title=title, progress=progress, overwrite=overwrite)
    if missing := counts["objects"] - counts["pictures"]:
        click.echo(f"{missing} of {counts['objects']} objects have no picture; the report says why", err=True)
    click.echo(f"wrote {out}/index.html: {counts['objects']} objects, {counts['maps']} maps")
