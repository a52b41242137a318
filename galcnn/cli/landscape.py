"""galcnn landscape."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from galcnn.cli import options

if TYPE_CHECKING:
    from galcnn.diagnostics.landscape import Statistics


@click.command(name="landscape", cls=options.Command)
@click.argument("model")
@click.option("--catalog", metavar="FILE", help="Catalog of the training.  [default: its original path]")
@click.option(
    "--out", required=True, metavar="DIR", help="Output folder: surface.fits, surface.npz, landscape.png."
)
@options.overwrite
@click.option("--snapshots", metavar="DIR", help="Plane of largest variance of these snapshots.")
@click.option("--between", "other", metavar="MODEL", help="Line to another model.")
@click.option("--line", is_flag=True, help="One random direction instead of two.")
@click.option("--reach", type=float, help="Reach along random directions, in filter norms.  [default: 1]")
@click.option("--points", type=int, default=25, show_default=True, help="Points per direction; odd.")
@options.number(512, "Use at most N galaxies of the training.")
@click.option(
    "--statistics",
    type=click.Choice(["recompute", "stored"]),
    default="recompute",
    show_default=True,
    help="Batch-normalisation statistics: recomputed at each point, or as stored in the model.",
)
@options.seed
@options.device
@options.quiet
def command(
    model: str,
    catalog: str | None,
    out: str,
    overwrite: bool,
    snapshots: str | None,
    other: str | None,
    line: bool,
    reach: float | None,
    points: int,
    number: int,
    statistics: Statistics,
    seed: int,
    device: str,
    quiet: bool,
) -> None:
    """Draw the loss landscape around a trained model.

    \b
    galcnn landscape model --catalog sky/catalog.ecsv --out landscape
    galcnn train --catalog sky/catalog.ecsv --snapshots snapshots --out model
    galcnn landscape model --snapshots snapshots --out trajectory
    galcnn landscape model --between other --points 51 --out line

    The loss is evaluated along random directions, in the plane of the training trajectory
    (--snapshots), or on the line to another model (--between). Random directions are normalised filter
    by filter (Li et al. 2018). An interrupted run is continued by the same command.
    """
    from galcnn.cli.quiet import load_tensorflow

    options.check_folder(out, overwrite=overwrite)
    load_tensorflow(device=device)
    from galcnn.diagnostics import Grid
    from galcnn.experiment.landscapes import LandscapeSettings, make_landscape
    from galcnn.model import load_model

    grid = Grid(points, 1.0 if reach is None else reach, 1 if line else 2)
    surface = make_landscape(
        load_model(model),
        out,
        catalog=catalog,
        settings=LandscapeSettings(grid, snapshots, other, number, statistics, seed),
        progress=options.progress(quiet),
        overwrite=overwrite,
    )
    click.echo(f"loss from {surface.loss.min():.4g} to {surface.loss.max():.4g} nat, {surface.plane}")
    if surface.plane == "between":
        click.echo(f"barrier {surface.barrier:.4f} nat above the line between both losses")
    click.echo(f"roughness {surface.roughness:.3f} (0 is convex), variation {surface.variation:.2f}")
    if surface.plane == "trajectory":
        shares = [float(surface.facts[f"explained_{number}"]) for number in (1, 2)]
        click.echo(f"the plane contains {sum(shares):.1%} of the variance of the trajectory")
    click.echo(f"wrote {out}/: surface.fits, surface.npz, landscape.png")
