"""galcnn classify."""

from __future__ import annotations

import click

from galcnn.cli import options
from galcnn.cli.answers import request_lines, row_writer, tell

__all__ = ["command"]

#: See `galcnn.service.EXIT_CODES`.
_UNANSWERED = 3


@click.command(name="classify")
@click.argument("model")
@click.argument("paths", nargs=-1, metavar="PATH...")
@click.option(
    "--catalog", metavar="FILE", help="Classify the images of a catalog instead; its ids name the rows."
)
@click.option("--image-column", metavar="C", help="Column of the catalog.  [default: image]")
@click.option("--id", "id_", metavar="C", help="Column of the catalog with the identifier.")
@click.option("--out", metavar="TABLE", help="Ends in .ecsv, .csv, .fits, .vot or .parquet.")
@options.overwrite
@click.option(
    "--requests",
    metavar="FILE",
    help="Answer lines of JSON as they come, - for standard input; see docs/service.md.",
)
@options.bands
@options.fit
@options.width
@options.grid
@options.render
@click.option(
    "--prior",
    default="as-trained",
    show_default=True,
    help="Expected class frequencies: as-trained, catalog (of the training set), uniform, or CLASS=SHARE,...",
)
@options.device
@options.quiet
def command(
    model: str,
    paths: tuple[str, ...],
    catalog: str | None,
    image_column: str | None,
    id_: str | None,
    out: str | None,
    overwrite: bool,
    requests: str | None,
    bands: str | None,
    fit: bool,
    width: str | None,
    grid: str | None,
    render: str | None,
    prior: str,
    device: str,
    quiet: bool,
) -> None:
    """Classify images: one row for each, whatever happens to it.

    \b
    galcnn classify model *.fits --out classes.ecsv
    galcnn classify model folder_of_images --out classes.csv
    galcnn classify model galaxy.fits --bands r --fit --out classes.csv
    galcnn classify model a_g.fits,a_r.fits --grid r --fit --out classes.csv
    galcnn classify model --catalog new.ecsv --out classes.parquet
    echo '{"path": "galaxy.fits"}' | galcnn classify model --requests -

    Columns: id, class, p_<class> for each class, entropy (nats), flag (0 good, 1 unreadable,
    2 does not fit the model, 4 many masked pixels, 8 a blank band; they add up) and reason. A model
    of vote fractions gives id, f_<answer> for each answer, flag and reason.
    """
    from galcnn import atomic
    from galcnn.catalog import read_catalog, table_format, write_table
    from galcnn.progress import bars, silent

    if bool(paths) + bool(catalog) + bool(requests) != 1:
        raise click.UsageError("Expected image files, --catalog FILE or --requests FILE, and one of them.")
    if bool(requests) == bool(out):
        raise click.UsageError("Expected --out TABLE, or --requests FILE, which answers on standard output.")
    if not catalog and (image_column or id_):
        raise click.UsageError("Expected --catalog FILE with --image-column and --id.")
    if requests and requests != "-":
        with open(requests, "rb"):  # said before TensorFlow is loaded
            pass
    if out:
        table_format(out)
        inputs = [*paths, *([catalog] if catalog else [])]
        atomic.check_writable(out, inputs=inputs, overwrite=overwrite)
    if catalog:
        columns = {"image": image_column or "image"} | ({"id": id_} if id_ else {})
        read = read_catalog(catalog, columns=columns)
        sources = read.images
    else:
        sources = options.paths_by_id(paths)
    from galcnn.cli.quiet import load_tensorflow

    load_tensorflow(device=device)
    from galcnn.dataset import InputFiles
    from galcnn.model import load_model
    from galcnn.prediction import UNFIT, UNREADABLE, classify_files, prior_of

    trained = load_model(model).with_render(render)
    files = InputFiles(sources, bands=options.words(bands), width=options.angle(width), fit=fit, grid=grid)
    frequencies = prior_of(prior, trained)
    if out is None:
        from galcnn.service.requests import answer_requests

        assert requests is not None  # for the type checker
        bad = answer_requests(trained, request_lines(requests), row_writer(), how=files, prior=frequencies)
        tell(bad_requests=bad)
        if bad:
            click.get_current_context().exit(_UNANSWERED)
        return
    table = classify_files(trained, files, prior=frequencies, progress=silent if quiet else bars)
    write_table(table, out)
    counts = {"rows": len(table), "flagged": int((table["flag"] > 0).sum())}
    failed = table[(table["flag"] & (UNREADABLE | UNFIT)) > 0]
    tell(**counts, failed=len(failed), table=out)
    if len(failed) == len(table):
        raise ValueError(f"None of {len(table)} images could be classified. {failed['reason'][0]} See {out}.")
    if len(failed):
        click.echo(f"{len(failed)} of {len(table)} images could not be classified; {out} says why", err=True)
    click.echo(f"wrote {out}: {len(table)} rows")
