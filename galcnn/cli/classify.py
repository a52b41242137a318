"""galcnn classify."""

from __future__ import annotations

import contextlib
import mimetypes
from pathlib import Path
from typing import Literal

import click

from galcnn.cli import options
from galcnn.cli.answers import request_lines, row_writer, show_table, tell, tell_rows

#: See `galcnn._runtime.answers.EXIT_CODES`.
_UNANSWERED = 3
#: Number of images up to which the answers may be shown on the screen.
_SHOWN = 20


@click.command(name="classify", cls=options.Command)
@click.argument("model")
@click.argument("paths", nargs=-1, metavar="IMAGE...")
@click.option("--catalog", metavar="FILE", help="Classify the galaxies of a catalog, one per row.")
@options.catalog_id
@options.catalog_image
@click.option("--images", metavar="DIR", help="Folder of the cutouts.  [default: column 'image']")
@click.option("--shards", metavar="DIR", help="Read the cutouts from shards, see galcnn pack.")
@click.option(
    "--mosaic", multiple=True, metavar="FILE", help="Cut the galaxies out of this image; once per band."
)
@click.option("--survey", metavar="NAME", help="Download the cutouts from this survey, see galcnn plugins.")
@options.survey
@click.option(
    "--width",
    metavar="ANGLE",
    help="Width of cutouts from a mosaic or survey: 30arcsec, 64pix; central field of image files.",
)
@click.option(
    "--requests",
    metavar="FILE",
    help="Answer JSON requests line by line; - for standard input; see docs/requests.md.",
)
@click.option(
    "--root",
    metavar="DIR",
    help="Folder outside of which no file of --requests is read.  [default: current folder]",
)
@click.option(
    "--out",
    metavar="OUT",
    help="Table (.csv, .ecsv, .fits, .vot, .parquet), or a folder, which can be resumed.  [default: the "
    "screen, for a few images]",
)
@options.overwrite
@options.one_galaxy
@options.bands
@options.fit
@options.grid
@options.render
@options.hdu
@options.zero_point
@options.pixel_scale
@options.strict
@options.section(
    "Prediction",
    click.option(
        "--ensemble", multiple=True, metavar="MODEL", help="Further model of an ensemble; may be repeated."
    ),
    options.prior,
    options.raw,
    options.orientations,
    click.option("--embeddings", is_flag=True, help="Keep the features that the last layer reads."),
    click.option(
        "--dropout-samples",
        type=click.IntRange(min=2),
        metavar="N",
        help="Predict N more times with dropout on, for standard deviations and mutual information.",
    ),
)
@options.section(
    "Explanation",
    click.option(
        "--explain",
        multiple=True,
        metavar="METHOD",
        help="Write layers files, see galcnn explain; may be repeated.",
    ),
    options.target,
    click.option(
        "--explain-below",
        type=click.FloatRange(0, 1, min_open=True),
        metavar="P",
        help="Explain only galaxies whose largest probability is below P.",
    ),
)
@options.section(
    "Large catalogs",
    click.option(
        "--chunk", type=click.IntRange(min=1), default=512, show_default=True, help="Galaxies per chunk."
    ),
    click.option(
        "-j",
        "--jobs",
        type=click.IntRange(min=0),
        metavar="N",
        help="Processes that read files, or requests to a survey, in parallel.  [default: 1; survey: 4]",
    ),
    click.option("--tasks", type=click.IntRange(min=1), metavar="N", help="Split the catalog into N tasks."),
    click.option("--task", type=click.IntRange(min=1), metavar="K", help="Do only task K of --tasks N."),
    click.option("--workers", type=click.IntRange(min=1), metavar="N", help="Use N Dask worker processes."),
    click.option("--scheduler", metavar="ADDRESS", help="Use the workers of this Dask scheduler."),
)
@options.seed
@options.device
@options.yes
@options.quiet
def command(
    model: str,
    paths: tuple[str, ...],
    ensemble: tuple[str, ...],
    catalog: str | None,
    id_: str | None,
    image_column: str | tuple[str, ...] | None,
    images: str | None,
    shards: str | None,
    mosaic: tuple[str, ...],
    survey: str | None,
    survey_option: tuple[str, ...],
    server: str | None,
    width: str | None,
    requests: str | None,
    root: str | None,
    out: str | None,
    overwrite: bool,
    one_galaxy: bool,
    bands: str | None,
    fit: bool,
    grid: str | None,
    render: str | None,
    hdu: str | None,
    zero_point: str | None,
    pixel_scale: str | None,
    strict: bool,
    prior: str,
    raw: bool,
    orientations: Literal[1, 4, 8] | None,
    embeddings: bool,
    dropout_samples: int | None,
    explain: tuple[str, ...],
    target: str | None,
    explain_below: float | None,
    seed: int,
    chunk: int,
    jobs: int | None,
    tasks: int | None,
    task: int | None,
    workers: int | None,
    scheduler: str | None,
    device: str,
    yes: bool,
    quiet: bool,
) -> None:
    """Classify galaxies: one row per image, even if it fails.

    \b
    galcnn classify gz1 picture.jpg
    galcnn classify model *.fits --out classes.ecsv
    galcnn classify model folder_of_images --out classes.csv
    galcnn classify model galaxy.fits --bands r --fit --out classes.csv
    galcnn classify model a_g.fits a_r.fits --one-galaxy --grid r --fit --out classes.csv
    galcnn classify model --catalog galaxies.parquet --images cutouts --out run
    galcnn classify model --catalog galaxies.ecsv --mosaic g.fits --mosaic r.fits --width 64pix --out run
    galcnn classify model --catalog galaxies.ecsv --survey legacysurvey --width 40arcsec --fit --out run
    galcnn classify seed-0 --ensemble seed-1 --catalog galaxies.ecsv --shards shards --out run
    galcnn classify model --catalog galaxies.ecsv --explain cam --explain-below 0.7 --out run
    galcnn classify model --catalog galaxies.ecsv --images cutouts --workers 2 --out run
    galcnn classify model --catalog galaxies.ecsv --images cutouts --tasks 10 --task 3 --out run
    echo '{"path": "galaxy.fits"}' | galcnn classify model --requests -

    MODEL is a folder, the name of a model that ships with galcnn (galcnn models), or hf://owner/name.

    Columns: id, class, p_<class> for each class, entropy (nats), flag and reason. The flag is a sum of
    1 (unreadable), 2 (does not fit the model), 4 (many masked pixels), 8 (blank band), 16 (out of
    distribution) and 32 (logits are not finite). With an uncertainty record, which galcnn train and galcnn
    calibrate write, the probabilities are calibrated, and there are columns set (classes that cannot be
    excluded) and distance (from the training set); of 50 or more galaxies it is said whether they are
    unlike the training set as a whole. A model of vote fractions gives id, f_<answer> for each answer, flag
    and reason. An ensemble gives mean probabilities, their standard deviations and the mutual information.

    By default, a model averages its answer over 8 orientations of each image, at 8 times the cost of one.
    --orientations 1 is faster and slightly less accurate; the results of galcnn calibrate are then not
    used, since they hold for the average.

    An output folder gets table.parquet and manifest.json, for a catalog of any length. If the run is
    interrupted, the same command continues it. For a run split into tasks, the command without --task
    does the missing tasks and joins the tables.
    """
    from astropy.table import QTable

    from galcnn._runtime import atomic
    from galcnn.catalog import Catalog, read_catalog, write_table
    from galcnn.catalog.formats import FORMATS, read_scalars, table_format
    from galcnn.cli.quiet import load_tensorflow
    from galcnn.dataset import SourceSettings
    from galcnn.pipeline import ClassifySettings

    if bool(paths) + bool(catalog) + bool(requests) != 1:
        raise click.UsageError("Expected image files, --catalog FILE or --requests FILE, and one of them.")
    if one_galaxy and not paths:
        raise click.UsageError("Expected image files with --one-galaxy.")
    if (survey_option or server) and not survey:
        raise click.UsageError("Expected --survey NAME with --survey-option and --server.")
    if out and requests:
        raise click.UsageError("Expected --out OUT, or --requests FILE, which answers on standard output.")
    if not out and (catalog or explain or tasks or workers or scheduler or embeddings):
        raise click.UsageError(
            "Expected --out OUT with --catalog, --explain, --embeddings, --tasks, --workers and --scheduler."
        )
    if root and not requests:
        raise click.UsageError("Expected --requests FILE with --root.")
    if not catalog and (image_column or id_ or images or shards or mosaic or survey):
        raise click.UsageError(
            "Expected --catalog FILE with --id, --image-column, --images, --shards, --mosaic and --survey."
        )
    if sum(bool(given) for given in (images, shards, mosaic, survey)) > 1:
        raise click.UsageError("Expected one of --images, --shards, --mosaic and --survey.")
    if (mosaic or survey) and not width:
        raise click.UsageError("Expected --width with --mosaic and --survey.")
    if not explain and (target or explain_below):
        raise click.UsageError("Expected --explain METHOD with --target and --explain-below.")
    split, suffix = bool(tasks or workers or scheduler), Path(out or "").suffix.lower()
    is_table = suffix in FORMATS or not out
    if out and not is_table and mimetypes.guess_type(out)[0] and not Path(out).is_dir():
        table_format(out)  # raises an error: the suffix of another file format is not a folder name
    if (explain or split or task) and (requests or is_table):
        raise click.UsageError(
            "Expected a folder, --out DIR, with --explain, --tasks, --workers and --scheduler."
        )
    if task and (workers or scheduler or not tasks or task > tasks):
        raise click.UsageError(
            "Expected --task K with --tasks N, K at most N, and without --workers and --scheduler."
        )
    if task and overwrite:
        raise click.UsageError(
            "Expected --task without --overwrite, which would remove the results of other tasks."
        )
    if explain and split:
        raise click.UsageError("Expected --explain without --tasks, --workers and --scheduler.")
    if embeddings and suffix == ".csv":
        raise click.UsageError("Expected --embeddings with a folder, or with a table that is not CSV.")
    side = None if width is None else options.side(width)
    reading = options.reading(
        {"bands": bands, "grid": grid, "hdu": hdu, "zero_point": zero_point, "strict": strict}
    )
    scale = options.angle(pixel_scale, "--pixel-scale")
    classify = ClassifySettings(
        prior, not raw, embeddings, fit, render, dropout_samples or 0, seed, orientations
    )
    models, progress = (model, *ensemble), options.progress(quiet)
    if requests:
        if root and not Path(root).is_dir():
            raise click.UsageError(f"Expected a folder. Received: --root {root}.")
        if requests != "-":
            with open(requests, "rb"):  # raises an error before TensorFlow is loaded
                pass
        load_tensorflow(device=device)
        from galcnn.dataset import InputFiles
        from galcnn.pipeline import answer_requests

        files = InputFiles({}, width=side, pixel_scale=scale, **reading)
        lines = request_lines(requests)
        bad = answer_requests(models, lines, row_writer(), root=root or ".", files=files, settings=classify)
        tell(bad_requests=bad)
        if bad:
            click.get_current_context().exit(_UNANSWERED)
        return
    inputs = [*paths, *mosaic, *([catalog] if catalog else [])]
    if out:
        atomic.check_writable(
            out,
            folder=not is_table,
            own=None if is_table else (),
            what="one with the same run",
            inputs=inputs,
            overwrite=overwrite,
        )
    if catalog:
        galaxies = options.noted(read_catalog(catalog, columns=options.chosen(id=id_, image=image_column)))
        if survey and len(galaxies) >= options.MANY:
            options.ask_before(f"{len(galaxies):,} cutouts are downloaded from {survey}.", yes=yes)
    else:
        named = options.paths_by_id(paths, one_galaxy=one_galaxy)
        # Absolute, since the paths identify the run.
        absolute = [[str(path.absolute()) for path in own] for own in named.values()]
        files_of = absolute if one_galaxy else [own[0] for own in absolute]
        if not out and len(named) > _SHOWN:
            raise click.UsageError(f"Expected --out OUT with more than {_SHOWN} images.")
        galaxies = Catalog(QTable({"id": list(named), "image": files_of}))
    words = SourceSettings(
        images=images,
        shards=shards,
        mosaic=mosaic,
        survey=survey,
        width=None if side is None else str(side),
        pixel_scale=None if scale is None else str(scale),
        jobs=jobs or SourceSettings.jobs,
        server=server,
        survey_options=options.pairs("--survey-option", survey_option, "=") or None,
        **reading,
    )
    if not (workers or scheduler):
        load_tensorflow(device=device)
    if split and out:
        from galcnn.pipeline import Work, run_one, run_tasks

        work = Work(models, words, classify, chunk)
        if task:
            counts = run_one(work, galaxies, out, number=task, tasks=tasks or task, progress=progress)
            tell(**{name: counts.get(name, 0) for name in ("rows", "failed", "flagged")})
            click.echo(f"task {task} of {tasks}: {counts.get('rows', 0)} rows")
            return
        with contextlib.ExitStack() as stack:
            engine = None
            if workers or scheduler:
                from galcnn.workflows import on_dask

                engine = stack.enter_context(on_dask(scheduler=scheduler, workers=workers))
            counts = run_tasks(
                work, galaxies, out, tasks=tasks, engine=engine, overwrite=overwrite, progress=progress
            )
    else:
        from galcnn.model import read_card
        from galcnn.pipeline import RunSettings, run_catalog
        from galcnn.pipeline import classify as classify_sources
        from galcnn.prediction.flags import counts_of

        asked = None
        if explain:
            from galcnn.explain import explainers_by_name
            from galcnn.pipeline import ExplainSettings

            methods = tuple(explainers_by_name(explain))
            asked = ExplainSettings(methods, target, below=explain_below or ExplainSettings.below)
        settings = RunSettings(classify, chunk, asked, 1 if jobs is None else jobs)
        with words.open(galaxies, read_card(model).inputs if shards else None) as source:
            if is_table:
                table = classify_sources(models, galaxies, source, settings=settings, progress=progress)
                if out:
                    write_table(table, out)
                else:
                    tell_rows(table, show=False)
                    table.round(3)
                    show_table(table)
                counts = {"rows": len(table), **counts_of(table["flag"]), **table.meta}
            elif out:
                counts = run_catalog(
                    models, galaxies, source, out, settings=settings, overwrite=overwrite, progress=progress
                )
    written, rows, failed = out if is_table else f"{out}/table.parquet", counts["rows"], counts["failed"]
    if out:
        tell(rows=rows, failed=failed, flagged=counts["flagged"], table=written)
    if failed == rows:
        why = (read_scalars(written) if written else table)["reason"][0]
        raise ValueError(
            f"None of {rows} images could be classified. {why}{f' See {written}.' if written else ''}"
        )
    if failed:
        where = written or "the column reason"
        click.echo(f"{failed} of {rows} could not be classified; {where} gives the reasons", err=True)
    if judged := counts.get("set_test"):
        said = judged if isinstance(judged, str) else judged["text"]
        tell(set_test=said)
        click.echo(said)
    if out:
        click.echo(f"wrote {written}: {rows} rows")
