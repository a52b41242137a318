"""galcnn drift."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from galcnn.cli import options

if TYPE_CHECKING:
    from galcnn.covariate_shift.distances import Measure


@click.command(name="drift")
@click.argument("model")
@click.argument("cutouts", nargs=-1, required=True, metavar="CUTOUT...")
@click.option(
    "--reference",
    multiple=True,
    required=True,
    metavar="IMAGE",
    help="Image, or folder of images, like those of the training; may be repeated.",
)
@click.option(
    "--measure",
    type=click.Choice(["moments", "sliced_wasserstein", "mmd", "classifier"]),
    default="mmd",
    show_default=True,
)
@click.option("--out", metavar="TABLE", help="Also write the table (.ecsv, .csv, .fits ...).")
@options.overwrite
@options.bands
@options.fit
@options.width
@options.seed
@options.quiet
def command(
    model: str,
    cutouts: tuple[str, ...],
    reference: tuple[str, ...],
    measure: Measure,
    out: str | None,
    overwrite: bool,
    bands: str | None,
    fit: bool,
    width: str | None,
    seed: int,
    quiet: bool,
) -> None:
    """Test whether galaxies differ from the training galaxies.

    \b
    galcnn drift model new/*.fits --reference sky/cutouts
    galcnn drift model far/cutouts --reference sky/cutouts --measure classifier --out drift.ecsv

    Compares the pixels and the activations of every layer. The p-values are from permutation tests and
    are adjusted for the number of layers. At least four galaxies are needed on each side; a few dozen
    are enough to detect a relevant shift.
    """
    from galcnn.catalog import write_table
    from galcnn.cli.quiet import load_tensorflow

    named = [options.paths_by_id(sources) for sources in (reference, cutouts)]
    options.check_table(out, inputs=[*named[0].values(), *named[1].values()], overwrite=overwrite)
    load_tensorflow()
    from galcnn.covariate_shift.distances import drift_table
    from galcnn.dataset import InputFiles
    from galcnn.model import images_from, load_model

    trained, progress = load_model(model), options.progress(quiet)
    sides = []
    for paths in named:
        files = InputFiles(paths, bands=options.words(bands), width=options.angle(width), fit=fit)
        sides.append(images_from(files.all_prepared(trained.card.inputs, progress=progress)))
    table = drift_table(trained, sides[0], sides[1], measure=measure, seed=seed)
    for row in table:
        click.echo(f"{row['layer']:<32} {measure} {row['value']:8.3f}   p {row['p_holm']:.3f}")
    drifted = int((table["p_holm"] < 0.05).sum())
    word = "unlike" if drifted else "not shown to be unlike"
    click.echo(f"{len(sides[1])} galaxies are {word} the {len(sides[0])} of the reference")
    if out:
        write_table(table, out)
        click.echo(f"wrote {out}")
