"""galcnn label-next."""

from __future__ import annotations

import click

from galcnn.cli import options
from galcnn.cli.answers import tell_rows

_STRATEGIES = ["entropy", "margin", "least-confidence", "bald", "k-center", "diverse", "random"]


@click.command(name="label-next", cls=options.Command)
@click.argument("run")
@options.number(100, "Number of galaxies to label.")
@click.option(
    "--strategy",
    type=click.Choice(_STRATEGIES),
    default="diverse",
    show_default=True,
    help="How they are chosen.",
)
@click.option("--labelled", metavar="FILE", help="Catalog of labelled galaxies, which are left out.")
@click.option("--id", "id_", metavar="C", help="Column of this catalog with the identifier.")
@options.table_out
@options.overwrite
@options.seed
def command(
    run: str,
    number: int,
    strategy: str,
    labelled: str | None,
    id_: str | None,
    out: str | None,
    overwrite: bool,
    seed: int,
) -> None:
    """Choose the galaxies whose labels would teach the network most.

    \b
    galcnn classify model --catalog galaxies.ecsv --images cutouts --embeddings --out run
    galcnn label-next run -n 200 --labelled labels.csv --out next.ecsv
    galcnn view next.ecsv --images cutouts --save next.png
    galcnn classify seed-0 --ensemble seed-1 --catalog galaxies.ecsv --embeddings --out ensemble
    galcnn label-next ensemble --strategy bald --out next.ecsv

    RUN is an output folder of galcnn classify --embeddings, its table, or a table of embeddings: of galcnn
    embed, or of another program (id, embedding). Labelled galaxies,
    near-duplicates and galaxies without a usable image are left out. Strategies:

    \b
    entropy, margin, least-confidence   the least certain predictions
    bald        the models of an ensemble, or dropout samples, disagree most
    k-center    furthest from all labelled galaxies, by embeddings
    diverse     uncertain galaxies of different kinds: one per cluster of embeddings
    random      at random, as a baseline
    """
    from galcnn.catalog import read_catalog, write_table

    if id_ and not labelled:
        raise click.UsageError("Expected --labelled FILE with --id.")
    options.check_table(out, inputs=[labelled] if labelled else (), overwrite=overwrite)
    from galcnn.pipeline import label_next, read_embedded

    known = read_catalog(labelled, columns=options.chosen(id=id_)).ids if labelled else ()
    table = label_next(read_embedded(run), number, strategy=strategy, labelled=known, seed=seed)
    tell_rows(table, show=not out)
    if out:
        write_table(table, out)
        click.echo(f"wrote {out}: {len(table)} rows")
