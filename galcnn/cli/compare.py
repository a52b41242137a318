"""galcnn compare."""

from __future__ import annotations

import click

from galcnn.cli import options


@click.command(name="compare", cls=options.Command)
@click.argument("experiment", required=False, metavar="[EXPERIMENT.toml | card.json]")
@options.settings(
    options.setting("--catalog", "data.catalog", "FILE"),
    options.setting("--epochs", "training.epochs", "N"),
    options.setting("--device", "devices.device", "NAME"),
)
@click.option("--seeds", metavar="N,N,...", help="Seeds; each optimizer runs with each.  [default: 0,1,2]")
@click.option(
    "--rates",
    type=click.IntRange(min=1),
    metavar="N",
    help="Learning rates tried per optimizer, at most; with 1, its own is kept.  [default: 5]",
)
@click.option("--out", required=True, metavar="DIR", help="Output folder for runs, tables and figure.")
@options.overwrite
@options.quiet
def command(
    experiment: str | None,
    seeds: str | None,
    rates: int | None,
    out: str,
    overwrite: bool,
    quiet: bool,
) -> None:
    """Compare optimizers, each at its best learning rate.

    \b
    galcnn compare --catalog sky/catalog.ecsv --epochs 20 --out comparison
    galcnn compare examples/compare.toml --catalog sky/catalog.ecsv --out comparison

    Plots the validation loss against updates and against time. The learning rate of each optimizer is
    searched with the first seed, in steps of half a decade from its own, by the validation loss of whole
    trainings: at most --rates of them. The test set is not used. By default: batch, stochastic and mini-batch
    gradient descent, momentum, Nesterov and Adam. Others are set in the file by sections
    [compare.contenders.NAME], with the keys of [training] that differ. An interrupted run is continued
    by the same command.
    """
    from galcnn.cli.quiet import load_tensorflow

    options.check_folder(out, overwrite=overwrite)
    from galcnn.experiment.assignments import content_of, naming_options

    given = options.assignments()
    content = content_of(experiment, given)
    if seeds is not None:
        content["compare"] = content.get("compare", {}) | {"seeds": options.whole_numbers("--seeds", seeds)}
    if rates is not None:
        content["compare"] = content.get("compare", {}) | {"rates": rates}
    load_tensorflow(device=content.get("devices", {}).get("device", "auto"))
    from galcnn.experiment import compare
    from galcnn.experiment.comparison import comparison_from

    with naming_options(given):
        comparison = comparison_from(content)
    table = compare(comparison, out, progress=options.progress(quiet), overwrite=overwrite)
    click.echo(
        "median over seeds, on the validation set, which also chose the learning rates; range of the loss:"
    )
    for row in table:
        edge = "" if row["enclosed"] or row["rates_tried"] == 1 else ", the last that was tried"
        click.echo(
            f"  {row['contender']:<12} loss {row['least_validation_loss']:.3f} "
            f"[{row['least_validation_loss_low']:.3f}, {row['least_validation_loss_high']:.3f}]"
            f"  accuracy {row['validation_accuracy']:.3f}  {row['updates']} updates, {row['seconds']:.1f} s"
            f"  rate {row['learning_rate']:.2g} of {row['rates_tried']}{edge}"
        )
    click.echo(f"wrote {out}/: comparison.png, summary.ecsv, rates.ecsv, curves.ecsv, runs/")
