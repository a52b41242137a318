"""galcnn inspect."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import click

from galcnn.cli import options


@click.command(name="inspect", cls=options.Command)
@options.catalog
@options.image_column
@options.images_folder
@options.id_column
@options.catalog_files
@options.section("Preprocessing", options.preprocessing)
@options.section(
    "Suspicious cutouts",
    click.option("--masked-limit", type=float, help="Largest fraction of masked pixels.  [default: 0.5]"),
    click.option(
        "--saturated-limit", type=float, help="Largest fraction of saturated pixels.  [default: 0.003]"
    ),
    click.option(
        "--outlier-limit",
        type=float,
        help="Largest distance from the others, robust standard deviations.  [default: 6]",
    ),
    click.option(
        "--duplicate-limit", type=float, help="Largest correlation with another image.  [default: 0.8]"
    ),
)
@click.option("--out", required=True, metavar="DIR", help="Output folder for figures and tables.")
@options.overwrite
@options.seed
@options.quiet
def command(
    catalog: str,
    image_column: str,
    images: str | None,
    id_: str | None,
    stretch: str | None,
    scaling: str | None,
    per: str | None,
    masked_limit: float | None,
    saturated_limit: float | None,
    outlier_limit: float | None,
    duplicate_limit: float | None,
    out: str,
    overwrite: bool,
    seed: int,
    quiet: bool,
    **given: Any,
) -> None:
    """Show a data set, its preprocessing and its suspicious cutouts.

    \b
    galcnn inspect --catalog sky/catalog.ecsv --out look
    galcnn inspect --catalog labels.csv --image-column file --id objid --scaling whiten --out look

    Suspicious cutouts are unreadable, blank, mostly masked, saturated, outliers or duplicates. They are
    listed with reason and value.
    """
    from galcnn.cli.quiet import load_tensorflow

    options.check_folder(out, overwrite=overwrite)
    load_tensorflow()
    from galcnn.catalog import read_catalog
    from galcnn.dataset import InputFiles
    from galcnn.dataset.suspicious import SuspicionLimits
    from galcnn.pipeline import DataView, show_data

    columns = options.chosen(id=id_) | ({} if images and image_column == "image" else {"image": image_column})
    read = options.noted(read_catalog(catalog, columns=columns))
    limits = {
        "masked": masked_limit,
        "saturated": saturated_limit,
        "outlier": outlier_limit,
        "duplicate": duplicate_limit,
    }
    words = {"stretch": stretch, "scaling": scaling, "per": per}
    view = DataView(
        limits=SuspicionLimits(**{name: value for name, value in limits.items() if value is not None}),
        seed=seed,
        **{name: word for name, word in words.items() if word is not None},  # type: ignore[arg-type]
    )
    progress = options.progress(quiet)
    table = show_data(
        read,
        out,
        files=InputFiles.of(
            read, images, size=given["size"], render=given["render"], **options.reading(given)
        ),
        view=view,
        progress=progress,
        overwrite=overwrite,
    )
    reasons = Counter(str(name) for name in table["reason"])
    click.echo(f"{len(read)} galaxies, {len(set(table['row']))} of them suspicious")
    for name, n in reasons.items():
        click.echo(f"  {name:<12} {n}")
    files = ("preprocessing.png", "statistics.ecsv", "suspicious.ecsv", "suspicious.png")
    click.echo(f"wrote {out}/: {', '.join(name for name in files if (Path(out) / name).exists())}")
