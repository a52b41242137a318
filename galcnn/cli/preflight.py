"""galcnn preflight."""

from __future__ import annotations

import click

from galcnn.cli import options

#: Exit code where a check failed.
_FAILED = 4


@click.command(name="preflight", cls=options.Command)
@click.argument("experiment", required=False, metavar="[EXPERIMENT.toml | card.json]")
@options.settings(
    options.setting("--catalog", "data.catalog", "FILE"),
    options.setting("--device", "devices.device", "NAME"),
)
@click.option("--out", metavar="FILE.json", help="Write the checks to this file.")
@options.overwrite
@options.quiet
def command(experiment: str | None, out: str | None, overwrite: bool, quiet: bool) -> int:
    """Check data and network of an experiment before training.

    \b
    galcnn preflight experiment.toml
    galcnn preflight examples/galaxy_zoo.toml --catalog labels.csv --out checks.json

    The checks: the initial loss is close to ln(number of classes); penalties change the loss; the
    network can memorise twenty images; with shuffled labels it does not generalise; the splits share no
    image, nor a copy of one; every band changes the prediction. Exit code 4 if a check fails.
    """
    from galcnn._runtime import atomic
    from galcnn.cli.quiet import load_tensorflow

    if out is not None:
        atomic.check_writable(out, inputs=[experiment] if experiment else [], overwrite=overwrite)
    from galcnn.experiment.assignments import experiment_from

    wanted = experiment_from(experiment, options.assignments())
    if out is not None:
        atomic.check_writable(out, inputs=[wanted.data.catalog], overwrite=overwrite)
    load_tensorflow(device=wanted.devices.device)
    from dataclasses import asdict

    from galcnn.experiment import check_experiment

    found = check_experiment(wanted, progress=options.progress(quiet))
    for check in found:
        click.echo(f"{'pass' if check.passed else 'FAIL'}  {check.name}: {check.value:.4g}, {check.expected}")
        click.echo(f"      {check.meaning}")
    if out is not None:
        atomic.write_json(out, [asdict(check) for check in found])
    failed = sum(not check.passed for check in found)
    click.echo(f"{len(found) - failed} of {len(found)} checks passed")
    return _FAILED if failed else 0
