"""galcnn run."""

from __future__ import annotations

from pathlib import Path

import click

from galcnn.cli import options
from galcnn.cli.answers import tell

__all__ = ["command"]


@click.command(name="run")
@click.argument("models", nargs=-1, required=True, metavar="MODEL...")
@click.option("--catalog", required=True, metavar="FILE", help="Table with one row a galaxy.")
@click.option("--images", metavar="DIR", help="Folder of their cutouts.  [default: column 'image']")
@click.option("--shards", metavar="DIR", help="Take them from shards, see galcnn pack.")
@click.option("--mosaic", multiple=True, metavar="FILE", help="Cut them out of this; once for each band.")
@click.option("--survey", metavar="NAME", help="Ask this survey for them, see galcnn plugins.")
@click.option("--width", metavar="WIDTH", help="Side of cutouts of a mosaic or survey: 30arcsec, 64pix.")
@click.option(
    "--at-once", type=click.IntRange(min=1), default=4, show_default=True, help="Requests to a survey."
)
@options.bands
@click.option("--id", "id_", metavar="C", help="Column with the identifier.")
@click.option("--image-column", metavar="C", help="Column with the paths.  [default: image]")
@click.option("--prior", default="as-trained", show_default=True, help="See galcnn classify.")
@click.option("--raw", is_flag=True, help="Use no doubts.json, even where galcnn calibrate was run.")
@click.option("--embeddings", is_flag=True, help="Keep the features that the last layer reads.")
@click.option(
    "--dropout-samples",
    type=click.IntRange(min=2),
    metavar="N",
    help="Also ask N times with dropout left on: scatter and mutual information.",
)
@click.option("--explain", multiple=True, metavar="METHOD", help="Layers files, see galcnn explain.")
@click.option("--target", help="Of --explain: a class, or CLASS-CLASS.  [default: the predicted class]")
@click.option(
    "--explain-below",
    type=click.FloatRange(0, 1, min_open=True),
    metavar="P",
    help="Explain only galaxies whose most probable class has less than P.",
)
@options.fit
@options.render
@options.seed
@click.option(
    "--chunk", type=click.IntRange(min=1), default=512, show_default=True, help="Galaxies of a part."
)
@click.option(
    "--readers",
    type=click.IntRange(min=0),
    default=1,
    show_default=True,
    help="Processes that read files or shards, in a run that is not split into tasks.",
)
@click.option("--tasks", type=click.IntRange(min=1), metavar="N", help="Split the catalog into N runs.")
@click.option("--task", type=click.IntRange(min=1), metavar="K", help="Do the K-th of --tasks alone.")
@click.option("--workers", type=click.IntRange(min=1), metavar="N", help="On N processes, by Dask.")
@click.option("--scheduler", metavar="ADDRESS", help="On the workers of this Dask scheduler.")
@click.option("--out", required=True, metavar="DIR", help="Gets table.parquet and manifest.json.")
@options.quiet
def command(
    models: tuple[str, ...],
    catalog: str,
    images: str | None,
    shards: str | None,
    mosaic: tuple[str, ...],
    survey: str | None,
    width: str | None,
    at_once: int,
    bands: str | None,
    id_: str | None,
    image_column: str | None,
    prior: str,
    raw: bool,
    embeddings: bool,
    dropout_samples: int | None,
    explain: tuple[str, ...],
    target: str | None,
    explain_below: float | None,
    fit: bool,
    render: str | None,
    seed: int,
    chunk: int,
    readers: int,
    tasks: int | None,
    task: int | None,
    workers: int | None,
    scheduler: str | None,
    out: str,
    quiet: bool,
) -> None:
    """Classify a whole catalog into one table; stopped at any moment, started again it goes on.

    \b
    galcnn run model --catalog galaxies.parquet --images cutouts --out run
    galcnn run model --catalog galaxies.ecsv --mosaic g.fits --mosaic r.fits --width 64pix --out run
    galcnn run model --catalog galaxies.ecsv --survey legacysurvey --width 40arcsec --fit --out run
    galcnn run seed-0 seed-1 seed-2 --catalog galaxies.ecsv --shards shards --embeddings --out run
    galcnn run model --catalog galaxies.ecsv --explain cam --explain-below 0.7 --out run
    galcnn run model --catalog galaxies.ecsv --images cutouts --workers 2 --out run
    galcnn run model --catalog galaxies.ecsv --images cutouts --tasks 10 --task 3 --out run

    One row for each galaxy, whatever happens to it: flag (see galcnn classify; 16: unlike the
    training set; 32: an answer that is no number) and reason say what. With galcnn calibrate
    before: calibrated probabilities and the set of classes that cannot be excluded. Several models
    are an ensemble: mean probabilities, their scatter and mutual information. Of a run that is
    split into tasks, the command without --task does what no other has done, and joins the tables.
    """
    from galcnn.catalog import read_catalog

    if sum(bool(given) for given in (images, shards, mosaic, survey)) > 1:
        raise click.UsageError("Expected one of --images, --shards, --mosaic and --survey.")
    if not explain and (target or explain_below):
        raise click.UsageError("Expected --explain METHOD with --target and --explain-below.")
    if task and (workers or scheduler or not tasks or task > tasks):
        raise click.UsageError("Expected --task K with --tasks N, K at most N, and no other engine.")
    if explain and (tasks or workers or scheduler):
        raise click.UsageError("Expected --explain in a run that is not split into tasks.")
    if bool(mosaic or survey) != bool(width):
        raise click.UsageError("Expected --width with --mosaic or --survey, and with nothing else.")
    columns = {"id": id_, "image": image_column}
    read = read_catalog(catalog, columns={known: column for known, column in columns.items() if column})
    from galcnn.dataset import SourceSettings
    from galcnn.pipeline.settings import ClassifySettings
    from galcnn.progress import bars, silent

    side = None if width is None else str(options.side(width))
    words = SourceSettings(images, shards, mosaic, survey, side, options.words(bands), at_once)
    classify = ClassifySettings(prior, not raw, embeddings, fit, render, dropout_samples or 0, seed)
    progress = silent if quiet else bars
    if not (workers or scheduler):
        from galcnn.cli.quiet import load_tensorflow

        load_tensorflow()
    if tasks or workers or scheduler:
        from galcnn.engines.tasks import run_one, run_tasks
        from galcnn.engines.work import Work, in_turn

        work = Work(models, words, classify, chunk)
        if task:
            manifest = run_one(work, read, out, number=task, tasks=tasks or task, progress=progress)
            tell(**{name: manifest.get(name, 0) for name in ("rows", "failed", "flagged")})
            click.echo(f"task {task} of {tasks}: {manifest.get('rows', 0)} rows")
            return
        if workers or scheduler:
            from galcnn.engines.dask import on_dask

            with on_dask(scheduler=scheduler, workers=workers) as engine:
                manifest = run_tasks(work, read, out, tasks=tasks, engine=engine, progress=progress)
        else:
            manifest = run_tasks(work, read, out, tasks=tasks, engine=in_turn, progress=progress)
    else:
        from galcnn.model import Card
        from galcnn.pipeline.running import RunSettings, run_catalog

        asked = None
        if explain:
            from galcnn.explain.naming import explainers_by_name
            from galcnn.pipeline.explained import ExplainSettings
            from galcnn.pipeline.explaining import Question

            question = Question(tuple(explainers_by_name(explain)), target)
            asked = ExplainSettings(question, explain_below or ExplainSettings.below)
        wanted = Card.read(Path(models[0]) / "card.json").inputs if shards else None
        settings = RunSettings(classify, chunk, asked, readers)
        with words.open(read, wanted) as source:
            manifest = run_catalog(models, read, source, out, settings=settings, progress=progress)
    counts = {name: manifest.get(name) for name in ("rows", "failed", "flagged")}
    tell(**counts, table=f"{out}/table.parquet")
    if manifest["failed"]:
        click.echo(f"{manifest['failed']} of {manifest['rows']} have no answer; the table says why", err=True)
    click.echo(f"wrote {out}/table.parquet: {manifest['rows']} rows")
