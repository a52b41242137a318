"""galcnn evaluate."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import click

from galcnn.cli import options
from galcnn.cli.answers import tell


@click.command(name="evaluate", cls=options.Command)
@click.argument("model")
@click.option("--catalog", metavar="FILE", help="Catalog with classes.  [default: that of the training]")
@options.model_columns
@click.option("--images", metavar="DIR", help="Folder of the images.  [default: as the catalog says]")
@options.split
@click.option("--by", multiple=True, metavar="C", help="Also score bins of this quantity; may be repeated.")
@click.option("--bins", type=click.IntRange(min=2), default=4, show_default=True, help="Bins per quantity.")
@options.raw
@options.orientations
@options.files
@click.option("--out", required=True, metavar="DIR", help="Output folder for tables and figures.")
@options.overwrite
@options.seed
@options.device
@options.quiet
def command(
    model: str,
    catalog: str | None,
    images: str | None,
    image_column: str | tuple[str, ...] | None,
    label: str | None,
    id_: str | None,
    split: str,
    by: tuple[str, ...],
    bins: int,
    raw: bool,
    orientations: Literal[1, 4, 8] | None,
    render: str | None,
    out: str,
    overwrite: bool,
    seed: int,
    device: str,
    quiet: bool,
    **given: Any,
) -> None:
    """Score a model on a labelled catalog, with intervals.

    \b
    galcnn evaluate model --out scores
    galcnn evaluate model --catalog new.ecsv --split all --by redshift --by mag_r --out scores

    For galaxies that are not those of the training, give --split all: all of them are new to the model.

    Scores are accuracy, balanced accuracy, completeness (recall) and purity (precision) of each class,
    and calibration, with 95 % bootstrap intervals, for all galaxies and in bins of each quantity of
    --by: a column of the catalog, or a measure of the images: magnitude_BAND (for 8-bit images,
    brightness_BAND), half_light_radius, signal_to_noise, sharpness.
    """
    from galcnn.cli.quiet import load_tensorflow

    options.check_folder(out, overwrite=overwrite)
    load_tensorflow(device=device)
    from galcnn.dataset import InputFiles
    from galcnn.experiment import galaxies_of
    from galcnn.model import Card
    from galcnn.pipeline import ClassifySettings, evaluate_catalog

    labelled = galaxies_of(
        Card.read(Path(model) / "card.json"),
        catalog,
        columns=options.chosen(image=image_column, class_=label, id=id_),
        split=split,
        labelled=True,
        folder=images,
    )
    table = evaluate_catalog(
        model,
        labelled,
        out,
        files=InputFiles.of(labelled, images, **options.reading(given)),
        settings=ClassifySettings(
            "catalog", calibrated=not raw, fit=given["fit"], render=render, orientations=orientations
        ),
        by=by,
        n_bins=bins,
        seed=seed,
        progress=options.progress(quiet),
        overwrite=overwrite,
    )
    options.noted(labelled)
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
