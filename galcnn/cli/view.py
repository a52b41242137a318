"""galcnn view."""

from __future__ import annotations

from typing import Any

import click

from galcnn.cli import options
from galcnn.cli.answers import tell

#: Options that images and layers files do not take.
_OF_TABLES = (
    *("number", "by", "reverse", "seed"),
    *("catalog", "id_", "image_column", "images", "label"),
)


@click.command(name="view", cls=options.Command)
@click.argument("paths", nargs=-1, metavar="PATH...")
@click.option("--map", "method", metavar="METHOD", help="Draw only this map, large, with sky coordinates.")
@click.option("--hub", is_flag=True, help="Run a SAMP hub until Ctrl-C, for viewers without their own.")
@options.section(
    "Galaxies of a table",
    options.number(20, "Number of galaxies."),
    click.option(
        "--by",
        metavar="ORDER",
        help="Order, see above.  [default: least-certain, or as-in-table if the table is ranked]",
    ),
    click.option("--reverse", is_flag=True, help="Reverse the order; smallest values of a column first."),
    options.seed,
)
@options.pictures
@click.option("--label", metavar="C", help="Column of the catalog with the true class.")
@options.one_galaxy
@options.image_files
@options.save("Draw to this file (PNG or PDF), without a viewer.")
@click.option(
    "--out", metavar="DIR", help="Write a FITS file and a PNG per layer, contours, regions and ds9.sh."
)
@options.overwrite
def command(
    paths: tuple[str, ...],
    method: str | None,
    hub: bool,
    number: int,
    by: str | None,
    reverse: bool,
    seed: int,
    catalog: str | None,
    id_: str | None,
    image_column: str | tuple[str, ...] | None,
    images: str | None,
    label: str | None,
    one_galaxy: bool,
    save: str | None,
    out: str | None,
    overwrite: bool,
    **given: Any,
) -> None:
    """Show maps in DS9, Aladin or TOPCAT, or draw galaxies.

    \b
    galcnn view layers.fits                                            in a viewer that runs
    galcnn view layers.fits --save layers.png                          the galaxy and its maps
    galcnn view layers.fits --save cam.png --map cam                   one map with sky coordinates
    galcnn view layers.fits --out view && sh view/ds9.sh               files for DS9, CARTA, and PNG
    galcnn view dreams/*-dream.fits --save dreams.png                  dreams, attacks, class models
    galcnn view cutouts/*.fits --save sheet.png                        many galaxies side by side
    galcnn view a_g.fits a_r.fits a_i.fits --one-galaxy --save a.png   one galaxy in colour
    galcnn view classes.ecsv --images cutouts -n 20 --save sheet.png   the 20 least certain of a table
    galcnn view run --catalog galaxies.ecsv --by distance --save sheet.png
    galcnn view next.ecsv --images cutouts --save sheet.png            of label-next or neighbours
    galcnn view --hub

    PATH is a layers file, images, or a table (or folder) of galcnn classify, evaluate, neighbours or
    label-next, or test.ecsv of a model. Orders of a table (--by):

    \b
    least-certain   largest entropy of the probabilities first
    most-certain    smallest entropy first
    worst           wrong predictions with the smallest probability of the true class
    random          random order, see --seed
    as-in-table     in the order of the table
    COLUMN          largest value in this column first, such as entropy, distance or p_spiral
    """
    others = [str(one.name) for one in click.get_current_context().command.params if one.name != "hub"]
    if hub == bool(paths) or (hub and options.typed(*others)):
        raise click.UsageError("Expected a layers file, images or a table, or --hub alone.")
    if method and not save:
        raise click.UsageError("Expected --save FILE.png with --map.")
    if hub:
        _serve()
        return
    from galcnn.pipeline import table_of

    reading = options.reading(given)
    tables = [path for path in paths if table_of(path)]
    inputs = [*paths, *([catalog] if catalog else [])]
    if save:
        options.check_figure(save, inputs=inputs, overwrite=overwrite)
    if out:
        options.check_folder(out, overwrite=overwrite)
    if tables:
        if len(paths) > 1 or not save or out or method:
            raise click.UsageError(
                f"Expected one table, and --save FILE.png for its pictures. Received: {tables[0]!r}."
            )
        if one_galaxy:
            raise click.UsageError("Expected image files with --one-galaxy.")
        if not catalog and label:
            raise click.UsageError("Expected --catalog FILE with --label.")
        from galcnn.pipeline import table_sheet

        columns = options.chosen(id=id_, image=image_column, class_=label)
        sheet = table_sheet(
            tables[0],
            by=by,
            n=number,
            reverse=reverse,
            seed=seed,
            catalog=catalog,
            images=images,
            columns=columns,
            reading=reading,
        )
        tell(ids=list(sheet.ids), left_out=dict(sheet.left_out))
        options.save_sheet(sheet, save)
        return
    if refused := options.typed(*_OF_TABLES):
        raise click.UsageError(f"Expected a table with {refused}. Received: {paths[0]!r}.")
    files = options.paths_by_id(paths, one_galaxy=one_galaxy)
    one = next(iter(files.values()))[0]
    if len(files) > 1 and (out or method or not save):
        raise click.UsageError("Expected one layers file, or --save FILE.png to draw several side by side.")
    if save:
        from galcnn.viewers import save_figure
        from galcnn.viewers.side_files import files_figure

        figure, left_out = files_figure(files, method=method, **reading)
        options.tell_left_out(left_out)
        save_figure(figure, save)
        click.echo(f"wrote {save}")
    if out:
        from galcnn.viewers import export

        click.echo(f"wrote {len(export(one, out, overwrite=overwrite))} files to {out}")
    if not (save or out):
        from galcnn.viewers.samp import send

        for line in send(one):
            click.echo(line)


def _serve() -> None:
    import threading

    from galcnn.viewers.samp import serve_hub

    click.echo("A SAMP hub runs. Start ds9, which connects by itself; stop the hub with Ctrl-C.")
    try:
        serve_hub(threading.Event().wait)
    except KeyboardInterrupt:
        click.echo("The hub has stopped.")
