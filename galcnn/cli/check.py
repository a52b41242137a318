"""galcnn check."""

from __future__ import annotations

import click

from galcnn.cli import options

#: Exit code where a check failed.
_FAILED = 4


@click.command(name="check")
@click.argument("experiment", metavar="EXPERIMENT.toml")
@click.option("--catalog", metavar="FILE", help="In place of that of the file.")
@click.option("--json", "path", metavar="FILE.json", help="Write the checks there too.")
@options.overwrite
@options.quiet
def command(experiment: str, catalog: str | None, path: str | None, overwrite: bool, quiet: bool) -> int:
    """Check an experiment before it is trained: its data, its network, and that they can learn.

    \b
    galcnn check experiment.toml
    galcnn check examples/galaxy_zoo.toml --catalog labels.csv --json checks.json

    Loss at the start near ln K; penalties that are felt; twenty images learned by heart; shuffled
    labels that do not generalise; splits that share no image, nor a copy of one; every band felt.
    Exit code 4 where a check fails.
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
