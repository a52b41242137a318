"""galcnn roar."""

from __future__ import annotations

import click

from galcnn.cli import options


@click.command(name="roar")
@click.argument("model")
@click.option("--catalog", metavar="FILE", help="The one of the training.  [default: where it was]")
@click.option(
    "--method", "methods", multiple=True, default=("saliency",), show_default=True, help="See plugins."
)
@click.option("--shares", default="0.05,0.2", show_default=True, help="Of the pixels that are taken.")
@click.option("--seeds", default="0,1", show_default=True, help="Each method and share is trained with each.")
@click.option("--epochs", type=click.IntRange(min=1), help="Of each training.  [default: as the model's]")
@click.option("--out", required=True, metavar="DIR", help="Gets roar.ecsv and runs/.")
@options.overwrite
@options.quiet
def command(
    model: str,
    catalog: str | None,
    methods: tuple[str, ...],
    shares: str,
    seeds: str,
    epochs: int | None,
    out: str,
    overwrite: bool,
    quiet: bool,
) -> None:
    """Remove and retrain: take the pixels that maps rank first from all images, and train anew.

    \b
    galcnn roar model --method saliency --method cam --out roar
    galcnn roar model --catalog sky/catalog.ecsv --shares 0.1 --seeds 0,1,2 --epochs 5 --out roar

    A training for each method, share and seed, and as many for pixels at random and for the
    brightest. The same command again goes on where it stopped.
    """
    from galcnn.cli.quiet import load_tensorflow

    options.check_folder(out, overwrite=overwrite)
    load_tensorflow()
    from galcnn.experiment.data import data_of
    from galcnn.explain import explainers_by_name
    from galcnn.faithfulness import roar
    from galcnn.faithfulness.retraining import RetrainingSettings
    from galcnn.model import load_model

    progress = options.progress(quiet)
    trained = load_model(model)
    settings = RetrainingSettings(
        options.numbers("--shares", shares), options.whole_numbers("--seeds", seeds) or (), epochs
    )
    table = roar(
        trained,
        data_of(trained.card, catalog, progress=progress),
        out,
        explainers=explainers_by_name(methods),
        settings=settings,
        progress=progress,
        overwrite=overwrite,
    )
    for row in table:
        interval = f"[{row['low']:+.3f}, {row['high']:+.3f}]"
        click.echo(
            f"{row['method']:<22}{row['share']:<6g}accuracy {row['accuracy']:.3f}, "
            f"below random pixels {row['below_random']:+.3f} {interval}"
        )
    click.echo(f"wrote {out}/roar.ecsv")
