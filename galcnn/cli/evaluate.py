"""galcnn evaluate."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import click

from galcnn.cli import options
from galcnn.cli.answers import tell


@click.command(name="evaluate", cls=options.Command)
@click.argument("model", metavar="MODEL|TABLE")
@click.option("--catalog", metavar="FILE", help="Catalog with classes.  [default: that of the training]")
@options.model_columns
@click.option("--images", metavar="DIR", help="Folder of the images.  [default: as the catalog says]")
@click.option(
    "--merge",
    multiple=True,
    metavar="NEW=OLD,OLD",
    help="Merge classes of the catalog; may be repeated.  [default: as in training]",
)
@click.option(
    "--drop",
    multiple=True,
    metavar="CLASS",
    help="Leave out a class of the catalog; may be repeated.  [default: as in training]",
)
@options.split
@click.option("--by", multiple=True, metavar="C", help="Also score bins of this quantity; may be repeated.")
@click.option("--bins", type=click.IntRange(min=2), default=4, show_default=True, help="Bins per quantity.")
@options.prior
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
    merge: tuple[str, ...],
    drop: tuple[str, ...],
    split: str,
    by: tuple[str, ...],
    bins: int,
    prior: str,
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
    """Score a model or a table of predictions on a labelled catalog.

    \b
    galcnn evaluate model --out scores
    galcnn evaluate model --catalog new.ecsv --split all --by redshift --by mag_r --out scores
    galcnn evaluate model --catalog new.csv --split all --merge spiral=Sa,Sb,Sc --drop star --out scores
    galcnn evaluate classes.csv --catalog new.csv --label morphology --by redshift --out scores

    For galaxies that are not those of the training, give --split all: all of them are new to the model.
    A table needs the columns id and p_<class>, such as those of galcnn classify or of another program; it is
    matched with the catalog by the ids. Without --catalog, its column true_class is used.

    Scores are accuracy, balanced accuracy, completeness (recall) and purity (precision) of each class,
    and calibration, with 95 % bootstrap intervals, for all galaxies and in bins of each quantity of
    --by: a column of the catalog, or a measure of the images: magnitude_BAND (for 8-bit images,
    brightness_BAND), half_light_radius, signal_to_noise, sharpness.
    """
    from galcnn.cli.quiet import load_tensorflow

    options.check_folder(out, overwrite=overwrite)
    classes: dict[str, Any] = {}
    if merge:
        named = options.pairs("--merge", merge, "=")
        classes["merge"] = {new: tuple(olds.split(",")) for new, olds in named.items()}
    if drop:
        classes["drop"] = drop
    columns = options.chosen(image=image_column, class_=label, id=id_)
    how: dict[str, Any] = {"by": by, "n_bins": bins, "seed": seed, "overwrite": overwrite}
    if (predictions := _table_of(model)) is not None:
        if given_too := options.typed(*_MODEL_ONLY):
            raise click.UsageError(f"Expected a model with {given_too}. Received: a table, {predictions}.")
        from galcnn.catalog import relabel
        from galcnn.pipeline import evaluate_predictions

        labelled = relabel(_labelled(catalog or predictions, columns, own=not catalog), **classes)
        table = evaluate_predictions(predictions, labelled, out, **how)
    else:
        load_tensorflow(device=device)
        from galcnn.dataset import InputFiles
        from galcnn.experiment import galaxies_of
        from galcnn.model import read_card
        from galcnn.pipeline import ClassifySettings, evaluate_catalog

        settings = ClassifySettings(
            prior, calibrated=not raw, fit=given["fit"], render=render, orientations=orientations
        )
        labelled = galaxies_of(
            read_card(model),
            catalog,
            columns=columns,
            split=split,
            labelled=True,
            folder=images,
            **classes,
        )
        files = InputFiles.of(labelled, images, **options.reading(given))
        progress = options.progress(quiet)
        table = evaluate_catalog(
            model, labelled, out, files=files, settings=settings, progress=progress, **how
        )
    options.noted(labelled)
    for row in table[table["by"] == "all"]:
        click.echo(f"{row['score']:<28} {row['value']:.3f} [{row['low']:.3f}, {row['high']:.3f}]  {row['n']}")
    click.echo(f"calibration error: {table.meta['calibration']}")
    for name, text in table.meta.get("sets", {}).items():
        click.echo(f"sets, {name}: {text}")
    if n := table.meta["n_failed"]:
        what = (
            "images could not be used"
            if predictions is None
            else f"galaxies have no prediction in {predictions}"
        )
        why = f"; {out}/predictions.ecsv says why" if predictions is None else ""
        click.echo(f"{n} {what}{why}", err=True)
    tell(
        scores=[{name: row[name] for name in table.colnames} for row in table], failed=table.meta["n_failed"]
    )
    click.echo(f"wrote {out}")


#: Options that say how a model is applied.
_MODEL_ONLY = (
    *("images", "image_column", "split", "prior", "raw", "orientations", "device"),
    *("bands", "fit", "grid", "render", "width", "hdu", "zero_point", "strict"),
)


def _table_of(path: str) -> str | None:
    """Return the table of predictions at a path: itself, or that of a folder of classify or evaluate."""
    from galcnn.catalog.formats import is_table

    if not Path(path).is_dir():
        return path if is_table(path) else None
    names = () if (Path(path) / "card.json").is_file() else ("table.parquet", "predictions.ecsv")
    return next((str(Path(path) / name) for name in names if (Path(path) / name).is_file()), None)


def _labelled(path: str, columns: dict[str, Any], *, own: bool) -> Any:
    """Read a catalog with classes, or the true classes in a table of predictions."""
    from galcnn.catalog import Catalog, read_catalog

    if not own:
        return read_catalog(path, columns=columns).labelled()
    from astropy.table import QTable

    from galcnn.catalog.formats import read_scalars

    table = read_scalars(path, texts={"id", "true_class"})
    name = columns.get("class", "true_class")
    if name not in table.colnames:
        raise click.UsageError(f"Expected --catalog FILE, or a column {name} of true classes in {path}.")
    return Catalog(QTable({"id": table["id"], "class": table[name]})).labelled()
