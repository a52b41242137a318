"""galcnn run."""

from __future__ import annotations

import click

from galcnn.cli import options

__all__ = ["command"]


@click.command(name="run")
@click.argument("model")
@click.option("--catalog", required=True, metavar="FILE", help="Table with one row a galaxy.")
@click.option("--images", metavar="DIR", help="Folder of their cutouts.  [default: column 'image']")
@click.option("--mosaic", multiple=True, metavar="FILE", help="Cut them out of this; once for each band.")
@click.option("--survey", metavar="NAME", help="Ask this survey for them, see galcnn plugins.")
@click.option("--width", metavar="WIDTH", help="Side of cutouts of a mosaic or survey: 30arcsec, 64pix.")
@options.bands
@click.option("--id", "id_", metavar="C", help="Column with the identifier.")
@click.option("--image-column", metavar="C", help="Column with the paths.  [default: image]")
@click.option("--prior", default="as-trained", show_default=True, help="See galcnn classify.")
@click.option("--raw", is_flag=True, help="Use no doubts.json, even where galcnn calibrate was run.")
@click.option("--embeddings", is_flag=True, help="Keep the features that the last layer reads.")
@options.fit
@options.render
@click.option(
    "--chunk", type=click.IntRange(min=1), default=512, show_default=True, help="Galaxies of a part."
)
@click.option("--out", required=True, metavar="DIR", help="Gets table.parquet and manifest.json.")
@options.quiet
def command(
    model: str,
    catalog: str,
    images: str | None,
    mosaic: tuple[str, ...],
    survey: str | None,
    width: str | None,
    bands: str | None,
    id_: str | None,
    image_column: str | None,
    prior: str,
    raw: bool,
    embeddings: bool,
    fit: bool,
    render: str | None,
    chunk: int,
    out: str,
    quiet: bool,
) -> None:
    """Classify a whole catalog into one table; stopped at any moment, started again it goes on.

    \b
    galcnn run model --catalog galaxies.parquet --images cutouts --out run
    galcnn run model --catalog galaxies.ecsv --mosaic g.fits --mosaic r.fits --width 64pix --out run
    galcnn run model --catalog galaxies.ecsv --survey legacysurvey --width 40arcsec --fit --out run

    One row for each galaxy, whatever happens to it: flag (see galcnn classify; 16: unlike the
    training set) and reason say what. With galcnn calibrate before: calibrated probabilities and
    the set of classes that cannot be excluded.
    """
    import contextlib

    from galcnn.catalog import read_catalog

    if sum(bool(given) for given in (images, mosaic, survey)) > 1:
        raise click.UsageError("Expected one of --images, --mosaic and --survey.")
    if bool(mosaic or survey) != bool(width):
        raise click.UsageError("Expected --width with --mosaic or --survey, and with nothing else.")
    columns = {"id": id_, "image": image_column}
    read = read_catalog(catalog, columns={known: column for known, column in columns.items() if column})
    from galcnn.cli.quiet import load_tensorflow

    load_tensorflow()
    from galcnn.mosaic import open_mosaic
    from galcnn.pipeline.classifying import ClassifySettings
    from galcnn.pipeline.running import RunSettings, run_catalog
    from galcnn.pipeline.sources import CutoutFiles, CutoutSource, FromMosaic, FromSurvey
    from galcnn.progress import bars, silent
    from galcnn.surveys.survey import open_survey

    names = options.words(bands)
    with contextlib.ExitStack() as stack:
        source: CutoutSource
        if mosaic:
            opened = stack.enter_context(open_mosaic(list(mosaic), bands=names))
            source = FromMosaic(read, opened, options.side(width))
        elif survey:
            source = FromSurvey(read, open_survey(survey), options.side(width), bands=names)
        else:
            source = CutoutFiles(read, images, bands=names)
        manifest = run_catalog(
            model,
            read,
            source,
            out,
            settings=RunSettings(ClassifySettings(prior, not raw, embeddings, fit, render), chunk),
            progress=silent if quiet else bars,
        )
    if manifest["failed"]:
        click.echo(f"{manifest['failed']} of {manifest['rows']} have no answer; the table says why", err=True)
    click.echo(f"wrote {out}/table.parquet: {manifest['rows']} rows")
