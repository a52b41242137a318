"""galcnn evaluate."""

from __future__ import annotations

from pathlib import Path

import click

from galcnn.cli import options
from galcnn.cli.answers import tell


@click.command(name="evaluate")
@click.argument("model")
@click.argument("catalog")
@click.option("--image-column", metavar="C", help="Column with the image paths.  [default: as in training]")
@click.option("--label", metavar="C", help="Column with the class.  [default: as in training]")
@click.option("--id", "id_", metavar="C", help="Column with the identifier.  [default: as in training]")
@click.option(
    "--split",
    type=click.Choice(["all", "train", "validation", "test"]),
    default="all",
    show_default=True,
    help="Split of the catalog; for the catalog of the training, use test.",
)
@click.option("--by", multiple=True, metavar="C", help="Also score bins of this quantity; may be repeated.")
@click.option("--bins", type=click.IntRange(min=2), default=4, show_default=True, help="Bins per quantity.")
@click.option("--raw", is_flag=True, help="Do not calibrate the probabilities, even after galcnn calibrate.")
@options.fit
@click.option("--out", required=True, metavar="DIR", help="Output folder for tables and figures.")
@options.overwrite
@options.seed
@options.quiet
def command(
    model: str,
    catalog: str,
    image_column: str | None,
    label: str | None,
    id_: str | None,
    split: str,
    by: tuple[str, ...],
    bins: int,
    raw: bool,
    fit: bool,
    out: str,
    overwrite: bool,
    seed: int,
    quiet: bool,
) -> None:
    """Score a model on a labelled catalog, with intervals.

    \b
    galcnn evaluate model new.ecsv --out scores
    galcnn evaluate model sky/catalog.ecsv --split test --by redshift --by mag_r --out scores

    Scores are accuracy, balanced accuracy, completeness (recall) and purity (precision) of each class,
    and calibration, with 95 % bootstrap intervals, for all galaxies and in bins of each quantity of
    --by: a column of the catalog, or a measure of the images: magnitude_BAND (for 8-bit images,
    brightness_BAND), half_light_radius, signal_to_noise, sharpness.
    """
    from galcnn.cli.quiet import load_tensorflow

    options.check_folder(out, overwrite=overwrite)
    load_tensorflow()
    from galcnn.experiment import galaxies_of
    from galcnn.model import Card
    from galcnn.pipeline import EvaluationSettings, evaluate_catalog

    columns = {"image": image_column, "class": label, "id": id_}
    labelled = galaxies_of(
        Card.read(Path(model) / "card.json"),
        catalog,
        columns={k: v for k, v in columns.items() if v is not None},
        split=split,
        labelled=True,
    )
    table = evaluate_catalog(
        model,
        labelled,
        out,
        settings=EvaluationSettings(by, bins, not raw, fit, seed),
        progress=options.progress(quiet),
        overwrite=overwrite,
    )
    for row in table[table["by"] == "all"]:
        click.echo(f"{row['score']:<28} {row['value']:.3f} [{row['low']:.3f}, {row['high']:.3f}]  {row['n']}")
    click.echo(f"calibration error: {table.meta['calibration']}")
    for name, text in table.meta.get("sets", {}).items():
        click.echo(f"sets, {name}: {text}")
    if table.meta["n_failed"]:
        click.echo(
            f"{table.meta['n_failed']} images could not be used; {out}/predictions.ecsv says why", err=True
        )
    tell(
        scores=[{name: row[name] for name in table.colnames} for row in table], failed=table.meta["n_failed"]
    )
    click.echo(f"wrote {out}")
