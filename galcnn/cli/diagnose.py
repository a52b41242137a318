"""galcnn diagnose."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from galcnn._runtime import atomic
from galcnn.cli import options
from galcnn.cli.answers import show_table

if TYPE_CHECKING:
    from astropy.table import Table


_STACKS = ("tanh", "relu"), ("glorot_normal", "he_normal"), (5, 30)


@click.command(name="diagnose", cls=options.Command)
@click.argument("target", required=False, metavar="[MODEL | EXPERIMENT.toml]")
@click.option("--init", is_flag=True, help="Check variances at the start, of EXPERIMENT or plain stacks.")
@click.option(
    "--activation",
    multiple=True,
    metavar="NAME",
    help="Activation of the stacks, or instead of EXPERIMENT's.",
)
@click.option("--initializer", multiple=True, metavar="NAME", help="Initializer: he_normal, orthogonal ...")
@click.option(
    "--depth", multiple=True, type=click.IntRange(min=2), help="Layers of a stack.  [default: 5 and 30]"
)
@click.option(
    "--units", type=click.IntRange(min=2), default=256, show_default=True, help="Units per layer of a stack."
)
@click.option(
    "--draws", type=click.IntRange(min=2), default=10, show_default=True, help="Initialisations per stack."
)
@options.settings()
@click.option("--out", metavar="DIR", help="Output folder for the figure and, with --init, tables (ECSV).")
@options.overwrite
@options.device
@options.quiet
def command(
    target: str | None,
    init: bool,
    activation: Sequence[str],
    initializer: Sequence[str],
    depth: Sequence[int],
    units: int,
    draws: int,
    out: str | None,
    overwrite: bool,
    device: str,
    quiet: bool,
) -> None:
    """Diagnose why a network does not learn.

    \b
    galcnn diagnose model --out health
    galcnn diagnose --init --out signals
    galcnn diagnose --init --activation tanh --initializer he_normal --depth 30
    galcnn diagnose experiment.toml --init --initializer glorot_uniform --out signals
    galcnn diagnose experiment.toml --init --set network.normalization=batch

    For a MODEL trained with --set health=50, also during training or after it has failed: shows what
    is wrong, in which layer and at which update, and what to try.

    With --init: propagates a batch through a freshly initialised network, and a random gradient back,
    and compares their variance in each layer with theory (Glorot initialisation preserves it for tanh,
    He initialisation for ReLU).
    """
    if not init and target is None:
        raise click.UsageError("Expected MODEL, trained with --set health=50; or --init.")
    if not init and (activation or initializer or depth):
        raise click.UsageError("Expected --init with --activation, --initializer and --depth.")
    if options.assignments() and not (init and target):
        raise click.UsageError("Expected EXPERIMENT.toml and --init with --set.")
    claim = None if out is None else atomic.claim(out, what="one of galcnn diagnose", overwrite=overwrite)
    if target is not None and not init:
        _trained(target, claim, device)
        return
    if target is None:
        tables = _stacks(activation, initializer, depth, units, draws, device)
        _show(_summary(tables))
    else:
        tables = _experiment(target, activation, initializer, quiet, device)
        _show(*tables.values())
    if claim is not None:
        _write(tables, claim)


def _trained(model: str, claim: atomic.Claim | None, device: str) -> None:
    from galcnn.cli.quiet import load_tensorflow

    load_tensorflow(device=device)
    from galcnn.diagnostics import diagnose
    from galcnn.experiment.preflight import read_health
    from galcnn.viewers import health_figure, save_figure

    record = read_health(model)
    signs = diagnose(record)
    last = record[record["update"] == record["update"].max()]
    _show(last["layer", "gradient_norm", "update_ratio", "weight_norm", "signal", "dead", "nonfinite"])
    click.echo(f"{len(set(record['update']))} measurements, the last after {last['update'][0]} updates")
    for sign in signs:
        click.echo(str(sign))
    if not signs:
        click.echo("no vanishing, exploding, stagnation or dead units found")
    if claim is not None:
        claim.mark()
        save_figure(health_figure(record, signs), claim.folder / "health.png")
        click.echo(f"wrote {claim.folder / 'health.png'}")


def _show(table: Table) -> None:
    for column in table.columns.values():
        if column.dtype.kind == "f":
            column.info.format = ".3g"
    show_table(table)


def _summary(tables: dict[str, Table]) -> Table:
    from galcnn.diagnostics import stack_summary

    return stack_summary(list(tables.values()))


def _stacks(
    activations: Sequence[str],
    initializers: Sequence[str],
    depths: Sequence[int],
    units: int,
    draws: int,
    device: str,
) -> dict[str, Table]:
    from itertools import product

    from galcnn.cli.quiet import load_tensorflow

    load_tensorflow(device=device)
    from galcnn.diagnostics import Stack, stack_table

    phis, names, sizes = _STACKS
    chosen = product(activations or phis, initializers or names, depths or sizes)
    return {
        f"{phi}-{name}-{depth}": stack_table(Stack(depth, units, phi, name), seeds=draws)
        for phi, name, depth in chosen
    }


def _experiment(
    path: str, activations: Sequence[str], initializers: Sequence[str], quiet: bool, device: str
) -> dict[str, Table]:
    from galcnn.cli.quiet import load_tensorflow

    load_tensorflow(device=device)
    from galcnn.experiment import Experiment
    from galcnn.experiment.assignments import content_of, naming_options
    from galcnn.experiment.preflight import experiment_signals

    if len(activations) > 1 or len(initializers) > 1:
        raise click.UsageError("Expected one activation and one initializer for an experiment.")
    assignments = options.assignments()
    content: dict[str, Any] = content_of(path, assignments)
    words = {"activation": activations, "initializer": initializers}
    said = {name: given[0] for name, given in words.items() if given}
    content["network"] = content.get("network", {}) | said
    with naming_options(assignments):
        experiment = Experiment.from_dict(content)
    table = experiment_signals(experiment, progress=options.progress(quiet))
    return {Path(path).stem: table}


def _write(tables: dict[str, Table], claim: atomic.Claim) -> None:
    from galcnn.catalog import write_table
    from galcnn.viewers import save_figure
    from galcnn.viewers.plots.training import initialisation_figure

    claim.mark()
    folder = claim.folder
    for name, table in tables.items():
        write_table(table, folder / f"{name}.ecsv")
    save_figure(initialisation_figure(tables), folder / "initialisation.png")
    click.echo(f"wrote {folder}/: initialisation.png, {', '.join(f'{name}.ecsv' for name in tables)}")
