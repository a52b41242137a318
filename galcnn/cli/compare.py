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
@click.option("--out", required=True, metavar="DIR", help="Output folder for runs, tables and figure.")
@options.overwrite
@options.quiet
def command(
    experiment: str | None,
    seeds: str | None,
    out: str,
    overwrite: bool,
    quiet: bool,
) -> None:
    """Compare optimizers on the same data and seeds.

    \b
    galcnn compare --catalog sky/catalog.ecsv --epochs 20 --out comparison
    galcnn compare examples/compare.toml --catalog sky/catalog.ecsv --out comparison

    Plots the loss against updates and against time. By default: batch, stochastic and mini-batch
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
    load_tensorflow(device=content.get("devices", {}).get("device", "auto"))
    from galcnn.experiment import compare
    from galcnn.experiment.comparison import comparison_from

    with naming_options(given):
        comparison = comparison_from(content)
    table = compare(comparison, out, progress=options.progress(quiet), overwrite=overwrite)
    click.echo(
        "median over seeds of the training loss at the end, and of the test accuracy at the best epoch:"
    )
    for row in table:
        click.echo(
            f"  {row['contender']:<12} loss {row['loss']:.3f} [{row['loss_low']:.3f}, {row['loss_high']:.3f}]"
            f"  accuracy {row['test_accuracy']:.3f}  {row['updates']} updates, {row['seconds']:.1f} s"
        )
    click.echo(f"wrote {out}/: comparison.png, summary.ecsv, curves.ecsv, runs/")
