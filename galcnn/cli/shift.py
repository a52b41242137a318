"""galcnn shift."""

from __future__ import annotations

import click

from galcnn.cli import options


@click.command(name="shift", cls=options.Command)
@click.argument("test", metavar="TEST.toml", required=False)
@click.option("--out", required=True, metavar="DIR", help="Output folder for tables, figures and summary.md.")
@options.overwrite
@click.option("--quick", is_flag=True, help="Two repeats and few galaxies: a first look, no verdict.")
@click.option("--repeats", type=click.IntRange(min=1), help="Number of trainings per variant.")
@options.jobs("trainings")
@options.quiet
def command(
    test: str | None,
    out: str,
    overwrite: bool,
    quick: bool,
    repeats: int | None,
    jobs: int,
    quiet: bool,
) -> None:
    """Test whether predictions change with redshift alone.

    \b
    galcnn shift --quick --jobs 2 --out shift
    galcnn shift examples/shift_lsst.toml --jobs 2 --out shift

    Also tests whether normalisation, such as batch normalisation, helps. Without a file, four classes
    are simulated, and the networks are trained at z = 0.03 to 0.08. An interrupted run is continued by
    the same command. The verdict is computed; equal variants come out as equal or undecided.
    """
    from dataclasses import replace

    from galcnn.cli.quiet import load_tensorflow

    options.check_folder(out, overwrite=overwrite)
    load_tensorflow()
    from galcnn.covariate_shift import read_shift, run_shift
    from galcnn.covariate_shift.settings import ShiftSettings

    settings = ShiftSettings() if test is None else read_shift(test)
    if repeats is not None:
        settings = replace(settings, repeats=repeats)
    if quick:
        settings = settings.quick()
    progress = options.progress(quiet)
    found = run_shift(settings, out, jobs=jobs, progress=progress, overwrite=overwrite)
    click.echo(found.text)
    click.echo(f"wrote {out}/summary.md")
