"""galcnn roar."""

from __future__ import annotations

import click

from galcnn.cli import options


@click.command(name="roar")
@click.argument("model")
@click.option("--catalog", metavar="FILE", help="Catalog of the training.  [default: its original path]")
@click.option(
    "--method",
    "methods",
    multiple=True,
    default=("saliency",),
    show_default=True,
    help="Explanation method, see galcnn plugins.",
)
@click.option("--shares", default="0.05,0.2", show_default=True, help="Fractions of pixels to remove.")
@click.option(
    "--seeds", default="0,1", show_default=True, help="Seeds; one training per method, fraction and seed."
)
@click.option(
    "--epochs", type=click.IntRange(min=1), help="Epochs per training.  [default: as for the model]"
)
@click.option("--out", required=True, metavar="DIR", help="Output folder for roar.ecsv and runs/.")
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
    """Remove the pixels that maps rank first, and retrain (ROAR).

    \b
    galcnn roar model --method saliency --method cam --out roar
    galcnn roar model --catalog sky/catalog.ecsv --shares 0.1 --seeds 0,1,2 --epochs 5 --out roar

    There is a training for each method, fraction and seed, and, for comparison, as many with random
    pixels and with the brightest pixels removed. An interrupted run is continued by the same command.
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
