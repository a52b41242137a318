"""galcnn preflight."""

from __future__ import annotations

import click

from galcnn.cli import options

#: Exit code where a check failed.
_FAILED = 4


@click.command(name="preflight")
@click.argument("experiment", metavar="EXPERIMENT.toml")
@click.option("--catalog", metavar="FILE", help="Catalog to use instead of that in the file.")
@click.option("--json", "path", metavar="FILE.json", help="Also write the checks to this file.")
@options.overwrite
@options.quiet
def command(experiment: str, catalog: str | None, path: str | None, overwrite: bool, quiet: bool) -> int:
    """Check data and network of an experiment before training.

    \b
    galcnn preflight experiment.toml
    galcnn preflight examples/galaxy_zoo.toml --catalog labels.csv --json checks.json

    The checks: the initial loss is close to ln(number of classes); penalties change the loss; the
    network can memorise twenty images; with shuffled labels it does not generalise; the splits share no
    image, nor a copy of one; every band changes the prediction. Exit code 4 if a check fails.
    """
    from galcnn._runtime import atomic
    from galcnn.cli.quiet import load_tensorflow

    if path is not None:
        atomic.check_writable(path, inputs=[experiment, *([catalog] if catalog else [])], overwrite=overwrite)
    load_tensorflow()
    from dataclasses import asdict

    from galcnn.experiment import Experiment, check_experiment, read_settings

    content = read_settings(experiment)
    if catalog is not None:
        content["data"] = content.get("data", {}) | {"catalog": catalog}
    found = check_experiment(Experiment.from_dict(content), progress=options.progress(quiet))
    for check in found:
        click.echo(f"{'pass' if check.passed else 'FAIL'}  {check.name}: {check.value:.4g}, {check.expected}")
        click.echo(f"      {check.meaning}")
    if path is not None:
        atomic.write_json(path, [asdict(check) for check in found])
    failed = sum(not check.passed for check in found)
    click.echo(f"{len(found) - failed} of {len(found)} checks passed")
    return _FAILED if failed else 0
