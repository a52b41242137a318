"""galcnn label."""

from __future__ import annotations

from typing import Any

import click

from galcnn.cli import options
from galcnn.cli.answers import tell


@click.command(name="label", cls=options.Command)
@click.argument("table")
@click.option("--classes", required=True, metavar="A,B,...", help="Classes; the first nine have keys.")
@options.number(200, "Number of galaxies, the first of the table.")
@options.pictures
@options.image_files
@click.option("--from", "start", metavar="MODEL", default="MODEL", help="Model of the next training.")
@click.option("--out", required=True, metavar="FILE.html", help="The page.")
@options.overwrite
def command(
    table: str,
    classes: str,
    number: int,
    catalog: str | None,
    id_: str | None,
    image_column: str | tuple[str, ...] | None,
    images: str | None,
    start: str,
    out: str,
    overwrite: bool,
    **given: Any,
) -> None:
    """Write a page on which you label galaxies in a browser.

    \b
    galcnn label-next run -n 200 --out next.ecsv
    galcnn label next.ecsv --images cutouts --classes ring,other --out label.html
    galcnn train --from gz1 --catalog labels.csv --out rings

    The page opens from the disk and sends nothing anywhere: keys 1 to 9 label a galaxy, the arrows move, and
    Save CSV writes labels.csv, with the columns id, class and image. Labels are kept in the browser, and a
    saved CSV can be read again.
    """
    from pathlib import Path

    from galcnn._runtime import atomic

    inputs = [table, *([catalog] if catalog else [])]
    atomic.check_writable(out, inputs=inputs, overwrite=overwrite)
    if Path(out).suffix.lower() not in (".html", ".htm"):
        raise click.UsageError(f"Expected a page ending in .html. Received: {out!r}.")
    from galcnn.pipeline import write_label_page

    page = write_label_page(
        table,
        options.words(classes) or (),
        out,
        n=number,
        catalog=catalog,
        images=images,
        columns=options.chosen(id=id_, image=image_column),
        reading=options.reading(given),
        start=start,
    )
    tell(ids=list(page.ids), left_out=dict(page.left_out))
    options.tell_left_out(page.left_out)
    click.echo(f"wrote {out}: {len(page.ids)} galaxies; open it in a browser, then: {page.command}")
