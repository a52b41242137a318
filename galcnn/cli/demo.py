"""galcnn demo."""

from __future__ import annotations

import click

from galcnn.cli import options


@click.command(name="demo", cls=options.Command)
@click.option("--out", default="demo", show_default=True, metavar="DIR", help="Output folder.")
@options.overwrite
@click.option(
    "-n", "--number", type=click.IntRange(min=60), default=3000, show_default=True, help="Number of galaxies."
)
@click.option(
    "--epochs", type=click.IntRange(min=1), default=16, show_default=True, help="Epochs of the training."
)
@click.option("--seed", type=click.IntRange(min=0), default=1, show_default=True, help="Random seed.")
@options.device
@options.quiet
def command(out: str, overwrite: bool, number: int, epochs: int, seed: int, device: str, quiet: bool) -> None:
    """Simulate, train, classify and explain, in a few minutes.

    \b
    galcnn demo
    galcnn demo -n 600 --epochs 4 --out quick
    """
    from galcnn.cli.quiet import load_tensorflow

    options.check_folder(out, overwrite=overwrite)
    load_tensorflow(device=device)
    from galcnn.pipeline import DemoSettings, run_demo

    settings = DemoSettings(number=number, epochs=epochs, seed=seed)
    progress = options.progress(quiet)

    def ready(answers: str) -> None:
        click.echo(answers)
        click.echo(f"Maps: {out}/ready.png. Now a model of its own is trained.\n")

    click.echo(run_demo(out, settings=settings, progress=progress, overwrite=overwrite, ready=ready))
    for what, where in (
        ("the model that ships", f"{out}/ready.png"),
        ("the survey, with truth", f"{out}/catalog.ecsv, {out}/cutouts/"),
        ("the model", f"{out}/model/ (model.keras, card.json, history.csv, test.ecsv)"),
        ("new galaxies, classified", f"{out}/results.ecsv"),
        ("maps as FITS layers", f"{out}/layers/"),
        ("the figure", f"{out}/galaxies.png"),
        ("this summary", f"{out}/summary.md"),
    ):
        click.echo(f"{what:<26} {where}")
    click.echo(
        "\nNext:\n"
        f"  galcnn info {out}/model\n"
        f"  galcnn explain {out}/model {out}/new/cutouts/*.fits --target spiral-elliptical --out maps/\n"
        "  galcnn train --catalog YOUR.csv --image-column FILE --label CLASS --out mymodel\n"
        f"  ds9 -multiframe {out}/layers/*.fits"
    )
